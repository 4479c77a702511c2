package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/miekg/pkcs11"
	"github.com/spf13/cobra"

	"github.com/onceleaf/onceleaf/backup"
	"github.com/onceleaf/onceleaf/internal/ck"
)

// Step 2.

// giveaway is what step 2 was asked for.
type giveaway struct {
	key         string
	request     string // path
	count       uint64 // root leaves; 0 is half of the free ones
	fingerprint string // what the operator was told; "" if not given
	yes         bool
	out         output
}

type exportReport struct {
	capsuleReport
	Remaining  uint64 `json:"remaining"`     // signatures left at the source
	RootLeaves uint64 `json:"rootRemaining"` // root leaves left at the source
}

// capsuleReport is what can be read of a capsule without opening it.
type capsuleReport struct {
	Capsule            string       `json:"capsule"` // path
	TransferID         string       `json:"transferId"`
	Fingerprint        string       `json:"fingerprint"`        // of the request
	CapsuleFingerprint string       `json:"capsuleFingerprint"` // of the capsule itself
	Source             partyReport  `json:"source"`
	Destination        partyReport  `json:"destination"`
	Leaves             []spanReport `json:"leaves"` // of the root tree
}

func reportCapsule(path string, req *backup.Request, c *backup.Capsule) capsuleReport {
	from, to := c.Source(), c.Destination()
	r := capsuleReport{path, c.ID(), req.Fingerprint(), c.Fingerprint(),
		partyReport{from.Serial, from.Label}, partyReport{to.Serial, to.Label}, []spanReport{}}
	for _, s := range c.Leaves() {
		r.Leaves = append(r.Leaves, spanReport{s.From, s.To})
	}
	return r
}

func (r capsuleReport) write(w io.Writer) {
	fmt.Fprintf(w, "capsule\t%s\n", shown(r.Capsule))
	fmt.Fprintf(w, "capsule fingerprint\t%s\n", r.CapsuleFingerprint)
	fmt.Fprintf(w, "request fingerprint\t%s\n", r.Fingerprint)
	fmt.Fprintf(w, "transfer\t%s\n", r.TransferID)
	fmt.Fprintf(w, "source\t%s\n", r.Source)
	fmt.Fprintf(w, "destination\t%s\n", r.Destination)
	fmt.Fprintf(w, "root leaves\t%s\n", spanWords(r.Leaves))
}

type partyReport struct {
	Serial string `json:"serial"`
	Label  string `json:"label"`
}

func (p partyReport) String() string { return shown(p.Label) + " (serial " + shown(p.Serial) + ")" }

func (inv *invocation) exportCommand() *cobra.Command {
	var g giveaway
	cmd := &cobra.Command{
		Use:   "export --key KEY --request FILE --out CAPSULE",
		Short: "step 2, source: give leaves to the token that made the request",
		Long: `Give root leaves of a key to the token that made the request, in a capsule that only that token can open.

The leaves leave this token for good before the capsule is written. If the capsule is lost or cannot be written, run the
same export again with the same request: the same capsule comes out, and no more leaves leave.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return inv.export(g) },
	}
	f := cmd.Flags()
	f.StringVar(&g.key, "key", "", "the `KEY`: label, id in hexadecimal, or beginning of its identity")
	f.StringVar(&g.request, "request", "", "request `FILE` of step 1")
	f.Uint64Var(&g.count, "count", 0, "how many root leaves to give, `N` (default: half of the free ones)")
	f.StringVar(&g.fingerprint, "fingerprint", "", "go on only if the request has this fingerprint `VALUE`, without asking")
	f.BoolVar(&g.yes, "yes", false, "go on without comparing the fingerprint")
	outputFlags(cmd, &g.out, "out", "capsule `FILE` to write")
	return cmd
}

func (inv *invocation) export(g giveaway) error {
	if g.key == "" || g.request == "" {
		return refusal("see 'onceleaf transfer export --help'", "export needs --key, --request and --out")
	}
	data, err := readFile(g.request, maxCeremonyFile)
	if err != nil {
		return err
	}
	req, err := backup.ParseRequest(data)
	if err != nil {
		return refusal("fetch it again from the destination", "%s is no transfer request: %v", shown(g.request), err)
	}
	if err := g.checkFingerprint(req.Fingerprint()); err != nil {
		return err
	}
	if err := g.out.checkNamed("--out"); err != nil {
		return err
	}
	return inv.withUser(func(s *session) error { return inv.give(s, g, req, data) })
}

// checkFingerprint compares the fingerprint that was given, or sees to it that somebody can be asked.
func (g giveaway) checkFingerprint(want string) error {
	switch {
	case g.fingerprint != "" && plainFingerprint(g.fingerprint) != plainFingerprint(want):
		return &problem{what: fmt.Sprintf("the request's fingerprint is %s, not %s", want, shown(g.fingerprint)), safe: giving.refused,
			next: "do not export: the request is not the one that the destination made; fetch it again"}
	case g.fingerprint == "" && !g.yes && !hasTerminal():
		return &problem{what: "nobody can compare the fingerprint: there is no terminal", safe: giving.refused,
			next: "give --fingerprint VALUE as the destination printed it"}
	}
	return nil
}

// plainFingerprint is a fingerprint without what people add or leave out.
func plainFingerprint(f string) string {
	return strings.ToLower(strings.NewReplacer("-", "", " ", "", ":", "").Replace(f))
}

func (inv *invocation) give(s *session, g giveaway, req *backup.Request, data []byte) error {
	keys, err := s.keys()
	if err != nil {
		return err
	}
	key, err := chooseKey(keys, g.key)
	if err != nil {
		return err
	}
	again, err := answered(keys, key, req)
	if err != nil {
		return err
	}
	if again {
		inv.note("this request was answered before: the same capsule comes out again, and no more leaves leave")
	} else if err := inv.confirm(g, key, req); err != nil {
		return err
	}
	capsule, err := s.partition(key, data, g.count)
	if err != nil {
		return err
	}
	if err := g.out.write(capsule, 0o644); err != nil {
		return &problem{what: err.Error(), safe: "the leaves are set aside for this request and nothing is lost", err: err,
			next: "run the same export again with the same request and another --out: the same capsule comes out"}
	}
	inv.note("if the capsule is lost, the same export with the same request makes it again")
	return whenDone(inv.printExported(s, key, g.out.path, req, capsule),
		"the leaves left the token, and the capsule is in "+shown(g.out.path), "take that file to the destination")
}

// answered says whether leaves of the key went to this request before. A request that another key has answered is
// refused: the destination takes one capsule in for each request, and the leaves in the other would be lost.
func answered(keys []hssKey, key hssKey, req *backup.Request) (again bool, err error) {
	for _, k := range keys {
		for _, t := range k.state.Given {
			if t.ID != req.ID() {
				continue
			}
			if k.private != key.private {
				return false, &problem{what: "this request was answered with leaves of " + k.name(), safe: giving.refused,
					next: "make another request at the destination for leaves of " + key.name()}
			}
			again = true
		}
	}
	return again, nil
}

func (inv *invocation) printExported(s *session, key hssKey, path string, req *backup.Request, capsule []byte) error {
	parsed, err := backup.ParseCapsule(capsule)
	if err != nil {
		return fmt.Errorf("couldn't read the token's capsule: %w", err)
	}
	state, err := s.ledger(key.private)
	if err != nil {
		return err
	}
	r := exportReport{reportCapsule(path, req, parsed), state.Remaining, state.RootRemaining}
	return inv.print(r, r.write)
}

// confirm lets a person compare the fingerprint, unless that was done otherwise.
func (inv *invocation) confirm(g giveaway, key hssKey, req *backup.Request) error {
	if g.fingerprint != "" || g.yes {
		return nil
	}
	leaves := "half"
	if g.count > 0 {
		leaves = count(g.count)
	}
	to := req.Destination()
	answer, err := askLine(fmt.Sprintf("Give %s of the %s free root leaves of %s to token %s, for good.\nFingerprint: %s\n"+
		"Does the destination show the same fingerprint? Type yes to go on: ",
		leaves, count(key.state.RootRemaining), key.name(), partyReport{to.Serial, to.Label}, req.Fingerprint()))
	if err == nil && answer != "yes" {
		err = errors.New("not confirmed")
	}
	if err != nil {
		return &problem{what: "couldn't export leaves: " + err.Error(), safe: giving.refused, err: err}
	}
	return nil
}

// partition has the token set leaves aside and seal them for the request.
func (s *session) partition(key hssKey, request []byte, count uint64) ([]byte, error) {
	to, err := s.lib.CreateObject(s.handle, []*pkcs11.Attribute{
		number(ck.CKA_CLASS, ck.CKO_PUBLIC_KEY), number(ck.CKA_KEY_TYPE, ck.CKK_ONCELEAF_TRANSFER),
		boolean(ck.CKA_TOKEN, false), octets(ck.CKA_VALUE, request),
	})
	if err != nil {
		return nil, giving.problem(err)
	}
	var parameter []byte
	if count > 0 {
		parameter = ulong(count)
	}
	capsule, err := s.lib.WrapKey(s.handle, mechanism(ck.CKM_ONCELEAF_PARTITION, parameter), to, key.private)
	return capsule, giving.problem(err)
}

func (r exportReport) write(w io.Writer) {
	r.capsuleReport.write(w)
	fmt.Fprintf(w, "left here\t%s, %s\n", countSignatures(r.Remaining), plural(r.RootLeaves, "root leaf", "root leaves"))
}
