/*
 * One of many processes that work with the same token: threads that make calls of all kinds, in sessions of their own,
 * until standard input ends. Each signature that it was given goes to a file, in one piece. With "patient" the loss of
 * the daemon is survived: C_Finalize, C_Initialize, and on it goes; else every error ends the process.
 * usage: many MODULE FILE THREADS strict|patient, with a token of the hosts in ONCELEAF_DIR and keys in it
 *
 * A record: u32 length of the label, u32 length of the signature, the label, 32 bytes of message, the signature.
 */
#define _GNU_SOURCE
#include "host.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/random.h>
#include <sys/uio.h>
#include <unistd.h>

enum { ROOM = 16384, MARK = 0xA5, MESSAGE = 32, LABEL = 32, MOST = 32, CKR_DEVICE_ERROR_ = 0x30, CKR_DEVICE_REMOVED_ = 0x32,
	CKR_OBJECT_HANDLE_INVALID_ = 0x82, CKO_PUBLIC_KEY_ = 2, CKK_HSS_ = 0x46, CKA_KEY_TYPE_ = 0x100 };

static CK_FUNCTION_LIST_3_2 *p11;
static CK_MECHANISM hss = {CKM_HSS, NULL, 0};
static atomic_bool ending, lost;
static atomic_long made;
static int file;
static bool patient;

struct worker {
	CK_SESSION_HANDLE session;
	CK_ULONG keys;
	CK_OBJECT_HANDLE private[8];
	char labels[8][LABEL + 1];
	CK_BYTE signature[ROOM];
};

/* Whether a call may be followed by the next one. A lost daemon ends the round, anything else the process. */
static bool well(CK_RV rv, const char *call)
{
	if (rv == CKR_OK)
		return true;
	if (patient && (rv == CKR_DEVICE_ERROR_ || rv == CKR_DEVICE_REMOVED_)) {
		atomic_store(&lost, true);
		return false;
	}
	fprintf(stderr, "process %d: %s: 0x%lx\n", getpid(), call, rv);
	exit(1);
}

#define WELL(call) well(call, #call)

/* A signature that was given out is written in one piece: writes at the end of a file do not mix. */
static void note(const struct worker *w, CK_ULONG key, CK_BYTE *message, CK_ULONG length)
{
	uint32_t lengths[2] = {(uint32_t)strlen(w->labels[key]), (uint32_t)length};
	struct iovec record[] = {
		{lengths, sizeof lengths}, {(void *)w->labels[key], lengths[0]}, {message, MESSAGE}, {(void *)w->signature, length},
	};
	size_t size = sizeof lengths + lengths[0] + MESSAGE + length;
	CHECK(writev(file, record, 4) == (ssize_t)size);
	atomic_fetch_add(&made, 1);
}

static bool sign(struct worker *w, CK_ULONG key)
{
	CK_BYTE message[MESSAGE];
	CK_ULONG length = ROOM;
	CHECK(getrandom(message, sizeof message, 0) == sizeof message);
	memset(w->signature, MARK, ROOM);
	if (!WELL(p11->C_SignInit(w->session, &hss, w->private[key])))
		return false;
	CK_RV rv = p11->C_Sign(w->session, message, sizeof message, w->signature, &length);
	for (size_t i = 0; rv != CKR_OK && i < ROOM; i++)
		CHECK(w->signature[i] == MARK);
	if (!well(rv, "C_Sign"))
		return false;
	note(w, key, message, length);
	return true;
}

static bool short_of_room(struct worker *w, CK_ULONG key)
{
	CK_ULONG length = 5;
	if (!WELL(p11->C_SignInit(w->session, &hss, w->private[key])))
		return false;
	CK_RV rv = p11->C_Sign(w->session, (CK_BYTE *)"data", 4, w->signature, &length);
	if (rv == CKR_BUFFER_TOO_SMALL)
		rv = p11->C_SignInit(w->session, NULL, 0);
	return well(rv, "C_Sign without room");
}

static bool look(struct worker *w, CK_ULONG key)
{
	CK_ULONG remaining, count;
	CK_SESSION_INFO info;
	CK_ATTRIBUTE attribute = {CKA_HSS_KEYS_REMAINING, &remaining, sizeof remaining};
	CK_OBJECT_HANDLE found[MOST];
	return WELL(p11->C_GetAttributeValue(w->session, w->private[key], &attribute, 1)) &&
	       WELL(p11->C_GetSessionInfo(w->session, &info)) && WELL(p11->C_FindObjectsInit(w->session, NULL, 0)) &&
	       WELL(p11->C_FindObjects(w->session, found, MOST, &count)) && WELL(p11->C_FindObjectsFinal(w->session)) &&
	       WELL(p11->C_GenerateRandom(w->session, w->signature, 1000));
}

/* A session object comes and goes: a copy of a public key. */
static bool make_and_destroy(struct worker *w)
{
	CK_ULONG class = CKO_PUBLIC_KEY_, type = CKK_HSS_, count;
	CK_BBOOL no = 0;
	CK_ATTRIBUTE wanted = {CKA_CLASS, &class, sizeof class}, value = {CKA_VALUE, w->signature, ROOM};
	CK_OBJECT_HANDLE object;
	if (!WELL(p11->C_FindObjectsInit(w->session, &wanted, 1)) || !WELL(p11->C_FindObjects(w->session, &object, 1, &count)) ||
	    !WELL(p11->C_FindObjectsFinal(w->session)))
		return false;
	CHECK(count == 1);
	CK_RV rv = p11->C_GetAttributeValue(w->session, object, &value, 1);
	if (rv == CKR_OBJECT_HANDLE_INVALID_) /* a session object of another thread, gone by now */
		return true;
	if (!well(rv, "C_GetAttributeValue of a public key"))
		return false;
	CK_ATTRIBUTE copy[] = {
		{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE_, &type, sizeof type}, {CKA_TOKEN, &no, sizeof no},
		{CKA_VALUE, w->signature, value.ulValueLen},
	};
	return WELL(p11->C_CreateObject(w->session, copy, 4, &object)) && WELL(p11->C_DestroyObject(w->session, object));
}

static bool find_keys(struct worker *w)
{
	CK_ULONG class = CKO_PRIVATE_KEY;
	CK_ATTRIBUTE wanted = {CKA_CLASS, &class, sizeof class};
	if (!WELL(p11->C_FindObjectsInit(w->session, &wanted, 1)) ||
	    !WELL(p11->C_FindObjects(w->session, w->private, 8, &w->keys)) || !WELL(p11->C_FindObjectsFinal(w->session)))
		return false;
	CHECK(w->keys > 0);
	for (CK_ULONG i = 0; i < w->keys; i++) {
		CK_ATTRIBUTE label = {CKA_LABEL, w->labels[i], LABEL};
		if (!WELL(p11->C_GetAttributeValue(w->session, w->private[i], &label, 1)))
			return false;
		w->labels[i][label.ulValueLen] = 0;
	}
	return true;
}

static bool open_session(CK_SESSION_HANDLE *session)
{
	CK_SLOT_ID slots[8];
	CK_ULONG count = 8;
	return WELL(p11->C_GetSlotList(1, slots, &count)) &&
	       WELL(p11->C_OpenSession(slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, session));
}

static void *work(void *unused)
{
	struct worker *w = calloc(1, sizeof *w);
	unsigned seed = (unsigned)getpid() ^ (unsigned)(uintptr_t)w;
	bool good = w != NULL && open_session(&w->session) && find_keys(w);
	while (good && !atomic_load(&ending) && !atomic_load(&lost)) {
		CK_ULONG key = (CK_ULONG)rand_r(&seed) % w->keys;
		switch (rand_r(&seed) % 8) {
		case 0: good = short_of_room(w, key); break;
		case 1: good = make_and_destroy(w); break;
		case 2: case 3: case 4: good = look(w, key); break;
		default: good = sign(w, key);
		}
		usleep((useconds_t)rand_r(&seed) % 200000); /* many processes share few processors */
	}
	free(w);
	return unused;
}

/* From C_Initialize to the end, or to the loss of the daemon. */
static void one_round(int threads)
{
	CK_SESSION_HANDLE session;
	pthread_t started[MOST];
	atomic_store(&lost, false);
	if (!WELL(p11->C_Initialize(NULL)))
		return;
	if (open_session(&session) && WELL(p11->C_Login(session, CKU_USER, user_pin, USER_PIN))) {
		for (int i = 0; i < threads; i++)
			CHECK(pthread_create(&started[i], NULL, work, NULL) == 0);
		for (int i = 0; i < threads; i++)
			CHECK(pthread_join(started[i], NULL) == 0);
	}
	OK(p11->C_Finalize(NULL));
}

static void *wait_for_the_end(void *unused)
{
	while (getchar() != EOF)
		;
	atomic_store(&ending, true);
	return unused;
}

int main(int argc, char **argv)
{
	CHECK(argc == 5);
	pthread_t end;
	int threads = atoi(argv[3]);
	patient = strcmp(argv[4], "patient") == 0;
	CHECK(threads > 0 && threads <= MOST);
	file = open(argv[2], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	CHECK(file >= 0);
	p11 = load(argv[1]);
	CHECK(pthread_create(&end, NULL, wait_for_the_end, NULL) == 0);
	while (!atomic_load(&ending))
		one_round(threads);
	CHECK(pthread_join(end, NULL) == 0);
	printf("%ld\n", made);
	return 0;
}
