/*
 * A host that asks everything, in every state and with right and wrong arguments, and prints each answer as a line. Two
 * libraries are one token when their lines are the same: no line holds what chance or time decides.
 * usage: answers MODULE, with an empty ONCELEAF_DIR
 */
#define _GNU_SOURCE
#include "host.h"

static CK_FUNCTION_LIST_3_2 *p11;
static const char *state = "nothing";
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE private_key, public_key, other = 999999;
static CK_BYTE data[] = "data", room[16384];
static CK_ULONG length;

enum { MAX_PART = 64 << 20 };

#define SAY(call) printf("%s: %s: 0x%lx\n", state, #call, (unsigned long)(call))

/* A call with one result in length. The length is what it was before the call if nothing was written. */
#define SAY_LENGTH(room_, call)                                                                              \
	do {                                                                                                 \
		length = (room_);                                                                            \
		CK_RV rv_ = (call);                                                                          \
		printf("%s: %s with room %ld: 0x%lx, %ld\n", state, #call, (long)(room_), rv_, (long)length); \
	} while (0)

static void print_hex(const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		printf("%02x", ((const unsigned char *)bytes)[i]);
}

/* Every function with zeros for all but the session. Those that would end the story are left out. */
static void zeros(void)
{
	for (int i = 0; i < FUNCTIONS; i++) {
		if (!is(i, "C_Initialize") && !is(i, "C_Finalize") && !is(i, "C_CloseSession") && !is(i, "C_CloseAllSessions") &&
		    !is(i, "C_Logout"))
			printf("%s: %s(session, 0...): 0x%lx\n", state, functions[i].name, call_with_zeros(p11, i, session));
	}
}

static CK_RV no_mutex(CK_VOID_PTR mutex)
{
	(void)mutex;
	return CKR_OK;
}

static CK_RV no_new_mutex(CK_VOID_PTR *mutex)
{
	*mutex = NULL;
	return CKR_OK;
}

/* What C_Initialize makes of its arguments. */
static void initialize(const char *name, CK_C_INITIALIZE_ARGS *arguments)
{
	CK_RV rv = p11->C_Initialize(arguments);
	printf("C_Initialize with %s: 0x%lx\n", name, rv);
	if (rv == CKR_OK)
		OK(p11->C_Finalize(NULL));
}

static void initialize_arguments(void)
{
	enum { CANT_CREATE_THREADS = 1, OS_LOCKING_OK = 2 };
	CK_C_INITIALIZE_ARGS none = {0}, locking = {.flags = OS_LOCKING_OK}, reserved = {.pReserved = room},
			     threads = {.flags = CANT_CREATE_THREADS}, both = {.flags = CANT_CREATE_THREADS | OS_LOCKING_OK},
			     unknown = {.flags = 0x80},
			     some = {.CreateMutex = no_new_mutex, .LockMutex = no_mutex, .flags = OS_LOCKING_OK},
			     all = {no_new_mutex, no_mutex, no_mutex, no_mutex, 0, NULL},
			     all_or_ours = {no_new_mutex, no_mutex, no_mutex, no_mutex, OS_LOCKING_OK, NULL};
	initialize("no arguments", NULL);
	initialize("empty arguments", &none);
	initialize("locking", &locking);
	initialize("something reserved", &reserved);
	initialize("no threads", &threads);
	initialize("no threads, locking", &both);
	initialize("an unknown flag", &unknown);
	initialize("some callbacks", &some);
	initialize("callbacks alone", &all);
	initialize("callbacks or locking", &all_or_ours);
}

static void print_info(void)
{
	CK_INFO info;
	SAY(p11->C_GetInfo(&info));
	printf("info: %d.%d %.32s|%lx|%.32s|\n", info.cryptokiVersion.major, info.cryptokiVersion.minor, info.manufacturerID,
	       info.flags, info.libraryDescription);
}

static void print_slot(CK_SLOT_ID slot)
{
	CK_SLOT_INFO info;
	memset(&info, 0, sizeof info);
	CK_RV rv = p11->C_GetSlotInfo(slot, &info);
	printf("%s: slot %lu: 0x%lx %.64s|%.32s|%lx\n", state, slot, rv, info.slotDescription, info.manufacturerID, info.flags);
	CK_TOKEN_INFO token;
	memset(&token, 0, sizeof token);
	rv = p11->C_GetTokenInfo(slot, &token);
	printf("%s: token %lu: 0x%lx %.32s|%.32s|%.16s| flags %lx sessions %ld/%ld %ld/%ld pins %ld..%ld memory %ld %ld %ld %ld\n",
	       state, slot, rv, token.label, token.manufacturerID, token.model, token.flags, (long)token.ulSessionCount,
	       (long)token.ulMaxSessionCount, (long)token.ulRwSessionCount, (long)token.ulMaxRwSessionCount,
	       (long)token.ulMinPinLen, (long)token.ulMaxPinLen, (long)token.ulTotalPublicMemory,
	       (long)token.ulFreePublicMemory, (long)token.ulTotalPrivateMemory, (long)token.ulFreePrivateMemory);
}

static void slots(void)
{
	CK_SLOT_ID list[4] = {77, 77, 77, 77};
	for (CK_BBOOL present = 0; present < 2; present++) {
		SAY_LENGTH(0, p11->C_GetSlotList(present, NULL, &length));
		for (CK_ULONG n = 0; n < 4; n++)
			SAY_LENGTH(n, p11->C_GetSlotList(present, list, &length));
	}
	for (CK_SLOT_ID slot = 0; slot < 3; slot++)
		print_slot(slot);
	SAY(p11->C_GetSlotInfo(~0UL, (CK_SLOT_INFO *)room));
	SAY(p11->C_OpenSession(99, CKF_SERIAL_SESSION, NULL, NULL, &session));
	SAY(p11->C_OpenSession(0, 0, NULL, NULL, &session));
	SAY(p11->C_CloseAllSessions(99));
	SAY(p11->C_InitToken(99, so_pin, SO_PIN, room));
	SAY(p11->C_InitToken(0, so_pin, 1, room));
}

static void mechanisms(void)
{
	enum { MOST = 256 };
	CK_MECHANISM_TYPE list[MOST];
	SAY_LENGTH(0, p11->C_GetMechanismList(0, NULL, &length));
	SAY_LENGTH(1, p11->C_GetMechanismList(0, list, &length));
	SAY_LENGTH(MOST, p11->C_GetMechanismList(0, list, &length));
	CHECK(length > 5 && length <= MOST);
	for (CK_ULONG i = 0; i < length; i++) {
		CK_MECHANISM_INFO info = {0};
		CK_RV rv = p11->C_GetMechanismInfo(0, list[i], &info);
		printf("mechanism %lx: 0x%lx %lu..%lu flags %lx\n", list[i], rv, info.ulMinKeySize, info.ulMaxKeySize, info.flags);
	}
	CK_MECHANISM_INFO info;
	SAY(p11->C_GetMechanismInfo(0, 0x1234, &info));
	SAY(p11->C_GetMechanismList(99, NULL, &length));
}

/* One attribute: asked for its length, without room, with room. */
static void attribute(const char *name, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_TYPE type)
{
	CK_BYTE value[4096];
	CK_ATTRIBUTE query = {type, NULL, 77}, small = {type, value, 0}, whole = {type, value, sizeof value};
	memset(value, 0xA5, sizeof value);
	CK_RV asked = p11->C_GetAttributeValue(session, object, &query, 1);
	CK_RV refused = p11->C_GetAttributeValue(session, object, &small, 1);
	CHECK(value[0] == 0xA5);
	CK_RV got = p11->C_GetAttributeValue(session, object, &whole, 1);
	printf("%s: %s attribute %lx: 0x%lx %ld, 0x%lx %ld, 0x%lx %ld ", state, name, type, asked, (long)query.ulValueLen, refused,
	       (long)small.ulValueLen, got, (long)whole.ulValueLen);
	enum { CKA_UNIQUE_ID = 4 };
	int chance = type == CKA_VALUE || type == CKA_UNIQUE_ID;
	if (got == CKR_OK && !chance && whole.ulValueLen <= sizeof value)
		print_hex(value, whole.ulValueLen);
	printf("\n");
}

static void all_attributes(const char *name, CK_OBJECT_HANDLE object)
{
	static const CK_ATTRIBUTE_TYPE others[] = {0x170, 0x171, 0x172, 0x202, 0x210, 0x40000211, 0x40000212, 0x40000213,
		0x40000600, 0x4000062a, 0x80000000, 0xCE534351, ~0UL};
	for (CK_ATTRIBUTE_TYPE type = 0; type < 0x20; type++)
		attribute(name, object, type);
	for (CK_ATTRIBUTE_TYPE type = 0x86; type < 0x92; type++)
		attribute(name, object, type);
	for (CK_ATTRIBUTE_TYPE type = 0x100; type < 0x111; type++)
		attribute(name, object, type);
	for (CK_ATTRIBUTE_TYPE type = 0x160; type < 0x170; type++)
		attribute(name, object, type);
	for (CK_ATTRIBUTE_TYPE type = 0x610; type < 0x630; type++)
		attribute(name, object, type);
	for (CK_ATTRIBUTE_TYPE type = 0x8F4C0000; type < 0x8F4C0010; type++)
		attribute(name, object, type);
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
		attribute(name, object, others[i]);
}

/* Templates inside of attributes: entries with and without room, lengths that are none, and plain bytes. */
static void nested_templates(void)
{
	CK_OBJECT_HANDLE made;
	CK_BBOOL yes = 1;
	CK_ATTRIBUTE inner[] = {{0x103, &yes, sizeof yes}, {CKA_LABEL, data, 4}};
	CK_ATTRIBUTE deep[] = {{0x40000211, inner, sizeof inner}};
	static const CK_ATTRIBUTE_TYPE types[] = {0x40000211, 0x40000212, 0x40000213, 0x4000062a, 0x4000062b, 0x40000600,
		0xCE534351};
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		printf("%s: template in %lx\n", state, types[i]);
		CK_ATTRIBUTE good = {types[i], inner, sizeof inner}, odd = {types[i], inner, sizeof inner - 1},
			     empty = {types[i], inner, 0}, none = {types[i], NULL, 0}, two = {types[i], deep, sizeof deep};
		CK_ATTRIBUTE *each[] = {&good, &odd, &empty, &none, &two};
		for (size_t n = 0; n < 5; n++) {
			printf("%zu ", n);
			SAY(p11->C_CreateObject(session, each[n], 1, &made));
			SAY(p11->C_FindObjectsInit(session, each[n], 1));
			SAY_LENGTH(0, p11->C_FindObjects(session, &made, 1, &length));
			SAY(p11->C_FindObjectsFinal(session));
		}
		CK_ATTRIBUTE out[2] = {{0x103, room, 1}, {CKA_LABEL, NULL, 0}}, query = {types[i], out, sizeof out};
		SAY(p11->C_GetAttributeValue(session, private_key, &query, 1));
		printf("%ld, %ld, %ld\n", (long)query.ulValueLen, (long)out[0].ulValueLen, (long)out[1].ulValueLen);
	}
}

/* Parameters of mechanisms that have none, and of such as are not offered yet: the answer is the same in both libraries. */
static void mechanism_parameters(void)
{
	static const CK_MECHANISM_TYPE types[] = {CKM_HSS, CKM_HSS_KEY_PAIR_GEN, 0x09, 0x0d, 0x1d, 0x1057, 0x1086, 0x1087,
		0x1104, 0x402a, 0x8F4C0001, 0x8F4C0002, 0x8F4C0003, 0x12345678};
	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		for (CK_ULONG n = 0; n < 9; n++) {
			static const CK_ULONG lengths[] = {0, 1, 8, 16, 24, 32, 40, 48, 200};
			CK_MECHANISM mechanism = {types[i], n == 0 ? NULL : room, lengths[n]};
			CK_OBJECT_HANDLE made[2];
			memset(room, 0, sizeof room);
			printf("%s: mechanism %lx, %lu bytes: ", state, types[i], lengths[n]);
			CK_RV signing = p11->C_SignInit(session, &mechanism, private_key);
			if (signing == CKR_OK)
				OK(p11->C_SignInit(session, NULL, 0));
			CK_RV verifying = p11->C_VerifyInit(session, &mechanism, public_key);
			if (verifying == CKR_OK)
				OK(p11->C_VerifyInit(session, NULL, 0));
			printf("0x%lx 0x%lx ", signing, verifying);
			printf("0x%lx ", p11->C_GenerateKeyPair(session, &mechanism, NULL, 5, NULL, 0, made, made + 1));
			length = sizeof room;
			printf("0x%lx ", p11->C_WrapKey(session, &mechanism, public_key, private_key, room, &length));
			printf("0x%lx\n", p11->C_UnwrapKey(session, &mechanism, private_key, data, 4, NULL, 0, made));
		}
	}
}

static CK_MECHANISM hss = {CKM_HSS, NULL, 0};

/* What a session can be asked, with this private key. */
static void in_session(CK_OBJECT_HANDLE key)
{
	CK_SESSION_INFO info;
	CK_OBJECT_HANDLE found[4] = {0}, made;
	CK_BBOOL yes = 1;
	CK_ATTRIBUTE label = {CKA_LABEL, data, 4}, on_token = {CKA_TOKEN, &yes, sizeof yes}, wrong = {CKA_TOKEN, data, 3};
	SAY(p11->C_GetSessionInfo(session, &info));
	printf("%s: session of slot %lu, state %lu, flags %lx, error %lu\n", state, info.slotID, info.state, info.flags,
	       info.ulDeviceError);
	SAY(p11->C_FindObjectsInit(session, NULL, 0));
	SAY(p11->C_FindObjectsInit(session, NULL, 0));
	SAY(p11->C_FindObjects(session, found, 4, &length));
	printf("%s: found %lu\n", state, length);
	SAY(p11->C_FindObjects(session, found, 0, &length));
	SAY(p11->C_FindObjectsFinal(session));
	SAY(p11->C_FindObjectsFinal(session));
	SAY(p11->C_SetAttributeValue(session, key, &label, 1));
	SAY(p11->C_SetAttributeValue(session, key, &wrong, 1));
	SAY(p11->C_SetAttributeValue(session, key, NULL, 0));
	SAY(p11->C_CreateObject(session, &label, 1, &made));
	SAY(p11->C_CreateObject(session, &wrong, 1, &made));
	SAY(p11->C_CopyObject(session, key, &on_token, 1, &made));
	SAY(p11->C_GetObjectSize(session, key, &length));
	SAY(p11->C_DestroyObject(session, other));
	SAY(p11->C_SeedRandom(session, data, 4));
	SAY(p11->C_GenerateRandom(session, room, 16));
	SAY(p11->C_InitPIN(session, user_pin, 1));
	SAY(p11->C_SetPIN(session, user_pin, USER_PIN, data, 1));
	SAY(p11->C_Login(session, 7, user_pin, USER_PIN));
	SAY(p11->C_SessionCancel(session, 0));
	SAY(p11->C_SessionCancel(session, ~0UL));
	SAY(p11->C_Login(session, 2, user_pin, USER_PIN));
}

/* Signing and verifying, up to the last step before a leaf would be taken. */
static void operations(CK_OBJECT_HANDLE key)
{
	SAY(p11->C_SignInit(session, &hss, key));
	SAY(p11->C_SignInit(session, &hss, key));
	SAY_LENGTH(0, p11->C_Sign(session, data, 4, NULL, &length));
	SAY_LENGTH(0, p11->C_Sign(session, data, 4, room, &length));
	SAY_LENGTH(100, p11->C_Sign(session, data, 4, room, &length));
	SAY(p11->C_SignUpdate(session, data, 4));
	SAY_LENGTH(100, p11->C_Sign(session, data, 4, room, &length));
	SAY_LENGTH(100, p11->C_SignFinal(session, room, &length));
	SAY_LENGTH(0, p11->C_SignFinal(session, NULL, &length));
	SAY(p11->C_SignInit(session, NULL, key));
	SAY(p11->C_SignInit(session, NULL, key));
	SAY(p11->C_SignUpdate(session, data, 4));
	SAY_LENGTH(0, p11->C_SignFinal(session, NULL, &length));
	SAY(p11->C_SignInit(session, &hss, public_key));
	SAY(p11->C_SignInit(session, &hss, other));
	SAY(p11->C_VerifyInit(session, &hss, key));
	SAY(p11->C_VerifyInit(session, &hss, public_key));
	SAY(p11->C_Verify(session, data, 4, room, 0));
	SAY(p11->C_VerifyInit(session, &hss, public_key));
	SAY(p11->C_Verify(session, data, 4, room, 100));
	SAY(p11->C_VerifyInit(session, &hss, public_key));
	SAY(p11->C_VerifyUpdate(session, data, 4));
	SAY(p11->C_VerifyFinal(session, room, 5000));
	SAY(p11->C_VerifyFinal(session, room, 5000));
	SAY(p11->C_Verify(session, NULL, 0, room, 5000));
}

/* Parts at the bound of one call and above it. */
static void large_parts(void)
{
	CK_BYTE *large = calloc(1, MAX_PART + 1);
	CHECK(large != NULL);
	SAY(p11->C_SignInit(session, &hss, private_key));
	SAY_LENGTH(100, p11->C_Sign(session, large, MAX_PART, room, &length));
	SAY_LENGTH(sizeof room, p11->C_Sign(session, large, MAX_PART + 1, room, &length));
	SAY_LENGTH(100, p11->C_Sign(session, data, 4, room, &length));
	SAY(p11->C_SignInit(session, &hss, private_key));
	SAY(p11->C_SignUpdate(session, large, MAX_PART + 1));
	SAY(p11->C_SignUpdate(session, data, 4));
	SAY(p11->C_VerifyInit(session, &hss, public_key));
	SAY(p11->C_Verify(session, data, 4, large, MAX_PART + 1));
	SAY(p11->C_VerifyInit(session, &hss, public_key));
	SAY(p11->C_Verify(session, large, MAX_PART, large, 5000));
	free(large);
}

static void open_session(CK_FLAGS flags)
{
	SAY(p11->C_OpenSession(0, CKF_SERIAL_SESSION | flags, NULL, NULL, &session));
}

/* Handles of private objects do not outlive a logout: the key has another one then, if this session sees it at all. */
static void find_key(void)
{
	CK_ULONG class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE wanted = {CKA_CLASS, &class, sizeof class};
	OK(p11->C_FindObjectsInit(session, &wanted, 1));
	SAY_LENGTH(0, p11->C_FindObjects(session, &private_key, 1, &length));
	OK(p11->C_FindObjectsFinal(session));
}

/* The whole life of a session with a login, or without one. */
static void whole_session(const char *name, CK_FLAGS flags, CK_ULONG user, CK_UTF8CHAR *pin, CK_ULONG pin_length)
{
	state = name;
	SAY(p11->C_CloseAllSessions(0));
	open_session(flags);
	SAY(p11->C_Logout(session));
	if (pin != NULL)
		SAY(p11->C_Login(session, user, pin, pin_length));
	find_key();
	zeros();
	in_session(private_key);
	in_session(public_key);
	operations(private_key);
	operations(public_key);
	all_attributes("private", private_key);
	print_slot(0);
}

int main(int argc, char **argv)
{
	CHECK(argc == 2);
	p11 = load(argv[1]);
	state = "before C_Initialize";
	zeros();
	SAY(p11->C_Finalize(NULL));
	initialize_arguments();

	state = "without a token";
	SAY(p11->C_Initialize(NULL));
	SAY(p11->C_Initialize(NULL));
	SAY(p11->C_Finalize(room));
	print_info();
	zeros();
	slots();
	mechanisms();

	session = make_token(p11);
	private_key = make_key(p11, session, 1, 1, &public_key);
	state = "just made";
	zeros();
	slots();
	in_session(private_key);
	operations(private_key);
	all_attributes("private", private_key);
	all_attributes("public", public_key);
	all_attributes("no", other);
	nested_templates();
	mechanism_parameters();
	large_parts();

	whole_session("public, read only", 0, 0, NULL, 0);
	whole_session("public", CKF_RW_SESSION, 0, NULL, 0);
	whole_session("officer", CKF_RW_SESSION, CKU_SO, so_pin, SO_PIN);
	whole_session("officer, read only", 0, CKU_SO, so_pin, SO_PIN);
	whole_session("user, read only", 0, CKU_USER, user_pin, USER_PIN);
	whole_session("wrong PIN", CKF_RW_SESSION, CKU_USER, user_pin, USER_PIN - 1);
	whole_session("user", CKF_RW_SESSION, CKU_USER, user_pin, USER_PIN);

	state = "closed";
	printf("%s: %lu signatures left\n", state, keys_remaining(p11, session, private_key));
	SAY(p11->C_CloseSession(session));
	SAY(p11->C_CloseSession(session));
	zeros();
	operations(private_key);
	state = "finalized";
	SAY(p11->C_Finalize(NULL));
	SAY(p11->C_Finalize(NULL));
	zeros();
	return 0;
}
