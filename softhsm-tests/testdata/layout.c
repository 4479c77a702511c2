/*
 * Prints the size of each struct of Cryptoki, where its members stand, and which function stands where in the list, as
 * the header named by HEADER has it. The test compares our header with one that others wrote.
 */
#include HEADER

#include <stddef.h>
#include <stdio.h>

#define SIZE(type) printf("sizeof(" #type ") %zu\n", sizeof(type))
#define MEMBER(type, member) printf("offsetof(" #type ", " #member ") %zu\n", offsetof(type, member))
#define FUNCTION(name) MEMBER(CK_FUNCTION_LIST, name)

static void structs(void)
{
	SIZE(CK_ULONG);
	SIZE(CK_BBOOL);
	SIZE(CK_VERSION);
	SIZE(CK_INFO);
	MEMBER(CK_INFO, flags);
	MEMBER(CK_INFO, libraryDescription);
	MEMBER(CK_INFO, libraryVersion);
	SIZE(CK_SLOT_INFO);
	MEMBER(CK_SLOT_INFO, manufacturerID);
	MEMBER(CK_SLOT_INFO, flags);
	MEMBER(CK_SLOT_INFO, firmwareVersion);
	SIZE(CK_TOKEN_INFO);
	MEMBER(CK_TOKEN_INFO, model);
	MEMBER(CK_TOKEN_INFO, serialNumber);
	MEMBER(CK_TOKEN_INFO, flags);
	MEMBER(CK_TOKEN_INFO, ulRwSessionCount);
	MEMBER(CK_TOKEN_INFO, ulMaxPinLen);
	MEMBER(CK_TOKEN_INFO, ulMinPinLen);
	MEMBER(CK_TOKEN_INFO, ulFreePrivateMemory);
	MEMBER(CK_TOKEN_INFO, hardwareVersion);
	MEMBER(CK_TOKEN_INFO, utcTime);
	SIZE(CK_SESSION_INFO);
	MEMBER(CK_SESSION_INFO, state);
	MEMBER(CK_SESSION_INFO, ulDeviceError);
	SIZE(CK_ATTRIBUTE);
	MEMBER(CK_ATTRIBUTE, pValue);
	MEMBER(CK_ATTRIBUTE, ulValueLen);
	SIZE(CK_MECHANISM);
	MEMBER(CK_MECHANISM, pParameter);
	MEMBER(CK_MECHANISM, ulParameterLen);
	SIZE(CK_MECHANISM_INFO);
	MEMBER(CK_MECHANISM_INFO, flags);
	SIZE(CK_C_INITIALIZE_ARGS);
	MEMBER(CK_C_INITIALIZE_ARGS, UnlockMutex);
	MEMBER(CK_C_INITIALIZE_ARGS, flags);
	MEMBER(CK_C_INITIALIZE_ARGS, pReserved);
	SIZE(CK_FUNCTION_LIST);
}

static void functions(void)
{
	FUNCTION(C_Initialize);
	FUNCTION(C_Finalize);
	FUNCTION(C_GetInfo);
	FUNCTION(C_GetFunctionList);
	FUNCTION(C_GetSlotList);
	FUNCTION(C_GetSlotInfo);
	FUNCTION(C_GetTokenInfo);
	FUNCTION(C_GetMechanismList);
	FUNCTION(C_GetMechanismInfo);
	FUNCTION(C_InitToken);
	FUNCTION(C_InitPIN);
	FUNCTION(C_SetPIN);
	FUNCTION(C_OpenSession);
	FUNCTION(C_CloseSession);
	FUNCTION(C_CloseAllSessions);
	FUNCTION(C_GetSessionInfo);
	FUNCTION(C_GetOperationState);
	FUNCTION(C_SetOperationState);
	FUNCTION(C_Login);
	FUNCTION(C_Logout);
	FUNCTION(C_CreateObject);
	FUNCTION(C_CopyObject);
	FUNCTION(C_DestroyObject);
	FUNCTION(C_GetObjectSize);
	FUNCTION(C_GetAttributeValue);
	FUNCTION(C_SetAttributeValue);
	FUNCTION(C_FindObjectsInit);
	FUNCTION(C_FindObjects);
	FUNCTION(C_FindObjectsFinal);
	FUNCTION(C_EncryptInit);
	FUNCTION(C_Encrypt);
	FUNCTION(C_EncryptUpdate);
	FUNCTION(C_EncryptFinal);
	FUNCTION(C_DecryptInit);
	FUNCTION(C_Decrypt);
	FUNCTION(C_DecryptUpdate);
	FUNCTION(C_DecryptFinal);
	FUNCTION(C_DigestInit);
	FUNCTION(C_Digest);
	FUNCTION(C_DigestUpdate);
	FUNCTION(C_DigestKey);
	FUNCTION(C_DigestFinal);
	FUNCTION(C_SignInit);
	FUNCTION(C_Sign);
	FUNCTION(C_SignUpdate);
	FUNCTION(C_SignFinal);
	FUNCTION(C_SignRecoverInit);
	FUNCTION(C_SignRecover);
	FUNCTION(C_VerifyInit);
	FUNCTION(C_Verify);
	FUNCTION(C_VerifyUpdate);
	FUNCTION(C_VerifyFinal);
	FUNCTION(C_VerifyRecoverInit);
	FUNCTION(C_VerifyRecover);
	FUNCTION(C_DigestEncryptUpdate);
	FUNCTION(C_DecryptDigestUpdate);
	FUNCTION(C_SignEncryptUpdate);
	FUNCTION(C_DecryptVerifyUpdate);
	FUNCTION(C_GenerateKey);
	FUNCTION(C_GenerateKeyPair);
	FUNCTION(C_WrapKey);
	FUNCTION(C_UnwrapKey);
	FUNCTION(C_DeriveKey);
	FUNCTION(C_SeedRandom);
	FUNCTION(C_GenerateRandom);
	FUNCTION(C_GetFunctionStatus);
	FUNCTION(C_CancelFunction);
	FUNCTION(C_WaitForSlotEvent);
}

int main(void)
{
	structs();
	functions();
	return 0;
}
