package keystore

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"
)

// MasterKey seals every secret of one token: an AES-256 key, 32 bytes.
type MasterKey []byte

// NewMasterKey makes a random master key in locked memory. Wipe releases it.
func NewMasterKey() MasterKey {
	m := MasterKey(NewSecret(32))
	rand.Read(m)
	return m
}

// Seal encrypts and authenticates secret with AES-256-GCM: 12 bytes of random
// nonce, the ciphertext, 16 bytes of tag. The context names what the secret is,
// so that one sealed secret cannot stand in for another.
func (m MasterKey) Seal(secret, context []byte) ([]byte, error) {
	aead, err := m.aead()
	if err != nil {
		return nil, err
	}
	return aead.Seal(nil, nil, secret, context), nil
}

// Open is the reverse of Seal, into locked memory; the caller wipes it. A wrong
// key, another context and damage are all ErrDamaged.
func (m MasterKey) Open(sealed, context []byte) ([]byte, error) {
	aead, err := m.aead()
	if err != nil {
		return nil, err
	}
	if len(sealed) < aead.Overhead() {
		return nil, fmt.Errorf("%w: a sealed secret of %d bytes", ErrDamaged, len(sealed))
	}
	room := NewSecret(len(sealed) - aead.Overhead())
	secret, err := aead.Open(room[:0], nil, sealed, context)
	if err != nil {
		Wipe(room)
		return nil, fmt.Errorf("%w: a sealed secret does not open", ErrDamaged)
	}
	return secret, nil
}

func (m MasterKey) aead() (cipher.AEAD, error) {
	block, err := aes.NewCipher(m)
	if err != nil {
		return nil, fmt.Errorf("couldn't use the master key: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}
