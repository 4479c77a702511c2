package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/onceleaf/onceleaf/lms"
)

type verifyReport struct {
	Valid  bool         `json:"valid"`
	Reason string       `json:"reason,omitempty"` // why the signature is not valid
	Leaves []leafReport `json:"leaves"`
}

func (inv *invocation) verifyCommand() *cobra.Command {
	var publicKey, signature string
	cmd := &cobra.Command{
		Use:   "verify --public-key FILE [--signature FILE] MESSAGE",
		Short: "verify a signature; needs no token",
		Long: `Verify an HSS signature of MESSAGE (- is stdin). This needs neither a token nor a module.

The public key is raw (60 or 52 bytes), or a SubjectPublicKeyInfo in DER or PEM, with the raw key inside (RFC 9708) or
with an OCTET STRING around it (RFC 8708).

Exit codes: 0 the signature is good, 1 it is not, 2 a file could not be read or is no public key.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return inv.verify(publicKey, signature, args[0]) },
	}
	cmd.Flags().StringVar(&publicKey, "public-key", "", "public key `FILE`")
	cmd.Flags().StringVar(&signature, "signature", "", "signature `FILE` (default: the message file's name with .sig)")
	return cmd
}

func (inv *invocation) verify(publicKey, signature, in string) error {
	if publicKey == "" || (signature == "" && in == "-") {
		return refusal("see 'onceleaf verify --help'", "verify needs --public-key, and --signature for a message from stdin")
	}
	key, err := readPublicKey(publicKey)
	if err != nil {
		return err
	}
	sig, err := readFile(firstOf(signature, in+".sig"), maxSignatureFile)
	if err != nil {
		return err
	}
	message, err := inv.readMessage(in)
	if err != nil {
		return err
	}
	return inv.printVerdict(key, sig, key.Verify(message, sig))
}

// printVerdict tells whether the signature is good; verdict is why not.
func (inv *invocation) printVerdict(key lms.HSSPublicKey, sig []byte, verdict error) error {
	r := verifyReport{Valid: verdict == nil, Leaves: []leafReport{}}
	if parsed, err := lms.ParseHSSSignature(sig); err == nil {
		r.Leaves = reportLeaves(parsed, &key)
	}
	if r.Valid {
		return inv.print(r, func(w io.Writer) { fmt.Fprintln(w, "good signature") })
	}
	r.Reason = verdict.Error()
	if inv.json {
		if err := inv.print(r, nil); err != nil {
			return err
		}
	}
	what := "bad signature: it is not one of this message under this key"
	if errors.Is(verdict, lms.ErrEncoding) {
		what = "bad signature: it is no HSS signature at all"
	}
	return &problem{what: what + " (" + r.Reason + ")", next: "do not trust the message", exit: exitBad, err: verdict}
}
