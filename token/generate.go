package token

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"math"
	"slices"

	"github.com/onceleaf/onceleaf/internal/ck"
	"github.com/onceleaf/onceleaf/keystore"
	"github.com/onceleaf/onceleaf/lms"
	"github.com/onceleaf/onceleaf/mechanism"
)

// GenerateKey is C_GenerateKey: a secret key. CKR_MECHANISM_INVALID, CKR_MECHANISM_PARAM_INVALID, CKR_KEY_SIZE_RANGE,
// and what a template can be refused for.
func (seat *Seat) GenerateKey(s Session, m ck.Mechanism, template []Attribute) (ObjectID, error) {
	keyType, err := keyTypeOf(m, ck.CKF_GENERATE, template)
	if err != nil {
		return "", err
	}
	p, err := seat.plan(s, generate, ck.CKO_SECRET_KEY, keyType, template)
	if err != nil {
		return "", err
	}
	values, err := mechanism.GenerateKey(m, p.attributes)
	if err != nil {
		return "", err
	}
	p.attributes.generated(m.Type)
	o, err := p.finish(values)
	if err != nil {
		return "", err
	}
	err = seat.add(s, o)
	return o.id, err
}

// GenerateKeyPair is C_GenerateKeyPair for all but HSS and transfer keys. Both halves appear, or none. CKM_EDDSA stands
// for CKM_EC_EDWARDS_KEY_PAIR_GEN, as GnuTLS has it. The results are those of GenerateKey, CKR_CURVE_NOT_SUPPORTED and
// CKR_PARAMETER_SET_NOT_SUPPORTED.
func (seat *Seat) GenerateKeyPair(s Session, m ck.Mechanism, public, private []Attribute) (
	pub, priv ObjectID, err error) {
	if m.Type == ck.CKM_EDDSA {
		m.Type = ck.CKM_EC_EDWARDS_KEY_PAIR_GEN
	}
	keyType, err := keyTypeOf(m, ck.CKF_GENERATE_KEY_PAIR, slices.Concat(public, private))
	if err != nil {
		return "", "", err
	}
	pubPlan, err := seat.plan(s, generate, ck.CKO_PUBLIC_KEY, keyType, public)
	if err != nil {
		return "", "", err
	}
	privPlan, err := seat.plan(s, generate, ck.CKO_PRIVATE_KEY, keyType, private)
	if err != nil {
		return "", "", err
	}
	pubObject, privObject, err := generatePair(m, pubPlan, privPlan)
	if err != nil {
		return "", "", err
	}
	err = seat.add(s, pubObject, privObject)
	return pubObject.id, privObject.id, err
}

// generatePair makes both halves of a pair.
func generatePair(m ck.Mechanism, public, private plan) (pub, priv *object, err error) {
	pubValues, privValues, err := mechanism.GenerateKeyPair(m, public.attributes, private.attributes)
	if err != nil {
		return nil, nil, err
	}
	public.attributes.generated(m.Type)
	private.attributes.generated(m.Type)
	if pub, err = public.finish(pubValues); err != nil {
		return nil, nil, err
	}
	priv, err = private.finish(privValues)
	return pub, priv, err
}

// keyTypeOf is the type of the keys that a mechanism makes; the template chooses where there are several.
func keyTypeOf(m ck.Mechanism, flag uint64, template []Attribute) (ck.KeyType, error) {
	row, known := mechanism.Find(m.Type)
	if !known || row.Flags&flag == 0 || len(row.Keys) == 0 {
		return 0, refuse(ck.CKR_MECHANISM_INVALID, "%s is not offered for this", m.Type)
	}
	value, given, err := lookup(template, ck.CKA_KEY_TYPE)
	if err != nil || !given {
		return row.Keys[0], err
	}
	keyType := (Attributes{ck.CKA_KEY_TYPE: value}).keyType()
	if len(value) == 8 && !slices.Contains(row.Keys, keyType) {
		return 0, refuse(ck.CKR_TEMPLATE_INCONSISTENT, "%s makes no key of type %s", m.Type, keyType)
	}
	return keyType, nil
}

// plan is what a new object will be, as far as its template and the defaults say.
type plan struct {
	table      schema
	attributes Attributes
	length     int // CKA_VALUE_LEN of a secret that is derived or unwrapped, in bytes; 0 for what comes
}

// plan checks all that can be said against a new object without its value.
func (seat *Seat) plan(s Session, c call, class ck.ObjectClass, keyType ck.KeyType, template []Attribute) (
	p plan, err error) {
	table, known := schemaOf(class, keyType)
	if !known {
		return p, refuse(ck.CKR_ATTRIBUTE_VALUE_INVALID, "%s of type %s is not kept here", class, keyType)
	}
	a, err := table.fill(c, template)
	if err != nil {
		return p, err
	}
	if err := table.admissible(a, seat.userIs(ck.CKU_SO)); err != nil {
		return p, err
	}
	return plan{table: table, attributes: a}, seat.mayMake(s, a)
}

// finish is the object of a plan with the values of its key, and what follows from them. What the template gave of that
// must agree. The plan and the values are used up: what is hidden is cleared in them.
func (p plan) finish(values Attributes) (*object, error) {
	all := p.attributes.clone()
	defer p.table.clearHidden(p.attributes)
	p.table.move(all, values)
	if isKey(all.class()) {
		complete, err := mechanism.Complete(all.class(), all.keyType(), all)
		if err != nil {
			p.table.clearHidden(all)
			return nil, err
		}
		p.table.move(all, complete)
	}
	for attribute := range p.table {
		if all[attribute] == nil {
			all[attribute] = empty
		}
	}
	return newObject(all)
}

// move copies attributes into others and clears what is hidden of them, and of those whose place they take.
func (s schema) move(to, from Attributes) {
	for attribute, value := range from {
		copied := bytes.Clone(value)
		if s[attribute].hidden {
			clear(value)
			clear(to[attribute])
		}
		to[attribute] = copied
	}
}

// clearHidden clears the values that are hidden.
func (s schema) clearHidden(a Attributes) {
	for attribute, value := range a {
		if s[attribute].hidden {
			clear(value)
		}
	}
}

// keyPlan is what the two templates of CKM_HSS_KEY_PAIR_GEN ask for.
type keyPlan struct {
	levels          []lms.ParameterSet
	transferable    bool
	reserve         uint64 // message leaves per durable write; 0 for the keystore's default
	public, private Attributes
}

// planKey checks the templates, each by itself and against the other.
func planKey(public, private []Attribute) (p keyPlan, err error) {
	if p.public, err = hssPublic.fill(generate, public); err != nil {
		return p, err
	}
	if p.private, err = hssPrivate.fill(generate, private); err != nil {
		return p, err
	}
	if p.levels, err = levels(p.private); err != nil {
		return p, err
	}
	if p.reserve, err = p.private.takeReserve(p.levels); err != nil {
		return p, err
	}
	p.transferable = p.private.bool(ck.CKA_ONCELEAF_TRANSFERABLE)
	if p.transferable && !p.private.bool(ck.CKA_TOKEN) {
		return p, refuse(ck.CKR_TEMPLATE_INCONSISTENT, "only a token key can be transferable")
	}
	maps.DeleteFunc(p.private, func(a ck.AttributeType, _ []byte) bool { // the keystore keeps these
		return a == ck.CKA_HSS_LEVELS || a == ck.CKA_HSS_LMS_TYPES || a == ck.CKA_HSS_LMOTS_TYPES || a == ck.CKA_ONCELEAF_TRANSFERABLE
	})
	p.public.generated(ck.CKM_HSS_KEY_PAIR_GEN)
	p.private.generated(ck.CKM_HSS_KEY_PAIR_GEN)
	return p, nil
}

// levels reads the parameter sets, root first, out of CKA_HSS_LEVELS, _LMS_TYPES and _LMOTS_TYPES.
func levels(private Attributes) ([]lms.ParameterSet, error) {
	n := private.ulong(ck.CKA_HSS_LEVELS)
	types, otsTypes := parseUlongs(private[ck.CKA_HSS_LMS_TYPES]), parseUlongs(private[ck.CKA_HSS_LMOTS_TYPES])
	if n < 1 || n > 8 {
		return nil, refuse(ck.CKR_TEMPLATE_INCONSISTENT, "%d levels, 1 to 8 are possible", n)
	}
	if uint64(len(types)) != n || uint64(len(otsTypes)) != n {
		return nil, refuse(ck.CKR_TEMPLATE_INCONSISTENT, "%d levels, %d LMS types and %d LM-OTS types", n, len(types),
			len(otsTypes))
	}
	sets := make([]lms.ParameterSet, n)
	for i := range sets {
		if types[i] > math.MaxUint32 || otsTypes[i] > math.MaxUint32 {
			return nil, refuse(ck.CKR_TEMPLATE_INCONSISTENT, "level %d: no such type", i)
		}
		sets[i] = lms.ParameterSet{LMS: lms.Type(types[i]), OTS: lms.OTSType(otsTypes[i])}
	}
	if err := keystore.ValidLevels(sets); err != nil {
		return nil, refuse(ck.CKR_TEMPLATE_INCONSISTENT, "%w", err)
	}
	return sets, nil
}

// takeReserve takes CKA_ONCELEAF_RESERVE out of the attributes of a new key, since the keystore keeps it. 0 without it.
func (a Attributes) takeReserve(levels []lms.ParameterSet) (uint64, error) {
	reserve := a.ulong(ck.CKA_ONCELEAF_RESERVE)
	delete(a, ck.CKA_ONCELEAF_RESERVE)
	if err := keystore.ValidReserve(levels, reserve); err != nil {
		return 0, refuse(ck.CKR_TEMPLATE_INCONSISTENT, "%w", err)
	}
	return reserve, nil
}

// generated sets what the token says about a key that it made.
func (a Attributes) generated(mechanism ck.MechanismType) { a.made(true, mechanism) }

// received sets what the token says about a key that came to it. PKCS#11 has C_UnwrapKey clear both
// CKA_ALWAYS_SENSITIVE and CKA_NEVER_EXTRACTABLE: this token does not know what the key's other life was.
func (a Attributes) received() { a.made(false, ck.CK_UNAVAILABLE_MECHANISM) }

func (a Attributes) made(here bool, mechanism ck.MechanismType) {
	a[ck.CKA_UNIQUE_ID] = newUniqueID()
	if !isKey(a.class()) {
		return
	}
	a[ck.CKA_LOCAL] = Bool(here)
	a[ck.CKA_KEY_GEN_MECHANISM] = Ulong(mechanism)
	if a.class() != ck.CKO_PUBLIC_KEY {
		a[ck.CKA_ALWAYS_SENSITIVE] = Bool(here && a.bool(ck.CKA_SENSITIVE))
		a[ck.CKA_NEVER_EXTRACTABLE] = Bool(here && !a.bool(ck.CKA_EXTRACTABLE))
	}
}

// render makes the stored form of attributes that do not depend on the key.
func (a Attributes) render(lms.HSSPublicKey) []byte { return objectRecord{Attributes: a}.encode() }

// GenerateHSS is C_GenerateKeyPair with CKM_HSS_KEY_PAIR_GEN. Each half can be a token or a session object. It takes
// as long as the root tree takes to build; ctx ends it. A token key needs the user logged in, to the end and even when
// CKA_PRIVATE is FALSE: its secret is sealed under the master key.
func (seat *Seat) GenerateHSS(ctx context.Context, s Session, public, private []Attribute) (pub, priv ObjectID, err error) {
	p, err := planKey(public, private)
	if err != nil {
		return "", "", err
	}
	if err := seat.mayMake(s, p.private); err != nil {
		return "", "", err
	}
	if err := seat.mayMake(s, p.public); err != nil {
		return "", "", err
	}
	if !p.private.bool(ck.CKA_TOKEN) {
		return seat.generateInMemory(ctx, s, p)
	}
	if !seat.userIs(ck.CKU_USER) {
		return "", "", refuse(ck.CKR_USER_NOT_LOGGED_IN, "a token key needs the user")
	}
	return seat.generateInStore(ctx, s, p)
}

// generateInStore makes a token key. If the public key is a token object too, one durable write makes both.
func (seat *Seat) generateInStore(ctx context.Context, s Session, p keyPlan) (pub, priv ObjectID, err error) {
	spec := keystore.Spec{Levels: p.levels, Transferable: p.transferable, Reserve: p.reserve, Private: p.private.render}
	together := p.public.bool(ck.CKA_TOKEN)
	if together {
		spec.Public = p.public.render
	}
	ctx, login, stop := seat.whileUser(ctx)
	defer stop()
	identity, err := seat.token.keys.Generate(ctx, spec)
	if err != nil {
		return "", "", login.result(err)
	}
	pub, priv = ObjectID(publicPrefix+identity.String()), ObjectID(privatePrefix+identity.String())
	if together {
		return pub, priv, nil
	}
	info, err := seat.token.keys.Info(identity)
	if err == nil {
		pub, err = seat.addPublic(s, p.public, info.PublicKey)
	}
	if err != nil { // the session ended meanwhile: nobody will know of the key
		return "", "", errors.Join(err, seat.token.keys.Destroy(identity))
	}
	return pub, priv, nil
}

// generateInMemory makes a session key, after the memory for its trees is claimed.
func (seat *Seat) generateInMemory(ctx context.Context, s Session, p keyPlan) (pub, priv ObjectID, err error) {
	if err := seat.roomForKey(); err != nil {
		return "", "", err
	}
	memory := treeMemory(p.levels)
	if err := seat.claimBytes(memory); err != nil {
		return "", "", err
	}
	pub, priv, err = seat.addSessionKey(ctx, s, p, memory)
	if err != nil {
		seat.releaseBytes(memory)
	}
	return pub, priv, err
}

// treeMemory is about what the trees of a key take, in bytes: the top of the root, and of each level below the top of the
// live tree and of the next one (see lms.Tree).
func treeMemory(levels []lms.ParameterSet) (bytes int64) {
	const top, least = 15, 4 << 10 // levels in memory; a tree's bookkeeping
	for i, set := range levels {
		tree := int64(2*set.N())<<min(set.Height(), top) + least
		if i > 0 {
			tree *= 2
		}
		bytes += tree
	}
	return bytes
}

// addSessionKey makes a session key: in a keystore of its own that lives in memory, and under a master key of its own,
// so that it signs by the same code as any other and vanishes with the session.
func (seat *Seat) addSessionKey(ctx context.Context, s Session, p keyPlan, memory int64) (pub, priv ObjectID, err error) {
	keys, err := seat.newSessionKeys()
	if err != nil {
		return "", "", err
	}
	keys.Unlock(keystore.NewMasterKey())
	identity, err := keys.Generate(ctx, keystore.Spec{Levels: p.levels, Reserve: p.reserve, Private: p.private.render})
	if err != nil {
		return "", "", errors.Join(err, keys.Lock())
	}
	o, err := newObject(p.private)
	if err != nil {
		return "", "", errors.Join(err, keys.Lock())
	}
	o.key = &hssKey{keys: keys, identity: identity, memory: memory}
	o.key.there, o.key.end = context.WithCancel(context.Background())
	info, err := keys.Info(identity)
	if err == nil {
		pub, err = seat.addPublic(s, p.public, info.PublicKey, o)
	}
	if err != nil {
		o.discard()
		return "", "", err
	}
	return pub, o.id, nil
}

// newSessionKeys is the keystore of one session key.
func (seat *Seat) newSessionKeys() (*keystore.Keystore, error) {
	if seat.limits.Shared {
		return keystore.NewQuietSession(seat.token.log)
	}
	return keystore.NewSession(seat.token.log)
}

// addPublic adds an HSS public key as an object of its own, together with others.
func (seat *Seat) addPublic(s Session, public Attributes, k lms.HSSPublicKey, others ...*object) (ObjectID, error) {
	o, err := newPublic(public, k)
	if err != nil {
		return "", err
	}
	err = seat.add(s, append(others, o)...)
	return o.id, err
}

// newPublic is an HSS public key that is an object of its own.
func newPublic(a Attributes, k lms.HSSPublicKey) (*object, error) {
	a[ck.CKA_VALUE] = k.Bytes()
	return newObject(a)
}
