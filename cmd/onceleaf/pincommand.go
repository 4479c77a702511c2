package main

import (
	"github.com/spf13/cobra"

	"github.com/onceleaf/onceleaf/internal/ck"
)

func (inv *invocation) pinCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "pin",
		Short: "change a PIN, or reset the user PIN",
		Args:  cobra.NoArgs,
	}
	var newFile string
	var so bool
	change := &cobra.Command{
		Use:   "change",
		Short: "replace a PIN by a new one, knowing the old one",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return inv.changePIN(so, newFile) },
	}
	change.Flags().BoolVar(&so, "so", false, "the security officer's PIN, not the user's")
	change.Flags().StringVar(&newFile, "new-pin-file", "", "read the new PIN from the first line of `FILE`")
	reset := &cobra.Command{
		Use:   "reset",
		Short: "set a new user PIN with the SO PIN, and unlock it",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return inv.resetPIN() },
	}
	cmd.AddCommand(change, reset)
	return cmd
}

func (inv *invocation) changePIN(so bool, newFile string) error {
	who := ck.CKU_USER
	if so {
		who = ck.CKU_SO
	}
	return inv.withSession(func(s *session) error {
		label := s.slot.token.Label
		old, err := inv.currentPIN(who, label)
		if err != nil {
			return err
		}
		if err := s.lib.Login(s.handle, uint(who), old); err != nil {
			return loggingIn.problem(err)
		}
		// The new PIN has no variable of its own: a PIN that is about to be in use should not be left in one.
		src := pinSource{who: inv.pinSource(who).who, file: newFile, flag: "--new-pin-file", variable: ""}
		fresh, given, err := src.given()
		if !given {
			fresh, err = src.askTwice(label)
		}
		if err != nil {
			return err
		}
		if err := src.check(fresh); err != nil {
			return err
		}
		return inv.done("PIN changed", makingPINs.problem(s.lib.SetPIN(s.handle, old, fresh)))
	})
}

func (inv *invocation) resetPIN() error {
	return inv.withSession(func(s *session) error {
		if err := inv.login(s, ck.CKU_SO); err != nil {
			return err
		}
		pin, err := inv.newPIN(ck.CKU_USER, s.slot.token.Label)
		if err != nil {
			return err
		}
		return inv.done("user PIN set", makingPINs.problem(s.lib.InitPIN(s.handle, pin)))
	})
}

// done notes a success that has no data to print.
func (inv *invocation) done(what string, err error) error {
	if err == nil {
		inv.note("%s", what)
	}
	return err
}
