package mechanism

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"fmt"
	"slices"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// beginCBC is CKM_AES_CBC.
func beginCBC(m ck.Mechanism, block cipher.Block, d direction) (Transform, error) {
	return newCBC(m, block, d, false)
}

// beginCBCPad is CKM_AES_CBC_PAD.
func beginCBCPad(m ck.Mechanism, block cipher.Block, d direction) (Transform, error) {
	return newCBC(m, block, d, true)
}

func newCBC(m ck.Mechanism, block cipher.Block, d direction, padded bool) (*blocks, error) {
	if m.Struct != nil || m.Misfit || len(m.Parameter) != aes.BlockSize {
		return nil, fmt.Errorf("%w: %s takes an initialisation vector of 16 bytes", ck.CKR_MECHANISM_PARAM_INVALID, m.Type)
	}
	mode := cipher.NewCBCDecrypter(block, m.Parameter)
	if d.encrypt {
		mode = cipher.NewCBCEncrypter(block, m.Parameter)
	}
	b := &blocks{direction: d, padded: padded, crypt: mode.CryptBlocks, block: block}
	copy(b.before[:], m.Parameter)
	return b, nil
}

// blocks is a Transform of whole blocks, with PKCS#7 padding or without.
type blocks struct {
	direction
	padded bool
	crypt  func(dst, src []byte) // of whole blocks, one after the other
	held   []byte                // what is no whole block yet; with a padding to take off, what may be the last one

	// Of CBC, to look at the last block before its time: its cipher, and the block before it.
	block  cipher.Block
	before [aes.BlockSize]byte
}

// ready is how many of n bytes can go through now.
func (b *blocks) ready(n int) int {
	if b.padded && !b.encrypt && n > 0 {
		n-- // the last block stays until the end shows that it is the last
	}
	return n - n%aes.BlockSize
}

func (b *blocks) UpdateBound(n int) int { return b.ready(len(b.held) + n) }

func (b *blocks) Held(n int) int { return len(b.held) + n - b.UpdateBound(n) }

func (b *blocks) Update(part []byte) ([]byte, error) {
	data := part
	if len(b.held) > 0 {
		data = slices.Concat(b.held, part)
		defer clear(data)
	}
	ready := b.ready(len(data))
	out := make([]byte, ready, ready+aes.BlockSize) // Once appends the last block
	b.crypt(out, data[:ready])
	if ready > 0 && !b.encrypt {
		copy(b.before[:], data[ready-aes.BlockSize:])
	}
	clear(b.held)
	b.held = append(b.held[:0], data[ready:]...)
	return out, nil
}

func (b *blocks) FinalBound() int {
	switch {
	case !b.padded:
		return 0
	case b.encrypt:
		return aes.BlockSize
	}
	return b.peek()
}

// peek is how many bytes the last block has without its padding; 0 if it has none that is right, as Final will say.
func (b *blocks) peek() int {
	if len(b.held) != aes.BlockSize {
		return 0
	}
	last := make([]byte, aes.BlockSize)
	defer clear(last)
	cipher.NewCBCDecrypter(b.block, b.before[:]).CryptBlocks(last, b.held)
	plain, _ := b.unpad(last)
	defer clear(plain)
	return len(plain)
}

func (b *blocks) Final() ([]byte, error) {
	last := b.held
	defer clear(last)
	if b.padded && b.encrypt {
		last = pad(last)
	}
	if (len(last) != 0) != b.padded || len(last)%aes.BlockSize != 0 {
		return nil, fmt.Errorf("%w: not a whole number of blocks of %d bytes", b.wrongLength, aes.BlockSize)
	}
	b.crypt(last, last)
	if b.padded && !b.encrypt {
		return b.unpad(last)
	}
	return slices.Clone(last), nil
}

func (b *blocks) OnceBound(n int) int {
	bound := b.UpdateBound(n)
	if b.padded {
		bound += aes.BlockSize
	}
	if b.encrypt {
		return bound
	}
	return min(n, bound)
}

func (b *blocks) Once(data []byte) ([]byte, error) {
	out, err := b.Update(data)
	if err != nil {
		return nil, err
	}
	last, err := b.Final()
	if err != nil {
		clear(out)
		return nil, err
	}
	return append(out, last...), nil
}

// pad appends 1 to 16 bytes that each say how many they are (PKCS#7).
func pad(data []byte) []byte {
	n := aes.BlockSize - len(data)%aes.BlockSize
	return append(slices.Clone(data), slices.Repeat([]byte{byte(n)}, n)...)
}

// unpad takes the padding off the last block, in a time that does not tell what is wrong with it.
func (b *blocks) unpad(last []byte) ([]byte, error) {
	n := int(last[aes.BlockSize-1])
	good := subtle.ConstantTimeLessOrEq(1, n) & subtle.ConstantTimeLessOrEq(n, aes.BlockSize)
	for i, octet := range last {
		inside := subtle.ConstantTimeLessOrEq(aes.BlockSize-i, n)
		good &= subtle.ConstantTimeSelect(inside, subtle.ConstantTimeByteEq(octet, byte(n)), 1)
	}
	if good == 0 {
		return nil, fmt.Errorf("%w: not encrypted so with this key", b.wrong)
	}
	return slices.Clone(last[:aes.BlockSize-n]), nil
}
