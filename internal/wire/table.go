package wire

import "github.com/onceleaf/onceleaf/internal/ck"

// FunctionRow is what crosses for one function of PKCS#11. Its number is its place in Functions, from 1.
type FunctionRow struct {
	Name  string
	Since int // the version that brought it: 240, 300 or 320
	Place Place
	Ends  uint64 // flags of the operations that a bad argument ends
	Args  []Arg
}

// Place says where a function is answered.
type Place int

// Places.
const (
	Remote Place = iota // at the daemon
	Local               // in the library, by hand-written code
	Absent              // nowhere yet: CKR_FUNCTION_NOT_SUPPORTED
)

// Arg is one argument: one or two C parameters.
type Arg struct {
	Name   string
	Length string // the second C parameter, a length or a count; empty if there is none
	Kind   Kind
	Type   string // the C type of the first one
}

// s is the session that nearly every function begins with.
var s = Arg{Name: "session", Kind: ArgSession, Type: "CK_SESSION_HANDLE"}

func slotID() Arg { return Arg{Name: "slot", Kind: ArgSlot, Type: "CK_SLOT_ID"} }

func object(name string) Arg { return Arg{Name: name, Kind: ArgObject, Type: "CK_OBJECT_HANDLE"} }

func number(typ, name string) Arg { return Arg{Name: name, Kind: ArgNumber, Type: typ} }

func in(name string) Arg {
	return Arg{Name: name, Length: name + "Len", Kind: ArgIn, Type: "CK_BYTE_PTR"}
}

func given(name string) Arg {
	return Arg{Name: name, Length: name + "Len", Kind: ArgInGiven, Type: "CK_BYTE_PTR"}
}

func text(name, length string) Arg {
	return Arg{Name: name, Length: length, Kind: ArgIn, Type: "CK_UTF8CHAR_PTR"}
}

func out(name string) Arg {
	return Arg{Name: name, Length: name + "Len", Kind: ArgOut, Type: "CK_BYTE_PTR"}
}

func template(name, count string) Arg {
	return Arg{Name: name, Length: count, Kind: ArgTemplate, Type: "CK_ATTRIBUTE_PTR"}
}

func mechanism(kind Kind) Arg { return Arg{Name: "mechanism", Kind: kind, Type: "CK_MECHANISM_PTR"} }

func message(kind Kind) Arg {
	return Arg{Name: "parameter", Length: "parameterLen", Kind: kind, Type: "CK_VOID_PTR"}
}

func made(name string) Arg { return Arg{Name: name, Kind: ArgNewObject, Type: "CK_OBJECT_HANDLE_PTR"} }

func structure(kind Kind, typ string) Arg { return Arg{Name: "info", Kind: kind, Type: typ} }

func outNumber(typ, name string) Arg { return Arg{Name: name, Kind: ArgOutNumber, Type: typ} }

func ignored(typ, name string) Arg { return Arg{Name: name, Kind: ArgIgnored, Type: typ} }

// begin are the arguments of the many functions that begin an operation with a key.
func begin() []Arg { return []Arg{s, mechanism(ArgMechanismOrNull), object("key")} }

// Functions are the functions of PKCS#11 in the order of the standard's lists. To offer one is to change its Absent to
// Remote, to generate, and to give p11module the method.
var Functions = []FunctionRow{
	// general purpose
	{"C_Initialize", 240, Local, 0, []Arg{ignored("CK_VOID_PTR", "initArgs")}},
	{"C_Finalize", 240, Local, 0, []Arg{{Name: "reserved", Kind: ArgReserved, Type: "CK_VOID_PTR"}}},
	{"C_GetInfo", 240, Remote, 0, []Arg{structure(ArgInfo, "CK_INFO_PTR")}},
	{"C_GetFunctionList", 240, Local, 0, []Arg{ignored("CK_FUNCTION_LIST_PTR_PTR", "list")}},

	// slots and tokens
	{"C_GetSlotList", 240, Remote, 0, []Arg{{Name: "tokenPresent", Kind: ArgBool, Type: "CK_BBOOL"},
		{Name: "slots", Length: "count", Kind: ArgList, Type: "CK_SLOT_ID_PTR"}}},
	{"C_GetSlotInfo", 240, Remote, 0, []Arg{slotID(), structure(ArgSlotInfo, "CK_SLOT_INFO_PTR")}},
	{"C_GetTokenInfo", 240, Remote, 0, []Arg{slotID(), structure(ArgTokenInfo, "CK_TOKEN_INFO_PTR")}},
	{"C_GetMechanismList", 240, Remote, 0, []Arg{slotID(),
		{Name: "mechanisms", Length: "count", Kind: ArgList, Type: "CK_MECHANISM_TYPE_PTR"}}},
	{"C_GetMechanismInfo", 240, Remote, 0, []Arg{slotID(), number("CK_MECHANISM_TYPE", "type"),
		structure(ArgMechanismInfo, "CK_MECHANISM_INFO_PTR")}},
	{"C_InitToken", 240, Remote, 0, []Arg{slotID(), text("pin", "pinLen"),
		{Name: "label", Kind: ArgLabel, Type: "CK_UTF8CHAR_PTR"}}},
	{"C_InitPIN", 240, Remote, 0, []Arg{s, text("pin", "pinLen")}},
	{"C_SetPIN", 240, Remote, 0, []Arg{s, text("oldPin", "oldLen"), text("newPin", "newLen")}},

	// sessions
	{"C_OpenSession", 240, Remote, 0, []Arg{slotID(), number("CK_FLAGS", "flags"), ignored("CK_VOID_PTR", "application"),
		ignored("CK_NOTIFY", "notify"), {Name: "session", Kind: ArgNewSession, Type: "CK_SESSION_HANDLE_PTR"}}},
	{"C_CloseSession", 240, Remote, 0, []Arg{s}},
	{"C_CloseAllSessions", 240, Remote, 0, []Arg{slotID()}},
	{"C_GetSessionInfo", 240, Remote, 0, []Arg{s, structure(ArgSessionInfo, "CK_SESSION_INFO_PTR")}},
	{"C_GetOperationState", 240, Absent, 0, []Arg{s, out("state")}},
	{"C_SetOperationState", 240, Absent, 0, []Arg{s, in("state"), object("encryptionKey"), object("authenticationKey")}},
	{"C_Login", 240, Remote, 0, []Arg{s, number("CK_USER_TYPE", "user"), text("pin", "pinLen")}},
	{"C_Logout", 240, Remote, 0, []Arg{s}},

	// objects
	{"C_CreateObject", 240, Remote, 0, []Arg{s, template("attributes", "count"), made("object")}},
	{"C_CopyObject", 240, Remote, 0, []Arg{s, object("object"), template("attributes", "count"), made("copy")}},
	{"C_DestroyObject", 240, Remote, 0, []Arg{s, object("object")}},
	{"C_GetObjectSize", 240, Remote, 0, []Arg{s, object("object"), outNumber("CK_ULONG_PTR", "size")}},
	{"C_GetAttributeValue", 240, Remote, 0, []Arg{s, object("object"),
		{Name: "attributes", Length: "count", Kind: ArgQuery, Type: "CK_ATTRIBUTE_PTR"}}},
	{"C_SetAttributeValue", 240, Remote, 0, []Arg{s, object("object"), template("attributes", "count")}},
	{"C_FindObjectsInit", 240, Remote, 0, []Arg{s, template("attributes", "count")}},
	{"C_FindObjects", 240, Remote, ck.CKF_FIND_OBJECTS, []Arg{s,
		{Name: "objects", Length: "max", Kind: ArgFound, Type: "CK_OBJECT_HANDLE_PTR"}}},
	{"C_FindObjectsFinal", 240, Remote, 0, []Arg{s}},

	// encryption, decryption
	{"C_EncryptInit", 240, Remote, ck.CKF_ENCRYPT, begin()},
	{"C_Encrypt", 240, Remote, ck.CKF_ENCRYPT, []Arg{s, in("data"), out("encrypted")}},
	{"C_EncryptUpdate", 240, Remote, ck.CKF_ENCRYPT, []Arg{s, in("part"), out("encrypted")}},
	{"C_EncryptFinal", 240, Remote, ck.CKF_ENCRYPT, []Arg{s, out("encrypted")}},
	{"C_DecryptInit", 240, Remote, ck.CKF_DECRYPT, begin()},
	{"C_Decrypt", 240, Remote, ck.CKF_DECRYPT, []Arg{s, in("encrypted"), out("data")}},
	{"C_DecryptUpdate", 240, Remote, ck.CKF_DECRYPT, []Arg{s, in("encrypted"), out("part")}},
	{"C_DecryptFinal", 240, Remote, ck.CKF_DECRYPT, []Arg{s, out("part")}},

	// digests
	{"C_DigestInit", 240, Remote, ck.CKF_DIGEST, []Arg{s, mechanism(ArgMechanismOrNull)}},
	{"C_Digest", 240, Remote, ck.CKF_DIGEST, []Arg{s, in("data"), out("digest")}},
	{"C_DigestUpdate", 240, Remote, ck.CKF_DIGEST, []Arg{s, in("part")}},
	{"C_DigestKey", 240, Remote, ck.CKF_DIGEST, []Arg{s, object("key")}},
	{"C_DigestFinal", 240, Remote, ck.CKF_DIGEST, []Arg{s, out("digest")}},

	// signing, verifying
	{"C_SignInit", 240, Remote, ck.CKF_SIGN, begin()},
	{"C_Sign", 240, Remote, ck.CKF_SIGN, []Arg{s, in("data"), out("signature")}},
	{"C_SignUpdate", 240, Remote, ck.CKF_SIGN, []Arg{s, in("part")}},
	{"C_SignFinal", 240, Remote, ck.CKF_SIGN, []Arg{s, out("signature")}},
	{"C_SignRecoverInit", 240, Absent, ck.CKF_SIGN_RECOVER, begin()},
	{"C_SignRecover", 240, Absent, ck.CKF_SIGN_RECOVER, []Arg{s, in("data"), out("signature")}},
	{"C_VerifyInit", 240, Remote, ck.CKF_VERIFY, begin()},
	{"C_Verify", 240, Remote, ck.CKF_VERIFY, []Arg{s, in("data"), in("signature")}},
	{"C_VerifyUpdate", 240, Remote, ck.CKF_VERIFY, []Arg{s, in("part")}},
	{"C_VerifyFinal", 240, Remote, ck.CKF_VERIFY, []Arg{s, in("signature")}},
	{"C_VerifyRecoverInit", 240, Absent, ck.CKF_VERIFY_RECOVER, begin()},
	{"C_VerifyRecover", 240, Absent, ck.CKF_VERIFY_RECOVER, []Arg{s, in("signature"), out("data")}},

	// two operations at once
	{"C_DigestEncryptUpdate", 240, Absent, ck.CKF_DIGEST | ck.CKF_ENCRYPT, []Arg{s, in("part"), out("encrypted")}},
	{"C_DecryptDigestUpdate", 240, Absent, ck.CKF_DECRYPT | ck.CKF_DIGEST, []Arg{s, in("encrypted"), out("part")}},
	{"C_SignEncryptUpdate", 240, Absent, ck.CKF_SIGN | ck.CKF_ENCRYPT, []Arg{s, in("part"), out("encrypted")}},
	{"C_DecryptVerifyUpdate", 240, Absent, ck.CKF_DECRYPT | ck.CKF_VERIFY, []Arg{s, in("encrypted"), out("part")}},

	// keys
	{"C_GenerateKey", 240, Remote, 0, []Arg{s, mechanism(ArgMechanism), template("attributes", "count"), made("key")}},
	{"C_GenerateKeyPair", 240, Remote, 0, []Arg{s, mechanism(ArgMechanism), template("publicAttributes", "publicCount"),
		template("privateAttributes", "privateCount"), made("publicKey"), made("privateKey")}},
	{"C_WrapKey", 240, Remote, 0, []Arg{s, mechanism(ArgMechanism), object("wrappingKey"), object("key"), out("wrapped")}},
	{"C_UnwrapKey", 240, Remote, 0, []Arg{s, mechanism(ArgMechanism), object("unwrappingKey"), given("wrapped"),
		template("attributes", "count"), made("key")}},
	{"C_DeriveKey", 240, Remote, 0, []Arg{s, mechanism(ArgMechanism), object("baseKey"), template("attributes", "count"), made("key")}},

	// random numbers
	{"C_SeedRandom", 240, Remote, 0, []Arg{s, in("seed")}},
	{"C_GenerateRandom", 240, Remote, 0, []Arg{s, {Name: "random", Length: "randomLen", Kind: ArgRandom, Type: "CK_BYTE_PTR"}}},

	// of old parallel sessions, and events
	{"C_GetFunctionStatus", 240, Local, 0, []Arg{s}},
	{"C_CancelFunction", 240, Local, 0, []Arg{s}},
	{"C_WaitForSlotEvent", 240, Local, 0, []Arg{ignored("CK_FLAGS", "flags"), ignored("CK_SLOT_ID_PTR", "slot"), ignored("CK_VOID_PTR", "reserved")}},

	// 3.0
	{"C_GetInterfaceList", 300, Local, 0, []Arg{ignored("CK_INTERFACE_PTR", "interfaces"), ignored("CK_ULONG_PTR", "count")}},
	{"C_GetInterface", 300, Local, 0, []Arg{ignored("CK_UTF8CHAR_PTR", "name"), ignored("CK_VERSION_PTR", "version"),
		ignored("CK_INTERFACE_PTR_PTR", "interface"), ignored("CK_FLAGS", "flags")}},
	{"C_LoginUser", 300, Remote, 0, []Arg{s, number("CK_USER_TYPE", "user"), text("pin", "pinLen"), text("name", "nameLen")}},
	{"C_SessionCancel", 300, Remote, 0, []Arg{s, number("CK_FLAGS", "flags")}},
	{"C_MessageEncryptInit", 300, Remote, ck.CKF_MESSAGE_ENCRYPT, begin()},
	{"C_EncryptMessage", 300, Remote, ck.CKF_MESSAGE_ENCRYPT, []Arg{s, message(ArgEncrypting), in("associated"), in("plain"), out("encrypted")}},
	{"C_EncryptMessageBegin", 300, Remote, ck.CKF_MESSAGE_ENCRYPT, []Arg{s, message(ArgEncrypting), in("associated")}},
	{"C_EncryptMessageNext", 300, Remote, ck.CKF_MESSAGE_ENCRYPT, []Arg{s, message(ArgEncrypting), in("plain"), out("encrypted"), number("CK_FLAGS", "flags")}},
	{"C_MessageEncryptFinal", 300, Remote, ck.CKF_MESSAGE_ENCRYPT, []Arg{s}},
	{"C_MessageDecryptInit", 300, Remote, ck.CKF_MESSAGE_DECRYPT, begin()},
	{"C_DecryptMessage", 300, Remote, ck.CKF_MESSAGE_DECRYPT, []Arg{s, message(ArgDecrypting), in("associated"), in("encrypted"), out("plain")}},
	{"C_DecryptMessageBegin", 300, Remote, ck.CKF_MESSAGE_DECRYPT, []Arg{s, message(ArgDecrypting), in("associated")}},
	{"C_DecryptMessageNext", 300, Remote, ck.CKF_MESSAGE_DECRYPT, []Arg{s, message(ArgDecrypting), in("encrypted"), out("plain"), number("CK_FLAGS", "flags")}},
	{"C_MessageDecryptFinal", 300, Remote, ck.CKF_MESSAGE_DECRYPT, []Arg{s}},
	{"C_MessageSignInit", 300, Absent, ck.CKF_MESSAGE_SIGN, begin()},
	{"C_SignMessage", 300, Absent, ck.CKF_MESSAGE_SIGN, []Arg{s, message(ArgMessage), in("data"), out("signature")}},
	{"C_SignMessageBegin", 300, Absent, ck.CKF_MESSAGE_SIGN, []Arg{s, message(ArgMessage)}},
	{"C_SignMessageNext", 300, Absent, ck.CKF_MESSAGE_SIGN, []Arg{s, message(ArgMessage), in("part"),
		{Name: "signature", Length: "signatureLen", Kind: ArgOutOrNone, Type: "CK_BYTE_PTR"}}},
	{"C_MessageSignFinal", 300, Absent, ck.CKF_MESSAGE_SIGN, []Arg{s}},
	{"C_MessageVerifyInit", 300, Absent, ck.CKF_MESSAGE_VERIFY, begin()},
	{"C_VerifyMessage", 300, Absent, ck.CKF_MESSAGE_VERIFY, []Arg{s, message(ArgMessage), in("data"), in("signature")}},
	{"C_VerifyMessageBegin", 300, Absent, ck.CKF_MESSAGE_VERIFY, []Arg{s, message(ArgMessage)}},
	{"C_VerifyMessageNext", 300, Absent, ck.CKF_MESSAGE_VERIFY, []Arg{s, message(ArgMessage), in("part"), in("signature")}},
	{"C_MessageVerifyFinal", 300, Absent, ck.CKF_MESSAGE_VERIFY, []Arg{s}},

	// 3.2
	{"C_EncapsulateKey", 320, Remote, 0, []Arg{s, mechanism(ArgMechanism), object("publicKey"), template("attributes", "count"),
		out("encapsulated"), made("key")}},
	{"C_DecapsulateKey", 320, Remote, 0, []Arg{s, mechanism(ArgMechanism), object("privateKey"), template("attributes", "count"),
		in("encapsulated"), made("key")}},
	{"C_VerifySignatureInit", 320, Remote, ck.CKF_VERIFY, []Arg{s, mechanism(ArgMechanismOrNull), object("key"), in("signature")}},
	{"C_VerifySignature", 320, Remote, ck.CKF_VERIFY, []Arg{s, in("data")}},
	{"C_VerifySignatureUpdate", 320, Remote, ck.CKF_VERIFY, []Arg{s, in("part")}},
	{"C_VerifySignatureFinal", 320, Remote, ck.CKF_VERIFY, []Arg{s}},
	{"C_GetSessionValidationFlags", 320, Absent, 0, []Arg{s, number("CK_SESSION_VALIDATION_FLAGS_TYPE", "type"), outNumber("CK_FLAGS_PTR", "flags")}},
	{"C_AsyncComplete", 320, Absent, 0, []Arg{s, functionName(), {Name: "result", Kind: ArgAsync, Type: "CK_ASYNC_DATA_PTR"}}},
	{"C_AsyncGetID", 320, Absent, 0, []Arg{s, functionName(), outNumber("CK_ULONG_PTR", "id")}},
	{"C_AsyncJoin", 320, Absent, 0, []Arg{s, functionName(), number("CK_ULONG", "id"), in("data")}},
	{"C_WrapKeyAuthenticated", 320, Absent, 0, []Arg{s, mechanism(ArgWrapMechanism), object("wrappingKey"), object("key"),
		in("associated"), out("wrapped")}},
	{"C_UnwrapKeyAuthenticated", 320, Absent, 0, []Arg{s, mechanism(ArgWrapMechanism), object("unwrappingKey"), given("wrapped"),
		template("attributes", "count"), in("associated"), made("key")}},
}

func functionName() Arg { return Arg{Name: "function", Kind: ArgName, Type: "CK_UTF8CHAR_PTR"} }
