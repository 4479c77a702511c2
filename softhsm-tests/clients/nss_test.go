package clients

import "testing"

func TestNSS(t *testing.T) { follow(t, "NSS: modutil, certutil, cmsutil, pk12util") }
