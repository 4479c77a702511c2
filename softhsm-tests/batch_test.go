package softhsmtests

import (
	"fmt"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/internal/audit"
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/lms"
)

// A key whose durable writes take several message leaves at once, with one level and with two: a crash burns what is
// left of the one batch in memory and no more, and a clean end burns nothing.
func TestBatches(t *testing.T) {
	const batch = 4
	for levels := 1; levels <= 2; levels++ {
		t.Run(fmt.Sprintf("%d levels", levels), func(t *testing.T) {
			k, used := newToken(t), new(audit.Audit)
			key := k.generate(twoLevels[:levels], attribute(ck.CKA_ONCELEAF_RESERVE, uint64(batch)))
			if n := k.ulong(key.Private, ck.CKA_ONCELEAF_RESERVE); n != batch {
				t.Errorf("batches of %d leaves, want %d", n, batch)
			}
			left := k.remaining(key.Private)
			for _, signed := range []int{1, 3, batch, batch + 2} {
				k.signTimes(signed, k.key("key"), used)
				left = k.fell(left, uint64(signed))
				k = k.crash()
				left = k.lost(left, batch-1)
			}
			for _, signed := range []int{1, 3, batch} {
				k.signTimes(signed, k.key("key"), used)
				left = k.fell(left, uint64(signed))
				k = k.restart()
				left = k.lost(left, 0)
			}
		})
	}
}

// A key with batches has no lower tree to lose: after a crash the same one goes on.
func TestCrashKeepsTheLowerTree(t *testing.T) {
	k := newToken(t)
	k.generate(twoLevels, attribute(ck.CKA_ONCELEAF_RESERVE, uint64(4)))
	before := k.lowestLeaf(k.sign(k.key("key"), new(audit.Audit), []byte("before")))
	k = k.crash()
	after := k.lowestLeaf(k.sign(k.key("key"), new(audit.Audit), []byte("after")))
	if after.I != before.I || before.Q != 0 || after.Q != 4 {
		t.Errorf("leaf %d of tree %x, then leaf %d of tree %x; want leaf 4 of the same tree", before.Q, before.I, after.Q, after.I)
	}
}

func (k *token) lowestLeaf(signature []byte) lms.Leaf {
	k.t.Helper()
	leaves := k.leaves(signature)
	return leaves[len(leaves)-1]
}

// leaves are the leaves that a signature used, of the root tree first.
func (k *token) leaves(signature []byte) []lms.Leaf {
	k.t.Helper()
	return value(lms.ParseHSSSignature(signature))(k.t).Leaves()
}

// fell checks that signing n messages took n signatures, and returns what is left.
func (k *token) fell(left, n uint64) uint64 {
	k.t.Helper()
	now := k.remaining(k.key("key").Private)
	if now != left-n {
		k.t.Errorf("%d signatures left, want %d less %d", now, left, n)
	}
	return now
}

// lost checks that at most n leaves went unused, and returns what is left.
func (k *token) lost(left, n uint64) uint64 {
	k.t.Helper()
	now := k.remaining(k.key("key").Private)
	if now > left || now+n < left {
		k.t.Errorf("%d signatures left, want %d less at most %d", now, left, n)
	}
	return now
}

func TestReserveOfMoreThanATree(t *testing.T) {
	k := newToken(t)
	_, err := k.tryGenerate(twoLevels, attribute(ck.CKA_ONCELEAF_RESERVE, uint64(33)))
	wantRV(t, err, ck.CKR_TEMPLATE_INCONSISTENT)
}

// The log says when a key runs low and when it is used up, and the key says it too.
func TestLowKey(t *testing.T) {
	k, used := newToken(t), new(audit.Audit)
	key := k.generate(oneLevel, attribute(ck.CKA_ONCELEAF_WARN_BELOW, uint64(50)))
	k.signTimes(16, key, used)
	if low := k.bytes(key.Private, ck.CKA_ONCELEAF_LOW); low[0] != 0 {
		t.Error("a key with 16 signatures of 32 is low at 50 percent")
	}
	must(t, k.SetAttributeValue(k.session, key.Private, attribute(ck.CKA_ONCELEAF_WARN_BELOW, uint64(51))))
	if low := k.bytes(key.Private, ck.CKA_ONCELEAF_LOW); low[0] != 1 {
		t.Error("a key with 16 signatures of 32 is not low at 51 percent")
	}
	k.signTimes(16, key, used)
	k.stop()
	if n := strings.Count(k.log(), "level=ERROR msg=\"the key is used up for good"); n != 1 {
		t.Errorf("the end of the key is in the log %d times, want once:\n%s", n, k.log())
	}
}
