// Command embedded is libonceleaf-embedded.so: the whole token as a PKCS#11 library inside the application's process,
// built with -buildmode=c-shared.
//
// Each function is a thin pair. The C half (entries.c) asks whether this is a forked child and whether the pointers
// can be right; the Go half converts, calls p11module, and copies the answer out. What is the same for every library
// that shows this token is in p11module.
//
// The invariant here: the caller's buffers are written only after p11module answered CKR_OK, a length only when it
// also answers CKR_BUFFER_TOO_SMALL, and no Go code runs in a forked child.
//
// Not promised: that a process which forks can use the token in the child (every call fails at once there), or that a
// host whose signal handlers lack SA_ONSTACK is safe with a Go runtime inside.
package main

/*
#cgo CFLAGS: -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror
#include <stdlib.h>
#include "cryptoki.h"
*/
import "C"

import (
	"unsafe"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/p11module"
)

// module is the library's state, uninitialised until C_Initialize. A process has one of each library.
var module = p11module.NewWithEnvironment(getenv)

func main() {}

// getenv asks the process. Go itself has read the environment as it stood when the process began, but a host that sets
// ONCELEAF_DIR before C_Initialize (Python's os.environ does that) means what it set. A set-user-ID host gets nothing:
// who starts it must not choose where it keeps its keys.
func getenv(name string) string {
	key := C.CString(name)
	defer C.free(unsafe.Pointer(key))
	return C.GoString(C.secure_getenv(key))
}

//export goInitialize
func goInitialize(arguments C.CK_VOID_PTR) C.CK_RV {
	if arguments == nil {
		return C.CK_RV(module.Initialize(nil))
	}
	args := (*C.CK_C_INITIALIZE_ARGS)(arguments)
	callbacks := 0
	for _, given := range []bool{args.CreateMutex != nil, args.DestroyMutex != nil, args.LockMutex != nil, args.UnlockMutex != nil} {
		if given {
			callbacks++
		}
	}
	return C.CK_RV(module.Initialize(&p11module.InitializeArgs{
		Flags:     uint64(args.flags),
		Callbacks: callbacks,
		Reserved:  args.pReserved != nil,
	}))
}

//export goFinalize
func goFinalize(reserved C.int) C.CK_RV {
	return C.CK_RV(module.Finalize(reserved != 0))
}

//export goGetInfo
func goGetInfo(info *C.CK_INFO) C.CK_RV {
	answer, rv := module.GetInfo()
	if rv != ck.CKR_OK {
		return C.CK_RV(rv)
	}
	info.cryptokiVersion = version(answer.CryptokiVersion)
	pad(info.manufacturerID[:], answer.Manufacturer)
	info.flags = C.CK_FLAGS(answer.Flags)
	pad(info.libraryDescription[:], answer.Description)
	info.libraryVersion = version(answer.LibraryVersion)
	return C.CKR_OK
}

// goInitialized is CKR_OK between C_Initialize and C_Finalize, else CKR_CRYPTOKI_NOT_INITIALIZED.
//
//export goInitialized
func goInitialized() C.CK_RV {
	_, rv := module.GetInfo()
	return C.CK_RV(rv)
}

// goBadArguments is the answer to arguments that cannot be right; flags name the operations that end by it.
//
//export goBadArguments
func goBadArguments(session C.CK_SESSION_HANDLE, flags C.CK_FLAGS) C.CK_RV {
	return C.CK_RV(module.BadArguments(ck.SessionHandle(session), uint64(flags)))
}
