package main

import (
	"strconv"

	"github.com/miekg/pkcs11"
	"github.com/spf13/pflag"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/lms"
)

// settingsHelp explains the settings in the help of the commands that make a key.
const settingsHelp = `--reserve N has one durable write take N message leaves at once. More leaves per write sign faster; a crash (not a clean
end) burns what is left of the N, and who runs a copy of this machine's live memory (a snapshot of a virtual machine)
could use them again. The default is 1 with one level. With more levels it is 0: the lower trees live in memory, which is
fastest; a crash burns at most one leaf of the top tree with all below it, and a live snapshot has all of that in it.

--warn-below PERCENT is when the key counts as low: list, show and sign say so, and the log does. 'onceleaf set' changes it.`

// settings are what a key is told beside what it is.
type settings struct {
	reserve   optional // message leaves per durable write
	warnBelow optional // percent of the key's signatures
}

// optional is a number that a flag may leave to the token.
type optional struct {
	n     uint64
	given bool
}

// String, Set and Type implement pflag.Value.
func (o *optional) String() string {
	if !o.given {
		return ""
	}
	return strconv.FormatUint(o.n, 10)
}

func (o *optional) Set(text string) (err error) {
	o.n, err = strconv.ParseUint(text, 10, 64)
	o.given = err == nil
	return err
}

func (o *optional) Type() string { return "number" }

func (s *settings) reserveFlag(f *pflag.FlagSet) {
	f.Var(&s.reserve, "reserve",
		"a durable write takes `N` message leaves (default: 1 with one level; else 0, lower trees in memory); cannot be changed later")
}

func (s *settings) warnBelowFlag(f *pflag.FlagSet) {
	f.Var(&s.warnBelow, "warn-below",
		"warn when less than this `PERCENT` of the key's signatures is left, 0 for never (default 10)")
}

// check refuses what no token would take, for a key with these levels, before anything long begins.
func (s settings) check(sets []lms.ParameterSet) error {
	if most := sets[len(sets)-1].Leaves(); s.reserve.n > most {
		return refusal("give --reserve a number from 0 to "+count(most), "the lowest tree has %s, fewer than --reserve %d",
			plural(most, "leaf", "leaves"), s.reserve.n)
	}
	return s.checkWarnBelow()
}

func (s settings) checkWarnBelow() error {
	if s.warnBelow.n > 100 {
		return refusal("give --warn-below a number from 0 to 100", "%d is no percentage", s.warnBelow.n)
	}
	return nil
}

// attributes are the settings that were given, for a template.
func (s settings) attributes() (template []*pkcs11.Attribute) {
	if s.reserve.given {
		template = append(template, number(ck.CKA_ONCELEAF_RESERVE, s.reserve.n))
	}
	if s.warnBelow.given {
		template = append(template, number(ck.CKA_ONCELEAF_WARN_BELOW, s.warnBelow.n))
	}
	return template
}
