// Package lms implements Leighton-Micali hash-based signatures: LM-OTS, LMS and HSS of RFC 8554 with the parameter sets
// of SP 800-208 and RFC 9858, which are SHA-256 and SHAKE256 with n = 32 and n = 24, heights 5 to 25, w = 1, 2, 4, 8 and
// up to 8 levels.
//
// It is pure: no files, no clock, no randomness, no state beyond the values it is given. Whoever signs answers for the
// invariant of stateful signatures, that no leaf of a tree ever signs two messages; package keystore does. What this
// package promises: what verifies is exactly what the standards accept; parsers take any bytes without a panic and
// allocate in proportion to the bytes given, never to a length that these announce; what parses encodes to the same bytes.
//
// Not promised: constant time (the messages and the public values that LM-OTS works on are public; SEED enters whole
// hashes only) and that no copy of a secret remains in memory, since Go may move stacks and copy values.
//
// The files follow the chapters of RFC 8554: params.go (tables), hash.go (H and its batches), lmots.go (section 4),
// tree.go, builder.go, subtree.go (private keys of section 5), lms.go (the rest of it), hss.go (section 6).
package lms
