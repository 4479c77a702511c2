package token

import (
	"fmt"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// fullToken is a token with n AES keys that are CKA_PRIVATE. Nobody is logged in.
func fullToken(b *testing.B, n int) *testToken {
	b.Helper()
	tk := newTestToken(b)
	s := tk.userSession()
	for i := range n {
		tk.aesKey(s, benchName(i)...)
	}
	tk.EndSession(s.ID)
	tk.must(tk.Logout())
	return tk
}

func benchName(i int) []Attribute {
	return []Attribute{{ck.CKA_LABEL, fmt.Appendf(nil, "object %d", i)}, {ck.CKA_ID, fmt.Appendf(nil, "%08x", i)}}
}

// From a closed directory to the first use of one key among 10,000. The PINs of tests are cheap: argon2id, as it is
// set, comes on top.
func BenchmarkOpen10k(b *testing.B) {
	tk := fullToken(b, 10_000)
	for b.Loop() {
		tk.must(tk.device.Close())
		d, err := OpenDevice(tk.config, discard)
		tk.must(err)
		tk.device = d
		tk.adopt()
		tk.must(tk.Login(ck.CKU_USER, userPIN))
		tk.must(second(tk.encrypts(tk.Find(benchName(4711)[:1])[0])))
	}
}

func BenchmarkFind10k(b *testing.B) {
	tk := fullToken(b, 10_000)
	tk.must(tk.Login(ck.CKU_USER, userPIN))
	for b.Loop() {
		if got := tk.Find(benchName(4711)[:1]); len(got) != 1 {
			b.Fatal(got)
		}
	}
}

func BenchmarkFindAll10k(b *testing.B) {
	tk := fullToken(b, 10_000)
	tk.must(tk.Login(ck.CKU_USER, userPIN))
	for b.Loop() {
		if got := tk.Find(nil); len(got) < 10_000 {
			b.Fatal(len(got))
		}
	}
}

// One durable object: two syncs of the disk.
func BenchmarkCreate(b *testing.B) {
	tk := fullToken(b, 0)
	tk.mostObjects = 0 // no bound
	s := tk.userSession()
	i := 0
	for b.Loop() {
		tk.aesKey(s, benchName(i)...)
		i++
	}
}

// What C_EncryptInit, or C_SignInit, costs here.
func BenchmarkKey(b *testing.B) {
	tk := fullToken(b, 100)
	tk.must(tk.Login(ck.CKU_USER, userPIN))
	id := tk.Find(benchName(47)[:1])[0]
	for b.Loop() {
		if _, err := tk.Key(id, ck.Mechanism{Type: ck.CKM_AES_ECB}, ck.CKA_ENCRYPT, ck.CKF_ENCRYPT); err != nil {
			b.Fatal(err)
		}
	}
}
