package mechanism

import (
	"bytes"
	"crypto/aes"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"math"
	"sync"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// MessageCipher encrypts or decrypts messages, one after the other, with one key. One caller at a time. After an error
// the message is given up, and the next one may begin. What is wrong with a parameter is CKR_ARGUMENTS_BAD, and a tag
// that does not fit CKR_AEAD_DECRYPT_FAILED. Nothing of a message comes out before its tag is found right.
type MessageCipher interface {
	// Whole does a message at once.
	Whole(p *ck.GCMMessage, associated, data []byte) (out []byte, made MessageParts, err error)
	// Begin begins a message that Next brings in parts; one begun before is given up.
	Begin(p *ck.GCMMessage, associated []byte) (made MessageParts, err error)
	// Next takes a part. Encryption gives the tag with the last one; decryption takes it there, and gives the plaintext.
	Next(p *ck.GCMMessage, part []byte, last bool) (out []byte, made MessageParts, err error)
	// GiveUp ends the message that was begun, if there is one, and lets go of all that is kept of it.
	GiveUp()
	// Held is how many bytes are kept of the message that was begun once n bytes more went through Next.
	Held(n int) int
	// WholeBound and NextBound are the lengths of what Whole and Next give for n bytes.
	WholeBound(n int) int
	NextBound(n int, last bool) int
}

// MessageParts is what goes into the application's parameter; nil leaves a part alone.
type MessageParts struct{ IV, Tag []byte }

// messageOffer adds message-based encryption to AES-GCM. The mechanism has no parameter: each message brings its own.
func messageOffer(o offer) offer {
	o.encryptMessages = func(m ck.Mechanism, k *Key) (MessageCipher, error) {
		return orNil[MessageCipher](&messageEncryption{key: k}, parameterless(m))
	}
	o.decryptMessages = func(m ck.Mechanism, k *Key) (MessageCipher, error) {
		return orNil[MessageCipher](&messageDecryption{key: k}, parameterless(m))
	}
	return o
}

// messageGCM is GCM as a message's parameter wants it. CKR_DATA_LEN_RANGE for associated data that are too long.
func messageGCM(k *Key, p *ck.GCMMessage, iv, associated []byte) (*gcm, error) {
	if len(associated) > maxAssociated {
		return nil, fmt.Errorf("%w: associated data of %d bytes, more than %d", ck.CKR_DATA_LEN_RANGE, len(associated),
			maxAssociated)
	}
	block, err := aes.NewCipher(k.secret)
	if err != nil {
		return nil, err
	}
	g, err := newGCM(block, iv, associated, p.TagBits)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ck.CKR_ARGUMENTS_BAD, err)
	}
	return g, nil
}

var (
	errNoMessage   = fmt.Errorf("%w: no message has begun", ck.CKR_OPERATION_NOT_INITIALIZED)
	errNoParameter = fmt.Errorf("%w: a message takes CK_GCM_MESSAGE_PARAMS", ck.CKR_ARGUMENTS_BAD)
)

// messageEncryption is a MessageCipher.
type messageEncryption struct {
	key *Key
	now *gcmEncryption // the message that has begun
}

func (e *messageEncryption) Held(n int) int {
	if e.now == nil {
		return 0
	}
	return e.now.Held(n)
}

func (e *messageEncryption) WholeBound(n int) int { return n }

func (e *messageEncryption) NextBound(n int, _ bool) int { return n }

func (e *messageEncryption) Whole(p *ck.GCMMessage, associated, data []byte) ([]byte, MessageParts, error) {
	g, made, err := e.start(p, associated)
	if err != nil {
		return nil, MessageParts{}, err
	}
	sealed := g.seal(data)
	made.Tag = sealed[len(data):]
	return sealed[:len(data):len(data)], made, nil
}

func (e *messageEncryption) Begin(p *ck.GCMMessage, associated []byte) (MessageParts, error) {
	e.GiveUp()
	g, made, err := e.start(p, associated)
	if err != nil {
		return MessageParts{}, err
	}
	g.iv, g.aad = bytes.Clone(g.iv), bytes.Clone(g.aad)
	e.now = &gcmEncryption{gcm: g}
	return made, nil
}

func (e *messageEncryption) start(p *ck.GCMMessage, associated []byte) (*gcm, MessageParts, error) {
	if p == nil {
		return nil, MessageParts{}, errNoParameter
	}
	iv, made, err := e.key.ivs.vector(p)
	if err != nil {
		return nil, MessageParts{}, err
	}
	g, err := messageGCM(e.key, p, iv, associated)
	return g, made, err
}

func (e *messageEncryption) Next(p *ck.GCMMessage, part []byte, last bool) (out []byte, made MessageParts, err error) {
	if e.now == nil {
		return nil, MessageParts{}, errNoMessage
	}
	if out, err = e.now.Update(part); err == nil && last {
		made.Tag, err = e.now.Final()
	}
	if err != nil || last {
		e.GiveUp()
	}
	return out, made, err
}

func (e *messageEncryption) GiveUp() {
	if e.now != nil {
		clear(e.now.held)
	}
	e.now = nil
}

// messageDecryption is a MessageCipher. It does not ask which generator made the initialisation vector.
type messageDecryption struct {
	key   *Key
	begun bool
	iv    []byte
	aad   []byte
	held  []byte
}

func (d *messageDecryption) Held(n int) int {
	if !d.begun {
		return 0
	}
	return len(d.held) + n + len(d.iv) + len(d.aad)
}

func (d *messageDecryption) GiveUp() { *d = messageDecryption{key: d.key} }

func (d *messageDecryption) WholeBound(n int) int { return n }

func (d *messageDecryption) NextBound(n int, last bool) int {
	if !last {
		return 0
	}
	return len(d.held) + n
}

func (d *messageDecryption) Whole(p *ck.GCMMessage, associated, data []byte) ([]byte, MessageParts, error) {
	if p == nil {
		return nil, MessageParts{}, errNoParameter
	}
	plain, err := d.open(p, p.IV, associated, data)
	return plain, MessageParts{}, err
}

func (d *messageDecryption) open(p *ck.GCMMessage, iv, associated, data []byte) ([]byte, error) {
	g, err := messageGCM(d.key, p, iv, associated)
	if err != nil {
		return nil, err
	}
	if len(p.Tag) != g.tag {
		return nil, fmt.Errorf("%w: a tag of %d bytes, not %d", ck.CKR_ARGUMENTS_BAD, len(p.Tag), g.tag)
	}
	plain, ok := g.open(append(data[:len(data):len(data)], p.Tag...))
	if !ok {
		return nil, fmt.Errorf("%w: not encrypted so with this key", ck.CKR_AEAD_DECRYPT_FAILED)
	}
	return plain, nil
}

// Begin holds what the message begins with to the rules; its tag is looked at in the end.
func (d *messageDecryption) Begin(p *ck.GCMMessage, associated []byte) (MessageParts, error) {
	d.GiveUp()
	if p == nil {
		return MessageParts{}, errNoParameter
	}
	g, err := messageGCM(d.key, p, p.IV, associated)
	if err != nil {
		return MessageParts{}, err
	}
	d.begun, d.iv, d.aad = true, bytes.Clone(g.iv), bytes.Clone(g.aad)
	return MessageParts{}, nil
}

func (d *messageDecryption) Next(p *ck.GCMMessage, part []byte, last bool) (out []byte, made MessageParts, err error) {
	switch {
	case !d.begun:
		return nil, MessageParts{}, errNoMessage
	case last && p == nil:
		err = errNoParameter
	default:
		d.held, err = hold(d.held, part, decrypting)
	}
	if err == nil && last {
		out, err = d.open(p, d.iv, d.aad, d.held)
	}
	if err != nil || last {
		d.GiveUp()
	}
	return out, made, err
}

// Lengths of initialisation vectors that are made here. A random part of 96 bits, and 2^32 vectors of one key at most:
// SP 800-38D sections 8.2.2 and 8.3. A counter of all the bits that its random beginning has.
const (
	minMadeIV      = 12 // bytes
	minRandomBits  = 96
	maxRandomIVs   = 1 << 32
	minCounterBits = 64
)

// ivCounter makes initialisation vectors, each once for its key as long as the key stays decoded, whatever operations
// and threads share it. Its count begins anywhere in 2^64: a copy of the key, and the key when it is decoded again,
// count elsewhere: two runs of n vectors each meet by a chance of n in 2^63. Narrow counters would meet, so there are
// none.
type ivCounter struct {
	mu    sync.Mutex
	first uint64
	made  uint64
}

// vector is the initialisation vector of a message's encryption: the application's, or one that keeps the first
// FixedBits bits of it. The application gets back what was made.
func (c *ivCounter) vector(p *ck.GCMMessage) ([]byte, MessageParts, error) {
	if p.Generator == ck.CKG_NO_GENERATE {
		return p.IV, MessageParts{}, nil
	}
	bits := 8*uint64(len(p.IV)) - p.FixedBits
	if len(p.IV) < minMadeIV || p.FixedBits >= 8*uint64(len(p.IV)) {
		return nil, MessageParts{}, fmt.Errorf("%w: %d fixed bits of an initialisation vector of %d bytes",
			ck.CKR_ARGUMENTS_BAD, p.FixedBits, len(p.IV))
	}
	filling, err := c.filling(p.Generator, bits)
	if err != nil {
		return nil, MessageParts{}, err
	}
	iv := join(p.IV, filling, p.FixedBits)
	return iv, MessageParts{IV: iv}, nil
}

// filling makes bits bits of an initialisation vector, at the end of a slice that is long enough.
func (c *ivCounter) filling(generator, bits uint64) ([]byte, error) {
	random := generator == ck.CKG_GENERATE_RANDOM || generator == ck.CKG_GENERATE && bits >= minRandomBits
	counter := generator == ck.CKG_GENERATE_COUNTER || generator == ck.CKG_GENERATE
	filling := make([]byte, (bits+7)/8)
	switch {
	case random && bits < minRandomBits:
		return nil, fmt.Errorf("%w: %d random bits, and not %d", ck.CKR_ARGUMENTS_BAD, bits, minRandomBits)
	case random:
		rand.Read(filling)
		_, err := c.next(maxRandomIVs)
		return filling, err
	case counter && bits < minCounterBits:
		return nil, fmt.Errorf("%w: a counter of %d bits, and not %d", ck.CKR_MECHANISM_PARAM_INVALID, bits, minCounterBits)
	case counter:
		return filling, c.count(filling)
	}
	return nil, fmt.Errorf("%w: generator %d of initialisation vectors is not offered", ck.CKR_ARGUMENTS_BAD, generator)
}

// count writes the next count into the end of a filling.
func (c *ivCounter) count(filling []byte) error {
	n, err := c.next(math.MaxUint64)
	binary.BigEndian.PutUint64(filling[len(filling)-minCounterBits/8:], n)
	return err
}

// next counts a vector, and refuses it if limit were made with the key.
func (c *ivCounter) next(limit uint64) (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.made == 0 {
		var first [8]byte
		rand.Read(first[:])
		c.first = binary.BigEndian.Uint64(first[:])
	}
	if c.made >= limit {
		return 0, fmt.Errorf("%w: %d initialisation vectors were made with the key", ck.CKR_KEY_EXHAUSTED, c.made)
	}
	c.made++
	return c.first + c.made - 1, nil
}

// join is an initialisation vector with the first fixed bits of one and the other bits of filling's end.
func join(iv, filling []byte, fixed uint64) []byte {
	joined := append(make([]byte, len(iv)-len(filling)), filling...)
	copy(joined, iv[:fixed/8])
	if rest := fixed % 8; rest != 0 {
		mask := byte(0xff) << (8 - rest)
		joined[fixed/8] = iv[fixed/8]&mask | joined[fixed/8]&^mask
	}
	return joined
}
