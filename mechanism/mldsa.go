package mechanism

import (
	"fmt"

	"filippo.io/mldsa"
	pkix "filippo.io/mldsa/x509"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// mldsaSet is a parameter set of ML-DSA by its CKP_ML_DSA_*. CKR_PARAMETER_SET_NOT_SUPPORTED.
func mldsaSet(set uint64) (mldsa.Parameters, error) {
	switch set {
	case ck.CKP_ML_DSA_44:
		return mldsa.MLDSA44(), nil
	case ck.CKP_ML_DSA_65:
		return mldsa.MLDSA65(), nil
	case ck.CKP_ML_DSA_87:
		return mldsa.MLDSA87(), nil
	}
	return mldsa.Parameters{}, fmt.Errorf("%w: no parameter set %d of ML-DSA", ck.CKR_PARAMETER_SET_NOT_SUPPORTED, set)
}

// mldsaNumber is the reverse of mldsaSet.
func mldsaNumber(parameters mldsa.Parameters) uint64 {
	for _, set := range []uint64{ck.CKP_ML_DSA_44, ck.CKP_ML_DSA_65, ck.CKP_ML_DSA_87} {
		if known, err := mldsaSet(set); err == nil && known == parameters {
			return set
		}
	}
	return 0
}

// mldsaOffers are the mechanisms of ML-DSA. Key sizes are those of public keys, in bytes.
func mldsaOffers() []offer {
	row := func(m ck.MechanismType) Row {
		return Row{Type: m, MinKeySize: mldsa.MLDSA44PublicKeySize, MaxKeySize: mldsa.MLDSA87PublicKeySize,
			Keys: []ck.KeyType{ck.CKK_ML_DSA}, Single: true}
	}
	return []offer{
		{Row: row(ck.CKM_ML_DSA_KEY_PAIR_GEN), generatePair: generateMLDSA},
		{Row: row(ck.CKM_ML_DSA), sign: newMLDSASigner, verify: newMLDSAVerifier},
	}
}

// mldsaPublic is a public key of ML-DSA.
type mldsaPublic struct {
	public
	key *mldsa.PublicKey
}

// mldsaPrivate is a private key of ML-DSA, which is its seed: Go does not write or read the expanded form. Go does
// not let its memory be cleared.
type mldsaPrivate struct{ key *mldsa.PrivateKey }

// parameterSet is CKA_PARAMETER_SET. CKR_TEMPLATE_INCOMPLETE, CKR_ATTRIBUTE_VALUE_INVALID.
func parameterSet(a Attributes) (uint64, error) {
	value, err := given(a, ck.CKA_PARAMETER_SET)
	if err != nil {
		return 0, err
	}
	set, ok := parseUlong(value)
	if !ok {
		return 0, invalid(ck.CKA_PARAMETER_SET, "is no number")
	}
	return set, nil
}

func mldsaParameters(a Attributes) (mldsa.Parameters, error) {
	set, err := parameterSet(a)
	if err != nil {
		return mldsa.Parameters{}, err
	}
	return mldsaSet(set)
}

// parseMLDSAPublic reads CKA_PARAMETER_SET and CKA_VALUE.
func parseMLDSAPublic(a Attributes) (pair, error) {
	parameters, err := mldsaParameters(a)
	if err != nil {
		return nil, err
	}
	value, err := given(a, ck.CKA_VALUE)
	if err != nil {
		return nil, err
	}
	key, err := mldsa.NewPublicKey(parameters, value)
	if err != nil {
		return nil, invalid(ck.CKA_VALUE, "is not a public key of "+parameters.String())
	}
	return &mldsaPublic{key: key}, nil
}

// parseMLDSAPrivate reads CKA_PARAMETER_SET and CKA_SEED.
func parseMLDSAPrivate(a Attributes) (pair, error) {
	parameters, err := mldsaParameters(a)
	if err != nil {
		return nil, err
	}
	seed, err := given(a, ck.CKA_SEED)
	if err != nil {
		return nil, err
	}
	key, err := mldsa.NewPrivateKey(parameters, seed)
	if err != nil {
		return nil, invalid(ck.CKA_SEED, "does not have 32 bytes")
	}
	return &mldsaPrivate{key}, nil
}

func (p *mldsaPublic) bits() int             { return 8 * p.key.Parameters().PublicKeySize() }
func (p *mldsaPublic) publicKeyInfo() []byte { return mldsaInfo(p.key) }
func (p *mldsaPublic) values() Attributes {
	return Attributes{ck.CKA_PARAMETER_SET: ulong(mldsaNumber(p.key.Parameters())), ck.CKA_VALUE: p.key.Bytes()}
}

func mldsaInfo(key *mldsa.PublicKey) []byte {
	der, err := pkix.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil
	}
	return der
}

func (p *mldsaPrivate) parameters() mldsa.Parameters { return p.key.PublicKey().Parameters() }
func (p *mldsaPrivate) bits() int                    { return 8 * p.parameters().PublicKeySize() }
func (p *mldsaPrivate) publicKeyInfo() []byte        { return mldsaInfo(p.key.PublicKey()) }
func (p *mldsaPrivate) pkcs8() ([]byte, error)       { return pkix.MarshalPKCS8PrivateKey(p.key) }
func (p *mldsaPrivate) wipe()                        {}
func (p *mldsaPrivate) values() Attributes {
	return Attributes{ck.CKA_PARAMETER_SET: ulong(mldsaNumber(p.parameters())), ck.CKA_SEED: p.key.Bytes()}
}

// generateMLDSA is CKM_ML_DSA_KEY_PAIR_GEN.
func generateMLDSA(m ck.Mechanism, public, _ Attributes) (pub, priv Attributes, err error) {
	if err := parameterless(m); err != nil {
		return nil, nil, err
	}
	parameters, err := mldsaParameters(public)
	if err != nil {
		return nil, nil, err
	}
	key, err := mldsa.GenerateKey(parameters)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: generating an ML-DSA key: %v", ck.CKR_FUNCTION_FAILED, err)
	}
	return valuesOf(&mldsaPublic{key: key.PublicKey()}), valuesOf(&mldsaPrivate{key}), nil
}

// mldsaContext reads CK_SIGN_ADDITIONAL_CONTEXT, which may be missing.
func mldsaContext(m ck.Mechanism) (options *mldsa.Options, deterministic bool, err error) {
	if m.Struct == nil {
		return &mldsa.Options{}, false, parameterless(m)
	}
	p, err := parameter[ck.SignContext](m)
	if err != nil {
		return nil, false, err
	}
	if len(p.Context) > 255 || p.Hedge > ck.CKH_DETERMINISTIC_REQUIRED {
		return nil, false, fmt.Errorf("%w: hedge variant %d with a context of %d bytes", ck.CKR_MECHANISM_PARAM_INVALID,
			p.Hedge, len(p.Context))
	}
	return &mldsa.Options{Context: string(p.Context)}, p.Hedge == ck.CKH_DETERMINISTIC_REQUIRED, nil
}

// newMLDSASigner is CKM_ML_DSA.
func newMLDSASigner(m ck.Mechanism, k *Key) (Signer, error) {
	options, deterministic, err := mldsaContext(m)
	if err != nil {
		return nil, err
	}
	private := k.pair.(*mldsaPrivate)
	return signer(0, private.parameters().SignatureSize(), func(data []byte) ([]byte, error) {
		signature, err := signMLDSA(private.key, data, options, deterministic)
		if err != nil {
			return nil, fmt.Errorf("%w: %v", ck.CKR_FUNCTION_FAILED, err)
		}
		return signature, nil
	}), nil
}

func signMLDSA(key *mldsa.PrivateKey, data []byte, options *mldsa.Options, deterministic bool) ([]byte, error) {
	if deterministic {
		return key.SignDeterministic(data, options)
	}
	return key.Sign(nil, data, options)
}

func newMLDSAVerifier(m ck.Mechanism, k *Key) (Verifier, error) {
	options, _, err := mldsaContext(m)
	if err != nil {
		return nil, err
	}
	public := k.pair.(*mldsaPublic).key
	return verifier(0, public.Parameters().SignatureSize(), func(data, signature []byte) bool {
		return mldsa.Verify(public, data, signature, options) == nil
	}), nil
}
