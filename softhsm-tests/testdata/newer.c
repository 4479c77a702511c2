/*
 * The functions of PKCS#11 3.0 and 3.2 beside their elders: C_LoginUser, C_SessionCancel, messages, C_VerifySignature,
 * encapsulation. usage: newer MODULE, with an empty ONCELEAF_DIR
 */
#include "host.h"

enum {
	CKR_PIN_INCORRECT = 0xa0,
	CKM_AES_KEY_GEN = 0x1080,
	CKM_AES_GCM = 0x1087,
	CKM_SHA256_HMAC = 0x251,
	CKM_ML_KEM_KEY_PAIR_GEN = 0x0f,
	CKM_ML_KEM = 0x17,
	CKM_ML_DSA_KEY_PAIR_GEN = 0x1c,
	CKM_ML_DSA = 0x1d,
	CKA_ENCRYPT = 0x104,
	CKA_DECRYPT = 0x105,
	CKA_SIGN = 0x108,
	CKA_VERIFY = 0x10a,
	CKA_KEY_TYPE = 0x100,
	CKA_SENSITIVE = 0x103,
	CKA_EXTRACTABLE = 0x162,
	CKA_VALUE_LEN = 0x161,
	CKA_PARAMETER_SET = 0x61d,
	CKF_SIGN_OPERATION = 0x800,
	CKG_NO_GENERATE = 0,
	CKG_GENERATE_COUNTER = 2,
	CKR_AEAD_DECRYPT_FAILED = 0x42,
};

static CK_FUNCTION_LIST_3_2 *p11;
static CK_SESSION_HANDLE session;
static CK_BBOOL yes = 1, no = 0;
static CK_BYTE message[] = "a message", room[16384], back[256];
static CK_ULONG length;

static void login_user(void)
{
	OK(p11->C_Logout(session));
	EXPECT(CKR_PIN_INCORRECT, p11->C_LoginUser(session, CKU_USER, (CK_UTF8CHAR *)"wrong-pin", 9, NULL, 0));
	OK(p11->C_LoginUser(session, CKU_USER, user_pin, USER_PIN, NULL, 0));
}

static CK_OBJECT_HANDLE aes_key(void)
{
	CK_ULONG size = 32;
	CK_ATTRIBUTE template[] = {{CKA_VALUE_LEN, &size, sizeof size}, {CKA_ENCRYPT, &yes, 1}, {CKA_DECRYPT, &yes, 1}};
	CK_MECHANISM generate = {CKM_AES_KEY_GEN, NULL, 0};
	CK_OBJECT_HANDLE key;
	OK(p11->C_GenerateKey(session, &generate, template, 3, &key));
	return key;
}

/* Messages with one key: each has its own IV and tag; an altered one gives nothing. */
static void messages(void)
{
	CK_OBJECT_HANDLE key = aes_key();
	CK_MECHANISM gcm = {CKM_AES_GCM, NULL, 0};
	for (CK_BYTE i = 0; i < 3; i++) {
		CK_BYTE iv[12] = {i}, tag[16] = {0};
		CK_GCM_MESSAGE_PARAMS parameter = {iv, sizeof iv, 0, CKG_NO_GENERATE, tag, 128};
		OK(p11->C_MessageEncryptInit(session, &gcm, key));
		length = sizeof room;
		OK(p11->C_EncryptMessage(session, &parameter, sizeof parameter, message, 4, message, sizeof message, room, &length));
		CHECK(length == sizeof message && memcmp(room, message, length) != 0);
		OK(p11->C_MessageEncryptFinal(session));
		OK(p11->C_MessageDecryptInit(session, &gcm, key));
		CK_ULONG opened = sizeof back;
		OK(p11->C_DecryptMessage(session, &parameter, sizeof parameter, message, 4, room, length, back, &opened));
		CHECK(opened == sizeof message && memcmp(back, message, opened) == 0);
		room[0] ^= 1;
		memset(back, 0, sizeof back);
		EXPECT(CKR_AEAD_DECRYPT_FAILED,
		       p11->C_DecryptMessage(session, &parameter, sizeof parameter, message, 4, room, length, back, &opened));
		CHECK(back[0] == 0);
		OK(p11->C_MessageDecryptFinal(session));
	}
}

/* The token makes IVs that are not the same twice. */
static void made_ivs(void)
{
	CK_OBJECT_HANDLE key = aes_key();
	CK_MECHANISM gcm = {CKM_AES_GCM, NULL, 0};
	CK_BYTE first[12] = {0}, second[12] = {0}, tag[16];
	CK_GCM_MESSAGE_PARAMS one = {first, 12, 32, CKG_GENERATE_COUNTER, tag, 128};
	CK_GCM_MESSAGE_PARAMS other = {second, 12, 32, CKG_GENERATE_COUNTER, tag, 128};
	OK(p11->C_MessageEncryptInit(session, &gcm, key));
	length = sizeof room;
	OK(p11->C_EncryptMessage(session, &one, sizeof one, NULL, 0, message, sizeof message, room, &length));
	length = sizeof room;
	OK(p11->C_EncryptMessage(session, &other, sizeof other, NULL, 0, message, sizeof message, room, &length));
	CHECK(memcmp(first, second, 12) != 0);
	OK(p11->C_MessageEncryptFinal(session));
}

/* A pair of a mechanism that wants a parameter set. */
static void pair(CK_MECHANISM_TYPE type, CK_ULONG set, CK_OBJECT_HANDLE *public, CK_OBJECT_HANDLE *private)
{
	CK_MECHANISM generate = {type, NULL, 0};
	CK_ATTRIBUTE template[] = {{CKA_PARAMETER_SET, &set, sizeof set}};
	OK(p11->C_GenerateKeyPair(session, &generate, template, 1, NULL, 0, public, private));
}

/* The signature is there before the message. */
static void verify_signature(CK_MECHANISM *sign, CK_OBJECT_HANDLE public, CK_OBJECT_HANDLE private)
{
	CK_BYTE signature[5000];
	CK_ULONG n = sizeof signature;
	OK(p11->C_SignInit(session, sign, private));
	OK(p11->C_Sign(session, message, sizeof message, signature, &n));
	OK(p11->C_VerifySignatureInit(session, sign, public, signature, n));
	OK(p11->C_VerifySignature(session, message, sizeof message));
	signature[7] ^= 1;
	OK(p11->C_VerifySignatureInit(session, sign, public, signature, n));
	EXPECT(CKR_SIGNATURE_INVALID, p11->C_VerifySignature(session, message, sizeof message));
	EXPECT(CKR_OPERATION_NOT_INITIALIZED, p11->C_VerifySignature(session, message, sizeof message));
}

static void ml_dsa(void)
{
	static const CK_ULONG lengths[] = {0, 2420, 3309, 4627};
	for (CK_ULONG set = 1; set <= 3; set++) {
		CK_OBJECT_HANDLE public, private;
		CK_MECHANISM sign = {CKM_ML_DSA, NULL, 0};
		pair(CKM_ML_DSA_KEY_PAIR_GEN, set, &public, &private);
		OK(p11->C_SignInit(session, &sign, private));
		OK(p11->C_Sign(session, message, sizeof message, NULL, &length));
		CHECK(length == lengths[set]);
		length = sizeof room;
		OK(p11->C_Sign(session, message, sizeof message, room, &length));
		OK(p11->C_VerifyInit(session, &sign, public));
		OK(p11->C_Verify(session, message, sizeof message, room, length));
		verify_signature(&sign, public, private);
	}
}

static void hss(void)
{
	CK_OBJECT_HANDLE public, private = make_key(p11, session, 1, 0, &public);
	CK_MECHANISM sign = {CKM_HSS, NULL, 0};
	verify_signature(&sign, public, private);
	CHECK(keys_remaining(p11, session, private) == 31);
}

static void read_secret(CK_OBJECT_HANDLE key, CK_BYTE *secret)
{
	CK_ATTRIBUTE value = {CKA_VALUE, secret, 32};
	OK(p11->C_GetAttributeValue(session, key, &value, 1));
	CHECK(value.ulValueLen == 32);
}

/* Both sides have the same secret; what was altered gives another one. */
static void ml_kem(void)
{
	static const CK_ULONG lengths[] = {0, 768, 1088, 1568};
	CK_ULONG class = 4, type = 0x10;
	CK_ATTRIBUTE template[] = {{CKA_CLASS, &class, sizeof class}, {CKA_KEY_TYPE, &type, sizeof type},
		{CKA_SENSITIVE, &no, 1}, {CKA_EXTRACTABLE, &yes, 1}};
	CK_MECHANISM kem = {CKM_ML_KEM, NULL, 0};
	for (CK_ULONG set = 2; set <= 3; set++) {
		CK_OBJECT_HANDLE public, private, sent, received, other;
		CK_BYTE one[32], two[32], three[32];
		pair(CKM_ML_KEM_KEY_PAIR_GEN, set, &public, &private);
		OK(p11->C_EncapsulateKey(session, &kem, public, template, 4, NULL, &length, &sent));
		CHECK(length == lengths[set]);
		OK(p11->C_EncapsulateKey(session, &kem, public, template, 4, room, &length, &sent));
		OK(p11->C_DecapsulateKey(session, &kem, private, template, 4, room, length, &received));
		room[3] ^= 1;
		OK(p11->C_DecapsulateKey(session, &kem, private, template, 4, room, length, &other));
		read_secret(sent, one);
		read_secret(received, two);
		read_secret(other, three);
		CHECK(memcmp(one, two, 32) == 0 && memcmp(one, three, 32) != 0);
	}
}

static void cancel(void)
{
	CK_OBJECT_HANDLE public, private = make_key(p11, session, 1, 0, &public);
	CK_MECHANISM sign = {CKM_HSS, NULL, 0};
	OK(p11->C_SignInit(session, &sign, private));
	OK(p11->C_SignUpdate(session, message, 4));
	OK(p11->C_SessionCancel(session, CKF_SIGN_OPERATION));
	EXPECT(CKR_OPERATION_NOT_INITIALIZED, p11->C_SignUpdate(session, message, 4));
	CHECK(keys_remaining(p11, session, private) == 32);
}

int main(int argc, char **argv)
{
	CHECK(argc == 2);
	p11 = load(argv[1]);
	OK(p11->C_Initialize(NULL));
	session = make_token(p11);
	login_user();
	messages();
	made_ivs();
	ml_dsa();
	hss();
	ml_kem();
	cancel();
	OK(p11->C_Finalize(NULL));
	return 0;
}
