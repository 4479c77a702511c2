/*
 * An application whose PKCS#11 library is measured. It prints numbers, one line each; all times are in nanoseconds.
 *
 * front LIBRARY hss|ecdsa        makes the token and a key: HSS of two levels of LMS_SHA256_M32_H10 with
 *                                LMOTS_SHA256_N32_W4, or ECDSA with P-256
 * front LIBRARY memory           KiB resident without the library, and after C_Initialize, C_Login and a signature; then
 *                                threads and caught signals, before and after
 * front LIBRARY initialize       one C_Initialize for each line that comes on standard input
 * front LIBRARY roundtrip N      N times C_GetSessionInfo
 * front LIBRARY sign SECONDS N   signatures that N threads make with one key, and the time that they took
 */
#define _GNU_SOURCE
#include "../../../cgo/embedded/cryptoki.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OK(call)                                                                           \
	do {                                                                               \
		CK_RV rv_ = (call);                                                        \
		if (rv_ != CKR_OK) {                                                       \
			fprintf(stderr, "%s: 0x%lx\n", #call, (unsigned long)rv_);         \
			exit(1);                                                           \
		}                                                                          \
	} while (0)

enum {
	SERIAL = 4, READ_WRITE = 2, SO = 0, USER = 1, ROOM = 1 << 14,
	CLASS = 0, TOKEN = 1, KEY_TYPE = 0x100, PRIVATE_KEY = 3, EC_PARAMS = 0x180, KEY_EC = 3,
	LEVELS = 0x617, LMS_TYPES = 0x61a, LMOTS_TYPES = 0x61b,
	HSS_KEY_PAIR_GEN = 0x4032, HSS = 0x4033, EC_KEY_PAIR_GEN = 0x1040, ECDSA = 0x1041,
	MOST_THREADS = 64,
};

static CK_FUNCTION_LIST *p11;
static CK_UTF8CHAR pin[] = "user-1234", label[] = "bench                           ";
static CK_BYTE message[32];
static CK_BYTE signatures[MOST_THREADS][ROOM];

static double seconds_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void load(const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	CK_RV (*get)(CK_FUNCTION_LIST_PTR_PTR);
	*(void **)&get = dlsym(library, "C_GetFunctionList");
	OK(get(&p11));
}

static void initialize(void)
{
	CK_C_INITIALIZE_ARGS locking = {.flags = 2};
	OK(p11->C_Initialize(&locking));
}

static CK_SLOT_ID first_slot(void)
{
	CK_SLOT_ID slots[8];
	CK_ULONG count = 8;
	OK(p11->C_GetSlotList(1, slots, &count));
	return slots[0];
}

static CK_SESSION_HANDLE open_session(CK_FLAGS flags)
{
	CK_SESSION_HANDLE session;
	OK(p11->C_OpenSession(first_slot(), SERIAL | flags, NULL, NULL, &session));
	return session;
}

static CK_SESSION_HANDLE log_in(void)
{
	CK_SESSION_HANDLE session = open_session(READ_WRITE);
	OK(p11->C_Login(session, USER, pin, sizeof pin - 1));
	return session;
}

static void make_hss(CK_SESSION_HANDLE session)
{
	CK_BBOOL yes = 1;
	CK_ULONG levels = 2, lms[] = {6, 6}, lmots[] = {3, 3};
	CK_ATTRIBUTE private[] = {
		{TOKEN, &yes, sizeof yes},
		{LEVELS, &levels, sizeof levels},
		{LMS_TYPES, lms, sizeof lms},
		{LMOTS_TYPES, lmots, sizeof lmots},
	};
	CK_MECHANISM generate = {HSS_KEY_PAIR_GEN, NULL, 0};
	CK_OBJECT_HANDLE keys[2];
	OK(p11->C_GenerateKeyPair(session, &generate, private, 1, private, 4, keys, keys + 1));
}

static void make_ecdsa(CK_SESSION_HANDLE session)
{
	CK_BBOOL yes = 1;
	CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
	CK_ATTRIBUTE public[] = {{TOKEN, &yes, sizeof yes}, {EC_PARAMS, p256, sizeof p256}};
	CK_MECHANISM generate = {EC_KEY_PAIR_GEN, NULL, 0};
	CK_OBJECT_HANDLE keys[2];
	OK(p11->C_GenerateKeyPair(session, &generate, public, 2, public, 1, keys, keys + 1));
}

static void make_token(bool hss)
{
	initialize();
	OK(p11->C_InitToken(first_slot(), pin, sizeof pin - 1, label));
	CK_SESSION_HANDLE session = open_session(READ_WRITE);
	OK(p11->C_Login(session, SO, pin, sizeof pin - 1));
	OK(p11->C_InitPIN(session, pin, sizeof pin - 1));
	OK(p11->C_Logout(session));
	OK(p11->C_Login(session, USER, pin, sizeof pin - 1));
	if (hss)
		make_hss(session);
	else
		make_ecdsa(session);
	OK(p11->C_Finalize(NULL));
}

/* The private key, and in mechanism what it signs with. */
static CK_OBJECT_HANDLE find_key(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism)
{
	CK_ULONG class = PRIVATE_KEY, count, type = 0;
	CK_ATTRIBUTE wanted = {CLASS, &class, sizeof class}, its_type = {KEY_TYPE, &type, sizeof type};
	CK_OBJECT_HANDLE key;
	OK(p11->C_FindObjectsInit(session, &wanted, 1));
	OK(p11->C_FindObjects(session, &key, 1, &count));
	OK(p11->C_FindObjectsFinal(session));
	if (count != 1) {
		fprintf(stderr, "there is no private key\n");
		exit(1);
	}
	OK(p11->C_GetAttributeValue(session, key, &its_type, 1));
	*mechanism = (CK_MECHANISM){type == KEY_EC ? ECDSA : HSS, NULL, 0};
	return key;
}

static void sign(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key, CK_BYTE *signature)
{
	CK_ULONG length = ROOM;
	OK(p11->C_SignInit(session, mechanism, key));
	OK(p11->C_Sign(session, message, sizeof message, signature, &length));
}

/* A line of a file of /proc/self, behind its name. */
static void field(const char *file, const char *name, char *value, size_t room)
{
	char line[256];
	FILE *lines = fopen(file, "r");
	value[0] = 0;
	while (lines != NULL && fgets(line, sizeof line, lines) != NULL) {
		if (strncmp(line, name, strlen(name)) == 0)
			snprintf(value, room, "%s", line + strlen(name));
	}
	if (lines != NULL)
		fclose(lines);
	value[strcspn(value, "\n")] = 0;
}

struct look {
	char resident[64], threads[64], caught[64];
};

static void look(struct look *l)
{
	field("/proc/self/smaps_rollup", "Rss:", l->resident, sizeof l->resident);
	field("/proc/self/status", "Threads:", l->threads, sizeof l->threads);
	field("/proc/self/status", "SigCgt:", l->caught, sizeof l->caught);
}

static void memory(const char *library)
{
	static struct look before, after;
	memset(signatures[0], 1, ROOM); /* the buffer is the application's: it is there before */
	look(&after);                   /* as is what looking needs */
	look(&before);
	load(library);
	initialize();
	CK_SESSION_HANDLE session = log_in();
	CK_MECHANISM mechanism;
	CK_OBJECT_HANDLE key = find_key(session, &mechanism);
	sign(session, &mechanism, key, signatures[0]);
	look(&after);
	printf("%ld\n%ld\n", atol(before.resident), atol(after.resident));
	printf("%ld\n%ld\n", atol(before.threads), atol(after.threads));
	printf("%llu\n%llu\n", strtoull(before.caught, NULL, 16), strtoull(after.caught, NULL, 16));
	OK(p11->C_Finalize(NULL));
}

static void initialize_often(void)
{
	while (getchar() != EOF) {
		double begin = seconds_now();
		initialize();
		printf("%.0f\n", (seconds_now() - begin) * 1e9);
		OK(p11->C_Finalize(NULL));
		fflush(stdout);
	}
}

static void round_trips(int n)
{
	double *times = malloc((size_t)n * sizeof times[0]);
	CK_SESSION_INFO info;
	initialize();
	CK_SESSION_HANDLE session = open_session(0);
	for (int i = 0; i < n; i++) {
		double begin = seconds_now();
		OK(p11->C_GetSessionInfo(session, &info));
		times[i] = seconds_now() - begin;
	}
	OK(p11->C_Finalize(NULL));
	for (int i = 0; i < n; i++)
		printf("%.0f\n", times[i] * 1e9);
	free(times);
}

static struct signer {
	pthread_t thread;
	CK_SESSION_HANDLE session;
	CK_MECHANISM mechanism;
	CK_OBJECT_HANDLE key;
	CK_BYTE *signature;
	double end;
	long made;
} signers[MOST_THREADS];

static void *sign_until(void *argument)
{
	struct signer *s = argument;
	for (; seconds_now() < s->end; s->made++)
		sign(s->session, &s->mechanism, s->key, s->signature);
	return NULL;
}

static void sign_in_threads(double seconds, int threads)
{
	initialize();
	log_in();
	for (int i = 0; i < threads; i++) {
		struct signer *s = &signers[i];
		s->session = open_session(READ_WRITE);
		s->key = find_key(s->session, &s->mechanism);
		s->signature = signatures[i];
		sign(s->session, &s->mechanism, s->key, s->signature); /* the lower tree is there from now on */
	}
	double begin = seconds_now();
	long made = 0;
	for (int i = 0; i < threads; i++) {
		signers[i].end = begin + seconds;
		pthread_create(&signers[i].thread, NULL, sign_until, &signers[i]);
	}
	for (int i = 0; i < threads; i++) {
		pthread_join(signers[i].thread, NULL);
		made += signers[i].made;
	}
	printf("%ld\n%.0f\n", made, (seconds_now() - begin) * 1e9);
	OK(p11->C_Finalize(NULL));
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	const char *what = argv[2];
	if (strcmp(what, "memory") == 0) {
		memory(argv[1]);
		return 0;
	}
	load(argv[1]);
	if (strcmp(what, "hss") == 0 || strcmp(what, "ecdsa") == 0)
		make_token(strcmp(what, "hss") == 0);
	else if (strcmp(what, "initialize") == 0)
		initialize_often();
	else if (strcmp(what, "roundtrip") == 0 && argc == 4)
		round_trips(atoi(argv[3]));
	else if (strcmp(what, "sign") == 0 && argc == 5 && atoi(argv[4]) <= MOST_THREADS)
		sign_in_threads(atof(argv[3]), atoi(argv[4]));
	else
		return 2;
	return 0;
}
