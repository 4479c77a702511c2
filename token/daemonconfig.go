package token

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"time"
)

// Daemon is the table [daemon]: how programs reach the daemon, and who may.
type Daemon struct {
	Socket string `toml:"socket"` // empty: onceleaf.sock in the token directory
	// Mode is that of the socket, in octal digits. Empty stands for 0600, and for 0660 with a group.
	Mode  string  `toml:"mode"`
	Group Account `toml:"group"` // owner of the socket; empty: that of the daemon
	// AllowUIDs and AllowGIDs are who may connect beside the daemon's own user. Both empty: whom the mode lets in.
	AllowUIDs []Account `toml:"allow_uids"`
	AllowGIDs []Account `toml:"allow_gids"`
	IdleExit  Duration  `toml:"idle_exit"` // 0: never
	Linger    Duration  `toml:"linger"`    // see Config.Linger
	Autostart bool      `toml:"autostart"` // whether the library may start a daemon
	Program   string    `toml:"program"`   // which one; empty: the library looks for it
}

// Account is a user or a group by name or number. In the file a number may stand without quotes.
type Account string

// UnmarshalTOML implements toml.Unmarshaler.
func (a *Account) UnmarshalTOML(value any) error {
	switch v := value.(type) {
	case string:
		*a = Account(v)
	case int64:
		*a = Account(strconv.FormatInt(v, 10))
	default:
		return fmt.Errorf("%v is neither the name nor the number of an account", value)
	}
	return nil
}

// Limits is the table [limits]: what clients of the daemon can take of it, and what the token directory may hold,
// whichever library writes it.
type Limits struct {
	Clients     int   `toml:"clients"`
	Connections int   `toml:"connections"`  // of one client
	Sessions    int   `toml:"sessions"`     // of one client
	Objects     int   `toml:"objects"`      // session objects of one client
	SessionKeys int   `toml:"session_keys"` // of them HSS private keys: each has its trees in memory
	Memory      int64 `toml:"memory"`       // bytes of one client in requests and gathered parts
	TotalMemory int64 `toml:"total_memory"` // bytes of all clients

	Tokens       int `toml:"tokens"`        // in the directory; 0: no bound
	TokenObjects int `toml:"token_objects"` // of one token, beside its key pairs; 0: no bound
}

var defaultDaemon = Daemon{Linger: Duration(5 * time.Minute), Autostart: true}

var defaultLimits = Limits{
	Clients: 256, Connections: 128, Sessions: 1024, Objects: 4096, SessionKeys: 16, Memory: 128 << 20, TotalMemory: 512 << 20,
	Tokens: 16, TokenObjects: 10_000,
}

const socketName = "onceleaf.sock"

// SocketPath is where the daemon of the token directory listens.
func (c Config) SocketPath() string {
	if c.Daemon.Socket != "" {
		return c.Daemon.Socket
	}
	return filepath.Join(c.Directory, socketName)
}

// SocketMode is the mode of the socket.
func (d Daemon) SocketMode() (fs.FileMode, error) {
	switch {
	case d.Mode == "" && d.Group == "":
		return 0o600, nil
	case d.Mode == "":
		return 0o660, nil
	}
	mode, err := strconv.ParseUint(d.Mode, 8, 32)
	if err != nil || mode > 0o777 {
		return 0, fmt.Errorf("daemon.mode is %q: it is a file mode in octal digits, such as 0660", d.Mode)
	}
	return fs.FileMode(mode), nil
}

func (d Daemon) check() error {
	if d.Socket != "" && !filepath.IsAbs(d.Socket) {
		return fmt.Errorf("daemon.socket is %q, it must be an absolute path", d.Socket)
	}
	if d.IdleExit < 0 || d.Linger < 0 {
		return errors.New("daemon.idle_exit and daemon.linger must not be negative")
	}
	_, err := d.SocketMode()
	return err
}

func (l Limits) check() error {
	for name, limit := range map[string]int64{
		"clients": int64(l.Clients), "connections": int64(l.Connections), "sessions": int64(l.Sessions), "objects": int64(l.Objects),
		"session_keys": int64(l.SessionKeys), "memory": l.Memory, "total_memory": l.TotalMemory,
	} {
		if limit <= 0 {
			return fmt.Errorf("limits.%s is %d, it must be positive", name, limit)
		}
	}
	if l.Tokens < 0 || l.TokenObjects < 0 {
		return errors.New("limits.tokens and limits.token_objects must not be negative; 0 stands for no bound")
	}
	return nil
}
