package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/onceleaf/onceleaf/backup"
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
)

// Token is one initialised token. Its methods may be called from many goroutines. Locks are taken in the order of the
// fields; none but pins is held while a PIN is tried, and none of them while a key is generated or used.
type Token struct {
	serial string
	kdf    KDF
	log    *slog.Logger
	store  *keystore.Bolt
	shelf  keystore.Shelf
	keys   *keystore.Keystore

	pins  sync.Mutex // login, logout and PINs: one try at a time
	edits sync.Mutex // one change of stored attributes at a time

	giving sync.Mutex // one answer to a transfer request at a time

	mu       sync.RWMutex // guards what follows
	label    string
	user     *ck.UserType       // who is logged in; nil for nobody
	master   keystore.MasterKey // nil unless somebody is
	sessions map[uint64]bool
	loose    map[ObjectID]*object // the objects that are not in keys
	next     uint64               // number of the next session object

	halvesMu sync.Mutex // guards halves
	halves   map[ObjectID]half
}

// tokenRecord is the shelf's value "token". A store without it is not finished.
type tokenRecord struct {
	Version int    `json:"version"` // 1
	Label   string `json:"label"`
}

const tokenName = "token"

// errIncomplete is a store to which InitToken did not get to write the token's first values.
var errIncomplete = errors.New("the token was not finished")

func (r tokenRecord) encode() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("couldn't write the token record: %w", err)
	}
	return text, nil
}

// createToken makes the store and the first values of a token: its label and its SO PIN.
func createToken(c Config, serial string, soPIN []byte, label string, log *slog.Logger) (*Token, error) {
	master := keystore.NewMasterKey()
	defer keystore.Wipe(master)
	first, err := firstValues(master, soPIN, c.KDF, serial, label)
	if err != nil {
		return nil, err
	}
	store, err := keystore.CreateBolt(storePath(c.Directory, serial), serial)
	if err != nil {
		return nil, err
	}
	if err := store.Write(first); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return newToken(c, serial, store, log)
}

func firstValues(master keystore.MasterKey, soPIN []byte, kdf KDF, serial, label string) (map[string][]byte, error) {
	record, err := tokenRecord{Version: 1, Label: label}.encode()
	if err != nil {
		return nil, err
	}
	pin, err := wrapMaster(master, soPIN, kdf, pinContext(serial, ck.CKU_SO))
	if err != nil {
		return nil, err
	}
	return map[string][]byte{tokenName: record, pinName(ck.CKU_SO): pin, pinName(ck.CKU_USER): nil}, nil
}

func openToken(c Config, serial string, log *slog.Logger) (*Token, error) {
	store, err := keystore.OpenBolt(storePath(c.Directory, serial), serial)
	if err != nil {
		return nil, err
	}
	return newToken(c, serial, store, log)
}

// newToken closes the store if it fails.
func newToken(c Config, serial string, store *keystore.Bolt, log *slog.Logger) (*Token, error) {
	t := &Token{
		serial: serial, kdf: c.KDF, log: log, store: store, shelf: store,
		sessions: map[uint64]bool{}, loose: map[ObjectID]*object{}, halves: map[ObjectID]half{},
	}
	if err := t.load(); err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return t, nil
}

func (t *Token) load() (err error) {
	if t.label, err = t.readLabel(); err != nil {
		return err
	}
	if t.keys, err = keystore.New(t.store, keystore.NoGuard{}, t.log); err != nil {
		return fmt.Errorf("couldn't open the keys: %w", err)
	}
	return t.loadShelf()
}

func (t *Token) readLabel() (string, error) {
	text, err := t.shelf.Read(tokenName)
	if err != nil {
		return "", fmt.Errorf("couldn't read the token record: %w", err)
	}
	if text == nil {
		return "", errIncomplete
	}
	var r tokenRecord
	if err := json.Unmarshal(text, &r); err != nil {
		return "", fmt.Errorf("%w: token record: %w", keystore.ErrDamaged, err)
	}
	if r.Version != 1 {
		return "", fmt.Errorf("%w: token record of version %d", keystore.ErrVersion, r.Version)
	}
	return r.Label, nil
}

func (t *Token) info() (Info, error) {
	flags := ck.CKF_RNG | ck.CKF_LOGIN_REQUIRED | ck.CKF_TOKEN_INITIALIZED
	for _, user := range []ck.UserType{ck.CKU_SO, ck.CKU_USER} {
		more, err := t.pinFlags(user)
		if err != nil {
			return Info{}, fmt.Errorf("couldn't read the state of the PINs: %w", err)
		}
		flags |= more
	}
	t.mu.RLock()
	defer t.mu.RUnlock()
	return Info{Label: t.label, Serial: t.serial, Flags: flags}, nil
}

// self is the token as a partner in a transfer.
func (t *Token) self() backup.Party {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return backup.Party{Serial: t.serial, Label: t.label}
}

// reinitialise is InitToken on a token that is there. Its steps can be cut off anywhere: until the last, which is one
// durable write, the old PINs hold and the call can be repeated; keys that were destroyed by then stay so.
func (t *Token) reinitialise(soPIN []byte, label string) error {
	t.pins.Lock()
	defer t.pins.Unlock()
	old, err := t.tryPIN(ck.CKU_SO, soPIN)
	if err != nil {
		return err
	}
	keystore.Wipe(old)
	t.logout()
	t.edits.Lock()
	defer t.edits.Unlock()
	for _, key := range t.keys.Keys() {
		if err := t.destroyPair(key); err != nil {
			return fmt.Errorf("couldn't destroy key %s: %w", key.Identity, err)
		}
	}
	return t.startOver(soPIN, label)
}

// destroyPair destroys a private key and its public one.
func (t *Token) destroyPair(info keystore.Info) error {
	if info.Status != keystore.Destroyed {
		if err := t.keys.Destroy(info.Identity); err != nil {
			return err
		}
	}
	return t.keys.SetAttributes(info.Identity, nil, nil)
}

// startOver empties the shelf but for the first values of a new token.
func (t *Token) startOver(soPIN []byte, label string) error {
	master := keystore.NewMasterKey()
	defer keystore.Wipe(master)
	changes, err := firstValues(master, soPIN, t.kdf, t.serial, label)
	if err != nil {
		return err
	}
	names, err := t.shelf.Names(objectPrefix)
	if err != nil {
		return fmt.Errorf("couldn't list the objects: %w", err)
	}
	for _, name := range names {
		changes[name] = nil
	}
	if err := t.shelf.Write(changes); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.label, t.loose = label, map[ObjectID]*object{}
	t.log.Info("the token was initialised again; its keys are destroyed, their ledgers are kept", "token", t.serial)
	return nil
}

// Close logs out and closes the store.
func (t *Token) Close() error {
	t.mu.RLock()
	sessions := make([]uint64, 0, len(t.sessions))
	for id := range t.sessions {
		sessions = append(sessions, id)
	}
	t.mu.RUnlock()
	for _, id := range sessions {
		t.EndSession(id)
	}
	t.pins.Lock()
	defer t.pins.Unlock()
	t.logout()
	return t.store.Close()
}
