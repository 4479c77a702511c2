package p11module

import (
	"bytes"
	"context"
	"fmt"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/mechanism"
	"github.com/onceleaf/onceleaf/token"
)

// transform is encryption and decryption. It pays for the parameter and the data that it keeps.
type transform struct {
	mechanism.Transform
	held held
}

// transform is create's transform as an engine. CKR_DEVICE_MEMORY if the application keeps too much already.
func (l *library) transform(with Mechanism, k *mechanism.Key,
	create func(ck.Mechanism, *mechanism.Key) (mechanism.Transform, error)) (engine, error) {
	made, err := create(with, k)
	if err != nil {
		return nil, err
	}
	e := &transform{made, held{memory: l.memory}}
	if err := e.held.keep(made.Held(0)); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *transform) room(at stage, n int) int {
	switch at {
	case once:
		return e.OnceBound(n)
	case update:
		return e.UpdateBound(n)
	}
	return e.FinalBound()
}

func (e *transform) once(in input) ([]byte, error) { return e.Once(in.data) }

// update pays first: AES-GCM keeps all of the parts for its tag, in both directions.
func (e *transform) update(part []byte) ([]byte, error) {
	if err := e.held.keep(e.Held(len(part))); err != nil {
		return nil, err
	}
	return e.Update(part)
}

func (e *transform) final(input) ([]byte, error) { return e.Final() }

func (e *transform) end() { e.held.end() }

// digest is a digest.
type digest struct{ mechanism.Digest }

func (e digest) room(at stage, _ int) int {
	if at == update {
		return 0
	}
	return e.Size()
}

func (e digest) once(in input) ([]byte, error) {
	if err := e.Update(in.data); err != nil {
		return nil, err
	}
	return e.Final()
}

func (e digest) update(part []byte) ([]byte, error) { return nil, e.Update(part) }

func (e digest) final(input) ([]byte, error) { return e.Final() }

func (e digest) end() {}

// signer makes signatures and MACs.
type signer struct{ mechanism.Signer }

func (e signer) room(at stage, _ int) int {
	if at == update {
		return 0
	}
	return e.Size()
}

func (e signer) once(in input) ([]byte, error) { return e.Once(in.data) }

func (e signer) update(part []byte) ([]byte, error) { return nil, e.Update(part) }

func (e signer) final(input) ([]byte, error) { return e.Final() }

func (e signer) end() {}

// verifier verifies signatures and MACs.
type verifier struct{ mechanism.Verifier }

func (e verifier) room(stage, int) int { return 0 }

func (e verifier) once(in input) ([]byte, error) { return nil, e.Once(in.data, in.signature) }

func (e verifier) update(part []byte) ([]byte, error) { return nil, e.Update(part) }

func (e verifier) final(in input) ([]byte, error) { return nil, e.Final(in.signature) }

func (e verifier) end() {}

// known is a verification of a signature that was given at its beginning, and pays for it.
type known struct {
	engine
	signature []byte
	held      held
}

// known is e with the signature. CKR_DEVICE_MEMORY if the application keeps too much already.
func (l *library) known(e engine, signature []byte) (engine, error) {
	k := &known{e, nil, held{memory: l.memory}}
	if err := k.held.keep(len(signature)); err != nil {
		e.end()
		return nil, err
	}
	k.signature = bytes.Clone(signature)
	return k, nil
}

func (e *known) once(in input) ([]byte, error) {
	return e.engine.once(input{data: in.data, signature: e.signature})
}

func (e *known) final(input) ([]byte, error) { return e.engine.final(input{signature: e.signature}) }

func (e *known) end() {
	e.held.end()
	e.engine.end()
}

// hssSigner makes HSS signatures. once and final are the one place of the module where a leaf is spent, and they come
// when there is room for the signature.
type hssSigner struct {
	key *token.Signer
	ctx context.Context
	gathering
}

func (e *hssSigner) room(at stage, _ int) int {
	if at == update {
		return 0
	}
	return e.key.Size
}

func (e *hssSigner) once(in input) ([]byte, error) { return e.sign(in.data) }

func (e *hssSigner) final(input) ([]byte, error) { return e.sign(e.message) }

func (e *hssSigner) sign(message []byte) ([]byte, error) {
	signature, err := e.key.Sign(e.ctx, message)
	if err != nil {
		return nil, err
	}
	if len(signature) != e.key.Size {
		return nil, fmt.Errorf("a signature of %d bytes, %d were announced", len(signature), e.key.Size)
	}
	return signature, nil
}

// hssVerifier verifies HSS signatures.
type hssVerifier struct {
	key *token.Verifier
	gathering
}

func (e *hssVerifier) room(stage, int) int { return 0 }

func (e *hssVerifier) once(in input) ([]byte, error) { return nil, e.key.Verify(in.data, in.signature) }

func (e *hssVerifier) final(in input) ([]byte, error) {
	return nil, e.key.Verify(e.message, in.signature)
}

// gathering is the message of an operation that gets it in parts. LM-OTS hashes the leaf's number before the message,
// and the leaf is taken at the end, so the parts have to be kept (RFC 8554 section 4.5).
type gathering struct {
	held    held
	most    int64 // bytes
	message []byte
}

// update takes one part in. CKR_DATA_LEN_RANGE if the message gets longer than most, CKR_DEVICE_MEMORY if the application
// keeps too much already.
func (g *gathering) update(part []byte) ([]byte, error) {
	if int64(len(part)) > g.most-int64(len(g.message)) {
		return nil, ck.CKR_DATA_LEN_RANGE
	}
	if err := g.held.claim(len(part)); err != nil {
		return nil, err
	}
	g.message = append(g.message, part...)
	return nil, nil
}

func (g *gathering) end() {
	g.held.end()
	g.message = nil
}
