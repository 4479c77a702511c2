package main

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// chooseToken picks the token that the global flags name, or the only one there is.
func (inv *invocation) chooseToken(slots []slot) (slot, error) {
	var fit, all []slot
	for _, s := range slots {
		if inv.slot >= 0 && s.id == uint(inv.slot) && s.err != nil {
			return slot{}, asking.problem(s.err)
		}
		if !s.initialised() {
			continue
		}
		all = append(all, s)
		if inv.wants(s) {
			fit = append(fit, s)
		}
	}
	switch {
	case len(fit) == 1:
		return fit[0], nil
	case len(all) == 0:
		return slot{}, noToken(slots)
	case len(fit) == 0:
		return slot{}, refusal("choose one of these: "+listSlots(all), "no initialised token fits %s", inv.wish())
	default:
		return slot{}, refusal("choose with --token, --serial or --slot: "+listSlots(fit), "%d tokens fit %s", len(fit), inv.wish())
	}
}

func (inv *invocation) wants(s slot) bool {
	return (inv.slot < 0 || s.id == uint(inv.slot)) &&
		(inv.token == "" || s.token.Label == inv.token) &&
		(inv.serial == "" || s.token.SerialNumber == inv.serial)
}

// chosen says whether a flag names a token.
func (inv *invocation) chosen() bool { return inv.slot >= 0 || inv.token != "" || inv.serial != "" }

// wish puts the flags that choose a token into words.
func (inv *invocation) wish() string {
	var words []string
	if inv.token != "" {
		words = append(words, "--token "+shown(inv.token))
	}
	if inv.serial != "" {
		words = append(words, "--serial "+shown(inv.serial))
	}
	if inv.slot >= 0 {
		words = append(words, fmt.Sprintf("--slot %d", inv.slot))
	}
	if len(words) == 0 {
		return "(no choice was made)"
	}
	return strings.Join(words, " ")
}

// noToken explains that no token can be used: there is none, or those that should be there do not answer.
func noToken(slots []slot) error {
	if err := silent(slots); err != nil {
		return err
	}
	return refusal("make one with 'onceleaf init', or name the right directory with --dir", "there is no initialised token")
}

func listSlots(slots []slot) string {
	words := make([]string, len(slots))
	for i, s := range slots {
		words[i] = fmt.Sprintf("slot %d %s (serial %s)", s.id, shown(s.token.Label), shown(s.token.SerialNumber))
	}
	return strings.Join(words, ", ")
}

// minIdentity is the least number of hexadecimal digits that are taken as the beginning of an identity.
const minIdentity = 4

// chooseKey picks the one key that name means: a label, an id in hexadecimal, or the beginning of an identity. A label
// that fits wins over the rest, so that no key can hide behind another's id.
func chooseKey(keys []hssKey, name string) (hssKey, error) {
	if name == "" {
		return hssKey{}, refusal("name it by label, id or the beginning of its identity: "+listKeys(keys), "no key was named")
	}
	fit := keysWhere(keys, func(k hssKey) bool { return k.label == name })
	if len(fit) == 0 {
		fit = keysWhere(keys, func(k hssKey) bool { return k.fitsHex(name) })
	}
	switch len(fit) {
	case 1:
		return fit[0], nil
	case 0:
		return hssKey{}, refusal("the token has: "+listKeys(keys), "no key is called %s", shown(name))
	default:
		return hssKey{}, refusal("use a longer beginning of the identity: "+listKeys(fit), "%d keys are called %s", len(fit), shown(name))
	}
}

func keysWhere(keys []hssKey, fits func(hssKey) bool) []hssKey {
	var fit []hssKey
	for _, k := range keys {
		if fits(k) {
			fit = append(fit, k)
		}
	}
	return fit
}

// fitsHex says whether digits is the key's id, or the beginning of its identity.
func (k hssKey) fitsHex(digits string) bool {
	digits = strings.ToLower(digits)
	if len(k.id) > 0 && hex.EncodeToString(k.id) == digits {
		return true
	}
	return len(digits) >= minIdentity && strings.HasPrefix(k.identity, digits)
}

func listKeys(keys []hssKey) string {
	if len(keys) == 0 {
		return "no HSS key"
	}
	words := make([]string, len(keys))
	for i, k := range keys {
		words[i] = k.name()
	}
	return strings.Join(words, ", ")
}

// name is how messages call the key.
func (k hssKey) name() string {
	words := shown(k.label)
	if len(k.identity) >= 12 {
		words += " (identity " + k.identity[:12] + "...)"
	} else if len(k.id) > 0 {
		words += " (id " + hex.EncodeToString(k.id) + ")"
	}
	return words
}
