package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/onceleaf/onceleaf/internal/daemon"
	"github.com/onceleaf/onceleaf/token"
)

// Exit codes.
const (
	exitDone   = 0 // stopped in order; or spawned, and another daemon already serves
	exitUsage  = 2
	exitFailed = 3 // could not start, or not everything could be parked
)

const about = `onceleafd owns one token directory and serves it to every program that loads libonceleaf.so and may open its socket.
It runs in the foreground. SIGTERM, SIGINT and 'onceleaf daemon stop' end it in order: calls under way end, the lower
trees in memory are parked, and nothing is lost. After SIGKILL or a crash, the leaves of the lower trees in memory are
burned: at most one root leaf of each key, and no leaf is ever used twice.

The configuration is the file that ONCELEAF_CONF names, else onceleaf.toml in the user's configuration folder, else
/etc/onceleaf/onceleaf.toml. Started by systemd with a socket, it serves that one.

Exit codes:
  0  it was stopped, and everything is parked
  2  wrong usage
  3  it could not start, or could not park everything; the message says why`

// version is set by the release build; without it the build's own record is shown.
var version string

// invocation is what the flags chose.
type invocation struct {
	directory, socket string // "": as configured
	idleExit          time.Duration
	spawned           bool
	readyFD           int // -1: nobody waits
}

func run(args []string, stdout, stderr io.Writer) int {
	inv := &invocation{}
	root := inv.root()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.Execute()
	if err == nil {
		return exitDone
	}
	fmt.Fprintf(stderr, "onceleafd: %v\n", err)
	var failed failure
	if errors.As(err, &failed) {
		return exitFailed
	}
	return exitUsage
}

// failure is an error that is not about the command line.
type failure struct{ error }

func (f failure) Unwrap() error { return f.error }

func (inv *invocation) root() *cobra.Command {
	root := &cobra.Command{
		Use: "onceleafd", Short: "serve a token directory to the programs of this machine", Long: about,
		Args: cobra.NoArgs, Version: programVersion(), SilenceErrors: true, SilenceUsage: true,
		RunE: func(cmd *cobra.Command, _ []string) error { return inv.serve(cmd) },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(manCommand())
	f := root.Flags()
	f.StringVar(&inv.directory, "directory", "", "token directory `DIR` (default as configured: ONCELEAF_DIR, or directory in the file)")
	f.StringVar(&inv.socket, "socket", "", "listen at `PATH` (default as configured, else onceleaf.sock in the token directory)")
	f.DurationVar(&inv.idleExit, "idle-exit", 0, "end after this `TIME` without a client, such as 60s; 0s: never (default as configured)")
	f.BoolVar(&inv.spawned, "spawned", false, "a program started this daemon: log into the token directory, and end if another daemon serves")
	f.IntVar(&inv.readyFD, "ready-fd", -1, "tell on this `DESCRIPTOR` how the start went")
	return root
}

func (inv *invocation) serve(cmd *cobra.Command) error {
	// A second signal changes nothing: to park takes as long as it takes.
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	signal.Ignore(unix.SIGHUP, unix.SIGPIPE) // the terminal may go, and whoever reads the log
	ready, err := inv.ready()
	if err != nil {
		return err
	}
	config, err := inv.config()
	if err != nil {
		return failure{errors.Join(err, daemon.TellFailure(ready, err))}
	}
	idle := time.Duration(config.Daemon.IdleExit)
	if cmd.Flags().Changed("idle-exit") {
		idle = inv.idleExit
	}
	err = daemon.Run(ctx, daemon.Options{
		Config: config, Version: programVersion(), Spawned: inv.spawned, IdleExit: idle, Ready: ready, Getenv: os.Getenv,
	})
	if err != nil {
		return failure{err}
	}
	return nil
}

// ready is the descriptor to tell how the start went, nil for none.
func (inv *invocation) ready() (*os.File, error) {
	if inv.idleExit < 0 {
		return nil, errors.New("--idle-exit must not be negative")
	}
	if inv.readyFD < 0 {
		return nil, nil
	}
	if _, err := unix.FcntlInt(uintptr(inv.readyFD), unix.F_GETFD, 0); err != nil || inv.readyFD <= 2 {
		return nil, fmt.Errorf("--ready-fd %d is no descriptor to write to", inv.readyFD)
	}
	unix.CloseOnExec(inv.readyFD)
	return os.NewFile(uintptr(inv.readyFD), "ready"), nil
}

// config is the configuration with the flags above it.
func (inv *invocation) config() (token.Config, error) {
	getenv := func(name string) string {
		switch {
		case name == "ONCELEAF_DIR" && inv.directory != "":
			return inv.directory
		case name == "ONCELEAF_SOCKET" && inv.socket != "":
			return inv.socket
		}
		return os.Getenv(name)
	}
	config, err := token.LoadConfig(getenv)
	if err != nil {
		return config, err
	}
	config.Directory, err = filepath.Abs(config.Directory)
	return config, err
}

func programVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
