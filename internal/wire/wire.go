// Package wire is the protocol between the Go-free library libonceleaf.so and the daemon onceleafd: frames, the
// handshake, how each kind of C parameter crosses, and the tables of functions and of mechanism parameters.
//
// The tables are the one place that knows the functions of PKCS#11. Both ends are generated from them (go generate):
// the C stubs, the dispatcher in Go, the function lists of C, and the page docs/spec/wire.md. The hash of the tables is
// in the handshake, so a library and a daemon of different tables refuse each other.
//
// Numbers are little-endian and a CK_ULONG has 8 bytes, as in the memory of the applications: values of attributes
// cross as they are. Everything that is read here may come from an enemy. A reader therefore never claims memory for
// what was only announced, and its first error stays.
package wire

//go:generate go run ./generate

// Bounds of the protocol.
const (
	// Version counts changes of what the tables do not show.
	Version = 2

	// MaxPart is the longest data of one C_ function, in bytes.
	MaxPart = 64 << 20
	// MaxFrame bounds a frame, in bytes after its size field.
	MaxFrame = MaxPart + 1<<20
	// MaxValue bounds the value of one attribute and one mechanism parameter, in bytes.
	MaxValue = 1 << 20
	// MaxAttributes bounds the entries of all templates of a frame together, nested ones included.
	MaxAttributes = 1024
	// MaxDepth is how deep templates go: a template in a template, no more.
	MaxDepth = 2
	// MaxList bounds a list of numbers.
	MaxList = 1 << 16
	// MaxRandom bounds the random bytes of one frame.
	MaxRandom = 1 << 16
	// MaxName bounds the name of a function, in bytes.
	MaxName = 64
)

// Function numbers beside 1 to 104, which are places in the standard's list.
const (
	// Refuse is the call for arguments that cannot be right: u64 session, u64 flags of the operations that end.
	Refuse uint32 = 0
	// Finalize is C_Finalize, the only call on the control connection of an application. Its body is empty.
	Finalize uint32 = 2
	// Status and Stop are for operator connections.
	Status uint32 = 0x1001
	Stop   uint32 = 0x1002
)

// null is the length of octets at NULL.
const null = 0xffffffff
