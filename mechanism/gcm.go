package mechanism

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"fmt"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// fullTag is the length of GCM's tag in bytes. Shorter tags are its beginning.
const fullTag = 16

// maxHeld bounds what an operation keeps of the parts of its data, and maxAssociated each of an initialisation vector,
// associated data and OAEP's label, in bytes.
const (
	maxHeld       = 64 << 20
	maxAssociated = 1 << 20
)

// beginGCM is CKM_AES_GCM. The application makes the initialisation vector. Its length in bits, which only the longer
// form of the structure has, is not looked at: applications put anything there.
func beginGCM(m ck.Mechanism, block cipher.Block, d direction) (Transform, error) {
	p, err := parameter[ck.GCMParams](m)
	if err != nil {
		return nil, err
	}
	g, err := newGCM(block, p.IV, p.AAD, p.TagBits)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ck.CKR_MECHANISM_PARAM_INVALID, err)
	}
	if d.encrypt {
		return &gcmEncryption{gcm: g}, nil
	}
	return &gcmDecryption{gcm: g}, nil
}

// gcm is AES-GCM with the values of one message.
type gcm struct {
	aead    cipher.AEAD // with the full tag
	block   cipher.Block
	iv, aad []byte
	tag     int // bytes
}

// kept is how many bytes of parameters it keeps.
func (g *gcm) kept() int { return len(g.iv) + len(g.aad) }

// newGCM takes tags of 32, 64, 96, 104, 112, 120 and 128 bits (SP 800-38D). It keeps the slices.
func newGCM(block cipher.Block, iv, aad []byte, tagBits uint64) (*gcm, error) {
	if !tagLengths[tagBits] {
		return nil, fmt.Errorf("no tag has %d bits", tagBits)
	}
	if len(iv) == 0 || len(iv) > maxAssociated || len(aad) > maxAssociated {
		return nil, fmt.Errorf("an initialisation vector of %d bytes, associated data of %d", len(iv), len(aad))
	}
	aead, err := cipher.NewGCMWithNonceSize(block, len(iv))
	return &gcm{aead: aead, block: block, iv: iv, aad: aad, tag: int(tagBits / 8)}, err
}

var tagLengths = map[uint64]bool{32: true, 64: true, 96: true, 104: true, 112: true, 120: true, 128: true}

// seal is the ciphertext and its tag.
func (g *gcm) seal(plain []byte) []byte {
	sealed := g.aead.Seal(nil, g.iv, plain, g.aad)
	return sealed[:len(plain)+g.tag]
}

// open is the plaintext of what seal gave; ok is false, and nothing comes out, if the tag does not fit.
func (g *gcm) open(sealed []byte) (plain []byte, ok bool) {
	if g.tag == fullTag {
		plain, err := g.aead.Open(nil, g.iv, sealed, g.aad)
		return plain, err == nil
	}
	return g.openShort(sealed)
}

// openShort is open for a shortened tag, which Go's library does not take for every initialisation vector. The key
// stream is the encryption of zeros, and the tag that of the plaintext.
func (g *gcm) openShort(sealed []byte) (plain []byte, ok bool) {
	n := len(sealed) - g.tag
	plain = g.aead.Seal(nil, g.iv, make([]byte, n), nil)[:n]
	subtle.XORBytes(plain, plain, sealed[:n])
	if subtle.ConstantTimeCompare(g.seal(plain)[n:], sealed[n:]) == 0 {
		clear(plain)
		return nil, false
	}
	return plain, true
}

// stream is the key stream of the message. Its first counter block is found by deciphering its first block.
func (g *gcm) stream() *wrapping32 {
	s := &wrapping32{block: g.block}
	first := g.aead.Seal(nil, g.iv, make([]byte, aes.BlockSize), nil)
	g.block.Decrypt(s.counter[:], first)
	s.restart(binary.BigEndian.Uint32(s.counter[aes.BlockSize-4:]))
	return s
}

// wrapping32 is a key stream whose last 32 bits count and come round without a carry, as those of GCM do.
type wrapping32 struct {
	block   cipher.Block
	counter [aes.BlockSize]byte
	stream  cipher.Stream
	left    uint64 // bytes until the 32 bits come round
}

func (w *wrapping32) restart(counter uint32) {
	binary.BigEndian.PutUint32(w.counter[aes.BlockSize-4:], counter)
	w.stream = cipher.NewCTR(w.block, w.counter[:])
	w.left = (1<<32 - uint64(counter)) * aes.BlockSize
}

// XORKeyStream is that of cipher.Stream.
func (w *wrapping32) XORKeyStream(dst, src []byte) {
	for uint64(len(src)) > w.left {
		n := w.left
		w.stream.XORKeyStream(dst[:n], src[:n])
		dst, src = dst[n:], src[n:]
		w.restart(0)
	}
	w.stream.XORKeyStream(dst, src)
	w.left -= uint64(len(src))
}

// gcmEncryption is a Transform. In parts, the ciphertext comes at once, and the plaintext stays for the tag: Go's
// library has no GCM that takes parts.
type gcmEncryption struct {
	*gcm
	held   []byte
	cipher *wrapping32 // from the first part on
}

func (e *gcmEncryption) Held(n int) int { return len(e.held) + n + e.kept() }

func (e *gcmEncryption) OnceBound(n int) int { return n + e.tag }

func (e *gcmEncryption) UpdateBound(n int) int { return n }

func (e *gcmEncryption) FinalBound() int { return e.tag }

func (e *gcmEncryption) Once(data []byte) ([]byte, error) { return e.seal(data), nil }

func (e *gcmEncryption) Update(part []byte) (out []byte, err error) {
	if e.held, err = hold(e.held, part, encrypting); err != nil {
		return nil, err
	}
	if e.cipher == nil {
		e.cipher = e.stream()
	}
	out = make([]byte, len(part))
	e.cipher.XORKeyStream(out, part)
	return out, nil
}

func (e *gcmEncryption) Final() ([]byte, error) {
	tag := e.seal(e.held)[len(e.held):]
	clear(e.held)
	e.held = nil
	return tag, nil
}

// hold appends a part to those before. What was outgrown is cleared.
func hold(held, part []byte, d direction) ([]byte, error) {
	if len(part) > maxHeld-len(held) {
		return held, fmt.Errorf("%w: more than %d bytes in parts", d.wrongLength, maxHeld)
	}
	grown := append(held, part...)
	if len(held) > 0 && &grown[0] != &held[0] {
		clear(held)
	}
	return grown, nil
}

// gcmDecryption is a Transform. Nothing comes out before the tag is found right.
type gcmDecryption struct {
	*gcm
	held []byte
}

func (o *gcmDecryption) Held(n int) int { return len(o.held) + n + o.kept() }

func (o *gcmDecryption) OnceBound(n int) int { return max(0, n-o.tag) }

func (o *gcmDecryption) UpdateBound(int) int { return 0 }

func (o *gcmDecryption) FinalBound() int { return o.OnceBound(len(o.held)) }

func (o *gcmDecryption) Update(part []byte) (out []byte, err error) {
	o.held, err = hold(o.held, part, decrypting)
	return nil, err
}

func (o *gcmDecryption) Final() ([]byte, error) {
	held := o.held
	o.held = nil
	return o.Once(held)
}

func (o *gcmDecryption) Once(data []byte) ([]byte, error) {
	if len(data) < o.tag {
		return nil, fmt.Errorf("%w: shorter than the tag", ck.CKR_ENCRYPTED_DATA_LEN_RANGE)
	}
	plain, ok := o.open(data)
	if !ok {
		return nil, fmt.Errorf("%w: not encrypted so with this key", ck.CKR_ENCRYPTED_DATA_INVALID)
	}
	return plain, nil
}
