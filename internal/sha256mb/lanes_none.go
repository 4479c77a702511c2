//go:build !cgo || !amd64

package sha256mb

// Without C code there is the portable kernel alone.

type kernel struct{}

func vectorKernels(Hash) []Kernel { return nil }

type lanes struct{ kernel kernel }

func (lanes) usable() bool { return false }

func (lanes) chains(*[idSize]byte, int, []Chain, []byte, []byte) { panic("sha256mb: no lanes") }

func (lanes) nodes(*[idSize]byte, int, uint32, uint16, []byte, []byte) { panic("sha256mb: no lanes") }
