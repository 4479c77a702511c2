package wire

import "github.com/onceleaf/onceleaf/internal/ck"

// Param is a structure that mechanisms take as their parameter and that has pointers, or other reasons not to cross as
// it lies in memory. A length that is not one of Sizes is a misfit.
type Param struct {
	ID         uint8
	Struct     string // in C
	Go         string // in ck
	Sizes      []int  // bytes, the whole structure first; a second one lacks the fields with Short
	Mechanisms []ck.MechanismType
	Wrapping   bool // only in C_WrapKeyAuthenticated and C_UnwrapKeyAuthenticated
	Fields     []Field
}

// Field is one field of a structure, in the order of C.
type Field struct {
	C, Go  string
	Kind   FieldKind
	Size   int    // of Fixed, in bytes
	Of     string // of Length: the pointer's field
	Struct uint8  // of Pointer: which
	Short  string // C expression of its value in the short form s, which lacks the field
}

// FieldKind is how a field crosses.
type FieldKind int

// Kinds of fields.
const (
	Num     FieldKind = iota // CK_ULONG: u64
	Handle                   // CK_OBJECT_HANDLE: u64
	Flag                     // CK_BBOOL: u8
	Fixed                    // octets of the structure itself, without a length
	Octets                   // pointer to octets: bytes, at most MaxValue
	Length                   // their length: crosses with them
	Pointer                  // pointer to another structure: u8 whether it is there, then its fields
)

// messageStruct crosses as a message parameter and in no mechanism.
const messageStruct = "CK_GCM_MESSAGE_PARAMS"

// Params are the parameter structures. Everything else crosses as it lies in memory.
var Params = []Param{
	{ID: 1, Struct: "CK_RSA_PKCS_OAEP_PARAMS", Go: "OAEPParams", Sizes: []int{40}, Mechanisms: []ck.MechanismType{0x09}, Fields: []Field{
		num("hashAlg", "Hash"), num("mgf", "MGF"), num("source", "Source"),
		octets("pSourceData", "SourceData"), length("ulSourceDataLen", "pSourceData")}},
	{ID: 2, Struct: "CK_RSA_PKCS_PSS_PARAMS", Go: "PSSParams", Sizes: []int{24},
		Mechanisms: []ck.MechanismType{0x0d, 0x0e, 0x43, 0x44, 0x45, 0x47, 0x63, 0x64, 0x65, 0x67}, Fields: []Field{
			num("hashAlg", "Hash"), num("mgf", "MGF"), num("sLen", "SaltLen")}},
	{ID: 3, Struct: "CK_RSA_AES_KEY_WRAP_PARAMS", Go: "RSAAESKeyWrapParams", Sizes: []int{16}, Mechanisms: []ck.MechanismType{0x1054}, Fields: []Field{
		num("ulAESKeyBits", "AESKeyBits"), {C: "pOAEPParams", Go: "OAEP", Kind: Pointer, Struct: 1}}},
	{ID: 4, Struct: "CK_GCM_PARAMS", Go: "GCMParams", Sizes: []int{48, 40}, Mechanisms: []ck.MechanismType{0x1087}, Fields: []Field{
		octets("pIv", "IV"), length("ulIvLen", "pIv"), {C: "ulIvBits", Go: "IVBits", Kind: Num, Short: "8 * s.ulIvLen"},
		octets("pAAD", "AAD"), length("ulAADLen", "pAAD"), num("ulTagBits", "TagBits")}},
	{ID: 5, Struct: "CK_AES_CTR_PARAMS", Go: "CTRParams", Sizes: []int{24}, Mechanisms: []ck.MechanismType{0x1086}, Fields: []Field{
		num("ulCounterBits", "CounterBits"), fixed("cb", "Block", 16)}},
	{ID: 6, Struct: "CK_ECDH1_DERIVE_PARAMS", Go: "ECDH1Params", Sizes: []int{40}, Mechanisms: []ck.MechanismType{0x1050, 0x1051}, Fields: []Field{
		num("kdf", "KDF"), length("ulSharedDataLen", "pSharedData"), octets("pSharedData", "SharedData"),
		length("ulPublicDataLen", "pPublicData"), octets("pPublicData", "PublicData")}},
	{ID: 7, Struct: "CK_HKDF_PARAMS", Go: "HKDFParams", Sizes: []int{64}, Mechanisms: []ck.MechanismType{0x402a, 0x402b}, Fields: []Field{
		flag("bExtract", "Extract"), flag("bExpand", "Expand"), num("prfHashMechanism", "Hash"), num("ulSaltType", "SaltType"),
		octets("pSalt", "Salt"), length("ulSaltLen", "pSalt"), {C: "hSaltKey", Go: "SaltKey", Kind: Handle},
		octets("pInfo", "Info"), length("ulInfoLen", "pInfo")}},
	{ID: 8, Struct: "CK_KEY_DERIVATION_STRING_DATA", Go: "DerivationData", Sizes: []int{16},
		Mechanisms: []ck.MechanismType{0x1104, 0x362, 0x363, 0x364}, Fields: []Field{
			octets("pData", "Data"), length("ulLen", "pData")}},
	{ID: 9, Struct: "CK_AES_CBC_ENCRYPT_DATA_PARAMS", Go: "CBCEncryptDataParams", Sizes: []int{32}, Mechanisms: []ck.MechanismType{0x1105}, Fields: []Field{
		fixed("iv", "IV", 16), octets("pData", "Data"), length("length", "pData")}},
	{ID: 10, Struct: "CK_EDDSA_PARAMS", Go: "EdDSAParams", Sizes: []int{24}, Mechanisms: []ck.MechanismType{0x1057}, Fields: []Field{
		flag("phFlag", "Prehash"), length("ulContextDataLen", "pContextData"), octets("pContextData", "Context")}},
	{ID: 11, Struct: "CK_SIGN_ADDITIONAL_CONTEXT", Go: "SignContext", Sizes: []int{24},
		Mechanisms: []ck.MechanismType{0x1d, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x2b, 0x2c, 0x2e,
			0x36, 0x37, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f}, Fields: []Field{
			num("hedgeVariant", "Hedge"), octets("pContext", "Context"), length("ulContextLen", "pContext")}},
	{ID: 12, Struct: "CK_HASH_SIGN_ADDITIONAL_CONTEXT", Go: "HashSignContext", Sizes: []int{32}, Mechanisms: []ck.MechanismType{0x1f, 0x34}, Fields: []Field{
		num("hedgeVariant", "Hedge"), octets("pContext", "Context"), length("ulContextLen", "pContext"), num("hash", "Hash")}},
	{ID: 13, Struct: messageStruct, Go: "GCMMessage", Sizes: []int{48}, Fields: []Field{
		octets("pIv", "IV"), length("ulIvLen", "pIv"), num("ulIvFixedBits", "FixedBits"), num("ivGenerator", "Generator"),
		octets("pTag", "Tag"), num("ulTagBits", "TagBits")}},
	{ID: 14, Struct: "CK_GCM_WRAP_PARAMS", Go: "GCMWrapParams", Sizes: []int{56}, Mechanisms: []ck.MechanismType{0x1087}, Wrapping: true, Fields: []Field{
		octets("pIv", "IV"), length("ulIvLen", "pIv"), num("ulIvFixedBits", "FixedBits"), num("ivGenerator", "Generator"),
		octets("pAAD", "AAD"), length("ulAADLen", "pAAD"), num("ulTagBits", "TagBits")}},
}

func num(c, name string) Field { return Field{C: c, Go: name, Kind: Num} }

func flag(c, name string) Field { return Field{C: c, Go: name, Kind: Flag} }

func fixed(c, name string, size int) Field { return Field{C: c, Go: name, Kind: Fixed, Size: size} }

func octets(c, name string) Field { return Field{C: c, Go: name, Kind: Octets} }

func length(c, of string) Field { return Field{C: c, Kind: Length, Of: of} }

// paramOf is the structure with a number; nil if there is none.
func paramOf(id uint8) *Param {
	if id == 0 || int(id) > len(Params) {
		return nil
	}
	return &Params[id-1]
}

// crossing are the fields that cross as values of their own.
func (p *Param) crossing() []Field {
	fields := make([]Field, 0, len(p.Fields))
	for _, f := range p.Fields {
		if f.Kind != Length {
			fields = append(fields, f)
		}
	}
	return fields
}
