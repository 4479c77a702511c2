//go:build cgo && amd64

// Chains of different lengths, packed into lanes: the longest first, the next one as soon as a lane is free, and the last
// few with a narrower kernel.

#include <string.h>

#include "lanes.h"

enum {
	LONGEST = 512,     // chains have fewer steps
	NONE = UINT16_MAX, // the end of a list
	SEED_STEP = 255,   // derives a chain's first value from the seed
	STACK = 16 * 1024, // bytes, more than a kernel has on the stack
};

// queue is the chains of a batch that are not at their end. The longest leave it first.
struct queue {
	struct chain *batch;
	const uint8_t *seed; // NULL: none
	uint8_t *values;
	uint16_t first[LONGEST]; // of the list of the chains that have so many steps left
	unsigned longest;        // steps of a chain in it, or more
	size_t count;            // chains
	uint64_t steps;          // of all
};

// lane_set is what the lanes hold.
struct lane_set {
	struct lanes lanes;
	uint32_t active;        // bit l is lane l
	uint32_t stale;         // lanes whose q is not the one that the kernel prepared for
	uint16_t owner[LANES];  // chain in the lane
	unsigned end[LANES];    // when it ends, in steps
	unsigned now;           // steps since the begin
	uint32_t ends[LONGEST]; // lanes that end at a time, which counts modulo LONGEST
};

static unsigned length(const struct chain *c)
{
	return (unsigned)(c->to - c->from);
}

// put puts what is left of a chain into the queue.
static void put(struct queue *q, struct chain *c)
{
	unsigned steps = length(c);
	c->next = q->first[steps];
	q->first[steps] = (uint16_t)(c - q->batch);
	q->count++;
	q->steps += steps;
	q->longest = steps > q->longest ? steps : q->longest;
}

// fill puts count chains into an empty queue, so that those of one length keep their order.
static void fill(struct queue *q, size_t count)
{
	memset(q->first, 0xff, sizeof q->first);
	q->longest = 0, q->count = 0, q->steps = 0;
	while (count-- > 0) {
		if (length(&q->batch[count]) > 0)
			put(q, &q->batch[count]);
	}
}

// pull takes one of the longest chains out of the queue, or returns NONE.
static uint16_t pull(struct queue *q)
{
	while (q->longest > 0 && q->first[q->longest] == NONE)
		q->longest--;
	uint16_t k = q->first[q->longest];
	if (k != NONE)
		q->first[q->longest] = q->batch[k].next;
	return k;
}

// refill puts the next chain into a lane, or leaves it idle.
static void refill(struct lane_set *s, const struct hash *hash, struct queue *q, unsigned lane)
{
	uint16_t k = pull(q);
	if (k == NONE)
		return;
	const struct chain *c = &q->batch[k];
	uint32_t bit = UINT32_C(1) << lane;
	s->owner[lane] = k;
	s->active |= bit;
	s->end[lane] = s->now + length(c);
	s->ends[s->end[lane] % LONGEST] |= bit;
	s->stale |= s->lanes.q[lane] == c->q ? 0 : bit;
	s->lanes.q[lane] = c->q;
	s->lanes.step[lane] = (uint32_t)c->i << 16 | (c->from & 0xff) << 8;
	hash->load(&s->lanes, lane, c->from == SEED_STEP && q->seed != NULL ? q->seed : q->values + (size_t)k * s->lanes.n);
}

// retire writes a lane's chain back, at its end or on the way.
static void retire(struct lane_set *s, const struct hash *hash, struct queue *q, unsigned lane)
{
	uint16_t k = s->owner[lane], from = (uint16_t)(q->batch[k].to - (s->end[lane] - s->now));
	s->active &= ~(UINT32_C(1) << lane);
	if (q->batch[k].from == from)
		return; // it has gone no step, and may be the seed
	q->batch[k].from = from;
	hash->store(&s->lanes, lane, q->values + (size_t)k * s->lanes.n);
}

// walk goes on until a chain ends.
static void walk(struct lane_set *s, const struct kernel *kernel, struct queue *q)
{
	unsigned steps = 1;
	while (s->ends[(s->now + steps) % LONGEST] == 0)
		steps++;
	if (s->stale != 0 && kernel->prepare != NULL)
		kernel->prepare(&s->lanes);
	s->stale = 0;
	kernel->advance(&s->lanes, steps);
	s->now += steps;
	uint32_t ending = s->ends[s->now % LONGEST];
	s->ends[s->now % LONGEST] = 0;
	for (; ending != 0; ending &= ending - 1) {
		unsigned lane = (unsigned)__builtin_ctz(ending);
		retire(s, kernel->hash, q, lane);
		refill(s, kernel->hash, q, lane);
	}
}

// run works on the queue as long as it has enough chains for the kernel, and returns how many are not at their end.
static unsigned run(struct lane_set *s, const struct stage *stage, struct queue *q)
{
	s->active = 0, s->now = 0;
	s->stale = UINT32_MAX;
	memset(s->ends, 0, sizeof s->ends);
	for (unsigned lane = 0; lane < stage->kernel->lanes; lane++)
		refill(s, stage->kernel->hash, q, lane);
	while ((unsigned)__builtin_popcount(s->active) >= stage->enough)
		walk(s, stage->kernel, q);
	unsigned unfinished = (unsigned)__builtin_popcount(s->active);
	for (; s->active != 0;)
		retire(s, stage->kernel->hash, q, (unsigned)__builtin_ctz(s->active));
	return unfinished;
}

// fills is whether the chains keep nearly all lanes of the kernel busy nearly all the time, or no kernel is narrower.
static int fills(const struct queue *q, const struct stage *stage)
{
	return stage[1].kernel == NULL || stage->kernel->lanes <= 16 || q->steps >= (uint64_t)stage->kernel->lanes * q->longest;
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

static __attribute__((noinline)) void run_plan(const struct stage *plan, struct queue *q, size_t count,
	const uint8_t id[16], unsigned n)
{
	struct lane_set s = {.lanes.n = n};
	memcpy(s.lanes.id, id, sizeof s.lanes.id);
	for (size_t unfinished = count; unfinished > 0 && plan->kernel != NULL; plan++) {
		fill(q, count);
		unfinished = q->count;
		if (q->count >= plan->enough && fills(q, plan))
			unfinished = run(&s, plan, q);
	}
}

// sha256mb_chains takes each chain of the batch, of fewer than 65,536, from its step from to its step to. Its value is the n
// bytes of values at its place in the batch; but one at step 255 begins with the seed, unless that is NULL. The last kernel
// of the plan has 1 for enough.
void sha256mb_chains(const struct stage *plan, const uint8_t id[16], unsigned n, struct chain *batch, size_t count,
	const uint8_t *seed, uint8_t *values)
{
	struct queue q = {.batch = batch, .seed = seed, .values = values};
	run_plan(plan, &q, count, id, n);
	wipe_stack();
}
