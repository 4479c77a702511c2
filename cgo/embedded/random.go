package main

/*
#include "cryptoki.h"
*/
import "C"

import "github.com/onceleaf/onceleaf/internal/ck"

// chunk bounds what one C_GenerateRandom of any length allocates (bytes).
const chunk = 1 << 16

//export goSeedRandom
func goSeedRandom(session C.CK_SESSION_HANDLE, seed *C.CK_BYTE, seedLen C.CK_ULONG) C.CK_RV {
	return C.CK_RV(module.SeedRandom(ck.SessionHandle(session), octets(seed, seedLen)))
}

//export goGenerateRandom
func goGenerateRandom(session C.CK_SESSION_HANDLE, random *C.CK_BYTE, randomLen C.CK_ULONG) C.CK_RV {
	room := octets(random, randomLen)
	for first := true; first || len(room) > 0; first = false {
		value, rv := module.GenerateRandom(ck.SessionHandle(session), uint64(min(len(room), chunk)))
		if rv != ck.CKR_OK {
			return C.CK_RV(rv)
		}
		room = room[copy(room, value):]
	}
	return C.CKR_OK
}
