package main

import (
	"io"

	"github.com/spf13/cobra"
)

// setting is the step of 'onceleaf set'.
var setting = act{"change the key's settings", "nothing was changed", "the settings are the old ones or the new ones; no leaf was used"}

func (inv *invocation) setCommand() *cobra.Command {
	var chosen settings
	cmd := &cobra.Command{
		Use:   "set KEY --warn-below PERCENT",
		Short: "change the settings of a key; uses no leaf",
		Long: `Change the settings of a key.

--warn-below says when the key counts as low: when less than this share of the signatures that it began with here is
left. Then list, show and sign say so, and the log does.`,
		Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error { return inv.set(args[0], chosen) },
	}
	chosen.warnBelowFlag(cmd.Flags())
	return cmd
}

func (inv *invocation) set(name string, chosen settings) error {
	template := chosen.attributes()
	if len(template) == 0 {
		return refusal("see 'onceleaf set --help'", "nothing to change was named")
	}
	if err := chosen.checkWarnBelow(); err != nil {
		return err
	}
	return inv.withUser(func(s *session) error {
		key, err := s.key(name)
		if err != nil {
			return err
		}
		if err := s.lib.SetAttributeValue(s.handle, key.private, template); err != nil {
			return setting.problem(err)
		}
		return whenDone(inv.printSettings(s, key), "the settings are changed", "'onceleaf show' shows them")
	})
}

// printSettings shows a key as it is after a change.
func (inv *invocation) printSettings(s *session, key hssKey) (err error) {
	if key.state, err = s.ledger(key.private); err != nil {
		return err
	}
	r := reportKey(key)
	return inv.print(r, func(w io.Writer) { r.write(w) })
}
