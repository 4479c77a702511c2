package main

import (
	"github.com/spf13/cobra"

	"github.com/onceleaf/onceleaf/internal/manual"
)

// manCommand writes the manual page, for `make build`.
func manCommand() *cobra.Command {
	return manual.Command(manual.Program{
		Section: 1,
		Version: programVersion(),
		Environment: []manual.Entry{
			{Name: "ONCELEAF_MODULE", Text: "the PKCS#11 module to load; --module stands above it"},
			{Name: "ONCELEAF_DIR", Text: "the token directory; --dir stands above it, and it stands above the configuration"},
			{Name: "ONCELEAF_CONF", Text: "the configuration file"},
			{Name: "ONCELEAF_SOCKET", Text: "the socket of the daemon, an absolute path"},
			{Name: "ONCELEAF_DAEMON", Text: "the daemon that libonceleaf.so starts, an absolute path"},
			{Name: "ONCELEAF_AUTOSTART", Text: "0: libonceleaf.so starts no daemon"},
			{Name: "ONCELEAF_LOG", Text: "what the module logs: off, error, warn, info or debug (default error)"},
			{Name: "ONCELEAF_PIN", Text: "the user PIN; a prompt or --pin-file is better"},
			{Name: "ONCELEAF_SO_PIN", Text: "the SO PIN; a prompt or --so-pin-file is better"},
		},
		Files: []manual.Entry{
			{Name: "$XDG_CONFIG_HOME/onceleaf/onceleaf.toml, ~/.config/onceleaf/onceleaf.toml", Text: "the user's configuration"},
			{Name: "/etc/onceleaf/onceleaf.toml", Text: "the configuration where the user has none"},
			{Name: "$XDG_DATA_HOME/onceleaf, ~/.local/share/onceleaf", Text: "the token directory where none is configured. Never copy or restore one: two copies sign with the same leaves, and anybody can forge then."},
		},
		SeeAlso: []string{"onceleafd(8)"},
	})
}
