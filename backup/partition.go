package backup

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"

	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/lms"
)

// receiptKeySize is the length of the key, made by the source and sealed in the
// capsule, with which the destination proves that it opened it.
const receiptKeySize = 32

// Partition gives count root leaves of a key (0: half of those left) to the
// destination of the request, and returns the capsule file. The same request
// again gives the same bytes, until the receipt is acknowledged. An error from
// keystore: ErrNotTransferable, ErrExhausted (fewer than two leaves left),
// ErrAcknowledged, ErrLocked, ErrStore (the outcome is unknown: ask again with
// the same request); or ErrNotForUs if the request is this token's own, or was
// answered with leaves of another key: its transfer key opens one capsule.
func Partition(ctx context.Context, ks *keystore.Keystore, id keystore.Identity, req *Request, source Party, count uint64) ([]byte, error) {
	header, err := newHeader(ks, id, req, source)
	if err != nil {
		return nil, err
	}
	return ks.Give(ctx, id, keystore.Giving{
		Transfer: req.ID(), Peer: req.Destination().Serial, Count: count,
		Seal: func(seed []byte, leaves keystore.Spans) (capsule, receipt []byte, err error) {
			header.Leaves = leaves
			return sealCapsule(req, header, seed)
		},
	})
}

// newHeader is the header of a capsule, but for the leaves.
func newHeader(ks *keystore.Keystore, id keystore.Identity, req *Request, source Party) (capsuleHeader, error) {
	info, err := ks.Info(id)
	if err != nil {
		return capsuleHeader{}, err
	}
	if err := source.Check(); err != nil {
		return capsuleHeader{}, err
	}
	if req.Destination().Serial == source.Serial {
		return capsuleHeader{}, fmt.Errorf("%w: the request comes from the token that holds the key", ErrNotForUs)
	}
	if answeredByOther(ks, id, req) {
		return capsuleHeader{}, fmt.Errorf("%w: the request was answered with leaves of another key", ErrNotForUs)
	}
	return capsuleHeader{
		Format: capsuleFormat, Transfer: req.ID(), Request: digest(req.text), Scheme: req.Scheme(),
		Source: source, Destination: req.Destination(), PublicKey: info.PublicKey.Bytes(), Levels: info.Levels,
	}, nil
}

func answeredByOther(ks *keystore.Keystore, id keystore.Identity, req *Request) bool {
	for _, info := range ks.Keys() {
		answered := func(t keystore.Transfer) bool { return t.ID == req.ID() }
		if info.Identity != id && slices.ContainsFunc(info.Given, answered) {
			return true
		}
	}
	return false
}

// sealCapsule writes the capsule file, and the receipt that only who opens it
// can write too.
func sealCapsule(req *Request, h capsuleHeader, seed []byte) (capsule, receipt []byte, err error) {
	secret := make([]byte, receiptKeySize, receiptKeySize+len(seed))
	rand.Read(secret)
	receiptKey := secret[:receiptKeySize]
	secret = append(secret, seed...)
	defer clear(secret)
	seal, err := h.Scheme.sealer(req.fields.PublicKey)
	if err != nil {
		return nil, nil, err
	}
	about, err := h.context()
	if err != nil {
		return nil, nil, err
	}
	sealed, err := seal(secret, about)
	if err != nil {
		return nil, nil, fmt.Errorf("couldn't seal to the request's key: %w", err)
	}
	if capsule, err = format(capsuleFields{h, sealed}); err != nil {
		return nil, nil, err
	}
	if _, err := ParseCapsule(capsule); err != nil { // what the destination cannot read must not take leaves along
		return nil, nil, err
	}
	receipt, err = newReceipt(h, capsule, receiptKey)
	return capsule, receipt, err
}

// CapsuleSize is the length in bytes of the capsule that Partition would give.
// It changes nothing. The errors are those of Partition.
func CapsuleSize(ks *keystore.Keystore, id keystore.Identity, req *Request, source Party, count uint64) (int, error) {
	leaves, size, err := ks.Giveable(id, req.ID(), count)
	if err != nil || size > 0 {
		return size, err
	}
	header, err := newHeader(ks, id, req, source)
	if err != nil {
		return 0, err
	}
	header.Leaves = leaves
	secret := receiptKeySize + header.Levels[0].N()
	text, err := format(capsuleFields{header, make([]byte, header.Scheme.sealedSize(secret))})
	return len(text), err
}

// Attributes are what the destination decides about a key that is new to it: the token's attributes of its two objects,
// and keystore.Share.Reserve.
type Attributes struct {
	Reserve         uint64 // message leaves per durable write
	Private, Public func(lms.HSSPublicKey, []lms.ParameterSet) []byte
}

// Import opens a capsule with the transfer key of its request and takes the
// leaves in. The receipt is then in keystore.Info.Receipt. ErrFormat,
// ErrNotForUs, ErrAuthentic; keystore.ErrSeen if the capsule or any of its
// leaves was here before, and what else keystore.Receive answers. A key that
// comes in is transferable, as it was where it came from.
func Import(ctx context.Context, ks *keystore.Keystore, tk *TransferKey, capsule []byte, self Party, a Attributes) (keystore.Identity, error) {
	c, err := ParseCapsule(capsule)
	if err != nil {
		return keystore.Identity{}, err
	}
	h := c.fields.capsuleHeader
	asked := tk.request
	if h.Transfer != asked.ID() || h.Request != digest(asked.text) || h.Scheme != asked.Scheme() || h.Destination.Serial != self.Serial {
		return keystore.Identity{}, fmt.Errorf("%w: transfer %s is for token %s", ErrNotForUs, h.Transfer, h.Destination.Serial)
	}
	secret, err := c.open(tk)
	if err != nil {
		return keystore.Identity{}, err
	}
	defer clear(secret)
	receipt, err := newReceipt(h, capsule, secret[:receiptKeySize])
	if err != nil {
		return keystore.Identity{}, err
	}
	return ks.Receive(ctx, keystore.Share{
		Transfer: h.Transfer, Peer: h.Source.Serial, PublicKey: c.public, Levels: h.Levels,
		Leaves: h.Leaves, Seed: secret[receiptKeySize:], Transferable: true, Reserve: a.Reserve, Receipt: receipt,
		Private: a.render(a.Private, h.Levels), Public: a.render(a.Public, h.Levels),
	})
}

func (Attributes) render(f func(lms.HSSPublicKey, []lms.ParameterSet) []byte, levels []lms.ParameterSet) func(lms.HSSPublicKey) []byte {
	if f == nil {
		return nil
	}
	return func(pub lms.HSSPublicKey) []byte { return f(pub, levels) }
}

// open is the receipt key and the SEED.
func (c *Capsule) open(tk *TransferKey) ([]byte, error) {
	about, err := c.fields.context()
	if err != nil {
		return nil, err
	}
	secret, err := c.fields.Scheme.open(tk.private, c.fields.Sealed, about)
	if err != nil {
		return nil, fmt.Errorf("couldn't open the capsule: %w", err)
	}
	if len(secret) != receiptKeySize+c.fields.Levels[0].N() {
		clear(secret)
		return nil, fmt.Errorf("couldn't open the capsule: %w", ErrAuthentic)
	}
	return secret, nil
}

// Acknowledge takes a receipt at the source: the capsule is dropped from the
// outbox. ErrFormat, keystore.ErrUnknownTransfer, or keystore.ErrReceipt if the
// receipt is not the one that opening the capsule gives.
func Acknowledge(ks *keystore.Keystore, id keystore.Identity, receipt []byte) error {
	r, err := ParseReceipt(receipt)
	if err != nil {
		return err
	}
	return ks.Acknowledge(id, r.ID(), receipt)
}
