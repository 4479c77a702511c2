// Command embedded is libonceleaf-embedded.so: the whole token as a PKCS#11 library inside the application's process,
// built with -buildmode=c-shared.
//
// Each function has a stub in C, the same that libonceleaf.so has. It is generated from the table of functions
// (calls.c), asks whether this is a forked child and whether the pointers can be right, and puts the arguments into a
// frame, which goes to package dispatch by one call of Go (transport.c, answer.go) and not over a socket. What the
// libraries share in C stands in this folder and not in one of its own, because Go's build cache knows only the files
// of a package: calls.c, exchange.c, marshal.c, lists.c, events.c and their headers.
//
// The invariant here: the caller's buffers are written only after the whole answer was right, frames are wiped when the
// call ends, and no Go code runs in a forked child.
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
	"os"
	"runtime/debug"
	"unsafe"

	"github.com/onceleaf/onceleaf/p11module"
)

// module is the library's state, uninitialised until C_Initialize. A process has one of each library.
var module = p11module.NewWithEnvironment(getenv)

func main() {}

// heapGrowth is what may be allocated between two collections of garbage, in percent of what lives. With a few MiB that
// live, Go's 100 would collect every few hundred signatures, and two threads that sign would be hardly faster than one.
const heapGrowth = 800

func init() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowth)
	}
}

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

// goStanding is CKR_OK between C_Initialize and C_Finalize, else what every call answers.
//
//export goStanding
func goStanding() C.CK_RV {
	_, rv := module.GetInfo()
	return C.CK_RV(rv)
}
