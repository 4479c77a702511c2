package token

import (
	"maps"
	"slices"
	"strings"

	"github.com/onceleaf/onceleaf/keystore"
)

// compareKeys looks for one key in two stores. After a transfer they share no leaf; in a copy they share all.
func (i *inspection) compareKeys() {
	for _, key := range slices.Sorted(maps.Keys(i.sightings)) {
		seen := i.sightings[key]
		for a := range seen {
			for b := range seen {
				i.compareRecords(key, seen[a], seen[b])
			}
		}
	}
}

// compareRecords tells of a what it shares with b.
func (i *inspection) compareRecords(key string, a, b sighting) {
	leaves, live := keystore.Conflict(a.state, b.state)
	if a.file == b.file || len(leaves) == 0 {
		return
	}
	what := "were used in both and may have signed twice"
	if live {
		what = "would sign twice"
	}
	i.add(Finding{File: a.file, Key: key, Label: a.label}, keystore.Danger,
		"sign with the key in none of the stores, and keep them all; 'onceleaf leaves' tells from signatures whether a leaf was used twice",
		"the root leaves %s of the key are also in %s: they %s", leaves.Words(), b.file, what)
}

// compareSerials looks for a store that is there twice.
func (i *inspection) compareSerials() {
	for _, serial := range slices.Sorted(maps.Keys(i.serials)) {
		files := i.serials[serial]
		for _, file := range files {
			if others := slices.DeleteFunc(slices.Clone(files), func(other string) bool { return other == file }); len(others) > 0 {
				i.add(Finding{File: file}, keystore.Danger,
					"sign with none of them, and keep them all; if it is known that only one was used since the copy was made, that one may be used again",
					"token %q is also in %s: one is a copy, and both would sign with the same leaves", serial, strings.Join(others, ", "))
			}
		}
	}
}
