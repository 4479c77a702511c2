/*
 * The offered functions, one thin C half each. Before any Go code runs it asks whether this is a forked child, and
 * whether the pointers can be what the standard demands. The Go half, goX for C_X, converts and calls p11module.
 * goBadArguments answers CKR_ARGUMENTS_BAD and ends the session's named operations, as the standard asks of an error.
 */
#include "cryptoki.h"
#include "process.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "_cgo_export.h"

/* Bounds on what a caller may ask this boundary to copy. They are far above what any template of the standard holds. */
enum {
	MAX_ATTRIBUTES = 1024,
	MAX_VALUE = 1 << 20, /* bytes of one attribute's value or of one mechanism's parameter */
};

#define REFUSE_IN_FORKED_CHILD()                             \
	do {                                                 \
		if (in_forked_child())                       \
			return CKR_CRYPTOKI_NOT_INITIALIZED; \
	} while (0)

/* unreadable: not a string of `length` bytes. No bytes at NULL is an empty string. */
static bool unreadable(const void *bytes, CK_ULONG length)
{
	return (bytes == NULL && length != 0) || length > PTRDIFF_MAX;
}

static bool bad_value(const void *bytes, CK_ULONG length)
{
	return unreadable(bytes, length) || length > MAX_VALUE;
}

static bool bad_list(const CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	return unreadable(attributes, count) || count > MAX_ATTRIBUTES;
}

static bool bad_template(const CK_ATTRIBUTE *attributes, CK_ULONG count)
{
	if (bad_list(attributes, count))
		return true;
	for (CK_ULONG i = 0; i < count; i++) {
		if (bad_value(attributes[i].pValue, attributes[i].ulValueLen))
			return true;
	}
	return false;
}

static bool bad_mechanism(const CK_MECHANISM *mechanism)
{
	return mechanism == NULL || bad_value(mechanism->pParameter, mechanism->ulParameterLen);
}

/* General purpose */

CK_RV C_Initialize(CK_VOID_PTR initArgs)
{
	if (in_forked_child())
		return CKR_GENERAL_ERROR; /* a Go runtime cannot be started again in a forked child */
	return goInitialize(initArgs);
}

CK_RV C_Finalize(CK_VOID_PTR reserved)
{
	REFUSE_IN_FORKED_CHILD();
	return goFinalize(reserved != NULL);
}

CK_RV C_GetInfo(CK_INFO_PTR info)
{
	REFUSE_IN_FORKED_CHILD();
	if (info == NULL)
		return goBadArguments(0, 0);
	return goGetInfo(info);
}

/* Slots and tokens */

CK_RV C_GetSlotList(CK_BBOOL tokenPresent, CK_SLOT_ID_PTR slots, CK_ULONG_PTR count)
{
	REFUSE_IN_FORKED_CHILD();
	if (count == NULL)
		return goBadArguments(0, 0);
	return goGetSlotList(tokenPresent, slots, count);
}

CK_RV C_GetSlotInfo(CK_SLOT_ID slot, CK_SLOT_INFO_PTR info)
{
	REFUSE_IN_FORKED_CHILD();
	if (info == NULL)
		return goBadArguments(0, 0);
	return goGetSlotInfo(slot, info);
}

CK_RV C_GetTokenInfo(CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info)
{
	REFUSE_IN_FORKED_CHILD();
	if (info == NULL)
		return goBadArguments(0, 0);
	return goGetTokenInfo(slot, info);
}

CK_RV C_GetMechanismList(CK_SLOT_ID slot, CK_MECHANISM_TYPE_PTR mechanisms, CK_ULONG_PTR count)
{
	REFUSE_IN_FORKED_CHILD();
	if (count == NULL)
		return goBadArguments(0, 0);
	return goGetMechanismList(slot, mechanisms, count);
}

CK_RV C_GetMechanismInfo(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO_PTR info)
{
	REFUSE_IN_FORKED_CHILD();
	if (info == NULL)
		return goBadArguments(0, 0);
	return goGetMechanismInfo(slot, type, info);
}

CK_RV C_InitToken(CK_SLOT_ID slot, CK_UTF8CHAR_PTR pin, CK_ULONG pinLen, CK_UTF8CHAR_PTR label)
{
	REFUSE_IN_FORKED_CHILD();
	if (unreadable(pin, pinLen) || label == NULL)
		return goBadArguments(0, 0);
	return goInitToken(slot, pin, pinLen, label);
}

CK_RV C_InitPIN(CK_SESSION_HANDLE session, CK_UTF8CHAR_PTR pin, CK_ULONG pinLen)
{
	REFUSE_IN_FORKED_CHILD();
	if (unreadable(pin, pinLen))
		return goBadArguments(session, 0);
	return goInitPIN(session, pin, pinLen);
}

CK_RV C_SetPIN(CK_SESSION_HANDLE session, CK_UTF8CHAR_PTR oldPin, CK_ULONG oldLen, CK_UTF8CHAR_PTR newPin,
	       CK_ULONG newLen)
{
	REFUSE_IN_FORKED_CHILD();
	if (unreadable(oldPin, oldLen) || unreadable(newPin, newLen))
		return goBadArguments(session, 0);
	return goSetPIN(session, oldPin, oldLen, newPin, newLen);
}

/* A token never appears or goes while the library is initialised. */
CK_RV C_WaitForSlotEvent(CK_FLAGS flags, CK_SLOT_ID_PTR slot, CK_VOID_PTR reserved)
{
	REFUSE_IN_FORKED_CHILD();
	if (slot == NULL || reserved != NULL)
		return goBadArguments(0, 0);
	if ((flags & CKF_DONT_BLOCK) == 0)
		return CKR_FUNCTION_NOT_SUPPORTED;
	CK_RV rv = goInitialized();
	return rv == CKR_OK ? CKR_NO_EVENT : rv;
}

/* Sessions */

CK_RV C_OpenSession(CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR application, CK_NOTIFY notify,
		    CK_SESSION_HANDLE_PTR session)
{
	REFUSE_IN_FORKED_CHILD();
	(void)application; /* only ever given to notify */
	(void)notify;      /* this token surrenders nothing, so it has nothing to ask */
	if (session == NULL)
		return goBadArguments(0, 0);
	return goOpenSession(slot, flags, session);
}

CK_RV C_CloseSession(CK_SESSION_HANDLE session)
{
	REFUSE_IN_FORKED_CHILD();
	return goCloseSession(session);
}

CK_RV C_CloseAllSessions(CK_SLOT_ID slot)
{
	REFUSE_IN_FORKED_CHILD();
	return goCloseAllSessions(slot);
}

CK_RV C_GetSessionInfo(CK_SESSION_HANDLE session, CK_SESSION_INFO_PTR info)
{
	REFUSE_IN_FORKED_CHILD();
	if (info == NULL)
		return goBadArguments(session, 0);
	return goGetSessionInfo(session, info);
}

CK_RV C_SessionCancel(CK_SESSION_HANDLE session, CK_FLAGS flags)
{
	REFUSE_IN_FORKED_CHILD();
	return goSessionCancel(session, flags);
}

CK_RV C_Login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG pinLen)
{
	REFUSE_IN_FORKED_CHILD();
	if (unreadable(pin, pinLen))
		return goBadArguments(session, 0);
	return goLogin(session, user, pin, pinLen);
}

CK_RV C_Logout(CK_SESSION_HANDLE session)
{
	REFUSE_IN_FORKED_CHILD();
	return goLogout(session);
}

/* The two functions of old parallel sessions. */

CK_RV C_GetFunctionStatus(CK_SESSION_HANDLE session)
{
	REFUSE_IN_FORKED_CHILD();
	(void)session;
	return CKR_FUNCTION_NOT_PARALLEL;
}

CK_RV C_CancelFunction(CK_SESSION_HANDLE session)
{
	REFUSE_IN_FORKED_CHILD();
	(void)session;
	return CKR_FUNCTION_NOT_PARALLEL;
}

/* Objects */

CK_RV C_CreateObject(CK_SESSION_HANDLE session, CK_ATTRIBUTE_PTR attributes, CK_ULONG count,
		     CK_OBJECT_HANDLE_PTR object)
{
	REFUSE_IN_FORKED_CHILD();
	if (bad_template(attributes, count) || object == NULL)
		return goBadArguments(session, 0);
	return goCreateObject(session, attributes, count, object);
}

CK_RV C_CopyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR attributes, CK_ULONG count,
		   CK_OBJECT_HANDLE_PTR copy)
{
	REFUSE_IN_FORKED_CHILD();
	if (bad_template(attributes, count) || copy == NULL)
		return goBadArguments(session, 0);
	return goCopyObject(session, object, attributes, count, copy);
}

CK_RV C_DestroyObject(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)
{
	REFUSE_IN_FORKED_CHILD();
	return goDestroyObject(session, object);
}

CK_RV C_GetObjectSize(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ULONG_PTR size)
{
	REFUSE_IN_FORKED_CHILD();
	if (size == NULL)
		return goBadArguments(session, 0);
	return goGetObjectSize(session, object, size);
}

CK_RV C_GetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR attributes,
			  CK_ULONG count)
{
	REFUSE_IN_FORKED_CHILD();
	if (bad_list(attributes, count)) /* a NULL pValue asks for the length */
		return goBadArguments(session, 0);
	return goGetAttributeValue(session, object, attributes, count);
}

CK_RV C_SetAttributeValue(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR attributes,
			  CK_ULONG count)
{
	REFUSE_IN_FORKED_CHILD();
	if (bad_template(attributes, count))
		return goBadArguments(session, 0);
	return goSetAttributeValue(session, object, attributes, count);
}

CK_RV C_FindObjectsInit(CK_SESSION_HANDLE session, CK_ATTRIBUTE_PTR attributes, CK_ULONG count)
{
	REFUSE_IN_FORKED_CHILD();
	if (bad_template(attributes, count))
		return goBadArguments(session, 0);
	return goFindObjectsInit(session, attributes, count);
}

CK_RV C_FindObjects(CK_SESSION_HANDLE session, CK_OBJECT_HANDLE_PTR objects, CK_ULONG max, CK_ULONG_PTR count)
{
	REFUSE_IN_FORKED_CHILD();
	if ((objects == NULL && max != 0) || count == NULL)
		return goBadArguments(session, CKF_FIND_OBJECTS);
	return goFindObjects(session, objects, max, count);
}

CK_RV C_FindObjectsFinal(CK_SESSION_HANDLE session)
{
	REFUSE_IN_FORKED_CHILD();
	return goFindObjectsFinal(session);
}

/* Signing and verifying */

CK_RV C_SignInit(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)
{
	REFUSE_IN_FORKED_CHILD();
	if (mechanism == NULL) /* the standard's way to end an active operation */
		return goSessionCancel(session, CKF_SIGN);
	if (bad_mechanism(mechanism))
		return goBadArguments(session, CKF_SIGN);
	return goSignInit(session, mechanism, key);
}

CK_RV C_Sign(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG dataLen, CK_BYTE_PTR signature,
	     CK_ULONG_PTR signatureLen)
{
	REFUSE_IN_FORKED_CHILD();
	if (unreadable(data, dataLen) || signatureLen == NULL)
		return goBadArguments(session, CKF_SIGN);
	return goSign(session, data, dataLen, signature, signatureLen);
}

CK_RV C_SignUpdate(CK_SESSION_HANDLE session, CK_BYTE_PTR part, CK_ULONG partLen)
{
	REFUSE_IN_FORKED_CHILD();
	if (unreadable(part, partLen))
		return goBadArguments(session, CKF_SIGN);
	return goSignUpdate(session, part, partLen);
}

CK_RV C_SignFinal(CK_SESSION_HANDLE session, CK_BYTE_PTR signature, CK_ULONG_PTR signatureLen)
{
	REFUSE_IN_FORKED_CHILD();
	if (signatureLen == NULL)
		return goBadArguments(session, CKF_SIGN);
	return goSignFinal(session, signature, signatureLen);
}

CK_RV C_VerifyInit(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)
{
	REFUSE_IN_FORKED_CHILD();
	if (mechanism == NULL) /* the standard's way to end an active operation */
		return goSessionCancel(session, CKF_VERIFY);
	if (bad_mechanism(mechanism))
		return goBadArguments(session, CKF_VERIFY);
	return goVerifyInit(session, mechanism, key);
}

CK_RV C_Verify(CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG dataLen, CK_BYTE_PTR signature,
	       CK_ULONG signatureLen)
{
	REFUSE_IN_FORKED_CHILD();
	if (unreadable(data, dataLen) || unreadable(signature, signatureLen))
		return goBadArguments(session, CKF_VERIFY);
	return goVerify(session, data, dataLen, signature, signatureLen);
}

CK_RV C_VerifyUpdate(CK_SESSION_HANDLE session, CK_BYTE_PTR part, CK_ULONG partLen)
{
	REFUSE_IN_FORKED_CHILD();
	if (unreadable(part, partLen))
		return goBadArguments(session, CKF_VERIFY);
	return goVerifyUpdate(session, part, partLen);
}

CK_RV C_VerifyFinal(CK_SESSION_HANDLE session, CK_BYTE_PTR signature, CK_ULONG signatureLen)
{
	REFUSE_IN_FORKED_CHILD();
	if (unreadable(signature, signatureLen))
		return goBadArguments(session, CKF_VERIFY);
	return goVerifyFinal(session, signature, signatureLen);
}

/* Keys */

CK_RV C_GenerateKeyPair(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_ATTRIBUTE_PTR publicAttributes,
			CK_ULONG publicCount, CK_ATTRIBUTE_PTR privateAttributes, CK_ULONG privateCount,
			CK_OBJECT_HANDLE_PTR publicKey, CK_OBJECT_HANDLE_PTR privateKey)
{
	REFUSE_IN_FORKED_CHILD();
	if (bad_mechanism(mechanism) || bad_template(publicAttributes, publicCount) ||
	    bad_template(privateAttributes, privateCount) || publicKey == NULL || privateKey == NULL)
		return goBadArguments(session, 0);
	return goGenerateKeyPair(session, mechanism, publicAttributes, publicCount, privateAttributes, privateCount,
				 publicKey, privateKey);
}

CK_RV C_WrapKey(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE wrappingKey,
		CK_OBJECT_HANDLE key, CK_BYTE_PTR wrapped, CK_ULONG_PTR wrappedLen)
{
	REFUSE_IN_FORKED_CHILD();
	if (bad_mechanism(mechanism) || wrappedLen == NULL)
		return goBadArguments(session, 0);
	return goWrapKey(session, mechanism, wrappingKey, key, wrapped, wrappedLen);
}

CK_RV C_UnwrapKey(CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE unwrappingKey,
		  CK_BYTE_PTR wrapped, CK_ULONG wrappedLen, CK_ATTRIBUTE_PTR attributes, CK_ULONG count,
		  CK_OBJECT_HANDLE_PTR key)
{
	REFUSE_IN_FORKED_CHILD();
	if (bad_mechanism(mechanism) || wrapped == NULL || unreadable(wrapped, wrappedLen) ||
	    bad_template(attributes, count) || key == NULL)
		return goBadArguments(session, 0);
	return goUnwrapKey(session, mechanism, unwrappingKey, wrapped, wrappedLen, attributes, count, key);
}

/* Random numbers */

CK_RV C_SeedRandom(CK_SESSION_HANDLE session, CK_BYTE_PTR seed, CK_ULONG seedLen)
{
	REFUSE_IN_FORKED_CHILD();
	if (unreadable(seed, seedLen))
		return goBadArguments(session, 0);
	return goSeedRandom(session, seed, seedLen);
}

CK_RV C_GenerateRandom(CK_SESSION_HANDLE session, CK_BYTE_PTR random, CK_ULONG randomLen)
{
	REFUSE_IN_FORKED_CHILD();
	if (unreadable(random, randomLen))
		return goBadArguments(session, 0);
	return goGenerateRandom(session, random, randomLen);
}
