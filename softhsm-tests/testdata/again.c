/*
 * A host that signs again and again with one key, and does something else in between, also from other threads.
 * usage: again MODULE, with an empty ONCELEAF_DIR
 */
#define _GNU_SOURCE
#include "client.h"

#include <pthread.h>

enum {
	CKR_OPERATION_ACTIVE_ = 0x90, CKR_ARGUMENTS_BAD_ = 0x07, CKR_KEY_HANDLE_INVALID_ = 0x60,
	CKR_USER_NOT_LOGGED_IN_ = 0x101, CKR_BUFFER_TOO_SMALL_ = 0x150, CKR_CRYPTOKI_NOT_INITIALIZED_ = 0x190,
	CKF_SIGN_ = 0x800, ROOM = 16384,
};

static CK_FUNCTION_LIST_3_2 *p11;
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE private_key, public_key;
static CK_MECHANISM hss = {CKM_HSS, NULL, 0};
static CK_BYTE message[] = "again", signature[ROOM];
static CK_ULONG made; /* octets of signature */

static CK_SESSION_HANDLE open_session(void)
{
	CK_SLOT_ID slots[8];
	CK_ULONG count = 8;
	CK_SESSION_HANDLE opened;
	OK(p11->C_GetSlotList(1, slots, &count));
	OK(p11->C_OpenSession(slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &opened));
	return opened;
}

static CK_RV init(CK_SESSION_HANDLE s)
{
	return p11->C_SignInit(s, &hss, private_key);
}

static CK_RV sign(CK_SESSION_HANDLE s)
{
	made = ROOM;
	return p11->C_Sign(s, message, sizeof message, signature, &made);
}

/* Whether the signature made last is of that key. */
static void verify(CK_OBJECT_HANDLE key)
{
	OK(p11->C_VerifyInit(session, &hss, key));
	OK(p11->C_Verify(session, message, sizeof message, signature, made));
}

static CK_ULONG remaining(void)
{
	CK_ULONG left = 0;
	CK_ATTRIBUTE wanted = {CKA_HSS_KEYS_REMAINING, &left, sizeof left};
	OK(p11->C_GetAttributeValue(session, private_key, &wanted, 1));
	return left;
}

/* Signs, twice, so that what follows is no first time. */
static void prepare(CK_SESSION_HANDLE s)
{
	for (int i = 0; i < 2; i++) {
		OK(init(s));
		OK(sign(s));
	}
}

/* begun: a signature that is begun like those before it. */
static void begun(CK_SESSION_HANDLE s)
{
	prepare(s);
	OK(init(s));
}

static void the_session_itself(void)
{
	CK_ULONG length = 0, before;
	begun(session);
	EXPECT(CKR_OPERATION_ACTIVE_, init(session));
	OK(sign(session));
	EXPECT(CKR_OPERATION_NOT_INITIALIZED, sign(session));

	begun(session);
	OK(p11->C_SignUpdate(session, message, sizeof message));
	length = ROOM;
	OK(p11->C_SignFinal(session, signature, &length));
	OK(p11->C_VerifyInit(session, &hss, public_key));
	OK(p11->C_Verify(session, message, sizeof message, signature, length));

	before = remaining();
	begun(session); /* and two signatures */
	OK(p11->C_Sign(session, message, sizeof message, NULL, &length));
	length--;
	EXPECT(CKR_BUFFER_TOO_SMALL_, p11->C_Sign(session, message, sizeof message, signature, &length));
	EXPECT(CKR_OPERATION_ACTIVE_, init(session));
	OK(p11->C_SessionCancel(session, CKF_SIGN_));
	EXPECT(CKR_OPERATION_NOT_INITIALIZED, sign(session));
	CHECK(remaining() == before - 2);

	begun(session);
	EXPECT(CKR_ARGUMENTS_BAD_, p11->C_Sign(session, NULL, 5, signature, &length));
	EXPECT(CKR_OPERATION_NOT_INITIALIZED, sign(session));

	begun(session);
	OK(p11->C_SignInit(session, NULL, 0)); /* ends the operation */
	EXPECT(CKR_OPERATION_NOT_INITIALIZED, sign(session));
	begun(session);
	OK(sign(session));
}

static void another_key(void)
{
	CK_OBJECT_HANDLE other_public, other = make_key(p11, session, 1, 0, &other_public), first = private_key;
	prepare(session);
	private_key = other;
	OK(init(session));
	OK(sign(session));
	verify(other_public);
	prepare(session);
	OK(init(session));
	private_key = first;
	EXPECT(CKR_OPERATION_ACTIVE_, init(session));
	OK(sign(session));
	verify(other_public);
	private_key = other;
	prepare(session);
	OK(p11->C_DestroyObject(session, other));
	EXPECT(CKR_KEY_HANDLE_INVALID_, init(session));
	private_key = first;
}

static void two_sessions(void)
{
	CK_SESSION_HANDLE other = open_session();
	begun(session);
	begun(other);
	OK(sign(session));
	EXPECT(CKR_OPERATION_ACTIVE_, init(other));
	OK(sign(other));
	begun(other);
	OK(p11->C_CloseSession(other));
	EXPECT(CKR_SESSION_HANDLE_INVALID, sign(other));
	EXPECT(CKR_SESSION_HANDLE_INVALID, init(other));
}

static void log_in_again(void)
{
	OK(p11->C_Login(session, CKU_USER, user_pin, USER_PIN));
	private_key = find_key(p11, session, CKO_PRIVATE_KEY);
}

static void logout_in_between(void)
{
	begun(session);
	OK(p11->C_Logout(session));
	CHECK(sign(session) != CKR_OK);
	CHECK(init(session) != CKR_OK);
	log_in_again();
	prepare(session);
	OK(p11->C_Logout(session));
	CHECK(init(session) != CKR_OK);
	log_in_again();
	begun(session);
	OK(sign(session));
}

static void *sign_it(void *unused)
{
	OK(sign(session));
	return unused;
}

static void *begin_it(void *unused)
{
	begun(session);
	return unused;
}

static void *begin_it_once(void *unused)
{
	OK(init(session));
	return unused;
}

static void *begin_it_too(void *unused)
{
	EXPECT(CKR_OPERATION_ACTIVE_, init(session));
	return unused;
}

static void *sign_twice(void *unused)
{
	prepare(session);
	return unused;
}

static void in_a_thread(void *(*work)(void *))
{
	pthread_t thread;
	CHECK(pthread_create(&thread, NULL, work, NULL) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

static void from_thread_to_thread(void)
{
	begun(session);
	in_a_thread(sign_it);
	EXPECT(CKR_OPERATION_NOT_INITIALIZED, sign(session));
	begun(session);
	in_a_thread(begin_it_too);
	OK(sign(session));
	prepare(session);
	in_a_thread(begin_it_once);
	EXPECT(CKR_OPERATION_ACTIVE_, init(session));
	OK(sign(session));
	in_a_thread(begin_it); /* and the thread ends */
	EXPECT(CKR_OPERATION_ACTIVE_, init(session));
	OK(sign(session));
	prepare(session);
	in_a_thread(sign_twice);
	prepare(session);
	in_a_thread(begin_it);
	OK(sign(session));
}

static void in_a_child(void)
{
	begun(session);
	pid_t child = fork();
	if (child == 0) {
		EXPECT(CKR_CRYPTOKI_NOT_INITIALIZED_, sign(session));
		_exit(0);
	}
	reap(child);
	OK(sign(session));
}

static void begin_anew(void)
{
	begun(session);
	OK(p11->C_Finalize(NULL));
	EXPECT(CKR_CRYPTOKI_NOT_INITIALIZED_, sign(session));
	OK(p11->C_Initialize(NULL));
	CHECK(sign(session) != CKR_OK);
	CHECK(init(session) != CKR_OK);
	session = log_in(p11);
	private_key = find_key(p11, session, CKO_PRIVATE_KEY);
	begun(session);
	OK(sign(session));
}

int main(int argc, char **argv)
{
	CHECK(argc == 2);
	p11 = load(argv[1]);
	OK(p11->C_Initialize(NULL));
	session = make_token(p11);
	private_key = make_key(p11, session, 2, 1, &public_key);
	the_session_itself();
	another_key();
	two_sessions();
	from_thread_to_thread();
	logout_in_between();
	in_a_child();
	begin_anew();
	OK(p11->C_Finalize(NULL));
	return 0;
}
