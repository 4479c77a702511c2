package main

import "testing"

func TestShownCannotWriteToTheTerminal(t *testing.T) {
	for text, want := range map[string]string{
		"plain":         "plain",
		"two words":     "two words",
		"grün":          "grün",
		"":              `""`,
		" blank":        `" blank"`,
		"a\nb":          `"a\nb"`,
		"\x1b[31mred":   `"\x1b[31mred"`,
		"\u202egnp.exe": `"\u202egnp.exe"`,
		"\xff":          `"\xff"`,
		`say "so"`:      `"say \"so\""`,
	} {
		if got := shown(text); got != want {
			t.Errorf("%q is shown as %s, want %s", text, got, want)
		}
	}
}

func TestSpanWords(t *testing.T) {
	if got := spanWords([]spanReport{{0, 32}, {40, 41}}); got != "33: 0-31 40-40" {
		t.Error(got)
	}
	if got := spanWords(nil); got != "none" {
		t.Error(got)
	}
}

func TestFingerprintsAreComparedAsPeopleWriteThem(t *testing.T) {
	const want = "a1b2-c3d4-e5f6-0718-293a"
	for given, same := range map[string]bool{
		want:                        true,
		"A1B2 C3D4 E5F6 0718 293A":  true,
		"a1b2c3d4e5f60718293a":      true,
		"a1b2-c3d4-e5f6-0718-293b":  false,
		"a1b2-c3d4-e5f6-0718":       false,
		"a1b2-c3d4-e5f6-0718-293a0": false,
	} {
		err := giveaway{fingerprint: given}.checkFingerprint(want)
		if (err == nil) != same {
			t.Errorf("%q: %v", given, err)
		}
	}
}
