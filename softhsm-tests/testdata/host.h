/*
 * What the C hosts of the tests share: load the library, make a token and a key with plain PKCS#11 calls, check.
 * Each host is one program with one file, so that everything here is static; a host need not use all of it.
 */
#ifndef HOST_H
#define HOST_H

#include "../../cgo/embedded/cryptoki.h"

#include <dlfcn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNUSED __attribute__((unused))

#define CHECK(condition)                                                                   \
	do {                                                                               \
		if (!(condition)) {                                                        \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);    \
			exit(1);                                                           \
		}                                                                          \
	} while (0)

#define EXPECT(wanted, call)                                                                                    \
	do {                                                                                                    \
		CK_RV got_ = (call);                                                                            \
		if (got_ != (wanted)) {                                                                         \
			fprintf(stderr, "%s:%d: %s: 0x%lx, want %s\n", __FILE__, __LINE__, #call, got_, #wanted); \
			exit(1);                                                                                \
		}                                                                                               \
	} while (0)

#define OK(call) EXPECT(CKR_OK, call)

/* Numbers of the standard that only the hosts need. */
enum {
	CKR_SLOT_ID_INVALID = 0x03,
	CKR_ATTRIBUTE_SENSITIVE = 0x11,
	CKR_ATTRIBUTE_TYPE_INVALID = 0x12,
	CKR_OPERATION_NOT_INITIALIZED = 0x91,
	CKR_SESSION_HANDLE_INVALID = 0xb3,
	CKR_SIGNATURE_INVALID = 0xc0,
	CKR_CRYPTOKI_ALREADY_INITIALIZED = 0x191,
	CKR_KEY_EXHAUSTED = 0x203,
	CKF_RW_SESSION = 2,
	CKF_SERIAL_SESSION = 4,
	CKU_SO = 0,
	CKU_USER = 1,
	CKO_PRIVATE_KEY = 3,
	CKA_CLASS = 0x00,
	CKA_TOKEN = 0x01,
	CKA_LABEL = 0x03,
	CKA_VALUE = 0x11,
	CKA_HSS_LEVELS = 0x617,
	CKA_HSS_LMS_TYPES = 0x61a,
	CKA_HSS_LMOTS_TYPES = 0x61b,
	CKA_HSS_KEYS_REMAINING = 0x61c,
	CKM_HSS_KEY_PAIR_GEN = 0x4032,
	CKM_HSS = 0x4033,
};

/* Every function by name, in the order of the lists, as the standard's X macro has it. */
struct function {
	const char *name;
	size_t offset; /* in CK_FUNCTION_LIST_3_2 */
};

#define ROW(name, parameters) {#name, offsetof(CK_FUNCTION_LIST_3_2, name)},

static const struct function functions[] UNUSED = {
	CK_FUNCTIONS_2_40(ROW, ROW)
	CK_FUNCTIONS_ADDED_IN_3_0(ROW, ROW)
	CK_FUNCTIONS_ADDED_IN_3_2(ROW, ROW)
};

enum { FUNCTIONS = sizeof functions / sizeof functions[0] };

/* Any function: the calling convention lets a callee ignore arguments. */
typedef CK_RV (*any_function)(CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG, CK_ULONG,
			      CK_ULONG);

UNUSED static any_function function_at(const CK_FUNCTION_LIST_3_2 *p11, int i)
{
	any_function f;
	memcpy(&f, (const char *)p11 + functions[i].offset, sizeof f);
	return f;
}

static int is(int i, const char *name)
{
	return strcmp(functions[i].name, name) == 0;
}

/* Functions whose first argument is a pointer and not a slot or session. */
static int begins_with_pointer(int i)
{
	return is(i, "C_Initialize") || is(i, "C_Finalize") || is(i, "C_GetInfo") || is(i, "C_GetFunctionList") ||
	       is(i, "C_GetInterfaceList") || is(i, "C_GetInterface");
}

/* Function i in that session, with zeros for everything else. */
UNUSED static CK_RV call_with_zeros(const CK_FUNCTION_LIST_3_2 *p11, int i, CK_SESSION_HANDLE session)
{
	CK_ULONG first = begins_with_pointer(i) ? 0 : session;
	return function_at(p11, i)(first, 0, 0, 0, 0, 0, 0, 0, 0, 0);
}

UNUSED static CK_FUNCTION_LIST_3_2 *load(const char *path)
{
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL) {
		fprintf(stderr, "%s\n", dlerror());
		exit(1);
	}
	CK_RV (*get_interface)(CK_UTF8CHAR_PTR, CK_VERSION_PTR, CK_INTERFACE_PTR_PTR, CK_FLAGS);
	*(void **)&get_interface = dlsym(library, "C_GetInterface");
	CHECK(get_interface != NULL);
	CK_INTERFACE *interface;
	CK_VERSION version = {3, 2};
	OK(get_interface(NULL, &version, &interface, 0));
	return interface->pFunctionList;
}

static CK_UTF8CHAR so_pin[] = "so-12345", user_pin[] = "user-1234";

enum { SO_PIN = sizeof so_pin - 1, USER_PIN = sizeof user_pin - 1 };

/* Initialises the first slot's token and returns a read-write session in which the user is logged in. */
UNUSED static CK_SESSION_HANDLE make_token(CK_FUNCTION_LIST_3_2 *p11)
{
	CK_SLOT_ID slots[8];
	CK_ULONG count = 8;
	OK(p11->C_GetSlotList(1, slots, &count));
	CHECK(count >= 1);
	CK_UTF8CHAR label[32];
	memset(label, ' ', sizeof label);
	memcpy(label, "host", 4);
	OK(p11->C_InitToken(slots[0], so_pin, SO_PIN, label));
	CK_SESSION_HANDLE session;
	OK(p11->C_OpenSession(slots[0], CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session));
	OK(p11->C_Login(session, CKU_SO, so_pin, SO_PIN));
	OK(p11->C_InitPIN(session, user_pin, USER_PIN));
	OK(p11->C_Logout(session));
	OK(p11->C_Login(session, CKU_USER, user_pin, USER_PIN));
	return session;
}

/* A key of 1 or 2 levels, each LMS_SHA256_M32_H5 with LMOTS_SHA256_N32_W4; returns the private key. */
UNUSED static CK_OBJECT_HANDLE make_key(CK_FUNCTION_LIST_3_2 *p11, CK_SESSION_HANDLE session, CK_ULONG levels,
					CK_BBOOL on_token, CK_OBJECT_HANDLE *public)
{
	CK_ULONG lms[] = {5, 5}, lmots[] = {3, 3};
	CK_ATTRIBUTE private_template[] = {
		{CKA_TOKEN, &on_token, sizeof on_token},
		{CKA_HSS_LEVELS, &levels, sizeof levels},
		{CKA_HSS_LMS_TYPES, lms, levels * sizeof lms[0]},
		{CKA_HSS_LMOTS_TYPES, lmots, levels * sizeof lmots[0]},
	};
	CK_ATTRIBUTE public_template[] = {{CKA_TOKEN, &on_token, sizeof on_token}};
	CK_MECHANISM generate = {CKM_HSS_KEY_PAIR_GEN, NULL, 0};
	CK_OBJECT_HANDLE private;
	OK(p11->C_GenerateKeyPair(session, &generate, public_template, 1, private_template, 4, public, &private));
	return private;
}

UNUSED static CK_ULONG keys_remaining(CK_FUNCTION_LIST_3_2 *p11, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
	CK_ULONG remaining;
	CK_ATTRIBUTE attribute = {CKA_HSS_KEYS_REMAINING, &remaining, sizeof remaining};
	OK(p11->C_GetAttributeValue(session, key, &attribute, 1));
	return remaining;
}

/* One signature with the query first, verified. */
UNUSED static void sign_and_verify(CK_FUNCTION_LIST_3_2 *p11, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE private,
				   CK_OBJECT_HANDLE public)
{
	CK_MECHANISM hss = {CKM_HSS, NULL, 0};
	CK_BYTE message[] = "a message", signature[16384];
	CK_ULONG length;
	OK(p11->C_SignInit(session, &hss, private));
	OK(p11->C_Sign(session, message, sizeof message, NULL, &length));
	CHECK(length <= sizeof signature);
	OK(p11->C_Sign(session, message, sizeof message, signature, &length));
	OK(p11->C_VerifyInit(session, &hss, public));
	OK(p11->C_Verify(session, message, sizeof message, signature, length));
}

#endif
