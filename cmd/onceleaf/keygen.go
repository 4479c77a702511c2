package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/lms"
)

// freshID is the length in bytes of the CKA_ID that a key gets if none was asked for.
const freshID = 8

// keyPlan is the key that was asked for.
type keyPlan struct {
	label        string
	id           string // hexadecimal, "" for a random one
	levels       []string
	transferable bool
	settings
}

func (inv *invocation) keygenCommand() *cobra.Command {
	var plan keyPlan
	cmd := &cobra.Command{
		Use:   "keygen --label LABEL --level SET [--level SET]...",
		Short: "make an HSS key pair",
		Long: `Make an HSS key pair. Give --level once for each level, top first:

  --level LMS_SHA256_M32_H10/LMOTS_SHA256_N32_W4 --level LMS_SHA256_M32_H15/LMOTS_SHA256_N32_W8

Each name is an LMS type (hash SHA256 or SHAKE, M32 or M24 bytes, height H5 H10 H15 H20 H25) and an LM-OTS type (the same
hash and length, W1 W2 W4 W8). A key signs the product of 2^H over its levels, and no more. A high top tree takes long to
make; a large W makes signatures small and slow. All levels use one hash function and length. CNSA 2.0 approves one level
only.

` + settingsHelp,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return inv.keygen(plan) },
	}
	f := cmd.Flags()
	f.StringVar(&plan.label, "label", "", "`LABEL` of the key")
	f.StringVar(&plan.id, "id", "", "id of the key in `HEX` (default: random)")
	f.StringArrayVar(&plan.levels, "level", nil, "parameter `SET` of a level; repeat it, top first")
	f.BoolVar(&plan.transferable, "transferable", false, "leaves of the key may be given to another token (cannot be changed later)")
	plan.reserveFlag(f)
	plan.warnBelowFlag(f)
	cmd.RegisterFlagCompletionFunc("level", completeLevel)
	return cmd
}

func (inv *invocation) keygen(plan keyPlan) error {
	if plan.label == "" {
		return refusal("give --label NAME", "a key needs a label")
	}
	sets, err := parseLevels(plan.levels)
	if err != nil {
		return err
	}
	if err := plan.check(sets); err != nil {
		return err
	}
	id, err := keyID(plan.id)
	if err != nil {
		return err
	}
	// Measured before the module is loaded, so that nothing else runs meanwhile.
	estimate := estimateTree(sets[0])
	return inv.withUser(func(s *session) error {
		keys, err := s.keys()
		if err != nil {
			return err
		}
		if same := keysWhere(keys, func(k hssKey) bool { return k.label == plan.label }); len(same) > 0 {
			return refusal("choose another label", "the token has a key of this label: %s", listKeys(same))
		}
		inv.note("making a key for %s; signatures of %d bytes", countSignatures(signatures(sets)), lms.HSSSignatureSize(sets))
		var private pkcs11.ObjectHandle
		err = inv.during("building the top tree", estimate, func() (err error) {
			private, err = s.generate(sets, id, plan)
			return err
		})
		if err != nil {
			return err
		}
		return whenDone(inv.printNewKey(s, private), "the key is made", "'onceleaf list' shows it")
	})
}

// keyID reads an id in hexadecimal, or makes one.
func keyID(digits string) ([]byte, error) {
	if digits == "" {
		id := make([]byte, freshID)
		rand.Read(id)
		return id, nil
	}
	id, err := hex.DecodeString(digits)
	if err != nil {
		return nil, refusal("an id is written in hexadecimal, two digits for a byte", "%s is no id", shown(digits))
	}
	return id, nil
}

// generate makes the key pair in the token and returns its private key.
func (s *session) generate(sets []lms.ParameterSet, id []byte, plan keyPlan) (pkcs11.ObjectHandle, error) {
	var types, otsTypes []uint32
	for _, set := range sets {
		types = append(types, uint32(set.LMS))
		otsTypes = append(otsTypes, uint32(set.OTS))
	}
	public := []*pkcs11.Attribute{
		boolean(ck.CKA_TOKEN, true), text(ck.CKA_LABEL, plan.label), octets(ck.CKA_ID, id), boolean(ck.CKA_VERIFY, true),
	}
	private := []*pkcs11.Attribute{
		boolean(ck.CKA_TOKEN, true), boolean(ck.CKA_PRIVATE, true), boolean(ck.CKA_SENSITIVE, true),
		boolean(ck.CKA_EXTRACTABLE, false), boolean(ck.CKA_SIGN, true),
		text(ck.CKA_LABEL, plan.label), octets(ck.CKA_ID, id),
		number(ck.CKA_HSS_LEVELS, uint64(len(sets))),
		octets(ck.CKA_HSS_LMS_TYPES, ulongs(types)), octets(ck.CKA_HSS_LMOTS_TYPES, ulongs(otsTypes)),
		boolean(ck.CKA_ONCELEAF_TRANSFERABLE, plan.transferable),
	}
	private = append(private, plan.attributes()...)
	_, handle, err := s.lib.GenerateKeyPair(s.handle, mechanism(ck.CKM_HSS_KEY_PAIR_GEN, nil), public, private)
	return handle, makingKey.problem(err)
}

// printNewKey shows a key that has just come to be.
func (inv *invocation) printNewKey(s *session, private pkcs11.ObjectHandle) error {
	publics, err := s.publicKeys()
	if err != nil {
		return err
	}
	k, err := s.privateKey(private, publics)
	if err != nil {
		return err
	}
	r := reportKey(k)
	return inv.print(r, func(w io.Writer) { r.write(w) })
}

func countSignatures(n uint64) string {
	if n == 1 {
		return "1 signature"
	}
	return fmt.Sprintf("%s signatures", count(n))
}
