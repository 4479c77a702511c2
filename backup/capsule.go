package backup

import (
	"errors"
	"fmt"

	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/lms"
)

const capsuleFormat = "onceleaf-capsule/1"

// Capsule is a part of a key on its way: docs/spec/capsule.md. All but Sealed
// is readable and authenticated.
type Capsule struct {
	text   []byte
	fields capsuleFields
	public lms.HSSPublicKey
}

type capsuleFields struct {
	capsuleHeader
	Sealed []byte `json:"sealed"`
}

// capsuleHeader is what everybody may read; the sealed part opens only beside
// the same header.
type capsuleHeader struct {
	Format      string             `json:"format"`
	Transfer    string             `json:"transfer"`
	Request     string             `json:"request"` // SHA-256 of the request file
	Scheme      Scheme             `json:"scheme"`
	Source      Party              `json:"source"`
	Destination Party              `json:"destination"`
	PublicKey   []byte             `json:"publicKey"` // RFC 8554 section 6.1
	Levels      []lms.ParameterSet `json:"levels"`    // root first
	Leaves      keystore.Spans     `json:"leaves"`    // of the root tree
}

// ParseCapsule reads a capsule file. It cannot tell yet whether the capsule is
// authentic: only the destination can, when it opens it. ErrFormat.
func ParseCapsule(text []byte) (*Capsule, error) {
	c := &Capsule{text: text}
	if err := parse(text, &c.fields); err != nil {
		return nil, fmt.Errorf("couldn't read the capsule: %w", err)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("couldn't read the capsule: %w: %w", ErrFormat, err)
	}
	return c, nil
}

func (c *Capsule) check() (err error) {
	if c.fields.Format != capsuleFormat || !isTransferID(c.fields.Transfer) {
		return fmt.Errorf("format %q", c.fields.Format)
	}
	if err := errors.Join(c.fields.Source.Check(), c.fields.Destination.Check()); err != nil {
		return err
	}
	if c.public, err = lms.ParseHSSPublicKey(c.fields.PublicKey); err != nil {
		return err
	}
	if err := keystore.ValidLevels(c.fields.Levels); err != nil {
		return err
	}
	if len(c.fields.Levels) != c.public.Levels || c.fields.Levels[0] != c.public.Root.Set {
		return fmt.Errorf("the levels are not those of the public key")
	}
	return nil
}

// ID names the transfer: 32 hex digits.
func (c *Capsule) ID() string { return c.fields.Transfer }

// Source is the token that gives.
func (c *Capsule) Source() Party { return c.fields.Source }

// Destination is the token that receives.
func (c *Capsule) Destination() Party { return c.fields.Destination }

// PublicKey is the key whose leaves are given.
func (c *Capsule) PublicKey() lms.HSSPublicKey { return c.public }

// Levels are the parameter sets of the key, root first.
func (c *Capsule) Levels() []lms.ParameterSet { return c.fields.Levels }

// Leaves are the root leaves that are given.
func (c *Capsule) Leaves() keystore.Spans { return c.fields.Leaves }

// Fingerprint is for people to compare, as that of a Request.
func (c *Capsule) Fingerprint() string { return fingerprint(c.text) }

// context binds the sealed part to the header.
func (h capsuleHeader) context() ([]byte, error) {
	text, err := format(h)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, "onceleaf capsule/1 %s", digest(text)), nil
}
