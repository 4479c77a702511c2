package main

/*
#include "cryptoki.h"
*/
import "C"

import "github.com/onceleaf/onceleaf/internal/ck"

//export goSignInit
func goSignInit(session C.CK_SESSION_HANDLE, m *C.CK_MECHANISM, key C.CK_OBJECT_HANDLE) C.CK_RV {
	return C.CK_RV(module.SignInit(ck.SessionHandle(session), mechanism(m), ck.ObjectHandle(key)))
}

//export goSign
func goSign(session C.CK_SESSION_HANDLE, data *C.CK_BYTE, dataLen C.CK_ULONG, signature *C.CK_BYTE, signatureLen *C.CK_ULONG) C.CK_RV {
	value, length, rv := module.Sign(ck.SessionHandle(session), octets(data, dataLen), output(signature, signatureLen))
	return deliver(value, length, rv, signature, signatureLen)
}

//export goSignUpdate
func goSignUpdate(session C.CK_SESSION_HANDLE, part *C.CK_BYTE, partLen C.CK_ULONG) C.CK_RV {
	return C.CK_RV(module.SignUpdate(ck.SessionHandle(session), octets(part, partLen)))
}

//export goSignFinal
func goSignFinal(session C.CK_SESSION_HANDLE, signature *C.CK_BYTE, signatureLen *C.CK_ULONG) C.CK_RV {
	value, length, rv := module.SignFinal(ck.SessionHandle(session), output(signature, signatureLen))
	return deliver(value, length, rv, signature, signatureLen)
}

//export goVerifyInit
func goVerifyInit(session C.CK_SESSION_HANDLE, m *C.CK_MECHANISM, key C.CK_OBJECT_HANDLE) C.CK_RV {
	return C.CK_RV(module.VerifyInit(ck.SessionHandle(session), mechanism(m), ck.ObjectHandle(key)))
}

//export goVerify
func goVerify(session C.CK_SESSION_HANDLE, data *C.CK_BYTE, dataLen C.CK_ULONG, signature *C.CK_BYTE, signatureLen C.CK_ULONG) C.CK_RV {
	return C.CK_RV(module.Verify(ck.SessionHandle(session), octets(data, dataLen), octets(signature, signatureLen)))
}

//export goVerifyUpdate
func goVerifyUpdate(session C.CK_SESSION_HANDLE, part *C.CK_BYTE, partLen C.CK_ULONG) C.CK_RV {
	return C.CK_RV(module.VerifyUpdate(ck.SessionHandle(session), octets(part, partLen)))
}

//export goVerifyFinal
func goVerifyFinal(session C.CK_SESSION_HANDLE, signature *C.CK_BYTE, signatureLen C.CK_ULONG) C.CK_RV {
	return C.CK_RV(module.VerifyFinal(ck.SessionHandle(session), octets(signature, signatureLen)))
}
