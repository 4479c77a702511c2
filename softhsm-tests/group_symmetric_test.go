package softhsmtests

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// Encryption and decryption with AES.
func TestGroupSymmetric(t *testing.T) {
	group(t, "symmetric",
		scenario{name: "ECB", run: func(a *actor) { blocks(a, plain(pkcs11.CKM_AES_ECB), ecb) }},
		scenario{name: "CBC", run: func(a *actor) { blocks(a, plain(pkcs11.CKM_AES_CBC, iv16...), cbc) }},
		scenario{name: "CBC_PAD", run: paddedBlocks},
		scenario{name: "CTR", run: counters},
		scenario{name: "CTR overflow", run: counterOverflow},
		scenario{name: "GCM", run: authenticated},
		scenario{name: "GCM parameters", run: gcmParameters},
		scenario{name: "GCM forged", run: gcmForged},
		scenario{name: "padding", run: wrongPadding},
		scenario{name: "generate", run: generateSecrets},
		scenario{name: "parameters", run: cipherParameters},
		scenario{name: "wrong keys", run: cipherKeys},
		scenario{name: "states of Encrypt", run: func(a *actor) { cipherStates(a, "Encrypt") }},
		scenario{name: "states of Decrypt", run: func(a *actor) { cipherStates(a, "Decrypt") }},
		scenario{name: "both at once", run: encryptAndDecrypt},
		scenario{name: "old ones", run: oldCiphers},
		scenario{name: "dual functions", run: dualFunctions},
	)
}

var (
	iv16 = []byte("0123456789abcdef")
	iv12 = iv16[:12]
)

// What Go makes of whole blocks.
func ecb(block cipher.Block, data []byte) []byte {
	out := make([]byte, len(data))
	for i := 0; i < len(data); i += 16 {
		block.Encrypt(out[i:], data[i:])
	}
	return out
}

func cbc(block cipher.Block, data []byte) []byte {
	out := make([]byte, len(data))
	cipher.NewCBCEncrypter(block, iv16).CryptBlocks(out, data)
	return out
}

// pad is PKCS#7.
func pad(data []byte) []byte {
	n := 16 - len(data)%16
	return append(bytes.Clone(data), bytes.Repeat([]byte{byte(n)}, n)...)
}

// thirds cuts data into uneven parts, one of them empty.
func thirds(data []byte) [][]byte {
	n := len(data)
	return [][]byte{data[:n/3], data[n/3 : n/2], nil, data[n/2:]}
}

// round is one way there and back, in one part and in several.
func (a *actor) round(name string, m worker.Mechanism, key pkcs11.ObjectHandle, data, sealed []byte) {
	got, err := a.apply("Encrypt", m, key, data)
	a.gives(name+": C_Encrypt", sealed, got, err)
	got, err = a.apply("Decrypt", m, key, sealed)
	a.gives(name+": C_Decrypt", data, got, err)
	a.apart(func() {
		got, err := a.applyParts("Encrypt", m, key, thirds(data)...)
		a.gives(name+": C_EncryptUpdate", sealed, got, err)
	})
	a.apart(func() {
		got, err := a.applyParts("Decrypt", m, key, thirds(sealed)...)
		a.gives(name+": C_DecryptUpdate", data, got, err)
	})
}

// blocks is a mechanism that takes whole blocks alone.
func blocks(a *actor, m worker.Mechanism, with func(cipher.Block, []byte) []byte) {
	for _, size := range []int{16, 24, 32} {
		secret := a.random(size)
		key := a.aesKey(secret)
		for _, n := range []int{16, 32, 4096} {
			data := bytes.Repeat([]byte("d"), n)
			a.round(fmt.Sprintf("%d bytes, key of %d", n, size), m, key, data, with(made(aes.NewCipher(secret)), data))
		}
		for _, n := range []int{1, 15, 17} {
			_, err := a.apply("Encrypt", m, key, make([]byte, n))
			a.rv(fmt.Sprintf("C_Encrypt of %d bytes, key of %d", n, size), ck.CKR_DATA_LEN_RANGE, err)
			_, err = a.apply("Decrypt", m, key, make([]byte, n))
			a.rv(fmt.Sprintf("C_Decrypt of %d bytes, key of %d", n, size), ck.CKR_ENCRYPTED_DATA_LEN_RANGE, err)
		}
	}
	key := a.aesKey(a.random(16))
	got, err := a.apply("Encrypt", m, key, nil)
	a.gives("C_Encrypt of nothing", nil, got, err)
	_, err = a.applyParts("Encrypt", m, key, make([]byte, 17))
	a.rv("C_EncryptFinal after 17 bytes", ck.CKR_DATA_LEN_RANGE, err)
	_, err = a.final("Encrypt")
	a.rv("C_EncryptFinal after the error", ck.CKR_OPERATION_NOT_INITIALIZED, err)
	_, err = a.applyParts("Decrypt", m, key, make([]byte, 17))
	a.rv("C_DecryptFinal after 17 bytes", ck.CKR_ENCRYPTED_DATA_LEN_RANGE, err)
}

func paddedBlocks(a *actor) {
	m := plain(pkcs11.CKM_AES_CBC_PAD, iv16...)
	secret := a.random(32)
	key := a.aesKey(secret)
	for _, n := range []int{0, 1, 15, 16, 17, 31, 32, 4095, 4096} {
		data := bytes.Repeat([]byte("d"), n)
		a.round(fmt.Sprintf("%d bytes", n), m, key, data, cbc(made(aes.NewCipher(secret)), pad(data)))
	}
	for _, n := range []int{0, 1, 15, 17} {
		_, err := a.apply("Decrypt", m, key, make([]byte, n))
		a.rv(fmt.Sprintf("C_Decrypt of %d bytes", n), ck.CKR_ENCRYPTED_DATA_LEN_RANGE, err)
	}
}

func counters(a *actor) {
	for _, size := range []int{16, 24, 32} {
		secret := a.random(size)
		key := a.aesKey(secret)
		for _, n := range []int{0, 1, 15, 16, 17, 4095} {
			data := bytes.Repeat([]byte("d"), n)
			sealed := make([]byte, n)
			cipher.NewCTR(made(aes.NewCipher(secret)), iv16).XORKeyStream(sealed, data)
			a.round(fmt.Sprintf("%d bytes, key of %d", n, size), ctr(128, iv16), key, data, sealed)
		}
	}
	key := a.aesKey(a.random(16))
	for _, bits := range []uint{0, 129, 1 << 40} {
		a.rv(fmt.Sprintf("%d bits", bits), ck.CKR_MECHANISM_PARAM_INVALID, a.begin("Encrypt", ctr(bits, iv16), key))
	}
}

// A counter of few bits must not come round.
func counterOverflow(a *actor) {
	key := a.aesKey(a.random(16))
	start := make([]byte, 16) // 2 blocks are left of a counter of 8 bits
	start[15] = 0xfe
	_, err := a.apply("Encrypt", ctr(8, start), key, make([]byte, 32))
	a.ok("2 blocks", err)
	_, err = a.apply("Encrypt", ctr(8, start), key, make([]byte, 33))
	a.rv("2 blocks and a byte", ck.CKR_DATA_LEN_RANGE, err)
	a.apart(func() {
		a.ok("C_EncryptInit", a.begin("Encrypt", ctr(8, start), key))
		_, err := a.update("Encrypt", make([]byte, 32))
		a.ok("C_EncryptUpdate of 2 blocks", err)
		_, err = a.update("Encrypt", make([]byte, 1))
		a.rv("C_EncryptUpdate of one more byte", ck.CKR_DATA_LEN_RANGE, err)
	})
	a.apart(func() {
		_, err := a.apply("Decrypt", ctr(8, start), key, make([]byte, 33))
		a.rv("C_Decrypt of 2 blocks and a byte", ck.CKR_ENCRYPTED_DATA_LEN_RANGE, err)
	})
}

func seal(secret, iv, associated, data []byte, tag int) []byte {
	block := made(aes.NewCipher(secret))
	var aead cipher.AEAD
	if len(iv) == 12 {
		aead = made(cipher.NewGCMWithTagSize(block, tag))
	} else {
		aead = made(cipher.NewGCMWithNonceSize(block, len(iv)))
	}
	return aead.Seal(nil, iv, data, associated)
}

func authenticated(a *actor) {
	for _, size := range []int{16, 24, 32} {
		secret := a.random(size)
		key := a.aesKey(secret)
		for _, n := range []int{0, 1, 16, 17, 4095} {
			data := bytes.Repeat([]byte("d"), n)
			a.round(fmt.Sprintf("%d bytes, key of %d", n, size), gcm(iv12, []byte("aad"), 128), key, data,
				seal(secret, iv12, []byte("aad"), data, 16))
		}
	}
	secret := a.random(32)
	key := a.aesKey(secret)
	data := []byte("some data")
	for _, tag := range []uint{96, 104, 112, 120, 128} {
		a.round(fmt.Sprintf("tag of %d bits", tag), gcm(iv12, nil, tag), key, data, seal(secret, iv12, nil, data, int(tag/8)))
	}
	for _, n := range []int{8, 16, 64} {
		iv := bytes.Repeat([]byte{7}, n)
		a.round(fmt.Sprintf("IV of %d bytes", n), gcm(iv, []byte("aad"), 128), key, data,
			seal(secret, iv, []byte("aad"), data, 16))
	}
}

// CK_GCM_PARAMS has two sizes, and applications of both are there.
func gcmParameters(a *actor) {
	secret := a.random(16)
	key := a.aesKey(secret)
	data := []byte("some data")
	short := gcm220(iv12, []byte("aad"), 128)
	got, err := a.apply("Encrypt", short, key, data)
	a.gives("40 bytes", seal(secret, iv12, []byte("aad"), data, 16), got, err)
	for _, c := range []struct {
		name string
		m    worker.Mechanism
	}{
		{"none", plain(pkcs11.CKM_AES_GCM)},
		{"an IV alone", plain(pkcs11.CKM_AES_GCM, iv12...)},
		{"no IV", gcm(nil, nil, 128)},
		{"a tag of 129 bits", gcm(iv12, nil, 129)},
		{"a tag of 256 bits", gcm(iv12, nil, 256)},
		{"a tag of 12 bits", gcm(iv12, nil, 12)},
		{"a tag of 0 bits", gcm(iv12, nil, 0)},
	} {
		a.apart(func() { a.rv(c.name, ck.CKR_MECHANISM_PARAM_INVALID, a.begin("Encrypt", c.m, key)) })
	}
}

// What is not authentic gives nothing, whichever way it is asked for.
func gcmForged(a *actor) {
	secret := a.random(16)
	key := a.aesKey(secret)
	m := gcm(iv12, []byte("aad"), 128)
	sealed := seal(secret, iv12, []byte("aad"), bytes.Repeat([]byte("d"), 100), 16)
	for _, c := range []struct {
		name string
		data []byte
		want ck.RV
	}{
		{"a byte of the text", flipped(sealed, 5), ck.CKR_ENCRYPTED_DATA_INVALID},
		{"a byte of the tag", flipped(sealed, len(sealed)-1), ck.CKR_ENCRYPTED_DATA_INVALID},
		{"cut", sealed[:len(sealed)-1], ck.CKR_ENCRYPTED_DATA_INVALID},
		{"shorter than a tag", sealed[:15], ck.CKR_ENCRYPTED_DATA_LEN_RANGE},
		{"nothing", nil, ck.CKR_ENCRYPTED_DATA_LEN_RANGE},
	} {
		a.apart(func() {
			_, err := a.apply("Decrypt", m, key, c.data)
			a.rv(c.name, c.want, err)
		})
	}
	a.apart(func() {
		a.need("C_DecryptInit", a.begin("Decrypt", m, key))
		early, err := a.update("Decrypt", flipped(sealed, 5))
		a.ok("C_DecryptUpdate", err)
		a.equal("nothing comes before the tag", 0, len(early))
		_, err = a.final("Decrypt")
		a.rv("C_DecryptFinal", ck.CKR_ENCRYPTED_DATA_INVALID, err)
	})
}

// flipped is data with one bit changed.
func flipped(data []byte, at int) []byte {
	altered := bytes.Clone(data)
	altered[at] ^= 1
	return altered
}

// Each wrong padding has the same answer.
func wrongPadding(a *actor) {
	secret := a.random(16)
	key := a.aesKey(secret)
	for _, c := range []struct {
		name string
		last []byte
	}{
		{"0", make([]byte, 16)},
		{"17", bytes.Repeat([]byte{17}, 16)},
		{"2 after 1", append(make([]byte, 14), 1, 2)},
		{"255", bytes.Repeat([]byte{255}, 16)},
	} {
		sealed := cbc(made(aes.NewCipher(secret)), append(make([]byte, 16), c.last...))
		a.apart(func() {
			_, err := a.apply("Decrypt", plain(pkcs11.CKM_AES_CBC_PAD, iv16...), key, sealed)
			a.rv(c.name, ck.CKR_ENCRYPTED_DATA_INVALID, err)
		})
		a.apart(func() {
			_, err := a.applyParts("Decrypt", plain(pkcs11.CKM_AES_CBC_PAD, iv16...), key, sealed)
			a.rv(c.name+" in parts", ck.CKR_ENCRYPTED_DATA_INVALID, err)
		})
	}
}

func generateSecrets(a *actor) {
	for _, n := range []int{0, 8, 15, 16, 17, 24, 32, 33, 64} {
		want := ck.CKR_ATTRIBUTE_VALUE_INVALID
		if n == 16 || n == 24 || n == 32 {
			want = ck.CKR_OK
		}
		key, err := a.generateAES(attributes(VALUE_LEN, n, SENSITIVE, false, EXTRACTABLE, true))
		a.rv(fmt.Sprintf("AES of %d bytes", n), want, err)
		if err == nil {
			got, err := a.attribute(key, VALUE)
			a.length(fmt.Sprintf("value of %d bytes", n), n, got, err)
		}
	}
	_, err := a.generateAES(attributes(ENCRYPT, true))
	a.rv("AES without a length", ck.CKR_TEMPLATE_INCOMPLETE, err)
	_, err = a.generateAES(attributes(VALUE_LEN, 16, VALUE, a.random(16)))
	a.rv("AES with a value", ck.CKR_ATTRIBUTE_READ_ONLY, err)
	_, err = a.generateAES(attributes(VALUE_LEN, 16, CLASS, pkcs11.CKO_PUBLIC_KEY))
	a.rv("AES of another class", ck.CKR_TEMPLATE_INCONSISTENT, err)
	_, err = a.generateAES(attributes(VALUE_LEN, 16, KEY_TYPE, pkcs11.CKK_GENERIC_SECRET))
	a.rv("AES of another type", ck.CKR_TEMPLATE_INCONSISTENT, err)
	generate := func(m worker.Mechanism, pairs ...any) (pkcs11.ObjectHandle, error) {
		return a.GenerateKey(worker.KeyCall{SessionCall: worker.SessionCall{Session: a.session}, Mechanism: m,
			Template: attributes(pairs...)})
	}
	for _, n := range []int{0, 1, 16, 100, 512} {
		want := ck.CKR_OK
		if n == 0 {
			want = ck.CKR_ATTRIBUTE_VALUE_INVALID
		}
		_, err := generate(plain(pkcs11.CKM_GENERIC_SECRET_KEY_GEN), VALUE_LEN, n)
		a.rv(fmt.Sprintf("a generic secret of %d bytes", n), want, err)
	}
	_, err = generate(plain(pkcs11.CKM_AES_CBC), VALUE_LEN, 16)
	a.rv("with a mechanism for something else", ck.CKR_MECHANISM_INVALID, err)
	_, err = generate(plain(pkcs11.CKM_DES3_KEY_GEN))
	a.rv("3DES", ck.CKR_MECHANISM_INVALID, err)
	_, err = generate(plain(pkcs11.CKM_AES_KEY_GEN, 1, 2), VALUE_LEN, 16)
	a.rv("with a parameter", ck.CKR_MECHANISM_PARAM_INVALID, err)
}

// A parameter that is not right is not a mechanism that is not there.
func cipherParameters(a *actor) {
	key := a.aesKey(a.random(16))
	for _, c := range []struct {
		name string
		m    worker.Mechanism
	}{
		{"ECB with an IV", plain(pkcs11.CKM_AES_ECB, iv16...)},
		{"CBC without an IV", plain(pkcs11.CKM_AES_CBC)},
		{"CBC with 15 bytes", plain(pkcs11.CKM_AES_CBC, iv16[:15]...)},
		{"CBC with 17 bytes", plain(pkcs11.CKM_AES_CBC, make([]byte, 17)...)},
		{"CBC_PAD without an IV", plain(pkcs11.CKM_AES_CBC_PAD)},
		{"CBC_PAD with 8 bytes", plain(pkcs11.CKM_AES_CBC_PAD, iv16[:8]...)},
		{"CTR without", plain(pkcs11.CKM_AES_CTR)},
		{"CTR with an IV alone", plain(pkcs11.CKM_AES_CTR, iv16...)},
	} {
		a.apart(func() { a.rv(c.name+": C_EncryptInit", ck.CKR_MECHANISM_PARAM_INVALID, a.begin("Encrypt", c.m, key)) })
		a.apart(func() { a.rv(c.name+": C_DecryptInit", ck.CKR_MECHANISM_PARAM_INVALID, a.begin("Decrypt", c.m, key)) })
	}
}

func cipherKeys(a *actor) {
	generic := a.secretKey("C_CreateObject of a generic secret", pkcs11.CKK_GENERIC_SECRET, a.random(16), ENCRYPT, true,
		DECRYPT, true)
	neither := a.secretKey("C_CreateObject of an AES key for nothing", pkcs11.CKK_AES, a.random(16), ENCRYPT, false,
		DECRYPT, false)
	data := a.object("C_CreateObject of data", attributes(CLASS, pkcs11.CKO_DATA))
	pair := a.rsaPair(attributes(ENCRYPT, true), attributes(DECRYPT, true))
	for _, c := range []struct {
		name string
		m    worker.Mechanism
		key  pkcs11.ObjectHandle
		want ck.RV
	}{
		{"a generic secret", plain(pkcs11.CKM_AES_ECB), generic, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"an RSA public key", plain(pkcs11.CKM_AES_ECB), pair.Public, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"an RSA private key", plain(pkcs11.CKM_AES_ECB), pair.Private, ck.CKR_KEY_TYPE_INCONSISTENT},
		{"data", plain(pkcs11.CKM_AES_ECB), data, ck.CKR_KEY_HANDLE_INVALID},
		{"a key that may not", plain(pkcs11.CKM_AES_ECB), neither, ck.CKR_KEY_FUNCTION_NOT_PERMITTED},
		{"a mechanism that signs", plain(pkcs11.CKM_AES_CMAC), neither, ck.CKR_MECHANISM_INVALID},
	} {
		a.apart(func() { a.rv(c.name+": C_EncryptInit", c.want, a.begin("Encrypt", c.m, c.key)) })
		a.apart(func() { a.rv(c.name+": C_DecryptInit", c.want, a.begin("Decrypt", c.m, c.key)) })
	}
}

// What ends an operation, and what does not.
func cipherStates(a *actor, function string) {
	m := plain(pkcs11.CKM_AES_ECB)
	key := a.aesKey(a.random(16))
	block := make([]byte, 16)
	lengthRange := ck.CKR_DATA_LEN_RANGE
	if function == "Decrypt" {
		lengthRange = ck.CKR_ENCRYPTED_DATA_LEN_RANGE
	}
	none := func(step string) {
		_, err := a.once(function, block)
		a.rv(step+": C_"+function, ck.CKR_OPERATION_NOT_INITIALIZED, err)
		_, err = a.update(function, block)
		a.rv(step+": Update", ck.CKR_OPERATION_NOT_INITIALIZED, err)
		_, err = a.final(function)
		a.rv(step+": Final", ck.CKR_OPERATION_NOT_INITIALIZED, err)
	}
	begin := func(step string) { a.need(step, a.begin(function, m, key)) }
	a.apart(func() { none("before") })
	a.apart(func() {
		begin("Init")
		a.rv("Init again", ck.CKR_OPERATION_ACTIVE, a.begin(function, m, key))
		_, err := a.once(function, block)
		a.ok("the operation of before", err)
		none("after it")
	})
	a.apart(func() {
		begin("Init for an error")
		_, err := a.once(function, block[:15])
		a.rv("a wrong length", lengthRange, err)
		none("after the error")
		begin("Init after the error")
	})
	a.apart(func() {
		begin("Init for parts")
		_, err := a.update(function, block)
		a.ok("Update", err)
		_, err = a.once(function, block)
		a.rv("single part after Update", ck.CKR_OPERATION_ACTIVE, err)
		none("after mixing")
	})
	a.apart(func() {
		begin("Init for Final")
		got, err := a.final(function)
		a.gives("Final at once", nil, got, err)
		none("after Final")
	})
	a.apart(func() {
		begin("Init for an odd end")
		_, err := a.update(function, block[:7])
		a.ok("Update of 7 bytes", err)
		_, err = a.final(function)
		a.rv("Final after 7 bytes", lengthRange, err)
		none("after the odd end")
	})
}

// Operations of different kinds do not know of each other.
func encryptAndDecrypt(a *actor) {
	m := plain(pkcs11.CKM_AES_ECB)
	key := a.aesKey(a.random(16))
	a.ok("C_EncryptInit", a.begin("Encrypt", m, key))
	a.ok("C_DecryptInit", a.begin("Decrypt", m, key))
	a.ok("C_DigestInit", a.begin("Digest", plain(pkcs11.CKM_SHA256), 0))
	sealed, err := a.once("Encrypt", make([]byte, 16))
	a.ok("C_Encrypt", err)
	opened, err := a.once("Decrypt", sealed)
	a.gives("C_Decrypt", make([]byte, 16), opened, err)
	_, err = a.once("Digest", nil)
	a.ok("C_Digest", err)
}

func oldCiphers(a *actor) {
	key := a.aesKey(a.random(16))
	for _, c := range []struct {
		name   string
		number uint
	}{
		{"CKM_DES_ECB", pkcs11.CKM_DES_ECB}, {"CKM_DES3_ECB", pkcs11.CKM_DES3_ECB}, {"CKM_RC4", pkcs11.CKM_RC4},
		{"a number that is none", 0x7fffffff},
	} {
		a.apart(func() { a.rv(c.name, ck.CKR_MECHANISM_INVALID, a.begin("Encrypt", plain(c.number), key)) })
	}
	a.rv("a DES key", ck.CKR_ATTRIBUTE_VALUE_INVALID, a.create(secretTemplate(pkcs11.CKK_DES3, a.random(24))))
}

// Nobody has been seen to call these.
func dualFunctions(a *actor) {
	for _, function := range []string{"DigestEncryptUpdate", "DecryptDigestUpdate", "SignEncryptUpdate",
		"DecryptVerifyUpdate"} {
		_, err := a.operate(worker.OperationCall{Function: function, Data: make([]byte, 16)}, 0)
		a.rv("C_"+function, ck.CKR_FUNCTION_NOT_SUPPORTED, err)
	}
}
