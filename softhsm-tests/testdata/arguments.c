/*
 * A host that passes pointers and lengths that cannot be right: each gets an error, nothing crashes, and a bad argument
 * ends the operation that was active. usage: arguments MODULE, with an empty ONCELEAF_DIR
 */
#include "host.h"

static CK_FUNCTION_LIST_3_2 *p11;
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE private_key, public_key;
static CK_MECHANISM hss = {CKM_HSS, NULL, 0};
static CK_BYTE data[] = "data", room[16384];
static CK_ULONG length;

#define BAD(call) EXPECT(CKR_ARGUMENTS_BAD, call)

/* NULL for everything but the session. These are right as they stand, or end what the test needs. */
static int zeros_are_fine(int i)
{
	if (strcmp(functions[i].name + strlen(functions[i].name) - 4, "Init") == 0)
		return 1; /* no mechanism cancels, no template finds all */
	static const char *const names[] = {
		"C_Initialize", "C_Finalize", "C_CloseSession", "C_CloseAllSessions", "C_Logout", "C_SessionCancel",
		"C_SeedRandom", "C_GenerateRandom",
	};
	for (size_t n = 0; n < sizeof names / sizeof names[0]; n++) {
		if (is(i, names[n]))
			return 1;
	}
	return 0;
}

static void zeros_everywhere(void)
{
	for (int i = 0; i < FUNCTIONS; i++) {
		if (zeros_are_fine(i))
			continue;
		CK_RV rv = call_with_zeros(p11, i, session);
		if (rv == CKR_OK || rv > 0x209) {
			fprintf(stderr, "%s(session, 0...): 0x%lx\n", functions[i].name, rv);
			exit(1);
		}
	}
}

static void null_outputs(void)
{
	CK_SLOT_ID slot = 0;
	CK_ATTRIBUTE attribute = {CKA_LABEL, NULL, 0};
	CK_MECHANISM generate = {CKM_HSS_KEY_PAIR_GEN, NULL, 0};
	CK_OBJECT_HANDLE object;
	BAD(p11->C_GetInfo(NULL));
	BAD(p11->C_GetSlotList(0, &slot, NULL));
	BAD(p11->C_GetSlotInfo(slot, NULL));
	BAD(p11->C_GetTokenInfo(slot, NULL));
	BAD(p11->C_GetMechanismList(slot, NULL, NULL));
	BAD(p11->C_GetMechanismInfo(slot, CKM_HSS, NULL));
	BAD(p11->C_InitToken(slot, so_pin, SO_PIN, NULL));
	BAD(p11->C_OpenSession(slot, CKF_SERIAL_SESSION, NULL, NULL, NULL));
	BAD(p11->C_GetSessionInfo(session, NULL));
	BAD(p11->C_CreateObject(session, &attribute, 1, NULL));
	BAD(p11->C_CopyObject(session, private_key, &attribute, 1, NULL));
	BAD(p11->C_GetObjectSize(session, private_key, NULL));
	BAD(p11->C_GenerateKeyPair(session, &generate, NULL, 0, NULL, 0, NULL, &object));
	BAD(p11->C_GenerateKeyPair(session, &generate, NULL, 0, NULL, 0, &object, NULL));
	BAD(p11->C_WrapKey(session, &hss, public_key, private_key, room, NULL));
	BAD(p11->C_UnwrapKey(session, &hss, private_key, data, sizeof data, NULL, 0, NULL));
	BAD(p11->C_WaitForSlotEvent(1, NULL, NULL));
	EXPECT(CKR_NO_EVENT, p11->C_WaitForSlotEvent(1, &slot, NULL));
	EXPECT(CKR_FUNCTION_NOT_SUPPORTED, p11->C_WaitForSlotEvent(0, &slot, NULL));
}

static void null_inputs(void)
{
	CK_OBJECT_HANDLE object;
	CK_ATTRIBUTE nowhere = {CKA_LABEL, NULL, 5};
	BAD(p11->C_InitToken(0, NULL, 5, room));
	BAD(p11->C_InitPIN(session, NULL, 5));
	BAD(p11->C_SetPIN(session, NULL, 5, user_pin, USER_PIN));
	BAD(p11->C_SetPIN(session, user_pin, USER_PIN, NULL, 5));
	BAD(p11->C_Login(session, CKU_USER, NULL, 5));
	BAD(p11->C_CreateObject(session, NULL, 1, &object));
	BAD(p11->C_CreateObject(session, &nowhere, 1, &object));
	BAD(p11->C_GetAttributeValue(session, private_key, NULL, 1));
	BAD(p11->C_SetAttributeValue(session, private_key, &nowhere, 1));
	BAD(p11->C_FindObjectsInit(session, NULL, 1));
	BAD(p11->C_FindObjectsInit(session, &nowhere, 1));
	BAD(p11->C_GenerateKeyPair(session, NULL, NULL, 0, NULL, 0, &object, &object));
	BAD(p11->C_GenerateKeyPair(session, &hss, &nowhere, 1, NULL, 0, &object, &object));
	BAD(p11->C_WrapKey(session, NULL, public_key, private_key, room, &length));
	BAD(p11->C_UnwrapKey(session, &hss, private_key, NULL, 5, NULL, 0, &object));
	BAD(p11->C_SeedRandom(session, NULL, 5));
	BAD(p11->C_GenerateRandom(session, NULL, 5));
	OK(p11->C_GenerateRandom(session, NULL, 0));
}

/* Counts and lengths that no memory can hold. None may be believed far enough to allocate for it. */
static void absurd_lengths(void)
{
	const CK_ULONG absurd[] = {~0UL, ~0UL >> 1, 1UL << 63, 1UL << 60, ~0UL / sizeof(CK_ATTRIBUTE) + 2};
	CK_OBJECT_HANDLE object;
	CK_ATTRIBUTE attribute = {CKA_LABEL, data, sizeof data};
	for (size_t i = 0; i < sizeof absurd / sizeof absurd[0]; i++) {
		CK_ULONG n = absurd[i];
		CK_ATTRIBUTE long_value = {CKA_LABEL, data, n};
		CK_MECHANISM long_parameter = {CKM_HSS, data, n};
		BAD(p11->C_CreateObject(session, &attribute, n, &object));
		BAD(p11->C_CreateObject(session, &long_value, 1, &object));
		BAD(p11->C_GetAttributeValue(session, private_key, &attribute, n));
		BAD(p11->C_FindObjectsInit(session, &attribute, n));
		BAD(p11->C_FindObjectsInit(session, &long_value, 1));
		BAD(p11->C_SignInit(session, &long_parameter, private_key));
		BAD(p11->C_GenerateKeyPair(session, &hss, &attribute, n, &attribute, n, &object, &object));
	}
	OK(p11->C_SignInit(session, &hss, private_key));
	BAD(p11->C_SignUpdate(session, data, ~0UL));
	BAD(p11->C_Login(session, CKU_USER, user_pin, ~0UL));
	BAD(p11->C_SeedRandom(session, data, 1UL << 63));
}

#define ENDED(call) EXPECT(CKR_OPERATION_NOT_INITIALIZED, call)

/* After a bad argument the operation is over, and a new one can begin. */
static void an_error_ends_the_operation(void)
{
	OK(p11->C_SignInit(session, &hss, private_key));
	BAD(p11->C_Sign(session, NULL, 5, room, &length));
	ENDED(p11->C_Sign(session, data, sizeof data, NULL, &length));

	OK(p11->C_SignInit(session, &hss, private_key));
	BAD(p11->C_Sign(session, data, sizeof data, room, NULL));
	ENDED(p11->C_Sign(session, data, sizeof data, NULL, &length));

	OK(p11->C_SignInit(session, &hss, private_key));
	BAD(p11->C_SignUpdate(session, NULL, 5));
	ENDED(p11->C_SignFinal(session, NULL, &length));

	OK(p11->C_SignInit(session, &hss, private_key));
	BAD(p11->C_SignFinal(session, room, NULL));
	ENDED(p11->C_SignFinal(session, NULL, &length));

	OK(p11->C_VerifyInit(session, &hss, public_key));
	BAD(p11->C_Verify(session, data, sizeof data, NULL, 5));
	ENDED(p11->C_Verify(session, data, sizeof data, room, 5));

	OK(p11->C_VerifyInit(session, &hss, public_key));
	BAD(p11->C_VerifyUpdate(session, NULL, 5));
	ENDED(p11->C_VerifyFinal(session, room, 5));

	OK(p11->C_FindObjectsInit(session, NULL, 0));
	BAD(p11->C_FindObjects(session, NULL, 5, &length));
	ENDED(p11->C_FindObjectsFinal(session));
}

/* PKCS#11 has two ways to end an operation on purpose. */
static void cancelling(void)
{
	OK(p11->C_SignInit(session, &hss, private_key));
	OK(p11->C_SignUpdate(session, data, sizeof data));
	OK(p11->C_SignInit(session, NULL, 0));
	ENDED(p11->C_SignFinal(session, NULL, &length));

	OK(p11->C_SignInit(session, &hss, private_key));
	OK(p11->C_VerifyInit(session, &hss, public_key));
	OK(p11->C_SessionCancel(session, CKF_SIGN));
	ENDED(p11->C_SignFinal(session, NULL, &length));
	OK(p11->C_VerifyInit(session, NULL, 0));
	ENDED(p11->C_VerifyUpdate(session, data, sizeof data));
	OK(p11->C_SessionCancel(session, CKF_SIGN | CKF_VERIFY | CKF_FIND_OBJECTS));
}

/* A session that does not exist is the more telling answer. */
static void bad_session(void)
{
	CK_SESSION_HANDLE none = session + 1000;
	EXPECT(CKR_SESSION_HANDLE_INVALID, p11->C_Sign(none, data, sizeof data, NULL, NULL));
	EXPECT(CKR_SESSION_HANDLE_INVALID, p11->C_SignInit(none, NULL, 0));
	EXPECT(CKR_SESSION_HANDLE_INVALID, p11->C_SessionCancel(none, CKF_SIGN));
	EXPECT(CKR_SESSION_HANDLE_INVALID, p11->C_CloseSession(none));
}

int main(int argc, char **argv)
{
	CHECK(argc == 2);
	p11 = load(argv[1]);
	OK(p11->C_Initialize(NULL));
	EXPECT(CKR_CRYPTOKI_ALREADY_INITIALIZED, p11->C_Initialize(NULL));
	session = make_token(p11);
	private_key = make_key(p11, session, 1, 0, &public_key);
	CK_ULONG remaining = keys_remaining(p11, session, private_key);

	zeros_everywhere();
	null_outputs();
	null_inputs();
	absurd_lengths();
	an_error_ends_the_operation();
	cancelling();
	bad_session();

	CHECK(keys_remaining(p11, session, private_key) == remaining);
	sign_and_verify(p11, session, private_key, public_key);
	CHECK(keys_remaining(p11, session, private_key) == remaining - 1);
	BAD(p11->C_Finalize(data));
	OK(p11->C_Finalize(NULL));
	EXPECT(CKR_CRYPTOKI_NOT_INITIALIZED, p11->C_Finalize(NULL));
	return 0;
}
