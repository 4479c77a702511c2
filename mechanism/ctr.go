package mechanism

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"math/big"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// beginCTR is CKM_AES_CTR. The last CounterBits bits of the block count; a message must end before they are all used.
func beginCTR(m ck.Mechanism, block cipher.Block, d direction) (Transform, error) {
	p, err := parameter[ck.CTRParams](m)
	if err != nil {
		return nil, err
	}
	if p.CounterBits < 1 || p.CounterBits > 8*aes.BlockSize {
		return nil, fmt.Errorf("%w: %s lets 1 to 128 bits of its block count", ck.CKR_MECHANISM_PARAM_INVALID, m.Type)
	}
	left := countLeft(p.Block, uint(p.CounterBits))
	return &counterMode{direction: d, stream: cipher.NewCTR(block, p.Block[:]), left: left}, nil
}

// countLeft is how many bytes go through before the last bits bits of a counter block come back to zero, at most 2^60.
func countLeft(counter [aes.BlockSize]byte, bits uint) int64 {
	end := new(big.Int).Lsh(big.NewInt(1), bits)
	now := new(big.Int).Mod(new(big.Int).SetBytes(counter[:]), end)
	left := end.Sub(end, now)
	if left.BitLen() > 56 {
		return 1 << 60
	}
	return left.Int64() * aes.BlockSize
}

// counterMode is a Transform by a key stream that may end.
type counterMode struct {
	direction
	stream cipher.Stream
	left   int64 // bytes of the key stream
}

func (c *counterMode) OnceBound(n int) int { return n }

func (c *counterMode) UpdateBound(n int) int { return n }

func (c *counterMode) FinalBound() int { return 0 }

func (c *counterMode) Held(int) int { return 0 }

func (c *counterMode) Update(part []byte) ([]byte, error) {
	if int64(len(part)) > c.left {
		return nil, fmt.Errorf("%w: the counter would come round", c.wrongLength)
	}
	c.left -= int64(len(part))
	out := make([]byte, len(part))
	c.stream.XORKeyStream(out, part)
	return out, nil
}

func (c *counterMode) Final() ([]byte, error) { return nil, nil }

func (c *counterMode) Once(data []byte) ([]byte, error) { return c.Update(data) }
