package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/onceleaf/onceleaf/internal/ck"
)

// maxTokenLabel is the length in bytes of CK_TOKEN_INFO.label.
const maxTokenLabel = 32

type tokenReport struct {
	Slot   uint   `json:"slot"`
	Label  string `json:"label"`
	Serial string `json:"serial"`
}

func (inv *invocation) initCommand() *cobra.Command {
	var label string
	cmd := &cobra.Command{
		Use:   "init --label LABEL",
		Short: "make a new token with an SO PIN and a user PIN",
		Long: `Make a new token, in the free slot that is always there (or in the one named by --slot).

The security officer's PIN sets and resets the user PIN; the user PIN opens the keys. A token that exists is never
initialised again by this command.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return inv.initToken(label) },
	}
	cmd.Flags().StringVar(&label, "label", "", "`LABEL` of the token, at most 32 bytes")
	return cmd
}

func (inv *invocation) initToken(label string) error {
	if label == "" || len(label) > maxTokenLabel {
		return refusal("give --label NAME", "a token's label has 1 to %d bytes", maxTokenLabel)
	}
	return inv.withModule(func(m *module) error {
		free, err := inv.chooseFree(m, label)
		if err != nil {
			return err
		}
		soPIN, err := inv.newPIN(ck.CKU_SO, label)
		if err != nil {
			return err
		}
		pin, err := inv.newPIN(ck.CKU_USER, label)
		if err != nil {
			return err
		}
		if err := m.lib.InitToken(free.id, soPIN, label); err != nil {
			return makingToken.problem(err)
		}
		return inv.finishToken(m, free.id, soPIN, pin)
	})
}

// chooseFree picks a slot that holds no token yet.
func (inv *invocation) chooseFree(m *module, label string) (slot, error) {
	slots, err := m.slots()
	if err != nil {
		return slot{}, err
	}
	var free []slot
	for _, s := range slots {
		if s.initialised() && s.token.Label == label {
			return slot{}, refusal("choose another label", "a token with the label %s exists already: %s", shown(label), listSlots([]slot{s}))
		}
		if s.err == nil && !s.initialised() && (inv.slot < 0 || s.id == uint(inv.slot)) {
			free = append(free, s)
		}
	}
	if len(free) == 0 {
		return slot{}, refusal("'onceleaf list --tokens' shows the slots", "no free slot fits %s; a token that exists is not initialised again", inv.wish())
	}
	return free[0], nil
}

// finishToken gives a new token its user PIN and shows it.
func (inv *invocation) finishToken(m *module, id uint, soPIN, pin string) error {
	made := slot{id: id}
	err := m.inSession(made, func(s *session) error {
		if err := s.lib.Login(s.handle, uint(ck.CKU_SO), soPIN); err != nil {
			return makingPINs.problem(err)
		}
		return makingPINs.problem(s.lib.InitPIN(s.handle, pin))
	})
	if err != nil {
		inv.warn("the token was made, but has no user PIN yet: set it with 'onceleaf pin reset --slot %d'", id)
		return err
	}
	if made.token, err = m.lib.GetTokenInfo(id); err != nil {
		return asking.problem(err)
	}
	r := tokenReport{id, made.token.Label, made.token.SerialNumber}
	return inv.print(r, func(w io.Writer) {
		fmt.Fprintf(w, "token\t%s\nserial\t%s\nslot\t%d\n", shown(r.Label), shown(r.Serial), r.Slot)
	})
}
