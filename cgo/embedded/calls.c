/*
 * The functions of PKCS#11 that the token answers: one stub each, for both libraries, made from the table in internal/wire
 * by go generate ./internal/wire. A stub holds the arguments to what they must be, hands them on once, takes the whole
 * answer apart, and only when all of it was right stores anything where the caller can see it.
 */
#include "call.h"

#include <string.h>

_Static_assert(MAX_PART == 67108864 && MAX_FRAME == 68157440 && MAX_VALUE == 1048576 && MAX_ATTRIBUTES == 1024 && MAX_LIST == 65536 &&
	       MAX_NAME == 64 && RANDOM_CHUNK == 65536, "the other side has other bounds");

const uint32_t wire_version = 2;

const unsigned char wire_hash[32] = {
	0xef, 0xa0, 0x7f, 0xee, 0xc8, 0x28, 0x40, 0xdb, 0x20, 0xf6, 0x97, 0x9c, 0x3f, 0x4e, 0x5b, 0xda,
	0xec, 0xe5, 0xe1, 0xfe, 0x94, 0xfd, 0xcd, 0x71, 0xaf, 0x77, 0xaf, 0x5a, 0xe5, 0x1c, 0xea, 0x8c,
};

const CK_FLAGS wire_ends[105] = {
	[28] = 0x40, /* C_FindObjects */
	[30] = 0x100, /* C_EncryptInit */
	[31] = 0x100, /* C_Encrypt */
	[32] = 0x100, /* C_EncryptUpdate */
	[33] = 0x100, /* C_EncryptFinal */
	[34] = 0x200, /* C_DecryptInit */
	[35] = 0x200, /* C_Decrypt */
	[36] = 0x200, /* C_DecryptUpdate */
	[37] = 0x200, /* C_DecryptFinal */
	[38] = 0x400, /* C_DigestInit */
	[39] = 0x400, /* C_Digest */
	[40] = 0x400, /* C_DigestUpdate */
	[41] = 0x400, /* C_DigestKey */
	[42] = 0x400, /* C_DigestFinal */
	[43] = 0x800, /* C_SignInit */
	[44] = 0x800, /* C_Sign */
	[45] = 0x800, /* C_SignUpdate */
	[46] = 0x800, /* C_SignFinal */
	[47] = 0x1000, /* C_SignRecoverInit */
	[48] = 0x1000, /* C_SignRecover */
	[49] = 0x2000, /* C_VerifyInit */
	[50] = 0x2000, /* C_Verify */
	[51] = 0x2000, /* C_VerifyUpdate */
	[52] = 0x2000, /* C_VerifyFinal */
	[53] = 0x4000, /* C_VerifyRecoverInit */
	[54] = 0x4000, /* C_VerifyRecover */
	[55] = 0x500, /* C_DigestEncryptUpdate */
	[56] = 0x600, /* C_DecryptDigestUpdate */
	[57] = 0x900, /* C_SignEncryptUpdate */
	[58] = 0x2200, /* C_DecryptVerifyUpdate */
	[73] = 0x2, /* C_MessageEncryptInit */
	[74] = 0x2, /* C_EncryptMessage */
	[75] = 0x2, /* C_EncryptMessageBegin */
	[76] = 0x2, /* C_EncryptMessageNext */
	[77] = 0x2, /* C_MessageEncryptFinal */
	[78] = 0x4, /* C_MessageDecryptInit */
	[79] = 0x4, /* C_DecryptMessage */
	[80] = 0x4, /* C_DecryptMessageBegin */
	[81] = 0x4, /* C_DecryptMessageNext */
	[82] = 0x4, /* C_MessageDecryptFinal */
	[83] = 0x8, /* C_MessageSignInit */
	[84] = 0x8, /* C_SignMessage */
	[85] = 0x8, /* C_SignMessageBegin */
	[86] = 0x8, /* C_SignMessageNext */
	[87] = 0x8, /* C_MessageSignFinal */
	[88] = 0x10, /* C_MessageVerifyInit */
	[89] = 0x10, /* C_VerifyMessage */
	[90] = 0x10, /* C_VerifyMessageBegin */
	[91] = 0x10, /* C_VerifyMessageNext */
	[92] = 0x10, /* C_MessageVerifyFinal */
	[95] = 0x2000, /* C_VerifySignatureInit */
	[96] = 0x2000, /* C_VerifySignature */
	[97] = 0x2000, /* C_VerifySignatureUpdate */
	[98] = 0x2000, /* C_VerifySignatureFinal */
};

/* pointed: a pointer of a structure can be followed. */
static bool pointed(const void *octets, CK_ULONG length)
{
	return length <= MAX_VALUE && !(octets == NULL && length != 0);
}

struct CK_RSA_PKCS_OAEP_PARAMS {
	CK_ULONG hashAlg;
	CK_ULONG mgf;
	CK_ULONG source;
	const void *pSourceData;
	CK_ULONG ulSourceDataLen;
};
_Static_assert(sizeof(struct CK_RSA_PKCS_OAEP_PARAMS) == 40, "natural alignment");

static bool put_CK_RSA_PKCS_OAEP_PARAMS(struct buffer *out, const void *parameter, CK_ULONG length)
{
	struct CK_RSA_PKCS_OAEP_PARAMS p;
	if (length != sizeof p)
		return false;
	memcpy(&p, parameter, sizeof p);
	if (!pointed(p.pSourceData, p.ulSourceDataLen))
		return false;
	put_ulong(out, p.hashAlg);
	put_ulong(out, p.mgf);
	put_ulong(out, p.source);
	put_bytes(out, p.pSourceData, p.ulSourceDataLen);
	return true;
}

struct CK_RSA_PKCS_PSS_PARAMS {
	CK_ULONG hashAlg;
	CK_ULONG mgf;
	CK_ULONG sLen;
};
_Static_assert(sizeof(struct CK_RSA_PKCS_PSS_PARAMS) == 24, "natural alignment");

static bool put_CK_RSA_PKCS_PSS_PARAMS(struct buffer *out, const void *parameter, CK_ULONG length)
{
	struct CK_RSA_PKCS_PSS_PARAMS p;
	if (length != sizeof p)
		return false;
	memcpy(&p, parameter, sizeof p);
	put_ulong(out, p.hashAlg);
	put_ulong(out, p.mgf);
	put_ulong(out, p.sLen);
	return true;
}

struct CK_RSA_AES_KEY_WRAP_PARAMS {
	CK_ULONG ulAESKeyBits;
	const void *pOAEPParams;
};
_Static_assert(sizeof(struct CK_RSA_AES_KEY_WRAP_PARAMS) == 16, "natural alignment");

static bool put_CK_RSA_AES_KEY_WRAP_PARAMS(struct buffer *out, const void *parameter, CK_ULONG length)
{
	struct CK_RSA_AES_KEY_WRAP_PARAMS p;
	if (length != sizeof p)
		return false;
	memcpy(&p, parameter, sizeof p);
	put_ulong(out, p.ulAESKeyBits);
	put_u8(out, p.pOAEPParams != NULL);
	if (p.pOAEPParams != NULL && !put_CK_RSA_PKCS_OAEP_PARAMS(out, p.pOAEPParams, sizeof(struct CK_RSA_PKCS_OAEP_PARAMS)))
		return false;
	return true;
}

struct CK_GCM_PARAMS {
	const void *pIv;
	CK_ULONG ulIvLen;
	CK_ULONG ulIvBits;
	const void *pAAD;
	CK_ULONG ulAADLen;
	CK_ULONG ulTagBits;
};
_Static_assert(sizeof(struct CK_GCM_PARAMS) == 48, "natural alignment");

struct CK_GCM_PARAMS_SHORT {
	const void *pIv;
	CK_ULONG ulIvLen;
	const void *pAAD;
	CK_ULONG ulAADLen;
	CK_ULONG ulTagBits;
};
_Static_assert(sizeof(struct CK_GCM_PARAMS_SHORT) == 40, "natural alignment");

static bool put_CK_GCM_PARAMS(struct buffer *out, const void *parameter, CK_ULONG length)
{
	struct CK_GCM_PARAMS p;
	struct CK_GCM_PARAMS_SHORT s;
	if (length == sizeof s) {
		memcpy(&s, parameter, sizeof s);
		p = (struct CK_GCM_PARAMS){
			.pIv = s.pIv,
			.ulIvLen = s.ulIvLen,
			.ulIvBits = 8 * s.ulIvLen,
			.pAAD = s.pAAD,
			.ulAADLen = s.ulAADLen,
			.ulTagBits = s.ulTagBits,
		};
	} else if (length == sizeof p) {
		memcpy(&p, parameter, sizeof p);
	} else {
		return false;
	}
	if (!pointed(p.pIv, p.ulIvLen) || !pointed(p.pAAD, p.ulAADLen))
		return false;
	put_bytes(out, p.pIv, p.ulIvLen);
	put_ulong(out, p.ulIvBits);
	put_bytes(out, p.pAAD, p.ulAADLen);
	put_ulong(out, p.ulTagBits);
	return true;
}

struct CK_AES_CTR_PARAMS {
	CK_ULONG ulCounterBits;
	CK_BYTE cb[16];
};
_Static_assert(sizeof(struct CK_AES_CTR_PARAMS) == 24, "natural alignment");

static bool put_CK_AES_CTR_PARAMS(struct buffer *out, const void *parameter, CK_ULONG length)
{
	struct CK_AES_CTR_PARAMS p;
	if (length != sizeof p)
		return false;
	memcpy(&p, parameter, sizeof p);
	put_ulong(out, p.ulCounterBits);
	put_octets(out, p.cb, sizeof p.cb);
	return true;
}

struct CK_ECDH1_DERIVE_PARAMS {
	CK_ULONG kdf;
	CK_ULONG ulSharedDataLen;
	const void *pSharedData;
	CK_ULONG ulPublicDataLen;
	const void *pPublicData;
};
_Static_assert(sizeof(struct CK_ECDH1_DERIVE_PARAMS) == 40, "natural alignment");

static bool put_CK_ECDH1_DERIVE_PARAMS(struct buffer *out, const void *parameter, CK_ULONG length)
{
	struct CK_ECDH1_DERIVE_PARAMS p;
	if (length != sizeof p)
		return false;
	memcpy(&p, parameter, sizeof p);
	if (!pointed(p.pSharedData, p.ulSharedDataLen) || !pointed(p.pPublicData, p.ulPublicDataLen))
		return false;
	put_ulong(out, p.kdf);
	put_bytes(out, p.pSharedData, p.ulSharedDataLen);
	put_bytes(out, p.pPublicData, p.ulPublicDataLen);
	return true;
}

struct CK_HKDF_PARAMS {
	CK_BBOOL bExtract;
	CK_BBOOL bExpand;
	CK_ULONG prfHashMechanism;
	CK_ULONG ulSaltType;
	const void *pSalt;
	CK_ULONG ulSaltLen;
	CK_ULONG hSaltKey;
	const void *pInfo;
	CK_ULONG ulInfoLen;
};
_Static_assert(sizeof(struct CK_HKDF_PARAMS) == 64, "natural alignment");

static bool put_CK_HKDF_PARAMS(struct buffer *out, const void *parameter, CK_ULONG length)
{
	struct CK_HKDF_PARAMS p;
	if (length != sizeof p)
		return false;
	memcpy(&p, parameter, sizeof p);
	if (!pointed(p.pSalt, p.ulSaltLen) || !pointed(p.pInfo, p.ulInfoLen))
		return false;
	put_u8(out, p.bExtract != 0);
	put_u8(out, p.bExpand != 0);
	put_ulong(out, p.prfHashMechanism);
	put_ulong(out, p.ulSaltType);
	put_bytes(out, p.pSalt, p.ulSaltLen);
	put_ulong(out, p.hSaltKey);
	put_bytes(out, p.pInfo, p.ulInfoLen);
	return true;
}

struct CK_KEY_DERIVATION_STRING_DATA {
	const void *pData;
	CK_ULONG ulLen;
};
_Static_assert(sizeof(struct CK_KEY_DERIVATION_STRING_DATA) == 16, "natural alignment");

static bool put_CK_KEY_DERIVATION_STRING_DATA(struct buffer *out, const void *parameter, CK_ULONG length)
{
	struct CK_KEY_DERIVATION_STRING_DATA p;
	if (length != sizeof p)
		return false;
	memcpy(&p, parameter, sizeof p);
	if (!pointed(p.pData, p.ulLen))
		return false;
	put_bytes(out, p.pData, p.ulLen);
	return true;
}

struct CK_AES_CBC_ENCRYPT_DATA_PARAMS {
	CK_BYTE iv[16];
	const void *pData;
	CK_ULONG length;
};
_Static_assert(sizeof(struct CK_AES_CBC_ENCRYPT_DATA_PARAMS) == 32, "natural alignment");

static bool put_CK_AES_CBC_ENCRYPT_DATA_PARAMS(struct buffer *out, const void *parameter, CK_ULONG length)
{
	struct CK_AES_CBC_ENCRYPT_DATA_PARAMS p;
	if (length != sizeof p)
		return false;
	memcpy(&p, parameter, sizeof p);
	if (!pointed(p.pData, p.length))
		return false;
	put_octets(out, p.iv, sizeof p.iv);
	put_bytes(out, p.pData, p.length);
	return true;
}

struct CK_EDDSA_PARAMS {
	CK_BBOOL phFlag;
	CK_ULONG ulContextDataLen;
	const void *pContextData;
};
_Static_assert(sizeof(struct CK_EDDSA_PARAMS) == 24, "natural alignment");

static bool put_CK_EDDSA_PARAMS(struct buffer *out, const void *parameter, CK_ULONG length)
{
	struct CK_EDDSA_PARAMS p;
	if (length != sizeof p)
		return false;
	memcpy(&p, parameter, sizeof p);
	if (!pointed(p.pContextData, p.ulContextDataLen))
		return false;
	put_u8(out, p.phFlag != 0);
	put_bytes(out, p.pContextData, p.ulContextDataLen);
	return true;
}

struct CK_SIGN_ADDITIONAL_CONTEXT {
	CK_ULONG hedgeVariant;
	const void *pContext;
	CK_ULONG ulContextLen;
};
_Static_assert(sizeof(struct CK_SIGN_ADDITIONAL_CONTEXT) == 24, "natural alignment");

static bool put_CK_SIGN_ADDITIONAL_CONTEXT(struct buffer *out, const void *parameter, CK_ULONG length)
{
	struct CK_SIGN_ADDITIONAL_CONTEXT p;
	if (length != sizeof p)
		return false;
	memcpy(&p, parameter, sizeof p);
	if (!pointed(p.pContext, p.ulContextLen))
		return false;
	put_ulong(out, p.hedgeVariant);
	put_bytes(out, p.pContext, p.ulContextLen);
	return true;
}

struct CK_HASH_SIGN_ADDITIONAL_CONTEXT {
	CK_ULONG hedgeVariant;
	const void *pContext;
	CK_ULONG ulContextLen;
	CK_ULONG hash;
};
_Static_assert(sizeof(struct CK_HASH_SIGN_ADDITIONAL_CONTEXT) == 32, "natural alignment");

static bool put_CK_HASH_SIGN_ADDITIONAL_CONTEXT(struct buffer *out, const void *parameter, CK_ULONG length)
{
	struct CK_HASH_SIGN_ADDITIONAL_CONTEXT p;
	if (length != sizeof p)
		return false;
	memcpy(&p, parameter, sizeof p);
	if (!pointed(p.pContext, p.ulContextLen))
		return false;
	put_ulong(out, p.hedgeVariant);
	put_bytes(out, p.pContext, p.ulContextLen);
	put_ulong(out, p.hash);
	return true;
}

struct CK_GCM_WRAP_PARAMS {
	const void *pIv;
	CK_ULONG ulIvLen;
	CK_ULONG ulIvFixedBits;
	CK_ULONG ivGenerator;
	const void *pAAD;
	CK_ULONG ulAADLen;
	CK_ULONG ulTagBits;
};
_Static_assert(sizeof(struct CK_GCM_WRAP_PARAMS) == 56, "natural alignment");

static bool put_CK_GCM_WRAP_PARAMS(struct buffer *out, const void *parameter, CK_ULONG length)
{
	struct CK_GCM_WRAP_PARAMS p;
	if (length != sizeof p)
		return false;
	memcpy(&p, parameter, sizeof p);
	if (!pointed(p.pIv, p.ulIvLen) || !pointed(p.pAAD, p.ulAADLen))
		return false;
	put_bytes(out, p.pIv, p.ulIvLen);
	put_ulong(out, p.ulIvFixedBits);
	put_ulong(out, p.ivGenerator);
	put_bytes(out, p.pAAD, p.ulAADLen);
	put_ulong(out, p.ulTagBits);
	return true;
}

typedef bool put_structure(struct buffer *, const void *, CK_ULONG);

static put_structure *structure_of(CK_MECHANISM_TYPE type, bool wrapping, unsigned *id)
{
	if (wrapping) {
		switch (type) {
		case 0x1087:
			*id = 14;
			return put_CK_GCM_WRAP_PARAMS;
		}
	}
	switch (type) {
	case 0x9:
		*id = 1;
		return put_CK_RSA_PKCS_OAEP_PARAMS;
	case 0xd:
	case 0xe:
	case 0x43:
	case 0x44:
	case 0x45:
	case 0x47:
	case 0x63:
	case 0x64:
	case 0x65:
	case 0x67:
		*id = 2;
		return put_CK_RSA_PKCS_PSS_PARAMS;
	case 0x1054:
		*id = 3;
		return put_CK_RSA_AES_KEY_WRAP_PARAMS;
	case 0x1087:
		*id = 4;
		return put_CK_GCM_PARAMS;
	case 0x1086:
		*id = 5;
		return put_CK_AES_CTR_PARAMS;
	case 0x1050:
	case 0x1051:
		*id = 6;
		return put_CK_ECDH1_DERIVE_PARAMS;
	case 0x402a:
	case 0x402b:
		*id = 7;
		return put_CK_HKDF_PARAMS;
	case 0x1104:
	case 0x362:
	case 0x363:
	case 0x364:
		*id = 8;
		return put_CK_KEY_DERIVATION_STRING_DATA;
	case 0x1105:
		*id = 9;
		return put_CK_AES_CBC_ENCRYPT_DATA_PARAMS;
	case 0x1057:
		*id = 10;
		return put_CK_EDDSA_PARAMS;
	case 0x1d:
	case 0x23:
	case 0x24:
	case 0x25:
	case 0x26:
	case 0x27:
	case 0x28:
	case 0x29:
	case 0x2a:
	case 0x2b:
	case 0x2c:
	case 0x2e:
	case 0x36:
	case 0x37:
	case 0x38:
	case 0x39:
	case 0x3a:
	case 0x3b:
	case 0x3c:
	case 0x3d:
	case 0x3e:
	case 0x3f:
		*id = 11;
		return put_CK_SIGN_ADDITIONAL_CONTEXT;
	case 0x1f:
	case 0x34:
		*id = 12;
		return put_CK_HASH_SIGN_ADDITIONAL_CONTEXT;
	}
	return NULL;
}

void put_params(struct buffer *out, const CK_MECHANISM *m, bool wrapping)
{
	unsigned id = 0;
	put_structure *put = structure_of(m->mechanism, wrapping, &id);
	size_t start = out->used;
	put_u8(out, put == NULL ? 2 : 3);
	put_ulong(out, m->mechanism);
	if (put == NULL) {
		put_bytes(out, m->pParameter, m->ulParameterLen);
		return;
	}
	put_u8(out, id);
	if (put(out, m->pParameter, m->ulParameterLen))
		return;
	if (out->used > start)
		explicit_bzero(out->bytes + start, out->used - start);
	out->used = start;
	put_u8(out, 4); /* a misfit */
	put_ulong(out, m->mechanism);
}

static void get_CK_INFO(struct reader *in, CK_INFO *info, CK_RV rv)
{
	memset(info, 0, sizeof *info);
	if (rv != CKR_OK)
		return;
	get_version(in, &info->cryptokiVersion);
	get_text(in, info->manufacturerID, sizeof info->manufacturerID);
	info->flags = get_ulong(in);
	get_text(in, info->libraryDescription, sizeof info->libraryDescription);
	get_version(in, &info->libraryVersion);
}

static void get_CK_SLOT_INFO(struct reader *in, CK_SLOT_INFO *info, CK_RV rv)
{
	memset(info, 0, sizeof *info);
	if (rv != CKR_OK)
		return;
	get_text(in, info->slotDescription, sizeof info->slotDescription);
	get_text(in, info->manufacturerID, sizeof info->manufacturerID);
	info->flags = get_ulong(in);
	get_version(in, &info->hardwareVersion);
	get_version(in, &info->firmwareVersion);
}

static void get_CK_TOKEN_INFO(struct reader *in, CK_TOKEN_INFO *info, CK_RV rv)
{
	memset(info, 0, sizeof *info);
	if (rv != CKR_OK)
		return;
	get_text(in, info->label, sizeof info->label);
	get_text(in, info->manufacturerID, sizeof info->manufacturerID);
	get_text(in, info->model, sizeof info->model);
	get_text(in, info->serialNumber, sizeof info->serialNumber);
	info->flags = get_ulong(in);
	info->ulMaxSessionCount = get_ulong(in);
	info->ulSessionCount = get_ulong(in);
	info->ulMaxRwSessionCount = get_ulong(in);
	info->ulRwSessionCount = get_ulong(in);
	info->ulMaxPinLen = get_ulong(in);
	info->ulMinPinLen = get_ulong(in);
	info->ulTotalPublicMemory = get_ulong(in);
	info->ulFreePublicMemory = get_ulong(in);
	info->ulTotalPrivateMemory = get_ulong(in);
	info->ulFreePrivateMemory = get_ulong(in);
	get_version(in, &info->hardwareVersion);
	get_version(in, &info->firmwareVersion);
	get_text(in, info->utcTime, sizeof info->utcTime);
}

static void get_CK_SESSION_INFO(struct reader *in, CK_SESSION_INFO *info, CK_RV rv)
{
	memset(info, 0, sizeof *info);
	if (rv != CKR_OK)
		return;
	info->slotID = get_ulong(in);
	info->state = get_ulong(in);
	info->flags = get_ulong(in);
	info->ulDeviceError = get_ulong(in);
}

static void get_CK_MECHANISM_INFO(struct reader *in, CK_MECHANISM_INFO *info, CK_RV rv)
{
	memset(info, 0, sizeof *info);
	if (rv != CKR_OK)
		return;
	info->ulMinKeySize = get_ulong(in);
	info->ulMaxKeySize = get_ulong(in);
	info->flags = get_ulong(in);
}

CK_RV C_GetInfo(CK_INFO_PTR info)
{
	struct call *call;
	CK_INFO infoValue;
	CK_RV rv = enter(&call, 3);
	if (rv != CKR_OK)
		return rv;
	if (info == NULL)
		return leave(call, refuse(call, 0, 0x0));
	rv = exchange(call);
	get_CK_INFO(&call->in, &infoValue, rv);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	if (rv == CKR_OK)
		*info = infoValue;
	return leave(call, rv);
}

CK_RV C_GetSlotList(CK_BBOOL tokenPresent, CK_SLOT_ID_PTR slots, CK_ULONG_PTR count)
{
	struct call *call;
	struct numbers slotsValue;
	CK_RV rv = enter(&call, 5);
	if (rv != CKR_OK)
		return rv;
	if (count == NULL)
		return leave(call, refuse(call, 0, 0x0));
	put_u8(&call->out, tokenPresent != 0);
	rv = exchange(call);
	get_numbers(&call->in, &slotsValue, rv, MAX_LIST);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	rv = store_list(&slotsValue, rv, slots, count);
	return leave(call, rv);
}

CK_RV C_GetSlotInfo(CK_SLOT_ID slot, CK_SLOT_INFO_PTR info)
{
	struct call *call;
	CK_SLOT_INFO infoValue;
	CK_RV rv = enter(&call, 6);
	if (rv != CKR_OK)
		return rv;
	if (info == NULL)
		return leave(call, refuse(call, 0, 0x0));
	put_ulong(&call->out, slot);
	rv = exchange(call);
	get_CK_SLOT_INFO(&call->in, &infoValue, rv);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	if (rv == CKR_OK)
		*info = infoValue;
	return leave(call, rv);
}

CK_RV C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info)
{
	struct call *call;
	CK_TOKEN_INFO infoValue;
	CK_RV rv = enter(&call, 7);
	if (rv != CKR_OK)
		return rv;
	if (info == NULL)
		return leave(call, refuse(call, 0, 0x0));
	put_ulong(&call->out, slot);
	rv = exchange(call);
	get_CK_TOKEN_INFO(&call->in, &infoValue, rv);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	if (rv == CKR_OK)
		*info = infoValue;
	return leave(call, rv);
}

CK_RV C_GetMechanismList(CK_SLOT_ID slot, CK_MECHANISM_TYPE_PTR mechanisms, CK_ULONG_PTR count)
{
	struct call *call;
	struct numbers mechanismsValue;
	CK_RV rv = enter(&call, 8);
	if (rv != CKR_OK)
		return rv;
	if (count == NULL)
		return leave(call, refuse(call, 0, 0x0));
	put_ulong(&call->out, slot);
	rv = exchange(call);
	get_numbers(&call->in, &mechanismsValue, rv, MAX_LIST);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	rv = store_list(&mechanismsValue, rv, mechanisms, count);
	return leave(call, rv);
}

CK_RV C_GetMechanismInfo(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO_PTR info)
{
	struct call *call;
	CK_MECHANISM_INFO infoValue;
	CK_RV rv = enter(&call, 9);
	if (rv != CKR_OK)
		return rv;
	if (info == NULL)
		return leave(call, refuse(call, 0, 0x0));
	put_ulong(&call->out, slot);
	put_ulong(&call->out, type);
	rv = exchange(call);
	get_CK_MECHANISM_INFO(&call->in, &infoValue, rv);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	if (rv == CKR_OK)
		*info = infoValue;
	return leave(call, rv);
}

CK_RV C_InitToken(CK_SLOT_ID slot, CK_UTF8CHAR_PTR pin, CK_ULONG pinLen, CK_UTF8CHAR_PTR label)
{
	struct call *call;
	CK_RV rv = enter(&call, 10);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(pin, pinLen) || label == NULL)
		return leave(call, refuse(call, 0, 0x0));
	put_ulong(&call->out, slot);
	put_bytes(&call->out, pin, pinLen);
	put_octets(&call->out, label, 32);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_InitPIN(CK_SESSION_HANDLE session, CK_UTF8CHAR_PTR pin, CK_ULONG pinLen)
{
	struct call *call;
	CK_RV rv = enter(&call, 11);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(pin, pinLen))
		return leave(call, refuse(call, session, 0x0));
	put_ulong(&call->out, session);
	put_bytes(&call->out, pin, pinLen);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_SetPIN(CK_SESSION_HANDLE session, CK_UTF8CHAR_PTR oldPin, CK_ULONG oldLen, CK_UTF8CHAR_PTR newPin,
	       CK_ULONG newLen)
{
	struct call *call;
	CK_RV rv = enter(&call, 12);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(oldPin, oldLen) || bad_bytes(newPin, newLen))
		return leave(call, refuse(call, session, 0x0));
	put_ulong(&call->out, session);
	put_bytes(&call->out, oldPin, oldLen);
	put_bytes(&call->out, newPin, newLen);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_OpenSession(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR application, CK_NOTIFY notify,
		    CK_SESSION_HANDLE_PTR session)
{
	struct call *call;
	(void)application;
	(void)notify;
	CK_ULONG sessionValue;
	CK_RV rv = enter(&call, 13);
	if (rv != CKR_OK)
		return rv;
	if (session == NULL)
		return leave(call, refuse(call, 0, 0x0));
	put_ulong(&call->out, slot);
	put_ulong(&call->out, flags);
	rv = exchange(call);
	sessionValue = rv == CKR_OK ? get_ulong(&call->in) : 0;
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	if (rv == CKR_OK)
		*session = sessionValue;
	return leave(call, rv);
}

CK_RV C_CloseSession(CK_SESSION_HANDLE session)
{
	struct call *call;
	CK_RV rv = enter(&call, 14);
	if (rv != CKR_OK)
		return rv;
	put_ulong(&call->out, session);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_CloseAllSessions(CK_SLOT_ID slot)
{
	struct call *call;
	CK_RV rv = enter(&call, 15);
	if (rv != CKR_OK)
		return rv;
	put_ulong(&call->out, slot);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_GetSessionInfo(CK_SESSION_HANDLE session, CK_SESSION_INFO_PTR info)
{
	struct call *call;
	CK_SESSION_INFO infoValue;
	CK_RV rv = enter(&call, 16);
	if (rv != CKR_OK)
		return rv;
	if (info == NULL)
		return leave(call, refuse(call, session, 0x0));
	put_ulong(&call->out, session);
	rv = exchange(call);
	get_CK_SESSION_INFO(&call->in, &infoValue, rv);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	if (rv == CKR_OK)
		*info = infoValue;
	return leave(call, rv);
}

CK_RV C_Login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG pinLen)
{
	struct call *call;
	CK_RV rv = enter(&call, 19);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(pin, pinLen))
		return leave(call, refuse(call, session, 0x0));
	put_ulong(&call->out, session);
	put_ulong(&call->out, user);
	put_bytes(&call->out, pin, pinLen);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_Logout(CK_SESSION_HANDLE session)
{
	struct call *call;
	CK_RV rv = enter(&call, 20);
	if (rv != CKR_OK)
		return rv;
	put_ulong(&call->out, session);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_CreateObject(CK_SESSION_HANDLE session, CK_ATTRIBUTE_PTR attributes, CK_ULONG count,
		     CK_OBJECT_HANDLE_PTR object)
{
	struct call *call;
	CK_ULONG objectValue;
	CK_RV rv = enter(&call, 21);
	if (rv != CKR_OK)
		return rv;
	if (bad_template(attributes, count) || object == NULL)
		return leave(call, refuse(call, session, 0x0));
	put_ulong(&call->out, session);
	put_template(&call->out, attributes, count);
	rv = exchange(call);
	objectValue = rv == CKR_OK ? get_ulong(&call->in) : 0;
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	if (rv == CKR_OK)
		*object = objectValue;
	return leave(call, rv);
}

CK_RV C_CopyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR attributes, CK_ULONG count,
		   CK_OBJECT_HANDLE_PTR copy)
{
	struct call *call;
	CK_ULONG copyValue;
	CK_RV rv = enter(&call, 22);
	if (rv != CKR_OK)
		return rv;
	if (bad_template(attributes, count) || copy == NULL)
		return leave(call, refuse(call, session, 0x0));
	put_ulong(&call->out, session);
	put_ulong(&call->out, object);
	put_template(&call->out, attributes, count);
	rv = exchange(call);
	copyValue = rv == CKR_OK ? get_ulong(&call->in) : 0;
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	if (rv == CKR_OK)
		*copy = copyValue;
	return leave(call, rv);
}

CK_RV C_DestroyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
	struct call *call;
	CK_RV rv = enter(&call, 23);
	if (rv != CKR_OK)
		return rv;
	put_ulong(&call->out, session);
	put_ulong(&call->out, object);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_GetObjectSize(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ULONG_PTR size)
{
	struct call *call;
	CK_ULONG sizeValue;
	CK_RV rv = enter(&call, 24);
	if (rv != CKR_OK)
		return rv;
	if (size == NULL)
		return leave(call, refuse(call, session, 0x0));
	put_ulong(&call->out, session);
	put_ulong(&call->out, object);
	rv = exchange(call);
	sizeValue = rv == CKR_OK ? get_ulong(&call->in) : 0;
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	if (rv == CKR_OK)
		*size = sizeValue;
	return leave(call, rv);
}

CK_RV C_GetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR attributes,
			  CK_ULONG count)
{
	struct call *call;
	struct reader attributesValue;
	CK_RV rv = enter(&call, 25);
	if (rv != CKR_OK)
		return rv;
	if (bad_list(attributes, count))
		return leave(call, refuse(call, session, 0x0));
	put_ulong(&call->out, session);
	put_ulong(&call->out, object);
	put_queries(&call->out, attributes, count);
	rv = exchange(call);
	get_results(&call->in, &attributesValue, rv, attributes, count);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	store_results(&attributesValue, rv, attributes, count);
	return leave(call, rv);
}

CK_RV C_SetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR attributes,
			  CK_ULONG count)
{
	struct call *call;
	CK_RV rv = enter(&call, 26);
	if (rv != CKR_OK)
		return rv;
	if (bad_template(attributes, count))
		return leave(call, refuse(call, session, 0x0));
	put_ulong(&call->out, session);
	put_ulong(&call->out, object);
	put_template(&call->out, attributes, count);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_FindObjectsInit(CK_SESSION_HANDLE session, CK_ATTRIBUTE_PTR attributes, CK_ULONG count)
{
	struct call *call;
	CK_RV rv = enter(&call, 27);
	if (rv != CKR_OK)
		return rv;
	if (bad_template(attributes, count))
		return leave(call, refuse(call, session, 0x0));
	put_ulong(&call->out, session);
	put_template(&call->out, attributes, count);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_FindObjects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE_PTR objects, CK_ULONG max, CK_ULONG_PTR count)
{
	struct call *call;
	struct numbers objectsValue;
	CK_RV rv = enter(&call, 28);
	if (rv != CKR_OK)
		return rv;
	if ((objects == NULL && max != 0) || count == NULL)
		return leave(call, refuse(call, session, 0x40));
	put_ulong(&call->out, session);
	put_ulong(&call->out, max < MAX_LIST ? max : MAX_LIST);
	rv = exchange(call);
	get_numbers(&call->in, &objectsValue, rv, max < MAX_LIST ? max : MAX_LIST);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	store_found(&objectsValue, rv, objects, count);
	return leave(call, rv);
}

CK_RV C_FindObjectsFinal(CK_SESSION_HANDLE session)
{
	struct call *call;
	CK_RV rv = enter(&call, 29);
	if (rv != CKR_OK)
		return rv;
	put_ulong(&call->out, session);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_EncryptInit(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)
{
	struct call *call;
	CK_RV rv = enter(&call, 30);
	if (rv != CKR_OK)
		return rv;
	if ((mechanism != NULL && bad_mechanism(mechanism)))
		return leave(call, refuse(call, session, 0x100));
	put_ulong(&call->out, session);
	put_mechanism(&call->out, mechanism, false);
	put_ulong(&call->out, key);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_Encrypt(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG dataLen, CK_BYTE_PTR encrypted,
		CK_ULONG_PTR encryptedLen)
{
	struct call *call;
	struct output encryptedValue;
	CK_RV rv = enter(&call, 31);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(data, dataLen) || encryptedLen == NULL)
		return leave(call, refuse(call, session, 0x100));
	put_ulong(&call->out, session);
	put_bytes(&call->out, data, dataLen);
	put_room(&call->out, encrypted, encryptedLen);
	rv = exchange(call);
	get_output(&call->in, &encryptedValue, rv, encrypted, encryptedLen);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	store_output(&encryptedValue, rv, encrypted, encryptedLen);
	return leave(call, rv);
}

CK_RV C_EncryptUpdate(CK_SESSION_HANDLE session, CK_BYTE_PTR part, CK_ULONG partLen, CK_BYTE_PTR encrypted,
		      CK_ULONG_PTR encryptedLen)
{
	struct call *call;
	struct output encryptedValue;
	CK_RV rv = enter(&call, 32);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(part, partLen) || encryptedLen == NULL)
		return leave(call, refuse(call, session, 0x100));
	put_ulong(&call->out, session);
	put_bytes(&call->out, part, partLen);
	put_room(&call->out, encrypted, encryptedLen);
	rv = exchange(call);
	get_output(&call->in, &encryptedValue, rv, encrypted, encryptedLen);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	store_output(&encryptedValue, rv, encrypted, encryptedLen);
	return leave(call, rv);
}

CK_RV C_EncryptFinal(CK_SESSION_HANDLE session, CK_BYTE_PTR encrypted, CK_ULONG_PTR encryptedLen)
{
	struct call *call;
	struct output encryptedValue;
	CK_RV rv = enter(&call, 33);
	if (rv != CKR_OK)
		return rv;
	if (encryptedLen == NULL)
		return leave(call, refuse(call, session, 0x100));
	put_ulong(&call->out, session);
	put_room(&call->out, encrypted, encryptedLen);
	rv = exchange(call);
	get_output(&call->in, &encryptedValue, rv, encrypted, encryptedLen);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	store_output(&encryptedValue, rv, encrypted, encryptedLen);
	return leave(call, rv);
}

CK_RV C_DecryptInit(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)
{
	struct call *call;
	CK_RV rv = enter(&call, 34);
	if (rv != CKR_OK)
		return rv;
	if ((mechanism != NULL && bad_mechanism(mechanism)))
		return leave(call, refuse(call, session, 0x200));
	put_ulong(&call->out, session);
	put_mechanism(&call->out, mechanism, false);
	put_ulong(&call->out, key);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_Decrypt(CK_SESSION_HANDLE session, CK_BYTE_PTR encrypted, CK_ULONG encryptedLen, CK_BYTE_PTR data,
		CK_ULONG_PTR dataLen)
{
	struct call *call;
	struct output dataValue;
	CK_RV rv = enter(&call, 35);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(encrypted, encryptedLen) || dataLen == NULL)
		return leave(call, refuse(call, session, 0x200));
	put_ulong(&call->out, session);
	put_bytes(&call->out, encrypted, encryptedLen);
	put_room(&call->out, data, dataLen);
	rv = exchange(call);
	get_output(&call->in, &dataValue, rv, data, dataLen);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	store_output(&dataValue, rv, data, dataLen);
	return leave(call, rv);
}

CK_RV C_DecryptUpdate(CK_SESSION_HANDLE session, CK_BYTE_PTR encrypted, CK_ULONG encryptedLen, CK_BYTE_PTR part,
		      CK_ULONG_PTR partLen)
{
	struct call *call;
	struct output partValue;
	CK_RV rv = enter(&call, 36);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(encrypted, encryptedLen) || partLen == NULL)
		return leave(call, refuse(call, session, 0x200));
	put_ulong(&call->out, session);
	put_bytes(&call->out, encrypted, encryptedLen);
	put_room(&call->out, part, partLen);
	rv = exchange(call);
	get_output(&call->in, &partValue, rv, part, partLen);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	store_output(&partValue, rv, part, partLen);
	return leave(call, rv);
}

CK_RV C_DecryptFinal(CK_SESSION_HANDLE session, CK_BYTE_PTR part, CK_ULONG_PTR partLen)
{
	struct call *call;
	struct output partValue;
	CK_RV rv = enter(&call, 37);
	if (rv != CKR_OK)
		return rv;
	if (partLen == NULL)
		return leave(call, refuse(call, session, 0x200));
	put_ulong(&call->out, session);
	put_room(&call->out, part, partLen);
	rv = exchange(call);
	get_output(&call->in, &partValue, rv, part, partLen);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	store_output(&partValue, rv, part, partLen);
	return leave(call, rv);
}

CK_RV C_DigestInit(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism)
{
	struct call *call;
	CK_RV rv = enter(&call, 38);
	if (rv != CKR_OK)
		return rv;
	if ((mechanism != NULL && bad_mechanism(mechanism)))
		return leave(call, refuse(call, session, 0x400));
	put_ulong(&call->out, session);
	put_mechanism(&call->out, mechanism, false);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_Digest(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG dataLen, CK_BYTE_PTR digest,
	       CK_ULONG_PTR digestLen)
{
	struct call *call;
	struct output digestValue;
	CK_RV rv = enter(&call, 39);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(data, dataLen) || digestLen == NULL)
		return leave(call, refuse(call, session, 0x400));
	put_ulong(&call->out, session);
	put_bytes(&call->out, data, dataLen);
	put_room(&call->out, digest, digestLen);
	rv = exchange(call);
	get_output(&call->in, &digestValue, rv, digest, digestLen);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	store_output(&digestValue, rv, digest, digestLen);
	return leave(call, rv);
}

CK_RV C_DigestUpdate(CK_SESSION_HANDLE session, CK_BYTE_PTR part, CK_ULONG partLen)
{
	struct call *call;
	CK_RV rv = enter(&call, 40);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(part, partLen))
		return leave(call, refuse(call, session, 0x400));
	put_ulong(&call->out, session);
	put_bytes(&call->out, part, partLen);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_DigestKey(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)
{
	struct call *call;
	CK_RV rv = enter(&call, 41);
	if (rv != CKR_OK)
		return rv;
	put_ulong(&call->out, session);
	put_ulong(&call->out, key);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_DigestFinal(CK_SESSION_HANDLE session, CK_BYTE_PTR digest, CK_ULONG_PTR digestLen)
{
	struct call *call;
	struct output digestValue;
	CK_RV rv = enter(&call, 42);
	if (rv != CKR_OK)
		return rv;
	if (digestLen == NULL)
		return leave(call, refuse(call, session, 0x400));
	put_ulong(&call->out, session);
	put_room(&call->out, digest, digestLen);
	rv = exchange(call);
	get_output(&call->in, &digestValue, rv, digest, digestLen);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	store_output(&digestValue, rv, digest, digestLen);
	return leave(call, rv);
}

CK_RV C_SignInit(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)
{
	struct call *call;
	CK_RV rv = enter(&call, 43);
	if (rv != CKR_OK)
		return rv;
	if ((mechanism != NULL && bad_mechanism(mechanism)))
		return leave(call, refuse(call, session, 0x800));
	put_ulong(&call->out, session);
	put_mechanism(&call->out, mechanism, false);
	put_ulong(&call->out, key);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_Sign(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG dataLen, CK_BYTE_PTR signature,
	     CK_ULONG_PTR signatureLen)
{
	struct call *call;
	struct output signatureValue;
	CK_RV rv = enter(&call, 44);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(data, dataLen) || signatureLen == NULL)
		return leave(call, refuse(call, session, 0x800));
	put_ulong(&call->out, session);
	put_bytes(&call->out, data, dataLen);
	put_room(&call->out, signature, signatureLen);
	rv = exchange(call);
	get_output(&call->in, &signatureValue, rv, signature, signatureLen);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	store_output(&signatureValue, rv, signature, signatureLen);
	return leave(call, rv);
}

CK_RV C_SignUpdate(CK_SESSION_HANDLE session, CK_BYTE_PTR part, CK_ULONG partLen)
{
	struct call *call;
	CK_RV rv = enter(&call, 45);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(part, partLen))
		return leave(call, refuse(call, session, 0x800));
	put_ulong(&call->out, session);
	put_bytes(&call->out, part, partLen);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_SignFinal(CK_SESSION_HANDLE session, CK_BYTE_PTR signature, CK_ULONG_PTR signatureLen)
{
	struct call *call;
	struct output signatureValue;
	CK_RV rv = enter(&call, 46);
	if (rv != CKR_OK)
		return rv;
	if (signatureLen == NULL)
		return leave(call, refuse(call, session, 0x800));
	put_ulong(&call->out, session);
	put_room(&call->out, signature, signatureLen);
	rv = exchange(call);
	get_output(&call->in, &signatureValue, rv, signature, signatureLen);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	store_output(&signatureValue, rv, signature, signatureLen);
	return leave(call, rv);
}

CK_RV C_VerifyInit(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)
{
	struct call *call;
	CK_RV rv = enter(&call, 49);
	if (rv != CKR_OK)
		return rv;
	if ((mechanism != NULL && bad_mechanism(mechanism)))
		return leave(call, refuse(call, session, 0x2000));
	put_ulong(&call->out, session);
	put_mechanism(&call->out, mechanism, false);
	put_ulong(&call->out, key);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_Verify(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG dataLen, CK_BYTE_PTR signature,
	       CK_ULONG signatureLen)
{
	struct call *call;
	CK_RV rv = enter(&call, 50);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(data, dataLen) || bad_bytes(signature, signatureLen))
		return leave(call, refuse(call, session, 0x2000));
	put_ulong(&call->out, session);
	put_bytes(&call->out, data, dataLen);
	put_bytes(&call->out, signature, signatureLen);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_VerifyUpdate(CK_SESSION_HANDLE session, CK_BYTE_PTR part, CK_ULONG partLen)
{
	struct call *call;
	CK_RV rv = enter(&call, 51);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(part, partLen))
		return leave(call, refuse(call, session, 0x2000));
	put_ulong(&call->out, session);
	put_bytes(&call->out, part, partLen);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_VerifyFinal(CK_SESSION_HANDLE session, CK_BYTE_PTR signature, CK_ULONG signatureLen)
{
	struct call *call;
	CK_RV rv = enter(&call, 52);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(signature, signatureLen))
		return leave(call, refuse(call, session, 0x2000));
	put_ulong(&call->out, session);
	put_bytes(&call->out, signature, signatureLen);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_GenerateKey(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_ATTRIBUTE_PTR attributes, CK_ULONG count,
		    CK_OBJECT_HANDLE_PTR key)
{
	struct call *call;
	CK_ULONG keyValue;
	CK_RV rv = enter(&call, 59);
	if (rv != CKR_OK)
		return rv;
	if (bad_mechanism(mechanism) || bad_template(attributes, count) || key == NULL)
		return leave(call, refuse(call, session, 0x0));
	put_ulong(&call->out, session);
	put_mechanism(&call->out, mechanism, false);
	put_template(&call->out, attributes, count);
	rv = exchange(call);
	keyValue = rv == CKR_OK ? get_ulong(&call->in) : 0;
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	if (rv == CKR_OK)
		*key = keyValue;
	return leave(call, rv);
}

CK_RV C_GenerateKeyPair(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_ATTRIBUTE_PTR publicAttributes,
			CK_ULONG publicCount, CK_ATTRIBUTE_PTR privateAttributes, CK_ULONG privateCount,
			CK_OBJECT_HANDLE_PTR publicKey, CK_OBJECT_HANDLE_PTR privateKey)
{
	struct call *call;
	CK_ULONG publicKeyValue;
	CK_ULONG privateKeyValue;
	CK_RV rv = enter(&call, 60);
	if (rv != CKR_OK)
		return rv;
	if (bad_mechanism(mechanism) ||
	    bad_template(publicAttributes, publicCount) ||
	    bad_template(privateAttributes, privateCount) ||
	    publicKey == NULL ||
	    privateKey == NULL)
		return leave(call, refuse(call, session, 0x0));
	put_ulong(&call->out, session);
	put_mechanism(&call->out, mechanism, false);
	put_template(&call->out, publicAttributes, publicCount);
	put_template(&call->out, privateAttributes, privateCount);
	rv = exchange(call);
	publicKeyValue = rv == CKR_OK ? get_ulong(&call->in) : 0;
	privateKeyValue = rv == CKR_OK ? get_ulong(&call->in) : 0;
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	if (rv == CKR_OK)
		*publicKey = publicKeyValue;
	if (rv == CKR_OK)
		*privateKey = privateKeyValue;
	return leave(call, rv);
}

CK_RV C_WrapKey(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE wrappingKey,
		CK_OBJECT_HANDLE key, CK_BYTE_PTR wrapped, CK_ULONG_PTR wrappedLen)
{
	struct call *call;
	struct output wrappedValue;
	CK_RV rv = enter(&call, 61);
	if (rv != CKR_OK)
		return rv;
	if (bad_mechanism(mechanism) || wrappedLen == NULL)
		return leave(call, refuse(call, session, 0x0));
	put_ulong(&call->out, session);
	put_mechanism(&call->out, mechanism, false);
	put_ulong(&call->out, wrappingKey);
	put_ulong(&call->out, key);
	put_room(&call->out, wrapped, wrappedLen);
	rv = exchange(call);
	get_output(&call->in, &wrappedValue, rv, wrapped, wrappedLen);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	store_output(&wrappedValue, rv, wrapped, wrappedLen);
	return leave(call, rv);
}

CK_RV C_UnwrapKey(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE unwrappingKey,
		  CK_BYTE_PTR wrapped, CK_ULONG wrappedLen, CK_ATTRIBUTE_PTR attributes, CK_ULONG count,
		  CK_OBJECT_HANDLE_PTR key)
{
	struct call *call;
	CK_ULONG keyValue;
	CK_RV rv = enter(&call, 62);
	if (rv != CKR_OK)
		return rv;
	if (bad_mechanism(mechanism) ||
	    wrapped == NULL || bad_bytes(wrapped, wrappedLen) ||
	    bad_template(attributes, count) ||
	    key == NULL)
		return leave(call, refuse(call, session, 0x0));
	put_ulong(&call->out, session);
	put_mechanism(&call->out, mechanism, false);
	put_ulong(&call->out, unwrappingKey);
	put_bytes(&call->out, wrapped, wrappedLen);
	put_template(&call->out, attributes, count);
	rv = exchange(call);
	keyValue = rv == CKR_OK ? get_ulong(&call->in) : 0;
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	if (rv == CKR_OK)
		*key = keyValue;
	return leave(call, rv);
}

CK_RV C_DeriveKey(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE baseKey,
		  CK_ATTRIBUTE_PTR attributes, CK_ULONG count, CK_OBJECT_HANDLE_PTR key)
{
	struct call *call;
	CK_ULONG keyValue;
	CK_RV rv = enter(&call, 63);
	if (rv != CKR_OK)
		return rv;
	if (bad_mechanism(mechanism) || bad_template(attributes, count) || key == NULL)
		return leave(call, refuse(call, session, 0x0));
	put_ulong(&call->out, session);
	put_mechanism(&call->out, mechanism, false);
	put_ulong(&call->out, baseKey);
	put_template(&call->out, attributes, count);
	rv = exchange(call);
	keyValue = rv == CKR_OK ? get_ulong(&call->in) : 0;
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	if (rv == CKR_OK)
		*key = keyValue;
	return leave(call, rv);
}

CK_RV C_SeedRandom(CK_SESSION_HANDLE session, CK_BYTE_PTR seed, CK_ULONG seedLen)
{
	struct call *call;
	CK_RV rv = enter(&call, 64);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(seed, seedLen))
		return leave(call, refuse(call, session, 0x0));
	put_ulong(&call->out, session);
	put_bytes(&call->out, seed, seedLen);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_GenerateRandom(CK_SESSION_HANDLE session, CK_BYTE_PTR random, CK_ULONG randomLen)
{
	struct call *call;
	struct output part;
	CK_ULONG done = 0;
	CK_RV rv = enter(&call, 65);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(random, randomLen))
		return leave(call, refuse(call, session, 0x0));
	do {
		CK_ULONG length = randomLen - done < RANDOM_CHUNK ? randomLen - done : RANDOM_CHUNK;
		again(call);
		put_ulong(&call->out, session);
		put_ulong(&call->out, length);
		rv = exchange(call);
		get_random(&call->in, &part, rv, length);
		if (!complete(call))
			rv = CKR_DEVICE_ERROR;
		if (rv == CKR_OK && length != 0)
			store_random(&part, rv, random + done);
		if (rv == CKR_OK)
			done += length;
	} while (rv == CKR_OK && done < randomLen);
	rv = leave(call, rv);
	if (rv != CKR_OK && done != 0)
		explicit_bzero(random, done);
	return rv;
}

CK_RV C_LoginUser(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG pinLen,
		  CK_UTF8CHAR_PTR name, CK_ULONG nameLen)
{
	struct call *call;
	CK_RV rv = enter(&call, 71);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(pin, pinLen) || bad_bytes(name, nameLen))
		return leave(call, refuse(call, session, 0x0));
	put_ulong(&call->out, session);
	put_ulong(&call->out, user);
	put_bytes(&call->out, pin, pinLen);
	put_bytes(&call->out, name, nameLen);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_SessionCancel(CK_SESSION_HANDLE session, CK_FLAGS flags)
{
	struct call *call;
	CK_RV rv = enter(&call, 72);
	if (rv != CKR_OK)
		return rv;
	put_ulong(&call->out, session);
	put_ulong(&call->out, flags);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_MessageEncryptInit(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)
{
	struct call *call;
	CK_RV rv = enter(&call, 73);
	if (rv != CKR_OK)
		return rv;
	if ((mechanism != NULL && bad_mechanism(mechanism)))
		return leave(call, refuse(call, session, 0x2));
	put_ulong(&call->out, session);
	put_mechanism(&call->out, mechanism, false);
	put_ulong(&call->out, key);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_EncryptMessage(CK_SESSION_HANDLE session, CK_VOID_PTR parameter, CK_ULONG parameterLen, CK_BYTE_PTR associated,
		       CK_ULONG associatedLen, CK_BYTE_PTR plain, CK_ULONG plainLen, CK_BYTE_PTR encrypted,
		       CK_ULONG_PTR encryptedLen)
{
	struct call *call;
	struct message parameterValue;
	struct output encryptedValue;
	CK_RV rv = enter(&call, 74);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(parameter, parameterLen) ||
	    bad_bytes(associated, associatedLen) ||
	    bad_bytes(plain, plainLen) ||
	    encryptedLen == NULL)
		return leave(call, refuse(call, session, 0x2));
	put_ulong(&call->out, session);
	put_message(&call->out, parameter, parameterLen, true);
	put_bytes(&call->out, associated, associatedLen);
	put_bytes(&call->out, plain, plainLen);
	put_room(&call->out, encrypted, encryptedLen);
	rv = exchange(call);
	get_message(&call->in, &parameterValue, rv, parameter, parameterLen, true);
	get_output(&call->in, &encryptedValue, rv, encrypted, encryptedLen);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	store_message(&parameterValue, rv, parameter, parameterLen);
	store_output(&encryptedValue, rv, encrypted, encryptedLen);
	return leave(call, rv);
}

CK_RV C_EncryptMessageBegin(CK_SESSION_HANDLE session, CK_VOID_PTR parameter, CK_ULONG parameterLen,
			    CK_BYTE_PTR associated, CK_ULONG associatedLen)
{
	struct call *call;
	struct message parameterValue;
	CK_RV rv = enter(&call, 75);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(parameter, parameterLen) || bad_bytes(associated, associatedLen))
		return leave(call, refuse(call, session, 0x2));
	put_ulong(&call->out, session);
	put_message(&call->out, parameter, parameterLen, true);
	put_bytes(&call->out, associated, associatedLen);
	rv = exchange(call);
	get_message(&call->in, &parameterValue, rv, parameter, parameterLen, true);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	store_message(&parameterValue, rv, parameter, parameterLen);
	return leave(call, rv);
}

CK_RV C_EncryptMessageNext(CK_SESSION_HANDLE session, CK_VOID_PTR parameter, CK_ULONG parameterLen, CK_BYTE_PTR plain,
			   CK_ULONG plainLen, CK_BYTE_PTR encrypted, CK_ULONG_PTR encryptedLen, CK_FLAGS flags)
{
	struct call *call;
	struct message parameterValue;
	struct output encryptedValue;
	CK_RV rv = enter(&call, 76);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(parameter, parameterLen) || bad_bytes(plain, plainLen) || encryptedLen == NULL)
		return leave(call, refuse(call, session, 0x2));
	put_ulong(&call->out, session);
	put_message(&call->out, parameter, parameterLen, true);
	put_bytes(&call->out, plain, plainLen);
	put_room(&call->out, encrypted, encryptedLen);
	put_ulong(&call->out, flags);
	rv = exchange(call);
	get_message(&call->in, &parameterValue, rv, parameter, parameterLen, true);
	get_output(&call->in, &encryptedValue, rv, encrypted, encryptedLen);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	store_message(&parameterValue, rv, parameter, parameterLen);
	store_output(&encryptedValue, rv, encrypted, encryptedLen);
	return leave(call, rv);
}

CK_RV C_MessageEncryptFinal(CK_SESSION_HANDLE session)
{
	struct call *call;
	CK_RV rv = enter(&call, 77);
	if (rv != CKR_OK)
		return rv;
	put_ulong(&call->out, session);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_MessageDecryptInit(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)
{
	struct call *call;
	CK_RV rv = enter(&call, 78);
	if (rv != CKR_OK)
		return rv;
	if ((mechanism != NULL && bad_mechanism(mechanism)))
		return leave(call, refuse(call, session, 0x4));
	put_ulong(&call->out, session);
	put_mechanism(&call->out, mechanism, false);
	put_ulong(&call->out, key);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_DecryptMessage(CK_SESSION_HANDLE session, CK_VOID_PTR parameter, CK_ULONG parameterLen, CK_BYTE_PTR associated,
		       CK_ULONG associatedLen, CK_BYTE_PTR encrypted, CK_ULONG encryptedLen, CK_BYTE_PTR plain,
		       CK_ULONG_PTR plainLen)
{
	struct call *call;
	struct message parameterValue;
	struct output plainValue;
	CK_RV rv = enter(&call, 79);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(parameter, parameterLen) ||
	    bad_bytes(associated, associatedLen) ||
	    bad_bytes(encrypted, encryptedLen) ||
	    plainLen == NULL)
		return leave(call, refuse(call, session, 0x4));
	put_ulong(&call->out, session);
	put_message(&call->out, parameter, parameterLen, false);
	put_bytes(&call->out, associated, associatedLen);
	put_bytes(&call->out, encrypted, encryptedLen);
	put_room(&call->out, plain, plainLen);
	rv = exchange(call);
	get_message(&call->in, &parameterValue, rv, parameter, parameterLen, false);
	get_output(&call->in, &plainValue, rv, plain, plainLen);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	store_message(&parameterValue, rv, parameter, parameterLen);
	store_output(&plainValue, rv, plain, plainLen);
	return leave(call, rv);
}

CK_RV C_DecryptMessageBegin(CK_SESSION_HANDLE session, CK_VOID_PTR parameter, CK_ULONG parameterLen,
			    CK_BYTE_PTR associated, CK_ULONG associatedLen)
{
	struct call *call;
	struct message parameterValue;
	CK_RV rv = enter(&call, 80);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(parameter, parameterLen) || bad_bytes(associated, associatedLen))
		return leave(call, refuse(call, session, 0x4));
	put_ulong(&call->out, session);
	put_message(&call->out, parameter, parameterLen, false);
	put_bytes(&call->out, associated, associatedLen);
	rv = exchange(call);
	get_message(&call->in, &parameterValue, rv, parameter, parameterLen, false);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	store_message(&parameterValue, rv, parameter, parameterLen);
	return leave(call, rv);
}

CK_RV C_DecryptMessageNext(CK_SESSION_HANDLE session, CK_VOID_PTR parameter, CK_ULONG parameterLen,
			   CK_BYTE_PTR encrypted, CK_ULONG encryptedLen, CK_BYTE_PTR plain, CK_ULONG_PTR plainLen,
			   CK_FLAGS flags)
{
	struct call *call;
	struct message parameterValue;
	struct output plainValue;
	CK_RV rv = enter(&call, 81);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(parameter, parameterLen) || bad_bytes(encrypted, encryptedLen) || plainLen == NULL)
		return leave(call, refuse(call, session, 0x4));
	put_ulong(&call->out, session);
	put_message(&call->out, parameter, parameterLen, false);
	put_bytes(&call->out, encrypted, encryptedLen);
	put_room(&call->out, plain, plainLen);
	put_ulong(&call->out, flags);
	rv = exchange(call);
	get_message(&call->in, &parameterValue, rv, parameter, parameterLen, false);
	get_output(&call->in, &plainValue, rv, plain, plainLen);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	store_message(&parameterValue, rv, parameter, parameterLen);
	store_output(&plainValue, rv, plain, plainLen);
	return leave(call, rv);
}

CK_RV C_MessageDecryptFinal(CK_SESSION_HANDLE session)
{
	struct call *call;
	CK_RV rv = enter(&call, 82);
	if (rv != CKR_OK)
		return rv;
	put_ulong(&call->out, session);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_EncapsulateKey(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE publicKey,
		       CK_ATTRIBUTE_PTR attributes, CK_ULONG count, CK_BYTE_PTR encapsulated,
		       CK_ULONG_PTR encapsulatedLen, CK_OBJECT_HANDLE_PTR key)
{
	struct call *call;
	struct output encapsulatedValue;
	CK_ULONG keyValue;
	CK_RV rv = enter(&call, 93);
	if (rv != CKR_OK)
		return rv;
	if (bad_mechanism(mechanism) ||
	    bad_template(attributes, count) ||
	    encapsulatedLen == NULL ||
	    key == NULL)
		return leave(call, refuse(call, session, 0x0));
	put_ulong(&call->out, session);
	put_mechanism(&call->out, mechanism, false);
	put_ulong(&call->out, publicKey);
	put_template(&call->out, attributes, count);
	put_room(&call->out, encapsulated, encapsulatedLen);
	rv = exchange(call);
	get_output(&call->in, &encapsulatedValue, rv, encapsulated, encapsulatedLen);
	keyValue = rv == CKR_OK ? get_ulong(&call->in) : 0;
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	store_output(&encapsulatedValue, rv, encapsulated, encapsulatedLen);
	if (rv == CKR_OK && encapsulated != NULL)
		*key = keyValue;
	return leave(call, rv);
}

CK_RV C_DecapsulateKey(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE privateKey,
		       CK_ATTRIBUTE_PTR attributes, CK_ULONG count, CK_BYTE_PTR encapsulated, CK_ULONG encapsulatedLen,
		       CK_OBJECT_HANDLE_PTR key)
{
	struct call *call;
	CK_ULONG keyValue;
	CK_RV rv = enter(&call, 94);
	if (rv != CKR_OK)
		return rv;
	if (bad_mechanism(mechanism) ||
	    bad_template(attributes, count) ||
	    bad_bytes(encapsulated, encapsulatedLen) ||
	    key == NULL)
		return leave(call, refuse(call, session, 0x0));
	put_ulong(&call->out, session);
	put_mechanism(&call->out, mechanism, false);
	put_ulong(&call->out, privateKey);
	put_template(&call->out, attributes, count);
	put_bytes(&call->out, encapsulated, encapsulatedLen);
	rv = exchange(call);
	keyValue = rv == CKR_OK ? get_ulong(&call->in) : 0;
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	if (rv == CKR_OK)
		*key = keyValue;
	return leave(call, rv);
}

CK_RV C_VerifySignatureInit(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key,
			    CK_BYTE_PTR signature, CK_ULONG signatureLen)
{
	struct call *call;
	CK_RV rv = enter(&call, 95);
	if (rv != CKR_OK)
		return rv;
	if ((mechanism != NULL && bad_mechanism(mechanism)) || bad_bytes(signature, signatureLen))
		return leave(call, refuse(call, session, 0x2000));
	put_ulong(&call->out, session);
	put_mechanism(&call->out, mechanism, false);
	put_ulong(&call->out, key);
	put_bytes(&call->out, signature, signatureLen);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_VerifySignature(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG dataLen)
{
	struct call *call;
	CK_RV rv = enter(&call, 96);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(data, dataLen))
		return leave(call, refuse(call, session, 0x2000));
	put_ulong(&call->out, session);
	put_bytes(&call->out, data, dataLen);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_VerifySignatureUpdate(CK_SESSION_HANDLE session, CK_BYTE_PTR part, CK_ULONG partLen)
{
	struct call *call;
	CK_RV rv = enter(&call, 97);
	if (rv != CKR_OK)
		return rv;
	if (bad_bytes(part, partLen))
		return leave(call, refuse(call, session, 0x2000));
	put_ulong(&call->out, session);
	put_bytes(&call->out, part, partLen);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

CK_RV C_VerifySignatureFinal(CK_SESSION_HANDLE session)
{
	struct call *call;
	CK_RV rv = enter(&call, 98);
	if (rv != CKR_OK)
		return rv;
	put_ulong(&call->out, session);
	rv = exchange(call);
	if (!complete(call))
		return leave(call, CKR_DEVICE_ERROR);
	return leave(call, rv);
}

/* The functions that this token does not offer. Their parameters have names because C11 asks for them. */
#pragma GCC diagnostic ignored "-Wunused-parameter"

#define ELSEWHERE(name, parameters)
#define ABSENT(name, parameters)        \
	CK_RV name parameters           \
	{                               \
		return not_supported(); \
	}

CK_FUNCTIONS_2_40(ELSEWHERE, ABSENT)
CK_FUNCTIONS_ADDED_IN_3_0(ELSEWHERE, ABSENT)
CK_FUNCTIONS_ADDED_IN_3_2(ELSEWHERE, ABSENT)
