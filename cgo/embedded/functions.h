/*
 * The functions of PKCS#11, in the order in which the standard's function lists hold them. The lists, their structs and
 * the prototypes are all made from it. Generated from the table in internal/wire by go generate ./internal/wire.
 *
 * OFFERED functions have a body of their own; ABSENT ones answer CKR_FUNCTION_NOT_SUPPORTED.
 */
#ifndef ONCELEAF_FUNCTIONS_H
#define ONCELEAF_FUNCTIONS_H

#define CK_FUNCTIONS_2_40(OFFERED, ABSENT) \
	OFFERED(C_Initialize, (CK_VOID_PTR initArgs)) \
	OFFERED(C_Finalize, (CK_VOID_PTR reserved)) \
	OFFERED(C_GetInfo, (CK_INFO_PTR info)) \
	OFFERED(C_GetFunctionList, (CK_FUNCTION_LIST_PTR_PTR list)) \
	OFFERED(C_GetSlotList, (CK_BBOOL tokenPresent, CK_SLOT_ID_PTR slots, CK_ULONG_PTR count)) \
	OFFERED(C_GetSlotInfo, (CK_SLOT_ID slot, CK_SLOT_INFO_PTR info)) \
	OFFERED(C_GetTokenInfo, (CK_SLOT_ID slot, CK_TOKEN_INFO_PTR info)) \
	OFFERED(C_GetMechanismList, (CK_SLOT_ID slot, CK_MECHANISM_TYPE_PTR mechanisms, CK_ULONG_PTR count)) \
	OFFERED(C_GetMechanismInfo, (CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO_PTR info)) \
	OFFERED(C_InitToken, (CK_SLOT_ID slot, CK_UTF8CHAR_PTR pin, CK_ULONG pinLen, CK_UTF8CHAR_PTR label)) \
	OFFERED(C_InitPIN, (CK_SESSION_HANDLE session, CK_UTF8CHAR_PTR pin, CK_ULONG pinLen)) \
	OFFERED(C_SetPIN, (CK_SESSION_HANDLE session, CK_UTF8CHAR_PTR oldPin, CK_ULONG oldLen, CK_UTF8CHAR_PTR newPin, \
		CK_ULONG newLen)) \
	OFFERED(C_OpenSession, (CK_SLOT_ID slot, CK_FLAGS flags, CK_VOID_PTR application, CK_NOTIFY notify, \
		CK_SESSION_HANDLE_PTR session)) \
	OFFERED(C_CloseSession, (CK_SESSION_HANDLE session)) \
	OFFERED(C_CloseAllSessions, (CK_SLOT_ID slot)) \
	OFFERED(C_GetSessionInfo, (CK_SESSION_HANDLE session, CK_SESSION_INFO_PTR info)) \
	ABSENT(C_GetOperationState, (CK_SESSION_HANDLE session, CK_BYTE_PTR state, CK_ULONG_PTR stateLen)) \
	ABSENT(C_SetOperationState, (CK_SESSION_HANDLE session, CK_BYTE_PTR state, CK_ULONG stateLen, \
		CK_OBJECT_HANDLE encryptionKey, CK_OBJECT_HANDLE authenticationKey)) \
	OFFERED(C_Login, (CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG pinLen)) \
	OFFERED(C_Logout, (CK_SESSION_HANDLE session)) \
	OFFERED(C_CreateObject, (CK_SESSION_HANDLE session, CK_ATTRIBUTE_PTR attributes, CK_ULONG count, \
		CK_OBJECT_HANDLE_PTR object)) \
	OFFERED(C_CopyObject, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR attributes, \
		CK_ULONG count, CK_OBJECT_HANDLE_PTR copy)) \
	OFFERED(C_DestroyObject, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)) \
	OFFERED(C_GetObjectSize, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ULONG_PTR size)) \
	OFFERED(C_GetAttributeValue, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR attributes, \
		CK_ULONG count)) \
	OFFERED(C_SetAttributeValue, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE_PTR attributes, \
		CK_ULONG count)) \
	OFFERED(C_FindObjectsInit, (CK_SESSION_HANDLE session, CK_ATTRIBUTE_PTR attributes, CK_ULONG count)) \
	OFFERED(C_FindObjects, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE_PTR objects, CK_ULONG max, \
		CK_ULONG_PTR count)) \
	OFFERED(C_FindObjectsFinal, (CK_SESSION_HANDLE session)) \
	OFFERED(C_EncryptInit, (CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)) \
	OFFERED(C_Encrypt, (CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG dataLen, CK_BYTE_PTR encrypted, \
		CK_ULONG_PTR encryptedLen)) \
	OFFERED(C_EncryptUpdate, (CK_SESSION_HANDLE session, CK_BYTE_PTR part, CK_ULONG partLen, \
		CK_BYTE_PTR encrypted, CK_ULONG_PTR encryptedLen)) \
	OFFERED(C_EncryptFinal, (CK_SESSION_HANDLE session, CK_BYTE_PTR encrypted, CK_ULONG_PTR encryptedLen)) \
	OFFERED(C_DecryptInit, (CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)) \
	OFFERED(C_Decrypt, (CK_SESSION_HANDLE session, CK_BYTE_PTR encrypted, CK_ULONG encryptedLen, CK_BYTE_PTR data, \
		CK_ULONG_PTR dataLen)) \
	OFFERED(C_DecryptUpdate, (CK_SESSION_HANDLE session, CK_BYTE_PTR encrypted, CK_ULONG encryptedLen, \
		CK_BYTE_PTR part, CK_ULONG_PTR partLen)) \
	OFFERED(C_DecryptFinal, (CK_SESSION_HANDLE session, CK_BYTE_PTR part, CK_ULONG_PTR partLen)) \
	OFFERED(C_DigestInit, (CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism)) \
	OFFERED(C_Digest, (CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG dataLen, CK_BYTE_PTR digest, \
		CK_ULONG_PTR digestLen)) \
	OFFERED(C_DigestUpdate, (CK_SESSION_HANDLE session, CK_BYTE_PTR part, CK_ULONG partLen)) \
	OFFERED(C_DigestKey, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)) \
	OFFERED(C_DigestFinal, (CK_SESSION_HANDLE session, CK_BYTE_PTR digest, CK_ULONG_PTR digestLen)) \
	OFFERED(C_SignInit, (CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)) \
	OFFERED(C_Sign, (CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG dataLen, CK_BYTE_PTR signature, \
		CK_ULONG_PTR signatureLen)) \
	OFFERED(C_SignUpdate, (CK_SESSION_HANDLE session, CK_BYTE_PTR part, CK_ULONG partLen)) \
	OFFERED(C_SignFinal, (CK_SESSION_HANDLE session, CK_BYTE_PTR signature, CK_ULONG_PTR signatureLen)) \
	ABSENT(C_SignRecoverInit, (CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)) \
	ABSENT(C_SignRecover, (CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG dataLen, CK_BYTE_PTR signature, \
		CK_ULONG_PTR signatureLen)) \
	OFFERED(C_VerifyInit, (CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)) \
	OFFERED(C_Verify, (CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG dataLen, CK_BYTE_PTR signature, \
		CK_ULONG signatureLen)) \
	OFFERED(C_VerifyUpdate, (CK_SESSION_HANDLE session, CK_BYTE_PTR part, CK_ULONG partLen)) \
	OFFERED(C_VerifyFinal, (CK_SESSION_HANDLE session, CK_BYTE_PTR signature, CK_ULONG signatureLen)) \
	ABSENT(C_VerifyRecoverInit, (CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)) \
	ABSENT(C_VerifyRecover, (CK_SESSION_HANDLE session, CK_BYTE_PTR signature, CK_ULONG signatureLen, \
		CK_BYTE_PTR data, CK_ULONG_PTR dataLen)) \
	ABSENT(C_DigestEncryptUpdate, (CK_SESSION_HANDLE session, CK_BYTE_PTR part, CK_ULONG partLen, \
		CK_BYTE_PTR encrypted, CK_ULONG_PTR encryptedLen)) \
	ABSENT(C_DecryptDigestUpdate, (CK_SESSION_HANDLE session, CK_BYTE_PTR encrypted, CK_ULONG encryptedLen, \
		CK_BYTE_PTR part, CK_ULONG_PTR partLen)) \
	ABSENT(C_SignEncryptUpdate, (CK_SESSION_HANDLE session, CK_BYTE_PTR part, CK_ULONG partLen, \
		CK_BYTE_PTR encrypted, CK_ULONG_PTR encryptedLen)) \
	ABSENT(C_DecryptVerifyUpdate, (CK_SESSION_HANDLE session, CK_BYTE_PTR encrypted, CK_ULONG encryptedLen, \
		CK_BYTE_PTR part, CK_ULONG_PTR partLen)) \
	OFFERED(C_GenerateKey, (CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_ATTRIBUTE_PTR attributes, \
		CK_ULONG count, CK_OBJECT_HANDLE_PTR key)) \
	OFFERED(C_GenerateKeyPair, (CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, \
		CK_ATTRIBUTE_PTR publicAttributes, CK_ULONG publicCount, CK_ATTRIBUTE_PTR privateAttributes, \
		CK_ULONG privateCount, CK_OBJECT_HANDLE_PTR publicKey, CK_OBJECT_HANDLE_PTR privateKey)) \
	OFFERED(C_WrapKey, (CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE wrappingKey, \
		CK_OBJECT_HANDLE key, CK_BYTE_PTR wrapped, CK_ULONG_PTR wrappedLen)) \
	OFFERED(C_UnwrapKey, (CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE unwrappingKey, \
		CK_BYTE_PTR wrapped, CK_ULONG wrappedLen, CK_ATTRIBUTE_PTR attributes, CK_ULONG count, \
		CK_OBJECT_HANDLE_PTR key)) \
	OFFERED(C_DeriveKey, (CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE baseKey, \
		CK_ATTRIBUTE_PTR attributes, CK_ULONG count, CK_OBJECT_HANDLE_PTR key)) \
	OFFERED(C_SeedRandom, (CK_SESSION_HANDLE session, CK_BYTE_PTR seed, CK_ULONG seedLen)) \
	OFFERED(C_GenerateRandom, (CK_SESSION_HANDLE session, CK_BYTE_PTR random, CK_ULONG randomLen)) \
	OFFERED(C_GetFunctionStatus, (CK_SESSION_HANDLE session)) \
	OFFERED(C_CancelFunction, (CK_SESSION_HANDLE session)) \
	OFFERED(C_WaitForSlotEvent, (CK_FLAGS flags, CK_SLOT_ID_PTR slot, CK_VOID_PTR reserved))

#define CK_FUNCTIONS_ADDED_IN_3_0(OFFERED, ABSENT) \
	OFFERED(C_GetInterfaceList, (CK_INTERFACE_PTR interfaces, CK_ULONG_PTR count)) \
	OFFERED(C_GetInterface, (CK_UTF8CHAR_PTR name, CK_VERSION_PTR version, CK_INTERFACE_PTR_PTR interface, \
		CK_FLAGS flags)) \
	OFFERED(C_LoginUser, (CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR_PTR pin, CK_ULONG pinLen, \
		CK_UTF8CHAR_PTR name, CK_ULONG nameLen)) \
	OFFERED(C_SessionCancel, (CK_SESSION_HANDLE session, CK_FLAGS flags)) \
	OFFERED(C_MessageEncryptInit, (CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)) \
	OFFERED(C_EncryptMessage, (CK_SESSION_HANDLE session, CK_VOID_PTR parameter, CK_ULONG parameterLen, \
		CK_BYTE_PTR associated, CK_ULONG associatedLen, CK_BYTE_PTR plain, CK_ULONG plainLen, \
		CK_BYTE_PTR encrypted, CK_ULONG_PTR encryptedLen)) \
	OFFERED(C_EncryptMessageBegin, (CK_SESSION_HANDLE session, CK_VOID_PTR parameter, CK_ULONG parameterLen, \
		CK_BYTE_PTR associated, CK_ULONG associatedLen)) \
	OFFERED(C_EncryptMessageNext, (CK_SESSION_HANDLE session, CK_VOID_PTR parameter, CK_ULONG parameterLen, \
		CK_BYTE_PTR plain, CK_ULONG plainLen, CK_BYTE_PTR encrypted, CK_ULONG_PTR encryptedLen, \
		CK_FLAGS flags)) \
	OFFERED(C_MessageEncryptFinal, (CK_SESSION_HANDLE session)) \
	OFFERED(C_MessageDecryptInit, (CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)) \
	OFFERED(C_DecryptMessage, (CK_SESSION_HANDLE session, CK_VOID_PTR parameter, CK_ULONG parameterLen, \
		CK_BYTE_PTR associated, CK_ULONG associatedLen, CK_BYTE_PTR encrypted, CK_ULONG encryptedLen, \
		CK_BYTE_PTR plain, CK_ULONG_PTR plainLen)) \
	OFFERED(C_DecryptMessageBegin, (CK_SESSION_HANDLE session, CK_VOID_PTR parameter, CK_ULONG parameterLen, \
		CK_BYTE_PTR associated, CK_ULONG associatedLen)) \
	OFFERED(C_DecryptMessageNext, (CK_SESSION_HANDLE session, CK_VOID_PTR parameter, CK_ULONG parameterLen, \
		CK_BYTE_PTR encrypted, CK_ULONG encryptedLen, CK_BYTE_PTR plain, CK_ULONG_PTR plainLen, \
		CK_FLAGS flags)) \
	OFFERED(C_MessageDecryptFinal, (CK_SESSION_HANDLE session)) \
	ABSENT(C_MessageSignInit, (CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)) \
	ABSENT(C_SignMessage, (CK_SESSION_HANDLE session, CK_VOID_PTR parameter, CK_ULONG parameterLen, \
		CK_BYTE_PTR data, CK_ULONG dataLen, CK_BYTE_PTR signature, CK_ULONG_PTR signatureLen)) \
	ABSENT(C_SignMessageBegin, (CK_SESSION_HANDLE session, CK_VOID_PTR parameter, CK_ULONG parameterLen)) \
	ABSENT(C_SignMessageNext, (CK_SESSION_HANDLE session, CK_VOID_PTR parameter, CK_ULONG parameterLen, \
		CK_BYTE_PTR part, CK_ULONG partLen, CK_BYTE_PTR signature, CK_ULONG_PTR signatureLen)) \
	ABSENT(C_MessageSignFinal, (CK_SESSION_HANDLE session)) \
	ABSENT(C_MessageVerifyInit, (CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key)) \
	ABSENT(C_VerifyMessage, (CK_SESSION_HANDLE session, CK_VOID_PTR parameter, CK_ULONG parameterLen, \
		CK_BYTE_PTR data, CK_ULONG dataLen, CK_BYTE_PTR signature, CK_ULONG signatureLen)) \
	ABSENT(C_VerifyMessageBegin, (CK_SESSION_HANDLE session, CK_VOID_PTR parameter, CK_ULONG parameterLen)) \
	ABSENT(C_VerifyMessageNext, (CK_SESSION_HANDLE session, CK_VOID_PTR parameter, CK_ULONG parameterLen, \
		CK_BYTE_PTR part, CK_ULONG partLen, CK_BYTE_PTR signature, CK_ULONG signatureLen)) \
	ABSENT(C_MessageVerifyFinal, (CK_SESSION_HANDLE session))

#define CK_FUNCTIONS_ADDED_IN_3_2(OFFERED, ABSENT) \
	OFFERED(C_EncapsulateKey, (CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE publicKey, \
		CK_ATTRIBUTE_PTR attributes, CK_ULONG count, CK_BYTE_PTR encapsulated, CK_ULONG_PTR encapsulatedLen, \
		CK_OBJECT_HANDLE_PTR key)) \
	OFFERED(C_DecapsulateKey, (CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE privateKey, \
		CK_ATTRIBUTE_PTR attributes, CK_ULONG count, CK_BYTE_PTR encapsulated, CK_ULONG encapsulatedLen, \
		CK_OBJECT_HANDLE_PTR key)) \
	OFFERED(C_VerifySignatureInit, (CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, CK_OBJECT_HANDLE key, \
		CK_BYTE_PTR signature, CK_ULONG signatureLen)) \
	OFFERED(C_VerifySignature, (CK_SESSION_HANDLE session, CK_BYTE_PTR data, CK_ULONG dataLen)) \
	OFFERED(C_VerifySignatureUpdate, (CK_SESSION_HANDLE session, CK_BYTE_PTR part, CK_ULONG partLen)) \
	OFFERED(C_VerifySignatureFinal, (CK_SESSION_HANDLE session)) \
	ABSENT(C_GetSessionValidationFlags, (CK_SESSION_HANDLE session, CK_SESSION_VALIDATION_FLAGS_TYPE type, \
		CK_FLAGS_PTR flags)) \
	ABSENT(C_AsyncComplete, (CK_SESSION_HANDLE session, CK_UTF8CHAR_PTR function, CK_ASYNC_DATA_PTR result)) \
	ABSENT(C_AsyncGetID, (CK_SESSION_HANDLE session, CK_UTF8CHAR_PTR function, CK_ULONG_PTR id)) \
	ABSENT(C_AsyncJoin, (CK_SESSION_HANDLE session, CK_UTF8CHAR_PTR function, CK_ULONG id, CK_BYTE_PTR data, \
		CK_ULONG dataLen)) \
	ABSENT(C_WrapKeyAuthenticated, (CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, \
		CK_OBJECT_HANDLE wrappingKey, CK_OBJECT_HANDLE key, CK_BYTE_PTR associated, CK_ULONG associatedLen, \
		CK_BYTE_PTR wrapped, CK_ULONG_PTR wrappedLen)) \
	ABSENT(C_UnwrapKeyAuthenticated, (CK_SESSION_HANDLE session, CK_MECHANISM_PTR mechanism, \
		CK_OBJECT_HANDLE unwrappingKey, CK_BYTE_PTR wrapped, CK_ULONG wrappedLen, CK_ATTRIBUTE_PTR attributes, \
		CK_ULONG count, CK_BYTE_PTR associated, CK_ULONG associatedLen, CK_OBJECT_HANDLE_PTR key))

#endif
