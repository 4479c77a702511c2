package clients

import "testing"

func TestOsslsigncode(t *testing.T) { follow(t, "osslsigncode") }
