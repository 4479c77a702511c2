package storetest_test

import (
	"bytes"
	"maps"
	"slices"

	"github.com/onceleaf/onceleaf/keystore"
	. "github.com/onceleaf/onceleaf/keystore/storetest"
)

// lie is the steps of a store and its machine that a liar takes in its own way.
type lie struct {
	durable     bool // said of a store that outlives its process, on its machine
	createsOver bool // makes a store over another one
	startsFresh bool // makes a store that is missing
	letsIn      bool // a second owner

	opened, closing func(*store) error
	settle          func(*store) error
	compare         func(present, old []byte) error
	commit          committing
	name            func(keystore.Identity) keystore.Identity
	dress           func(*store) keystore.Store
}

type committing = func(s *store, id keystore.Identity, record []byte) error

// honest is no lie.
func honest() lie {
	return lie{
		opened: confirm, closing: func(*store) error { return nil },
		settle: settle, compare: compare, commit: commit,
		name:  func(id keystore.Identity) keystore.Identity { return id },
		dress: func(s *store) keystore.Store { return s },
	}
}

// liar is a store that breaks duties.
type liar struct {
	name   string
	breaks []Duty
	lies   func(*lie)
}

// liars live on a machine with one owner.
var liars = []liar{
	{"acknowledges without writing", []Duty{KeptClosed, KeptKilled, KeptPowerCut, MidWriteKilled}, func(l *lie) {
		l.commit = remember
	}},
	{"writes when it is closed", []Duty{KeptKilled, KeptPowerCut}, func(l *lie) {
		l.commit, l.closing = remember, flush
	}},
	{"forgets the last write at opening", []Duty{
		KeptClosed, KeptKilled, KeptPowerCut, StaleAfterOpening, MidWriteKilled, MidWritePowerCut,
	}, forgetLast},
	{"acknowledges before it is durable", []Duty{KeptPowerCut, MidWritePowerCut}, func(l *lie) {
		l.commit = writeAlone
	}},
	{"ignores that a write fails", []Duty{EachStepKilled, EachStepPowerCut}, func(l *lie) { l.commit = ignoreAll }},
	{"ignores that a sync fails", []Duty{EachStepPowerCut}, func(l *lie) { l.commit = ignoreSync }},
	{"writes halves", []Duty{EachStepKilled, EachStepPowerCut, UnknownOutcome}, func(l *lie) { l.commit = inHalves }},
	{"shows halves", []Duty{WholeRecords}, func(l *lie) {
		l.dress = func(s *store) keystore.Store { return halving{s} }
	}},
	{"shows what was before", []Duty{LatestRecord}, func(l *lie) {
		l.dress = func(s *store) keystore.Store {
			return &lagging{store: s, last: map[keystore.Identity]keystore.Snapshot{}}
		}
	}},
	{"does not compare", []Duty{StaleWriter, CreateOnce, RaceToReplace}, func(l *lie) {
		l.compare = func(present, old []byte) error { return nil }
	}},
	{"compares, and then changes", []Duty{RaceToReplace}, func(l *lie) {
		l.dress = func(s *store) keystore.Store { return racing{s} }
	}},
	{"refuses, and changes all the same", []Duty{StaleWriter}, func(l *lie) {
		l.dress = func(s *store) keystore.Store { return refusing{s} }
	}},
	{"creates what there is", []Duty{CreateOnce}, func(l *lie) {
		l.compare = func(present, old []byte) error {
			if old == nil {
				return nil
			}
			return compare(present, old)
		}
	}},
	{"creates once more what is the same", []Duty{CreateOnce}, func(l *lie) {
		l.dress = func(s *store) keystore.Store { return repeating{s} }
	}},
	{"counts anew at opening", []Duty{StaleAfterOpening}, func(l *lie) {
		l.dress = func(s *store) keystore.Store { return &counting{store: s, counts: map[keystore.Identity]int{}} }
	}},
	{"starts fresh", []Duty{Missing}, func(l *lie) { l.startsFresh = true }},
	{"makes a store over another", []Duty{CreateStoreOnce}, func(l *lie) { l.createsOver = true }},
	{"lets two owners in", []Duty{OneOwner}, func(l *lie) { l.letsIn = true }},
	{"shows what a power cut takes away", []Duty{ShownPowerCut}, func(l *lie) {
		l.settle = func(*store) error { return nil }
	}},
	{"shows what a kill takes away", []Duty{ShownKilled}, func(l *lie) { l.commit = rememberFailed }},
	{"opens without confirming", []Duty{ShownAtOpening}, func(l *lie) {
		l.opened = func(*store) error { return nil }
	}},
	{"does not store again", []Duty{StoredAgainKilled}, func(l *lie) { l.commit = unlessSame(rememberFailed) }},
	{"does not store again on the platter", []Duty{StoredAgainPowerCut}, func(l *lie) {
		l.commit, l.settle = unlessSame(commit), func(*store) error { return nil }
	}},
	{"leaves a third value", []Duty{UnknownOutcome}, func(l *lie) { l.commit = mixFailed }},
	{"calls a failed write stale", []Duty{UnknownOutcome}, func(l *lie) { l.commit = staleFailed }},
	{"never works again", []Duty{UnknownOutcome}, neverAgain},
	{"damages others", []Duty{EachStepKilled, EachStepPowerCut, UnknownOutcome}, func(l *lie) {
		l.commit = damageFailed
	}},
	{"keeps the caller's slice", []Duty{NoAliases}, func(l *lie) {
		l.commit = func(s *store, id keystore.Identity, record []byte) error {
			s.memory[id] = record
			return commit(s, id, record)
		}
	}},
	{"gives out snapshots that change", []Duty{NoAliases}, func(l *lie) {
		l.dress = func(s *store) keystore.Store { return living{s} }
	}},
	{"cuts identities", []Duty{IdentitiesApart}, func(l *lie) {
		l.name = func(id keystore.Identity) keystore.Identity { id[len(id)-1] = 0; return id }
	}},
	{"cuts records", []Duty{RoundTrip}, func(l *lie) { l.commit = cutRecord }},
	{"finds what is not there", []Duty{RoundTrip}, func(l *lie) {
		l.dress = func(s *store) keystore.Store { return finding{s} }
	}},
	{"lists a page", []Duty{CompleteList}, func(l *lie) {
		l.dress = func(s *store) keystore.Store { return paging{s} }
	}},
	{"lists one for another", []Duty{CompleteList}, func(l *lie) {
		l.dress = func(s *store) keystore.Store { return doubling{s} }
	}},
	{"says durable and is not", []Duty{DurableTruth}, func(l *lie) { l.durable, l.commit = true, remember }},
	{"is durable in its first life", []Duty{DurableTruth}, func(l *lie) {
		l.durable, l.opened = true, func(s *store) error { s.durable = false; return confirm(s) }
	}},
}

// strangers live on a machine with many owners.
var strangers = []liar{
	{"compares with what it stored itself", []Duty{RaceOfOwners}, func(l *lie) { l.commit = keepCopy }},
	{"compares, and then changes, among owners", []Duty{RaceOfOwners}, func(l *lie) {
		l.dress = func(s *store) keystore.Store { return racing{s} }
	}},
}

func writeAlone(s *store, id keystore.Identity, record []byte) error {
	return s.machine.disk.write(id, record)
}

func ignoreAll(s *store, id keystore.Identity, record []byte) error {
	_ = commit(s, id, record)
	return nil
}

func keepSlice(s *store, id keystore.Identity, record []byte) error {
	s.memory[id] = record
	return commit(s, id, record)
}

func keepCopy(s *store, id keystore.Identity, record []byte) error {
	return keepSlice(s, id, bytes.Clone(record))
}

func cutRecord(s *store, id keystore.Identity, record []byte) error {
	return commit(s, id, record[:min(len(record), 1<<16)])
}

func remember(s *store, id keystore.Identity, record []byte) error {
	s.memory[id] = bytes.Clone(record)
	return nil
}

func flush(s *store) error {
	maps.Copy(s.machine.disk.cache, s.memory)
	maps.Copy(s.machine.disk.platter, s.memory)
	return nil
}

func forgetLast(l *lie) {
	forget := func(*store) {}
	l.commit = func(s *store, id keystore.Identity, record []byte) error {
		before, was := s.machine.disk.cache[id]
		forget = func(s *store) {
			delete(s.machine.disk.cache, id)
			if was {
				s.machine.disk.cache[id] = before
			}
		}
		return commit(s, id, record)
	}
	l.opened = func(s *store) error { forget(s); return confirm(s) }
}

func ignoreSync(s *store, id keystore.Identity, record []byte) error {
	err := s.machine.disk.write(id, record)
	_ = s.machine.disk.sync()
	return err
}

func inHalves(s *store, id keystore.Identity, record []byte) error {
	if err := commit(s, id, record[:len(record)/2]); err != nil {
		return err
	}
	return commit(s, id, record)
}

func rememberFailed(s *store, id keystore.Identity, record []byte) error {
	err := commit(s, id, record)
	if err != nil {
		s.memory[id] = bytes.Clone(record)
	} else {
		delete(s.memory, id)
	}
	return err
}

func unlessSame(commit committing) committing {
	return func(s *store, id keystore.Identity, record []byte) error {
		if bytes.Equal(look(s, id), record) {
			return nil
		}
		return commit(s, id, record)
	}
}

func mixFailed(s *store, id keystore.Identity, record []byte) error {
	before := look(s, id)
	err := commit(s, id, record)
	delete(s.memory, id)
	if err != nil {
		s.memory[id] = slices.Concat(record[:len(record)/2], before)
	}
	return err
}

func staleFailed(s *store, id keystore.Identity, record []byte) error {
	if commit(s, id, record) != nil {
		return keystore.ErrStale
	}
	return nil
}

func neverAgain(l *lie) {
	failed := false
	l.commit = func(s *store, id keystore.Identity, record []byte) error {
		err := commit(s, id, record)
		failed = failed || err != nil
		return err
	}
	l.settle = func(s *store) error {
		if failed {
			return errFailing
		}
		return settle(s)
	}
}

func damageFailed(s *store, id keystore.Identity, record []byte) error {
	err := commit(s, id, record)
	for other := range s.machine.disk.platter {
		if err != nil && other != id {
			s.machine.disk.cache[other], s.machine.disk.platter[other] = record, record
		}
	}
	return err
}
