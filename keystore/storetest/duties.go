package storetest

import (
	"slices"

	"github.com/onceleaf/onceleaf/keystore"
)

// Duty is one promise of the contract of keystore.Store.
type Duty string

// The duties of every store.
const (
	// RoundTrip: Fetch gives back what Create and Replace stored, from 1 byte to
	// 1 MiB; ErrNoKey if there is nothing.
	RoundTrip Duty = "round trip"
	// CreateOnce: Create answers ErrStale to an identity that has a record, even
	// the same one, and changes nothing.
	CreateOnce Duty = "create once"
	// StaleWriter: Replace answers ErrStale unless the snapshot is of the stored
	// record, and changes nothing.
	StaleWriter Duty = "stale writer"
	// RaceToReplace: of many who replace one version, or create one record, at
	// once, one succeeds and the others get ErrStale.
	RaceToReplace Duty = "race to replace"
	// WholeRecords: whoever reads during a change sees the record from before it
	// or from after it.
	WholeRecords Duty = "whole records"
	// LatestRecord: Fetch shows the last acknowledged record, or one whose writing
	// has begun, and never goes back.
	LatestRecord Duty = "latest record"
	// IdentitiesApart: a change of one record is seen at no other, however similar
	// the identities.
	IdentitiesApart Duty = "identities apart"
	// NoAliases: the store keeps no slice of its caller, and a snapshot stays what
	// it was when the record changes.
	NoAliases Duty = "no aliases"
	// CompleteList: List has every identity with a record, once, and no other.
	CompleteList Duty = "complete list"
	// DurableTruth: Durable is true only if something outlives the opening, and
	// the worst that the medium can do; it does not change its mind.
	DurableTruth Duty = "durable truth"
)

// The duties of a store that can be opened again.
const (
	// KeptClosed: what was acknowledged is there after closing and opening.
	KeptClosed Duty = "kept when closed"
	// KeptKilled: what was acknowledged is there after the owner was killed.
	KeptKilled Duty = "kept when killed"
	// KeptPowerCut: what was acknowledged is there after a power cut.
	KeptPowerCut Duty = "kept at a power cut"
	// StaleAfterOpening: a snapshot from before the opening is refused as any.
	StaleAfterOpening Duty = "stale writer after opening"
	// Missing: opening a store that is gone is ErrMissing, again and again.
	Missing Duty = "missing store"
	// CreateStoreOnce: no store is made over another one.
	CreateStoreOnce Duty = "create store once"
	// OneOwner: a second owner gets ErrOwned, and disturbs nothing; the next one
	// is let in when the first has closed the store.
	OneOwner Duty = "one owner"
	// RaceOfOwners: RaceToReplace holds among owners of their own, of whom each
	// sees what the others stored.
	RaceOfOwners Duty = "race of owners"
)

// The duties around faults. An error other than ErrStale leaves the outcome of a
// write unknown: the record is the old one or the new one, which may still show,
// but once the new one was seen it stays.
const (
	// UnknownOutcome: after a failed write Fetch shows old, new, or an error.
	// When the fault is over the store works, or refuses until it is opened anew.
	UnknownOutcome Duty = "unknown outcome"
	// MidWriteKilled: killed at a random moment while it writes, a store has the
	// last acknowledged record, or the one that was being written.
	MidWriteKilled Duty = "killed at a random moment"
	// EachStepKilled: killed when a step of a write has failed, each in turn, the
	// record is old or new, and another one is as it was.
	EachStepKilled Duty = "killed at each step"
	// MidWritePowerCut: the same with a power cut at a random moment.
	MidWritePowerCut Duty = "power cut at a random moment"
	// EachStepPowerCut: the same with a power cut at each step in turn.
	EachStepPowerCut Duty = "power cut at each step"
	// ShownKilled: what Fetch shows after a failed write outlives a kill.
	ShownKilled Duty = "shown, then killed"
	// ShownPowerCut: what Fetch shows after a failed write outlives a power cut.
	ShownPowerCut Duty = "shown, then power cut"
	// ShownAtOpening: what Fetch shows after opening outlives a power cut, also if
	// the owner before was killed in the middle of a write.
	ShownAtOpening Duty = "shown at opening, then power cut"
	// StoredAgainKilled: a record found after a failed write, and stored once more
	// as it is, outlives a kill.
	StoredAgainKilled Duty = "stored again, then killed"
	// StoredAgainPowerCut: the same with a power cut.
	StoredAgainPowerCut Duty = "stored again, then power cut"
)

// Duties are all of them, in the order in which they are exercised.
func Duties() (all []Duty) {
	for _, r := range rules {
		all = append(all, r.duty)
	}
	return all
}

// rule says how a duty is exercised, and what the medium needs for it.
type rule struct {
	duty  Duty
	needs []ability
	check func(Medium, keystore.Store) error
}

// ability is what a medium can do.
type ability struct {
	name string
	in   func(Medium) bool
}

var (
	opener      = ability{"Opener", has[Opener]}
	sharer      = ability{"Sharer", has[Sharer]}
	remover     = ability{"Remover", has[Remover]}
	killer      = ability{"Killer", has[Killer]}
	powerCutter = ability{"PowerCutter", has[PowerCutter]}
	failer      = ability{"Failer", has[Failer]}
	soleOwner   = ability{"sole owner", func(m Medium) bool { return !has[Sharer](m) }}
)

func has[Ability any](m Medium) bool {
	_, ok := m.(Ability)
	return ok
}

// end is a way in which the life of an opened store ends.
type end struct {
	name   string
	needs  []ability
	happen func(Medium, keystore.Store) error
}

// again lets the end happen and opens the store anew.
func (e end) again(m Medium, store keystore.Store) (keystore.Store, error) {
	if err := e.happen(m, store); err != nil {
		return nil, wrong("couldn't be %s: %w", e.name, err)
	}
	store, err := m.(Opener).Open()
	if err != nil {
		return nil, wrong("couldn't be opened after it was %s: %w", e.name, err)
	}
	return store, nil
}

var (
	closed = end{"closed", []ability{opener},
		func(m Medium, s keystore.Store) error { return m.Close(s) }}
	killed = end{"killed", []ability{opener, killer},
		func(m Medium, s keystore.Store) error { return m.(Killer).Kill(s) }}
	powerCut = end{"cut from power", []ability{opener, powerCutter},
		func(m Medium, _ keystore.Store) error { return m.(PowerCutter).CutPower() }}
)

var rules = []rule{
	{RoundTrip, nil, roundTrip},
	{CreateOnce, nil, createOnce},
	{StaleWriter, nil, staleWriter},
	{RaceToReplace, nil, raceToReplace},
	{WholeRecords, nil, wholeRecords},
	{LatestRecord, nil, latestRecord},
	{IdentitiesApart, nil, identitiesApart},
	{NoAliases, nil, noAliases},
	{CompleteList, nil, completeList},
	{DurableTruth, nil, durableTruth},

	{KeptClosed, closed.needs, kept(closed)},
	{KeptKilled, killed.needs, kept(killed)},
	{KeptPowerCut, powerCut.needs, kept(powerCut)},
	{StaleAfterOpening, closed.needs, staleAfterOpening},
	{Missing, []ability{opener, remover}, missing},
	{CreateStoreOnce, closed.needs, createStoreOnce},
	{OneOwner, []ability{opener, soleOwner}, oneOwner},
	{RaceOfOwners, []ability{sharer}, raceOfOwners},

	{UnknownOutcome, with(closed, failer), unknownOutcome},
	{MidWriteKilled, killed.needs, midWrite(killed)},
	{EachStepKilled, with(killed, failer), eachStep(killed)},
	{MidWritePowerCut, powerCut.needs, midWrite(powerCut)},
	{EachStepPowerCut, with(powerCut, failer), eachStep(powerCut)},
	{ShownKilled, with(killed, failer), shown(killed)},
	{ShownPowerCut, with(powerCut, failer), shown(powerCut)},
	{ShownAtOpening, with(powerCut, killer, failer), shownAtOpening},
	{StoredAgainKilled, with(killed, failer), storedAgain(killed)},
	{StoredAgainPowerCut, with(powerCut, failer), storedAgain(powerCut)},
}

func with(e end, more ...ability) []ability { return slices.Concat(e.needs, more) }
