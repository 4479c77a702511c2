package clients

import "testing"

func TestKeytool(t *testing.T) { follow(t, "Java: keytool and jarsigner") }
