package main

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/onceleaf/onceleaf/lms"
)

type keyDetail struct {
	keyReport
	Signatures    uint64          `json:"signatures"`    // signatures of the whole key when it was new, saturating at 2^64-1
	SignatureSize int             `json:"signatureSize"` // bytes
	PublicKey     string          `json:"publicKey"`     // raw, hexadecimal
	State         json.RawMessage `json:"state"`         // CKA_ONCELEAF_STATE as the token gives it

	ledger ledger
}

func (inv *invocation) showCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show KEY",
		Short: "show everything about a key, with its ledger of leaves",
		Args:  cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return inv.withUser(func(s *session) error {
				key, err := s.key(args[0])
				if err != nil {
					return err
				}
				return inv.show(key)
			})
		},
	}
}

func (inv *invocation) show(k hssKey) error {
	sets, err := k.state.sets()
	if err != nil {
		return err
	}
	d := keyDetail{keyReport: reportKey(k), Signatures: signatures(sets), SignatureSize: lms.HSSSignatureSize(sets),
		State: k.state.raw, ledger: k.state}
	if k.identity != "" {
		d.PublicKey = hex.EncodeToString(k.public.Bytes())
	}
	return inv.print(d, d.write)
}

func (d keyDetail) write(w io.Writer) {
	d.keyReport.write(w)
	fmt.Fprintf(w, "signatures\t%s when new, %d bytes each\n", count(d.Signatures), d.SignatureSize)
	fmt.Fprintf(w, "public key\t%s\n", firstOf(d.PublicKey, "(deleted)"))
	fmt.Fprintf(w, "generation\t%d\n", d.ledger.Generation)
	fmt.Fprintf(w, "free root leaves\t%s\n", spanWords(d.ledger.Free))
	for _, t := range d.ledger.Given {
		fmt.Fprintf(w, "given\t%s to serial %s, transfer %s, %s\n", spanWords(t.Leaves), shown(t.Peer), t.ID, openOrClosed(t.Acknowledged))
	}
	for _, t := range d.ledger.Received {
		fmt.Fprintf(w, "received\t%s from serial %s, transfer %s\n", spanWords(t.Leaves), shown(t.Peer), t.ID)
	}
}

func openOrClosed(acknowledged bool) string {
	if acknowledged {
		return "acknowledged"
	}
	return "not acknowledged yet"
}

// spanWords is "48: 0-31 40-55".
func spanWords(spans []spanReport) string {
	total := uint64(0)
	words := ""
	for _, s := range spans {
		total += s.To - s.From
		words += fmt.Sprintf(" %d-%d", s.From, s.To-1)
	}
	if total == 0 {
		return "none"
	}
	return fmt.Sprintf("%d:%s", total, words)
}

func guardWords(guard string) string {
	if guard == "none" {
		return "none - a restored copy of the directory is not noticed"
	}
	return guard
}
