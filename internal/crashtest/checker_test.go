package crashtest

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/onceleaf/onceleaf/internal/audit"
)

// checker reads every line that was ever released, in order, and nothing else.
type checker struct {
	audit    audit.Audit
	accounts map[string]*account // by token and public key
	openings map[string]int      // of each token
	ends     map[event]int       // the last words of the processes that did not end
	last     event
	torn     int // lines that a kill cut off
	sprung   int // traps
}

// maxLine is the longest line, in bytes.
const maxLine = 4 << 20

func newChecker() *checker {
	return &checker{accounts: map[string]*account{}, openings: map[string]int{}, ends: map[event]int{}}
}

func (c *checker) readFile(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return c.read(file)
}

func (c *checker) read(from io.Reader) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		e, torn, err := examine(lines.Bytes())
		if err != nil {
			return err
		}
		if torn {
			c.torn++
			continue
		}
		if err := c.take(e); err != nil {
			return err
		}
	}
	return lines.Err()
}

// take follows one line.
func (c *checker) take(e evidence) error {
	if e.Event == began && c.last != ended && c.last != "" {
		c.ends[c.last]++
	}
	c.last = e.Event
	switch e.Event {
	case sprung:
		c.sprung++
	case opening:
		c.openings[e.Token]++
	case ready:
		return c.allThere(e.Token)
	case signed:
		for _, reuse := range c.audit.Note(fmt.Sprint("signature ", c.audit.Signatures()), &e.public.Root, e.signature) {
			return reuse
		}
	}
	if e.Key == nil {
		return nil
	}
	return c.book(e.line)
}

// book keeps the account of a key. One that is seen for the first time has all
// its leaves, unless they are coming from another token.
func (c *checker) book(l line) error {
	name := l.Token + string(l.Key)
	a, known := c.accounts[name]
	if !known {
		a = &account{shape: l.Shape, said: l.Shape.capacity(), due: l.Shape.capacity()}
		if l.Event == receiving {
			a.said, a.due = 0, 0
		}
		c.accounts[name] = a
	}
	if l.Event != receiving {
		a.opening = c.openings[l.Token]
	}
	var err error
	switch {
	case l.Event == opened:
		if a.closed {
			a.reopened++
		}
		a.closed = a.closed || !known // then nothing may be missing
		err = a.reopen(l)
	case l.Event == made && known, !known && l.Event != made && l.Event != receiving:
		err = fmt.Errorf("key %v: %s out of order", a.shape, l.Event)
	default:
		err = a.take(l)
	}
	if err != nil {
		return fmt.Errorf("token %s, key %x: %w", l.Token, l.Key[len(l.Key)-8:], err)
	}
	return nil
}

// allThere makes sure that no key of a token was forgotten.
func (c *checker) allThere(token string) error {
	for name, a := range c.accounts {
		if strings.HasPrefix(name, token) && a.opening > 0 && a.opening < c.openings[token] {
			return fmt.Errorf("token %s: key %v with %d left is not there any more", token, a.shape, a.said)
		}
	}
	return nil
}

// lost is the number of signatures that crashes cost, and clean is how often a key
// was opened after a clean stop.
func (c *checker) lost() (lost, clean int) {
	for _, a := range c.accounts {
		lost += a.lost
		clean += a.reopened
	}
	return lost, clean
}

// record adds the figures to the tally.
func (c *checker) record() {
	_, clean := c.lost()
	tally.add("crash-signatures", c.audit.Signatures())
	tally.add("clean-restarts", clean)
}

// signatures fails a test of which the story is too short to prove anything.
func (c *checker) signatures(t *testing.T, least int) {
	t.Helper()
	if n := c.audit.Signatures(); n < least {
		t.Fatalf("only %d signatures were seen, not %d", n, least)
	}
}
