/*
 * A host that watches its buffers: a query and a short buffer cost no leaf, nothing is written that was not promised,
 * and no error leaves a byte of a signature behind. usage: buffers MODULE, with an empty ONCELEAF_DIR
 */
#include "host.h"

enum { ROOM = 16384, MARK = 0xA5 };

static CK_FUNCTION_LIST_3_2 *p11;
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE private_key, public_key;
static CK_MECHANISM hss = {CKM_HSS, NULL, 0};
static CK_BYTE message[] = "firmware", signature[ROOM];

static void mark(void)
{
	memset(signature, MARK, ROOM);
}

static void untouched_from(CK_ULONG start)
{
	for (CK_ULONG i = start; i < ROOM; i++)
		CHECK(signature[i] == MARK);
}

typedef CK_RV (*finish)(CK_BYTE *out, CK_ULONG *length);

static CK_RV single(CK_BYTE *out, CK_ULONG *length)
{
	return p11->C_Sign(session, message, sizeof message, out, length);
}

static CK_RV multi(CK_BYTE *out, CK_ULONG *length)
{
	return p11->C_SignFinal(session, out, length);
}

/* The whole ladder of one signature, for C_Sign and for C_SignFinal. */
static void one_signature(finish sign)
{
	CK_ULONG before = keys_remaining(p11, session, private_key), needed = 0;
	mark();
	OK(p11->C_SignInit(session, &hss, private_key));
	if (sign == multi) {
		OK(p11->C_SignUpdate(session, message, 4));
		OK(p11->C_SignUpdate(session, NULL, 0));
		OK(p11->C_SignUpdate(session, message + 4, sizeof message - 4));
	}
	for (int i = 0; i < 100; i++)
		OK(sign(NULL, &needed));
	CHECK(needed > 1000 && needed < ROOM);
	for (CK_ULONG room = 0; room < needed; room += needed / 7 + (room == 0)) {
		CK_ULONG length = room;
		EXPECT(CKR_BUFFER_TOO_SMALL, sign(signature, &length));
		CHECK(length == needed);
	}
	CK_ULONG length = needed - 1;
	EXPECT(CKR_BUFFER_TOO_SMALL, sign(signature, &length));
	untouched_from(0);
	CHECK(keys_remaining(p11, session, private_key) == before);

	length = ~0UL; /* room without end is room enough */
	OK(sign(signature, &length));
	CHECK(length <= needed && length > 0);
	untouched_from(length);
	CHECK(keys_remaining(p11, session, private_key) == before - 1);
	EXPECT(CKR_OPERATION_NOT_INITIALIZED, sign(signature, &length));

	OK(p11->C_VerifyInit(session, &hss, public_key));
	OK(p11->C_Verify(session, message, sizeof message, signature, length));
	signature[length / 2] ^= 1;
	OK(p11->C_VerifyInit(session, &hss, public_key));
	EXPECT(CKR_SIGNATURE_INVALID, p11->C_Verify(session, message, sizeof message, signature, length));
}

static void an_exhausted_key_writes_nothing(void)
{
	while (keys_remaining(p11, session, private_key) > 0)
		sign_and_verify(p11, session, private_key, public_key);
	mark();
	CK_ULONG length = ROOM;
	CK_RV rv = p11->C_SignInit(session, &hss, private_key);
	if (rv == CKR_OK)
		rv = p11->C_Sign(session, message, sizeof message, signature, &length);
	CHECK(rv == CKR_KEY_EXHAUSTED);
	untouched_from(0);
	CHECK(length == ROOM);
}

static void attributes(void)
{
	CK_ULONG levels = 0;
	CK_BYTE value[64], small[1] = {MARK};
	CK_ATTRIBUTE template[] = {
		{CKA_HSS_LEVELS, &levels, sizeof levels},
		{CKA_VALUE, value, sizeof value},   /* secret */
		{0x7ffffff1, value, sizeof value},  /* unknown */
		{CKA_CLASS, NULL, 0},               /* query */
		{CKA_HSS_LMS_TYPES, small, sizeof small},
	};
	memset(value, MARK, sizeof value);
	CHECK(p11->C_GetAttributeValue(session, private_key, template, 5) != CKR_OK);
	CHECK(levels == 1 && template[0].ulValueLen == sizeof levels);
	CHECK(template[1].ulValueLen == ~0UL && template[2].ulValueLen == ~0UL);
	CHECK(template[3].ulValueLen == sizeof(CK_ULONG));
	CHECK(small[0] == MARK);
	for (size_t i = 0; i < sizeof value; i++)
		CHECK(value[i] == MARK);
	CK_ATTRIBUTE secret = {CKA_VALUE, value, sizeof value}, unknown = {0x7ffffff1, NULL, 0};
	EXPECT(CKR_ATTRIBUTE_SENSITIVE, p11->C_GetAttributeValue(session, private_key, &secret, 1));
	EXPECT(CKR_ATTRIBUTE_TYPE_INVALID, p11->C_GetAttributeValue(session, private_key, &unknown, 1));
}

static void lists(void)
{
	CK_ULONG count = 0;
	CK_SLOT_ID slots[8] = {0};
	OK(p11->C_GetSlotList(0, NULL, &count));
	CHECK(count == 2); /* ours and the one that waits to be initialised */
	count = 1;
	EXPECT(CKR_BUFFER_TOO_SMALL, p11->C_GetSlotList(0, slots, &count));
	CHECK(count == 2);
	OK(p11->C_GetSlotList(0, slots, &count));
	CK_OBJECT_HANDLE found[2] = {77, 77};
	CK_BBOOL on_token = 0;
	CK_ATTRIBUTE ours = {CKA_TOKEN, &on_token, sizeof on_token}; /* the key pair: the token has objects of its own */
	OK(p11->C_FindObjectsInit(session, &ours, 1));
	OK(p11->C_FindObjects(session, found, 1, &count));
	CHECK(count == 1 && found[0] != 77 && found[1] == 77);
	OK(p11->C_FindObjects(session, found + 1, 1, &count));
	CHECK(count == 1 && found[1] != 77);
	OK(p11->C_FindObjects(session, found, 2, &count));
	CHECK(count == 0);
	OK(p11->C_FindObjectsFinal(session));
}

static void random_numbers(void)
{
	static CK_BYTE large[200001];
	memset(large, MARK, sizeof large);
	OK(p11->C_GenerateRandom(session, large, sizeof large - 1));
	CHECK(large[sizeof large - 1] == MARK);
	size_t marks = 0;
	for (size_t i = 0; i < sizeof large - 1; i++)
		marks += large[i] == MARK;
	CHECK(marks < 4000); /* 781 expected; a part that was not filled would show */
}

static void texts_are_padded(void)
{
	CK_SLOT_ID slots[8];
	CK_ULONG count = 8;
	CK_TOKEN_INFO info;
	OK(p11->C_GetSlotList(1, slots, &count));
	OK(p11->C_GetTokenInfo(slots[0], &info));
	CHECK(memcmp(info.label, "host                            ", 32) == 0);
	CHECK(memchr(&info.manufacturerID, 0, 32) == NULL && memchr(&info.model, 0, 16) == NULL);
	CHECK(memchr(&info.serialNumber, 0, 16) == NULL);
	CHECK(info.ulMinPinLen <= SO_PIN && info.ulMaxPinLen >= SO_PIN);
}

int main(int argc, char **argv)
{
	CHECK(argc == 2);
	p11 = load(argv[1]);
	OK(p11->C_Initialize(NULL));
	session = make_token(p11);
	private_key = make_key(p11, session, 1, 0, &public_key);
	one_signature(single);
	one_signature(multi);
	attributes();
	lists();
	random_numbers();
	texts_are_padded();
	an_exhausted_key_writes_nothing();
	OK(p11->C_Finalize(NULL));
	return 0;
}
