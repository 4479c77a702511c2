package mechanism

import (
	"fmt"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// guard is an operation in progress. Each call uses the key anew, so that nothing goes on with a key that was wiped
// (CKR_KEY_HANDLE_INVALID). With its last call and after every error the operation goes, with all that it was made of
// and keeps: round keys, parameters, data.
type guard[Operation any] struct {
	key  *Key
	now  *Operation // nil when it is over
	over error      // the answer then: the error that ended it, if one did
}

func guarded[Operation any](k *Key, now Operation) *guard[Operation] {
	return &guard[Operation]{key: k, now: &now}
}

// step is a call after which the operation goes on.
func (g *guard[Operation]) step(call func(Operation) error) error {
	if g.now == nil {
		return g.over
	}
	err := g.key.use(func() error { return call(*g.now) })
	if err != nil {
		g.now, g.over = nil, err
	}
	return err
}

// last is the last call.
func (g *guard[Operation]) last(call func(Operation) error) error {
	err := g.step(call)
	if g.now != nil {
		g.now, g.over = nil, errOver
	}
	return err
}

// ask is what a question about the operation answers, 0 when it is over or its key was wiped. Some need the key, as
// the length of a last block without its padding does.
func (g *guard[Operation]) ask(question func(Operation) int) (n int) {
	if g.now != nil {
		_ = g.key.use(func() error { n = question(*g.now); return nil })
	}
	return n
}

// errOver is the answer of an operation that came to its end.
var errOver = fmt.Errorf("%w: the operation is over", ck.CKR_OPERATION_NOT_INITIALIZED)

// guardedTransform is a Transform.
type guardedTransform struct{ *guard[Transform] }

func guardTransform(k *Key, t Transform) Transform { return guardedTransform{guarded(k, t)} }

func (g guardedTransform) Once(data []byte) (out []byte, err error) {
	err = g.last(func(t Transform) (err error) { out, err = t.Once(data); return err })
	return out, err
}

func (g guardedTransform) Update(part []byte) (out []byte, err error) {
	err = g.step(func(t Transform) (err error) { out, err = t.Update(part); return err })
	return out, err
}

func (g guardedTransform) Final() (out []byte, err error) {
	err = g.last(func(t Transform) (err error) { out, err = t.Final(); return err })
	return out, err
}

func (g guardedTransform) OnceBound(n int) int {
	return g.ask(func(t Transform) int { return t.OnceBound(n) })
}

func (g guardedTransform) UpdateBound(n int) int {
	return g.ask(func(t Transform) int { return t.UpdateBound(n) })
}

func (g guardedTransform) FinalBound() int { return g.ask(Transform.FinalBound) }

func (g guardedTransform) Held(n int) int { return g.ask(func(t Transform) int { return t.Held(n) }) }

// guardedSigner is a Signer.
type guardedSigner struct {
	*guard[Signer]
	size int
}

func guardSigner(k *Key, s Signer) Signer { return guardedSigner{guarded(k, s), s.Size()} }

func (g guardedSigner) Size() int { return g.size }

func (g guardedSigner) Once(data []byte) (signature []byte, err error) {
	err = g.last(func(s Signer) (err error) { signature, err = s.Once(data); return err })
	return signature, err
}

func (g guardedSigner) Update(part []byte) error {
	return g.step(func(s Signer) error { return s.Update(part) })
}

func (g guardedSigner) Final() (signature []byte, err error) {
	err = g.last(func(s Signer) (err error) { signature, err = s.Final(); return err })
	return signature, err
}

// guardedVerifier is a Verifier.
type guardedVerifier struct {
	*guard[Verifier]
	size int
}

func guardVerifier(k *Key, v Verifier) Verifier { return guardedVerifier{guarded(k, v), v.Size()} }

func (g guardedVerifier) Size() int { return g.size }

func (g guardedVerifier) Once(data, signature []byte) error {
	return g.last(func(v Verifier) error { return v.Once(data, signature) })
}

func (g guardedVerifier) Update(part []byte) error {
	return g.step(func(v Verifier) error { return v.Update(part) })
}

func (g guardedVerifier) Final(signature []byte) error {
	return g.last(func(v Verifier) error { return v.Final(signature) })
}

// guardedMessages is a MessageCipher. An error ends the message and not the operation, which has round keys only while
// there is a message.
type guardedMessages struct {
	MessageCipher
	key *Key
}

func guardMessages(k *Key, c MessageCipher) MessageCipher { return guardedMessages{c, k} }

func (g guardedMessages) use(call func() error) error {
	err := g.key.use(call)
	if err != nil {
		g.GiveUp()
	}
	return err
}

func (g guardedMessages) Whole(p *ck.GCMMessage, associated, data []byte) (out []byte, made MessageParts, err error) {
	err = g.use(func() (err error) { out, made, err = g.MessageCipher.Whole(p, associated, data); return err })
	return out, made, err
}

func (g guardedMessages) Begin(p *ck.GCMMessage, associated []byte) (made MessageParts, err error) {
	err = g.use(func() (err error) { made, err = g.MessageCipher.Begin(p, associated); return err })
	return made, err
}

func (g guardedMessages) Next(p *ck.GCMMessage, part []byte, last bool) (out []byte, made MessageParts, err error) {
	err = g.use(func() (err error) { out, made, err = g.MessageCipher.Next(p, part, last); return err })
	return out, made, err
}
