package clients

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// nginx is started as a user who is not root, since a master of root would make its workers another user's.
func TestNginx(t *testing.T) {
	follow(t, "nginx", asNobody, func(d *desk) {
		d.edit = keepSoftHSM
		t.Cleanup(func() {
			if said, _ := os.ReadFile(filepath.Join(d.work, "error.log")); t.Failed() {
				t.Logf("nginx said:\n%s", said)
			}
		})
	})
}

// keepSoftHSM lets nginx hand its workers the variable that SoftHSM needs.
func keepSoftHSM(text string) string {
	if ours {
		return text
	}
	return strings.Replace(text, "env PIN;", "env PIN;\nenv SOFTHSM2_CONF;", 1)
}
