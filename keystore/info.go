package keystore

import (
	"bytes"
	"slices"

	"github.com/onceleaf/onceleaf/lms"
)

// Info is what may be known about a key: nothing secret.
type Info struct {
	Identity      Identity
	PublicKey     lms.HSSPublicKey
	Levels        []lms.ParameterSet // root first
	Status        Status
	Generation    uint64
	Guard         string // its name
	RootRemaining uint64 // free root leaves
	Remaining     uint64 // message signatures left, at most 2^64-1
	Capacity      uint64 // those that the key began with here, without what it gave away
	Reserve       uint64 // message leaves per durable write; 0: the lower trees live in memory
	Transferable  bool
	Private       []byte // the token's attributes of the private key object
	Public        []byte // and of the public one; nil when there is none
	Free          Spans
	Given         []Transfer
	Received      []Transfer
	Receipt       []byte // of the last import; nil if there was none
}

// Transfer is a span of root leaves that went to another token or came from it.
type Transfer struct {
	ID           string `json:"id"`
	Peer         string `json:"peer"` // serial number of the other token
	Leaves       Spans  `json:"leaves"`
	Acknowledged bool   `json:"acknowledged"`
}

// Keys is every key that has an object: those that are not destroyed, and
// destroyed ones whose public key object is still there. It works while locked
// and does not wait for a signature under way.
func (ks *Keystore) Keys() []Info {
	ks.mu.RLock()
	keys := ks.snapshotKeys()
	ks.mu.RUnlock()
	var infos []Info
	for _, k := range keys {
		if info := k.info(); info.Status != Destroyed || info.Public != nil {
			infos = append(infos, info)
		}
	}
	return infos
}

// Info is one key; tombstones too, whose Status is Destroyed.
func (ks *Keystore) Info(id Identity) (Info, error) {
	k, err := ks.key(id)
	if err != nil {
		return Info{}, err
	}
	return k.info(), nil
}

// Supply is what a key has left.
type Supply struct {
	Status    Status
	Remaining uint64 // message signatures left, at most 2^64-1
	Capacity  uint64 // as in Info
}

// Supply is the part of Info that changes with each signature. It costs next to nothing.
func (ks *Keystore) Supply(id Identity) (Supply, error) {
	k, err := ks.key(id)
	if err != nil {
		return Supply{}, err
	}
	shown := k.look()
	return Supply{shown.state.Status, shown.remaining(), shown.state.Capacity()}, nil
}

// SignatureSize is the length in bytes of every signature of a key.
func (ks *Keystore) SignatureSize(id Identity) (int, error) {
	k, err := ks.key(id)
	if err != nil {
		return 0, err
	}
	return lms.HSSSignatureSize(k.shown.Load().state.Levels), nil
}

// Damaged are the records that New could not read. They are kept.
func (ks *Keystore) Damaged() []error { return ks.damaged }

func (k *key) info() Info {
	shown := k.look()
	s := *shown.state
	pub, _ := s.publicKey() // valid: it was decoded with the record
	info := Info{           // copies: what the caller does to them must not reach the state
		Identity: k.id, PublicKey: pub, Levels: slices.Clone(s.Levels), Status: s.Status, Generation: s.Generation,
		Guard: k.ks.guard.Name(), RootRemaining: s.Free.Count(), Remaining: shown.remaining(),
		Capacity: s.Capacity(), Reserve: s.batchSize(), Transferable: s.Transferable, Private: bytes.Clone(s.Private), Public: bytes.Clone(s.Public), Free: slices.Clone(s.Free),
	}
	for _, g := range s.Given {
		info.Given = append(info.Given, Transfer{g.Transfer, g.Peer, slices.Clone(g.Leaves), g.Capsule == nil})
	}
	for _, a := range s.Received {
		info.Received = append(info.Received, Transfer{a.Transfer, a.Peer, slices.Clone(a.Leaves), true})
		info.Receipt = bytes.Clone(a.Receipt)
	}
	return info
}
