package clients

import "testing"

func TestEngine(t *testing.T) { follow(t, "OpenSSL 3: the engine of libp11") }
