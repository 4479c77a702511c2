package clients

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestProvider(t *testing.T) { follow(t, "OpenSSL 3: pkcs11-provider", withProvider) }

// withProvider names the provider's library: what the system has, else what `make test-clients` unpacked.
func withProvider(d *desk) {
	d.t.Helper()
	const library, unpacked = "/usr/lib/*/ossl-modules/pkcs11.so", "../../build/pkcs11-provider"
	for _, pattern := range []string{library, unpacked + library} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			path, err := filepath.Abs(found[0])
			must(d.t, err)
			d.set("PROVIDER", path)
			d.edit = stayAtExit
			return
		}
	}
	reason, err := os.ReadFile(unpacked + "/missing")
	if err != nil {
		reason = []byte("run make test-clients")
	}
	skip(d.t, "there is no pkcs11-provider: "+strings.TrimSpace(string(reason)))
}

// stayAtExit makes the provider call nothing while the process ends: SoftHSM, which uses OpenSSL too, crashes there.
func stayAtExit(text string) string {
	if ours {
		return text
	}
	return strings.Replace(text, "pkcs11-module-path", "pkcs11-module-quirks = no-deinit\npkcs11-module-path", 1)
}
