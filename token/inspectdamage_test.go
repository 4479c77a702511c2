package token

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
)

const stray = "tokens/ffffffffffffffff.db"

// Each case is one damage to a directory after a life, and all that is to be said of it.
func TestInspectDamages(t *testing.T) {
	original := newLife(t)
	for name, c := range map[string]struct {
		do    func(l *life)
		want  []string
		state string // of the first store
	}{
		// Stores.
		"store cut":   {func(l *life) { l.must(os.Truncate(l.path(l.first), 3<<12)) }, []string{"damaged|FIRST|||..pages of"}, "damaged"},
		"store empty": {func(l *life) { l.must(os.Truncate(l.path(l.first), 0)) }, []string{"damaged|FIRST|||..EOF"}, "damaged"},
		"meta page":   {func(l *life) { l.writeAt(l.first, 40, "?") }, []string{"damaged|FIRST|||..checksum"}, "damaged"},
		"store gone":  {func(l *life) { l.must(os.Remove(l.path(l.first))) }, []string{"damaged|FIRST|||the store is missing"}, "missing"},
		"all gone":    {func(l *life) { l.must(os.RemoveAll(l.path("tokens"))) }, []string{"damaged|FIRST|||the store is missing", "damaged|SECOND|||the store is missing"}, "missing"},
		"not a file":  {func(l *life) { l.must(os.Remove(l.path(l.first))); l.must(os.Mkdir(l.path(l.first), 0o700)) }, []string{"damaged|FIRST|||..not a file"}, "damaged"},
		"no way there": {func(l *life) {
			l.must(os.Remove(l.path(l.first)))
			l.must(os.Symlink(l.path(l.first), l.path(l.first)))
		}, []string{"warning|FIRST|||it could not be looked at"}, "unread"},
		"version":       {func(l *life) { l.must(editMeta(l.path(l.first), "version", "onceleaf-store/99")) }, []string{"damaged|FIRST|||..unknown version"}, "damaged"},
		"no meta value": {func(l *life) { l.must(editMeta(l.path(l.first), "version", "")) }, []string{"damaged|FIRST|||..unknown version"}, "damaged"},
		"other serial": {func(l *life) { l.must(editMeta(l.path(l.first), "serial", "x\x1b")) },
			[]string{"damaged|FIRST|||it is the store of token \"x\\x1b\" under another name", "damaged|FIRST|open||the capsule"}, "damaged"},

		// Copies and exchanged files.
		"exchanged": {func(l *life) {
			l.must(unix.Renameat2(unix.AT_FDCWD, l.path(l.first), unix.AT_FDCWD, l.path(l.second), unix.RENAME_EXCHANGE))
		}, []string{"damaged|FIRST|||it is the store of token", "damaged|SECOND|||it is the store of token"}, "damaged"},
		"copy under another name": {func(l *life) { l.copyFile(l.second, stray) }, []string{
			"danger|SECOND|||token", "danger|" + stray + "|||token", "danger|SECOND|closed||the root leaves 24 to 31 of the key are also in " + stray + ": they would sign twice",
			"danger|" + stray + "|closed||the root leaves 24 to 31", "damaged|" + stray + "|||it is the store of token", "warning|" + stray + "|||no slot has this store"}, "good"},
		"copy with another serial": {func(l *life) {
			l.copyFile(l.second, stray)
			l.must(editMeta(l.path(stray), "serial", "ffffffffffffffff"))
		}, []string{"danger|SECOND|closed||the root leaves 24 to 31", "danger|" + stray + "|closed||the root leaves 24 to 31",
			"damaged|" + stray + "|closed||the receipt", "warning|" + stray + "|||no slot has this store"}, "good"},
		"copy over the other": {func(l *life) { l.copyFile(l.second, l.first) }, []string{"damaged|FIRST|||it is the store of token", "danger|FIRST|||token", "danger|SECOND|||token",
			"danger|FIRST|closed||the root leaves 24 to 31", "danger|SECOND|closed||the root leaves 24 to 31"}, "danger"},
		"leaf back": {func(l *life) { // as if the receiver's leaves had come from an older record of the source
			l.forge(l.first, "closed", func(s *keystore.State) { s.Given, s.Free = nil, s.Held })
		}, []string{"danger|FIRST|closed||the root leaves 24 to 31 of the key are also in SECOND: they would sign twice",
			"danger|SECOND|closed||the root leaves 24 to 31 of the key are also in FIRST"}, "danger"},

		// The list of slots.
		"no list":        {func(l *life) { l.must(os.Remove(l.path("slots.json"))) }, []string{"damaged|slots.json|||..stores of 2 tokens"}, "good"},
		"damaged list":   {func(l *life) { l.writeAt("slots.json", 3, "??") }, []string{"damaged|slots.json|||the list of slots cannot be used"}, "good"},
		"list version":   {func(l *life) { l.list(`{"version": 2, "slots": []}`) }, []string{"damaged|slots.json|||..unknown version"}, "good"},
		"list twice":     {func(l *life) { l.list(`{"version":1,"slots":[%s,%s]}`, l.entry(0, l.first), l.entry(1, l.first)) }, []string{"damaged|slots.json|||..serial number"}, "good"},
		"slot twice":     {func(l *life) { l.list(`{"version":1,"slots":[%s,%s]}`, l.entry(0, l.first), l.entry(0, l.second)) }, []string{"damaged|slots.json|||..out of order"}, "good"},
		"old list":       {func(l *life) { l.list(`{"version":1,"slots":[%s]}`, l.entry(0, l.first)) }, []string{"warning|SECOND|||no slot has this store"}, "good"},
		"list of nobody": {func(l *life) { l.list(`{"version":1,"slots":[]}`) }, []string{"warning|FIRST|||no slot", "warning|SECOND|||no slot"}, "warning"},

		// What travels.
		"capsule altered": {func(l *life) {
			l.forge(l.first, "open", func(s *keystore.State) { s.Given[0].Capsule[40]++ })
		}, []string{"damaged|FIRST|open||the capsule of transfer"}, "damaged"},
		"capsule of another transfer": {func(l *life) {
			l.forge(l.first, "open", func(s *keystore.State) { s.Given[0].Transfer = strings.Repeat("0", 32) })
		}, []string{"damaged|FIRST|open||..it is of transfer"}, "damaged"},
		"capsule for another token": {func(l *life) { l.forge(l.first, "open", func(s *keystore.State) { s.Given[0].Peer = "other" }) },
			[]string{"damaged|FIRST|open||..it goes from token"}, "damaged"},
		"capsule with other leaves": {func(l *life) {
			l.forge(l.first, "open", func(s *keystore.State) { s.Given[0].Leaves[0].From++ })
		}, []string{"damaged|FIRST|open||..it brings leaves 24 to 31, and 25 to 31 were given"}, "damaged"},
		"capsule of another key": {func(l *life) { l.forge(l.first, "open", func(s *keystore.State) { s.Levels[1].OTS-- }) },
			[]string{"damaged|FIRST|open||..it is of another key"}, "damaged"},
		"receipt": {func(l *life) { l.forge(l.second, "closed", func(s *keystore.State) { s.Received[0].Receipt[9]++ }) },
			[]string{"damaged|SECOND|closed||the receipt of transfer"}, "good"},
		"receipt of another": {func(l *life) { l.forge(l.second, "closed", func(s *keystore.State) { s.Received[0].Peer = "other" }) },
			[]string{"damaged|SECOND|closed||..it is of transfer"}, "good"},

		// Records.
		"record": {func(l *life) {
			l.put(l.first, "keys", l.identity("levels 2"), func(r []byte) []byte { r[200] ^= 1; return r })
		}, []string{"damaged|FIRST|levels 2||..wrong check sum"}, "damaged"},
		"record under another name": {func(l *life) {
			l.put(l.first, "keys", append([]byte{^l.identity("levels 2")[0]}, l.identity("levels 2")[1:]...), func([]byte) []byte { return []byte("x") })
		}, []string{"damaged|FIRST|||..not a key record"}, "damaged"},
		"parked signature": {func(l *life) {
			l.forge(l.first, "levels 3", func(s *keystore.State) { s.Parked[1].Signature[50] ^= 1 })
		}, []string{"damaged|FIRST|levels 3||the parked trees cannot be used"}, "damaged"},
		"used leaf": {func(l *life) { l.forge(l.first, "levels 3", func(s *keystore.State) { s.Parked[0].Next = 0 }) },
			[]string{"damaged|FIRST|levels 3||..which is not used"}, "damaged"},
		"private attributes": {func(l *life) { l.forge(l.first, "levels 1", func(s *keystore.State) { s.Private = nil }) },
			[]string{"damaged|FIRST|levels 1||the attributes of the private key object"}, "damaged"},
		"exchanged attributes": {func(l *life) { l.forge(l.first, "levels 1", func(s *keystore.State) { s.Public = s.Private }) },
			[]string{"damaged|FIRST|levels 1||the attributes of the public key object"}, "damaged"},
		"attribute of the wrong form": {func(l *life) {
			l.forge(l.first, "levels 1", func(s *keystore.State) {
				r, err := parseRecord(s.Private)
				l.must(err)
				r.Attributes[ck.CKA_SIGN] = []byte{2}
				s.Private = r.encode()
			})
		}, []string{"damaged|FIRST|levels 1||..CKA_SIGN"}, "damaged"},

		// The shelf.
		"token value":     {func(l *life) { l.shelf("token", "?") }, []string{"damaged|FIRST||token|the value cannot be used"}, "damaged"},
		"token version":   {func(l *life) { l.shelf("token", `{"version":2,"label":"x"}`) }, []string{"damaged|FIRST||token|..version 2"}, "damaged"},
		"token label":     {func(l *life) { l.shelf("token", `{"version":1,"label":"\u001b"}`) }, []string{"damaged|FIRST||token|..label"}, "damaged"},
		"token misspelt":  {func(l *life) { l.shelf("token", `{"version":1,"libel":"x"}`) }, []string{"damaged|FIRST||token|..not as it was written"}, "damaged"},
		"no token value":  {func(l *life) { l.must(editShelf(l.path(l.first), "token", "")) }, []string{"damaged|FIRST||token|the value is missing"}, "damaged"},
		"no SO PIN":       {func(l *life) { l.must(editShelf(l.path(l.first), "pin/so", "")) }, []string{"damaged|FIRST||pin/so|the value is missing"}, "damaged"},
		"SO PIN":          {func(l *life) { l.shelf("pin/so", "{}") }, []string{"damaged|FIRST||pin/so|the value cannot be used"}, "damaged"},
		"user PIN locked": {func(l *life) { l.tries("pin/user", maxTries) }, []string{"information|FIRST||pin/user|the PIN is locked"}, "good"},
		"tries misspelt": {func(l *life) {
			l.put(l.first, "shelf", []byte("pin/user"), func(v []byte) []byte { return bytes.Replace(v, []byte("tries"), []byte("fries"), 1) })
		}, []string{"damaged|FIRST||pin/user|..not as it was written"}, "damaged"},
		"sealed key cut": {func(l *life) {
			l.pin("pin/user", func(r *pinRecord) { r.Sealed = r.Sealed[1:] })
		}, []string{"damaged|FIRST||pin/user|..a sealed key of 59"}, "damaged"},
		"object":  {func(l *life) { l.shelf("object/token/x", "?") }, []string{"damaged|FIRST||object/token/x|the value cannot be used"}, "damaged"},
		"unknown": {func(l *life) { l.shelf("weather", "fine"); l.shelf("object/session/1", "?") }, []string{"information|FIRST||weather|", "information|FIRST||object/session/1|"}, "good"},
		"key outside a record": {func(l *life) { l.shelf("object/token/x", string(hssPrivate.bare("").record())) },
			[]string{"damaged|FIRST||object/token/x|..outside a key record"}, "damaged"},
		"key without secret": {func(l *life) { l.shelf("object/token/x", string(objectRecord{Attributes: plainSecretless()}.encode())) },
			[]string{"damaged|FIRST||object/token/x|..a key without its secret"}, "damaged"},
		"transfer key without secret": {func(l *life) { l.shelf("object/token/x", string(transferPrivate.bare("").record())) },
			[]string{"damaged|FIRST||object/token/x|..without its secret"}, "damaged"},
		"no request": {func(l *life) { l.shelf("object/token/x", string(transferPublic.bare("").record())) },
			[]string{"damaged|FIRST||object/token/x|..couldn't read the request"}, "damaged"},

		// The directory.
		"open to others": {func(l *life) { l.must(os.Chmod(l.directory, 0o750)) }, []string{"warning|.|||the directory is open to other users (-rwxr-x---)"}, "good"},
		"foreign files": {func(l *life) { l.copyFile("slots.json", "slots.json.bak"); l.copyFile("slots.json", "tokens/notes") },
			[]string{"warning|slots.json.bak|||the file does not belong", "warning|tokens/notes|||the file does not belong"}, "good"},
		"left over": {func(l *life) { l.copyFile("slots.json", ".onceleaf-123"); l.copyFile("slots.json", "tokens/.new-0.db") },
			[]string{"information|.onceleaf-123|||", "information|tokens/.new-0.db|||"}, "good"},
		"a daemon's files": {func(l *life) {
			l.copyFile("slots.json", "onceleafd.log")
			l.copyFile("slots.json", "onceleaf.sock.lock")
			l.must(unix.Mknod(l.path("onceleaf.sock"), unix.S_IFSOCK|0o600, 0))
		}, nil, "good"},
		"no socket":    {func(l *life) { l.copyFile("slots.json", "onceleaf.sock") }, []string{"warning|onceleaf.sock|||the file does not belong"}, "good"},
		"no lock file": {func(l *life) { l.must(os.Remove(l.path("onceleaf.lock"))) }, nil, "good"},

		// Supplies.
		"low": {func(l *life) {
			l.forge(l.first, "levels 1", func(s *keystore.State) { s.Free = keystore.Spans{{From: 29, To: 32}} })
		}, []string{"information|FIRST|levels 1||3 signatures of 32 are left, less than 10 percent"}, "good"},
		"used up": {func(l *life) { l.forge(l.first, "levels 1", func(s *keystore.State) { s.Free = keystore.Spans{} }) },
			[]string{"information|FIRST|levels 1||no signature is left"}, "good"},
	} {
		t.Run(name, func(t *testing.T) {
			l := original.copyTo(t)
			c.do(l)
			r := l.inspect()
			l.expect(r, c.want...)
			at := slices.IndexFunc(r.Stores, func(s StoreReport) bool { return s.File == l.first })
			if at < 0 {
				t.Fatal("the first store is not in the report")
			}
			if got := r.Stores[at].State; got != c.state {
				t.Errorf("the first store is %s, want %s", got, c.state)
			}
			if !slices.IsSortedFunc(r.Findings, func(a, b Finding) int { return int(b.Severity) - int(a.Severity) }) {
				t.Error("the gravest is not the first")
			}
		})
	}
}
