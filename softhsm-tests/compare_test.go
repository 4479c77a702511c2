package softhsmtests

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/softhsm-tests/worker"
)

// softHSM is the library of Debian's SoftHSM, which every scenario is put to as well. With it in ONCELEAF_MODULE the
// tests of groups show what SoftHSM does otherwise than the scenarios want it.
const softHSM = "/usr/lib/softhsm/libsofthsm2.so"

// A scenario is one case of a group: calls, and what each is to answer. It is played on our library and on SoftHSM, and
// their answers are compared.
type scenario struct {
	name string
	run  func(a *actor)
	// cross is played after run was on both: each side takes what the other one has made (actor.theirs).
	cross func(a *actor)
	// fresh gives the scenario a process and a token of its own; else it shares them with its group, and has a session
	// of its own in which the user is logged in.
	fresh bool
	// session gives a fresh one a session too, in which the user is logged in.
	session bool
}

// group plays scenarios on both libraries. docs/softhsm-differences.md has all that they answer differently.
func group(t *testing.T, name string, scenarios ...scenario) {
	t.Helper()
	g := &comparison{t: t, name: name, known: readDifferences(t, name)}
	g.ours = newSide(t, module)
	if needSoftHSM(t) {
		g.theirs = newSide(t, softHSM)
	}
	played := 0
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			played++
			g.play(t, s)
		})
	}
	if played == len(scenarios) && g.theirs != nil && !t.Failed() {
		g.staleDifferences()
	}
}

// needSoftHSM says whether SoftHSM is there. Where nothing may be left out it has to be.
func needSoftHSM(t *testing.T) bool {
	t.Helper()
	if module == softHSM {
		return false
	}
	_, err := os.Stat(softHSM)
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatalf("no SoftHSM to compare with: run make deps (%v)", err)
	}
	if err != nil {
		t.Logf("no SoftHSM to compare with, our library alone: %v", err)
	}
	return err == nil
}

// comparison is one group under test.
type comparison struct {
	t      *testing.T
	name   string
	ours   *side
	theirs *side // nil without SoftHSM
	known  []*knownDifference
}

// play plays one scenario on both sides.
func (g *comparison) play(t *testing.T, s scenario) {
	t.Helper()
	ours := g.actor(t, g.ours, s)
	ours.act(s.run)
	var theirs *actor
	if g.theirs != nil {
		theirs = g.actor(t, g.theirs, s)
		theirs.act(s.run)
	}
	if s.cross != nil {
		exchange(ours, theirs)
		ours.act(s.cross)
		if theirs != nil {
			theirs.act(s.cross)
		}
	}
	ours.leave()
	if theirs != nil {
		theirs.leave()
	}
	g.judge(t, g.name+"/"+s.name+"/", ours, theirs)
}

// actor is a side's player of a scenario.
func (g *comparison) actor(t *testing.T, s *side, of scenario) *actor {
	t.Helper()
	if of.fresh {
		s = newSide(t, s.library)
	}
	a := &actor{side: s, t: t, made: map[string][]byte{}, chance: rand.NewChaCha8(sha256.Sum256([]byte(t.Name())))}
	if !of.fresh || of.session {
		a.session = value(s.OpenSession(s.slot, pkcs11.CKF_RW_SESSION))(t)
	}
	return a
}

// exchange gives each side what the other one has made; a side without another one, or whose other one has failed,
// keeps its own.
func exchange(ours, theirs *actor) {
	ours.theirs = ours.made
	if theirs == nil {
		return
	}
	theirs.theirs = ours.made
	if !theirs.stopped {
		ours.theirs = theirs.made
	}
}

// judge holds our answers to what the scenario wants, and to those of SoftHSM.
func (g *comparison) judge(t *testing.T, prefix string, ours, theirs *actor) {
	t.Helper()
	for _, answer := range ours.answers {
		if answer.got != answer.want {
			t.Errorf("%s: %s, want %s", answer.step, answer.got, answer.want)
		}
	}
	if theirs == nil {
		return
	}
	if len(theirs.answers) != len(ours.answers) && !theirs.stopped && !ours.stopped {
		t.Errorf("SoftHSM was asked %d times, Onceleaf %d times", len(theirs.answers), len(ours.answers))
	}
	for i := range min(len(ours.answers), len(theirs.answers)) {
		o, s := ours.answers[i], theirs.answers[i]
		if o.step != s.step {
			t.Errorf("%s: SoftHSM was asked %q instead", o.step, s.step)
			return
		}
		if !bytes.Equal(o.secret, s.secret) {
			t.Errorf("%s: the two sides do not agree", o.step)
		}
		if o.shown() != s.shown() && !g.allowed(prefix+o.step, s.shown(), o.shown()) {
			t.Errorf("not in the list of differences:\n| `%s` | %s | %s | |", prefix+o.step, s.shown(), o.shown())
		}
	}
}

// side is a library in a process of its own, with a token in which the user is logged in.
type side struct {
	*worker.Process
	library string
	dir     string
	slot    uint
	keeper  pkcs11.SessionHandle // stays open, so that the login does
}

// newSide makes a token with a library.
func newSide(t *testing.T, library string) *side {
	t.Helper()
	s := newProcess(t, library)
	must(t, s.Initialize())
	slots := value(s.GetSlotList(false))(t)
	must(t, s.InitToken(slots[len(slots)-1], soPIN, "compared"))
	s.slot = s.slotOf(t, "compared")
	s.keeper = value(s.OpenSession(s.slot, pkcs11.CKF_RW_SESSION))(t)
	must(t, s.Login(s.keeper, pkcs11.CKU_SO, soPIN))
	must(t, s.InitPIN(s.keeper, userPIN))
	must(t, s.Logout(s.keeper))
	must(t, s.Login(s.keeper, pkcs11.CKU_USER, userPIN))
	return s
}

// newProcess loads a library over an empty directory.
func newProcess(t *testing.T, library string) *side {
	t.Helper()
	return processIn(t, library, t.TempDir())
}

func processIn(t *testing.T, library, dir string) *side {
	t.Helper()
	options := worker.Options{Module: library, Dir: dir, Env: softHSMEnvironment(t, dir)}
	return &side{Process: worker.Start(t, options), library: library, dir: dir}
}

// softHSMEnvironment is what SoftHSM needs to keep its tokens in dir, with more lines of configuration.
func softHSMEnvironment(t *testing.T, dir string, more ...string) []string {
	t.Helper()
	tokens, config := filepath.Join(dir, "softhsm-tokens"), filepath.Join(dir, "softhsm2.conf")
	must(t, os.MkdirAll(tokens, 0o700))
	text := "directories.tokendir = " + tokens + "\nobjectstore.backend = file\nlog.level = ERROR\n" +
		strings.Join(more, "\n") + "\n"
	must(t, os.WriteFile(config, []byte(text), 0o600))
	return []string{"SOFTHSM2_CONF=" + config}
}

// slotOf is the slot of the token with that label: SoftHSM gives a token another one when it is initialised.
func (s *side) slotOf(t *testing.T, label string) uint {
	t.Helper()
	for _, slot := range value(s.GetSlotList(true))(t) {
		if info, err := s.GetTokenInfo(slot); err == nil && info.Label == label {
			return slot
		}
	}
	t.Fatalf("no slot has the token %q", label)
	return 0
}

// actor plays a scenario on one side and notes down what comes of it.
type actor struct {
	*side
	t       *testing.T
	session pkcs11.SessionHandle
	answers []answer
	made    map[string][]byte // for the other side
	theirs  map[string][]byte // what the other side made
	kept    pkcs11.ObjectHandle
	chance  *rand.ChaCha8 // the same on both sides
	stopped bool
}

// answer is what came of a step, and what has to come of it here.
type answer struct {
	step, want, got string
	value           bool   // it is shown by whether it is right, since keys are others in each run
	secret          []byte // what both sides have to agree on
}

// shown is the answer as the lists have it.
func (a answer) shown() string {
	switch {
	case !a.value || strings.HasPrefix(a.got, "CKR_") || a.got == noAnswer:
		return a.got
	case a.got == a.want:
		return "the right value"
	}
	return "another value"
}

// stop ends a scenario on one side.
type stop struct{}

// act plays a part of a scenario until its end, or until a step that the rest needs has failed.
func (a *actor) act(part func(*actor)) {
	a.t.Helper()
	if a.stopped {
		return
	}
	defer func() {
		if r := recover(); r == (stop{}) {
			a.stopped = true
		} else if r != nil {
			panic(r)
		}
	}()
	part(a)
}

// leave ends what a scenario has left behind in the shared process.
func (a *actor) leave() {
	a.t.Helper()
	if a.session == 0 {
		return
	}
	err := a.CloseSession(a.session)
	if err == nil || errors.Is(err, ck.CKR_SESSION_HANDLE_INVALID) {
		return
	}
	if len(a.answers) > 0 && a.answers[len(a.answers)-1].got == noAnswer {
		return // judge says that it died
	}
	a.t.Errorf("the session of the scenario does not close: %v", err)
}

// rv notes down the result of a call.
func (a *actor) rv(step string, want ck.RV, err error) {
	a.note(step, want.Error(), result(err))
}

// ok is rv for a call that has to be right.
func (a *actor) ok(step string, err error) { a.rv(step, ck.CKR_OK, err) }

// need is ok for a step without which the rest makes no sense.
func (a *actor) need(step string, err error) {
	a.ok(step, err)
	if err != nil {
		panic(stop{})
	}
}

// equal notes down a value that is known.
func (a *actor) equal(step string, want, got any) { a.note(step, text(want), text(got)) }

// gives notes down a call that has to give this value.
func (a *actor) gives(step string, want []byte, got []byte, err error) {
	a.bits(step, want, got, err)
	a.answers[len(a.answers)-1].value = true
}

// bits is gives for a value that is shown as it is.
func (a *actor) bits(step string, want []byte, got []byte, err error) {
	if err != nil {
		a.note(step, text(want), result(err))
		return
	}
	a.equal(step, want, got)
}

// length notes down the length of what a call has given.
func (a *actor) length(step string, want int, got []byte, err error) {
	if err != nil {
		a.note(step, text(want), result(err))
		return
	}
	a.equal(step, want, len(got))
}

func (a *actor) note(step, want, got string) {
	a.answers = append(a.answers, answer{step: step, want: want, got: got})
}

// make keeps what the other side gets in the scenario's second part.
func (a *actor) make(name string, what []byte) { a.made[name] = what }

// random are bytes by chance, the same on both sides.
func (a *actor) random(n int) []byte {
	b := make([]byte, n)
	a.chance.Read(b)
	return b
}

// agree notes down a secret that both sides must have come to, in a scenario's second part.
func (a *actor) agree(step string, secret []byte) {
	a.answers = append(a.answers, answer{step: step, want: "true", got: text(len(secret) > 0), secret: secret})
}

// fromOther is what the other side has made; if that was nothing, which its answers say, then what this one made.
func (a *actor) fromOther(name string) []byte {
	if theirs := a.theirs[name]; theirs != nil {
		return theirs
	}
	return a.made[name]
}

// result is a call's result as the lists of answers have it.
func result(err error) string {
	var rv ck.RV
	switch {
	case err == nil:
		return ck.CKR_OK.Error()
	case errors.As(err, &rv):
		return rv.Error()
	}
	return noAnswer
}

// noAnswer is the result of a call in which the library's process has died.
const noAnswer = "the process dies"

// text is a value as the lists of answers have it.
func text(value any) string {
	b, ok := value.([]byte)
	switch {
	case !ok:
		return fmt.Sprint(value)
	case len(b) == 0:
		return "nothing"
	case len(b) <= 32:
		return fmt.Sprintf("%x", b)
	}
	return fmt.Sprintf("%d bytes %x", len(b), sha256.Sum256(b))[:32]
}

// knownDifference is a row of docs/softhsm-differences.md.
type knownDifference struct {
	row          string
	cases        []*regexp.Regexp
	shown        []bool // for each of cases
	theirs, ours string
	embedded     string // what libonceleaf-embedded.so answers instead of ours, if it differs
}

// here is what the library under test answers.
func (d *knownDifference) here() string {
	if !front && d.embedded != "" {
		return d.embedded
	}
	return d.ours
}

const differencesFile = "../docs/softhsm-differences.md"

// readDifferences reads the rows about one group: cases, what SoftHSM answers, what Onceleaf answers, why.
func readDifferences(t *testing.T, group string) (known []*knownDifference) {
	t.Helper()
	page := value(os.ReadFile(differencesFile))(t)
	for line := range bytes.Lines(page) {
		row := strings.TrimSpace(string(line))
		if !strings.HasPrefix(row, "| `"+group+"/") {
			continue
		}
		cells := strings.Split(strings.Trim(row, "|"), "|")
		if len(cells) != 4 || strings.TrimSpace(cells[3]) == "" {
			t.Fatalf("%s: a row needs cases, two answers and a reason: %s", differencesFile, row)
		}
		known = append(known, parseDifference(row, cells))
	}
	return known
}

func parseDifference(row string, cells []string) *knownDifference {
	d := &knownDifference{row: row, theirs: strings.TrimSpace(cells[1])}
	d.ours, d.embedded, _ = strings.Cut(strings.TrimSpace(cells[2]), "; embedded: ")
	for pattern := range strings.SplitSeq(strings.Trim(cells[0], " `"), "`, `") {
		pattern = regexp.QuoteMeta(pattern)
		pattern = strings.ReplaceAll(pattern, `\*`, ".*")
		d.cases = append(d.cases, regexp.MustCompile("^"+pattern+"$"))
		d.shown = append(d.shown, false)
	}
	return d
}

// allowed says whether the list has this difference.
func (g *comparison) allowed(name, theirs, ours string) bool {
	found := false
	for _, d := range g.known {
		if d.theirs != theirs || d.here() != ours {
			continue
		}
		for i, c := range d.cases {
			if c.MatchString(name) {
				d.shown[i], found = true, true
			}
		}
	}
	return found
}

// staleDifferences complains about rows that have become untrue.
func (g *comparison) staleDifferences() {
	g.t.Helper()
	for _, d := range g.known {
		for i, shown := range d.shown {
			if !shown && d.here() != d.theirs {
				g.t.Errorf("no such difference any more at %v: %s", d.cases[i], d.row)
			}
		}
	}
}
