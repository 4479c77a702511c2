package main

/*
#include "cryptoki.h"
*/
import "C"

import "github.com/onceleaf/onceleaf/internal/ck"

//export goGenerateKeyPair
func goGenerateKeyPair(session C.CK_SESSION_HANDLE, m *C.CK_MECHANISM,
	publicAttributes *C.CK_ATTRIBUTE, publicCount C.CK_ULONG,
	privateAttributes *C.CK_ATTRIBUTE, privateCount C.CK_ULONG,
	publicKey, privateKey *C.CK_OBJECT_HANDLE) C.CK_RV {
	public, private, rv := module.GenerateKeyPair(ck.SessionHandle(session), mechanism(m),
		template(publicAttributes, publicCount), template(privateAttributes, privateCount))
	deliverHandle(public, rv, publicKey)
	return deliverHandle(private, rv, privateKey)
}

//export goWrapKey
func goWrapKey(session C.CK_SESSION_HANDLE, m *C.CK_MECHANISM, wrappingKey, key C.CK_OBJECT_HANDLE, wrapped *C.CK_BYTE, wrappedLen *C.CK_ULONG) C.CK_RV {
	value, length, rv := module.WrapKey(ck.SessionHandle(session), mechanism(m),
		ck.ObjectHandle(wrappingKey), ck.ObjectHandle(key), output(wrapped, wrappedLen))
	return deliver(value, length, rv, wrapped, wrappedLen)
}

//export goUnwrapKey
func goUnwrapKey(session C.CK_SESSION_HANDLE, m *C.CK_MECHANISM, unwrappingKey C.CK_OBJECT_HANDLE,
	wrapped *C.CK_BYTE, wrappedLen C.CK_ULONG, attributes *C.CK_ATTRIBUTE, count C.CK_ULONG,
	key *C.CK_OBJECT_HANDLE) C.CK_RV {
	made, rv := module.UnwrapKey(ck.SessionHandle(session), mechanism(m), ck.ObjectHandle(unwrappingKey),
		octets(wrapped, wrappedLen), template(attributes, count))
	return deliverHandle(made, rv, key)
}
