package keystore

import (
	"strings"

	"go.etcd.io/bbolt"
)

// Changes grows when a key appears, and when Attributes of one would answer differently.
func (ks *Keystore) Changes() uint64 { return ks.changes.Load() }

// Identities is every key, in order; tombstones too.
func (ks *Keystore) Identities() []Identity {
	ks.mu.RLock()
	defer ks.mu.RUnlock()
	keys := ks.snapshotKeys()
	ids := make([]Identity, len(keys))
	for i, k := range keys {
		ids[i] = k.id
	}
	return ids
}

// Attributes are the token's attributes of a key pair, as Info has them, and the key's status. They are not copied, and
// nobody may change them.
func (ks *Keystore) Attributes(id Identity) (private, public []byte, status Status, err error) {
	k, err := ks.key(id)
	if err != nil {
		return nil, nil, "", err
	}
	s := k.look().state
	return s.Private, s.Public, s.Status, nil
}

// sameObjects reports whether Attributes answers the same in both states.
func (s *State) sameObjects(other *State) bool {
	if s == other {
		return true
	}
	return s.Status == other.Status && sameSlice(s.Private, other.Private) && sameSlice(s.Public, other.Public)
}

// sameSlice is cheap, and may be wrong about slices with equal contents.
func sameSlice(a, b []byte) bool {
	return len(a) == len(b) && (a == nil) == (b == nil) && (len(a) == 0 || &a[0] == &b[0])
}

// Each calls see for every value whose name begins with prefix, in order. A value is there until see returns.
func (b *Bolt) Each(prefix string, see func(name string, value []byte) error) error {
	return b.view(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(bucketShelf).Cursor()
		name, value := cursor.Seek([]byte(prefix))
		for ; strings.HasPrefix(string(name), prefix); name, value = cursor.Next() {
			if name == nil {
				return nil
			}
			if err := see(string(name), value); err != nil {
				return err
			}
		}
		return nil
	})
}
