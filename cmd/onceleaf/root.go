package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitDone    = 0 // done; verify: the signature is good
	exitBad     = 1 // verify: the signature is not good; leaves: a leaf was used twice; check: something is damaged
	exitRefused = 2 // usage, files, or a choice this tool refuses
	exitToken   = 3 // the module or the token refused or failed
	exitWarned  = 4 // check: there are warnings and nothing worse
)

const about = `onceleaf works with Onceleaf tokens: software HSMs whose HSS/LMS keys never sign twice with one leaf.

Exit codes:
  0  done; verify: the signature is good
  1  verify: the signature is not good; leaves: a leaf was used twice; check: something is damaged or in danger
  2  wrong usage, a file that cannot be read or written, or a choice that this tool refuses
  3  the module could not be loaded, or the token refused or failed; the message says whether a leaf was used
  4  check: there are warnings and nothing worse

PINs come from a prompt, from --pin-file and --so-pin-file (first line), or from ONCELEAF_PIN and ONCELEAF_SO_PIN.`

// invocation is one run of the program: what the global flags chose, and the streams.
type invocation struct {
	module, dir        string // paths, "" for the default
	token, serial      string // wanted token, "" for any
	slot               int    // wanted slot, -1 for any
	pinFile, soPINFile string // paths, "" if not given
	json, quiet        bool

	stdin          io.Reader
	stdout, stderr io.Writer
}

// run is the program: it returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	inv := &invocation{stdin: stdin, stdout: stdout, stderr: stderr}
	root := inv.root()
	root.SetArgs(args)
	if err := root.Execute(); err != nil {
		return report(stderr, err)
	}
	return exitDone
}

func (inv *invocation) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "onceleaf",
		Short:         "work with Onceleaf tokens and their HSS/LMS keys",
		Long:          about,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetIn(inv.stdin)
	root.SetOut(inv.stdout)
	root.SetErr(inv.stderr)
	root.SetFlagErrorFunc(flagProblem)
	inv.globalFlags(root)
	root.AddCommand(
		inv.initCommand(), inv.pinCommand(), inv.keygenCommand(),
		inv.listCommand(), inv.showCommand(), inv.setCommand(),
		inv.signCommand(), inv.verifyCommand(), inv.leavesCommand(), inv.checkCommand(),
		inv.exportPublicCommand(), inv.transferCommand(), inv.daemonCommand(), inv.versionCommand(), manCommand(),
	)
	return root
}

func (inv *invocation) globalFlags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVar(&inv.module, "module", "", "PKCS#11 module `FILE` (default $ONCELEAF_MODULE, else the one installed with this program)")
	f.StringVar(&inv.dir, "dir", "", "token directory `DIR` (sets ONCELEAF_DIR for the module)")
	f.StringVar(&inv.token, "token", "", "choose the token with this `LABEL`")
	f.StringVar(&inv.serial, "serial", "", "choose the token with this serial `NUMBER`")
	f.IntVar(&inv.slot, "slot", -1, "choose the token in this slot `ID`")
	f.Lookup("slot").DefValue = "0" // which the help does not print
	f.StringVar(&inv.pinFile, "pin-file", "", "read the user PIN from the first line of `FILE`")
	f.StringVar(&inv.soPINFile, "so-pin-file", "", "read the SO PIN from the first line of `FILE`")
	f.BoolVar(&inv.json, "json", false, "print data as JSON")
	f.BoolVarP(&inv.quiet, "quiet", "q", false, "no notes and no progress on stderr")
}

// flagProblem explains a flag that does not exist or has a bad value.
func flagProblem(cmd *cobra.Command, err error) error {
	p := &problem{what: err.Error(), next: fmt.Sprintf("see '%s --help'", cmd.CommandPath())}
	if strings.HasPrefix(err.Error(), "unknown flag: --pin") || strings.HasPrefix(err.Error(), "unknown flag: --so-pin") {
		p.what = "a PIN is never an argument: every process of this machine can read it there"
		p.next = "let the command ask for it, or use --pin-file, --so-pin-file, ONCELEAF_PIN or ONCELEAF_SO_PIN"
	}
	return p
}
