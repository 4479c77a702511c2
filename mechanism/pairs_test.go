package mechanism

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// keyPair is a generated key pair, with its values and decoded.
type keyPair struct {
	keyType                     ck.KeyType
	publicValues, privateValues Attributes
	public, private             *Key
}

// pairTemplates make one pair of every kind. RSA keys are small enough for tests to be quick.
var pairTemplates = map[string]struct {
	mechanism ck.MechanismType
	keyType   ck.KeyType
	public    Attributes
}{
	"RSA-2048": {ck.CKM_RSA_PKCS_KEY_PAIR_GEN, ck.CKK_RSA, Attributes{ck.CKA_MODULUS_BITS: ulong(2048)}},
	"P-224":    {ck.CKM_EC_KEY_PAIR_GEN, ck.CKK_EC, Attributes{ck.CKA_EC_PARAMS: ecCurves[0].params()}},
	"P-256":    {ck.CKM_EC_KEY_PAIR_GEN, ck.CKK_EC, Attributes{ck.CKA_EC_PARAMS: ecCurves[1].params()}},
	"P-384":    {ck.CKM_EC_KEY_PAIR_GEN, ck.CKK_EC, Attributes{ck.CKA_EC_PARAMS: ecCurves[2].params()}},
	"P-521":    {ck.CKM_EC_KEY_PAIR_GEN, ck.CKK_EC, Attributes{ck.CKA_EC_PARAMS: ecCurves[3].params()}},
	"Ed25519":  {ck.CKM_EC_EDWARDS_KEY_PAIR_GEN, ck.CKK_EC_EDWARDS, Attributes{ck.CKA_EC_PARAMS: edwardsParams[0]}},
	"X25519": {ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN, ck.CKK_EC_MONTGOMERY,
		Attributes{ck.CKA_EC_PARAMS: montgomeryParams[1]}},
	"ML-DSA-44": {ck.CKM_ML_DSA_KEY_PAIR_GEN, ck.CKK_ML_DSA,
		Attributes{ck.CKA_PARAMETER_SET: ulong(ck.CKP_ML_DSA_44)}},
	"ML-DSA-65": {ck.CKM_ML_DSA_KEY_PAIR_GEN, ck.CKK_ML_DSA,
		Attributes{ck.CKA_PARAMETER_SET: ulong(ck.CKP_ML_DSA_65)}},
	"ML-DSA-87": {ck.CKM_ML_DSA_KEY_PAIR_GEN, ck.CKK_ML_DSA,
		Attributes{ck.CKA_PARAMETER_SET: ulong(ck.CKP_ML_DSA_87)}},
	"ML-KEM-768": {ck.CKM_ML_KEM_KEY_PAIR_GEN, ck.CKK_ML_KEM,
		Attributes{ck.CKA_PARAMETER_SET: ulong(ck.CKP_ML_KEM_768)}},
	"ML-KEM-1024": {ck.CKM_ML_KEM_KEY_PAIR_GEN, ck.CKK_ML_KEM,
		Attributes{ck.CKA_PARAMETER_SET: ulong(ck.CKP_ML_KEM_1024)}},
}

// newPair generates a pair of a kind and decodes it.
func newPair(t testing.TB, kind string) keyPair {
	t.Helper()
	template, ok := pairTemplates[kind]
	if !ok {
		t.Fatalf("no kind %s", kind)
	}
	public, private, err := GenerateKeyPair(ck.Mechanism{Type: template.mechanism}, template.public, nil)
	if err != nil {
		t.Fatal(err)
	}
	return keyPair{template.keyType, public, private,
		parsed(t, ck.CKO_PUBLIC_KEY, template.keyType, public), parsed(t, ck.CKO_PRIVATE_KEY, template.keyType,
			private)}
}

// sharedPair is one pair of a kind for all tests that do not change it.
func sharedPair(t testing.TB, kind string) keyPair {
	t.Helper()
	sharedPairs.Lock()
	defer sharedPairs.Unlock()
	if pair, ok := sharedPairs.made[kind]; ok {
		return pair
	}
	pair := newPair(t, kind)
	sharedPairs.made[kind] = pair
	return pair
}

var sharedPairs = struct {
	sync.Mutex
	made map[string]keyPair
}{made: map[string]keyPair{}}

func parsed(t testing.TB, class ck.ObjectClass, keyType ck.KeyType, a Attributes) *Key {
	t.Helper()
	k, err := Parse(class, keyType, a)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// sign signs data in one part.
func sign(t testing.TB, m ck.Mechanism, k *Key, data []byte) []byte {
	t.Helper()
	s, err := NewSigner(m, k)
	if err != nil {
		t.Fatalf("%s: %v", m.Type, err)
	}
	signature, err := s.Once(data)
	if err != nil {
		t.Fatalf("%s: %v", m.Type, err)
	}
	if len(signature) != s.Size() {
		t.Fatalf("%s: a signature of %d bytes, %d announced", m.Type, len(signature), s.Size())
	}
	return signature
}

// verify verifies data in one part.
func verify(t testing.TB, m ck.Mechanism, k *Key, data, signature []byte) error {
	t.Helper()
	v, err := NewVerifier(m, k)
	if err != nil {
		t.Fatalf("%s: %v", m.Type, err)
	}
	return v.Once(data, signature)
}

// wants fails unless the error is the result; CKR_OK is no error.
func wants(t testing.TB, err error, want ck.RV) {
	t.Helper()
	got := ck.CKR_OK
	if err != nil && !errors.As(err, &got) {
		t.Fatalf("%v has no CK_RV, want %v", err, want)
	}
	if got != want {
		t.Fatalf("%v, want %v", err, want)
	}
}

// opensslFiles runs the openssl command and returns its output. Words that begin with @ are files of these contents;
// where one begins with @> the command writes it, and that is what is returned.
func opensslFiles(t testing.TB, input []byte, files map[string][]byte, words ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("no openssl command")
	}
	folder, out := t.TempDir(), ""
	for i, word := range words {
		name, isFile := bytes.CutPrefix([]byte(word), []byte("@"))
		if !isFile {
			continue
		}
		if name[0] == '>' {
			out = filepath.Join(folder, "out")
			words[i] = out
			continue
		}
		words[i] = filepath.Join(folder, string(name))
		if err := os.WriteFile(words[i], files[string(name)], 0o600); err != nil {
			t.Fatal(err)
		}
	}
	command := exec.Command("openssl", words...)
	command.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	text, err := command.Output()
	if err != nil {
		t.Fatalf("openssl %v: %v\n%s", words, err, stderr.Bytes())
	}
	if out == "" {
		return text
	}
	text, err = os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// pkcs8 is the private key for openssl.
func (p keyPair) pkcs8(t testing.TB) []byte {
	t.Helper()
	der, err := p.private.pair.pkcs8()
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func kinds() []string { return slices.Sorted(maps.Keys(pairTemplates)) }

// Both halves of every generated pair decode, agree on the public key, and have the values that Complete and PKCS #8
// give back.
func TestPairs(t *testing.T) {
	for _, kind := range kinds() {
		t.Run(kind, func(t *testing.T) {
			pair := sharedPair(t, kind)
			info := PublicKeyInfo(pair.public)
			if len(info) == 0 || !bytes.Equal(info, PublicKeyInfo(pair.private)) {
				t.Error("the halves have different public keys")
			}
			if pair.public.Bits() != pair.private.Bits() || pair.public.Bits() == 0 {
				t.Errorf("the halves have %d and %d bits", pair.public.Bits(), pair.private.Bits())
			}
			if pair.public.Secret() != nil || CheckValue(pair.public) != nil {
				t.Error("a public key has a secret")
			}
			for class, values := range map[ck.ObjectClass]Attributes{
				ck.CKO_PUBLIC_KEY: pair.publicValues, ck.CKO_PRIVATE_KEY: pair.privateValues} {
				complete, err := Complete(class, pair.keyType, values)
				if err != nil {
					t.Fatal(err)
				}
				equalValues(t, complete, values)
			}
			back, err := privateValues(pair.keyType, pair.pkcs8(t))
			if err != nil {
				t.Fatal(err)
			}
			if kind == "X25519" { // its parameters were given as a name
				back[ck.CKA_EC_PARAMS] = pair.privateValues[ck.CKA_EC_PARAMS]
			}
			equalValues(t, back, pair.privateValues)
		})
	}
}

func equalValues(t testing.TB, got, want Attributes) {
	t.Helper()
	if !maps.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("attributes %v, want %v", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		for attribute := range want {
			if !bytes.Equal(got[attribute], want[attribute]) {
				t.Errorf("%s differs", attribute)
			}
		}
	}
}

// What Parse was given may be wiped after it.
func TestParseCopies(t *testing.T) {
	for _, kind := range kinds() {
		pair := newPair(t, kind)
		for class, values := range map[ck.ObjectClass]Attributes{
			ck.CKO_PUBLIC_KEY: pair.publicValues, ck.CKO_PRIVATE_KEY: pair.privateValues} {
			k := parsed(t, class, pair.keyType, values)
			before := PublicKeyInfo(k)
			for _, value := range values {
				clear(value)
			}
			if !bytes.Equal(before, PublicKeyInfo(k)) || !bytes.Equal(before, k.pair.publicKeyInfo()) {
				t.Errorf("%s %s keeps memory of its attributes", kind, class)
			}
			if class == ck.CKO_PRIVATE_KEY {
				again := k.pair.values()
				for attribute, value := range again {
					if len(bytes.Trim(value, "\x00")) == 0 {
						t.Errorf("%s: %s was cleared from outside", kind, attribute)
					}
				}
			}
		}
	}
}

// A wiped key does nothing any more, and an operation begun before does not end.
func TestWipe(t *testing.T) {
	for kind, m := range map[string]ck.MechanismType{"RSA-2048": ck.CKM_SHA256_RSA_PKCS, "P-256": ck.CKM_ECDSA,
		"Ed25519": ck.CKM_EDDSA, "ML-DSA-44": ck.CKM_ML_DSA} {
		k := newPair(t, kind).private
		begun, err := NewSigner(ck.Mechanism{Type: m}, k)
		if err != nil {
			t.Fatal(err)
		}
		k.Wipe()
		k.Wipe()
		_, err = begun.Once(make([]byte, 32))
		wants(t, err, ck.CKR_KEY_HANDLE_INVALID)
		_, err = NewSigner(ck.Mechanism{Type: m}, k)
		wants(t, err, ck.CKR_KEY_HANDLE_INVALID)
	}
}

// Threads sign with one key while another wipes it.
func TestWipeRace(t *testing.T) {
	pair := newPair(t, "P-256")
	var threads sync.WaitGroup
	for range 4 {
		threads.Go(func() {
			for {
				s, err := NewSigner(ck.Mechanism{Type: ck.CKM_ECDSA_SHA256}, pair.private)
				if err != nil {
					wants(t, err, ck.CKR_KEY_HANDLE_INVALID)
					return
				}
				signature, err := s.Once([]byte("data"))
				if err == nil {
					wants(t, verify(t, ck.Mechanism{Type: ck.CKM_ECDSA_SHA256}, pair.public, []byte("data"),
						signature), ck.CKR_OK)
				}
			}
		})
	}
	s, err := NewSigner(ck.Mechanism{Type: ck.CKM_ECDSA_SHA256}, pair.private)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = s.Once(nil)
	pair.private.Wipe()
	threads.Wait()
}

// Every kind of key refuses every mechanism that is not for it.
func TestKeyTypes(t *testing.T) {
	for _, kind := range kinds() {
		pair := sharedPair(t, kind)
		for _, row := range Rows() {
			m := ck.Mechanism{Type: row.Type}
			if slices.Contains(row.Keys, pair.keyType) {
				continue
			}
			if row.Flags&ck.CKF_SIGN != 0 {
				_, err := NewSigner(m, pair.private)
				wants(t, err, ck.CKR_KEY_TYPE_INCONSISTENT)
			}
			if row.Flags&ck.CKF_ENCRYPT != 0 {
				_, err := NewEncryption(m, pair.public)
				wants(t, err, ck.CKR_KEY_TYPE_INCONSISTENT)
			}
			if row.Flags&ck.CKF_DERIVE != 0 {
				_, err := Derive(m, pair.private, nil, ck.CKK_GENERIC_SECRET, 0)
				wants(t, err, ck.CKR_KEY_TYPE_INCONSISTENT)
			}
		}
	}
}

// The wrong half of a pair is refused, and so is a mechanism without the function.
func TestHalves(t *testing.T) {
	pair := sharedPair(t, "RSA-2048")
	m := ck.Mechanism{Type: ck.CKM_RSA_PKCS}
	_, err := NewSigner(m, pair.public)
	wants(t, err, ck.CKR_KEY_TYPE_INCONSISTENT)
	_, err = NewVerifier(m, pair.private)
	wants(t, err, ck.CKR_KEY_TYPE_INCONSISTENT)
	_, err = NewDecryption(m, pair.public)
	wants(t, err, ck.CKR_KEY_TYPE_INCONSISTENT)
	_, err = Unwrap(m, pair.public, nil, ck.CKO_SECRET_KEY, ck.CKK_AES)
	wants(t, err, ck.CKR_UNWRAPPING_KEY_TYPE_INCONSISTENT)
	_, err = Wrap(m, pair.private, pair.private)
	wants(t, err, ck.CKR_WRAPPING_KEY_TYPE_INCONSISTENT)
	_, err = NewEncryption(ck.Mechanism{Type: ck.CKM_SHA256_RSA_PKCS}, pair.public)
	wants(t, err, ck.CKR_MECHANISM_INVALID)
	_, err = NewSigner(ck.Mechanism{Type: 0x7fff}, pair.private)
	wants(t, err, ck.CKR_MECHANISM_INVALID)
	_, err = NewSigner(ck.Mechanism{Type: ck.CKM_RSA_PKCS, Misfit: true}, pair.private)
	wants(t, err, ck.CKR_MECHANISM_PARAM_INVALID)
}

// Every row has a name, flags, and what its flags say of it.
func TestRows(t *testing.T) {
	rows := Rows()
	if len(rows) < 60 {
		t.Errorf("only %d mechanisms", len(rows))
	}
	for i, row := range rows {
		if i > 0 && rows[i-1].Type >= row.Type {
			t.Errorf("%s is out of order", row.Type)
		}
		if row.Flags&^(ecFlags) == 0 || row.Type.String()[:4] != "CKM_" {
			t.Errorf("%s does nothing or has no name", row.Type)
		}
		if found, ok := Find(row.Type); !ok || found.Type != row.Type {
			t.Errorf("%s is not found", row.Type)
		}
	}
}

// What a template must not say to C_GenerateKeyPair.
func TestGenerateRefuses(t *testing.T) {
	name := func(m ck.MechanismType) ck.Mechanism { return ck.Mechanism{Type: m} }
	bits := func(n uint64) Attributes { return Attributes{ck.CKA_MODULUS_BITS: ulong(n)} }
	set := func(n uint64) Attributes { return Attributes{ck.CKA_PARAMETER_SET: ulong(n)} }
	for _, c := range []struct {
		m      ck.Mechanism
		public Attributes
		want   ck.RV
	}{
		{name(ck.CKM_RSA_PKCS_KEY_PAIR_GEN), nil, ck.CKR_TEMPLATE_INCOMPLETE},
		{name(ck.CKM_RSA_PKCS_KEY_PAIR_GEN), bits(1024), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{name(ck.CKM_RSA_PKCS_KEY_PAIR_GEN), bits(2049), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{name(ck.CKM_RSA_PKCS_KEY_PAIR_GEN), bits(1 << 63), ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{name(ck.CKM_RSA_PKCS_KEY_PAIR_GEN), Attributes{ck.CKA_MODULUS_BITS: []byte{8}},
			ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{name(ck.CKM_RSA_PKCS_KEY_PAIR_GEN), Attributes{ck.CKA_MODULUS_BITS: ulong(2048), ck.CKA_PUBLIC_EXPONENT: {3}},
			ck.CKR_ATTRIBUTE_VALUE_INVALID},
		{ck.Mechanism{Type: ck.CKM_RSA_PKCS_KEY_PAIR_GEN, Parameter: []byte{1}}, bits(2048),
			ck.CKR_MECHANISM_PARAM_INVALID},
		{name(ck.CKM_EC_KEY_PAIR_GEN), nil, ck.CKR_TEMPLATE_INCOMPLETE},
		{name(ck.CKM_EC_KEY_PAIR_GEN), Attributes{ck.CKA_EC_PARAMS: edwardsParams[0]}, ck.CKR_CURVE_NOT_SUPPORTED},
		{name(ck.CKM_EC_KEY_PAIR_GEN), Attributes{ck.CKA_EC_PARAMS: []byte("rubbish")}, ck.CKR_CURVE_NOT_SUPPORTED},
		{name(ck.CKM_EC_EDWARDS_KEY_PAIR_GEN), Attributes{ck.CKA_EC_PARAMS: ecCurves[1].params()},
			ck.CKR_CURVE_NOT_SUPPORTED},
		{name(ck.CKM_EC_MONTGOMERY_KEY_PAIR_GEN), Attributes{}, ck.CKR_TEMPLATE_INCOMPLETE},
		{name(ck.CKM_ML_DSA_KEY_PAIR_GEN), set(4), ck.CKR_PARAMETER_SET_NOT_SUPPORTED},
		{name(ck.CKM_ML_KEM_KEY_PAIR_GEN), set(1), ck.CKR_PARAMETER_SET_NOT_SUPPORTED},
		{name(ck.CKM_ML_KEM_KEY_PAIR_GEN), nil, ck.CKR_TEMPLATE_INCOMPLETE},
		{name(ck.CKM_ECDSA), nil, ck.CKR_MECHANISM_INVALID},
		{name(ck.CKM_EDDSA), nil, ck.CKR_MECHANISM_INVALID},
	} {
		public, private, err := GenerateKeyPair(c.m, c.public, nil)
		if public != nil || private != nil {
			t.Errorf("%s made a key", c.m.Type)
		}
		wants(t, err, c.want)
	}
}
