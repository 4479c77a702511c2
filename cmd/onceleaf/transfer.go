package main

import (
	"fmt"
	"io"

	"github.com/miekg/pkcs11"
	"github.com/spf13/cobra"

	"github.com/onceleaf/onceleaf/backup"
	"github.com/onceleaf/onceleaf/internal/ck"
)

const ceremony = `Give root leaves of a transferable key to another token, which then signs with them under the same public key.

  1  destination:  onceleaf transfer request --out request.json
  2  source:       onceleaf transfer export --key KEY --request request.json --out capsule.json
  3  destination:  onceleaf transfer import --capsule capsule.json --label LABEL --receipt receipt.json
  4  source:       onceleaf transfer acknowledge --key KEY --receipt receipt.json

Both sides print the same short fingerprint of the request: compare it by voice or in person, since whoever changes the
request on its way gets the leaves. Leaves leave the source for good, before the capsule is written. A capsule that was
lost is made again by the same export with the same request, byte for byte; each is imported once.`

// schemes are the transfer keys that 'transfer request' makes.
var schemes = map[string]uint64{"hpke": ck.TRANSFER_HPKE, "rsa": ck.TRANSFER_RSA}

func (inv *invocation) transferCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "transfer",
		Short: "give leaves of a key to another token (a ceremony of four steps)",
		Long:  ceremony,
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(inv.requestCommand(), inv.exportCommand(), inv.importCommand(), inv.acknowledgeCommand(), inv.receiptCommand())
	return cmd
}

// Step 1.

type requestReport struct {
	Request     string `json:"request"` // path
	TransferID  string `json:"transferId"`
	Fingerprint string `json:"fingerprint"`
}

func (inv *invocation) requestCommand() *cobra.Command {
	var scheme string
	var out output
	cmd := &cobra.Command{
		Use:   "request --out FILE",
		Short: "step 1, destination: make a one-time transfer key and write the request for leaves",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return inv.request(scheme, out) },
	}
	cmd.Flags().StringVar(&scheme, "scheme", "hpke", "`NAME`: hpke (ML-KEM-768 with X25519) or rsa (RSA-3072 OAEP)")
	outputFlags(cmd, &out, "out", "request `FILE` to write")
	return cmd
}

func (inv *invocation) request(scheme string, out output) error {
	number, ok := schemes[scheme]
	if !ok {
		return refusal("choose hpke or rsa", "there is no scheme %s", shown(scheme))
	}
	if err := out.checkNamed("--out"); err != nil {
		return err
	}
	return inv.withUser(func(s *session) error {
		public, private, err := s.transferKey(number)
		if err != nil {
			return err
		}
		r, err := s.keepRequest(public, out)
		if err != nil {
			// A request that nobody has leaves nothing behind.
			s.lib.DestroyObject(s.handle, private)
			s.lib.DestroyObject(s.handle, public)
			return err
		}
		return inv.print(r, func(w io.Writer) {
			fmt.Fprintf(w, "request\t%s\ntransfer\t%s\nrequest fingerprint\t%s\n", shown(r.Request), r.TransferID, r.Fingerprint)
		})
	})
}

func (s *session) transferKey(scheme uint64) (public, private pkcs11.ObjectHandle, err error) {
	token := []*pkcs11.Attribute{boolean(ck.CKA_TOKEN, true)}
	public, private, err = s.lib.GenerateKeyPair(s.handle,
		mechanism(ck.CKM_ONCELEAF_TRANSFER_KEY_PAIR_GEN, ulong(scheme)), token, token)
	return public, private, requesting.problem(err)
}

func (s *session) keepRequest(public pkcs11.ObjectHandle, out output) (requestReport, error) {
	value, err := s.value(public, ck.CKA_VALUE)
	if err != nil {
		return requestReport{}, err
	}
	req, err := backup.ParseRequest(value)
	if err != nil {
		return requestReport{}, fmt.Errorf("couldn't read the token's request: %w", err)
	}
	return requestReport{out.path, req.ID(), req.Fingerprint()}, out.write(value, 0o644)
}

// Step 4.

func (inv *invocation) acknowledgeCommand() *cobra.Command {
	var key, receipt string
	cmd := &cobra.Command{
		Use:   "acknowledge --key KEY --receipt FILE",
		Short: "step 4, source: take in the receipt, which closes the transfer",
		Long: `Take in the receipt of the destination. The transfer is then closed: the source forgets the capsule, and exporting again
with the same request is refused.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return inv.acknowledge(key, receipt) },
	}
	cmd.Flags().StringVar(&key, "key", "", "the `KEY`: label, id in hexadecimal, or beginning of its identity")
	cmd.Flags().StringVar(&receipt, "receipt", "", "receipt `FILE` of step 3")
	return cmd
}

func (inv *invocation) acknowledge(name, path string) error {
	if name == "" || path == "" {
		return refusal("see 'onceleaf transfer acknowledge --help'", "acknowledge needs --key and --receipt")
	}
	receipt, err := readFile(path, maxCeremonyFile)
	if err != nil {
		return err
	}
	if len(receipt) == 0 {
		return refusal("fetch it again from the destination", "%s is empty", shown(path))
	}
	return inv.withUser(func(s *session) error {
		key, err := s.key(name)
		if err != nil {
			return err
		}
		_, err = s.lib.UnwrapKey(s.handle, mechanism(ck.CKM_ONCELEAF_RECEIPT, nil), key.private, receipt, nil)
		return inv.done("the transfer is closed", acknowledging.problem(err))
	})
}

func (inv *invocation) receiptCommand() *cobra.Command {
	var key string
	var out output
	cmd := &cobra.Command{
		Use:   "receipt --key KEY --out FILE",
		Short: "destination: write the receipt of a key's last import again",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if err := out.checkNamed("--out"); err != nil {
				return err
			}
			return inv.withUser(func(s *session) error {
				k, err := s.key(key)
				if err != nil {
					return err
				}
				return s.keepReceipt(k.private, out)
			})
		},
	}
	cmd.Flags().StringVar(&key, "key", "", "the `KEY`: label, id in hexadecimal, or beginning of its identity")
	outputFlags(cmd, &out, "out", "receipt `FILE` to write")
	return cmd
}
