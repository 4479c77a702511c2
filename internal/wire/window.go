package wire

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"unsafe"
)

// WindowSize is the size of a window in bytes.
const WindowSize = 16 << 10

// Bits of the turn. While none is set it is the library's turn: an answer is there, or nothing was asked yet.
const (
	TurnDaemon uint32 = 1 // it is the daemon's turn: a request is there
	TurnGone   uint32 = 2 // one of them has gone: no further request is taken
)

// States of an offer: the lower bits of its word, beside its number.
const (
	OfferMade  uint32 = 1
	OfferTaken uint32 = 2
	OfferBits  uint32 = 3
)

// Where the fields of a window are, in bytes.
const (
	turnAt    = 0
	cpuAt     = 4
	offerAt   = 8
	sizeAt    = 12
	offeredAt = 16
	frameAt   = 64
)

// MaxOffer is the size of the longest request that can be offered, in bytes.
const MaxOffer = frameAt - offeredAt

// Window is the memory, WindowSize bytes, in which the frames of one connection cross (docs/spec/wire.md, Window). The peer
// may write into all of it at any time: what is taken out is a copy, and is looked at there.
type Window []byte

// Turn is the word that says whose turn it is, and that both sides wait for.
func (w Window) Turn() *uint32 { return w.word(turnAt) }

// CPU is the processor that the library's thread ran on when it asked.
func (w Window) CPU() uint32 { return atomic.LoadUint32(w.word(cpuAt)) }

// Offer is the word of the offer.
func (w Window) Offer() *uint32 { return w.word(offerAt) }

// SetOffer writes the request that is offered, a frame of at most MaxOffer bytes without its size field. There must be no
// offer meanwhile.
func (w Window) SetOffer(request []byte) {
	copy(w[offeredAt:frameAt], request)
	atomic.StoreUint32(w.word(sizeAt), uint32(len(request)))
}

func (w Window) word(at int) *uint32 { return (*uint32)(unsafe.Pointer(&w[at])) }

// Take appends the frame that is in the window, without its size field, to buf and wipes it in the window. It returns no
// frame if the frame crosses over the socket.
func (w Window) Take(buf []byte) ([]byte, error) {
	size := atomic.LoadUint32(w.word(frameAt))
	if size == 0 {
		return nil, nil
	}
	inside := w[frameAt+sizeField:]
	if size < requestStart || size > uint32(len(inside)) {
		return nil, fmt.Errorf("a frame in a window announces %d bytes", size)
	}
	frame := append(buf, inside[:size]...)
	clear(inside[:size])
	return frame, nil
}

// Put writes a frame, with its size field, into the window. If there is no room for it the window says that it crosses over
// the socket, and Put returns false.
func (w Window) Put(frame []byte) bool {
	inside := w[frameAt+sizeField:]
	if len(frame)-sizeField > len(inside) {
		atomic.StoreUint32(w.word(frameAt), 0)
		return false
	}
	copy(inside, frame[sizeField:])
	atomic.StoreUint32(w.word(frameAt), binary.LittleEndian.Uint32(frame))
	return true
}
