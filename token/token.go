package token

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/onceleaf/onceleaf/backup"
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
)

// Token is one initialised token: what its seats share. Its methods may be called from many goroutines. The package
// comment has the order of the locks.
type Token struct {
	serial string
	kdf    KDF
	linger time.Duration
	log    *slog.Logger
	store  *keystore.Bolt
	shelf  keystore.Shelf
	keys   *keystore.Keystore

	mostObjects int   // token objects that are not in keys; 0: no bound
	mostBytes   int64 // that they take

	closing atomic.Bool // no PIN is tried any more

	pins sync.Mutex  // login, logout and PINs: one try at a time; guards what follows
	rest *time.Timer // locks the keystore; nil unless it lingers

	opening sync.RWMutex // held for writing while no session may begin
	edits   sync.Mutex   // one change of the token objects that are not in keys at a time
	giving  sync.Mutex   // one answer to a transfer request at a time

	mu       sync.RWMutex // guards what follows
	label    string
	loose    *catalogue // the token objects that are not in keys
	stock    stock      // what loose takes
	seats    map[*Seat]bool
	users    int  // seats where the user is logged in. Written under pins too
	unlocked bool // whether keys is open. Written under pins too

	halves    halves
	unwrapped unwrapped

	pairsMu sync.Mutex                        // guards pairs
	pairs   map[keystore.Identity]*sync.Mutex // one change of a key pair's attributes at a time
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
		serial: serial, kdf: c.KDF, linger: c.Linger, log: log, store: store, shelf: store,
		mostObjects: c.Limits.TokenObjects, mostBytes: maxStock,
		loose: newCatalogue(), seats: map[*Seat]bool{}, halves: halves{objects: newCatalogue(), sources: map[ObjectID][]byte{}}, pairs: map[keystore.Identity]*sync.Mutex{},
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
// CKR_SESSION_EXISTS while any seat has a session: the PIN is not tried then.
func (t *Token) reinitialise(soPIN []byte, label string) error {
	t.pins.Lock()
	defer t.pins.Unlock()
	t.opening.Lock()
	defer t.opening.Unlock()
	if t.closing.Load() {
		return refuse(ck.CKR_FUNCTION_CANCELED, "the token was closed meanwhile")
	}
	for _, seat := range t.everySeat() {
		if n := seat.countSessions(); n > 0 {
			return refuse(ck.CKR_SESSION_EXISTS, "an application has %d sessions at the token", n)
		}
	}
	old, err := t.tryPIN(ck.CKU_SO, soPIN)
	if err != nil {
		return err
	}
	keystore.Wipe(old)
	for _, seat := range t.everySeat() {
		seat.discard(seat.logout()...) // whoever logged in without a session, and so without objects: the master key changes
	}
	t.lockKeys()
	for _, key := range t.keys.Keys() {
		if err := t.destroyPair(key); err != nil {
			return fmt.Errorf("couldn't destroy key %s: %w", key.Identity, err)
		}
	}
	t.edits.Lock()
	defer t.edits.Unlock()
	return t.startOver(soPIN, label)
}

// destroyPair destroys a private key and its public one.
func (t *Token) destroyPair(info keystore.Info) error {
	edits := t.pairEdits(info.Identity)
	edits.Lock()
	defer edits.Unlock()
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
	gone := *t.loose
	t.loose.clear()
	t.label, t.stock.bytes = label, 0
	t.mu.Unlock()
	gone.closeSafes()
	t.log.Info("the token was initialised again; its keys are destroyed, their ledgers are kept", "token", t.serial)
	return nil
}

// Close closes every seat and the store.
func (t *Token) Close() error {
	t.closing.Store(true)
	t.pins.Lock()
	defer t.pins.Unlock()
	for _, seat := range t.everySeat() {
		seat.discard(seat.close()...) // nobody is kept waiting: no login comes any more
	}
	t.lockKeys()
	t.mu.RLock()
	t.loose.closeSafes()
	t.mu.RUnlock()
	return t.store.Close()
}
