package clients

import (
	"strings"
	"testing"
)

func TestJCA(t *testing.T) {
	follow(t, "Java: a program", with("Jca.java"), func(d *desk) { d.edit = allowECDH })
}

// allowECDH gives the keys of Java the attributes without which SoftHSM agrees on no secret that Java may read.
// Onceleaf's defaults are made for Java, and need nothing.
func allowECDH(text string) string {
	if ours || !strings.HasPrefix(text, "name = ") {
		return text
	}
	return text + "attributes(generate, CKO_PRIVATE_KEY, CKK_EC) = {\n  CKA_DERIVE = true\n}\n" +
		"attributes(generate, CKO_SECRET_KEY, CKK_GENERIC_SECRET) = {\n  CKA_SENSITIVE = false\n  CKA_EXTRACTABLE = true\n}\n"
}
