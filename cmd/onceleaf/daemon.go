package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/internal/wire"
	"github.com/onceleaf/onceleaf/token"
)

// How long the daemon may take: it stops only when everything is parked.
const (
	statusTime = 10 * time.Second
	stopTime   = 2 * time.Minute
)

func (inv *invocation) daemonCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "daemon",
		Short: "ask the daemon of a token directory, or stop it",
		Long: `Ask the daemon (onceleafd) of the token directory that --dir, ONCELEAF_DIR or the configuration names, or stop it. Neither
needs a PIN or a module, and neither starts a daemon.`,
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "status",
		Short: "show the daemon's clients and tokens",
		Long: `Show which process serves the token directory, its clients, and how its tokens are in use. "lingering" is a token whose
lower trees are kept in memory although nobody is logged in any more ([daemon] linger).

Exit codes: 0 a daemon answered, 3 none did.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return inv.daemonStatus() },
	}, &cobra.Command{
		Use:   "stop",
		Short: "stop the daemon: end its clients, park what is in memory, free the directory",
		Long: `Stop the daemon and wait until the token directory is free. Calls under way end, and what is left of the lower trees in
memory is parked: no leaf is lost. Its clients get CKR_DEVICE_ERROR until they initialise again, which starts a new
daemon unless autostart is off. Only the daemon's own user and root may stop it.

Exit codes: 0 it has stopped, or none was running; 3 it could not be reached, or could not park everything.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return inv.daemonStop() },
	})
	return cmd
}

// daemonReport is what the daemon tells of itself.
type daemonReport struct {
	Version   string    `json:"version"`
	PID       int       `json:"pid"`
	Directory string    `json:"directory"`
	Socket    string    `json:"socket"`
	Started   time.Time `json:"started"`
	Wire      int       `json:"wire"`
	Table     string    `json:"table"`
	Clients   []struct {
		PID         int       `json:"pid"`
		UID         uint32    `json:"uid"`
		Connections int       `json:"connections"`
		Sessions    int       `json:"sessions"`
		Since       time.Time `json:"since"`
	} `json:"clients"`
	Tokens []token.Status `json:"tokens"`
	Memory struct {
		Heap     uint64 `json:"heap"`
		InFlight int64  `json:"inFlight"`
	} `json:"memory"`
	IdleExit string `json:"idleExit"`
}

func (inv *invocation) daemonStatus() error {
	daemon, socket, err := inv.dialDaemon()
	if err != nil {
		return noDaemon(err, socket)
	}
	defer daemon.Close()
	text, err := askDaemon(daemon, wire.Status, statusTime)
	if err != nil {
		return err
	}
	var r daemonReport
	if err := json.Unmarshal(text, &r); err != nil {
		return &problem{what: "couldn't read the daemon's answer: " + err.Error(), exit: exitToken, err: err,
			next: "check that this program and the daemon are of the same version"}
	}
	return inv.print(r, r.write)
}

func (inv *invocation) daemonStop() error {
	daemon, socket, err := inv.dialDaemon()
	if absent(err) {
		inv.note("no daemon answers at %s", shown(socket))
		return nil
	}
	if err != nil {
		return noDaemon(err, socket)
	}
	defer daemon.Close()
	if _, err := askDaemon(daemon, wire.Stop, stopTime); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, daemon.Conn()) // until the process has ended
	return nil
}

// dialDaemon connects to the daemon of the directory that is asked for.
func (inv *invocation) dialDaemon() (daemon *wire.Client, socket string, err error) {
	if inv.dir != "" {
		dir, err := filepath.Abs(inv.dir)
		if err != nil {
			return nil, "", err
		}
		if err := os.Setenv("ONCELEAF_DIR", dir); err != nil {
			return nil, "", err
		}
	}
	config, err := token.LoadConfig(os.Getenv)
	if err != nil {
		return nil, "", refusal("name the token directory with --dir", "couldn't find the token directory: %v", err)
	}
	socket = config.SocketPath()
	daemon, _, err = wire.Dial(socket, wire.Hello{Kind: wire.KindOperator})
	return daemon, socket, err
}

// absent says that there is no daemon, and no other reason why none answered.
func absent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED)
}

func noDaemon(err error, socket string) error {
	var p *problem
	switch {
	case errors.As(err, &p):
		return p
	case absent(err):
		return &problem{what: "no daemon answers at " + shown(socket), exit: exitToken, err: err,
			next: "a program that loads libonceleaf.so starts one, or 'onceleafd' does; --dir and ONCELEAF_SOCKET choose another place"}
	}
	return &problem{what: "couldn't reach the daemon: " + err.Error(), exit: exitToken, err: err,
		next: "run as a user whom the daemon serves"}
}

// askDaemon sends one request of an operator.
func askDaemon(daemon *wire.Client, function uint32, limit time.Duration) ([]byte, error) {
	if err := daemon.Conn().SetDeadline(time.Now().Add(limit)); err != nil {
		return nil, err
	}
	rv, answer, err := daemon.Call(function, nil)
	switch {
	case err != nil:
		return nil, &problem{what: "the daemon did not answer: " + err.Error(), exit: exitToken, err: err,
			next: "look at its log; 'onceleaf daemon status' tells whether it still runs"}
	case rv == ck.CKR_ACTION_PROHIBITED:
		return nil, &problem{what: "this user may not stop the daemon", safe: "it goes on", exit: exitToken, err: rv,
			next: "run as the daemon's user or as root"}
	case rv != ck.CKR_OK:
		return nil, &problem{what: fmt.Sprintf("the daemon could not do this in order (%v)", rv), exit: exitToken, err: rv,
			safe: "no leaf is used twice; what was not parked is burned", next: "look at the daemon's log"}
	}
	return answer, nil
}

func (r daemonReport) write(w io.Writer) {
	fmt.Fprintf(w, "daemon\tprocess %d, version %s, since %s\n", r.PID, shown(r.Version), r.Started.Local().Format(time.DateTime))
	fmt.Fprintf(w, "directory\t%s\n", shown(r.Directory))
	fmt.Fprintf(w, "socket\t%s\n", shown(r.Socket))
	fmt.Fprintf(w, "memory\t%d MiB, %d bytes for clients' requests\n", r.Memory.Heap>>20, r.Memory.InFlight)
	for _, t := range r.Tokens {
		state := ""
		if t.Lingering {
			state = ", lingering"
		}
		fmt.Fprintf(w, "token\t%s, serial %s: %s, %d logged in%s\n", shown(t.Label), shown(t.Serial),
			plural(uint64(t.Sessions), "session", "sessions"), t.Users, state)
	}
	for _, c := range r.Clients {
		fmt.Fprintf(w, "client\tprocess %d of user %d: %s, %s, since %s\n", c.PID, c.UID, plural(uint64(c.Connections), "connection", "connections"),
			plural(uint64(c.Sessions), "session", "sessions"), c.Since.Local().Format(time.DateTime))
	}
	if len(r.Clients) == 0 {
		fmt.Fprintf(w, "client\tnone\n")
	}
}
