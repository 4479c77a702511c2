package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// handshakeTime is how long a daemon may take to welcome a connection.
const handshakeTime = 10 * time.Second

// Client is a connection to a daemon, for operators and tests. One call at a time.
type Client struct{ conn net.Conn }

// Dial connects to the daemon behind a socket. A welcome that is not StatusOK comes with an error and no client; an
// error without a welcome (Text empty) means that no daemon answered.
func Dial(socket string, h Hello) (*Client, Welcome, error) {
	conn, err := connect(socket)
	if err != nil {
		return nil, Welcome{}, err
	}
	welcome, err := handshake(conn, h)
	if err != nil {
		return nil, welcome, errors.Join(err, conn.Close())
	}
	return &Client{conn}, welcome, nil
}

// connect reaches a socket of any path: the kernel's address has room for 107 bytes, so it is given the way through the
// folder's descriptor.
func connect(socket string) (net.Conn, error) {
	folder, err := unix.Open(filepath.Dir(socket), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("couldn't open the folder of the socket %s: %w", socket, err)
	}
	defer func() { _ = unix.Close(folder) }() // nothing was written
	conn, err := net.Dial("unix", fmt.Sprintf("/proc/self/fd/%d/%s", folder, filepath.Base(socket)))
	if err != nil {
		return nil, fmt.Errorf("couldn't connect to %s: %w", socket, errors.Unwrap(err))
	}
	return conn, nil
}

func handshake(conn net.Conn, h Hello) (Welcome, error) {
	if err := conn.SetDeadline(time.Now().Add(handshakeTime)); err != nil {
		return Welcome{}, err
	}
	if _, err := conn.Write(h.Encode()); err != nil {
		return Welcome{}, fmt.Errorf("couldn't greet the daemon: %w", err)
	}
	welcome, _, _, err := ReadWelcome(conn)
	if err != nil {
		return welcome, err
	}
	if welcome.Status != StatusOK {
		return welcome, fmt.Errorf("the daemon refused the connection: %s (status %d)", welcome.Text, welcome.Status)
	}
	return welcome, conn.SetDeadline(time.Time{})
}

// Call sends one request and waits for its answer.
func (c *Client) Call(function uint32, body []byte) (rv ck.RV, answer []byte, err error) {
	w := NewRequest(nil, function)
	w.Raw(body)
	if err := WriteFrame(c.conn, w.Request()); err != nil {
		return 0, nil, fmt.Errorf("couldn't send a call to the daemon: %w", err)
	}
	frame, err := ReadFrame(c.conn, nil, nil)
	if err != nil {
		return 0, nil, fmt.Errorf("couldn't read the daemon's answer: %w", err)
	}
	return parseAnswer(frame, function)
}

func parseAnswer(frame []byte, function uint32) (ck.RV, []byte, error) {
	if len(frame) < answerStart || Function(frame) != function {
		return 0, nil, errors.New("the daemon's answer is none to this call")
	}
	return ck.RV(binary.LittleEndian.Uint64(frame[requestStart:])), frame[answerStart:], nil
}

// Conn is the connection itself, for those who wait for its end.
func (c *Client) Conn() net.Conn { return c.conn }

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }
