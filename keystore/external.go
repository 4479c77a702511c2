package keystore

import "bytes"

// Externalise puts a key outside the token and returns the capsule that brings it
// back: to the same token, once, and only the newest one. Until then the key
// signs nothing. The capsule stays in the outbox until Stored: to ask again gives
// the same bytes. Its secrets are sealed under the token's master key.
func (ks *Keystore) Externalise(id Identity) ([]byte, error) {
	k, err := ks.acquire(id)
	if err != nil {
		return nil, err
	}
	defer k.release()
	if err := k.refresh(); err != nil {
		return nil, err
	}
	if k.state.Status == External {
		return k.state.Away.emit()
	}
	if err := k.settleDown(); err != nil {
		return nil, err
	}
	if err := k.change(externalise); err != nil {
		return nil, err
	}
	return k.state.Away.emit()
}

func (a *Absence) emit() ([]byte, error) {
	if a.Capsule == nil {
		return nil, ErrAcknowledged
	}
	return bytes.Clone(a.Capsule), nil
}

// Stored empties the outbox of an external key when digest is the SHA-256 of its
// capsule: the caller has stored it durably. Without it the key is lost. To repeat
// it is no error. ErrUnknownTransfer.
func (ks *Keystore) Stored(id Identity, digest []byte) error {
	k, err := ks.acquire(id)
	if err != nil {
		return err
	}
	defer k.release()
	return k.change(func(s State) (State, error) { return stored(s, digest) })
}

// BringBack returns an external key from its capsule. ErrSeen for an older one, or
// if the key is not external.
func (ks *Keystore) BringBack(id Identity, capsule []byte) error {
	k, err := ks.acquire(id)
	if err != nil {
		return err
	}
	defer k.release()
	return k.change(func(s State) (State, error) { return bringBack(s, capsule) })
}
