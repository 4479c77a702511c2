/*
 * A process that forks in the middle of its work with a token. Each line is a step, what it has come to, and what the
 * standard wants: a child is an application of its own that has not initialised the library.
 * usage: children MODULE SCENARIO, with an empty token directory
 *
 *	initialize  a child that calls C_Initialize and works
 *	nothing     a child that does nothing with the library
 *	after       the parent is through with the library
 */
#define _GNU_SOURCE
#include "host.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CKM_SHA256_HMAC = 0x251, CKA_PRIVATE = 2, CKA_KEY_TYPE = 0x100, CKA_SIGN = 0x108 };

static CK_FUNCTION_LIST_3_2 *p11; /* its 2.40 part alone is there with SoftHSM */
static CK_SESSION_HANDLE session;
static CK_OBJECT_HANDLE key;
static CK_MECHANISM hmac = {CKM_SHA256_HMAC, NULL, 0};
static CK_BYTE secret[32] = "secret", mac[64];

static void say(const char *step, CK_RV got, CK_RV want)
{
	printf("%s\t0x%lx\t0x%lx\n", step, (unsigned long)got, (unsigned long)want);
	fflush(stdout);
}

static CK_RV sign(CK_SESSION_HANDLE with, CK_OBJECT_HANDLE using)
{
	CK_ULONG length = sizeof mac;
	CK_RV rv = p11->C_SignInit(with, &hmac, using);
	return rv == CKR_OK ? p11->C_Sign(with, secret, 4, mac, &length) : rv;
}

static void make_hmac_key(void)
{
	CK_BBOOL yes = 1;
	CK_ULONG class = 4, type = 0x10;
	CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type},
		{CKA_VALUE, secret, sizeof secret}, {CKA_TOKEN, &yes, 1}, {CKA_PRIVATE, &yes, 1}, {CKA_SIGN, &yes, 1}};
	OK(p11->C_CreateObject(session, template, 6, &key));
}

static CK_OBJECT_HANDLE find(CK_SESSION_HANDLE with)
{
	CK_ULONG class = 4, count = 0;
	CK_ATTRIBUTE wanted = {CKA_CLASS, &class, sizeof class};
	CK_OBJECT_HANDLE found = 0;
	if (p11->C_FindObjectsInit(with, &wanted, 1) == CKR_OK) {
		p11->C_FindObjects(with, &found, 1, &count);
		p11->C_FindObjectsFinal(with);
	}
	return count == 1 ? found : 0;
}

/* How a child ends: 0 if well, else the number of its signal. */
static void reap(const char *step, pid_t child)
{
	int status;
	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	printf("%s\t%d\t0\n", step, WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	fflush(stdout);
}

/* Slots may have other numbers in a library that begins anew; the token is in the first one. */
static CK_SLOT_ID first_slot(void)
{
	CK_SLOT_ID slots[8] = {0};
	CK_ULONG count = 8;
	p11->C_GetSlotList(1, slots, &count);
	return slots[0];
}

static void work_in_child(void)
{
	CK_SESSION_INFO info;
	CK_ULONG count = 8;
	CK_SLOT_ID slots[8];
	CK_SESSION_HANDLE own = 0;
	say("child: C_GetSlotList", p11->C_GetSlotList(0, slots, &count), CKR_CRYPTOKI_NOT_INITIALIZED);
	say("child: C_GetSessionInfo of the parent's", p11->C_GetSessionInfo(session, &info), CKR_CRYPTOKI_NOT_INITIALIZED);
	say("child: C_Sign in the parent's session", sign(session, key), CKR_CRYPTOKI_NOT_INITIALIZED);
	say("child: C_Initialize", p11->C_Initialize(NULL), CKR_OK);
	say("child: C_Initialize again", p11->C_Initialize(NULL), CKR_CRYPTOKI_ALREADY_INITIALIZED);
	say("child: C_OpenSession", p11->C_OpenSession(first_slot(), CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &own),
	    CKR_OK);
	say("child: C_Login", p11->C_Login(own, CKU_USER, user_pin, USER_PIN), CKR_OK);
	say("child: C_Sign", sign(own, find(own)), CKR_OK);
	say("child: C_Logout", p11->C_Logout(own), CKR_OK);
	say("child: C_Finalize", p11->C_Finalize(NULL), CKR_OK);
	say("child: C_Finalize again", p11->C_Finalize(NULL), CKR_CRYPTOKI_NOT_INITIALIZED);
}

/* The parent goes on as if nothing had happened. */
static void work_on(void)
{
	CK_SESSION_INFO info;
	say("parent: C_GetSessionInfo", p11->C_GetSessionInfo(session, &info), CKR_OK);
	printf("parent: state\t%lu\t3\n", info.state);
	say("parent: C_Sign", sign(session, key), CKR_OK);
}

static void initialize_in_child(void)
{
	pid_t child = fork();
	if (child == 0) {
		work_in_child();
		_exit(0);
	}
	reap("child", child);
	work_on();
}

static void nothing_in_child(void)
{
	pid_t child = fork();
	if (child == 0)
		_exit(0);
	reap("child with _exit", child);
	work_on();
}

static void after_finalize(void)
{
	OK(p11->C_Finalize(NULL));
	pid_t child = fork();
	if (child == 0) {
		CK_ULONG count = 8;
		CK_SLOT_ID slots[8];
		say("child: C_GetSlotList", p11->C_GetSlotList(0, slots, &count), CKR_CRYPTOKI_NOT_INITIALIZED);
		say("child: C_Initialize", p11->C_Initialize(NULL), CKR_OK);
		_exit(0);
	}
	reap("child", child);
	say("parent: C_Initialize", p11->C_Initialize(NULL), CKR_OK);
}

int main(int argc, char **argv)
{
	CHECK(argc == 3);
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
	make_hmac_key();
	if (strcmp(argv[2], "initialize") == 0)
		initialize_in_child();
	else if (strcmp(argv[2], "nothing") == 0)
		nothing_in_child();
	else
		after_finalize();
	p11->C_Finalize(NULL);
	return 0;
}
