/*
 * A key of one level on one token: batches of root leaves, and the whole key kept outside.
 * Property: no leaf is released twice.
 *
 * Left out: what a leaf signs, attributes but for the fact that they change the record (annotate),
 * destroy (it only burns), the outbox of Away (it only limits how often a capsule is written out).
 */
#ifndef LEAVES
#define LEAVES 3
#endif
#ifndef OWNERS
#define OWNERS 1 /* processes that want the store */
#endif
#ifndef BATCH
#define BATCH 2 /* State.Reserve */
#endif
#ifndef NOTES
#define NOTES 1 /* changes that move no leaf */
#endif
#ifndef TRIPS
#define TRIPS 0 /* times that the key goes outside */
#endif

/* What reachability runs look for. */
#define RESTORED 1
#define QUARANTINED 2
#define ALL_LEAVES 3
#define AFTER_CRASH 4
#define AFTER_FAULT 5
#define AFTER_RESTORE 6
#define AFTER_PUT_BACK 7
#define AFTER_BRING_BACK 8
#define SECOND_TRIP 9
#define BOTH_OWNERS 10
#define STALE 11

/* The fields of keystore.State that matter here. Spans are bit masks. */
typedef Record {
	byte generation; /* Generation */
	byte mark;       /* Mark */
#ifdef BOUND
	byte base;       /* what the guard was when the record was stamped */
#endif
	byte free;       /* Free */
	byte batch;      /* Batch */
#if TRIPS > 0
	byte away;       /* Away.Leaves */
	byte digest      /* Away.Digest; 0: not external */
#endif
}

#if TRIPS > 0
#define EXTERNAL(r) (r.digest != 0)
#define copyAway(to, from) to.away = from.away; to.digest = from.digest;
#define sameAway(a, b) && a.away == b.away && a.digest == b.digest
#else
#define EXTERNAL(r) false
#define copyAway(to, from)
#define sameAway(a, b)
#endif
#ifdef BOUND
#define copyBase(to, from) to.base = from.base;
#define sameBase(a, b) && a.base == b.base
#else
#define copyBase(to, from)
#define sameBase(a, b)
#endif

inline copyRecord(to, from) {
	d_step {
		to.generation = from.generation; to.mark = from.mark; copyBase(to, from) copyAway(to, from)
		to.free = from.free; to.batch = from.batch
	}
}
#define sameRecord(a, b) (a.generation == b.generation && a.mark == b.mark \
	&& a.free == b.free && a.batch == b.batch sameBase(a, b) sameAway(a, b))

Record nothing;
inline clearRecord(r) { copyRecord(r, nothing) }

#include "store.pml"

mtype = { Sign, SetAttributes, Rest, Externalise, BringBack };

byte released;      /* leaves whose signature somebody has */
byte notes;
bool brought, returned;
byte releasers;     /* which owners released something; for BOTH_OWNERS */
#if TRIPS > 0
byte trips;
bool outside[TRIPS];   /* capsules that left the token ... */
byte content[TRIPS];   /* ... and the free leaves in them */
#endif

/* how many leaves */
#define count(m) (((m) & 1) + (((m) >> 1) & 1) + (((m) >> 2) & 1) + (((m) >> 3) & 1))

/* reserve from the low end, n leaves or what is left; the leaves end in taken. */
inline reserve(n) {
	taken = 0; leaf = 0;
	do
	:: leaf < LEAVES && count(taken) < n ->
		if :: next.free & bit(leaf) -> taken = taken | bit(leaf) :: else fi;
		leaf++
	:: else -> break
	od;
	next.free = next.free & ~taken; leaf = 0
}

/* The signature leaves owned.sign. */
inline release(t, n) {
	say(t, "a leaf is released")
	assert(!(released & bit(n)));
	released = released | bit(n);
	noted(releasers = releasers | bit(_pid));
	reached(AFTER_CRASH, crashes > 0);
	reached(AFTER_RESTORE, restores > 0);
	reached(AFTER_FAULT, faults > 0);
	reached(AFTER_PUT_BACK, returned);
	reached(AFTER_BRING_BACK, brought);
	reached(ALL_LEAVES, released == bit(LEAVES) - 1);
	reached(BOTH_OWNERS, count(releasers >> 1) == 2)
}

/* nextOfBatch; then the signature is made, verified and copied out. */
inline useLeaf(t) {
	atomic {
		leaf = 0;
		do :: memory & bit(leaf) -> break :: else -> leaf++ od;
		memory = memory & ~bit(leaf)
	}
	crashPoint(t); /* signed, not yet released */
	atomic { release(t, leaf); leaf = 0 }
	crashPoint(t)
}

/* drawBatch, for fillBatch. */
inline drawBatch() { reserve(BATCH); next.batch = taken; ok = taken != 0 }

/* putBack, which refuses what is not of the batch in the record. */
inline putBack() {
	ok = (memory & state.batch) == memory;
	next.free = next.free | memory; next.batch = 0
}

#if TRIPS > 0
/* externalise: each capsule has a digest of its own, for it has a generation of its own. */
inline externalise() {
	ok = trips < TRIPS;
	if :: ok -> trips++ :: else fi;
	next.away = next.free; next.digest = trips; next.free = 0; next.batch = 0
}

/* The outbox: a capsule leaves when the record that lacks its leaves is durable; the same bytes each time. */
inline emit() {
	assert(!outside[state.digest - 1] || content[state.digest - 1] == state.away);
	outside[state.digest - 1] = true; content[state.digest - 1] = state.away
}

/* bringBack of any capsule that ever left: only while external, and only the one with the digest. */
inline bringBack() {
	if
	:: outside[0] -> taken = 1
	:: outside[TRIPS - 1] -> taken = TRIPS
	:: else
	fi;
#ifdef NO_DIGEST
	ok = taken != 0 && EXTERNAL(state);
#else
	ok = taken != 0 && EXTERNAL(state) && state.digest == taken;
#endif
	if :: ok -> next.free = content[taken - 1] :: else fi;
	next.away = 0; next.digest = 0
}
#endif

/* One process of the token, over and over: keystore.New, the life of the process, its end. */
proctype Owner(byte t) {
	Record state, next;
	bool known, ok;
	byte highest;
#ifdef BOUND
	byte highestBase;
#endif
	byte memory;   /* key.batch */
	byte taken, leaf;
	mtype work;

	goto down;
crash:
	atomic { fall(t) }
down:
	atomic {
		clearRecord(state); clearRecord(next);
		known = false; ok = false; highest = 0; memory = 0; taken = 0; leaf = 0; work = 0;
#ifdef BOUND
		highestBase = 0
#endif
	}
	restore(t);
end_waiting:
	open(t);
	if :: ok :: else -> reached(QUARANTINED, true); goto finished fi;
end_up:
	do
	:: atomic {
		if
		:: !EXTERNAL(state) -> work = Sign
		:: memory -> work = Rest                          /* Keystore.Lock, settleDown */
		:: !memory -> locked[t] = false; goto down        /* Bolt.Close */
		:: notes < NOTES -> notes++; work = SetAttributes
#if TRIPS > 0
		:: !memory -> work = Externalise                  /* memory is put back first */
		:: EXTERNAL(state) -> work = BringBack
#endif
		fi }
		refresh(t);
		/* key.change: the transition ... */
		atomic {
			copyRecord(next, state);
			if
			:: !ok || work == Sign && EXTERNAL(state) -> ok = false
			:: else ->
				if
				:: work == Sign && !memory -> drawBatch()
				:: work == Sign && memory
				:: work == Rest -> putBack()
				:: work == SetAttributes /* annotate */
#if TRIPS > 0
				:: work == Externalise && !EXTERNAL(state) -> externalise()
				:: work == Externalise && EXTERNAL(state)
				:: work == BringBack -> bringBack()
#endif
				fi
			fi
		}
#ifdef NO_ORDER /* memory and use before the store */
		if :: ok && taken && work == Sign -> memory = taken; useLeaf(t) :: else fi;
#endif
		/* ... and its commit, unless nothing changes. */
		if
		:: ok && !(work == Sign && memory) && !(work == Externalise && EXTERNAL(state)) -> commit(t)
		:: else -> clearRecord(next)
		fi;
#ifdef NO_BURN
		if :: work == Sign && taken -> ok = true :: else fi;
#endif
		atomic {
			if
			:: ok && work == Sign && !memory -> memory = taken
			:: ok && work == Rest -> noted(returned = true)
#if TRIPS > 0
			:: ok && work == Externalise -> emit(); reached(SECOND_TRIP, trips == 2)
			:: ok && work == BringBack -> noted(brought = true)
#endif
			:: else -> reached(STALE, work == Sign && taken && faults == 0)
			fi;
			if :: work == Rest -> memory = 0 :: else fi; /* whatever the store answered */
			taken = 0
		}
		crashPoint(t);
		if :: ok && work == Sign && memory -> useLeaf(t) :: else fi;
#ifdef LATE_GUARD
		guard[t] = state.mark;
#endif
		work = 0
	od;
finished:
	locked[t] = false
}

init {
	atomic {
		disk[0].generation = 1; disk[0].free = bit(LEAVES) - 1;
		copyRecord(store[0], disk[0]);
		run Owner(0);
#if OWNERS > 1
		run Owner(0)
#endif
	}
}
