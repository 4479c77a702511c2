package wire

import (
	"encoding/binary"
	"fmt"
	"io"
)

// Sizes of the fields of a frame, in bytes.
const (
	sizeField    = 4
	requestStart = 4  // function
	answerStart  = 12 // function, rv

	// step is how much of a frame's body is read before more memory is claimed.
	step = 64 << 10

	// kept is how much of a frame that is too much is there to be looked at: its function and its session.
	kept = 12
)

// ReadFrame reads one frame into buf, which grows with the bytes that come and not with the size that was announced,
// and returns what follows the size field. io.EOF means that there was no further frame.
//
// Before memory for n bytes of the frame is used, limit is asked (nil: no limit). If it refuses, the rest of the frame is
// read and dropped, and ReadFrame returns its beginning, at least 12 bytes where it has them, and the error of limit: the
// stream is in order then.
func ReadFrame(r io.Reader, buf []byte, limit func(n int) error) ([]byte, error) {
	var header [sizeField]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	size := int64(binary.LittleEndian.Uint32(header[:]))
	if size < requestStart || size > MaxFrame {
		return nil, fmt.Errorf("a frame announces %d bytes", size)
	}
	return readBody(r, buf[:0], int(size), limit)
}

func readBody(r io.Reader, buf []byte, size int, limit func(n int) error) ([]byte, error) {
	for len(buf) < size {
		n := min(size-len(buf), step)
		if limit != nil {
			if err := limit(len(buf) + n); err != nil {
				return drop(r, buf, size, err)
			}
		}
		buf = append(buf, make([]byte, n)...)
		if _, err := io.ReadFull(r, buf[len(buf)-n:]); err != nil {
			return nil, cutShort(err)
		}
	}
	return buf, nil
}

// drop reads the rest of a frame that is too much, and keeps its beginning.
func drop(r io.Reader, buf []byte, size int, why error) ([]byte, error) {
	if n := min(size, kept) - len(buf); n > 0 {
		buf = append(buf, make([]byte, n)...)
		if _, err := io.ReadFull(r, buf[len(buf)-n:]); err != nil {
			return nil, cutShort(err)
		}
	}
	if _, err := io.CopyN(io.Discard, r, int64(size-len(buf))); err != nil {
		return nil, cutShort(err)
	}
	return buf, why
}

func cutShort(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// WriteFrame writes a frame, with its size field, in one piece.
func WriteFrame(w io.Writer, frame []byte) error {
	if len(frame) < sizeField+requestStart || len(frame)-sizeField > MaxFrame {
		return fmt.Errorf("couldn't send a frame of %d bytes", len(frame))
	}
	_, err := w.Write(frame)
	return err
}

// Function is the number at the beginning of a frame without its size field.
func Function(frame []byte) uint32 { return binary.LittleEndian.Uint32(frame) }
