// Package mechanism is what the standard mechanisms of PKCS#11 do with keys: encrypt, sign, derive, wrap and so on,
// from Go's standard library and golang.org/x/crypto. It knows values only. Objects, sessions, login and policy are
// token's; state rules and buffers are p11module's; hash-based keys are keystore's.
//
// Attribute values have token's form: a CK_ULONG is 8 bytes big-endian, an array of them is their concatenation, a
// CK_BBOOL is one byte, and all else is as PKCS#11 has it. Big integers are big-endian; what this package returns has
// no leading zeros.
//
// An error that has a CK_RV wraps it as a ck.RV. No error text holds anything secret, and no two faults of a ciphertext
// or of a wrapped key can be told apart.
package mechanism
