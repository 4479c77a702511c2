package token

import (
	"fmt"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// refuse is an error that PKCS#11 has a result for, with the reason in words. Nothing secret may be in them.
func refuse(rv ck.RV, reason string, args ...any) error {
	return fmt.Errorf("%w: %w", rv, fmt.Errorf(reason, args...))
}
