package token

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/onceleaf/onceleaf/backup"
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/internal/durable"
	"github.com/onceleaf/onceleaf/keystore"
)

// Device is one token directory, owned by this process from OpenDevice to Close. The slots keep their ids; the last
// one always holds a token that is not initialised yet.
//
//	onceleaf.lock        flock of the owner, whose process it names
//	slots.json           the tokens that there ought to be
//	tokens/<serial>.db   one store per token
type Device struct {
	config Config
	log    *slog.Logger
	lock   *ownerLock

	initialising sync.Mutex // one InitToken at a time

	mu    sync.RWMutex // guards what follows
	list  slotList     // as it is on disk
	slots map[ck.SlotID]slot
}

// slot is a token, or the reason why the token that ought to be there cannot be used.
type slot struct {
	token *Token
	fault error
}

// OpenDevice takes ownership of the directory, makes it if it is not there, and opens its tokens. A token whose store
// cannot be opened keeps its slot, and each use of it answers CKR_DEVICE_ERROR. The error wraps keystore.ErrOwned and
// names the other process if there is another owner.
func OpenDevice(config Config, log *slog.Logger) (*Device, error) {
	if err := durable.MkdirAll(storeFolder(config.Directory), 0o700); err != nil {
		return nil, err
	}
	lock, err := takeOwnership(config.Directory, time.Duration(config.OwnerWait))
	if err != nil {
		return nil, err
	}
	d := &Device{config: config, log: log, lock: lock, slots: map[ck.SlotID]slot{}}
	d.warnIfReadable()
	if err := d.openSlots(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// warnIfReadable tells about a directory that others may enter. It is not refused: a group may be meant to.
func (d *Device) warnIfReadable() {
	if info, err := os.Stat(d.config.Directory); err == nil && info.Mode().Perm()&0o077 != 0 {
		d.log.Warn("the token directory is open to other users", "directory", d.config.Directory, "mode", info.Mode().Perm().String())
	}
}

// openSlots opens what slots.json lists, and finishes or drops what a crash cut off while it was made.
func (d *Device) openSlots() error {
	list, err := readSlotList(d.config.Directory)
	if err != nil {
		return err
	}
	// Who wrote the list may have died before its name was durable.
	if err := durable.SyncFolder(d.config.Directory); err != nil {
		return err
	}
	d.list = list
	for _, e := range list.Slots {
		keep, err := d.openSlot(e)
		if err != nil {
			return err
		}
		if !keep {
			d.list = d.list.without(e.ID)
		}
	}
	if len(d.list.Slots) != len(list.Slots) {
		if err := d.list.write(d.config.Directory); err != nil {
			return err
		}
	}
	return d.reportUnlisted()
}

// openSlot opens the token of an entry. It says whether the entry stays.
func (d *Device) openSlot(e slotEntry) (keep bool, err error) {
	t, err := openToken(d.config, e.Serial, d.log)
	if e.State == stateCreating && (errors.Is(err, keystore.ErrMissing) || errors.Is(err, errIncomplete)) {
		d.log.Warn("a token was not finished when the program ended; it never held a key, and its slot is free again",
			"slot", e.ID, "token", e.Serial)
		return false, nil
	}
	if err != nil {
		d.log.Error("a token cannot be used", "slot", e.ID, "token", e.Serial, "error", err, "safe", whatIsSafe(err))
		d.slots[e.ID] = slot{fault: err}
		return true, nil
	}
	d.slots[e.ID] = slot{token: t}
	if e.State == stateCreating {
		return true, d.enlist(slotEntry{e.ID, e.Serial, stateReady})
	}
	return true, nil
}

// whatIsSafe is advice for the operator.
func whatIsSafe(err error) string {
	switch {
	case errors.Is(err, keystore.ErrMissing):
		return "nothing was made in its place; put the same file back, never an older copy: it would sign again with used leaves"
	case errors.Is(err, keystore.ErrOwned):
		return "end the other process; the token is not changed"
	case errors.Is(err, keystore.ErrVersion):
		return "the store is not changed; use the version of this program that wrote it"
	case errors.Is(err, keystore.ErrDamaged), errors.Is(err, errIncomplete):
		return "the store is not changed; keep it for the investigation, and do not put an older copy in its place"
	default:
		return "the store is not changed; repair the cause and start again"
	}
}

// enlist changes slots.json durably.
func (d *Device) enlist(e slotEntry) error {
	next := d.list.with(e)
	if err := next.write(d.config.Directory); err != nil {
		return err
	}
	d.list = next
	return nil
}

// reportUnlisted logs stores that no slot belongs to. They are left alone.
func (d *Device) reportUnlisted() error {
	names, err := storeFiles(d.config.Directory)
	if err != nil {
		return err
	}
	listed := map[string]bool{}
	for _, e := range d.list.Slots {
		listed[e.Serial+".db"] = true
	}
	for _, name := range names {
		if !listed[name] {
			d.log.Warn("a store belongs to no slot; it is left alone", "file", name)
		}
	}
	return nil
}

// Slots are the ids of all slots; the last holds the uninitialised token.
func (d *Device) Slots() []ck.SlotID {
	d.mu.RLock()
	defer d.mu.RUnlock()
	ids := make([]ck.SlotID, 0, len(d.list.Slots)+1)
	for _, e := range d.list.Slots {
		ids = append(ids, e.ID)
	}
	return append(ids, d.list.next())
}

// Has is nil if there is a slot with this id, else CKR_SLOT_ID_INVALID.
func (d *Device) Has(id ck.SlotID) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if _, taken := d.slots[id]; !taken && id != d.list.next() {
		return refuse(ck.CKR_SLOT_ID_INVALID, "no slot %d", id)
	}
	return nil
}

// Token is the initialised token in a slot. CKR_SLOT_ID_INVALID, CKR_TOKEN_NOT_RECOGNIZED if the token is not
// initialised, CKR_DEVICE_ERROR with the reason if its store cannot be used.
func (d *Device) Token(id ck.SlotID) (*Token, error) {
	if err := d.Has(id); err != nil {
		return nil, err
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	s, taken := d.slots[id]
	switch {
	case !taken:
		return nil, refuse(ck.CKR_TOKEN_NOT_RECOGNIZED, "the token in slot %d is not initialised", id)
	case s.fault != nil:
		return nil, refuse(ck.CKR_DEVICE_ERROR, "the token in slot %d cannot be used: %w; %s", id, s.fault, whatIsSafe(s.fault))
	}
	return s.token, nil
}

// Info is what may be known of a token without login.
type Info struct {
	Label, Serial string
	Flags         uint64 // ck.CKF_* of a token
}

// Info describes the token in a slot, also one that is not initialised.
func (d *Device) Info(id ck.SlotID) (Info, error) {
	t, err := d.Token(id)
	if errors.Is(err, ck.CKR_TOKEN_NOT_RECOGNIZED) {
		return Info{Flags: ck.CKF_RNG | ck.CKF_LOGIN_REQUIRED}, nil
	}
	if err != nil {
		return Info{}, err
	}
	return t.info()
}

// InitToken is C_InitToken. In the last slot it makes a token, with the SO PIN pin. In another one pin must be the SO
// PIN of the token there: all its objects are destroyed, the user PIN too, and it gets a new label and a new master
// key; the ledgers of its HSS keys stay, so that no leaf that was ever on it comes back. CKR_SESSION_EXISTS while any
// application has a session at it, CKR_DEVICE_MEMORY if the configuration allows no more tokens.
func (d *Device) InitToken(id ck.SlotID, pin []byte, label string) error {
	d.initialising.Lock()
	defer d.initialising.Unlock()
	if err := (backup.Party{Serial: newSerial(), Label: label}).Check(); err != nil {
		return refuse(ck.CKR_ARGUMENTS_BAD, "%w", err) // such a token could not take part in a transfer
	}
	t, err := d.Token(id)
	if err == nil {
		return t.reinitialise(pin, label)
	}
	if !errors.Is(err, ck.CKR_TOKEN_NOT_RECOGNIZED) {
		return err
	}
	if err := checkPINLength(pin); err != nil {
		return err
	}
	return d.createToken(id, pin, label)
}

// createToken makes a token in two phases, so that a crash leaves either a token or a free slot: the entry is
// "creating" until the store is complete. A step that fails ends it; what is then on disk is sorted out at the next
// opening.
func (d *Device) createToken(id ck.SlotID, pin []byte, label string) error {
	serial := newSerial()
	d.mu.Lock()
	if most := d.config.Limits.Tokens; most > 0 && len(d.list.Slots) >= most {
		d.mu.Unlock()
		return refuse(ck.CKR_DEVICE_MEMORY, "there are %d tokens, and limits.tokens allows %d", len(d.list.Slots), most)
	}
	before := d.list
	err := d.enlist(slotEntry{id, serial, stateCreating})
	d.list = before // until it is ready the slot looks as before
	d.mu.Unlock()
	if err != nil {
		return err
	}
	t, err := createToken(d.config, serial, pin, label, d.log)
	if err != nil {
		return fmt.Errorf("couldn't make the token: %w", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.enlist(slotEntry{id, serial, stateReady}); err != nil {
		return errors.Join(err, t.Close())
	}
	d.slots[id] = slot{token: t}
	d.log.Info("a token was initialised", "slot", id, "token", serial)
	return nil
}

// newSerial is a random serial number: 16 hexadecimal digits, the length of CK_TOKEN_INFO.serialNumber.
func newSerial() string {
	raw := make([]byte, 8)
	rand.Read(raw)
	return hex.EncodeToString(raw)
}

// Close logs out of every token, which parks what is in memory, and gives the directory up.
func (d *Device) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var errs []error
	for _, s := range d.slots {
		if s.token != nil {
			errs = append(errs, s.token.Close())
		}
	}
	d.slots = map[ck.SlotID]slot{}
	return errors.Join(append(errs, d.lock.release())...)
}
