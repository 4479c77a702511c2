package main

import (
	"github.com/onceleaf/onceleaf/internal/sha256mb"
	"github.com/onceleaf/onceleaf/lms"
)

// set is a parameter set with what is measured of it.
type set struct {
	lms.ParameterSet
	name  string
	signs bool // signing and verifying too
	long  bool // only with -long
}

var measuredSets = []set{
	{name: "H10W8", ParameterSet: setH10W8, signs: true},
	{name: "H10W4", ParameterSet: lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H10, OTS: lms.LMOTS_SHA256_N32_W4}, signs: true},
	{name: "H15W4", ParameterSet: setH15W4, signs: true},
	{name: "N24-H10W8", ParameterSet: lms.ParameterSet{LMS: lms.LMS_SHA256_M24_H10, OTS: lms.LMOTS_SHA256_N24_W8}, signs: true},
	{name: "SHAKE-H10W8", ParameterSet: lms.ParameterSet{LMS: lms.LMS_SHAKE_M32_H10, OTS: lms.LMOTS_SHAKE_N32_W8}, signs: true},
	{name: "H20W4", ParameterSet: setH20W4, long: true},
}

var (
	setH10W8 = lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H10, OTS: lms.LMOTS_SHA256_N32_W8}
	setH15W4 = lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H15, OTS: lms.LMOTS_SHA256_N32_W4}
	setH20W4 = lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H20, OTS: lms.LMOTS_SHA256_N32_W4}
	setH25W4 = lms.ParameterSet{LMS: lms.LMS_SHA256_M32_H25, OTS: lms.LMOTS_SHA256_N32_W4}
)

// This file counts compressions: of 64 bytes in SHA-256, of 136 bytes (permutations) in SHAKE256. Every input begins with
// 22 bytes: I, a number of 32 bits and one of 16 (RFC 8554 sections 4.3, 4.5, 5.3).

const (
	prefixSize  = 16 + 4 + 2 // bytes
	messageSize = 32         // bytes of the messages that are signed and verified
)

func hashOf(s lms.ParameterSet) sha256mb.Hash {
	if s.OTS >= lms.LMOTS_SHAKE_N32_W1 {
		return sha256mb.SHAKE256
	}
	return sha256mb.SHA256
}

// compressions is the cost of hashing the prefix and size bytes more.
func compressions(s lms.ParameterSet, size int) int {
	if hashOf(s) == sha256mb.SHAKE256 {
		return (prefixSize+size)/136 + 1
	}
	return (prefixSize + size + 9 + 63) / 64
}

// chains is p, the number of Winternitz chains; a signature is q, two typecodes, C, p values and h nodes.
func chains(s lms.ParameterSet) int { return (s.SignatureSize()-4-4-4)/s.N() - 1 - s.Height() }

// steps is the length of a chain, 2^w - 1; the typecodes of a family are those of w = 1, 2, 4, 8.
func steps(s lms.ParameterSet) int { return 1<<(1<<((s.OTS-1)%4)) - 1 }

func stepCost(s lms.ParameterSet) int { return compressions(s, 1+s.N()) }

// leafCost is a leaf of the tree: p derivations from SEED, p whole chains, the LM-OTS public key, the leaf's own hash.
func leafCost(s lms.ParameterSet) int {
	p := chains(s)
	return p*(1+steps(s))*stepCost(s) + publicKeyCost(s) + compressions(s, s.N())
}

// publicKeyCost is the LM-OTS public key from the ends of its chains.
func publicKeyCost(s lms.ParameterSet) int { return compressions(s, chains(s)*s.N()) }

func innerCost(s lms.ParameterSet) int { return compressions(s, 2*s.N()) }

// treeCost is key generation: all leaves and inner nodes.
func treeCost(s lms.ParameterSet) float64 {
	leaves := int(s.Leaves())
	return float64(leaves*leafCost(s) + (leaves-1)*innerCost(s))
}

// signCost is a signature with the tree in memory: p derivations and, on average, half of each chain. The hash of the
// message, one or two compressions, is left out. The chains of the checksum are not quite average: a signature at W8 takes
// 2.6 % fewer steps, one at W4 1 %, and its verification as many more.
func signCost(s lms.ParameterSet) float64 { return float64(chains(s)*stepCost(s)) + halfChains(s) }

// verifyCost is a verification of a message of 32 bytes: its hash, the other halves of the chains, the public key, the
// leaf, and the path.
func verifyCost(s lms.ParameterSet) float64 {
	rest := compressions(s, s.N()+messageSize) + publicKeyCost(s) + compressions(s, s.N()) + s.Height()*innerCost(s)
	return halfChains(s) + float64(rest)
}

func halfChains(s lms.ParameterSet) float64 { return float64(chains(s)*steps(s)*stepCost(s)) / 2 }

// checkedCost is a signature as a keystore gives it out: made, and verified before anybody sees it.
func checkedCost(s lms.ParameterSet) float64 { return signCost(s) + verifyCost(s) }

// pathCost is a signature of a key of two levels, with its share of the lower tree that is made, signed and checked once
// per 2^h signatures.
func pathCost(upper, lower lms.ParameterSet) float64 {
	return checkedCost(lower) + (treeCost(lower)+checkedCost(upper))/float64(lower.Leaves())
}
