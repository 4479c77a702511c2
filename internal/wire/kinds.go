package wire

// Kind says how an argument crosses.
type Kind int

// Kinds of arguments.
const (
	ArgSession Kind = iota
	ArgSlot
	ArgObject
	ArgNumber
	ArgBool
	ArgLabel
	ArgIn
	ArgInGiven
	ArgName
	ArgTemplate
	ArgMechanism
	ArgMechanismOrNull
	ArgWrapMechanism
	ArgQuery
	ArgOut
	ArgOutOrNone
	ArgList
	ArgFound
	ArgRandom
	ArgNewSession
	ArgNewObject
	ArgOutNumber
	ArgInfo
	ArgSlotInfo
	ArgTokenInfo
	ArgSessionInfo
	ArgMechanismInfo
	ArgEncrypting
	ArgDecrypting
	ArgMessage
	ArgAsync
	ArgReserved
	ArgIgnored
)

// KindRow describes a kind for people, and is part of what the two ends must agree on.
type KindRow struct{ Name, C, Request, Answer, Bad string }

// Kinds has a row for each kind, in their order.
var Kinds = []KindRow{
	ArgSession:         {"Session", "CK_SESSION_HANDLE x", "u64", "", ""},
	ArgSlot:            {"Slot", "CK_SLOT_ID x", "u64", "", ""},
	ArgObject:          {"Object", "CK_OBJECT_HANDLE x", "u64", "", ""},
	ArgNumber:          {"Number", "CK_ULONG x", "u64", "", ""},
	ArgBool:            {"Bool", "CK_BBOOL x", "u8, 0 or 1", "", ""},
	ArgLabel:           {"Label", "CK_UTF8CHAR *x", "32 octets", "", "NULL"},
	ArgIn:              {"In", "p, n", "bytes, at most 64 MiB", "", "NULL and n != 0"},
	ArgInGiven:         {"InGiven", "p, n", "bytes, at most 64 MiB", "", "NULL"},
	ArgName:            {"Name", "CK_UTF8CHAR *x", "bytes, at most 64", "", "NULL, longer"},
	ArgTemplate:        {"Template", "CK_ATTRIBUTE *a, n", "template", "", "NULL and n != 0, more than 1024 entries in the call, nested ones included, a value NULL with a length or above 1 MiB"},
	ArgMechanism:       {"Mechanism", "CK_MECHANISM *m", "mechanism, not form 0", "", "NULL, a parameter NULL with a length or above 1 MiB"},
	ArgMechanismOrNull: {"MechanismOrNull", "CK_MECHANISM *m", "mechanism; form 0 ends the operation as C_SessionCancel does", "", "as Mechanism, but for NULL"},
	ArgWrapMechanism:   {"WrapMechanism", "CK_MECHANISM *m", "mechanism, with the structures of authenticated wrapping", "", "as Mechanism"},
	ArgQuery:           {"Query", "CK_ATTRIBUTE *a, n (in, out)", "queries", "results, whatever rv is", "NULL and n != 0, more than 1024 entries, nested ones included"},
	ArgOut:             {"Out", "p, CK_ULONG *n", "u8 query, u64 room", "u64 length, bytes (NULL for a query)", "n NULL"},
	ArgOutOrNone:       {"OutOrNone", "p, CK_ULONG *n", "u8 0 for n NULL, or u8 1 and as Out", "as Out, nothing for n NULL", ""},
	ArgList:            {"List", "p, CK_ULONG *n", "", "u32 count, at most 65536, u64 each; the whole list always", "n NULL"},
	ArgFound:           {"Found", "p, max, CK_ULONG *n", "u64 max, at most 65536", "u32 count, at most max, u64 each", "p NULL and max != 0, n NULL"},
	ArgRandom:          {"Random", "p, n", "u64 n, at most 65536; more is asked for in parts", "bytes of length n", "NULL and n != 0"},
	ArgNewSession:      {"NewSession", "CK_SESSION_HANDLE *h", "", "u64", "NULL"},
	ArgNewObject:       {"NewObject", "CK_OBJECT_HANDLE *h", "", "u64; 0 when an Out of the same call was a query", "NULL"},
	ArgOutNumber:       {"OutNumber", "CK_ULONG *n", "", "u64", "NULL"},
	ArgInfo:            {"Info", "CK_INFO *s", "", infoText(ArgInfo), "NULL"},
	ArgSlotInfo:        {"SlotInfo", "CK_SLOT_INFO *s", "", infoText(ArgSlotInfo), "NULL"},
	ArgTokenInfo:       {"TokenInfo", "CK_TOKEN_INFO *s", "", infoText(ArgTokenInfo), "NULL"},
	ArgSessionInfo:     {"SessionInfo", "CK_SESSION_INFO *s", "", infoText(ArgSessionInfo), "NULL"},
	ArgMechanismInfo:   {"MechanismInfo", "CK_MECHANISM_INFO *s", "", infoText(ArgMechanismInfo), "NULL"},
	ArgEncrypting:      {"Encrypting", "p, n", "message", "u8 0; or, for form 1, u8 2, bytes iv, bytes tag if ivGenerator is not 0, else u8 1, bytes tag; NULL for what is not given", "NULL and n != 0"},
	ArgDecrypting:      {"Decrypting", "p, n", "message, with the octets of the tag", "u8 0", "NULL and n != 0"},
	ArgMessage:         {"Message", "p, n", "message, never form 1", "u8 0", "NULL and n != 0"},
	ArgAsync: {"Async", "CK_ASYNC_DATA *s", "u8 query, u64 room of pValue", "u64 ulVersion, bytes pValue (NULL for a query), u64 ulValue, " +
		"u64 hObject, u64 hAdditionalObject", "NULL"},
	ArgReserved: {"Reserved", "CK_VOID_PTR x", "", "", "not NULL"},
	ArgIgnored:  {"Ignored", "any", "", "", ""},
}

// String is the kind's name.
func (k Kind) String() string { return Kinds[k].Name }
