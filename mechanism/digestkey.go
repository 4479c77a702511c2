package mechanism

import (
	"fmt"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// DigestKey is C_DigestKey: the value of a secret key as the next part of a digest. CKR_KEY_INDIGESTIBLE for other keys.
func DigestKey(d Digest, k *Key) error {
	if k.class != ck.CKO_SECRET_KEY {
		return fmt.Errorf("%w: a key of class %s", ck.CKR_KEY_INDIGESTIBLE, k.class)
	}
	return k.use(func() error { return d.Update(k.secret) })
}
