package softhsmtests

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// C_GenerateRandom and C_SeedRandom.
func TestGroupRandom(t *testing.T) {
	group(t, "random",
		scenario{name: "generate", run: generateRandom},
		scenario{name: "seed", run: seedRandom},
	)
}

func generateRandom(a *actor) {
	for _, n := range []int{1, 16, 4096, 1 << 20} {
		first, err := a.GenerateRandom(a.session, n)
		a.length(fmt.Sprintf("%d bytes", n), n, first, err)
		second, err := a.GenerateRandom(a.session, n)
		a.length(fmt.Sprintf("%d bytes again", n), n, second, err)
		a.equal(fmt.Sprintf("%d bytes are others", n), true, n == 1 || !bytes.Equal(first, second))
	}
	many, err := a.GenerateRandom(a.session, 1<<20)
	a.ok("a lot", err)
	ones := 0
	for _, b := range many {
		for ; b != 0; b &= b - 1 {
			ones++
		}
	}
	// 8 * 2^20 coins: the deviation of a fair one is 1448; this is 34 of them.
	a.equal("half of the bits", true, ones > 4<<20-50000 && ones < 4<<20+50000)
}

func seedRandom(a *actor) {
	a.rv("C_SeedRandom", ck.CKR_RANDOM_SEED_NOT_SUPPORTED, a.SeedRandom(a.session, []byte("seed")))
	_, err := a.GenerateRandom(a.session, 16)
	a.ok("C_GenerateRandom after it", err)
}
