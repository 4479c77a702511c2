/*
 * Mechanism parameters as applications make them: the structures are written down here once more, from the standard, so
 * that the generated code is held to them. Each goes with a C_EncryptInit (or, for authenticated wrapping, with a length
 * query of C_WrapKeyAuthenticated), whose arguments the other end writes down.
 */
#include "cryptoki.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

typedef struct {
	CK_ULONG hashAlg, mgf, source;
	void *pSourceData;
	CK_ULONG ulSourceDataLen;
} OAEP;

typedef struct {
	CK_ULONG hashAlg, mgf, sLen;
} PSS;

typedef struct {
	CK_ULONG ulAESKeyBits;
	OAEP *pOAEPParams;
} RSA_AES;

typedef struct {
	CK_BYTE *pIv;
	CK_ULONG ulIvLen, ulIvBits;
	CK_BYTE *pAAD;
	CK_ULONG ulAADLen, ulTagBits;
} GCM;

typedef struct {
	void *pIv;
	CK_ULONG ulIvLen;
	void *pAAD;
	CK_ULONG ulAADLen, ulTagBits;
} GCM_OF_JAVA;

typedef struct {
	CK_ULONG ulCounterBits;
	CK_BYTE cb[16];
} CTR;

typedef struct {
	CK_ULONG kdf, ulSharedDataLen;
	CK_BYTE *pSharedData;
	CK_ULONG ulPublicDataLen;
	CK_BYTE *pPublicData;
} ECDH1;

typedef struct {
	CK_BBOOL bExtract, bExpand;
	CK_ULONG prfHashMechanism, ulSaltType;
	CK_BYTE *pSalt;
	CK_ULONG ulSaltLen, hSaltKey;
	CK_BYTE *pInfo;
	CK_ULONG ulInfoLen;
} HKDF;

typedef struct {
	CK_BYTE *pData;
	CK_ULONG ulLen;
} STRING_DATA;

typedef struct {
	CK_BYTE iv[16];
	CK_BYTE *pData;
	CK_ULONG length;
} CBC_DATA;

typedef struct {
	CK_BBOOL phFlag;
	CK_ULONG ulContextDataLen;
	CK_BYTE *pContextData;
} EDDSA;

typedef struct {
	CK_ULONG hedgeVariant;
	CK_BYTE *pContext;
	CK_ULONG ulContextLen;
} CONTEXT;

typedef struct {
	CK_ULONG hedgeVariant;
	CK_BYTE *pContext;
	CK_ULONG ulContextLen, hash;
} HASH_CONTEXT;

typedef struct {
	CK_BYTE *pIv;
	CK_ULONG ulIvLen, ulIvFixedBits, ivGenerator;
	CK_BYTE *pAAD;
	CK_ULONG ulAADLen, ulTagBits;
} GCM_WRAP;

static void begin(CK_ULONG type, void *parameter, size_t length)
{
	CK_MECHANISM m = {type, parameter, length};
	CK_RV rv = C_EncryptInit(5, &m, 9);
	printf("mechanism 0x%lx: 0x%lx\n", type, rv);
}

static void wrap(CK_ULONG type, void *parameter, size_t length)
{
	CK_MECHANISM m = {type, parameter, length};
	CK_ULONG wrapped;
	CK_RV rv = C_WrapKeyAuthenticated(5, &m, 6, 7, NULL, 0, NULL, &wrapped);
	printf("wrapping 0x%lx: 0x%lx\n", type, rv);
}

void send_params(void);

void send_params(void)
{
	CK_BYTE one[] = {0xa1, 0xa2}, two[] = {0xb1, 0xb2, 0xb3}, unaligned[1 + sizeof(GCM)];
	static CK_BYTE huge[(1 << 20) + 1];
	OAEP oaep = {1, 2, 3, one, sizeof one}, empty = {1, 2, 3, NULL, 0}, wild = {1, 2, 3, NULL, 4}, wide = {1, 2, 3, huge, sizeof huge};
	PSS pss = {1, 2, 3};
	RSA_AES rsa_aes = {256, &oaep}, no_oaep = {256, NULL}, wild_oaep = {256, &wild};
	GCM gcm = {one, sizeof one, 16, two, sizeof two, 128};
	GCM_OF_JAVA java = {one, sizeof one, two, sizeof two, 128};
	CTR ctr = {128, {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};
	ECDH1 ecdh = {1, sizeof one, one, sizeof two, two};
	HKDF hkdf = {1, 0, 2, 3, one, sizeof one, 4, two, sizeof two};
	STRING_DATA string = {two, sizeof two};
	CBC_DATA cbc = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, two, sizeof two};
	EDDSA eddsa = {1, sizeof two, two};
	CONTEXT context = {1, two, sizeof two};
	HASH_CONTEXT hash = {1, two, sizeof two, 7};
	GCM_WRAP gcm_wrap = {one, sizeof one, 8, 2, two, sizeof two, 128};
	CK_ULONG number = 42;

	begin(0x9, &oaep, sizeof oaep);
	begin(0x9, &empty, sizeof empty);
	begin(0x9, &wild, sizeof wild);
	begin(0x9, &wide, sizeof wide);
	begin(0x9, &oaep, sizeof oaep - 1);
	begin(0xd, &pss, sizeof pss);
	begin(0x1054, &rsa_aes, sizeof rsa_aes);
	begin(0x1054, &no_oaep, sizeof no_oaep);
	begin(0x1054, &wild_oaep, sizeof wild_oaep);
	begin(0x1087, &gcm, sizeof gcm);
	begin(0x1087, memcpy(unaligned + 1, &gcm, sizeof gcm), sizeof gcm);
	begin(0x1087, &java, sizeof java);
	begin(0x1087, &gcm_wrap, sizeof gcm_wrap); /* only for wrapping */
	begin(0x1086, &ctr, sizeof ctr);
	begin(0x1050, &ecdh, sizeof ecdh);
	begin(0x402a, &hkdf, sizeof hkdf);
	begin(0x1104, &string, sizeof string);
	begin(0x1105, &cbc, sizeof cbc);
	begin(0x1057, &eddsa, sizeof eddsa);
	begin(0x1057, NULL, 0);
	begin(0x1d, &context, sizeof context);
	begin(0x34, &hash, sizeof hash);
	begin(0x8f4c0002, &number, sizeof number);
	begin(0x1082, ctr.cb, 16);
	wrap(0x1087, &gcm_wrap, sizeof gcm_wrap);
	wrap(0x1087, &gcm, sizeof gcm);
	wrap(0x1054, &rsa_aes, sizeof rsa_aes);
}
