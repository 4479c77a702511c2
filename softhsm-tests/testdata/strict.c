/*
 * What a Go program cannot ask: NULL where something has to be, buffers that are too short, templates in which one
 * attribute is known and the next is not. Each line is a step, what it has come to, and what the standard wants.
 * usage: strict MODULE, with an empty token directory
 */
#include "host.h"

/* More numbers of the standard. */
enum {
	CKM_SHA256 = 0x250,
	CKM_SHA256_HMAC = 0x251,
	CKM_AES_ECB = 0x1081,
	CKM_AES_CBC_PAD = 0x1085,
	CKM_AES_KEY_WRAP = 0x2109,
	CKA_WRAP = 0x106,
	CKA_UNWRAP = 0x107,
	CKA_WRAP_TEMPLATE = 0x40000211,
	CKA_UNWRAP_TEMPLATE = 0x40000212,
	CKA_PRIVATE = 0x02,
	CKA_KEY_TYPE = 0x100,
	CKA_SENSITIVE = 0x103,
	CKA_ENCRYPT = 0x104,
	CKA_DECRYPT = 0x105,
	CKA_SIGN = 0x108,
	CKA_VERIFY = 0x10a,
	CKA_MODULUS = 0x120,
	CKA_VALUE_LEN = 0x161,
	CKA_EXTRACTABLE = 0x162,
	CKO_DATA = 0,
	CKO_SECRET_KEY = 4,
	CKK_AES = 0x1f,
};

#define RVS(_)                                                                                                       \
	_(CKR_OK, 0x00) _(CKR_ARGUMENTS_BAD, 0x07) _(CKR_NO_EVENT, 0x08) _(CKR_ATTRIBUTE_SENSITIVE, 0x11)           \
	_(CKR_ATTRIBUTE_TYPE_INVALID, 0x12) _(CKR_FUNCTION_NOT_PARALLEL, 0x51)                                       \
	_(CKR_FUNCTION_NOT_SUPPORTED, 0x54) _(CKR_OPERATION_NOT_INITIALIZED, 0x91)                                   \
	_(CKR_KEY_NOT_WRAPPABLE, 0x69) _(CKR_TEMPLATE_INCONSISTENT, 0xd1) _(CKR_BUFFER_TOO_SMALL, 0x150)

#define NUMBER(name, number) WANT_##name = number,
enum { RVS(NUMBER) };

static CK_FUNCTION_LIST_3_2 *p11; /* its 2.40 part alone is there with SoftHSM */
static CK_SLOT_ID slot;
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE key;
static CK_BYTE data[64], room[256];
static CK_ULONG length;

static CK_MECHANISM sha256 = {CKM_SHA256, NULL, 0}, hmac = {CKM_SHA256_HMAC, NULL, 0}, ecb = {CKM_AES_ECB, NULL, 0},
		    cbc_pad = {CKM_AES_CBC_PAD, data, 16};

/* A call that has to answer so. */
#define SAY(step, want, call)                                                                    \
	do {                                                                                     \
		CK_RV rv_ = (call);                                                              \
		printf("%s\t0x%lx\t0x%lx\n", step, (unsigned long)rv_, (unsigned long)WANT_##want); \
	} while (0)

#define NUMBER_IS(step, want, got) printf("%s\t%ld\t%ld\n", step, (long)(got), (long)(want))

/* The next case has a session of its own, so that nothing is left in it. */
static void renew(void)
{
	CK_SESSION_HANDLE next;
	OK(p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &next));
	session = next;
}

static void make_aes_key(void)
{
	static CK_BBOOL yes = 1, no = 0;
	static CK_ULONG class = CKO_SECRET_KEY, type = CKK_AES;
	CK_ATTRIBUTE template[] = {
		{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type}, {CKA_VALUE, data, 16},
		{CKA_ENCRYPT, &yes, 1}, {CKA_DECRYPT, &yes, 1}, {CKA_SIGN, &yes, 1}, {CKA_VERIFY, &yes, 1},
		{CKA_SENSITIVE, &yes, 1}, {CKA_EXTRACTABLE, &no, 1}, {CKA_PRIVATE, &no, 1},
	};
	OK(p11->C_CreateObject(session, template, sizeof template / sizeof template[0], &key));
}

static void lists(void)
{
	CK_SLOT_ID slots[8];
	length = 0;
	SAY("C_GetSlotList without a count", CKR_ARGUMENTS_BAD, p11->C_GetSlotList(0, slots, NULL));
	length = 0;
	SAY("C_GetSlotList of nothing", CKR_BUFFER_TOO_SMALL, p11->C_GetSlotList(0, slots, &length));
	NUMBER_IS("C_GetSlotList of nothing: count", 2, length);
	length = 1;
	SAY("C_GetSlotList of too few", CKR_BUFFER_TOO_SMALL, p11->C_GetSlotList(0, slots, &length));
	SAY("C_GetInfo to nowhere", CKR_ARGUMENTS_BAD, p11->C_GetInfo(NULL));
	SAY("C_GetSlotInfo to nowhere", CKR_ARGUMENTS_BAD, p11->C_GetSlotInfo(slot, NULL));
	SAY("C_GetTokenInfo to nowhere", CKR_ARGUMENTS_BAD, p11->C_GetTokenInfo(slot, NULL));
	SAY("C_GetMechanismList without a count", CKR_ARGUMENTS_BAD, p11->C_GetMechanismList(slot, NULL, NULL));
	length = 1;
	SAY("C_GetMechanismList of too few", CKR_BUFFER_TOO_SMALL,
	    p11->C_GetMechanismList(slot, (CK_MECHANISM_TYPE *)room, &length));
	NUMBER_IS("C_GetMechanismList of too few: it says how many", 1, length > 40);
	SAY("C_GetMechanismInfo to nowhere", CKR_ARGUMENTS_BAD, p11->C_GetMechanismInfo(slot, CKM_SHA256, NULL));
	SAY("C_GetFunctionList to nowhere", CKR_ARGUMENTS_BAD, p11->C_GetFunctionList(NULL));
	SAY("C_Finalize with something reserved", CKR_ARGUMENTS_BAD, p11->C_Finalize(data));
}

static void sessions(void)
{
	CK_SESSION_HANDLE made;
	SAY("C_OpenSession to nowhere", CKR_ARGUMENTS_BAD, p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, NULL));
	SAY("C_OpenSession with an application's pointer", CKR_OK,
	    p11->C_OpenSession(slot, CKF_SERIAL_SESSION, data, NULL, &made));
	SAY("C_GetSessionInfo to nowhere", CKR_ARGUMENTS_BAD, p11->C_GetSessionInfo(session, NULL));
	SAY("C_Login with no PIN at all", CKR_ARGUMENTS_BAD, p11->C_Login(session, CKU_SO, NULL, 8));
	SAY("C_SetPIN with no PIN at all", CKR_ARGUMENTS_BAD, p11->C_SetPIN(session, NULL, 8, NULL, 8));
	SAY("C_InitToken without a label", CKR_ARGUMENTS_BAD, p11->C_InitToken(slot, so_pin, SO_PIN, NULL));
	SAY("C_GetFunctionStatus", CKR_FUNCTION_NOT_PARALLEL, p11->C_GetFunctionStatus(session));
	SAY("C_CancelFunction", CKR_FUNCTION_NOT_PARALLEL, p11->C_CancelFunction(session));
	CK_SLOT_ID event;
	SAY("C_WaitForSlotEvent, not to wait", CKR_NO_EVENT, p11->C_WaitForSlotEvent(CKF_DONT_BLOCK, &event, NULL));
	SAY("C_WaitForSlotEvent", CKR_FUNCTION_NOT_SUPPORTED, p11->C_WaitForSlotEvent(0, &event, NULL));
}

/* Attributes: the known ones come, the others say -1. */
static void mixed_attributes(void)
{
	CK_ULONG class = 77;
	CK_BYTE small[1], modulus[16], value[16];
	CK_ATTRIBUTE template[] = {
		{CKA_MODULUS, modulus, sizeof modulus}, {CKA_CLASS, &class, sizeof class}, {0x7fff1234, value, sizeof value},
	};
	SAY("C_GetAttributeValue, known and unknown", CKR_ATTRIBUTE_TYPE_INVALID,
	    p11->C_GetAttributeValue(session, key, template, 3));
	NUMBER_IS("known and unknown: the modulus", -1, template[0].ulValueLen);
	NUMBER_IS("known and unknown: length of the class", sizeof class, template[1].ulValueLen);
	NUMBER_IS("known and unknown: the class", CKO_SECRET_KEY, class);
	NUMBER_IS("known and unknown: what is none", -1, template[2].ulValueLen);
	CK_ATTRIBUTE secret[] = {{CKA_VALUE, value, sizeof value}, {CKA_CLASS, &class, sizeof class}};
	class = 77;
	SAY("C_GetAttributeValue, sensitive", CKR_ATTRIBUTE_SENSITIVE, p11->C_GetAttributeValue(session, key, secret, 2));
	NUMBER_IS("sensitive: the value", -1, secret[0].ulValueLen);
	NUMBER_IS("sensitive: the class", CKO_SECRET_KEY, class);
	CK_ATTRIBUTE tight[] = {{CKA_CLASS, small, sizeof small}, {CKA_VALUE_LEN, &class, sizeof class}};
	SAY("C_GetAttributeValue, too little room", CKR_BUFFER_TOO_SMALL, p11->C_GetAttributeValue(session, key, tight, 2));
	NUMBER_IS("too little room: the class", -1, tight[0].ulValueLen);
	NUMBER_IS("too little room: the other one", 16, class);
	CK_ATTRIBUTE query[] = {{CKA_CLASS, NULL, 0}, {CKA_VALUE_LEN, NULL, 0}};
	SAY("C_GetAttributeValue, lengths", CKR_OK, p11->C_GetAttributeValue(session, key, query, 2));
	NUMBER_IS("lengths: the class", sizeof class, query[0].ulValueLen);
	SAY("C_GetAttributeValue of no template", CKR_ARGUMENTS_BAD, p11->C_GetAttributeValue(session, key, NULL, 1));
	SAY("C_SetAttributeValue of no template", CKR_ARGUMENTS_BAD, p11->C_SetAttributeValue(session, key, NULL, 1));
}

static void objects(void)
{
	CK_OBJECT_HANDLE made;
	CK_ULONG class = CKO_DATA;
	CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}};
	SAY("C_CreateObject to nowhere", CKR_ARGUMENTS_BAD, p11->C_CreateObject(session, template, 1, NULL));
	SAY("C_CreateObject of no template", CKR_ARGUMENTS_BAD, p11->C_CreateObject(session, NULL, 1, &made));
	SAY("C_CopyObject to nowhere", CKR_ARGUMENTS_BAD, p11->C_CopyObject(session, key, template, 0, NULL));
	SAY("C_GetObjectSize to nowhere", CKR_ARGUMENTS_BAD, p11->C_GetObjectSize(session, key, NULL));
	SAY("C_FindObjectsInit of no template", CKR_ARGUMENTS_BAD, p11->C_FindObjectsInit(session, NULL, 1));
	SAY("C_FindObjectsInit", CKR_OK, p11->C_FindObjectsInit(session, NULL, 0));
	SAY("C_FindObjects to nowhere", CKR_ARGUMENTS_BAD, p11->C_FindObjects(session, NULL, 1, &length));
	renew();
	SAY("C_GenerateKey to nowhere", CKR_ARGUMENTS_BAD, p11->C_GenerateKey(session, &ecb, template, 1, NULL));
	SAY("C_GenerateKey without a mechanism", CKR_ARGUMENTS_BAD, p11->C_GenerateKey(session, NULL, template, 1, &made));
	SAY("C_GenerateRandom to nowhere", CKR_ARGUMENTS_BAD, p11->C_GenerateRandom(session, NULL, 8));
	SAY("C_SeedRandom from nowhere", CKR_ARGUMENTS_BAD, p11->C_SeedRandom(session, NULL, 8));
}

/* A length query and a short buffer leave the operation alive. */
static void lengths_of_digest(void)
{
	renew();
	OK(p11->C_DigestInit(session, &sha256));
	SAY("digest: length", CKR_OK, p11->C_Digest(session, data, 4, NULL, &length));
	NUMBER_IS("digest: its length", 32, length);
	length = 31;
	SAY("digest: short", CKR_BUFFER_TOO_SMALL, p11->C_Digest(session, data, 4, room, &length));
	NUMBER_IS("digest: length of what was short", 32, length);
	SAY("digest: at last", CKR_OK, p11->C_Digest(session, data, 4, room, &length));
	renew();
	OK(p11->C_DigestInit(session, &sha256));
	SAY("digest final: length", CKR_OK, p11->C_DigestFinal(session, NULL, &length));
	length = 0;
	SAY("digest final: short", CKR_BUFFER_TOO_SMALL, p11->C_DigestFinal(session, room, &length));
	SAY("digest final: at last", CKR_OK, p11->C_DigestFinal(session, room, &length));
	renew();
	OK(p11->C_DigestInit(session, &sha256));
	length = sizeof room;
	SAY("digest of nothing at no address", CKR_OK, p11->C_Digest(session, NULL, 0, room, &length));
	renew();
	OK(p11->C_DigestInit(session, &sha256));
	SAY("digest update of nothing at no address", CKR_OK, p11->C_DigestUpdate(session, NULL, 0));
}

static void lengths_of_cipher(void)
{
	renew();
	OK(p11->C_EncryptInit(session, &cbc_pad, key));
	SAY("encryption: length", CKR_OK, p11->C_Encrypt(session, data, 16, NULL, &length));
	NUMBER_IS("encryption: its length is enough", 1, length >= 32);
	length = 31;
	SAY("encryption: short", CKR_BUFFER_TOO_SMALL, p11->C_Encrypt(session, data, 16, room, &length));
	NUMBER_IS("encryption: length of what was short", 32, length);
	SAY("encryption: at last", CKR_OK, p11->C_Encrypt(session, data, 16, room, &length));
	NUMBER_IS("encryption: length", 32, length);
	renew();
	OK(p11->C_DecryptInit(session, &cbc_pad, key));
	CK_BYTE sealed[32];
	memcpy(sealed, room, sizeof sealed);
	length = 15;
	SAY("decryption: short", CKR_BUFFER_TOO_SMALL, p11->C_Decrypt(session, sealed, 32, room, &length));
	length = sizeof room;
	SAY("decryption: at last", CKR_OK, p11->C_Decrypt(session, sealed, 32, room, &length));
	NUMBER_IS("decryption: length", 16, length);
	renew();
	OK(p11->C_DecryptInit(session, &cbc_pad, key));
	length = 16;
	SAY("decryption: room for just that", CKR_OK, p11->C_Decrypt(session, sealed, 32, room, &length));
	renew();
	OK(p11->C_EncryptInit(session, &ecb, key));
	length = 15;
	SAY("encryption update: short", CKR_BUFFER_TOO_SMALL, p11->C_EncryptUpdate(session, data, 16, room, &length));
	length = 16;
	SAY("encryption update: at last", CKR_OK, p11->C_EncryptUpdate(session, data, 16, room, &length));
	length = 16;
	SAY("encryption final", CKR_OK, p11->C_EncryptFinal(session, room, &length));
	NUMBER_IS("encryption final: length", 0, length);
}

static CK_OBJECT_HANDLE make_secret(void)
{
	static CK_BBOOL yes = 1, no = 0;
	static CK_ULONG class = CKO_SECRET_KEY, type = 0x10;
	CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type},
		{CKA_VALUE, data, 32}, {CKA_SIGN, &yes, 1}, {CKA_VERIFY, &yes, 1}, {CKA_PRIVATE, &no, 1}};
	CK_OBJECT_HANDLE secret;
	OK(p11->C_CreateObject(session, template, 6, &secret));
	return secret;
}

static void lengths_of_signature(void)
{
	renew();
	CK_OBJECT_HANDLE secret = make_secret();
	OK(p11->C_SignInit(session, &hmac, secret));
	SAY("signature: length", CKR_OK, p11->C_Sign(session, data, 4, NULL, &length));
	NUMBER_IS("signature: its length", 32, length);
	length = 31;
	SAY("signature: short", CKR_BUFFER_TOO_SMALL, p11->C_Sign(session, data, 4, room, &length));
	SAY("signature: at last", CKR_OK, p11->C_Sign(session, data, 4, room, &length));
	OK(p11->C_SignInit(session, &hmac, secret));
	OK(p11->C_SignUpdate(session, data, 4));
	length = 0;
	SAY("signature final: short", CKR_BUFFER_TOO_SMALL, p11->C_SignFinal(session, room, &length));
	length = sizeof room;
	SAY("signature final: at last", CKR_OK, p11->C_SignFinal(session, room, &length));
}

/* An error ends an operation, and another one can begin. */
static void errors_end(void)
{
	renew();
	CK_OBJECT_HANDLE secret = make_secret();
	OK(p11->C_DigestInit(session, &sha256));
	SAY("C_Digest of NULL", CKR_ARGUMENTS_BAD, p11->C_Digest(session, NULL, 4, room, &length));
	SAY("C_DigestInit after it", CKR_OK, p11->C_DigestInit(session, &sha256));
	renew();
	OK(p11->C_DigestInit(session, &sha256));
	SAY("C_Digest without a length", CKR_ARGUMENTS_BAD, p11->C_Digest(session, data, 4, room, NULL));
	SAY("C_DigestInit after that", CKR_OK, p11->C_DigestInit(session, &sha256));
	renew();
	OK(p11->C_DigestInit(session, &sha256));
	SAY("C_DigestUpdate of NULL", CKR_ARGUMENTS_BAD, p11->C_DigestUpdate(session, NULL, 4));
	SAY("C_DigestFinal after it", CKR_OPERATION_NOT_INITIALIZED, p11->C_DigestFinal(session, room, &length));
	renew();
	OK(p11->C_EncryptInit(session, &ecb, key));
	SAY("C_Encrypt of NULL", CKR_ARGUMENTS_BAD, p11->C_Encrypt(session, NULL, 16, room, &length));
	SAY("C_EncryptInit after it", CKR_OK, p11->C_EncryptInit(session, &ecb, key));
	renew();
	OK(p11->C_DecryptInit(session, &ecb, key));
	SAY("C_DecryptUpdate of NULL", CKR_ARGUMENTS_BAD, p11->C_DecryptUpdate(session, NULL, 16, room, &length));
	SAY("C_DecryptInit after it", CKR_OK, p11->C_DecryptInit(session, &ecb, key));
	renew();
	secret = make_secret();
	OK(p11->C_SignInit(session, &hmac, secret));
	SAY("C_Sign of NULL", CKR_ARGUMENTS_BAD, p11->C_Sign(session, NULL, 4, room, &length));
	SAY("C_SignInit after it", CKR_OK, p11->C_SignInit(session, &hmac, secret));
	renew();
	secret = make_secret();
	OK(p11->C_VerifyInit(session, &hmac, secret));
	SAY("C_Verify of NULL", CKR_ARGUMENTS_BAD, p11->C_Verify(session, data, 4, NULL, 32));
	SAY("C_VerifyInit after it", CKR_OK, p11->C_VerifyInit(session, &hmac, secret));
}

/* PKCS#11 3.0: no mechanism cancels. */
static void cancels(void)
{
	renew();
	OK(p11->C_DigestInit(session, &sha256));
	SAY("C_DigestInit with no mechanism", CKR_OK, p11->C_DigestInit(session, NULL));
	SAY("C_DigestUpdate after it", CKR_OPERATION_NOT_INITIALIZED, p11->C_DigestUpdate(session, data, 4));
	renew();
	OK(p11->C_EncryptInit(session, &ecb, key));
	SAY("C_EncryptInit with no mechanism", CKR_OK, p11->C_EncryptInit(session, NULL, 0));
	length = sizeof room;
	SAY("C_Encrypt after it", CKR_OPERATION_NOT_INITIALIZED, p11->C_Encrypt(session, data, 16, room, &length));
}

static CK_OBJECT_HANDLE make_readable(CK_ULONG type, CK_ATTRIBUTE *more, CK_ULONG count)
{
	static CK_BBOOL yes = 1, no = 0;
	static CK_ULONG class = CKO_SECRET_KEY;
	CK_ATTRIBUTE template[16] = {{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type},
		{CKA_VALUE, data, 16}, {CKA_SENSITIVE, &no, 1}, {CKA_EXTRACTABLE, &yes, 1}};
	CK_OBJECT_HANDLE made;
	memcpy(template + 5, more, count * sizeof *more);
	OK(p11->C_CreateObject(session, template, 5 + count, &made));
	return made;
}

/* Templates in attributes: what a key may wrap, and what the keys are that it unwraps. */
static void nested_templates(void)
{
	CK_BBOOL yes = 1, no = 0, read = 77;
	CK_ULONG class = CKO_SECRET_KEY, aes = CKK_AES;
	CK_MECHANISM wrap = {CKM_AES_KEY_WRAP, NULL, 0};
	CK_ATTRIBUTE stays = {CKA_EXTRACTABLE, &no, 1}, only_aes = {CKA_KEY_TYPE, &aes, sizeof aes};
	CK_ATTRIBUTE wraps[] = {{CKA_WRAP, &yes, 1}, {CKA_UNWRAP, &no, 1}, {CKA_ENCRYPT, &no, 1}, {CKA_DECRYPT, &no, 1},
		{CKA_WRAP_TEMPLATE, &only_aes, sizeof only_aes}};
	CK_ATTRIBUTE unwraps[] = {{CKA_WRAP, &no, 1}, {CKA_UNWRAP, &yes, 1}, {CKA_ENCRYPT, &no, 1}, {CKA_DECRYPT, &no, 1},
		{CKA_UNWRAP_TEMPLATE, &stays, sizeof stays}};
	renew();
	CK_OBJECT_HANDLE wrapping = make_readable(CKK_AES, wraps, 5), unwrapping = make_readable(CKK_AES, unwraps, 5), back;
	length = sizeof room;
	SAY("C_WrapKey of what a template allows", CKR_OK,
	    p11->C_WrapKey(session, &wrap, wrapping, make_readable(CKK_AES, NULL, 0), room, &length));
	CK_ULONG other = sizeof room / 2;
	/* The standard's text has CKR_KEY_HANDLE_INVALID; what SoftHSM answers tells more. */
	SAY("C_WrapKey of what it does not", CKR_KEY_NOT_WRAPPABLE,
	    p11->C_WrapKey(session, &wrap, wrapping, make_readable(0x10, NULL, 0), room + sizeof room / 2, &other));
	CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &aes, sizeof aes},
		{CKA_SENSITIVE, &no, 1}, {CKA_EXTRACTABLE, &yes, 1}};
	SAY("C_UnwrapKey against a template", CKR_TEMPLATE_INCONSISTENT,
	    p11->C_UnwrapKey(session, &wrap, unwrapping, room, 24, template, 4, &back));
	SAY("C_UnwrapKey with a template", CKR_OK, p11->C_UnwrapKey(session, &wrap, unwrapping, room, 24, template, 3, &back));
	CK_ATTRIBUTE query = {CKA_EXTRACTABLE, &read, 1};
	SAY("C_GetAttributeValue of what came back", CKR_OK, p11->C_GetAttributeValue(session, back, &query, 1));
	NUMBER_IS("what came back stays", 0, read);
	CK_ATTRIBUTE inner = {0, &read, 1}, nested = {CKA_UNWRAP_TEMPLATE, &inner, sizeof inner};
	SAY("C_GetAttributeValue of a template", CKR_OK, p11->C_GetAttributeValue(session, unwrapping, &nested, 1));
	NUMBER_IS("type in the template", CKA_EXTRACTABLE, inner.type);
}

/* A parameter that has a length and no address. */
static void parameter_at_no_address(void)
{
	renew();
	CK_MECHANISM none = {CKM_AES_CBC_PAD, NULL, 16};
	CK_RV rv = p11->C_EncryptInit(session, &none, key);
	NUMBER_IS("a parameter at no address is refused", 1, rv != CKR_OK);
}

int main(int argc, char **argv)
{
	CHECK(argc == 2);
	void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
	CHECK(library != NULL);
	CK_RV (*get_list)(CK_FUNCTION_LIST_PTR_PTR);
	*(void **)&get_list = dlsym(library, "C_GetFunctionList");
	CHECK(get_list != NULL);
	CK_FUNCTION_LIST *list;
	OK(get_list(&list));
	p11 = (CK_FUNCTION_LIST_3_2 *)list;
	OK(p11->C_Initialize(NULL));
	session = make_token(p11);
	CK_SESSION_INFO info;
	OK(p11->C_GetSessionInfo(session, &info));
	slot = info.slotID;
	make_aes_key();
	lists();
	sessions();
	mixed_attributes();
	objects();
	lengths_of_digest();
	lengths_of_cipher();
	lengths_of_signature();
	errors_end();
	cancels();
	nested_templates();
	parameter_at_no_address();
	OK(p11->C_Finalize(NULL));
	return 0;
}
