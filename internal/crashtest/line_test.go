package crashtest

import (
	"encoding/json"
	"fmt"

	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/lms"
)

// event is what a line is about. Those ending in -ing announce what a crash may
// leave undone or done.
type event string

const (
	began      event = "began"   // a process
	ended      event = "ended"   // a process, with success
	opening    event = "opening" // a token; its keys follow
	opened     event = "opened"  // of one key
	ready      event = "ready"   // a token
	making     event = "making"
	made       event = "made"
	signed     event = "signed"
	failed     event = "failed" // a change, with an unknown outcome
	giving     event = "giving"
	given      event = "given"
	receiving  event = "receiving"
	received   event = "received"
	leaving    event = "leaving" // to external storage
	away       event = "away"
	back       event = "back"
	destroying event = "destroying"
	destroyed  event = "destroyed"
	locking    event = "locking"
	closed     event = "closed" // one key, by a clean stop
	sprung     event = "sprung" // the trap of a durable write
)

// line is what leaves the worker: one line of JSON.
type line struct {
	Event     event
	Token     string          `json:",omitempty"`
	Shape     shape           `json:",omitzero"`
	Status    keystore.Status `json:",omitempty"`
	Key       []byte          `json:",omitempty"` // the HSS public key
	Message   []byte          `json:",omitempty"`
	Signature []byte          `json:",omitempty"`
	Capsule   []byte          `json:",omitempty"`
	Left      int             // what the key says
	Count     int             `json:",omitempty"` // root leaves that go or come
}

// evidence is a line with its signature taken apart, after it was verified.
type evidence struct {
	line
	public    lms.HSSPublicKey
	signature lms.HSSSignature
}

// examine reads a line. torn is true for what is no line: a kill cut it off.
func examine(text []byte) (e evidence, torn bool, err error) {
	if err := json.Unmarshal(text, &e.line); err != nil {
		return e, true, nil
	}
	if e.Event != signed {
		return e, false, nil
	}
	if e.public, err = lms.ParseHSSPublicKey(e.Key); err != nil {
		return e, false, err
	}
	if err := e.public.Verify(e.Message, e.Signature); err != nil {
		return e, false, fmt.Errorf("a released signature is wrong: %w", err)
	}
	e.signature, err = lms.ParseHSSSignature(e.Signature)
	return e, false, err
}
