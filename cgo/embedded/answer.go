package main

/*
#include "call.h"
*/
import "C"

import (
	"fmt"
	"os"
	"unsafe"

	"github.com/onceleaf/onceleaf/internal/dispatch"
)

// goAnswer answers a request in the memory of the calling thread, which the C half wipes after the call. An error is a
// bug: the C half is made from the same table as dispatch.
//
//export goAnswer
func goAnswer(request, answer *C.struct_buffer) C.CK_RV {
	in := unsafe.Slice((*byte)(request.bytes), request.used)[C.FRAME_SIZE:]
	room := unsafe.Slice((*byte)(answer.bytes), answer.room)
	frame, err := dispatch.Answer(module, in, room[:0], nil)
	if err != nil {
		complain(err)
		return C.CKR_GENERAL_ERROR
	}
	if unsafe.SliceData(frame) != unsafe.SliceData(room) {
		return moved(frame, answer)
	}
	answer.used = C.size_t(len(frame))
	return C.CKR_OK
}

// moved is for an answer that has grown out of the thread's memory: that gets larger, and the answer into it.
func moved(frame []byte, answer *C.struct_buffer) C.CK_RV {
	defer clear(frame)
	answer.used = answer.room // something of the answer may be there already, and is to be wiped
	if !C.make_room(answer, C.size_t(len(frame))) {
		return C.CKR_HOST_MEMORY
	}
	answer.used = C.size_t(copy(unsafe.Slice((*byte)(answer.bytes), answer.room), frame))
	return C.CKR_OK
}

// complain tells of a bug on standard error, if the environment asks for a log. The error's text has nothing of a call.
func complain(err error) {
	if level := getenv("ONCELEAF_LOG"); level != "" && level != "off" {
		fmt.Fprintln(os.Stderr, "libonceleaf-embedded: a call failed by a bug of the library, please report it:", err)
	}
}
