package main

/*
#include "cryptoki.h"
*/
import "C"

import (
	"unsafe"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/p11module"
)

//export goCreateObject
func goCreateObject(session C.CK_SESSION_HANDLE, attributes *C.CK_ATTRIBUTE, count C.CK_ULONG, object *C.CK_OBJECT_HANDLE) C.CK_RV {
	made, rv := module.CreateObject(ck.SessionHandle(session), template(attributes, count))
	return deliverHandle(made, rv, object)
}

//export goCopyObject
func goCopyObject(session C.CK_SESSION_HANDLE, object C.CK_OBJECT_HANDLE, attributes *C.CK_ATTRIBUTE, count C.CK_ULONG, duplicate *C.CK_OBJECT_HANDLE) C.CK_RV {
	made, rv := module.CopyObject(ck.SessionHandle(session), ck.ObjectHandle(object), template(attributes, count))
	return deliverHandle(made, rv, duplicate)
}

//export goDestroyObject
func goDestroyObject(session C.CK_SESSION_HANDLE, object C.CK_OBJECT_HANDLE) C.CK_RV {
	return C.CK_RV(module.DestroyObject(ck.SessionHandle(session), ck.ObjectHandle(object)))
}

//export goGetObjectSize
func goGetObjectSize(session C.CK_SESSION_HANDLE, object C.CK_OBJECT_HANDLE, size *C.CK_ULONG) C.CK_RV {
	bytes, rv := module.GetObjectSize(ck.SessionHandle(session), ck.ObjectHandle(object))
	if rv == ck.CKR_OK {
		*size = C.CK_ULONG(bytes)
	}
	return C.CK_RV(rv)
}

//export goGetAttributeValue
func goGetAttributeValue(session C.CK_SESSION_HANDLE, object C.CK_OBJECT_HANDLE, attributes *C.CK_ATTRIBUTE, count C.CK_ULONG) C.CK_RV {
	asked := unsafe.Slice(attributes, count)
	queries := make([]p11module.AttributeQuery, len(asked))
	for i := range asked {
		queries[i].Type = ck.AttributeType(asked[i]._type)
		queries[i].Output = output((*C.CK_BYTE)(asked[i].pValue), &asked[i].ulValueLen)
	}
	results, rv := module.GetAttributeValue(ck.SessionHandle(session), ck.ObjectHandle(object), queries)
	// An unknown, secret or too long attribute does not keep the others from being answered, so the results count
	// whatever the RV is. There are none if the whole call failed.
	for i, result := range results {
		if !answer(&asked[i], result) {
			return C.CKR_GENERAL_ERROR
		}
	}
	return C.CK_RV(rv)
}

// answer fills one entry of the caller's template; it is false, and writes nothing, if the value does not fit in the
// room that the query named.
func answer(attribute *C.CK_ATTRIBUTE, result p11module.AttributeResult) bool {
	value := (*C.CK_BYTE)(attribute.pValue)
	if value != nil {
		if C.CK_ULONG(len(result.Value)) > attribute.ulValueLen {
			return false
		}
		copy(octets(value, C.CK_ULONG(len(result.Value))), result.Value)
	}
	attribute.ulValueLen = C.CK_ULONG(result.Length)
	return true
}

//export goSetAttributeValue
func goSetAttributeValue(session C.CK_SESSION_HANDLE, object C.CK_OBJECT_HANDLE, attributes *C.CK_ATTRIBUTE, count C.CK_ULONG) C.CK_RV {
	return C.CK_RV(module.SetAttributeValue(ck.SessionHandle(session), ck.ObjectHandle(object), template(attributes, count)))
}

//export goFindObjectsInit
func goFindObjectsInit(session C.CK_SESSION_HANDLE, attributes *C.CK_ATTRIBUTE, count C.CK_ULONG) C.CK_RV {
	return C.CK_RV(module.FindObjectsInit(ck.SessionHandle(session), template(attributes, count)))
}

//export goFindObjects
func goFindObjects(session C.CK_SESSION_HANDLE, objects *C.CK_OBJECT_HANDLE, room C.CK_ULONG, count *C.CK_ULONG) C.CK_RV {
	found, rv := module.FindObjects(ck.SessionHandle(session), uint64(room))
	if rv != ck.CKR_OK {
		return C.CK_RV(rv)
	}
	*count = room
	if objects == nil { // and room is 0
		*count = 0
		return C.CKR_OK
	}
	return deliverList(found, rv, objects, count)
}

//export goFindObjectsFinal
func goFindObjectsFinal(session C.CK_SESSION_HANDLE) C.CK_RV {
	return C.CK_RV(module.FindObjectsFinal(ck.SessionHandle(session)))
}
