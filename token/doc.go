// Package token is what a PKCS#11 token is, without C and without handles: slots, PINs, login, objects, attributes,
// templates and mechanisms, on top of the keystore that owns the HSS keys and their leaves.
//
// Device is one token directory, owned by one process at a time. Token is one initialised token in it, and Seat one
// application's place there. Objects are named by ObjectID; who may see or change them follows from the login at the
// seat and from the Session that asks.
//
// Invariants. No leaf is handled here: signatures and transfers of HSS keys go through keystore and backup, which
// keep the rule that a leaf never signs twice. A token that slots.json lists is never made anew, whatever its store
// looks like, and no file of a store is ever deleted. A PIN is tried only after the try was counted durably. Secrets
// are at rest only under the master key, and the master key only under a PIN; but for the keys that were made for use
// without a login (CKA_PRIVATE is FALSE), which nothing could open then. What needs the user asks the seat, at the
// moment when it is done: the keystore is open for all seats while the user is at one of them, and Config.Linger
// longer.
//
// Rules. What attributes an object has, and what a template may say of them in each call, stands in one table for
// each kind of object (schemacommon.go, schemakeys.go, schemahss.go); docs/attributes.md is made from them. What is
// refused beyond PKCS#11, so that sensitive keys stay unknown to the applications that use them, is in policy.go.
//
// What is not promised: a PIN of few digits resists nobody who has a copy of the store and time, and with no guard a
// directory that was put back to an earlier state is not noticed (see package keystore).
//
// Locks. They are taken in this order, and a later one without the earlier ones:
//
//	Token.pins        login, logout and PINs
//	Token.opening     sessions that begin
//	Token.pairs       attributes of one key pair
//	Token.edits       the other token objects; Seat.edits, the session objects of a seat
//	Token.giving      transfers
//	Seat.adding       objects that are added
//	Token.halves.mu, safe.mu, Seat.mu, Token.mu, Token.pairsMu, unwrapped.mu
//
// Only pins and opening are held while a PIN is tried, and none while a key is generated or signs. A key that builds
// a tree is waited for under the lock of its own pair, and under giving by users who give leaves away; nobody else is
// kept waiting. It is so under pins too: what uses a key of the token ends with the login at its seat, before the
// keystore locks, and session objects are discarded after pins is released, their computations ended first.
//
// Errors. What PKCS#11 has a result for is answered with it: such an error wraps the ck.RV (ck.CKR_PIN_INCORRECT, ...)
// and says in words what was wrong. All others come from keystore, backup, lms or the system.
package token
