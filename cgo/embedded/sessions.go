package main

/*
#include "cryptoki.h"
*/
import "C"

import (
	"github.com/onceleaf/onceleaf/internal/ck"
)

//export goOpenSession
func goOpenSession(slot C.CK_SLOT_ID, flags C.CK_FLAGS, session *C.CK_SESSION_HANDLE) C.CK_RV {
	opened, rv := module.OpenSession(ck.SlotID(slot), uint64(flags))
	if rv == ck.CKR_OK {
		*session = C.CK_SESSION_HANDLE(opened)
	}
	return C.CK_RV(rv)
}

//export goCloseSession
func goCloseSession(session C.CK_SESSION_HANDLE) C.CK_RV {
	return C.CK_RV(module.CloseSession(ck.SessionHandle(session)))
}

//export goCloseAllSessions
func goCloseAllSessions(slot C.CK_SLOT_ID) C.CK_RV {
	return C.CK_RV(module.CloseAllSessions(ck.SlotID(slot)))
}

//export goGetSessionInfo
func goGetSessionInfo(session C.CK_SESSION_HANDLE, info *C.CK_SESSION_INFO) C.CK_RV {
	answer, rv := module.GetSessionInfo(ck.SessionHandle(session))
	if rv != ck.CKR_OK {
		return C.CK_RV(rv)
	}
	info.slotID = C.CK_SLOT_ID(answer.Slot)
	info.state = C.CK_STATE(answer.State)
	info.flags = C.CK_FLAGS(answer.Flags)
	info.ulDeviceError = C.CK_ULONG(answer.DeviceError)
	return C.CKR_OK
}

//export goLogin
func goLogin(session C.CK_SESSION_HANDLE, user C.CK_USER_TYPE, pin *C.CK_UTF8CHAR, pinLen C.CK_ULONG) C.CK_RV {
	return C.CK_RV(module.Login(ck.SessionHandle(session), uint64(user), octets(pin, pinLen)))
}

//export goLogout
func goLogout(session C.CK_SESSION_HANDLE) C.CK_RV {
	return C.CK_RV(module.Logout(ck.SessionHandle(session)))
}

//export goSessionCancel
func goSessionCancel(session C.CK_SESSION_HANDLE, flags C.CK_FLAGS) C.CK_RV {
	return C.CK_RV(module.SessionCancel(ck.SessionHandle(session), uint64(flags)))
}
