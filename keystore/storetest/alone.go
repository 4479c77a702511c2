package storetest

import (
	"bytes"
	"errors"
	"slices"

	"github.com/onceleaf/onceleaf/keystore"
)

// sizes of records, in bytes: around those of pages, and up to 1 MiB.
var sizes = []int{1, 2, 7, 255, 4000, 4095, 4096, 4097, 65536, 1 << 20, 1<<20 - 1, 300, 1}

func roundTrip(_ Medium, s keystore.Store) error {
	changing := identity(1000)
	if err := absent(s, changing); err != nil {
		return err
	}
	snap, err := create(s, changing, []byte{0})
	for n, size := range sizes {
		stored := sized(n, size)
		if err == nil {
			_, err = create(s, identity(n), stored)
		}
		if err == nil {
			snap, err = replace(s, snap, stored)
		}
		if err = errors.Join(err, holds(s, identity(n), stored), holds(s, changing, stored)); err != nil {
			return wrong("%d bytes: %w", size, err)
		}
	}
	for n, size := range sizes {
		if err := holds(s, identity(n), sized(n, size)); err != nil {
			return wrong("%d bytes, later: %w", size, err)
		}
	}
	return absent(s, identity(len(sizes)))
}

func createOnce(_ Medium, s keystore.Store) error {
	id := identity(1)
	snap, err := create(s, id, record(1))
	if err != nil {
		return err
	}
	refusedAll := func(present []byte) error {
		for _, other := range [][]byte{record(9), record(1), present} {
			_, err := s.Create(id, other)
			if err := errors.Join(refused("Create of an existing record", err), holds(s, id, present)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := refusedAll(record(1)); err != nil {
		return err
	}
	if _, err = replace(s, snap, record(2)); err != nil {
		return err
	}
	return refusedAll(record(2))
}

func staleWriter(_ Medium, s keystore.Store) error {
	id := identity(1)
	snap, err := create(s, id, record(0))
	if err != nil {
		return err
	}
	var stale []keystore.Snapshot
	for n := 1; n <= 5; n++ {
		stale = append(stale, snap)
		if snap, err = replace(s, snap, record(n)); err != nil {
			return err
		}
		for _, old := range stale {
			_, err := s.Replace(old, record(50+n))
			if err := errors.Join(refused("Replace with an old snapshot", err), holds(s, id, record(n))); err != nil {
				return err
			}
		}
	}
	if snap, err = s.Fetch(id); err != nil {
		return err
	}
	if snap, err = replace(s, snap, snap.Record()); err != nil {
		return wrong("the record once more as it is: %w", err)
	}
	_, err = replace(s, snap, record(60))
	return err
}

// similar are identities that differ in one byte, or are as one if they are cut.
func similar() (ids []keystore.Identity) {
	ids = append(ids, keystore.Identity{}, keystore.Identity(bytes.Repeat([]byte{0xff}, len(keystore.Identity{}))))
	for place := range len(keystore.Identity{}) {
		var id keystore.Identity
		id[place] = 1
		ids = append(ids, id)
	}
	return ids
}

func identitiesApart(_ Medium, s keystore.Store) error {
	ids := similar()
	snaps := make([]keystore.Snapshot, len(ids))
	for i, id := range ids {
		if err := absent(s, id); err != nil {
			return wrong("%s: %w", id, err)
		}
		var err error
		if snaps[i], err = create(s, id, record(i)); err != nil {
			return wrong("%s: %w", id, err)
		}
	}
	for i := 0; i < len(ids); i += 2 {
		if _, err := replace(s, snaps[i], record(100+i)); err != nil {
			return err
		}
	}
	for i, id := range ids {
		if err := holds(s, id, record(i+100*(1-i%2))); err != nil {
			return wrong("%s: %w", id, err)
		}
	}
	return nil
}

func noAliases(_ Medium, s keystore.Store) error {
	id, buffer := identity(1), slices.Clone(record(1))
	spoil := func() { copy(buffer, bytes.Repeat([]byte{0xee}, len(buffer))) }
	first, err := s.Create(id, buffer)
	if err != nil {
		return err
	}
	spoil()
	if err := errors.Join(fits("Create", first, id, record(1)), holds(s, id, record(1))); err != nil {
		return wrong("the slice that was given to Create changed: %w", err)
	}
	buffer = slices.Clone(record(2))
	second, err := s.Replace(first, buffer)
	if err != nil {
		return err
	}
	spoil()
	if err := errors.Join(fits("Replace", second, id, record(2)), holds(s, id, record(2))); err != nil {
		return wrong("the slice that was given to Replace changed: %w", err)
	}
	fetched, err := s.Fetch(id)
	if err != nil {
		return err
	}
	if _, err := replace(s, second, record(3)); err != nil {
		return err
	}
	err = errors.Join(fits("Create", first, id, record(1)), fits("Replace", second, id, record(2)),
		fits("Fetch", fetched, id, record(2)))
	if err != nil {
		return wrong("the record was replaced, and a snapshot of before changed: %w", err)
	}
	return nil
}

// many is how many records completeList stores: some pages of any format.
const many = 300

func completeList(_ Medium, s keystore.Store) error {
	if err := lists(s, nil); err != nil {
		return wrong("an empty store: %w", err)
	}
	var ids []keystore.Identity
	for n := range many {
		id := identity(n * 7919 % 10007)
		snap, err := create(s, id, sized(n, 40))
		if err != nil {
			return err
		}
		ids = append(ids, id)
		if n%10 == 0 {
			_, stale := s.Create(id, record(n))
			_, err = replace(s, snap, sized(n, 50))
			if err = errors.Join(err, refused("Create of an existing record", stale), lists(s, ids)); err != nil {
				return wrong("%d records: %w", len(ids), err)
			}
		}
	}
	_ = absent(s, identity(20000)) // Fetch makes no record
	return lists(s, ids)
}

// lists makes sure that List answers these identities, in any order.
func lists(s keystore.Store, want []keystore.Identity) error {
	got, err := s.List()
	if err != nil {
		return wrong("List: %w", err)
	}
	for _, id := range want {
		if !slices.Contains(got, id) {
			return wrong("List answered %d identities, want %d; %s is missing", len(got), len(want), id)
		}
	}
	if len(got) != len(want) {
		return wrong("List answered %d identities, want %d", len(got), len(want))
	}
	return nil
}
