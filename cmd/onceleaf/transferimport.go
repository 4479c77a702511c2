package main

import (
	"fmt"
	"io"

	"github.com/miekg/pkcs11"
	"github.com/spf13/cobra"

	"github.com/onceleaf/onceleaf/backup"
	"github.com/onceleaf/onceleaf/internal/ck"
)

// Step 3.

// intake is what step 3 was asked for.
type intake struct {
	capsule, label, id string
	receipt            output
	settings
}

type importReport struct {
	Key     keyReport     `json:"key"`
	From    capsuleReport `json:"from"`
	Receipt string        `json:"receipt"` // path
}

func (inv *invocation) importCommand() *cobra.Command {
	var in intake
	cmd := &cobra.Command{
		Use:   "import --capsule FILE --label LABEL --receipt FILE",
		Short: "step 3, destination: take the leaves in and write the receipt",
		Long: `Take the leaves of a capsule in and write the receipt for the source. A key of which other leaves are here already
keeps its label, its id and its settings.

` + settingsHelp,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return inv.importCapsule(in) },
	}
	f := cmd.Flags()
	f.StringVar(&in.capsule, "capsule", "", "capsule `FILE` of step 2")
	f.StringVar(&in.label, "label", "", "`LABEL` of the key in this token")
	f.StringVar(&in.id, "id", "", "id of the key in `HEX` (default: random)")
	outputFlags(cmd, &in.receipt, "receipt", "receipt `FILE` to write")
	in.reserveFlag(f)
	in.warnBelowFlag(f)
	return cmd
}

func (inv *invocation) importCapsule(in intake) error {
	if in.capsule == "" || in.label == "" {
		return refusal("see 'onceleaf transfer import --help'", "import needs --capsule, --label and --receipt")
	}
	id, err := keyID(in.id)
	if err != nil {
		return err
	}
	data, err := readFile(in.capsule, maxCeremonyFile)
	if err != nil {
		return err
	}
	capsule, err := backup.ParseCapsule(data)
	if err != nil {
		return &problem{what: fmt.Sprintf("%s is no capsule: %v", shown(in.capsule), err), safe: taking.refused, err: err,
			next: "fetch it again from the source; the same export makes the same capsule"}
	}
	if err := in.check(capsule.Levels()); err != nil {
		return err
	}
	if err := in.receipt.checkNamed("--receipt"); err != nil {
		return err
	}
	return inv.withUser(func(s *session) error { return inv.take(s, in, id, capsule, data) })
}

func (inv *invocation) take(s *session, in intake, id []byte, capsule *backup.Capsule, data []byte) error {
	transferKey, req, err := s.transferKeyFor(capsule)
	if err != nil {
		return err
	}
	if err := inv.checkNewName(s, in.label, identityOf(capsule.PublicKey())); err != nil {
		return err
	}
	template := []*pkcs11.Attribute{
		number(ck.CKA_CLASS, ck.CKO_PRIVATE_KEY), number(ck.CKA_KEY_TYPE, ck.CKK_HSS),
		boolean(ck.CKA_TOKEN, true), text(ck.CKA_LABEL, in.label), octets(ck.CKA_ID, id),
	}
	template = append(template, in.attributes()...)
	private, err := s.lib.UnwrapKey(s.handle, mechanism(ck.CKM_ONCELEAF_PARTITION, nil), transferKey, data, template)
	if err != nil {
		return taking.problem(err)
	}
	if err := s.keepReceipt(private, in.receipt); err != nil {
		return err
	}
	return whenDone(inv.printImported(s, private, reportCapsule(in.capsule, req, capsule), in.receipt.path),
		"the leaves are in this token, and the receipt is written", "'onceleaf list' shows the key")
}

// checkNewName refuses a label that another key has. A key of which leaves are here already keeps the label it has.
func (inv *invocation) checkNewName(s *session, label, identity string) error {
	keys, err := s.keys()
	if err != nil {
		return err
	}
	for _, k := range keys {
		if k.identity == identity {
			inv.note("leaves of this key are here already: it keeps its label %s and its id", shown(k.label))
			return nil
		}
	}
	if same := keysWhere(keys, func(k hssKey) bool { return k.label == label }); len(same) > 0 {
		return refusal("choose another label", "the token has another key of this label: %s", listKeys(same))
	}
	return nil
}

// keepReceipt writes the receipt of a key's last import to a file.
func (s *session) keepReceipt(private pkcs11.ObjectHandle, out output) error {
	receipt, err := s.value(private, ck.CKA_ONCELEAF_RECEIPT)
	if err == nil {
		err = out.write(receipt, 0o644)
	}
	if err != nil {
		return &problem{what: "couldn't write the receipt: " + err.Error(), safe: "the leaves are in this token, and it keeps the receipt",
			next: "write it with 'onceleaf transfer receipt'", err: err}
	}
	return nil
}

func (inv *invocation) printImported(s *session, private pkcs11.ObjectHandle, from capsuleReport, receipt string) error {
	publics, err := s.publicKeys()
	if err != nil {
		return err
	}
	key, err := s.privateKey(private, publics)
	if err != nil {
		return err
	}
	r := importReport{reportKey(key), from, receipt}
	return inv.print(r, func(w io.Writer) {
		r.Key.write(w)
		r.From.write(w)
		fmt.Fprintf(w, "receipt\t%s\n", shown(r.Receipt))
	})
}

// transferKeyFor finds the one-time key that the capsule is made for, and its request.
func (s *session) transferKeyFor(capsule *backup.Capsule) (pkcs11.ObjectHandle, *backup.Request, error) {
	publics, err := s.find(number(ck.CKA_CLASS, ck.CKO_PUBLIC_KEY), number(ck.CKA_KEY_TYPE, ck.CKK_ONCELEAF_TRANSFER))
	if err != nil {
		return 0, nil, err
	}
	for _, public := range publics {
		value, err := s.value(public, ck.CKA_VALUE)
		if err != nil {
			return 0, nil, err
		}
		if req, err := backup.ParseRequest(value); err == nil && req.ID() == capsule.ID() {
			private, err := s.secretOf(req)
			return private, req, err
		}
	}
	to := capsule.Destination()
	return 0, nil, &problem{what: "this token waits for no such capsule: it was imported already, or answers a request of another token",
		safe: "nothing was changed", exit: exitToken,
		next: fmt.Sprintf("'onceleaf list' shows whether the leaves are here; the capsule says that it is for token %s", partyReport{to.Serial, to.Label})}
}

// secretOf finds the private half of a transfer key: both halves carry the fingerprint of the request.
func (s *session) secretOf(req *backup.Request) (pkcs11.ObjectHandle, error) {
	found, err := s.find(number(ck.CKA_CLASS, ck.CKO_PRIVATE_KEY), number(ck.CKA_KEY_TYPE, ck.CKK_ONCELEAF_TRANSFER),
		text(ck.CKA_ONCELEAF_FINGERPRINT, req.Fingerprint()))
	if err != nil {
		return 0, err
	}
	if len(found) != 1 {
		return 0, taking.problem(ck.CKR_UNWRAPPING_KEY_HANDLE_INVALID)
	}
	return found[0], nil
}
