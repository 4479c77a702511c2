/*
 * A host whose daemon dies. Each call that has no answer says CKR_DEVICE_ERROR and leaves the caller's buffers alone;
 * C_Finalize and C_Initialize bring a new daemon.
 *
 * usage: death MODULE SCENARIO, with an empty ONCELEAF_DIR and a daemon that can be started
 *
 * It prints "public HEX" (CKA_VALUE of the key) and "signature MESSAGE-HEX SIGNATURE-HEX" for each signature that it was
 * given. At "ready" it waits for a line of input, and after "calling" it is in the call that has no answer.
 *
 *	idle        at "ready": kill the daemon
 *	call        at "ready": stop it (SIGSTOP); some time after "calling": kill it
 *	finalize    at "ready": stop it; the host ends the application under a call of another thread, which takes up to
 *	            12 seconds, and prints "finalized"; then kill it, or let it go on, and send a line
 *	initialize  at "ready": stop it; some time after "calling": kill it
 *	loop        at "ready": nothing; it signs until the daemon is killed, at any time
 */
#define _GNU_SOURCE
#include "client.h"

#include <pthread.h>

static CK_FUNCTION_LIST_3_2 *p11;
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE private_key, public_key;
static CK_MECHANISM hss = {CKM_HSS, NULL, 0};

static void say(const char *word)
{
	printf("%s\n", word);
	fflush(stdout);
}

static void await_line(void)
{
	char line[64];
	say("ready");
	CHECK(fgets(line, sizeof line, stdin) != NULL);
}

static void print_hex(const CK_BYTE *octets, CK_ULONG length)
{
	for (CK_ULONG i = 0; i < length; i++)
		printf("%02x", octets[i]);
}

static void print_public_key(void)
{
	CK_BYTE value[256];
	CK_ATTRIBUTE attribute = {CKA_VALUE, value, sizeof value};
	OK(p11->C_GetAttributeValue(session, public_key, &attribute, 1));
	printf("public ");
	print_hex(value, attribute.ulValueLen);
	say("");
}

/* One signature of a message that is never the same. On an error nothing may have been written. */
static CK_RV sign(void)
{
	static unsigned number;
	static CK_BYTE signature[16384];
	char message[64];
	CK_ULONG length = sizeof signature;
	int size = snprintf(message, sizeof message, "message %u of process %d", number++, (int)getpid());
	memset(signature, 0x5a, sizeof signature);
	CK_RV rv = p11->C_SignInit(session, &hss, private_key);
	if (rv == CKR_OK)
		rv = p11->C_Sign(session, (CK_BYTE *)message, (CK_ULONG)size, signature, &length);
	if (rv == CKR_OK) {
		printf("signature ");
		print_hex((CK_BYTE *)message, (CK_ULONG)size);
		printf(" ");
		print_hex(signature, length);
		say("");
		return CKR_OK;
	}
	CHECK(length == sizeof signature);
	for (size_t i = 0; i < sizeof signature; i++)
		CHECK(signature[i] == 0x5a);
	return rv;
}

static void begin(void)
{
	OK(p11->C_Initialize(NULL));
	session = make_token(p11);
	private_key = make_key(p11, session, 2, 1, &public_key);
	print_public_key();
	for (int i = 0; i < 3; i++)
		OK(sign());
}

static void begin_again(void)
{
	OK(p11->C_Initialize(NULL));
	session = log_in(p11);
	private_key = find_key(p11, session, CKO_PRIVATE_KEY);
	public_key = find_key(p11, session, CKO_PUBLIC_KEY);
	for (int i = 0; i < 3; i++)
		OK(sign());
	OK(p11->C_Finalize(NULL));
}

/* Every function of an application without its device. */
static void is_dead(void)
{
	CK_SESSION_INFO info;
	EXPECT(CKR_DEVICE_ERROR, sign());
	EXPECT(CKR_DEVICE_ERROR, p11->C_GetSessionInfo(session, &info));
	EXPECT(CKR_DEVICE_ERROR, p11->C_Encrypt(session, NULL, 0, NULL, NULL));
	EXPECT(CKR_CRYPTOKI_ALREADY_INITIALIZED, p11->C_Initialize(NULL));
	OK(p11->C_Finalize(NULL));
	EXPECT(CKR_CRYPTOKI_NOT_INITIALIZED, sign());
}

static void idle(void)
{
	begin();
	await_line();
	is_dead();
	begin_again();
}

static void call(void)
{
	begin();
	await_line();
	say("calling");
	EXPECT(CKR_DEVICE_ERROR, sign());
	is_dead();
	begin_again();
}

static void *sign_in_vain(void *unused)
{
	say("calling");
	CK_RV rv = sign();
	CHECK(rv == 0x50 /* CKR_FUNCTION_CANCELED */ || rv == CKR_CRYPTOKI_NOT_INITIALIZED);
	return unused;
}

static void finalize(void)
{
	pthread_t thread;
	begin();
	await_line();
	CHECK(pthread_create(&thread, NULL, sign_in_vain, NULL) == 0);
	sleep_ms(200);
	OK(p11->C_Finalize(NULL));
	CHECK(pthread_join(thread, NULL) == 0);
	say("finalized");
	await_line();
	begin_again();
}

static void initialize(void)
{
	begin();
	OK(p11->C_Finalize(NULL));
	await_line();
	say("calling");
	begin_again();
}

static void loop(void)
{
	CK_RV rv;
	begin();
	say("ready");
	while ((rv = sign()) == CKR_OK)
		;
	CHECK(rv == CKR_DEVICE_ERROR);
	is_dead();
	begin_again();
}

int main(int argc, char **argv)
{
	const struct {
		const char *name;
		void (*run)(void);
	} scenarios[] = {{"idle", idle}, {"call", call}, {"finalize", finalize}, {"initialize", initialize}, {"loop", loop}};
	CHECK(argc == 3);
	p11 = load(argv[1]);
	for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
		if (strcmp(argv[2], scenarios[i].name) == 0) {
			scenarios[i].run();
			return 0;
		}
	}
	fprintf(stderr, "no scenario %s\n", argv[2]);
	return 2;
}
