package clients

import "testing"

func TestSSH(t *testing.T) { follow(t, "OpenSSH: ssh-keygen and ssh-agent") }
