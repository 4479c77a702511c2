package p11module

import (
	"crypto/rand"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// maxRandom bounds one C_GenerateRandom, in bytes.
const maxRandom = 1 << 30

// GenerateRandom is C_GenerateRandom: n bytes from the operating system.
func (m *Module) GenerateRandom(h ck.SessionHandle, n uint64) (random []byte, rv ck.RV) {
	rv = m.runInSession("C_GenerateRandom", h, func(*library, *session) error {
		if n > maxRandom {
			return ck.CKR_ARGUMENTS_BAD
		}
		random = make([]byte, n)
		rand.Read(random)
		return nil
	})
	return random, rv
}

// SeedRandom is C_SeedRandom: the operating system seeds itself.
func (m *Module) SeedRandom(h ck.SessionHandle, _ []byte) ck.RV {
	return m.runInSession("C_SeedRandom", h, func(*library, *session) error {
		return ck.CKR_RANDOM_SEED_NOT_SUPPORTED
	})
}
