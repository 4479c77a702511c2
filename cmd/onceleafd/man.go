package main

import (
	"github.com/spf13/cobra"

	"github.com/onceleaf/onceleaf/internal/manual"
)

// manCommand writes the manual page, for `make build`.
func manCommand() *cobra.Command {
	return manual.Command(manual.Program{
		Section: 8,
		Version: programVersion(),
		Environment: []manual.Entry{
			{Name: "ONCELEAF_DIR", Text: "the token directory; --directory stands above it, and it stands above the configuration"},
			{Name: "ONCELEAF_SOCKET", Text: "where to listen, an absolute path; --socket stands above it, and it stands above the configuration"},
			{Name: "ONCELEAF_CONF", Text: "the configuration file"},
			{Name: "ONCELEAF_LOG", Text: "what is logged: off, error, warn, info or debug (default off); it stands above the configuration"},
			{Name: "LISTEN_PID, LISTEN_FDS, NOTIFY_SOCKET", Text: "set by systemd: the socket that it hands over, and where to tell it that the daemon serves"},
		},
		Files: []manual.Entry{
			{Name: "$XDG_CONFIG_HOME/onceleaf/onceleaf.toml, ~/.config/onceleaf/onceleaf.toml", Text: "the user's configuration"},
			{Name: "/etc/onceleaf/onceleaf.toml", Text: "the configuration where the user has none"},
			{Name: "$XDG_DATA_HOME/onceleaf, ~/.local/share/onceleaf", Text: "the token directory where none is configured. Never copy or restore one: two copies sign with the same leaves, and anybody can forge then."},
			{Name: "DIRECTORY/onceleaf.sock", Text: "the socket, where none is configured"},
			{Name: "DIRECTORY/onceleafd.log", Text: "the log of a daemon that a program started, unless log.file names another one and unless the level is off"},
		},
		SeeAlso: []string{"onceleaf(1)", "systemd.socket(5)"},
	})
}
