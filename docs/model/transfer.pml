/*
 * One key of one level on two tokens that give leaves to each other: outbox, ledger, receipts.
 * Whoever has the wire may keep capsules and receipts, deliver them in any order, and again.
 * Properties: no leaf is released twice over both tokens, and none is both given away and used by its giver.
 *
 * Left out: encryption (a capsule opens at its destination alone, but there as often as it comes: the
 * one-time transfer key and State.Received, which refuse a transfer that came before, are not relied
 * on: the ledger alone must do), peers, batches (see leaves.pml).
 */
#define TOKENS 2
#define LEAVES 3
#ifndef TRANSFERS
#define TRANSFERS 2
#endif

/* What reachability runs look for. */
#define RESTORED 1
#define QUARANTINED 2
#define ALL_LEAVES 3
#define AFTER_CRASH 4
#define AFTER_FAULT 5
#define AFTER_RECEIVE 6
#define REFUSED 7
#define ACKNOWLEDGED 8
#define BACK_AND_FORTH 9
#define EMITTED_AFTER_CRASH 10

/* The fields of keystore.State that matter here. Spans are bit masks. */
typedef Record {
	byte generation;       /* Generation */
	byte mark;             /* Mark */
	byte free;             /* Free */
	byte held;             /* Held: the ledger */
	byte given[TRANSFERS]; /* Given[x].Leaves */
	byte outbox            /* which Given[x].Capsule are there still; a bit for each transfer */
}
inline copyRecord(to, from) {
	d_step {
		to.generation = from.generation; to.mark = from.mark;
		to.free = from.free; to.held = from.held; to.outbox = from.outbox;
		to.given[0] = from.given[0]; to.given[TRANSFERS - 1] = from.given[TRANSFERS - 1]
	}
}
#define sameRecord(a, b) (a.generation == b.generation && a.mark == b.mark && a.free == b.free \
	&& a.held == b.held && a.outbox == b.outbox && a.given[0] == b.given[0] \
	&& a.given[TRANSFERS - 1] == b.given[TRANSFERS - 1])

Record nothing;
inline clearRecord(r) { copyRecord(r, nothing) }

#include "store.pml"

mtype = { Sign, Give, Receive, Acknowledge };

byte released[TOKENS];   /* leaves whose signature somebody has, and from which token */
byte gone[TOKENS];       /* leaves in capsules that left a token */
byte transfers;          /* how many were asked for */
byte source[TRANSFERS];  /* Giving: which token is to give */
byte wire[TRANSFERS];    /* the leaves in the capsule, once it was written out; it never goes away */
byte receipts;           /* a bit for each transfer whose receipt was written; they never go away */

/* reserve one leaf: the lowest to sign, the highest to give. It ends in leaf. */
inline reserveLow() {
	leaf = 0;
	do :: leaf < LEAVES && !(next.free & bit(leaf)) -> leaf++ :: else -> break od;
	ok = leaf < LEAVES;
	next.free = next.free & ~bit(leaf)
}
inline reserveHigh() {
	leaf = LEAVES;
	do :: leaf > 0 && !(next.free & bit(leaf - 1)) -> leaf-- :: else -> break od;
	ok = leaf > 0;
	if :: ok -> leaf--; next.free = next.free & ~bit(leaf) :: else fi
}

/* The signature leaves owned.sign. */
inline release(t, n) {
	say(t, "a leaf is released")
	assert(!((released[0] | released[1]) & bit(n)));
	assert(!(gone[t] & bit(n))); /* released by who gave it away */
	released[t] = released[t] | bit(n);
	reached(ALL_LEAVES, (released[0] | released[1]) == bit(LEAVES) - 1 && released[0] && released[1]);
	reached(AFTER_CRASH, crashes > 0);
	reached(AFTER_FAULT, faults > 0);
	reached(AFTER_RECEIVE, t == 1);
	reached(BACK_AND_FORTH, gone[0] && gone[1])
}

/* give, then Giving.Seal's capsule lies in the outbox. */
inline give() {
	reserveHigh();
	next.given[x] = bit(leaf); next.outbox = next.outbox | bit(x)
}

/* Gift.emit: a capsule leaves, the same bytes each time. */
inline emit(t) {
	say(t, "a capsule is written out")
	assert(wire[x] == 0 || wire[x] == state.given[x]);
	assert(!(released[t] & state.given[x])); /* released by who gives it away */
	wire[x] = state.given[x]; gone[t] = gone[t] | wire[x];
	reached(EMITTED_AFTER_CRASH, crashes > 0)
}

/* receive: no leaf that was ever here comes back. */
inline receive() {
#ifndef NO_LEDGER
	ok = !(next.held & wire[x]);
#endif
	reached(REFUSED, !ok);
	next.free = next.free | wire[x]; next.held = next.held | wire[x]
}

/* acknowledge: only who took the capsule in can write its receipt. */
inline acknowledge() { next.outbox = next.outbox & ~bit(x) }

proctype Owner(byte t) {
	Record state, next;
	bool known, ok;
	byte highest;
	byte leaf, x;
	bool writes;
	mtype work;

	goto down;
crash:
	atomic { fall(t) }
down:
	atomic {
		clearRecord(state); clearRecord(next);
		known = false; ok = false; highest = 0; leaf = 0; x = 0; writes = false; work = 0
	}
	restore(t);
	open(t);
	if :: ok :: else -> reached(QUARANTINED, true); goto finished fi;
end_up:
	do
	:: atomic {
		if
		:: state.free -> work = Sign
		:: transfers < TRANSFERS && state.free -> work = Give; x = transfers; source[x] = t; transfers++
		:: transfers > 0 && source[0] == t -> work = Give; x = 0 /* asked again */
		:: transfers > 1 && source[TRANSFERS - 1] == t -> work = Give; x = TRANSFERS - 1
		:: wire[0] && source[0] != t -> work = Receive; x = 0
		:: wire[TRANSFERS - 1] && source[TRANSFERS - 1] != t -> work = Receive; x = TRANSFERS - 1
		:: (receipts & bit(0)) && source[0] == t && (state.outbox & bit(0)) -> work = Acknowledge; x = 0
		:: (receipts & bit(TRANSFERS - 1)) && source[TRANSFERS - 1] == t && (state.outbox & bit(TRANSFERS - 1)) ->
			work = Acknowledge; x = TRANSFERS - 1
		fi }
		refresh(t);
		/* key.change: the transition ... */
		atomic {
			copyRecord(next, state); writes = false;
			if
			:: !ok
			:: ok && work == Sign -> writes = true; reserveLow()
			:: ok && work == Give && !state.given[x] -> writes = true; give()
			:: ok && work == Give && state.given[x] /* given before: only emit */
			:: ok && work == Receive -> writes = true; receive()
			:: ok && work == Acknowledge -> writes = true; acknowledge()
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
			:: ok && work == Give && (state.outbox & bit(x)) -> emit(t)
			:: ok && work == Receive -> receipts = receipts | bit(x)
			:: ok && work == Acknowledge -> reached(ACKNOWLEDGED, true)
			:: else
			fi
		}
		crashPoint(t);
		if
		:: ok && work == Sign -> atomic { release(t, leaf) }; crashPoint(t)
		:: else
		fi;
		atomic { work = 0; writes = false; leaf = 0; x = 0 }
	od;
finished:
	locked[t] = false
}

init {
	atomic {
		disk[0].generation = 1; disk[0].free = bit(LEAVES) - 1; disk[0].held = bit(LEAVES) - 1;
		disk[1].generation = 1;
		copyRecord(store[0], disk[0]); copyRecord(store[1], disk[1]);
		run Owner(0);
		run Owner(1)
	}
}
