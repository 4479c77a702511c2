package keystore

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"sync"

	"github.com/onceleaf/onceleaf/lms"
)

// maxN is the longest hash value of RFC 8554, in bytes.
const maxN = 32

// tree is a tree with its secret. Its signatures are checked under the public
// key that the world has, not under what the tree says of itself.
type tree struct {
	*lms.Tree
	public lms.PublicKey
	seed   []byte         // SEED, in locked memory; the lms.Tree uses this very slice
	users  sync.WaitGroup // who own a leaf and have not let go
}

// hold keeps the tree from being wiped until letGo. The caller has the lock of the
// key, as has whoever wipes a tree: so nobody begins to hold one that is wiped.
func (t *tree) hold() { t.users.Add(1) }

func (t *tree) letGo() { t.users.Done() }

// newTree makes a tree from fresh random I and SEED.
func newTree(ctx context.Context, set lms.ParameterSet) (*tree, error) {
	id, seed := freshTree(set)
	built, err := lms.NewTree(ctx, set, id, seed)
	if err != nil {
		Wipe(seed)
		return nil, err
	}
	return &tree{Tree: built, public: built.PublicKey(), seed: seed}, nil
}

// freshTree is random I and SEED.
func freshTree(set lms.ParameterSet) (id lms.ID, seed []byte) {
	rand.Read(id[:])
	seed = NewSecret(set.N())
	rand.Read(seed)
	return id, seed
}

// rebuild makes a tree again and compares its root with the known one. It takes
// the seed, and wipes it on an error.
func rebuild(ctx context.Context, public lms.PublicKey, seed []byte) (*tree, error) {
	built, err := lms.NewTree(ctx, public.Set, public.I, seed)
	if err == nil && !bytes.Equal(built.PublicKey().Root, public.Root) {
		err = fmt.Errorf("%w: the seed belongs to another tree", ErrDamaged)
	}
	if err != nil {
		Wipe(seed)
		return nil, err
	}
	return &tree{Tree: built, public: public, seed: seed}, nil
}

// wipe ends the use of a tree, after the signatures of those who own a leaf of it.
func (t *tree) wipe() {
	t.users.Wait()
	t.Wipe()
	Wipe(t.seed)
}

// sign appends the LMS signature of message to head. It signs with a leaf that the
// caller owns and never uses again, under a fresh C, and checks the result as a
// receiver would: a fault in the computation must not leave the module.
func (t *tree) sign(head []byte, leaf uint32, message []byte) ([]byte, error) {
	var randomizer [maxN]byte
	c := randomizer[:t.public.Set.N()]
	rand.Read(c)
	signature, err := t.SignLeaf(head, leaf, c, message)
	if err != nil {
		return nil, fmt.Errorf("couldn't sign with leaf %d, it is burned: %w", leaf, err)
	}
	if err := t.public.Verify(message, signature[len(head):]); err != nil {
		return nil, fmt.Errorf("the signature of leaf %d does not verify, it is burned: %w", leaf, err)
	}
	return signature, nil
}
