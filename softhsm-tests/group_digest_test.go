package softhsmtests

import (
	"bytes"
	"crypto"
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha3"
	_ "crypto/sha512"
	"fmt"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// digests are the digests and what Go calls them.
var digests = []struct {
	name   string
	number uint
	hash   crypto.Hash
}{
	{"SHA-1", pkcs11.CKM_SHA_1, crypto.SHA1},
	{"SHA-224", pkcs11.CKM_SHA224, crypto.SHA224},
	{"SHA-256", pkcs11.CKM_SHA256, crypto.SHA256},
	{"SHA-384", pkcs11.CKM_SHA384, crypto.SHA384},
	{"SHA-512", pkcs11.CKM_SHA512, crypto.SHA512},
	{"SHA3-224", pkcs11.CKM_SHA3_224, crypto.SHA3_224},
	{"SHA3-256", pkcs11.CKM_SHA3_256, crypto.SHA3_256},
	{"SHA3-384", pkcs11.CKM_SHA3_384, crypto.SHA3_384},
	{"SHA3-512", pkcs11.CKM_SHA3_512, crypto.SHA3_512},
}

// Digests, in one part and in several, and of keys.
func TestGroupDigest(t *testing.T) {
	scenarios := []scenario{
		{name: "states", run: digestStates},
		{name: "old ones", run: oldDigests},
		{name: "keys", run: digestKeys},
		{name: "parameters", run: digestParameters},
	}
	for _, d := range digests {
		scenarios = append(scenarios, scenario{name: d.name, run: func(a *actor) { digest(a, d.number, d.hash) }})
	}
	group(t, "digest", scenarios...)
}

func sum(hash crypto.Hash, data []byte) []byte {
	h := hash.New()
	h.Write(data)
	return h.Sum(nil)
}

func digest(a *actor, number uint, hash crypto.Hash) {
	m := plain(number)
	a.need("C_DigestInit", a.begin("Digest", m, 0))
	got, err := a.once("Digest", []byte("data"))
	a.gives("C_Digest", sum(hash, []byte("data")), got, err)
	for _, n := range []int{0, 1, 63, 64, 65, 127, 128, 129, 1 << 16} {
		data := bytes.Repeat([]byte("d"), n)
		got, err = a.apply("Digest", m, 0, data)
		a.gives(fmt.Sprintf("%d bytes", n), sum(hash, data), got, err)
		got, err = a.applyParts("Digest", m, 0, data[:n/3], data[n/3:n/2], nil, data[n/2:])
		a.gives(fmt.Sprintf("%d bytes in parts", n), sum(hash, data), got, err)
	}
	got, err = a.applyParts("Digest", m, 0)
	a.gives("C_DigestFinal at once", sum(hash, nil), got, err)
}

func digestStates(a *actor) {
	m := plain(pkcs11.CKM_SHA256)
	none := func(step string) {
		_, err := a.once("Digest", []byte("data"))
		a.rv(step+": C_Digest", ck.CKR_OPERATION_NOT_INITIALIZED, err)
		_, err = a.update("Digest", []byte("data"))
		a.rv(step+": C_DigestUpdate", ck.CKR_OPERATION_NOT_INITIALIZED, err)
		_, err = a.final("Digest")
		a.rv(step+": C_DigestFinal", ck.CKR_OPERATION_NOT_INITIALIZED, err)
	}
	none("before")
	a.need("C_DigestInit", a.begin("Digest", m, 0))
	a.rv("C_DigestInit again", ck.CKR_OPERATION_ACTIVE, a.begin("Digest", m, 0))
	_, err := a.once("Digest", []byte("data"))
	a.ok("C_Digest", err)
	none("after C_Digest")
	a.need("C_DigestInit for parts", a.begin("Digest", m, 0))
	_, err = a.update("Digest", []byte("data"))
	a.ok("C_DigestUpdate", err)
	_, err = a.once("Digest", []byte("data"))
	a.rv("C_Digest after C_DigestUpdate", ck.CKR_OPERATION_ACTIVE, err)
	none("after mixing")
	a.apart(func() {
		a.need("C_DigestInit once more", a.begin("Digest", m, 0))
		_, err = a.final("Digest")
		a.ok("C_DigestFinal at once", err)
		none("after C_DigestFinal")
	})
}

func oldDigests(a *actor) {
	a.rv("CKM_MD5", ck.CKR_MECHANISM_INVALID, a.begin("Digest", plain(pkcs11.CKM_MD5), 0))
	a.apart(func() {
		a.rv("CKM_RIPEMD160", ck.CKR_MECHANISM_INVALID, a.begin("Digest", plain(pkcs11.CKM_RIPEMD160), 0))
		a.rv("CKM_RSA_PKCS", ck.CKR_MECHANISM_INVALID, a.begin("Digest", plain(pkcs11.CKM_RSA_PKCS), 0))
		a.rv("CKM_SHA256_HMAC", ck.CKR_MECHANISM_INVALID, a.begin("Digest", plain(pkcs11.CKM_SHA256_HMAC), 0))
		a.rv("a number that is none", ck.CKR_MECHANISM_INVALID, a.begin("Digest", plain(0x7fffffff), 0))
	})
}

func digestParameters(a *actor) {
	a.rv("C_DigestInit", ck.CKR_MECHANISM_PARAM_INVALID, a.begin("Digest", plain(pkcs11.CKM_SHA256, 1, 2, 3), 0))
}

func digestKeys(a *actor) {
	secret := a.random(32)
	may := a.secretKey("C_CreateObject", pkcs11.CKK_GENERIC_SECRET, secret, SENSITIVE, false, EXTRACTABLE, true)
	mayNot := a.secretKey("C_CreateObject, sensitive", pkcs11.CKK_GENERIC_SECRET, secret, SENSITIVE, true, EXTRACTABLE,
		false)
	pair := a.rsaPair(nil, nil)
	key := func(object pkcs11.ObjectHandle) error {
		_, err := a.operate(worker.OperationCall{Function: "DigestKey"}, object)
		return err
	}
	a.rv("C_DigestKey before C_DigestInit", ck.CKR_OPERATION_NOT_INITIALIZED, key(may))
	a.need("C_DigestInit", a.begin("Digest", plain(pkcs11.CKM_SHA256), 0))
	_, err := a.update("Digest", []byte("before"))
	a.ok("C_DigestUpdate", err)
	a.ok("C_DigestKey", key(may))
	_, err = a.update("Digest", []byte("after"))
	a.ok("C_DigestUpdate after it", err)
	got, err := a.final("Digest")
	a.gives("C_DigestFinal", sum(crypto.SHA256, append(append([]byte("before"), secret...), "after"...)), got, err)
	for _, c := range []struct {
		name string
		key  pkcs11.ObjectHandle
		want ck.RV
	}{
		{"a sensitive key", mayNot, ck.CKR_OK},
		{"a private key", pair.Private, ck.CKR_KEY_INDIGESTIBLE},
		{"no key", 99999, ck.CKR_KEY_HANDLE_INVALID},
	} {
		a.apart(func() {
			a.need(c.name+": C_DigestInit", a.begin("Digest", plain(pkcs11.CKM_SHA256), 0))
			a.rv(c.name+": C_DigestKey", c.want, key(c.key))
		})
	}
}
