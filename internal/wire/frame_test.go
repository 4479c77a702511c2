package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

// request is a frame with a body of n octets.
func request(n int) []byte {
	w := NewRequest(nil, 44)
	w.Raw(bytes.Repeat([]byte{7}, n))
	return w.Request()
}

// TestFrames: what is written is read, however it comes in, and then comes the end.
func TestFrames(t *testing.T) {
	for _, n := range []int{0, 1, 1000, step, 3*step + 1} {
		var stream bytes.Buffer
		for range 2 {
			if err := WriteFrame(&stream, request(n)); err != nil {
				t.Fatal(err)
			}
		}
		var r io.Reader = iotest.HalfReader(&stream)
		for range 2 {
			frame, err := ReadFrame(r, make([]byte, 0, 10), nil)
			if err != nil || !bytes.Equal(frame, request(n)[sizeField:]) || Function(frame) != 44 {
				t.Fatalf("a frame of %d octets came as %d, %v", n, len(frame), err)
			}
		}
		if _, err := ReadFrame(r, nil, nil); err != io.EOF {
			t.Fatalf("the end is %v", err)
		}
	}
}

// TestBadFrames: sizes that no frame has, and frames that end too early.
func TestBadFrames(t *testing.T) {
	size := func(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }
	for name, data := range map[string][]byte{
		"too small": append(size(3), 1, 2, 3), "too large": size(MaxFrame + 1), "huge": size(0xffffffff),
		"half a size": {1, 2}, "no body": size(4), "half a body": append(size(9), 1, 2, 3, 4, 5),
	} {
		if frame, err := ReadFrame(bytes.NewReader(data), nil, nil); err == nil || err == io.EOF {
			t.Errorf("%s: %d octets, %v", name, len(frame), err)
		}
	}
	if WriteFrame(io.Discard, make([]byte, 7)) == nil || WriteFrame(io.Discard, make([]byte, MaxFrame+5)) == nil {
		t.Error("a frame of a size that none has was written")
	}
}

// TestAnnouncedMemory: a frame that only announces its size costs no memory.
func TestAnnouncedMemory(t *testing.T) {
	data := append(binary.LittleEndian.AppendUint32(nil, MaxFrame), make([]byte, 100)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := ReadFrame(bytes.NewReader(data), nil, nil); err != io.ErrUnexpectedEOF {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if claimed := after.TotalAlloc - before.TotalAlloc; claimed > 4*step {
		t.Errorf("%d bytes were claimed", claimed)
	}
}

// TestFrameLimit: a frame that is too much is read to its end, and its beginning is kept.
func TestFrameLimit(t *testing.T) {
	tooMuch := errors.New("too much")
	for _, allowed := range []int{0, step, 2 * step} {
		stream := bytes.NewReader(append(request(5*step), request(2)...))
		limit := func(n int) error {
			if n > allowed {
				return tooMuch
			}
			return nil
		}
		frame, err := ReadFrame(stream, nil, limit)
		if !errors.Is(err, tooMuch) || len(frame) != max(kept, allowed) || Function(frame) != 44 {
			t.Fatalf("%d octets, %v", len(frame), err)
		}
		if frame, err := ReadFrame(stream, nil, nil); err != nil || len(frame) != 6 {
			t.Fatalf("after it: %d octets, %v", len(frame), err)
		}
	}
}

// TestHandshake: hello and welcome cross; a stranger and an end do not.
func TestHandshake(t *testing.T) {
	hello := Hello{Kind: KindJoin, Cookie: [16]byte{1, 2, 15: 16}}
	got, version, hash, err := ReadHello(bytes.NewReader(hello.Encode()))
	if err != nil || got != hello || !Matches(version, hash) {
		t.Errorf("%+v came as %+v, %d, %v", hello, got, version, err)
	}
	welcome := Welcome{Status: StatusTooMany, Cookie: [16]byte{9}, Text: "zu viele ü"}
	answer, version, hash, err := ReadWelcome(bytes.NewReader(welcome.Encode()))
	if err != nil || answer != welcome || !Matches(version, hash) {
		t.Errorf("%+v came as %+v, %d, %v", welcome, answer, version, err)
	}
	if Matches(Version+1, Hash()) || Matches(Version, [32]byte{}) {
		t.Error("another version or other tables match")
	}
	for _, data := range []string{"", "ONCELEAF", strings.Repeat("x", 256)} {
		if _, _, _, err := ReadWelcome(strings.NewReader(data)); err == nil {
			t.Errorf("%q is a welcome", data)
		}
	}
}

// TestWelcomeText: a long text is cut at a character.
func TestWelcomeText(t *testing.T) {
	long := Welcome{Text: strings.Repeat("ü", 100) + "x"}
	got, _, _, err := ReadWelcome(bytes.NewReader(long.Encode()))
	if err != nil || got.Text != strings.Repeat("ü", 96) {
		t.Errorf("%q, %v", got.Text, err)
	}
}
