package token

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onceleaf/onceleaf/backup"
	"github.com/onceleaf/onceleaf/keystore"
)

// inspectStores looks at every store that is listed, and at every other one.
func (i *inspection) inspectStores() error {
	entries, known := i.slotEntries()
	listed := map[string]bool{}
	if known {
		for _, e := range entries {
			listed[e.Serial+".db"] = true
			if err := i.inspectStore(e.Serial+".db", &e); err != nil {
				return err
			}
		}
	}
	for _, name := range i.storeNames() {
		if listed[name] {
			continue
		}
		if err := i.inspectStore(name, nil); err != nil {
			return err
		}
		i.unlisted(known)
	}
	return nil
}

// storeNames are the stores that are there. It also tells of what is no store.
func (i *inspection) storeNames() (stores []string) {
	entries, err := os.ReadDir(storeFolder(i.Directory))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		i.addUnread("tokens", err)
	}
	for _, e := range entries {
		store := strings.HasSuffix(e.Name(), ".db")
		if store && !strings.HasPrefix(e.Name(), ".") {
			stores = append(stores, e.Name())
			continue
		}
		i.foreign(filepath.Join("tokens", e.Name()), store && strings.HasPrefix(e.Name(), ".new-"))
	}
	return stores
}

// unlisted is about the store that was looked at last, which no slot has.
func (i *inspection) unlisted(known bool) {
	s := &i.Stores[len(i.Stores)-1]
	if !known {
		return // what is listed is not known either
	}
	if len(s.Keys) == 0 && s.State == unfinished {
		i.add(Finding{File: s.File}, keystore.Information, "leave it; nothing reads it", "no slot has this store, which was never finished")
		return
	}
	i.add(Finding{File: s.File}, keystore.Warning,
		"leave it: no token uses it; find out whether slots.json is an old one, and change neither by hand", "no slot has this store")
}

// inspectStore looks at one store; entry is nil if no slot has it. The error is ErrInUse.
func (i *inspection) inspectStore(name string, entry *slotEntry) error {
	s := StoreReport{File: filepath.Join("tokens", name), Serial: strings.TrimSuffix(name, ".db"), Keys: []KeyReport{}}
	if entry != nil {
		s.Slot = &entry.ID
	}
	in, err := keystore.Inspect(filepath.Join(i.Directory, s.File))
	if errors.Is(err, keystore.ErrOwned) {
		return fmt.Errorf("%w: another process has %s open", ErrInUse, s.File)
	}
	if err != nil {
		s.State = i.unusable(s.File, entry, err)
	} else {
		i.serials[in.Serial] = append(i.serials[in.Serial], s.File)
		i.inspectContents(&s, in, entry)
	}
	i.Stores = append(i.Stores, s)
	return nil
}

// unusable is about a store that cannot be read at all. It returns the store's state unless the findings tell it.
func (i *inspection) unusable(file string, entry *slotEntry, err error) (state string) {
	at := Finding{File: file}
	missing := errors.Is(err, keystore.ErrMissing)
	switch {
	case missing && entry != nil && entry.State == stateCreating:
		i.notFinished(file)
		return unfinished
	case errors.Is(err, keystore.ErrStore):
		i.addUnread(file, err)
	case missing:
		i.add(at, keystore.Damage, whatIsSafe(err), "the store is missing")
		return "missing"
	default:
		i.add(at, keystore.Damage, whatIsSafe(err), "%v", err)
	}
	return ""
}

// unfinished is the state of a store that InitToken began.
const unfinished = "unfinished"

func (i *inspection) notFinished(file string) {
	i.add(Finding{File: file}, keystore.Information, "nothing: the next start frees its slot", "the token was not finished, and never held a key")
}

func (i *inspection) inspectContents(s *StoreReport, in keystore.Inspection, entry *slotEntry) {
	at := Finding{File: s.File}
	if in.Serial != s.Serial {
		i.add(at, keystore.Damage, "if two files were exchanged, give each its own name back; a copy must not be used by any token",
			"it is the store of token %q under another name", in.Serial)
		s.Serial = in.Serial
	}
	for _, k := range in.Keys {
		s.Keys = append(s.Keys, i.inspectKey(s.File, in.Serial, k))
	}
	for _, k := range s.Keys {
		if k.Status == string(keystore.Active) {
			s.Remaining += min(k.Remaining, math.MaxUint64-s.Remaining)
		}
	}
	if _, finished := in.Shelf[tokenName]; !finished && len(in.Keys) == 0 && (entry == nil || entry.State == stateCreating) {
		s.State = unfinished
		if entry != nil {
			i.notFinished(s.File)
		}
		return
	}
	if entry != nil && entry.State == stateCreating {
		i.add(at, keystore.Information, "nothing: the next start makes it ready", "the token is complete and not marked as ready")
	}
	s.Label = i.inspectShelf(s.File, in.Shelf)
}

// inspectKey is about one record.
func (i *inspection) inspectKey(file, serial string, k keystore.InspectedKey) KeyReport {
	r := KeyReport{Identity: hex.EncodeToString(k.Name), Status: "damaged", Levels: []string{},
		Free: keystore.Spans{}, Parked: keystore.Spans{}, Given: keystore.Spans{}, Received: keystore.Spans{}, Used: keystore.Spans{}}
	at := Finding{File: file, Key: r.Identity}
	if k.Readable {
		r.describe(k.State)
		at.Label = r.Label
		i.inspectObjects(at, k.State)
		i.inspectTransfers(at, serial, k.State)
		i.inspectSupply(at, k.State)
		i.sightings[r.Identity] = append(i.sightings[r.Identity], sighting{file, r.Label, k.State})
	}
	for _, f := range k.Findings {
		located := at
		located.Finding = f
		i.Findings = append(i.Findings, located)
	}
	return r
}

// describe fills in what a record says.
func (r *KeyReport) describe(s keystore.State) {
	r.Label, r.Status, r.Generation = labelIn(s), string(s.Status), s.Generation
	r.Remaining, r.Capacity = s.Remaining(), s.Capacity()
	for _, set := range s.Levels {
		r.Levels = append(r.Levels, set.String())
	}
	r.Free, r.Parked = append(r.Free, s.Free...), append(r.Parked, s.ParkedOn()...)
	for _, g := range s.Given {
		r.Given = append(r.Given, g.Leaves...)
	}
	for _, a := range s.Received {
		r.Received = append(r.Received, a.Leaves...)
	}
	r.Used = append(r.Used, s.Used()...)
}

// inspectTransfers holds what travels, and what came back, against the ledger.
func (i *inspection) inspectTransfers(at Finding, serial string, s keystore.State) {
	for _, g := range s.Given {
		if err := checkCapsule(serial, s, g); g.Capsule != nil && err != nil {
			i.add(at, keystore.Damage, "hand this capsule out no more; its leaves stay given away, so none of them is used twice here",
				"the capsule of transfer %q in the outbox cannot be used: %v", g.Transfer, err)
		}
	}
	for _, a := range s.Received {
		if err := checkReceipt(serial, a); err != nil {
			i.add(at, keystore.Damage, "the leaves that came are not touched by it; the source can keep its capsule, which no other token opens",
				"the receipt of transfer %q cannot be used: %v", a.Transfer, err)
		}
	}
}

// checkCapsule says how a capsule differs from the gift that it is for.
func checkCapsule(serial string, s keystore.State, g keystore.Gift) error {
	c, err := backup.ParseCapsule(g.Capsule)
	switch {
	case err != nil:
		return err
	case c.ID() != g.Transfer:
		return fmt.Errorf("it is of transfer %s", c.ID())
	case c.Source().Serial != serial || c.Destination().Serial != g.Peer:
		return fmt.Errorf("it goes from token %q to token %q", c.Source().Serial, c.Destination().Serial)
	case !bytes.Equal(c.PublicKey().Bytes(), s.PublicKey) || !slices.Equal(c.Levels(), s.Levels):
		return errors.New("it is of another key")
	case !slices.Equal(c.Leaves(), g.Leaves):
		return fmt.Errorf("it brings leaves %s, and %s were given", c.Leaves().Words(), g.Leaves.Words())
	}
	return nil
}

func checkReceipt(serial string, a keystore.Arrival) error {
	r, err := backup.ParseReceipt(a.Receipt)
	switch {
	case err != nil:
		return err
	case r.ID() != a.Transfer || r.Source().Serial != a.Peer || r.Destination().Serial != serial:
		return fmt.Errorf("it is of transfer %s from token %q to token %q", r.ID(), r.Source().Serial, r.Destination().Serial)
	}
	return nil
}
