package daemon

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// directPair is a direct connection and its peer.
func directPair(t *testing.T) (*direct, *net.UnixConn) {
	t.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	far, err := net.DialUnix("unix", nil, listener.Addr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	near, err := listener.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	d, err := newDirect(near)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	return d, far
}

func TestDirectCarries(t *testing.T) {
	d, far := directPair(t)
	defer d.release()
	sent := bytes.Repeat([]byte("octets "), 100_000) // more than a socket holds
	go func() {
		_, _ = far.Write(sent)
		_, _ = io.Copy(far, bytes.NewReader(sent))
		_ = far.CloseWrite()
	}()
	got, err := io.ReadAll(d)
	if err != nil || !bytes.Equal(got, append(sent, sent...)) {
		t.Fatalf("%d octets came, %v", len(got), err)
	}
	back := make(chan []byte)
	go func() {
		all := make([]byte, len(sent))
		_, _ = io.ReadFull(far, all)
		back <- all
	}()
	if err := d.SetWriteDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n, err := d.Write(sent); n != len(sent) || err != nil || !bytes.Equal(<-back, sent) {
		t.Fatalf("%d octets went, %v", n, err)
	}
}

// A peer that sends nothing, one that reads nothing, and one that reads a little now and then.
func TestDirectPatience(t *testing.T) {
	d, _ := directPair(t)
	defer d.release()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(d.SetReadDeadline(time.Now().Add(20 * time.Millisecond)))
	if n, err := d.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d, %v", n, err)
	}
	for name, drip := range map[string]bool{"mute": false, "dripping": true} {
		d, far := directPair(t)
		defer d.release()
		done := make(chan struct{})
		go func() {
			for drip {
				select {
				case <-done:
					return
				case <-time.After(20 * time.Millisecond):
					_, _ = far.Read(make([]byte, 40<<10))
				}
			}
		}()
		begin := time.Now()
		must(d.SetWriteDeadline(begin.Add(200 * time.Millisecond)))
		n, err := d.Write(make([]byte, 32<<20))
		if took := time.Since(begin); !errors.Is(err, os.ErrDeadlineExceeded) || took > 10*time.Second {
			t.Errorf("%s: %d octets after %s, %v", name, n, took, err)
		}
		close(done)
	}
}

// Whoever ends the connection ends a read and a write under way, and may come too late.
func TestDirectEnds(t *testing.T) {
	for name, end := range map[string]func(*direct) error{"reading": (*direct).CloseRead, "all": (*direct).Close} {
		d, _ := directPair(t)
		ended := make(chan error)
		go func() {
			_, err := d.Read(make([]byte, 1))
			ended <- err
		}()
		time.Sleep(10 * time.Millisecond)
		if err := end(d); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := <-ended; err != io.EOF {
			t.Errorf("%s: the reader got %v", name, err)
		}
		d.release()
		if err := end(d); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s, after it is gone: %v", name, err)
		}
	}
}
