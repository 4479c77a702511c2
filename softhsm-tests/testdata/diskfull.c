/*
 * A host whose disk fills up under a key that needs a durable write for each signature: no error leaves a byte of a
 * signature in the buffer. usage: diskfull MODULE BALLAST, where BALLAST is a file to make beside ONCELEAF_DIR on a
 * small file system
 */
#include "host.h"

#include <fcntl.h>
#include <unistd.h>

enum { ROOM = 16384, MARK = 0xA5, LABEL = 60000 };

static CK_BYTE message[] = "on a full disk", signature[ROOM];

static void fill(const char *path)
{
	static char block[1 << 16];
	int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	CHECK(file >= 0);
	for (size_t size = sizeof block; size > 0; size /= 16) {
		while (write(file, block, size) > 0)
			;
	}
	CHECK(close(file) == 0);
}

/* A record that is long has no room in the store to be written anew: each write makes the file longer. */
static CK_OBJECT_HANDLE make_long_key(CK_FUNCTION_LIST_3_2 *p11, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *public)
{
	static CK_BYTE label[LABEL];
	memset(label, 'x', sizeof label);
	CK_BBOOL yes = 1;
	CK_ULONG levels = 1, lms = 5, lmots = 3;
	CK_ATTRIBUTE private_template[] = {
		{CKA_TOKEN, &yes, sizeof yes},
		{CKA_LABEL, label, sizeof label},
		{CKA_HSS_LEVELS, &levels, sizeof levels},
		{CKA_HSS_LMS_TYPES, &lms, sizeof lms},
		{CKA_HSS_LMOTS_TYPES, &lmots, sizeof lmots},
	};
	CK_MECHANISM generate = {CKM_HSS_KEY_PAIR_GEN, NULL, 0};
	CK_OBJECT_HANDLE private;
	OK(p11->C_GenerateKeyPair(session, &generate, NULL, 0, private_template, 5, public, &private));
	return private;
}

static CK_RV try_to_sign(CK_FUNCTION_LIST_3_2 *p11, CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
	CK_MECHANISM hss = {CKM_HSS, NULL, 0};
	CK_ULONG length = ROOM;
	memset(signature, MARK, sizeof signature);
	OK(p11->C_SignInit(session, &hss, key));
	CK_RV rv = p11->C_Sign(session, message, sizeof message, signature, &length);
	if (rv != CKR_OK) {
		CHECK(length == ROOM);
		for (size_t i = 0; i < ROOM; i++)
			CHECK(signature[i] == MARK);
	}
	return rv;
}

int main(int argc, char **argv)
{
	CHECK(argc == 3);
	CK_FUNCTION_LIST_3_2 *p11 = load(argv[1]);
	OK(p11->C_Initialize(NULL));
	CK_SESSION_HANDLE session = make_token(p11);
	CK_OBJECT_HANDLE public, private = make_long_key(p11, session, &public);
	fill(argv[2]);
	int failures = 0;
	for (int i = 0; i < 5; i++)
		failures += try_to_sign(p11, session, private) != CKR_OK;
	CHECK(failures > 0);
	CHECK(unlink(argv[2]) == 0);
	sign_and_verify(p11, session, private, public);
	OK(p11->C_Finalize(NULL));
	return 0;
}
