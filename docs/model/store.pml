/*
 * What lies around the state machine of a key: the store, the guard, crashes, failed writes, and an
 * old copy of the whole store put back. Each model includes this file after its typedef Record (the
 * fields of keystore.State), with copyRecord(to, from), clearRecord(r) and sameRecord(a, b).
 *
 * A token is an index t. Its owner is a process with the locals that keystore.key and
 * keystore.Keystore have: state (key.state), next, known (key.snap is not nil), ok (no error),
 * highest (Keystore.highest), and a label "crash", which ends in "the process is down".
 *
 * Sizes and what is broken on purpose come from -D; docs/model/run has the list.
 */
#ifndef TOKENS
#define TOKENS 1
#endif
#ifndef CRASHES
#define CRASHES 2 /* of all tokens together */
#endif
#ifndef FAULTS
#define FAULTS 1 /* writes and guard advances that fail in a living process */
#endif
#ifndef RESTORES
#define RESTORES 1 /* old copies put back */
#endif
#ifndef COPIES
#define COPIES 2 /* copies of the store that somebody keeps */
#endif
#ifndef REACH
#define REACH 0 /* the number of the event that a reachability run looks for */
#endif

#ifdef NO_OWNER
#define NO_LOCK
#define NO_CAS
#endif

#define bit(n) (1 << (n))
#ifdef TRACE /* for spin -t: the story of a counterexample */
#define say(t, what) printf(what); printf(" (token %d, disk %d, store %d, guard %d)\n", t, disk[t].mark, store[t].mark, guard[t]);
#else
#define say(t, what)
#endif

Record disk[TOKENS];   /* what survives a loss of power */
Record store[TOKENS];  /* what Store.Fetch shows; another than disk only after a failed write */
byte guard[TOKENS];    /* Guard.Current */
bool locked[TOKENS];   /* the flock of OpenBolt */
byte crashes, faults, restores;

#if RESTORES > 0
Record kept[COPIES];   /* copies of the disk of one token */
byte copies, keeper;   /* how many there are, and of which token */
#endif
#ifdef BOUND
byte nonces;           /* makes each mark unique, as a digest of the record would */
#endif

#ifdef AT_REST
#define complete(t) (disk[t].mark == guard[t] && sameRecord(disk[t], store[t]))
#else
#define complete(t) true
#endif

/* The event of a reachability run: it is wanted that this fails. What only such runs ask is in noted. */
#if REACH > 0
#define reached(event, condition) assert(!(REACH == event && (condition)))
#define noted(what) what
#else
#define reached(event, condition) true
#define noted(what) true
#endif

/* The process may be cut off here: it is the space between any two steps. */
inline crashPoint(t) {
	atomic { if :: true :: crashes < CRASHES -> crashes++; goto crash fi }
}

/*
 * Somebody may have copied the disk before it changes. To ask before each change is to ask always.
 * With AT_REST, only a store is copied whose last change is complete: the guard knows it.
 */
inline keep(t) {
	true;
#if RESTORES > 0
	if
	:: restores < RESTORES && copies < COPIES && (copies == 0 || keeper == t) && complete(t) ->
		copyRecord(kept[copies], disk[t]); copies++; keeper = t; say(t, "the disk is copied")
	:: true
	fi
#endif
}

/* The whole store of a token that is down becomes an old copy of it. */
inline restore(t) {
	true;
#if RESTORES > 0
	do
	:: atomic { restores < RESTORES && copies > 0 && keeper == t ->
		byte which = 0;
		restores++;
		if :: which = 0 :: copies == 2 -> which = 1 fi;
		keep(t);
		copyRecord(disk[t], kept[which]); copyRecord(store[t], disk[t]);
		which = 0; say(t, "a copy is put back")
		forgetCopies()
	} reached(RESTORED, true)
	:: break
	od
#endif
}

/* Copies that can no longer be put back make no difference. */
inline forgetCopies() {
	true;
#if RESTORES > 0
	if
	:: restores == RESTORES ->
		clearRecord(kept[0]);
#if COPIES > 1
		clearRecord(kept[1]);
#endif
		copies = 0; keeper = 0
	:: else
	fi
#endif
}

/*
 * Where a crash leads: the power went (what was not durable is lost), or the process alone. With two
 * owners it is always the process: a loss of power would end both.
 */
inline fall(t) {
#if OWNERS < 2
	if
	:: copyRecord(store[t], disk[t])
	:: true
	fi;
#endif
	locked[t] = false; say(t, "crash")
}

/* OpenBolt: the one owner, and what it reads is durable. */
inline openStore(t) {
#ifndef NO_LOCK
	!locked[t] -> locked[t] = true;
#endif
	if
	:: sameRecord(disk[t], store[t])
	:: else -> keep(t); copyRecord(disk[t], store[t])
	fi
}

/*
 * New, load, compareGuard, wentBack: ok is false if the store went back, and then nothing is done
 * ever after (every method answers ErrQuarantined).
 */
inline open(t) {
	atomic { openStore(t); copyRecord(state, store[t]); known = true; note(t); ok = true; say(t, "open") }
	atomic {
#if defined(NO_GUARD)
		true
#elif defined(BOUND)
		if
		:: state.mark == guard[t] /* in order */
		:: state.mark != guard[t] && state.base == guard[t] -> crashPoint(t); guard[t] = state.mark
		:: else -> ok = false
		fi
#elif defined(GUARD_FIRST)
		if
		:: state.mark == guard[t] || state.mark + 1 == guard[t] /* or it would not start after a crash */
		:: else -> ok = false
		fi
#else
		if
		:: state.mark == guard[t] /* in order */
		:: state.mark == guard[t] + 1 -> crashPoint(t); guard[t] = state.mark
		:: else -> ok = false
		fi
#endif
	}
	crashPoint(t)
}

/* Keystore.noteMark: the highest mark that the store is known to have. */
inline note(t) {
#ifdef BOUND
	highest = store[t].mark; highestBase = store[t].base
#else
	if :: store[t].mark > highest -> highest = store[t].mark :: else fi
#endif
}

/* Keystore.stamp: generation and mark of the next record. A mark that is stored is not given twice. */
inline stamp(t) {
#ifdef BOUND
	if :: highest != guard[t] && highestBase == guard[t] -> guard[t] = highest :: else fi;
	nonces++; next.base = guard[t]; next.mark = nonces;
#else
	if :: highest == guard[t] + 1 -> advanceTo(t, highest) :: else fi;
	next.mark = guard[t] + 1;
#endif
	next.generation = state.generation + 1
}

/* Guard.Advance: from the present value to the next one; otherwise an error. */
inline advanceTo(t, to) {
#if defined(NO_GUARD)
	true
#elif defined(BOUND)
	if
	:: guard[t] == to
	:: guard[t] == next.base -> guard[t] = to
	:: else -> ok = false
	fi
#else
	if
	:: guard[t] == to
	:: guard[t] + 1 == to -> guard[t] = to
	:: else -> ok = false
	fi
#endif
}

/*
 * Store.Replace with its outcomes: refused as stale, done, cut off by a crash (lost or done), or
 * failed in a living process (each of the disk and of what Fetch shows may be the old or the new).
 */
inline replace(t) {
	if
#ifndef NO_CAS
	:: !sameRecord(store[t], state) -> ok = false; known = false; note(t) /* ErrStale */
	:: sameRecord(store[t], state) ->
#else
	:: true ->
#endif
		keep(t);
		if
		:: copyRecord(disk[t], next); copyRecord(store[t], next); note(t); say(t, "stored")
		:: crashes < CRASHES -> crashes++;
			if :: copyRecord(disk[t], next); copyRecord(store[t], next) :: true fi;
			goto crash
		:: faults < FAULTS -> faults++;
			if :: copyRecord(disk[t], next) :: true fi;
			if :: copyRecord(store[t], next) :: true fi;
			say(t, "a write failed")
			ok = false; known = false; note(t)
		fi
	fi
}

/* The call of Guard.Advance in key.persist; it may fail too, with either outcome. */
inline advance(t) {
	atomic {
		if
		:: advanceTo(t, next.mark)
		:: faults < FAULTS -> faults++; say(t, "the guard failed")
			if :: advanceTo(t, next.mark) :: true fi;
			ok = false
		fi;
		if :: ok :: else -> known = false fi
	}
}

/* key.commit, key.persist: the store, the guard, and only then memory. */
inline commit(t) {
	atomic { ok = true; stamp(t) }
	crashPoint(t); /* decided, nothing written */
#ifdef GUARD_FIRST
	advance(t);
	crashPoint(t);
	if :: ok -> atomic { replace(t) } :: else fi;
	crashPoint(t);
#else
	atomic { replace(t) }
	crashPoint(t); /* durable, and the guard does not know */
#ifndef LATE_GUARD /* else the model does it, after the leaf is released */
	if :: ok -> advance(t) :: else fi;
	crashPoint(t); /* the guard knows, and memory does not */
#endif
#endif
	atomic {
		if :: ok -> copyRecord(state, next) :: else fi;
		clearRecord(next)
	}
}

/* key.refresh: after an unknown outcome, what the store shows is stored once more before it counts. */
inline refresh(t) {
	ok = true;
	if
	:: known
	:: !known && store[t].generation < state.generation -> ok = false /* ErrDamaged */
	:: !known && store[t].generation >= state.generation ->
		copyRecord(state, store[t]); known = true;
#ifdef WRITES /* two owners without the lock could refresh for ever */
		if :: state.generation > WRITES -> goto finished :: else fi;
#endif
#ifndef NO_CONFIRM
		copyRecord(next, state);
		commit(t)
#endif
	fi
}
