package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/ck"
)

var acts = []act{loading, asking, loggingIn, makingPINs, makingToken, makingKey, signing, requesting, giving, taking, acknowledging, setting}

func TestEveryProblemSaysWhatIsSafeAndWhatIsNext(t *testing.T) {
	if len(explanations) == 0 {
		t.Fatal("the table is empty")
	}
	for rv, e := range explanations {
		if strings.HasPrefix(rv.Error(), "CKR 0x") || e.what == "" || e.next == "" {
			t.Errorf("%v: incomplete row %+v", rv, e)
		}
		for _, a := range acts {
			var p *problem
			if !errors.As(a.problem(pkcs11.Error(rv)), &p) {
				t.Fatalf("%s: %v is no problem", a.name, rv)
			}
			want := a.refused
			if e.broken {
				want = a.failed
			}
			if p.safe != want || p.safe == "" || p.exit != exitToken || !errors.Is(p, rv) {
				t.Errorf("%s: %v became %+v", a.name, rv, p)
			}
		}
	}
}

// TestUnknownAnswersPromiseTheLeast: of an answer without a row it is not known whether a leaf was used.
func TestUnknownAnswersPromiseTheLeast(t *testing.T) {
	said := reported(signing.problem(pkcs11.Error(0x8000abcd)))
	if !strings.Contains(said, signing.failed) || !strings.Contains(said, "0x8000ABCD") {
		t.Errorf("said %q", said)
	}
}

// TestSigningPromisesLessOnceItHasBegun: after C_SignInit only two answers mean that no leaf was used.
func TestSigningPromisesLessOnceItHasBegun(t *testing.T) {
	for rv := range explanations {
		said := reported(signing.begun(pkcs11.Error(rv), ck.CKR_KEY_EXHAUSTED, ck.CKR_DATA_LEN_RANGE))
		notYet := rv == ck.CKR_KEY_EXHAUSTED || rv == ck.CKR_DATA_LEN_RANGE
		if strings.Contains(said, signing.refused) != notYet || strings.Contains(said, signing.failed) == notYet {
			t.Errorf("%v: said %q", rv, said)
		}
	}
}

func TestOtherErrorsStayAsTheyAre(t *testing.T) {
	other := errors.New("disk on fire")
	if err := signing.problem(other); err != other {
		t.Errorf("became %v", err)
	}
	if err := signing.problem(nil); err != nil {
		t.Errorf("nil became %v", err)
	}
}

func TestReport(t *testing.T) {
	tests := []struct {
		err  error
		want string
		exit int
	}{
		{&problem{what: "it broke", safe: "no leaf was used", next: "mend it", exit: exitToken},
			"onceleaf: it broke\n  safe: no leaf was used\n  next: mend it\n", exitToken},
		{fmt.Errorf("around: %w", &problem{what: "it broke"}), "onceleaf: it broke\n", exitRefused},
		{errors.New("plain"), "onceleaf: plain\n  next: see 'onceleaf --help'\n", exitRefused},
	}
	for _, test := range tests {
		var b strings.Builder
		if exit := report(&b, test.err); exit != test.exit || b.String() != test.want {
			t.Errorf("%v: exit %d and %q, want %d and %q", test.err, exit, b.String(), test.exit, test.want)
		}
	}
}
