package clients

import "testing"

func TestGnuTLS(t *testing.T) { follow(t, "GnuTLS: p11tool and certtool") }
