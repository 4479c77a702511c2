package token

import "github.com/onceleaf/onceleaf/internal/ck"

// The tables of the key types (section 6 of PKCS#11 3.2).

// ofType is s for one key type.
func (s schema) ofType(keyType ck.KeyType, more schema) schema {
	return s.with(schema{ck.CKA_KEY_TYPE: {in: named, value: Ulong(keyType)}}).with(more)
}

// RSA (section 6.1). What a template says nothing of, it may: encrypt, verify and wrap, decrypt, sign and unwrap; see
// defaultRoles and, for what a pair that may do all cannot do, tells.
var (
	rsaPublic = anyPublicKey.ofType(ck.CKK_RSA, schema{
		ck.CKA_ENCRYPT:         {value: yes, set: settable, role: true},
		ck.CKA_VERIFY:          {value: yes, set: settable},
		ck.CKA_WRAP:            {value: yes, set: settable, role: true},
		ck.CKA_MODULUS:         {in: given},
		ck.CKA_MODULUS_BITS:    {in: asked},
		ck.CKA_PUBLIC_EXPONENT: {in: inputs{required, optional, own, own}},
	})
	rsaPrivate = anyPrivateKey.ofType(ck.CKK_RSA, schema{
		ck.CKA_DECRYPT:          {value: yes, set: kept, role: true},
		ck.CKA_SIGN:             {value: yes, set: kept, role: true},
		ck.CKA_UNWRAP:           {value: yes, set: kept, role: true},
		ck.CKA_MODULUS:          {in: given},
		ck.CKA_PUBLIC_EXPONENT:  {in: supported},
		ck.CKA_PRIVATE_EXPONENT: {in: given, hidden: true},
		ck.CKA_PRIME_1:          {in: supported, hidden: true},
		ck.CKA_PRIME_2:          {in: supported, hidden: true},
		ck.CKA_EXPONENT_1:       {in: supported, hidden: true},
		ck.CKA_EXPONENT_2:       {in: supported, hidden: true},
		ck.CKA_COEFFICIENT:      {in: supported, hidden: true},
	})
)

// Elliptic curves (sections 6.3 to 6.5): CKK_EC signs and agrees on secrets, CKK_EC_EDWARDS signs, CKK_EC_MONTGOMERY
// agrees.
var (
	curvePublic = schema{
		ck.CKA_EC_PARAMS: {in: inputs{required, required, own, own}},
		ck.CKA_EC_POINT:  {in: given},
	}
	curvePrivate = schema{
		ck.CKA_EC_PARAMS: {in: given},
		ck.CKA_VALUE:     {in: given, hidden: true},
	}
	verifies = schema{ck.CKA_VERIFY: {value: yes, set: settable}}
	signs    = schema{ck.CKA_SIGN: {value: yes, set: settable}}
	derives  = schema{ck.CKA_DERIVE: {value: yes, set: settable}}

	ecPublic          = anyPublicKey.with(verifies).ofType(ck.CKK_EC, curvePublic)
	ecPrivate         = anyPrivateKey.with(signs).with(derives).ofType(ck.CKK_EC, curvePrivate)
	edwardsPublic     = anyPublicKey.with(verifies).ofType(ck.CKK_EC_EDWARDS, curvePublic)
	edwardsPrivate    = anyPrivateKey.with(signs).ofType(ck.CKK_EC_EDWARDS, curvePrivate)
	montgomeryPublic  = anyPublicKey.ofType(ck.CKK_EC_MONTGOMERY, curvePublic)
	montgomeryPrivate = anyPrivateKey.with(derives).ofType(ck.CKK_EC_MONTGOMERY, curvePrivate)
)

// Lattices (sections 6.67 and 6.68): ML-DSA signs, ML-KEM agrees on secrets. A private key comes as its value or as its
// seed.
var (
	latticePublic = schema{
		ck.CKA_PARAMETER_SET: {in: inputs{required, required, own, own}},
		ck.CKA_VALUE:         {in: given},
	}
	latticePrivate = schema{
		ck.CKA_PARAMETER_SET: {in: inputs{required, optional, own, own}},
		ck.CKA_SEED:          {in: supported, hidden: true},
		ck.CKA_VALUE:         {in: supported, hidden: true},
	}
	encapsulates = schema{ck.CKA_ENCAPSULATE: {value: yes, set: settable}}
	decapsulates = schema{ck.CKA_DECAPSULATE: {value: yes, set: settable}}

	mldsaPublic  = anyPublicKey.with(verifies).ofType(ck.CKK_ML_DSA, latticePublic)
	mldsaPrivate = anyPrivateKey.with(signs).ofType(ck.CKK_ML_DSA, latticePrivate)
	mlkemPublic  = anyPublicKey.with(encapsulates).ofType(ck.CKK_ML_KEM, latticePublic)
	mlkemPrivate = anyPrivateKey.with(decapsulates).ofType(ck.CKK_ML_KEM, latticePrivate)
)

// Secret keys (sections 6.8, 6.13 and 6.20). An AES key encrypts and decrypts unless its template has it wrap or
// unwrap.
var (
	aesSecret = anySecretKey.ofType(ck.CKK_AES, schema{
		ck.CKA_ENCRYPT: {value: yes, set: lowered, role: true},
		ck.CKA_DECRYPT: {value: yes, set: lowered, role: true},
		ck.CKA_DERIVE:  {value: no, set: lowered}, // CKM_AES_ECB_ENCRYPT_DATA encrypts
	})
	genericSecret = anySecretKey.ofType(ck.CKK_GENERIC_SECRET, nil)
	hkdfSecret    = anySecretKey.with(derives).ofType(ck.CKK_HKDF, nil)
)

// kind is a sort of object with its table.
type kind struct {
	class   ck.ObjectClass
	keyType ck.KeyType // of keys
	schema  schema
}

// kinds are all kinds of objects, in the order of docs/attributes.md.
var kinds = []kind{
	{ck.CKO_DATA, 0, data},
	{ck.CKO_CERTIFICATE, 0, certificate},
	{ck.CKO_PROFILE, 0, profile},
	{ck.CKO_PUBLIC_KEY, ck.CKK_RSA, rsaPublic},
	{ck.CKO_PRIVATE_KEY, ck.CKK_RSA, rsaPrivate},
	{ck.CKO_PUBLIC_KEY, ck.CKK_EC, ecPublic},
	{ck.CKO_PRIVATE_KEY, ck.CKK_EC, ecPrivate},
	{ck.CKO_PUBLIC_KEY, ck.CKK_EC_EDWARDS, edwardsPublic},
	{ck.CKO_PRIVATE_KEY, ck.CKK_EC_EDWARDS, edwardsPrivate},
	{ck.CKO_PUBLIC_KEY, ck.CKK_EC_MONTGOMERY, montgomeryPublic},
	{ck.CKO_PRIVATE_KEY, ck.CKK_EC_MONTGOMERY, montgomeryPrivate},
	{ck.CKO_PUBLIC_KEY, ck.CKK_ML_DSA, mldsaPublic},
	{ck.CKO_PRIVATE_KEY, ck.CKK_ML_DSA, mldsaPrivate},
	{ck.CKO_PUBLIC_KEY, ck.CKK_ML_KEM, mlkemPublic},
	{ck.CKO_PRIVATE_KEY, ck.CKK_ML_KEM, mlkemPrivate},
	{ck.CKO_SECRET_KEY, ck.CKK_AES, aesSecret},
	{ck.CKO_SECRET_KEY, ck.CKK_GENERIC_SECRET, genericSecret},
	{ck.CKO_SECRET_KEY, ck.CKK_SHA_1_HMAC, anySecretKey.ofType(ck.CKK_SHA_1_HMAC, nil)},
	{ck.CKO_SECRET_KEY, ck.CKK_SHA224_HMAC, anySecretKey.ofType(ck.CKK_SHA224_HMAC, nil)},
	{ck.CKO_SECRET_KEY, ck.CKK_SHA256_HMAC, anySecretKey.ofType(ck.CKK_SHA256_HMAC, nil)},
	{ck.CKO_SECRET_KEY, ck.CKK_SHA384_HMAC, anySecretKey.ofType(ck.CKK_SHA384_HMAC, nil)},
	{ck.CKO_SECRET_KEY, ck.CKK_SHA512_HMAC, anySecretKey.ofType(ck.CKK_SHA512_HMAC, nil)},
	{ck.CKO_SECRET_KEY, ck.CKK_HKDF, hkdfSecret},
	{ck.CKO_PUBLIC_KEY, ck.CKK_HSS, hssPublic},
	{ck.CKO_PRIVATE_KEY, ck.CKK_HSS, hssPrivate},
	{ck.CKO_PUBLIC_KEY, ck.CKK_ONCELEAF_TRANSFER, transferPublic},
	{ck.CKO_PRIVATE_KEY, ck.CKK_ONCELEAF_TRANSFER, transferPrivate},
}

// kindName tells one kind from another; keyType is 0 for what is no key.
type kindName struct {
	class   ck.ObjectClass
	keyType ck.KeyType
}

var schemas = func() map[kindName]schema {
	all := make(map[kindName]schema, len(kinds))
	for _, k := range kinds {
		all[kindName{k.class, k.keyType}] = k.schema
	}
	return all
}()

// schemaOf is the schema of objects of a class and, for keys, of a type.
func schemaOf(class ck.ObjectClass, keyType ck.KeyType) (schema, bool) {
	if !isKey(class) {
		keyType = 0
	}
	s, known := schemas[kindName{class, keyType}]
	return s, known
}
