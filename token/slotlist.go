package token

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/internal/durable"
	"github.com/onceleaf/onceleaf/keystore"
)

// slots.json says which tokens there ought to be, so that a store that went missing is noticed:
//
//	{
//	  "version": 1,
//	  "slots": [
//	    {"id": 0, "serial": "0f1e2d3c4b5a6978", "state": "ready"}
//	  ]
//	}
//
// An entry is "creating" until its store is complete.
const (
	stateCreating = "creating"
	stateReady    = "ready"
)

type slotEntry struct {
	ID     ck.SlotID `json:"id"`
	Serial string    `json:"serial"`
	State  string    `json:"state"`
}

type slotList struct {
	Version int         `json:"version"` // 1
	Slots   []slotEntry `json:"slots"`   // in order of ID
}

func slotListPath(directory string) string { return filepath.Join(directory, "slots.json") }

func storeFolder(directory string) string { return filepath.Join(directory, "tokens") }

func storePath(directory, serial string) string {
	return filepath.Join(storeFolder(directory), serial+".db")
}

// readSlotList reads slots.json. No file stands for no tokens, unless there are stores: then the list was lost.
func readSlotList(directory string) (slotList, error) {
	text, err := os.ReadFile(slotListPath(directory))
	if errors.Is(err, fs.ErrNotExist) {
		return slotList{Version: 1}, refuseOrphans(directory)
	}
	if err != nil {
		return slotList{}, fmt.Errorf("couldn't read the list of slots: %w", err)
	}
	list, err := parseSlotList(text)
	if err != nil {
		return slotList{}, fmt.Errorf("couldn't read %s: %w", slotListPath(directory), err)
	}
	return list, nil
}

func refuseOrphans(directory string) error {
	stores, err := storeFiles(directory)
	if err == nil && len(stores) > 0 {
		err = fmt.Errorf("%w: %s is gone, but there are stores of %d tokens", keystore.ErrMissing, slotListPath(directory), len(stores))
	}
	return err
}

// storeFiles are the names of the stores in the directory, sorted. A store in the making begins with a dot.
func storeFiles(directory string) (names []string, err error) {
	entries, err := os.ReadDir(storeFolder(directory))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("couldn't list the stores: %w", err)
	}
	for _, entry := range entries {
		if name := entry.Name(); strings.HasSuffix(name, ".db") && !strings.HasPrefix(name, ".") {
			names = append(names, name)
		}
	}
	return names, nil
}

func parseSlotList(text []byte) (list slotList, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&list); err != nil {
		return list, fmt.Errorf("%w: %w", keystore.ErrDamaged, err)
	}
	if decoder.More() {
		return list, fmt.Errorf("%w: text behind the list of slots", keystore.ErrDamaged)
	}
	if list.Version != 1 {
		return list, fmt.Errorf("%w: %d", keystore.ErrVersion, list.Version)
	}
	return list, list.check()
}

// check holds the list to its rules: ids rise, serial numbers are ours (they become file names) and differ.
func (l slotList) check() error {
	serials := map[string]bool{}
	for i, e := range l.Slots {
		if i > 0 && e.ID <= l.Slots[i-1].ID {
			return fmt.Errorf("%w: slot ids out of order", keystore.ErrDamaged)
		}
		if !isSerial(e.Serial) || serials[e.Serial] {
			return fmt.Errorf("%w: serial number %q", keystore.ErrDamaged, e.Serial)
		}
		if e.State != stateCreating && e.State != stateReady {
			return fmt.Errorf("%w: state %q", keystore.ErrDamaged, e.State)
		}
		serials[e.Serial] = true
	}
	return nil
}

// isSerial reports whether s is 16 lower-case hexadecimal digits, the form of newSerial.
func isSerial(s string) bool {
	return len(s) == 16 && !bytes.ContainsFunc([]byte(s), func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'f')
	})
}

func (l slotList) write(directory string) error {
	text, err := json.MarshalIndent(l, "", "  ")
	if err != nil {
		return fmt.Errorf("couldn't write the list of slots: %w", err)
	}
	return durable.Write(slotListPath(directory), append(text, '\n'), 0o600)
}

// with is the list with the entry e, in place of one of the same id.
func (l slotList) with(e slotEntry) slotList {
	rest := l.without(e.ID)
	rest.Slots = append(rest.Slots, e)
	slices.SortFunc(rest.Slots, func(a, b slotEntry) int { return int(int64(a.ID) - int64(b.ID)) })
	return rest
}

func (l slotList) without(id ck.SlotID) slotList {
	l.Slots = slices.DeleteFunc(slices.Clone(l.Slots), func(e slotEntry) bool { return e.ID == id })
	return l
}

// next is the id of the slot with the uninitialised token: one after the last.
func (l slotList) next() ck.SlotID {
	if len(l.Slots) == 0 {
		return 0
	}
	return l.Slots[len(l.Slots)-1].ID + 1
}
