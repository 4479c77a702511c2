package mechanism

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// octets are bytes in hexadecimal, with spaces where they help.
func octets(t testing.TB, text string) []byte {
	t.Helper()
	value, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// secretOf is a secret key.
func secretOf(t testing.TB, keyType ck.KeyType, value []byte) *Key {
	t.Helper()
	k, err := Parse(ck.CKO_SECRET_KEY, keyType, Attributes{ck.CKA_VALUE: value})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func aesKey(t testing.TB, hexadecimal string) *Key {
	return secretOf(t, ck.CKK_AES, octets(t, hexadecimal))
}

// random are n bytes that are the same in each run.
func random(n int) []byte {
	source := rand.NewChaCha8([32]byte{1})
	value := make([]byte, n)
	source.Read(value)
	return value
}

// wantRV fails unless the error has this result.
func wantRV(t testing.TB, err error, want ck.RV) {
	t.Helper()
	if got := ck.RV(0); !errors.As(err, &got) || got != want {
		t.Errorf("error %v, want %v", err, want)
	}
}

// openssl is what the openssl command prints for an input.
func openssl(t testing.TB, input []byte, args ...string) []byte {
	t.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("there is no openssl command")
	}
	command := exec.Command(path, args...)
	command.Stdin = bytes.NewReader(input)
	var complaint strings.Builder
	command.Stderr = &complaint
	out, err := command.Output()
	if err != nil {
		t.Fatalf("openssl %s: %v: %s", strings.Join(args, " "), err, complaint.String())
	}
	return out
}

func begun[T any](t testing.TB) func(T, error) T {
	return func(made T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
}

func encrypter(t testing.TB, m ck.Mechanism, k *Key) Transform {
	t.Helper()
	return begun[Transform](t)(NewEncryption(m, k))
}

func decrypter(t testing.TB, m ck.Mechanism, k *Key) Transform {
	t.Helper()
	return begun[Transform](t)(NewDecryption(m, k))
}

// once transforms data in one part and holds the length to its bound.
func once(t testing.TB, transform Transform, data []byte) []byte {
	t.Helper()
	bound := transform.OnceBound(len(data))
	out, err := transform.Once(data)
	if err != nil {
		t.Fatal(err)
	}
	if len(out) > bound {
		t.Fatalf("%d bytes came out, the bound was %d", len(out), bound)
	}
	return out
}

// inParts transforms data in parts of up to most bytes, some empty, and holds each length to its bound.
func inParts(t testing.TB, transform Transform, data []byte, most int) (out []byte, err error) {
	t.Helper()
	sizes := rand.New(rand.NewPCG(uint64(len(data)), uint64(most)))
	for len(data) > 0 {
		n := min(sizes.IntN(most+1), len(data))
		bound := transform.UpdateBound(n)
		came, err := transform.Update(data[:n])
		if err != nil {
			return nil, err
		}
		if len(came) != bound {
			t.Fatalf("Update gave %d bytes, the bound was %d", len(came), bound)
		}
		out, data = append(out, came...), data[n:]
	}
	bound := transform.FinalBound()
	came, err := transform.Final()
	if err != nil {
		return nil, err
	}
	if len(came) != bound {
		t.Fatalf("Final gave %d bytes, the bound was %d", len(came), bound)
	}
	return append(out, came...), nil
}

// bothWays holds a cipher to a known answer: in one part, in parts, and back.
func bothWays(t *testing.T, m ck.Mechanism, k *Key, plain, encrypted []byte) {
	t.Helper()
	encrypt := func() Transform { return encrypter(t, m, k) }
	decrypt := func() Transform { return decrypter(t, m, k) }
	if got := once(t, encrypt(), plain); !bytes.Equal(got, encrypted) {
		t.Errorf("encrypted %x, want %x", got, encrypted)
	}
	if got := once(t, decrypt(), encrypted); !bytes.Equal(got, plain) {
		t.Errorf("decrypted %x, want %x", got, plain)
	}
	for _, most := range []int{1, 15, 16, 17, 100} {
		if got, err := inParts(t, encrypt(), plain, most); err != nil || !bytes.Equal(got, encrypted) {
			t.Errorf("encrypted in parts of %d: %x, %v, want %x", most, got, err, encrypted)
		}
		if got, err := inParts(t, decrypt(), encrypted, most); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("decrypted in parts of %d: %x, %v, want %x", most, got, err, plain)
		}
	}
}

// Keys and plaintext of SP 800-38A appendix F.
const (
	nist128   = "2b7e151628aed2a6abf7158809cf4f3c"
	nist192   = "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b"
	nist256   = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"
	nistPlain = "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51 " +
		"30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710"
	nistIV = "000102030405060708090a0b0c0d0e0f"
)

func TestECBKnownAnswers(t *testing.T) {
	for key, want := range map[string]string{
		nist128: "3ad77bb40d7a3660a89ecaf32466ef97 f5d3d58503b9699de785895a96fdbaaf 43b1cd7f598ece23881b00e3ed030688 " +
			"7b0c785e27e8ad3f8223207104725dd4",
		nist192: "bd334f1d6e45f25ff712a214571fa5cc 974104846d0ad3ad7734ecb3ecee4eef ef7afd2270e2e60adce0ba2face6444e " +
			"9a4b41ba738d6c72fb16691603c18e0e",
		nist256: "f3eed1bdb5d2a03c064b5a7e3db181f8 591ccb10d410ed26dc5ba74a31362870 b6ed21b99ca6f4f9f153e7b1beafed1d " +
			"23304b7a39f9f3ff067d8d8f9e24ecc7",
	} {
		bothWays(t, ck.Mechanism{Type: ck.CKM_AES_ECB}, aesKey(t, key), octets(t, nistPlain), octets(t, want))
	}
	_, err := NewEncryption(ck.Mechanism{Type: ck.CKM_AES_ECB, Parameter: make([]byte, 16)}, aesKey(t, nist128))
	wantRV(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
}

// Without padding, data have to be whole blocks; none at all are whole too.
func TestWholeBlocks(t *testing.T) {
	for _, m := range []ck.Mechanism{{Type: ck.CKM_AES_ECB}, {Type: ck.CKM_AES_CBC, Parameter: make([]byte, 16)}} {
		for n := range 33 {
			_, err := encrypter(t, m, aesKey(t, nist128)).Once(make([]byte, n))
			_, back := inParts(t, decrypter(t, m, aesKey(t, nist128)), make([]byte, n), 7)
			if n%16 == 0 {
				if err != nil || back != nil {
					t.Errorf("%v, %d bytes: %v, %v", m.Type, n, err, back)
				}
				continue
			}
			wantRV(t, err, ck.CKR_DATA_LEN_RANGE)
			wantRV(t, back, ck.CKR_ENCRYPTED_DATA_LEN_RANGE)
		}
	}
}

func TestCiphersOfOtherKeys(t *testing.T) {
	k := secretOf(t, ck.CKK_GENERIC_SECRET, make([]byte, 16))
	for _, m := range []ck.MechanismType{ck.CKM_AES_ECB, ck.CKM_AES_CBC, ck.CKM_AES_CBC_PAD, ck.CKM_AES_CTR,
		ck.CKM_AES_GCM, ck.CKM_AES_KEY_WRAP} {
		_, err := NewEncryption(ck.Mechanism{Type: m}, k)
		wantRV(t, err, ck.CKR_KEY_TYPE_INCONSISTENT)
		_, err = NewDecryption(ck.Mechanism{Type: m}, k)
		wantRV(t, err, ck.CKR_KEY_TYPE_INCONSISTENT)
	}
	_, err := NewSigner(ck.Mechanism{Type: ck.CKM_AES_CMAC}, k)
	wantRV(t, err, ck.CKR_KEY_TYPE_INCONSISTENT)
	_, err = NewSigner(ck.Mechanism{Type: ck.CKM_SHA256_HMAC}, aesKey(t, nist128))
	wantRV(t, err, ck.CKR_KEY_TYPE_INCONSISTENT)
}
