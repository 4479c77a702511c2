package softhsmtests

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/onceleaf/onceleaf/internal/audit"
	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/lms"
)

// Key generation cut off by SIGKILL leaves a whole key pair or nothing. The first rounds kill it while the root tree
// is built, which takes seconds; the others at a moment near the durable write.
func TestInterruptedKeyGeneration(t *testing.T) {
	h15 := []lms.ParameterSet{{LMS: lms.LMS_SHA256_M32_H15, OTS: lms.LMOTS_SHA256_N32_W8}}
	k := newToken(t)
	for round := range 8 {
		levels, most := twoLevels, 30*time.Millisecond
		if round < 2 {
			levels, most = h15, 400*time.Millisecond
		}
		ended := make(chan error, 1)
		go func(k *token) {
			_, err := k.tryGenerate(levels)
			ended <- err
		}(k)
		time.Sleep(rand.N(most))
		k = k.crash()
		completed := <-ended == nil
		private := value(k.FindObjects(k.session, attribute(ck.CKA_CLASS, uint64(ck.CKO_PRIVATE_KEY))))(t)
		public := value(k.FindObjects(k.session, attribute(ck.CKA_CLASS, uint64(ck.CKO_PUBLIC_KEY))))(t)
		if len(private) != len(public) || completed && len(private) != 1 || round < 2 && len(private) != 0 {
			t.Fatalf("round %d: %d private and %d public keys; generation completed: %v", round, len(private), len(public), completed)
		}
		if len(private) == 1 {
			k.sign(k.key("key"), new(audit.Audit), []byte("the key is whole"))
			must(t, k.DestroyObject(k.session, private[0]))
			must(t, k.DestroyObject(k.session, public[0]))
		}
	}
	k.sign(k.generate(twoLevels), new(audit.Audit), []byte("the token still works"))
}
