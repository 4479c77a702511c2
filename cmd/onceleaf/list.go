package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/onceleaf/onceleaf/internal/ck"
)

type inventory struct {
	Tokens []slotReport `json:"tokens"`
}

type slotReport struct {
	Slot        uint        `json:"slot"`
	Initialised bool        `json:"initialised"`
	Label       string      `json:"label"`
	Serial      string      `json:"serial"`
	UserPIN     string      `json:"userPin,omitempty"` // "set", "not set", "locked", "last try", "few tries left"
	Error       string      `json:"error,omitempty"`   // why the token does not answer
	Keys        []keyReport `json:"keys,omitempty"`    // absent if nobody logged in to this token
}

type keyReport struct {
	Label        string   `json:"label"`
	ID           string   `json:"id"`       // hexadecimal
	Identity     string   `json:"identity"` // hexadecimal; empty if the public key is not there
	Levels       []string `json:"levels"`   // parameter sets, top first
	Remaining    uint64   `json:"remaining"`
	Capacity     uint64   `json:"capacity"`  // signatures it began with here, without those it gave away
	Low          bool     `json:"low"`       // remaining is below the threshold
	WarnBelow    uint64   `json:"warnBelow"` // the threshold, percent of capacity; 0: never low
	Status       string   `json:"status"`    // as stored
	Exhausted    bool     `json:"exhausted"` // used up for good
	Reserve      uint64   `json:"reserve"`   // message leaves per durable write; 0: lower trees in memory
	Transferable bool     `json:"transferable"`
	Guard        string   `json:"guard"` // what notices that the token directory went back; "none"
}

func (inv *invocation) listCommand() *cobra.Command {
	var tokensOnly bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "list the tokens, and the keys of one",
		Long: `List the tokens, and the HSS keys of the chosen token (or of the only one). The keys need the user PIN.

With several tokens and no choice, or with --tokens, only the tokens are listed and no PIN is asked for. If a token that
ought to be there does not answer, the exit code is 3 after the rest was listed.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return inv.list(tokensOnly) },
	}
	cmd.Flags().BoolVar(&tokensOnly, "tokens", false, "list the tokens only; needs no PIN")
	return cmd
}

func (inv *invocation) list(tokensOnly bool) error {
	return inv.withModule(func(m *module) error {
		slots, err := m.slots()
		if err != nil {
			return err
		}
		all := inventory{Tokens: []slotReport{}}
		for _, s := range slots {
			all.Tokens = append(all.Tokens, reportSlot(s))
		}
		if !tokensOnly && (inv.chosen() || howMany(slots) == 1) {
			if err := inv.addKeys(m, slots, &all); err != nil {
				return err
			}
		} else if !tokensOnly && howMany(slots) > 1 {
			inv.note("choose a token with --token, --serial or --slot to see its keys")
		}
		if err := inv.print(all, all.write); err != nil {
			return err
		}
		return silent(slots)
	})
}

// silent is the error of the first token that ought to be there and does not answer.
func silent(slots []slot) error {
	for _, s := range slots {
		if s.err != nil {
			return asking.problem(s.err)
		}
	}
	return nil
}

func howMany(slots []slot) (initialised int) {
	for _, s := range slots {
		if s.initialised() {
			initialised++
		}
	}
	return initialised
}

// addKeys logs in to the chosen token and reads its keys.
func (inv *invocation) addKeys(m *module, slots []slot, all *inventory) error {
	chosen, err := inv.chooseToken(slots)
	if err != nil {
		return err
	}
	return m.inSession(chosen, func(s *session) error {
		if err := inv.login(s, ck.CKU_USER); err != nil {
			return err
		}
		keys, err := s.keys()
		if err != nil {
			return err
		}
		for i := range all.Tokens {
			if all.Tokens[i].Slot == chosen.id {
				all.Tokens[i].Keys = reportKeys(keys)
			}
		}
		return nil
	})
}

func reportSlot(s slot) slotReport {
	r := slotReport{Slot: s.id, Initialised: s.initialised()}
	if s.err != nil {
		r.Error = asking.problem(s.err).Error()
		return r
	}
	if r.Initialised {
		r.Label, r.Serial, r.UserPIN = s.token.Label, s.token.SerialNumber, s.userPIN()
	}
	return r
}

// userPIN is the state of the user PIN, the gravest first.
func (s slot) userPIN() string {
	switch {
	case !s.has(ck.CKF_USER_PIN_INITIALIZED):
		return "not set"
	case s.has(ck.CKF_USER_PIN_LOCKED):
		return "locked"
	case s.has(ck.CKF_USER_PIN_FINAL_TRY):
		return "last try"
	case s.has(ck.CKF_USER_PIN_COUNT_LOW):
		return "tried wrongly"
	default:
		return "set"
	}
}

func reportKeys(keys []hssKey) []keyReport {
	reports := make([]keyReport, len(keys))
	for i, k := range keys {
		reports[i] = reportKey(k)
	}
	return reports
}

func reportKey(k hssKey) keyReport {
	s := k.state
	return keyReport{
		Label: k.label, ID: hex.EncodeToString(k.id), Identity: k.identity, Levels: s.Levels,
		Remaining: s.Remaining, Capacity: s.Capacity, Low: s.Low, WarnBelow: s.WarnBelow,
		Status: s.Status, Exhausted: s.Exhausted, Reserve: s.Reserve, Transferable: k.transferable, Guard: s.Guard,
	}
}

func (all inventory) write(w io.Writer) {
	for _, t := range all.Tokens {
		switch {
		case t.Error != "":
			fmt.Fprintf(w, "slot %d\tERROR: %s\n", t.Slot, t.Error)
		case !t.Initialised:
			fmt.Fprintf(w, "slot %d\tfree\n", t.Slot)
		default:
			fmt.Fprintf(w, "slot %d\ttoken %s\tserial %s\tuser PIN %s\n", t.Slot, shown(t.Label), shown(t.Serial), t.UserPIN)
		}
		for _, k := range t.Keys {
			fmt.Fprintln(w)
			k.write(w)
		}
	}
}

func (k keyReport) write(w io.Writer) {
	fmt.Fprintf(w, "key\t%s\n", shown(k.Label))
	fmt.Fprintf(w, "id\t%s\n", k.ID)
	fmt.Fprintf(w, "identity\t%s\n", firstOf(k.Identity, "(no public key)"))
	fmt.Fprintf(w, "levels\t%s\n", strings.Join(k.Levels, ", "))
	fmt.Fprintf(w, "remaining\t%s\n", countSignatures(k.Remaining))
	fmt.Fprintf(w, "warn below\t%s\n", thresholdWords(k.WarnBelow))
	fmt.Fprintf(w, "status\t%s\n", k.statusWords())
	fmt.Fprintf(w, "reserve\t%s\n", reserveWords(k.Reserve))
	fmt.Fprintf(w, "transferable\t%s\n", yesNo(k.Transferable))
	fmt.Fprintf(w, "guard\t%s\n", guardWords(k.Guard))
	if warning := k.warning(); warning != "" {
		fmt.Fprintf(w, "WARNING\t%s\n", warning)
	}
}

// statusWords is the stored status, and "exhausted" beside it.
func (k keyReport) statusWords() string {
	if k.Exhausted {
		return k.Status + ", exhausted"
	}
	return k.Status
}

// warning is what the owner of a key must know about its supply; empty if there is enough.
func (k keyReport) warning() string {
	switch {
	case k.Exhausted:
		return "this key is used up for good; make a new key, what this one signed can still be verified"
	case k.Low:
		return fmt.Sprintf("this key is low, with %s left of %s; plan the next key", countSignatures(k.Remaining), count(k.Capacity))
	}
	return ""
}

func thresholdWords(percent uint64) string {
	if percent == 0 {
		return "never"
	}
	return fmt.Sprintf("%d percent", percent)
}

func reserveWords(leaves uint64) string {
	if leaves == 0 {
		return "lower trees in memory"
	}
	return fmt.Sprintf("leaves per durable write: %d", leaves)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}
