package wire

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// listen is a listener at a path that is longer than the kernel's address.
func listen(t *testing.T) (net.Listener, string) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(folder)
	listener, err := net.Listen("unix", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener, filepath.Join(folder, "s")
}

// serve answers one connection with a welcome, and its calls with what they brought.
func serve(listener net.Listener, w Welcome) error {
	conn, err := listener.Accept()
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if _, _, _, err := ReadHello(conn); err != nil {
		return err
	}
	if _, err := conn.Write(w.Encode()); err != nil {
		return err
	}
	for {
		request, err := ReadFrame(conn, nil, nil)
		if err != nil {
			return err
		}
		answer := NewAnswer(nil, Function(request))
		answer.Raw(request[requestStart:])
		if err := WriteFrame(conn, answer.Answer(ck.CKR_PIN_LOCKED)); err != nil {
			return err
		}
	}
}

func TestClient(t *testing.T) {
	listener, socket := listen(t)
	served := make(chan error)
	go func() { served <- serve(listener, Welcome{Cookie: [16]byte{7}, Text: "hello"}) }()
	client, welcome, err := Dial(socket, Hello{Kind: KindOperator})
	if err != nil || welcome.Cookie != [16]byte{7} || welcome.Text != "hello" {
		t.Fatal(welcome, err)
	}
	for range 2 {
		rv, answer, err := client.Call(Status, []byte("body"))
		if err != nil || rv != ck.CKR_PIN_LOCKED || string(answer) != "body" {
			t.Errorf("%s, %q, %v", rv, answer, err)
		}
	}
	if err := client.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != io.EOF {
		t.Error(err)
	}
}

// TestClientIsRefused: the daemon's reason is in the error.
func TestClientIsRefused(t *testing.T) {
	listener, socket := listen(t)
	go func() { _ = serve(listener, Welcome{Status: StatusNotAdmitted, Text: "user 1000 may not"}) }()
	client, welcome, err := Dial(socket, Hello{})
	if client != nil || welcome.Status != StatusNotAdmitted || err == nil || !strings.Contains(err.Error(), "user 1000 may not") {
		t.Errorf("%+v, %v", welcome, err)
	}
}

// TestNobodyAnswers: no folder, no socket, and a socket without a daemon can be told from the rest.
func TestNobodyAnswers(t *testing.T) {
	listener, socket := listen(t)
	unix, _ := listener.(*net.UnixListener)
	unix.SetUnlinkOnClose(false)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{socket: syscall.ECONNREFUSED, socket + "x": syscall.ENOENT, socket + "/x": syscall.ENOTDIR,
		filepath.Join(filepath.Dir(socket), "none", "s"): syscall.ENOENT} {
		if _, _, err := Dial(path, Hello{}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
}
