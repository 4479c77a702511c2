package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/lms"
)

type signReport struct {
	Signature string       `json:"signature"` // path
	Size      int          `json:"size"`      // bytes
	Leaves    []leafReport `json:"leaves"`
	Remaining uint64       `json:"remaining"` // signatures left in the key
	Low       bool         `json:"low"`       // they are below the key's threshold
	Exhausted bool         `json:"exhausted"` // this was the last
}

func (inv *invocation) signCommand() *cobra.Command {
	var key, in string
	var out output
	cmd := &cobra.Command{
		Use:   "sign --key KEY --in FILE [--out FILE]",
		Short: "sign a file; this uses one leaf",
		Long: `Sign a file with an HSS key and write the signature (RFC 8554, raw) to another.

Each signature uses up one leaf of the key. Everything that can be refused is refused before that: the output must not
exist (unless --force) and its folder must be writable. The signature is on the disk when the command says so.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return inv.sign(key, in, out) },
	}
	f := cmd.Flags()
	f.StringVar(&key, "key", "", "the `KEY`: label, id in hexadecimal, or beginning of its identity")
	f.StringVar(&in, "in", "", "message `FILE`; - is stdin")
	f.StringVar(&out.path, "out", "", "signature `FILE` (default: the message file's name with .sig)")
	f.BoolVar(&out.force, "force", false, "replace the signature file if it exists")
	return cmd
}

func (inv *invocation) sign(name, in string, out output) error {
	if name == "" || in == "" {
		return refusal("see 'onceleaf sign --help'", "sign needs --key and --in")
	}
	if out.path == "" && in == "-" {
		return refusal("give --out FILE", "a message from stdin gives the signature no name")
	}
	out.path = firstOf(out.path, in+".sig")
	if sameFile(in, out.path) {
		return refusal("choose another output", "%s is the message itself", shown(out.path))
	}
	if err := out.check(); err != nil {
		return err
	}
	message, err := inv.readMessage(in)
	if err != nil {
		return err
	}
	return inv.withUser(func(s *session) error { return inv.signAndKeep(s, name, message, out) })
}

// signAndKeep makes the signature and has it on the disk when it returns nil.
func (inv *invocation) signAndKeep(s *session, name string, message []byte, out output) error {
	key, err := s.key(name)
	if err != nil {
		return err
	}
	defer inv.holdInterrupts()()
	var signature []byte
	err = inv.during("signing", 0, func() (err error) {
		signature, err = s.sign(key, message)
		return err
	})
	if err != nil {
		return err
	}
	if err := out.write(signature, 0o644); err != nil {
		return rescue(signature, out, err)
	}
	return whenDone(inv.printSigned(s, key, signature, out),
		"the message is signed, with one leaf, and the signature is in "+shown(out.path), "use that file; do not sign again")
}

// rescue keeps a signature whose file could not be written under another name, since its leaf is spent.
func rescue(signature []byte, out output, cause error) error {
	p := &problem{what: cause.Error(), safe: "the message was signed and its leaf is used up; no leaf will be used twice",
		next: "sign again to a file that can be written; that uses another leaf", err: cause}
	other := output{path: out.path + ".rescued"}
	if other.write(signature, 0o644) == nil {
		p.safe, p.next = "the message is signed, with one leaf, and the signature is in "+shown(other.path), "use that file; do not sign again"
	}
	return p
}

func (s *session) sign(key hssKey, message []byte) ([]byte, error) {
	if err := s.lib.SignInit(s.handle, mechanism(ck.CKM_HSS, nil), key.private); err != nil {
		return nil, finally(signing.problem(err))
	}
	signature, err := s.lib.Sign(s.handle, message)
	return signature, finally(signing.begun(err, ck.CKR_KEY_EXHAUSTED, ck.CKR_DATA_LEN_RANGE))
}

// finally says of a key without leaves that this is its end. For other steps the answer can mean less.
func finally(err error) error {
	var p *problem
	if errors.As(err, &p) && errors.Is(err, ck.CKR_KEY_EXHAUSTED) {
		p.what = fmt.Sprintf("couldn't sign: this key is used up for good (%v)", ck.CKR_KEY_EXHAUSTED)
	}
	return err
}

// printSigned shows what was made. The signature is kept already, so what cannot be shown is left out.
func (inv *invocation) printSigned(s *session, key hssKey, signature []byte, out output) error {
	r := signReport{Signature: out.path, Size: len(signature), Leaves: []leafReport{}}
	if parsed, err := lms.ParseHSSSignature(signature); err == nil {
		r.Leaves = reportLeaves(parsed, &key.public)
	}
	state, err := s.ledger(key.private)
	if err != nil {
		return err
	}
	key.state = state
	r.Remaining, r.Low, r.Exhausted = state.Remaining, state.Low, state.Exhausted
	if warning := reportKey(key).warning(); warning != "" {
		inv.note("warning: %s", warning)
	}
	return inv.print(r, func(w io.Writer) {
		fmt.Fprintf(w, "signature\t%s (%d bytes)\n", shown(r.Signature), r.Size)
		for _, leaf := range r.Leaves {
			fmt.Fprintf(w, "level %d\tleaf %d\n", leaf.Level, leaf.Q)
		}
		fmt.Fprintf(w, "remaining\t%s\n", count(r.Remaining))
	})
}

// holdInterrupts keeps a first interrupt from ending the program between a leaf and the file its signature goes to; it
// would also burn the rest of the lower trees. A second one ends the program. The function returned ends that.
func (inv *invocation) holdInterrupts() (release func()) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		if _, open := <-signals; open {
			signal.Reset(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
			inv.warn("finishing this signature; interrupt again to give it up with its leaf")
		}
	}()
	return func() {
		signal.Stop(signals)
		close(signals)
	}
}

// sameFile says whether two paths lead to one file.
func sameFile(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}
