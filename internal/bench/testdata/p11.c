/*
 * An application that uses what a PKCS#11 library offers beside HSS. It prints numbers, one line each; all times are in
 * nanoseconds.
 *
 * p11 LIBRARY token                  makes the token
 * p11 LIBRARY key NAME               makes a key pair, which is labelled so: ecdsa-p256, ed25519 or rsa2048
 * p11 LIBRARY sign NAME SECONDS N    signatures that N threads make with it, and the time that they took
 * p11 LIBRARY create N               makes N private data objects, labelled by their numbers, on the token; N, and the time
 *                                    that it took
 * p11 LIBRARY find N                 N searches for one of them by label
 * p11 LIBRARY open NAME              from C_Initialize to the first signature with a key, C_Login included; then the part
 *                                    of C_Login
 */
#define _GNU_SOURCE
#include "../../../cgo/embedded/cryptoki.h"

#include <dlfcn.h>
#include <pthread.h>
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
	SERIAL = 4, READ_WRITE = 2, SO = 0, USER = 1, ROOM = 512, MOST_THREADS = 64,
	CLASS = 0, TOKEN = 1, LABEL = 3, VALUE = 0x11, DATA = 0, PRIVATE_KEY = 3,
	MODULUS_BITS = 0x121, PUBLIC_EXPONENT = 0x122, EC_PARAMS = 0x180,
	RSA_KEY_PAIR_GEN = 0, EC_KEY_PAIR_GEN = 0x1040, EDWARDS_KEY_PAIR_GEN = 0x1055,
	SHA256_RSA = 0x40, ECDSA = 0x1041, EDDSA = 0x1057,
};

static CK_FUNCTION_LIST *p11;
static CK_UTF8CHAR pin[] = "user-1234", label[] = "bench                           ";
static CK_BBOOL yes = 1;
static CK_BYTE message[32];

/* One that a key pair can be made of. */
static struct kind {
	const char *name;
	CK_MECHANISM_TYPE generate, sign;
	CK_BYTE curve[16];
	CK_ULONG length; /* of curve; 0: RSA */
} kinds[] = {
	{"ecdsa-p256", EC_KEY_PAIR_GEN, ECDSA, {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07}, 10},
	{"ed25519", EDWARDS_KEY_PAIR_GEN, EDDSA, {0x06, 0x03, 0x2b, 0x65, 0x70}, 5},
	{"rsa2048", RSA_KEY_PAIR_GEN, SHA256_RSA, {0}, 0},
};

static struct kind *kind_of(const char *name)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		if (strcmp(name, kinds[i].name) == 0)
			return &kinds[i];
	}
	fprintf(stderr, "no key is called %s\n", name);
	exit(2);
}

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

static CK_SESSION_HANDLE open_session(void)
{
	CK_SLOT_ID slots[8];
	CK_ULONG count = 8;
	CK_SESSION_HANDLE session;
	OK(p11->C_GetSlotList(1, slots, &count));
	OK(p11->C_OpenSession(slots[0], SERIAL | READ_WRITE, NULL, NULL, &session));
	return session;
}

static CK_SESSION_HANDLE log_in(void)
{
	CK_SESSION_HANDLE session = open_session();
	OK(p11->C_Login(session, USER, pin, sizeof pin - 1));
	return session;
}

static void make_token(void)
{
	CK_SLOT_ID slots[8];
	CK_ULONG count = 8;
	initialize();
	OK(p11->C_GetSlotList(1, slots, &count));
	OK(p11->C_InitToken(slots[0], pin, sizeof pin - 1, label));
	CK_SESSION_HANDLE session = open_session();
	OK(p11->C_Login(session, SO, pin, sizeof pin - 1));
	OK(p11->C_InitPIN(session, pin, sizeof pin - 1));
	OK(p11->C_Finalize(NULL));
}

static void make_key(const char *name)
{
	struct kind *k = kind_of(name);
	CK_ULONG bits = 2048;
	CK_BYTE exponent[] = {1, 0, 1};
	CK_ATTRIBUTE named = {LABEL, (void *)name, strlen(name)}, on_token = {TOKEN, &yes, sizeof yes};
	CK_ATTRIBUTE private[] = {named, on_token}, of_curve[] = {named, on_token, {EC_PARAMS, k->curve, k->length}};
	CK_ATTRIBUTE of_rsa[] = {named, on_token, {MODULUS_BITS, &bits, sizeof bits}, {PUBLIC_EXPONENT, exponent, sizeof exponent}};
	CK_MECHANISM generate = {k->generate, NULL, 0};
	CK_OBJECT_HANDLE keys[2];
	initialize();
	CK_SESSION_HANDLE session = log_in();
	if (k->length == 0)
		OK(p11->C_GenerateKeyPair(session, &generate, of_rsa, 4, private, 2, keys, keys + 1));
	else
		OK(p11->C_GenerateKeyPair(session, &generate, of_curve, 3, private, 2, keys, keys + 1));
	OK(p11->C_Finalize(NULL));
}

/* The one object that matches. */
static CK_OBJECT_HANDLE find(CK_SESSION_HANDLE session, CK_ULONG class, const char *name)
{
	CK_ATTRIBUTE wanted[] = {{CLASS, &class, sizeof class}, {LABEL, (void *)name, strlen(name)}};
	CK_OBJECT_HANDLE found[2];
	CK_ULONG count;
	OK(p11->C_FindObjectsInit(session, wanted, 2));
	OK(p11->C_FindObjects(session, found, 2, &count));
	OK(p11->C_FindObjectsFinal(session));
	if (count != 1) {
		fprintf(stderr, "%lu objects are called %s\n", (unsigned long)count, name);
		exit(1);
	}
	return found[0];
}

static struct signer {
	pthread_t thread;
	CK_SESSION_HANDLE session;
	CK_MECHANISM mechanism;
	CK_OBJECT_HANDLE key;
	double end;
	long made;
	CK_BYTE signature[ROOM];
} signers[MOST_THREADS];

static void sign(struct signer *s)
{
	CK_ULONG length = ROOM;
	OK(p11->C_SignInit(s->session, &s->mechanism, s->key));
	OK(p11->C_Sign(s->session, message, sizeof message, s->signature, &length));
}

static void *sign_until(void *argument)
{
	struct signer *s = argument;
	for (; seconds_now() < s->end; s->made++)
		sign(s);
	return NULL;
}

static void prepare(struct signer *s, CK_SESSION_HANDLE session, const char *name)
{
	s->session = session;
	s->mechanism = (CK_MECHANISM){kind_of(name)->sign, NULL, 0};
	s->key = find(session, PRIVATE_KEY, name);
}

static void sign_in_threads(const char *name, double seconds, int threads)
{
	initialize();
	log_in();
	for (int i = 0; i < threads; i++) {
		prepare(&signers[i], open_session(), name);
		sign(&signers[i]);
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

/* A data object of 64 bytes; it is private, as they are by default. */
static void create(CK_SESSION_HANDLE session, const char *name)
{
	CK_ULONG class = DATA;
	CK_BYTE value[64] = {1};
	CK_ATTRIBUTE of_data[] = {{CLASS, &class, sizeof class}, {TOKEN, &yes, sizeof yes}, {LABEL, (void *)name, strlen(name)},
		{VALUE, value, sizeof value}};
	CK_OBJECT_HANDLE made;
	OK(p11->C_CreateObject(session, of_data, 4, &made));
}

static void create_many(int n)
{
	char name[32];
	initialize();
	CK_SESSION_HANDLE session = log_in();
	double begin = seconds_now();
	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof name, "%d", i);
		create(session, name);
	}
	printf("%d\n%.0f\n", n, (seconds_now() - begin) * 1e9);
	OK(p11->C_Finalize(NULL));
}

static void search(int n)
{
	char name[32];
	initialize();
	CK_SESSION_HANDLE session = log_in();
	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof name, "%d", i);
		double begin = seconds_now();
		find(session, DATA, name);
		printf("%.0f\n", (seconds_now() - begin) * 1e9);
	}
	OK(p11->C_Finalize(NULL));
}

static void open_and_sign(const char *name)
{
	double begin = seconds_now();
	initialize();
	CK_SESSION_HANDLE session = open_session();
	double before = seconds_now();
	OK(p11->C_Login(session, USER, pin, sizeof pin - 1));
	double after = seconds_now();
	prepare(&signers[0], session, name);
	sign(&signers[0]);
	printf("%.0f\n%.0f\n", (seconds_now() - begin) * 1e9, (after - before) * 1e9);
	OK(p11->C_Finalize(NULL));
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	const char *what = argv[2];
	load(argv[1]);
	if (strcmp(what, "token") == 0)
		make_token();
	else if (strcmp(what, "key") == 0 && argc == 4)
		make_key(argv[3]);
	else if (strcmp(what, "sign") == 0 && argc == 6 && atoi(argv[5]) <= MOST_THREADS)
		sign_in_threads(argv[3], atof(argv[4]), atoi(argv[5]));
	else if (strcmp(what, "create") == 0 && argc == 4)
		create_many(atoi(argv[3]));
	else if (strcmp(what, "find") == 0 && argc == 4)
		search(atoi(argv[3]));
	else if (strcmp(what, "open") == 0 && argc == 4)
		open_and_sign(argv[3]);
	else
		return 2;
	return 0;
}
