package keystore

// Snapshot is one version of a record as a Store gave it out. Only a Store
// makes snapshots, so that nobody can replace a record that they have not seen.
type Snapshot interface {
	Identity() Identity
	// Record is the record's bytes; the caller must not change them.
	Record() []byte
}

// Store keeps one record per key identity.
//
// Duties of an implementation: what Fetch returns after opening is durable.
// Replace and Create are atomic, and must not return nil until the record is
// durable. Replace refuses with ErrStale unless the stored record is still the
// one in old. Any other error of Replace or Create leaves the outcome unknown:
// the caller burns what the change would have reserved, and fetches anew and
// stores once more what it found before it acts on it. A store that is missing
// where one is expected is an error at opening, never a fresh start. Package
// storetest holds an implementation to all of this.
type Store interface {
	// Durable reports whether the records outlive the process and the machine's
	// power. New refuses a store that says no.
	Durable() bool
	// Fetch is the present version of a record, or ErrNoKey.
	Fetch(id Identity) (Snapshot, error)
	Replace(old Snapshot, record []byte) (Snapshot, error)
	// Create stores the first record of an identity, or answers ErrStale.
	Create(id Identity, record []byte) (Snapshot, error)
	// List is every identity that has a record, tombstones too.
	List() ([]Identity, error)
}

// NodeStore keeps nodes of root trees beside the records, so that a key opens
// without computing its tree again. They are public, and the public key vouches
// for them. What is lost of them costs time and nothing else.
type NodeStore interface {
	// Nodes is what was kept for a key, nil if nothing was.
	Nodes(id Identity) ([]byte, error)
	// KeepNodes keeps nodes; nil drops them.
	KeepNodes(id Identity, nodes []byte) error
}

// Shelf keeps the token's own small named values beside the records.
type Shelf interface {
	// Read is the value of a name, nil if there is none.
	Read(name string) ([]byte, error)
	// Names are the names that begin with prefix, sorted.
	Names(prefix string) ([]string, error)
	// Write stores all the changes or none, durably; a nil value deletes.
	Write(changes map[string][]byte) error
}

// version is the Snapshot of the stores in this package.
type version struct {
	id     Identity
	record []byte
}

func (v version) Identity() Identity { return v.id }
func (v version) Record() []byte     { return v.record }
