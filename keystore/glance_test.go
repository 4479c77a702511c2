package keystore

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
)

// Changes grows with what Attributes answers, and stands still while a key only signs.
func TestChanges(t *testing.T) {
	d := newDesk(t, newBolt(t, filepath.Join(t.TempDir(), "t.db")))
	last := d.Changes()
	grown := func(what string, want bool) {
		t.Helper()
		if now := d.Changes(); now > last != want {
			t.Errorf("%s: from %d to %d", what, last, now)
		}
		last = d.Changes()
	}
	id := d.generate(levels(1)...)
	grown("a new key", true)
	if got := d.Identities(); !slices.Equal(got, []Identity{id}) {
		t.Errorf("keys %v", got)
	}
	d.sign(id)
	grown("a signature", false)
	must(t, d.SetAttributes(id, []byte("one"), []byte("two")))
	grown("other attributes", true)
	private, public, status, err := d.Attributes(id)
	if err != nil || string(private) != "one" || string(public) != "two" || status != Active {
		t.Errorf("%q, %q, %s, %v", private, public, status, err)
	}
	must(t, d.SetAttributes(id, []byte("one"), nil))
	grown("no public key", true)
	must(t, d.Destroy(id))
	grown("the end", true)
	if _, public, status, err := d.Attributes(id); err != nil || public != nil || status != Destroyed {
		t.Errorf("%q, %s, %v", public, status, err)
	}
	d.restart()
	if got := d.Identities(); !slices.Equal(got, []Identity{id}) {
		t.Errorf("keys %v", got)
	}
}

func TestBoltEach(t *testing.T) {
	b := newBolt(t, filepath.Join(t.TempDir(), "t.db"))
	must(t, b.Write(map[string][]byte{"a": {1}, "b/": {2}, "b/1": {3}, "b/2": {4}, "c": {5}}))
	for prefix, want := range map[string]string{"b/": "b/=2 b/1=3 b/2=4 ", "": "a=1 b/=2 b/1=3 b/2=4 c=5 ", "c": "c=5 ", "d": ""} {
		var got string
		must(t, b.Each(prefix, func(name string, value []byte) error {
			got += fmt.Sprintf("%s=%d ", name, value[0])
			return nil
		}))
		if got != want {
			t.Errorf("%q: %q, want %q", prefix, got, want)
		}
	}
	if err := b.Each("", func(string, []byte) error { return ErrDamaged }); err != ErrDamaged {
		t.Errorf("%v", err)
	}
}
