package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/token"
)

func TestVerdict(t *testing.T) {
	at := func(s keystore.Severity) token.Finding { return token.Finding{Finding: keystore.Finding{Severity: s}} }
	unread := at(keystore.Warning)
	unread.Unread = true
	for name, c := range map[string]struct {
		findings []token.Finding
		exit     int
		what     string
	}{
		"nothing":     {nil, exitDone, ""},
		"information": {[]token.Finding{at(keystore.Information)}, exitDone, ""},
		"warnings":    {[]token.Finding{at(keystore.Warning), at(keystore.Warning)}, exitWarned, "2 warnings"},
		"unread":      {[]token.Finding{at(keystore.Warning), unread}, exitRefused, "1 file could not be looked at"},
		"damage":      {[]token.Finding{unread, at(keystore.Damage)}, exitBad, "1 thing is damaged"},
		"danger":      {[]token.Finding{at(keystore.Damage), at(keystore.Danger)}, exitBad, "2 grave findings"},
	} {
		err := verdict(c.findings)
		var p *problem
		if errors.As(err, &p) {
			if p.exit != c.exit || !strings.Contains(p.what, c.what) || p.safe == "" || p.next == "" {
				t.Errorf("%s: %+v", name, p)
			}
		} else if c.exit != exitDone || err != nil {
			t.Errorf("%s: %v, want exit code %d", name, err, c.exit)
		}
	}
}

func TestGraphic(t *testing.T) {
	for sentence, want := range map[string]string{
		`token "ä" is fine`: `token "ä" is fine`, "a\x1b[31mb\n": "a\ufffd[31mb\ufffd",
	} {
		if got := graphic(sentence); got != want {
			t.Errorf("%q: %q, want %q", sentence, got, want)
		}
	}
}
