package main

/*
#include "cryptoki.h"
*/
import "C"

import (
	"unsafe"

	"github.com/onceleaf/onceleaf/internal/ck"
)

//export goGetSlotList
func goGetSlotList(tokenPresent C.CK_BBOOL, slots *C.CK_SLOT_ID, count *C.CK_ULONG) C.CK_RV {
	list, rv := module.GetSlotList(tokenPresent != 0)
	return deliverList(list, rv, slots, count)
}

//export goGetSlotInfo
func goGetSlotInfo(slot C.CK_SLOT_ID, info *C.CK_SLOT_INFO) C.CK_RV {
	answer, rv := module.GetSlotInfo(ck.SlotID(slot))
	if rv != ck.CKR_OK {
		return C.CK_RV(rv)
	}
	pad(info.slotDescription[:], answer.Description)
	pad(info.manufacturerID[:], answer.Manufacturer)
	info.flags = C.CK_FLAGS(answer.Flags)
	info.hardwareVersion = version(answer.Hardware)
	info.firmwareVersion = version(answer.Firmware)
	return C.CKR_OK
}

//export goGetTokenInfo
func goGetTokenInfo(slot C.CK_SLOT_ID, info *C.CK_TOKEN_INFO) C.CK_RV {
	answer, rv := module.GetTokenInfo(ck.SlotID(slot))
	if rv != ck.CKR_OK {
		return C.CK_RV(rv)
	}
	pad(info.label[:], answer.Label)
	pad(info.manufacturerID[:], answer.Manufacturer)
	pad(info.model[:], answer.Model)
	pad(info.serialNumber[:], answer.Serial)
	info.flags = C.CK_FLAGS(answer.Flags)
	info.ulMaxSessionCount = C.CK_ULONG(answer.MaxSessionCount)
	info.ulSessionCount = C.CK_ULONG(answer.SessionCount)
	info.ulMaxRwSessionCount = C.CK_ULONG(answer.MaxRWSessionCount)
	info.ulRwSessionCount = C.CK_ULONG(answer.RWSessionCount)
	info.ulMaxPinLen = C.CK_ULONG(answer.MaxPINLen)
	info.ulMinPinLen = C.CK_ULONG(answer.MinPINLen)
	info.ulTotalPublicMemory = C.CK_ULONG(answer.TotalPublicMemory)
	info.ulFreePublicMemory = C.CK_ULONG(answer.FreePublicMemory)
	info.ulTotalPrivateMemory = C.CK_ULONG(answer.TotalPrivateMemory)
	info.ulFreePrivateMemory = C.CK_ULONG(answer.FreePrivateMemory)
	info.hardwareVersion = version(answer.Hardware)
	info.firmwareVersion = version(answer.Firmware)
	pad(info.utcTime[:], answer.UTCTime)
	return C.CKR_OK
}

//export goGetMechanismList
func goGetMechanismList(slot C.CK_SLOT_ID, mechanisms *C.CK_MECHANISM_TYPE, count *C.CK_ULONG) C.CK_RV {
	list, rv := module.GetMechanismList(ck.SlotID(slot))
	return deliverList(list, rv, mechanisms, count)
}

//export goGetMechanismInfo
func goGetMechanismInfo(slot C.CK_SLOT_ID, mechanism C.CK_MECHANISM_TYPE, info *C.CK_MECHANISM_INFO) C.CK_RV {
	answer, rv := module.GetMechanismInfo(ck.SlotID(slot), ck.MechanismType(mechanism))
	if rv != ck.CKR_OK {
		return C.CK_RV(rv)
	}
	info.ulMinKeySize = C.CK_ULONG(answer.MinKeySize)
	info.ulMaxKeySize = C.CK_ULONG(answer.MaxKeySize)
	info.flags = C.CK_FLAGS(answer.Flags)
	return C.CKR_OK
}

//export goInitToken
func goInitToken(slot C.CK_SLOT_ID, pin *C.CK_UTF8CHAR, pinLen C.CK_ULONG, label *C.CK_UTF8CHAR) C.CK_RV {
	// The standard gives the label without a length: 32 bytes, padded with blanks.
	return C.CK_RV(module.InitToken(ck.SlotID(slot), octets(pin, pinLen), *(*[32]byte)(unsafe.Pointer(label))))
}

//export goInitPIN
func goInitPIN(session C.CK_SESSION_HANDLE, pin *C.CK_UTF8CHAR, pinLen C.CK_ULONG) C.CK_RV {
	return C.CK_RV(module.InitPIN(ck.SessionHandle(session), octets(pin, pinLen)))
}

//export goSetPIN
func goSetPIN(session C.CK_SESSION_HANDLE, oldPIN *C.CK_UTF8CHAR, oldLen C.CK_ULONG, newPIN *C.CK_UTF8CHAR, newLen C.CK_ULONG) C.CK_RV {
	return C.CK_RV(module.SetPIN(ck.SessionHandle(session), octets(oldPIN, oldLen), octets(newPIN, newLen)))
}
