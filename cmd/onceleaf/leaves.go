package main

import (
	"encoding/hex"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/onceleaf/onceleaf/internal/audit"
	"github.com/onceleaf/onceleaf/lms"
)

// leafReport names one leaf, in the terms of RFC 8554.
type leafReport struct {
	Level int    `json:"level"`       // 0 is the top
	I     string `json:"i,omitempty"` // identifier of the tree in hexadecimal; a signature alone does not tell the top tree's
	Q     uint32 `json:"q"`
}

type leavesReport struct {
	File   string       `json:"file"`
	Leaves []leafReport `json:"leaves"`
}

type auditReport struct {
	Signatures []leavesReport `json:"signatures"`
	Reused     []reuse        `json:"reused"`
}

// reuse is a leaf that signed two different things.
type reuse struct {
	Leaf  leafReport `json:"leaf"`
	Files [2]string  `json:"files"`
}

func (inv *invocation) leavesCommand() *cobra.Command {
	var publicKey string
	cmd := &cobra.Command{
		Use:   "leaves SIGNATURE...",
		Short: "print which leaves signatures used, and whether one was used twice",
		Long: `Print the leaf of each level that a signature used: I names the tree, q the leaf in it.

Of several signatures it also says whether a leaf made two different ones, which must never happen; the exit code is
then 1. A signature does not name its top tree, so leaves of the top level are compared only if --public-key tells that
all the signatures are of that key. The signatures are not verified.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return inv.leaves(publicKey, args) },
	}
	cmd.Flags().StringVar(&publicKey, "public-key", "", "public key `FILE` of all these signatures")
	return cmd
}

func (inv *invocation) leaves(publicKey string, files []string) error {
	var key *lms.HSSPublicKey
	if publicKey != "" {
		k, err := readPublicKey(publicKey)
		if err != nil {
			return err
		}
		key = &k
	}
	report := auditReport{Signatures: []leavesReport{}, Reused: []reuse{}}
	var seen audit.Audit
	for _, file := range files {
		sig, err := readSignature(file)
		if err != nil {
			return err
		}
		report.Signatures = append(report.Signatures, leavesReport{file, reportLeaves(sig, key)})
		for _, r := range seen.Note(file, rootOf(key), sig) {
			report.Reused = append(report.Reused, reuse{reportLeaves(sig, key)[r.Leaf.Level], [2]string{r.First, r.Second}})
		}
	}
	if err := inv.print(report, report.write); err != nil {
		return err
	}
	if n := len(report.Reused); n > 0 {
		return &problem{what: fmt.Sprintf("%s used twice", plural(uint64(n), "leaf was", "leaves were")), exit: exitBad,
			next: "stop signing with this key: whoever holds both signatures may be able to forge others"}
	}
	return nil
}

func rootOf(key *lms.HSSPublicKey) *lms.PublicKey {
	if key == nil {
		return nil
	}
	return &key.Root
}

func readSignature(path string) (lms.HSSSignature, error) {
	data, err := readFile(path, maxSignatureFile)
	if err != nil {
		return lms.HSSSignature{}, err
	}
	sig, err := lms.ParseHSSSignature(data)
	if err != nil {
		return sig, refusal("check that it is the right file", "%s holds no HSS signature: %v", shown(path), err)
	}
	return sig, nil
}

// reportLeaves names the leaves of a signature, top first. key tells the identifier of the top tree; it may be nil.
func reportLeaves(sig lms.HSSSignature, key *lms.HSSPublicKey) []leafReport {
	leaves := sig.Leaves()
	reports := make([]leafReport, len(leaves))
	for i, leaf := range leaves {
		reports[i] = leafReport{Level: leaf.Level, I: hex.EncodeToString(leaf.I[:]), Q: leaf.Q}
		if leaf.Level == 0 {
			reports[i].I = ""
			if key != nil && key.Levels > 0 {
				reports[i].I = hex.EncodeToString(key.Root.I[:])
			}
		}
	}
	return reports
}

func (r auditReport) write(w io.Writer) {
	for _, s := range r.Signatures {
		for _, leaf := range s.Leaves {
			fmt.Fprintf(w, "%s\t%s\n", shown(s.File), leaf)
		}
	}
	for _, u := range r.Reused {
		fmt.Fprintf(w, "USED TWICE\t%s\tin %s and %s\n", u.Leaf, shown(u.Files[0]), shown(u.Files[1]))
	}
}

func (l leafReport) String() string {
	tree := l.I
	if tree == "" {
		tree = "(not in the signature)"
	}
	return fmt.Sprintf("level %d\tq %d\tI %s", l.Level, l.Q, tree)
}
