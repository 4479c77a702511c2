package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set by the release build; without it the build's own record is shown.
var version string

type versionReport struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	Module  string `json:"module,omitempty"` // path, empty if none was found
}

func (inv *invocation) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "print the versions of this program, and the module it would load",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			r := versionReport{Version: programVersion(), Go: runtime.Version()}
			module, err := inv.modulePath()
			if err == nil {
				r.Module = module
			} else {
				module = "none found"
			}
			return inv.print(r, func(w io.Writer) {
				fmt.Fprintf(w, "onceleaf\t%s\n", r.Version)
				fmt.Fprintf(w, "go\t%s\n", r.Go)
				fmt.Fprintf(w, "module\t%s\n", shown(module))
			})
		},
	}
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
