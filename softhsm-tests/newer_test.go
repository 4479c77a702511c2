package softhsmtests

import "testing"

// The functions that PKCS#11 3.0 and 3.2 added. SoftHSM has none of them.
func TestHostNewer(t *testing.T) {
	run(t, compile(t, "newer"), module)
}
