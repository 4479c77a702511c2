// Package dispatch answers the calls of one application: it takes requests of package wire apart, calls p11module, and
// puts the answers together. Which function takes what is generated from wire's table (calls.go); what a kind of value
// looks like is in convert.go.
//
// A request may come from an enemy. One that breaks the protocol reaches no module: its arguments are all read, and are
// all there is in it, before the module is called. And an answer holds nothing but its rv unless the module said CKR_OK,
// but for the length with CKR_BUFFER_TOO_SMALL and the results of attribute queries.
package dispatch

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/internal/wire"
)

// ErrPanic is a bug of this program; every other error of Answer is one of whoever sent the request.
var ErrPanic = errors.New("the program panicked")

// Answer does one request, which is a frame without its size field, and returns the whole frame of the answer, made in
// the memory of out where that is enough. Before attributes of more than a few KiB are put together, claim is asked for
// all the bytes of memory that they take, so far as that is known, and once more when it is; where it refuses, the
// answer is CKR_DEVICE_MEMORY. After an error the connection has to end.
func Answer(m Module, request, out []byte, claim func(bytes int) bool) ([]byte, error) {
	return answer[Module](careful{m, claim}, request, out, call)
}

// answer is Answer for any set of functions.
func answer[M any](m M, request, out []byte, call func(M, uint32, *wire.Reader, *wire.Writer) ck.RV) (frame []byte, err error) {
	if len(request) < 4 {
		return nil, errors.New("a request is too short")
	}
	function := wire.Function(request)
	in, w := wire.NewReader(request[4:]), wire.NewAnswer(out, function)
	defer func() {
		if p := recover(); p != nil { // its text may hold anything
			clear(out[:cap(out)])
			w.Wipe() // which may have grown out of out
			frame, err = nil, fmt.Errorf("%w at %s (%T)", ErrPanic, placeOfPanic(), p)
		}
	}()
	rv := call(m, function, in, w)
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("couldn't read a request of function %d: %w", function, err)
	}
	return w.Answer(rv), nil
}

// placeOfPanic is the innermost function on the stack of a panic that is not the runtime's.
func placeOfPanic() string {
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers)])
	for {
		frame, more := frames.Next()
		if !strings.HasPrefix(frame.Function, "runtime.") {
			return fmt.Sprintf("%s, line %d", frame.Function, frame.Line)
		}
		if !more {
			return "an unknown place"
		}
	}
}

// refuse is for arguments that the application's library found bad.
func refuse(m Module, in *wire.Reader) ck.RV {
	session, flags := ck.SessionHandle(in.U64()), in.U64()
	if in.Done() != nil {
		return 0
	}
	return m.BadArguments(session, flags)
}

func unknown(function uint32) error { return fmt.Errorf("there is no function %d", function) }
