package main

import (
	"strings"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/ck"
)

func tokenIn(id uint, label, serial string) slot {
	return slot{id: id, token: pkcs11.TokenInfo{Label: label, SerialNumber: serial, Flags: uint(ck.CKF_TOKEN_INITIALIZED)}}
}

func TestChooseToken(t *testing.T) {
	a, b, twin := tokenIn(0, "a", "01"), tokenIn(1, "b", "02"), tokenIn(2, "a", "03")
	free := slot{id: 3}
	lost := slot{id: 4, err: pkcs11.Error(ck.CKR_TOKEN_NOT_PRESENT)}
	tests := map[string]struct {
		inv   invocation
		slots []slot
		want  uint   // slot id, when fails is empty
		fails string // part of the message or its advice
	}{
		"only one":              {invocation{slot: -1}, []slot{a, free}, 0, ""},
		"several, no choice":    {invocation{slot: -1}, []slot{a, b, free}, 0, "slot 1 b (serial 02)"},
		"by label":              {invocation{slot: -1, token: "b"}, []slot{a, b, free}, 1, ""},
		"label is ambiguous":    {invocation{slot: -1, token: "a"}, []slot{a, b, twin}, 0, "slot 2 a (serial 03)"},
		"label and serial":      {invocation{slot: -1, token: "a", serial: "03"}, []slot{a, b, twin}, 2, ""},
		"by serial":             {invocation{slot: -1, serial: "02"}, []slot{a, b, twin}, 1, ""},
		"by slot":               {invocation{slot: 2}, []slot{a, b, twin}, 2, ""},
		"slot is free":          {invocation{slot: 3}, []slot{a, free}, 0, "no initialised token fits --slot 3"},
		"slot does not answer":  {invocation{slot: 4}, []slot{a, lost}, 0, "CKR_TOKEN_NOT_PRESENT"},
		"label of nobody":       {invocation{slot: -1, token: "c"}, []slot{a, b}, 0, "slot 0 a (serial 01)"},
		"a part of a label":     {invocation{slot: -1, token: ""}, []slot{}, 0, "no initialised token"},
		"label and wrong slot":  {invocation{slot: 1, token: "a"}, []slot{a, b}, 0, "no initialised token fits"},
		"none":                  {invocation{slot: -1}, []slot{free}, 0, "onceleaf init"},
		"none answers":          {invocation{slot: -1}, []slot{lost, free}, 0, "CKR_TOKEN_NOT_PRESENT"},
		"one answers, one not":  {invocation{slot: -1}, []slot{lost, b, free}, 1, ""},
		"label with an ESC":     {invocation{slot: -1, token: "\x1b[2J"}, []slot{a}, 0, `"\x1b[2J"`},
		"listed label with ESC": {invocation{slot: -1}, []slot{a, tokenIn(1, "\x1b[2J", "02")}, 0, `"\x1b[2J"`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := test.inv.chooseToken(test.slots)
			if test.fails == "" {
				if err != nil || got.id != test.want {
					t.Errorf("got slot %d, %v; want slot %d", got.id, err, test.want)
				}
				return
			}
			if err == nil {
				t.Fatalf("chose slot %d", got.id)
			}
			if said := reported(err); !strings.Contains(said, test.fails) {
				t.Errorf("said %q, without %q", said, test.fails)
			}
		})
	}
}

// reported is what an operator sees of an error.
func reported(err error) string {
	var b strings.Builder
	report(&b, err)
	return b.String()
}

func TestChooseKey(t *testing.T) {
	keys := []hssKey{
		{label: "boot", id: []byte{0x01}, identity: "aaaa1111" + strings.Repeat("0", 88)},
		{label: "radio", id: []byte{0xab, 0xcd}, identity: "aaaa2222" + strings.Repeat("0", 88)},
		{label: "twin", id: []byte{0x03}, identity: "bbbb3333" + strings.Repeat("0", 88)},
		{label: "twin", id: []byte{0x04}, identity: "cccc4444" + strings.Repeat("0", 88)},
		{label: "abcd", id: []byte{0x05}, identity: ""},
		{label: "", id: nil, identity: "dddd5555" + strings.Repeat("0", 88)},
	}
	for name, want := range map[string]int{
		"boot": 0, "01": 0, "aaaa1": 0, "AAAA1111": 0, "aaaa2": 1, "03": 2, "cccc4444": 3,
		"abcd": 4, // a label wins over the id of another key
		"dddd": 5,
	} {
		k, err := chooseKey(keys, name)
		if err != nil || k.label != keys[want].label || string(k.id) != string(keys[want].id) {
			t.Errorf("%q: got %v, %v; want %v", name, k.name(), err, keys[want].name())
		}
	}
	for name, says := range map[string]string{
		"":       "no key was named",
		"nobody": "radio (identity aaaa22220000...)",
		"twin":   "2 keys are called twin",
		"aaaa":   "2 keys are called aaaa",
		"aaa":    "no key is called aaa",
		"boo":    "no key is called boo",
		"0":      "no key is called 0",
	} {
		k, err := chooseKey(keys, name)
		if err == nil {
			t.Errorf("%q: chose %v", name, k.name())
		} else if said := reported(err); !strings.Contains(said, says) {
			t.Errorf("%q: said %q, without %q", name, said, says)
		}
	}
}
