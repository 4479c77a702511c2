package clients

import (
	"strings"
	"testing"
)

func TestPKCS11Tool(t *testing.T) {
	out := follow(t, "OpenSC: pkcs11-tool")
	if !ours {
		return
	}
	// The tool's own tests say what they leave out, and leave it out without an error.
	for _, wanted := range []string{"No errors", "RSA-PKCS-OAEP", "==> OK", "SHA256-RSA-PKCS: OK"} {
		if !strings.Contains(out, wanted) {
			t.Errorf("pkcs11-tool did not say %q:\n%s", wanted, out)
		}
	}
}
