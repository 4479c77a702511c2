/*
 * A key of two levels on one token. BATCH is State.Reserve: 0 for lower trees in volatile memory that
 * a clean stop parks (park, takeOut), otherwise trees that stay in the record, from which BATCH leaves
 * at a time are taken (draw, plant, putBack).
 * Properties: no leaf of a lower tree is released twice, and no root leaf signs two trees.
 *
 * Left out: the trees themselves (a fresh random tree is a new number), damage, upper lower levels
 * (draw of one leaf of an inner tree is the same step as reserve, one level down).
 */
#ifndef ROOTS
#define ROOTS 2  /* leaves of the root tree */
#endif
#ifndef LEAVES
#define LEAVES 2 /* leaves of each lower tree */
#endif
#ifndef BATCH
#define BATCH 0
#endif
#ifndef STOPS
#define STOPS 2  /* clean stops with something in memory */
#endif
#define TREES 6  /* more than any run makes */

/* What reachability runs look for. */
#define RESTORED 1
#define QUARANTINED 2
#define ALL_LEAVES 3
#define AFTER_CRASH 4
#define AFTER_FAULT 5
#define AFTER_RESTORE 6
#define AFTER_PARK 7
#define AFTER_PUT_BACK 8
#define CRASHED_WHILE_PARKED 9

/* The fields of keystore.State that matter here. */
typedef Record {
	byte generation; /* Generation */
	byte mark;       /* Mark */
#ifdef BOUND
	byte base;
#endif
	byte free;       /* Free: root leaves, a bit mask */
	byte parked;     /* Parked[0].I, the number of a tree; 0: none */
	byte hangsOn;    /* the root leaf in Parked[0].Signature */
	byte parkedNext; /* Parked[0].Next */
	byte batch       /* Batch: leaves of that tree, a bit mask */
}
#ifdef BOUND
#define copyBase(to, from) to.base = from.base;
#define sameBase(a, b) && a.base == b.base
#else
#define copyBase(to, from)
#define sameBase(a, b)
#endif
inline copyRecord(to, from) {
	d_step {
		to.generation = from.generation; to.mark = from.mark; copyBase(to, from)
		to.free = from.free; to.parked = from.parked; to.hangsOn = from.hangsOn;
		to.parkedNext = from.parkedNext; to.batch = from.batch
	}
}
#define sameRecord(a, b) (a.generation == b.generation && a.mark == b.mark \
	&& a.free == b.free && a.parked == b.parked && a.hangsOn == b.hangsOn \
	&& a.parkedNext == b.parkedNext && a.batch == b.batch sameBase(a, b))

Record nothing;
inline clearRecord(r) { copyRecord(r, nothing) }

#include "store.pml"

mtype = { Sign, Plant, Rest };

byte trees;                /* how many were made */
byte released[TREES + 1];  /* leaves of each tree whose signature somebody has */
byte signs[ROOTS];         /* the tree that each root leaf signed, as somebody knows; 0: none */
byte signatures, stops;
bool wasParked, returned, crashedParked;

/* how many leaves */
#define count(m) (((m) & 1) + (((m) >> 1) & 1) + (((m) >> 2) & 1) + (((m) >> 3) & 1))

/* reserve one root leaf from the low end; it ends in root. */
inline reserve() {
	root = 0;
	do
	:: root < ROOTS && !(next.free & bit(root)) -> root++
	:: else -> break
	od;
	ok = root < ROOTS; /* or ErrExhausted */
	next.free = next.free & ~bit(root)
}

/* draw: the batch is what lies between the old and the new Next of the parked tree. */
inline draw() {
	next.batch = 0;
	do
	:: next.parkedNext < LEAVES && count(next.batch) < BATCH ->
		next.batch = next.batch | bit(next.parkedNext); next.parkedNext++
	:: else -> break
	od;
	ok = next.batch != 0
}

/* plant: the fresh tree, which a reserved root leaf signed, and the first batch of it. */
inline plant() {
	next.parked = fresh; next.hangsOn = root; next.parkedNext = 0;
	draw()
}

/* putBack: Next sinks to the first leaf of the batch that was not used. */
inline putBack() {
	ok = (memory & state.batch) == memory && path == state.parked;
	do
	:: next.parkedNext > 0 && (memory & bit(next.parkedNext - 1)) -> next.parkedNext--
	:: else -> break
	od;
	next.batch = 0
}

/* park: the live path goes into the record as it is. */
inline park() {
	ok = !state.parked;
	next.parked = path; next.hangsOn = pathRoot; next.parkedNext = pathNext
}

/* takeOut: the parked tree leaves the record; it is used from memory when that is durable. */
inline takeOut() { next.parked = 0; next.hangsOn = 0; next.parkedNext = 0 }

/* The signature leaves owned.sign, and with it that of the root leaf over the tree. */
inline release(t, n) {
	say(t, "a leaf is released")
	assert(!(released[path] & bit(n)));
	assert(signs[pathRoot] == 0 || signs[pathRoot] == path); /* released: root leaf */
	released[path] = released[path] | bit(n); signs[pathRoot] = path; noted(signatures++);
	reached(AFTER_CRASH, crashes > 0);
	reached(AFTER_RESTORE, restores > 0);
	reached(AFTER_FAULT, faults > 0);
	reached(AFTER_PARK, wasParked && trees == 1 && n == LEAVES - 1);
	reached(CRASHED_WHILE_PARKED, crashedParked && trees == 1 && n == LEAVES - 1);
	reached(AFTER_PUT_BACK, returned && trees == 1 && n == LEAVES - 1);
	reached(ALL_LEAVES, signatures == ROOTS * LEAVES)
}

/* lowerTree.take, or nextOfBatch; then the signature is made, verified and copied out. */
inline useLeaf(t) {
	atomic {
#if BATCH == 0
		leaf = pathNext; pathNext++
#else
		leaf = 0;
		do :: memory & bit(leaf) -> break :: else -> leaf++ od;
		memory = memory & ~bit(leaf)
#endif
	}
	crashPoint(t); /* signed, not yet released */
	atomic { release(t, leaf); leaf = 0 }
	crashPoint(t)
}
#if BATCH == 0
#define LIVE (path && pathNext < LEAVES)
#else
#define LIVE (path && memory)
#endif

proctype Owner(byte t) {
	Record state, next;
	bool known, ok;
	byte highest;
#ifdef BOUND
	byte highestBase;
#endif
	byte path, pathRoot, pathNext; /* key.path: the live tree; pathNext is lowerTree.next */
	byte memory;                   /* key.batch */
	byte fresh, root;              /* in key.extend: a new tree and the root leaf that signed it */
	byte leaf;
	bool writes, woken, drawn;
	mtype work;

	goto down;
crash:
	atomic { fall(t); if :: store[t].parked && BATCH == 0 -> noted(crashedParked = true) :: else fi }
down:
	atomic {
		clearRecord(state); clearRecord(next);
		known = false; ok = false; highest = 0; work = 0; writes = false; woken = false; drawn = false;
		path = 0; pathRoot = 0; pathNext = 0; memory = 0; fresh = 0; root = 0; leaf = 0;
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
		:: fresh -> work = Plant                          /* key.extend goes on */
		:: !fresh -> work = Sign
		:: !fresh && LIVE && stops < STOPS -> stops++; work = Rest                  /* Keystore.Lock, settleDown */
		:: !fresh && !LIVE -> locked[t] = false; goto down /* Bolt.Close */
		fi }
		refresh(t);
		/* key.change: the transition ... */
		atomic {
			copyRecord(next, state); writes = false;
			if
			:: !ok
			:: ok && work == Plant -> plant(); writes = true
			:: ok && work == Rest ->
				writes = true;
#if BATCH == 0
				park()
#else
				putBack()
#endif
			:: ok && work == Sign ->
#if BATCH == 0
				if
				:: state.parked && path != state.parked -> /* wake: rebuildParked, takeOut */
					path = state.parked; pathRoot = state.hangsOn; pathNext = state.parkedNext;
#ifndef NO_TAKEOUT
					takeOut(); writes = true; woken = true
#endif
				:: LIVE && !(state.parked && path != state.parked)
				:: !LIVE && !(state.parked && path != state.parked) -> reserve(); writes = true /* extend */
				fi
#else
				if
				:: state.parked && path != state.parked -> /* wake: no write is needed */
					path = state.parked; pathRoot = state.hangsOn
				:: else
				fi;
				if
				:: LIVE
				:: !LIVE && state.parked && state.parkedNext < LEAVES -> draw(); writes = true; drawn = true
				:: !LIVE && !(state.parked && state.parkedNext < LEAVES) -> reserve(); writes = true /* extend */
				fi
#endif
			fi;
			writes = writes && ok
		}
		/* ... and its commit, unless nothing changes. */
		if
		:: writes -> commit(t)
		:: else -> clearRecord(next)
		fi;
		atomic {
			if
			:: work == Rest -> /* forget, whatever the store answered */
				if :: ok && BATCH == 0 -> noted(wasParked = true) :: ok && BATCH > 0 -> noted(returned = true) :: else fi;
				path = 0; pathRoot = 0; pathNext = 0; memory = 0
			:: work == Plant ->
				if :: ok -> path = fresh; pathRoot = root; memory = state.batch :: else fi;
				fresh = 0; root = 0 /* planted, or wiped */
			:: work == Sign && writes && woken ->
				if :: ok :: else -> path = 0; pathRoot = 0; pathNext = 0 fi /* wiped */
			:: work == Sign && writes && !woken && ok ->
#if BATCH == 0
				trees++; path = trees; pathRoot = root; pathNext = 0; root = 0 /* signTrees, setPath */
#else
				if
				:: drawn -> memory = state.batch /* drawn */
				:: else -> trees++; fresh = trees /* signTrees; plantTrees comes next */
				fi
#endif
			:: else
			fi;
			woken = false; drawn = false
		}
		crashPoint(t);
		if :: ok && work == Sign && !writes && LIVE -> useLeaf(t) :: else fi;
		work = 0; writes = false
	od;
finished:
	locked[t] = false
}

init {
	atomic {
		disk[0].generation = 1; disk[0].free = bit(ROOTS) - 1;
		copyRecord(store[0], disk[0]);
		run Owner(0)
	}
}
