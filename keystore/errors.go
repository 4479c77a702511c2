package keystore

import "errors"

// The errors of this package. What is none of these is the error of a context, a
// guard, or the system.
var (
	ErrLocked          = errors.New("the keystore is locked")
	ErrNoKey           = errors.New("no such key")
	ErrExhausted       = errors.New("not enough one-time keys left")
	ErrQuarantined     = errors.New("the key is quarantined")
	ErrExternal        = errors.New("the key is kept outside the token")
	ErrParameters      = errors.New("parameters not allowed")
	ErrNotTransferable = errors.New("the key was not made transferable")
	ErrSeen            = errors.New("these leaves were on this token before")
	ErrAcknowledged    = errors.New("the transfer was acknowledged already")
	ErrUnknownTransfer = errors.New("no such transfer of this key")
	ErrReceipt         = errors.New("the receipt does not prove that this capsule arrived")

	// ErrStore is a change whose outcome is unknown: it may be durable or not.
	// What it would have reserved is treated as burned.
	ErrStore = errors.New("the store did not confirm")
	// ErrStale is a change refused because another one came first.
	ErrStale = errors.New("the record was changed by somebody else")

	ErrMissing = errors.New("the store is missing")
	ErrOwned   = errors.New("the store is owned by another process")
	ErrVersion = errors.New("the store has an unknown version")
	ErrDamaged = errors.New("the record or store is damaged")
)
