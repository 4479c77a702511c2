package mechanism

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"hash"
)

// cmac is AES-CMAC (SP 800-38B, RFC 4493), which Go's library does not show, as a hash.Hash.
type cmac struct {
	block    cipher.Block
	k1, k2   [aes.BlockSize]byte // subkeys of a whole and of a padded last block
	chain    [aes.BlockSize]byte
	last     [aes.BlockSize]byte // what may be the last block
	lastUsed int                 // bytes of it
}

func newCMAC(k *Key) (hash.Hash, error) {
	block, err := aes.NewCipher(k.secret)
	if err != nil {
		return nil, err
	}
	c := &cmac{block: block}
	block.Encrypt(c.k1[:], c.k1[:])
	c.k1 = double(c.k1)
	c.k2 = double(c.k1)
	return c, nil
}

// double is the product of b and x in the field of 2^128 elements, in constant time.
func double(b [aes.BlockSize]byte) (doubled [aes.BlockSize]byte) {
	for i := range doubled {
		doubled[i] = b[i] << 1
		if i+1 < len(b) {
			doubled[i] |= b[i+1] >> 7
		}
	}
	doubled[len(doubled)-1] ^= 0x87 * (b[0] >> 7)
	return doubled
}

func (c *cmac) Size() int { return aes.BlockSize }

func (c *cmac) BlockSize() int { return aes.BlockSize }

// Write keeps a whole last block back: only the end shows which subkey it gets.
func (c *cmac) Write(part []byte) (int, error) {
	n := len(part)
	for len(part) > 0 {
		if c.lastUsed == aes.BlockSize {
			c.add(c.last)
			c.lastUsed = 0
		}
		taken := copy(c.last[c.lastUsed:], part)
		c.lastUsed += taken
		part = part[taken:]
	}
	return n, nil
}

func (c *cmac) add(block [aes.BlockSize]byte) {
	subtle.XORBytes(c.chain[:], c.chain[:], block[:])
	c.block.Encrypt(c.chain[:], c.chain[:])
}

// Sum appends the MAC of what was written. The state stays as it is.
func (c *cmac) Sum(before []byte) []byte {
	end := *c
	subkey := &end.k1
	if end.lastUsed < aes.BlockSize {
		clear(end.last[end.lastUsed:])
		end.last[end.lastUsed] = 0x80
		subkey = &end.k2
	}
	subtle.XORBytes(end.last[:], end.last[:], subkey[:])
	end.add(end.last)
	return append(before, end.chain[:]...)
}

func (c *cmac) Reset() { c.chain, c.lastUsed = [aes.BlockSize]byte{}, 0 }
