package clients

import "testing"

func TestP11Kit(t *testing.T) { follow(t, "p11-kit", asNobody) }
