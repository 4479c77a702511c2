/*
 * A host whose daemon is hostile: whatever comes for an answer, nothing is written beyond a buffer, nothing is written on
 * an error, no length is believed that is more than the room, and no call hangs.
 *
 * usage: hostile MODULE ROUNDS
 *
 * with ONCELEAF_SOCKET the hostile server's and ONCELEAF_AUTOSTART=0. A round is C_Initialize, all functions from a
 * different one on (an application is broken after the first answer that is no answer), C_Finalize. The server must answer
 * or close; it is asked most when it answers hello rightly and each call with a frame that is nearly right. At the end the
 * program prints "calls N" and "answers N": those that were CKR_OK, so that one sees how deep it came.
 */
#define _GNU_SOURCE
#include "client.h"

#include <dirent.h>

enum {
	GUARD = 64,
	ROOM = 512,
	FILL = 0x5a,
	NEVER = 77777, /* longer than any value of the server's */
	PATIENCE = 20, /* seconds for one call; C_Initialize may try for ten */
};

static CK_FUNCTION_LIST_3_2 *p11;
static unsigned long calls, answers;
static const char *current;

/* Memory that the library may write, between two stretches that it may not. Heap, so that a sanitizer sees more. */
struct guarded {
	unsigned char *memory;
	size_t room;
};

static struct guarded guard(size_t room)
{
	struct guarded g = {malloc(room + 2 * GUARD), room};
	CHECK(g.memory != NULL);
	memset(g.memory, FILL, room + 2 * GUARD);
	return g;
}

static void *inside(struct guarded g)
{
	return g.memory + GUARD;
}

static bool filled(const unsigned char *from, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (from[i] != FILL)
			return false;
	}
	return true;
}

/* The first `written` octets may have been written, nothing else. */
static void release(struct guarded g, size_t written)
{
	const unsigned char *from = inside(g);
	if (!filled(g.memory, GUARD) || !filled(from + written, g.room - written + GUARD)) {
		fprintf(stderr, "%s wrote where it must not\n", current);
		exit(1);
	}
	free(g.memory);
}

/* called notes an answer, which must be one that the standard or a vendor knows. */
static CK_RV called(CK_RV rv)
{
	calls++;
	answers += rv == CKR_OK;
	if (rv > 0x209 && (rv < 0x80000000 || rv > 0xffffffff)) {
		fprintf(stderr, "%s: 0x%lx\n", current, rv);
		exit(1);
	}
	alarm(PATIENCE);
	return rv;
}

/* A structure that is filled on CKR_OK alone. */
#define STRUCTURE(type, call)                                      \
	do {                                                       \
		struct guarded g_ = guard(sizeof(type));           \
		type *info = inside(g_);                           \
		CK_RV rv_ = called(call);                          \
		release(g_, rv_ == CKR_OK ? sizeof(type) : 0);     \
	} while (0)

/* A number of the same kind. */
#define NUMBER(call) STRUCTURE(CK_ULONG, call)

/* Output buffers of several sizes, and the query. The length is written for CKR_OK and CKR_BUFFER_TOO_SMALL alone. */
#define OUTPUT(call)                                                                                \
	do {                                                                                        \
		const size_t rooms_[] = {0, 1, 60, ROOM};                                           \
		for (size_t i_ = 0; i_ <= sizeof rooms_ / sizeof rooms_[0]; i_++) {                 \
			bool query_ = i_ == sizeof rooms_ / sizeof rooms_[0];                       \
			size_t room_ = query_ ? 0 : rooms_[i_];                                     \
			struct guarded g_ = guard(room_);                                           \
			CK_BYTE *out = query_ ? NULL : inside(g_);                                  \
			CK_ULONG given_ = query_ ? 0x5a5a : room_, *length = &given_;               \
			CK_RV rv_ = called(call);                                                   \
			bool sized_ = rv_ == CKR_OK || rv_ == CKR_BUFFER_TOO_SMALL;                 \
			CHECK(sized_ || given_ == (query_ ? 0x5a5a : room_));                       \
			CHECK(rv_ != CKR_OK || query_ || given_ <= room_);                          \
			CHECK(rv_ != CKR_BUFFER_TOO_SMALL || query_ || given_ > room_);             \
			release(g_, rv_ == CKR_OK && !query_ ? given_ : 0);                         \
		}                                                                                   \
	} while (0)

/* Lists: *count is written in CKR_BUFFER_TOO_SMALL too, and is in numbers. */
#define LIST(call)                                                                                  \
	do {                                                                                        \
		const size_t rooms_[] = {0, 1, 7};                                                  \
		for (size_t i_ = 0; i_ < 3; i_++) {                                                 \
			struct guarded g_ = guard(rooms_[i_] * sizeof(CK_ULONG));                   \
			CK_ULONG *list = inside(g_), given_ = rooms_[i_], *count = &given_;         \
			CK_RV rv_ = called(call);                                                   \
			CHECK(rv_ != CKR_OK || given_ <= rooms_[i_]);                               \
			release(g_, rv_ == CKR_OK ? given_ * sizeof(CK_ULONG) : 0);                 \
		}                                                                                   \
	} while (0)

static CK_BYTE text[] = "what the host sends";
static CK_MECHANISM hss = {CKM_HSS, NULL, 0}, generate = {CKM_HSS_KEY_PAIR_GEN, NULL, 0};
static CK_ATTRIBUTE label = {CKA_LABEL, text, sizeof text};

static void general(void)
{
	STRUCTURE(CK_INFO, p11->C_GetInfo(info));
	STRUCTURE(CK_SLOT_INFO, p11->C_GetSlotInfo(0, info));
	STRUCTURE(CK_TOKEN_INFO, p11->C_GetTokenInfo(0, info));
	STRUCTURE(CK_MECHANISM_INFO, p11->C_GetMechanismInfo(0, CKM_HSS, info));
	STRUCTURE(CK_SESSION_INFO, p11->C_GetSessionInfo(1, info));
}

static void lists(void)
{
	LIST(p11->C_GetSlotList(1, list, count));
	LIST(p11->C_GetMechanismList(0, list, count));
	LIST(p11->C_FindObjects(1, list, given_, count));
}

static void numbers(void)
{
	NUMBER(p11->C_OpenSession(0, CKF_SERIAL_SESSION, NULL, NULL, info));
	NUMBER(p11->C_CreateObject(1, &label, 1, info));
	NUMBER(p11->C_CopyObject(1, 1, &label, 1, info));
	NUMBER(p11->C_GetObjectSize(1, 1, info));
	NUMBER(p11->C_UnwrapKey(1, &hss, 1, text, sizeof text, &label, 1, info));
}

static void two_handles(void)
{
	struct guarded one = guard(sizeof(CK_ULONG)), two = guard(sizeof(CK_ULONG));
	CK_RV rv = called(p11->C_GenerateKeyPair(1, &generate, &label, 1, &label, 1, inside(one), inside(two)));
	release(one, rv == CKR_OK ? sizeof(CK_ULONG) : 0);
	release(two, rv == CKR_OK ? sizeof(CK_ULONG) : 0);
}

static void signatures(void)
{
	called(p11->C_SignInit(1, &hss, 1));
	OUTPUT(p11->C_Sign(1, text, sizeof text, out, length));
	called(p11->C_SignUpdate(1, text, sizeof text));
	OUTPUT(p11->C_SignFinal(1, out, length));
	OUTPUT(p11->C_WrapKey(1, &hss, 1, 1, out, length));
	called(p11->C_VerifyInit(1, &hss, 1));
	called(p11->C_Verify(1, text, sizeof text, text, sizeof text));
}

/* A room without end: what comes is bounded by nothing but the frame and this memory. */
static void signature_without_end(void)
{
	CK_ULONG length = ~0UL;
	size_t room = 66 << 20;
	unsigned char *memory = malloc(room);
	CHECK(memory != NULL);
	CK_RV rv = called(p11->C_Sign(1, text, sizeof text, memory, &length));
	CHECK(rv == CKR_OK ? length <= room : rv == CKR_BUFFER_TOO_SMALL || length == ~0UL);
	free(memory);
}

/* An attribute may be written whatever the others and the rv are, but never beyond its room. */
static void release_attribute(struct guarded g, const CK_ATTRIBUTE *a)
{
	CHECK(a->ulValueLen <= g.room || a->ulValueLen == ~0UL);
	release(g, a->ulValueLen == ~0UL ? 0 : a->ulValueLen == g.room ? g.room : a->ulValueLen);
}

static void attributes(void)
{
	struct guarded short_room = guard(8), long_room = guard(ROOM), inner = guard(32);
	CK_ATTRIBUTE nested[] = {{CKA_LABEL, inside(inner), 32}, {CKA_TOKEN, NULL, 0}};
	CK_ATTRIBUTE asked[] = {
		{CKA_TOKEN, inside(short_room), 8},
		{CKA_VALUE, inside(long_room), ROOM},
		{CKA_LABEL, NULL, NEVER}, /* a query, which must be answered */
		{0x40000211 /* CKA_WRAP_TEMPLATE */, nested, sizeof nested},
		{0xce534351 /* NSS's own, and no template */, NULL, 0},
	};
	CK_RV rv = called(p11->C_GetAttributeValue(1, 1, asked, sizeof asked / sizeof asked[0]));
	for (size_t i = 0; rv == CKR_OK && i < sizeof asked / sizeof asked[0]; i++) /* then all of it was given */
		CHECK(asked[i].ulValueLen != ~0UL && (asked[i].pValue != NULL || asked[i].ulValueLen != NEVER));
	for (size_t i = 0; rv == CKR_OK && asked[3].ulValueLen != 0 && i < 2; i++)
		CHECK(nested[i].ulValueLen != ~0UL);
	if (rv == CKR_OK || asked[0].ulValueLen != 8)
		release_attribute(short_room, &asked[0]);
	else
		release(short_room, 8);
	release_attribute(long_room, &asked[1]);
	CHECK(asked[3].ulValueLen <= sizeof nested || asked[3].ulValueLen == ~0UL);
	CHECK(nested[0].pValue == inside(inner) && nested[1].pValue == NULL);
	release_attribute(inner, &nested[0]);
}

/* Random octets may have come in part. */
static void random_octets(void)
{
	for (size_t room = 0; room <= 70000; room += 35000) {
		struct guarded g = guard(room);
		called(p11->C_GenerateRandom(1, inside(g), room));
		release(g, room);
	}
	called(p11->C_SeedRandom(1, text, sizeof text));
}

static void commands(void)
{
	CK_UTF8CHAR padded[32] = "label                          ";
	called(p11->C_InitToken(0, text, sizeof text, padded));
	called(p11->C_Login(1, CKU_USER, text, sizeof text));
	called(p11->C_SetPIN(1, text, 4, text, 5));
	called(p11->C_FindObjectsInit(1, &label, 1));
	called(p11->C_FindObjectsFinal(1));
	called(p11->C_DestroyObject(1, 1));
	called(p11->C_SetAttributeValue(1, 1, &label, 1));
	called(p11->C_SessionCancel(1, CKF_SIGN));
	called(p11->C_SignInit(1, NULL, 0));
	called(p11->C_Sign(1, NULL, 5, NULL, NULL)); /* refused by the library, and told to the daemon */
	called(p11->C_Logout(1));
	called(p11->C_CloseSession(1));
	called(p11->C_CloseAllSessions(0));
}

/* How much of the process's own a file of /proc tells: entries of a folder, or lines with a word. */
static int entries(const char *folder)
{
	int count = 0;
	DIR *d = opendir(folder);
	CHECK(d != NULL);
	while (readdir(d) != NULL)
		count++;
	closedir(d);
	return count;
}

static int windows(void)
{
	char line[512];
	int count = 0;
	FILE *maps = fopen("/proc/self/maps", "r");
	CHECK(maps != NULL);
	while (fgets(line, sizeof line, maps) != NULL)
		count += strstr(line, "memfd:") != NULL;
	fclose(maps);
	return count;
}

static void hangs(int number)
{
	(void)number;
	fprintf(stderr, "%s hangs\n", current);
	_exit(1);
}

int main(int argc, char **argv)
{
	const struct {
		const char *name;
		void (*run)(void);
	} parts[] = {
		{"general", general}, {"lists", lists}, {"numbers", numbers}, {"two_handles", two_handles},
		{"signatures", signatures}, {"attributes", attributes}, {"random_octets", random_octets},
		{"commands", commands}, {"signature_without_end", signature_without_end},
	};
	const size_t n = sizeof parts / sizeof parts[0];
	CHECK(argc == 3);
	signal(SIGALRM, hangs);
	p11 = load(argv[1]);
	int descriptors = entries("/proc/self/fd");
	for (int round = 0; round < atoi(argv[2]); round++) {
		current = "C_Initialize";
		if (called(p11->C_Initialize(NULL)) != CKR_OK)
			continue;
		for (size_t i = 0; i < n; i++) {
			current = parts[(i + (size_t)round) % n].name;
			parts[(i + (size_t)round) % n].run();
		}
		current = "C_Finalize";
		called(p11->C_Finalize(NULL));
	}
	CHECK(entries("/proc/self/fd") == descriptors);
	CHECK(windows() == 0);
	printf("calls %lu\nanswers %lu\n", calls, answers);
	return 0;
}
