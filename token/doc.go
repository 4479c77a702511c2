// Package token is what a PKCS#11 token is, without C and without handles: slots, PINs, login, objects, attributes,
// templates and mechanisms, on top of the keystore that owns the HSS keys and their leaves.
//
// Device is one token directory, owned by one process at a time. Token is one initialised token in it. Objects are
// named by ObjectID; who may see or change them follows from the login and from the Session that asks.
//
// Invariants. No leaf is handled here: signatures and transfers of HSS keys go through keystore and backup, which keep
// the rule that a leaf never signs twice. A token that slots.json lists is never made anew, whatever its store looks
// like, and no file of a store is ever deleted. A PIN is tried only after the try was counted durably. Secrets are at
// rest only under the master key, and the master key only under a PIN.
//
// What is not promised: a PIN of few digits resists nobody who has a copy of the store and time, and with no guard a
// directory that was put back to an earlier state is not noticed (see package keystore).
//
// Errors. What PKCS#11 has a result for is answered with it: such an error wraps the ck.RV (ck.CKR_PIN_INCORRECT, ...)
// and says in words what was wrong. All others come from keystore, backup, lms or the system.
package token
