package keystore

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// TestOpenBoltRandomDamage damages a store in many places. Opening must come
// back, and either refuse the store and leave it alone, or give one that works.
func TestOpenBoltRandomDamage(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "t.db")
	filled(t, path)
	sound, err := os.ReadFile(path)
	must(t, err)
	random := rand.New(rand.NewPCG(1, 2))
	refused := 0
	const rounds = 500
	for round := range rounds {
		damaged := bytes.Clone(sound)
		what := spoil(damaged, random, round)
		path := filepath.Join(folder, fmt.Sprint(round))
		must(t, os.WriteFile(path, damaged, 0o600))
		b, err := OpenBolt(path, testSerial)
		if err == nil {
			useAll(t, what, b)
			continue
		}
		refused++
		if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrVersion) {
			t.Errorf("%s: %v", what, err)
		}
		if after, _ := os.ReadFile(path); !bytes.Equal(after, damaged) {
			t.Errorf("%s: a store that was refused was changed", what)
		}
	}
	if refused < rounds/10 || refused == rounds {
		t.Errorf("%d of %d stores were refused", refused, rounds)
	}
}

// spoil writes over a part of the store and says what it did. Half of the places
// are in the first bytes of a page, where the references are.
func spoil(store []byte, random *rand.Rand, round int) string {
	at := random.IntN(len(store) - 8)
	if round%2 == 0 {
		at = at&^4095 + random.IntN(64)
	}
	end := min(len(store), at+1+random.IntN(600))
	switch round / 2 % 5 {
	case 0:
		store[at] ^= byte(1 + random.IntN(255))
	case 1:
		clear(store[at:end])
	case 2:
		copy(store[at:end], bytes.Repeat([]byte{0xff}, end-at))
	case 3:
		binary.NativeEndian.PutUint64(store[at:], random.Uint64())
	case 4: // a number that could be a page or a size
		binary.NativeEndian.PutUint64(store[at&^7:], random.Uint64N(64))
	}
	return fmt.Sprintf("round %d at %d", round, at)
}

// useAll reads everything and changes something.
func useAll(t *testing.T, what string, b *Bolt) {
	t.Helper()
	allowed := func(call string, err error) {
		t.Helper()
		if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrStore) {
			t.Errorf("%s: %s: %v", what, call, err)
		}
	}
	ids, err := b.List()
	allowed("List", err)
	for i, id := range ids {
		snap, err := b.Fetch(id)
		allowed("Fetch", err)
		if err == nil && i%10 == 0 {
			_, err = b.Replace(snap, []byte("new"))
			allowed("Replace", err)
		}
	}
	_, err = b.Names("")
	allowed("Names", err)
	must(t, b.Close())
}

// TestOpenBoltLived opens a store again and again in a long life with all kinds
// of pages: many small values, large ones over several pages, deletions.
func TestOpenBoltLived(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	must(t, newBolt(t, path).Close())
	random := rand.New(rand.NewPCG(3, 4))
	for range 60 {
		b, err := OpenBolt(path, testSerial)
		must(t, err)
		changes := map[string][]byte{}
		for range 200 {
			changes[fmt.Sprint(random.IntN(3000))] = [][]byte{nil, make([]byte, random.IntN(200)), make([]byte, random.IntN(20000))}[random.IntN(3)]
		}
		must(t, b.Write(changes))
		must(t, b.Close())
	}
}

// TestBoltManyFree: a list of free pages that is too long for its count. A store
// that has one is 256 MB large.
func TestBoltManyFree(t *testing.T) {
	const free, pages = 70_000, 138 // of 4096 bytes
	list := make([]byte, 2*4096+pages*4096)
	header := list[2*4096:]
	binary.NativeEndian.PutUint64(header, 2)
	binary.NativeEndian.PutUint16(header[8:], freelistPage)
	binary.NativeEndian.PutUint16(header[10:], 0xFFFF)
	binary.NativeEndian.PutUint32(header[12:], pages-1)
	for count, want := range map[uint64]error{free: nil, free + 1: ErrDamaged, 1 << 63: ErrDamaged} {
		binary.NativeEndian.PutUint64(header[16:], count)
		for i := range free {
			binary.NativeEndian.PutUint64(header[24+8*i:], uint64(2+pages+i))
		}
		walk := pageWalk{file: bytes.NewReader(list), size: 4096, end: 2 + pages + free, met: map[uint64]bool{}}
		if err := walk.freelist(2); !errors.Is(err, want) {
			t.Errorf("%d free pages: %v, want %v", count, err, want)
		}
	}
}

// TestOpenBoltCutOffCommit: all pages of a transaction are there, and the meta
// page that makes them valid is not: the store is as before. If the meta page is
// damaged, nobody can tell whether the transaction was acted on.
func TestOpenBoltCutOffCommit(t *testing.T) {
	for name, c := range map[string]struct {
		keep int // bytes of the new meta page
		want error
	}{"not written": {0, nil}, "damaged": {70, ErrDamaged}} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "t.db")
			filled(t, path)
			before, err := os.ReadFile(path)
			must(t, err)
			b, err := OpenBolt(path, testSerial)
			must(t, err)
			snap, err := b.Fetch(Identity{7})
			must(t, err)
			_, err = b.Replace(snap, make([]byte, 100_000))
			must(t, errors.Join(err, b.Close()))
			cutOff(t, path, before, c.keep)
			b, err = OpenBolt(path, testSerial)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err != nil {
				return
			}
			defer b.Close()
			if again, err := b.Fetch(Identity{7}); err != nil || !bytes.Equal(again.Record(), snap.Record()) {
				t.Errorf("not the record from before the commit: %v", err)
			}
		})
	}
}

// cutOff takes the newest meta page back, but for its first bytes.
func cutOff(t *testing.T, path string, before []byte, keep int) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer file.Close()
	meta, err := newestMeta(file)
	must(t, err)
	from := int(meta.at) + keep
	_, err = file.WriteAt(before[from:int(meta.at)+4096], int64(from))
	must(t, err)
}

// TestOpenBoltCycle: references that lead back, or to a page twice, are refused.
func TestOpenBoltCycle(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	filled(t, path)
	sound, err := os.ReadFile(path)
	must(t, err)
	branch := findPage(t, sound, branchPage)
	for name, child := range map[string]uint64{"itself": uint64(branch), "a meta page": 1, "out of the file": 1 << 40, "its neighbour": u64(sound, branch*4096+headerSize+elementSize+8)} {
		spoiled := bytes.Clone(sound)
		binary.NativeEndian.PutUint64(spoiled[branch*4096+headerSize+8:], child)
		must(t, os.WriteFile(path, spoiled, 0o600))
		if _, err := OpenBolt(path, testSerial); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
	}
}

// TestOpenBoltHugeOverflow: a page that claims 2^32 more.
func TestOpenBoltHugeOverflow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	filled(t, path)
	sound, err := os.ReadFile(path)
	must(t, err)
	overwrite(t, path, int64(findPage(t, sound, branchPage))*4096+12, 4, 0xff)
	if _, err := OpenBolt(path, testSerial); !errors.Is(err, ErrDamaged) {
		t.Errorf("got %v, want ErrDamaged", err)
	}
}

// findPage finds a page of a kind that is in use.
func findPage(t *testing.T, store []byte, kind uint16) int {
	t.Helper()
	meta, err := newestMeta(bytes.NewReader(store))
	must(t, err)
	walk := pageWalk{file: bytes.NewReader(store), size: meta.pageSize, end: meta.end, met: map[uint64]bool{}}
	must(t, walk.tree(meta.root, true, nil, nil))
	for id := range walk.met {
		if page := store[id*meta.pageSize:]; u64(page, 0) == id && kindOf(page) == kind {
			return int(id)
		}
	}
	t.Fatalf("no page of kind %#x", kind)
	return 0
}

// TestOpenBoltFreeInUse: a page that is free and in use, or free twice, would be
// overwritten.
func TestOpenBoltFreeInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.db")
	filled(t, path)
	sound, err := os.ReadFile(path)
	must(t, err)
	meta, err := newestMeta(bytes.NewReader(sound))
	must(t, err)
	first := int(meta.freelist*meta.pageSize) + headerSize
	for name, id := range map[string]uint64{"in use": meta.root, "the list": meta.freelist, "free twice": u64(sound, first+8)} {
		spoiled := bytes.Clone(sound)
		binary.NativeEndian.PutUint64(spoiled[first:], id)
		must(t, os.WriteFile(path, spoiled, 0o600))
		if _, err := OpenBolt(path, testSerial); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, want ErrDamaged", name, err)
		}
	}
}
