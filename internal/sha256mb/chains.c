//go:build cgo && amd64

// Chains of different lengths, packed into lanes: the longest first, the next one as soon as a lane is free, and the last
// few with a narrower kernel.
//
// A batch is done in turns. To the scheduler of Go a call into C that takes longer than about 20 microseconds is one that
// blocks, and it gets busy to put another thread in its place; that cost up to a tenth of a core.

#include <string.h>

#include "lanes.h"

enum {
	TURN = 12 * 1000,  // nanoseconds of a call, about
	NONE = UINT16_MAX, // the end of a list
	SEED_STEP = 255,   // derives a chain's first value from the seed
	STACK = 12 * 1024, // bytes, more than a kernel has on the stack
};

// batch is the caller's memory during a call.
struct batch {
	struct chain *chains;
	size_t count;
	const uint8_t *seed; // NULL: none
	uint8_t *values;
};

static unsigned length(const struct chain *c)
{
	return (unsigned)(c->to - c->from);
}

// put puts what is left of chain number k into the queue.
static void put(struct queue *q, struct chain *c, size_t k)
{
	unsigned steps = length(c);
	c->next = q->first[steps];
	q->first[steps] = (uint16_t)k;
	q->count++;
	q->longest = steps > q->longest ? steps : q->longest;
}

// fill puts the batch into an empty queue, so that chains of one length keep their order.
static void fill(struct queue *q, const struct batch *b)
{
	memset(q->first, 0xff, sizeof q->first);
	q->longest = 0, q->count = 0;
	for (size_t k = b->count; k-- > 0;) {
		if (length(&b->chains[k]) > 0)
			put(q, &b->chains[k], k);
	}
}

// pull takes one of the longest chains out of the queue, or returns NONE.
static uint16_t pull(struct queue *q, const struct batch *b)
{
	while (q->longest > 0 && q->first[q->longest] == NONE)
		q->longest--;
	uint16_t k = q->first[q->longest];
	if (k == NONE)
		return NONE;
	q->first[q->longest] = b->chains[k].next;
	q->count--;
	return k;
}

// refill puts the next chain into a lane, or leaves it idle.
static void refill(struct work *w, const struct batch *b, unsigned lane)
{
	uint16_t k = pull(&w->queue, b);
	if (k == NONE)
		return;
	const struct chain *c = &b->chains[k];
	uint32_t bit = UINT32_C(1) << lane;
	w->owner[lane] = k;
	w->active |= bit;
	w->busy++;
	w->end[lane] = w->now + length(c);
	w->ends[w->end[lane] % LONGEST] |= bit;
	w->stale |= w->lanes.q[lane] == c->q ? 0 : bit;
	w->lanes.q[lane] = c->q;
	w->lanes.step[lane] = (uint32_t)c->i << 16 | (c->from & 0xff) << 8;
	const uint8_t *value = c->from == SEED_STEP && b->seed != NULL ? b->seed : b->values + (size_t)k * w->lanes.n;
	w->stage->kernel->hash->load(&w->lanes, lane, value);
}

// retire writes a lane's chain back, at its end or on the way.
static void retire(struct work *w, const struct batch *b, unsigned lane)
{
	struct chain *c = &b->chains[w->owner[lane]];
	uint16_t from = (uint16_t)(c->to - (w->end[lane] - w->now));
	uint32_t bit = UINT32_C(1) << lane;
	w->active &= ~bit;
	w->busy--;
	w->ends[w->end[lane] % LONGEST] &= ~bit;
	if (c->from == from)
		return; // it has gone no step, and may be the seed
	c->from = from;
	w->stage->kernel->hash->store(&w->lanes, lane, b->values + (size_t)w->owner[lane] * w->lanes.n);
}

// until_end is how many steps it is until a chain ends, or most.
static unsigned until_end(const struct work *w, unsigned most)
{
	unsigned steps = 1;
	while (steps < most && w->ends[(w->now + steps) % LONGEST] == 0)
		steps++;
	return steps;
}

// walk goes on until a chain ends, or at most so many steps. It returns how many it went.
static unsigned walk(struct work *w, const struct batch *b, unsigned most)
{
	const struct kernel *kernel = w->stage->kernel;
	unsigned steps = until_end(w, most);
	if (w->stale != 0 && kernel->prepare != NULL)
		kernel->prepare(&w->lanes);
	w->stale = 0;
	kernel->advance(&w->lanes, steps);
	w->now += steps;
	for (uint32_t ending = w->ends[w->now % LONGEST]; ending != 0; ending &= ending - 1) {
		unsigned lane = (unsigned)__builtin_ctz(ending);
		retire(w, b, lane);
		refill(w, b, lane);
	}
	return steps;
}

// fits is whether the queue has enough chains for a stage, or no kernel is narrower.
static int fits(const struct queue *q, const struct stage *s)
{
	return q->count >= s->enough || s[1].kernel == NULL;
}

// begin fills the lanes of the first stage from this one on that fits what is in the queue; if nothing is, there is none.
static void begin(struct work *w, const struct batch *b, const struct stage *stage)
{
	while (stage->kernel != NULL && (w->queue.count == 0 || !fits(&w->queue, stage)))
		stage++;
	w->stage = stage;
	w->stale = UINT32_MAX;
	for (unsigned lane = 0; stage->kernel != NULL && lane < stage->kernel->lanes; lane++)
		refill(w, b, lane);
}

// rest puts what is left of the chains in the lanes back into the queue.
static void rest(struct work *w, const struct batch *b)
{
	while (w->active != 0) {
		unsigned lane = (unsigned)__builtin_ctz(w->active);
		retire(w, b, lane);
		put(&w->queue, &b->chains[w->owner[lane]], w->owner[lane]);
	}
}

// go_on works for so many nanoseconds, about, as long as the stage has enough chains.
static unsigned go_on(struct work *w, const struct batch *b, unsigned time)
{
	unsigned pace = w->stage->kernel->pace;
	while (time >= pace && w->busy >= w->stage->enough)
		time -= pace * walk(w, b, time / pace);
	return time;
}

// turn works until the time or the batch is at its end.
static void turn(struct work *w, const struct batch *b)
{
	for (unsigned time = TURN; w->stage->kernel != NULL;) {
		time = go_on(w, b, time);
		if (w->busy >= w->stage->enough)
			return;
		rest(w, b);
		begin(w, b, w->stage + 1);
	}
}

// wipe zeroes memory in a way that the compiler has to keep.
static void wipe(void *p, size_t size)
{
	memset(p, 0, size);
	__asm__ volatile("" : : "r"(p) : "memory");
}

// wipe_stack zeroes the stack that the kernels used, where the compiler may have put values.
static __attribute__((noinline)) void wipe_stack(void)
{
	char stack[STACK];
	wipe(stack, sizeof stack);
}

// sha256mb_chains takes each chain of the batch, of fewer than 65,536, on from its step from to its step to, for a turn, and
// returns whether it has to be called again with the same arguments. Its value is the n bytes of values at its place in the
// batch; but one at step 255 begins with the seed, unless that is NULL. The last kernel of the plan has 1 for enough. work
// is all zeros at first, and ready for another batch in the end, with its values wiped.
int sha256mb_chains(struct work *work, const struct stage *plan, const uint8_t id[16], unsigned n, struct chain *chains,
	size_t count, const uint8_t *seed, uint8_t *values)
{
	struct batch b = {chains, count, seed, values};
	if (work->stage == NULL) {
		work->lanes.n = n;
		memcpy(work->lanes.id, id, sizeof work->lanes.id);
		fill(&work->queue, &b);
		begin(work, &b, plan);
	}
	turn(work, &b);
	wipe_stack();
	if (work->stage->kernel != NULL)
		return 1;
	wipe(&work->lanes.value, sizeof work->lanes.value);
	work->stage = NULL;
	return 0;
}
