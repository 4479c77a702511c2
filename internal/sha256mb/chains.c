//go:build cgo && amd64

// Chains of different lengths, packed into lanes: the longest first, the next one as soon as a lane is free, and the last
// few with a narrower kernel.

#include <string.h>

#include "lanes.h"

enum {
	LONGEST = 512,     // chains have fewer steps
	STACK = 16 * 1024, // bytes, more than a kernel has on the stack
};

// queue is the chains of a batch that are not at their end, longest first.
struct queue {
	const struct kernel *kernel;
	unsigned enough; // chains for the kernel
	struct chain *batch;
	uint8_t *values;
	uint32_t *order;
	size_t count, next;
	uint64_t steps;   // of all
	unsigned longest; // steps of one
};

// lane_set is what the lanes hold.
struct lane_set {
	struct lanes lanes;
	uint32_t owner[LANES]; // chain in the lane
	int16_t left[LANES];   // steps it has left, or IDLE
	unsigned active;
};

static const int16_t IDLE = INT16_MAX;
static const uint32_t J_MASK = 0xff00;

static unsigned length(const struct chain *c)
{
	return (unsigned)(c->to - c->from);
}

// sort_mixed sorts chains of different lengths by counting.
static void sort_mixed(struct queue *q, size_t count)
{
	uint32_t at[LONGEST + 1] = {0};
	for (size_t k = 0; k < count; k++)
		at[length(&q->batch[k])]++;
	q->count = 0;
	for (unsigned steps = q->longest; steps > 0; steps--) {
		size_t same = at[steps];
		at[steps] = (uint32_t)q->count;
		q->count += same;
	}
	for (size_t k = 0; k < count; k++) {
		if (length(&q->batch[k]) > 0)
			q->order[at[length(&q->batch[k])]++] = (uint32_t)k;
	}
}

// sort fills the queue with what is left of count chains.
static void sort(struct queue *q, size_t count)
{
	q->next = q->steps = q->longest = 0;
	for (size_t k = 0; k < count; k++) {
		unsigned steps = length(&q->batch[k]);
		q->steps += steps;
		q->longest = steps > q->longest ? steps : q->longest;
	}
	q->count = q->longest > 0 ? count : 0;
	if (q->steps != (uint64_t)count * q->longest) {
		sort_mixed(q, count);
		return;
	}
	for (size_t k = 0; k < q->count; k++) // they are all equal, as in key generation
		q->order[k] = (uint32_t)k;
}

// refill puts the next chain into a lane, or leaves it idle.
static void refill(struct queue *q, struct lane_set *s, unsigned lane)
{
	s->left[lane] = IDLE;
	if (q->next == q->count)
		return;
	uint32_t k = s->owner[lane] = q->order[q->next++];
	const struct chain *c = &q->batch[k];
	s->left[lane] = (int16_t)length(c);
	s->lanes.q[lane] = c->q;
	s->lanes.step[lane] = (uint32_t)c->i << 16 | (c->from & 0xff) << 8;
	q->kernel->hash->load(&s->lanes, lane, q->values + (size_t)k * s->lanes.n);
	s->active++;
}

// retire writes a lane's chain back, at its end or on the way.
static void retire(struct queue *q, struct lane_set *s, unsigned lane)
{
	uint32_t k = s->owner[lane];
	q->batch[k].from = q->batch[k].to - s->left[lane];
	q->kernel->hash->store(&s->lanes, lane, q->values + (size_t)k * s->lanes.n);
	s->active--;
}

// walk goes on until a chain ends.
static void walk(struct queue *q, struct lane_set *s)
{
	int16_t steps = IDLE;
	for (unsigned lane = 0; lane < LANES; lane++)
		steps = s->left[lane] < steps ? s->left[lane] : steps;
	q->kernel->advance(&s->lanes, (unsigned)steps);
	for (unsigned lane = 0; lane < LANES; lane++)
		s->left[lane] = s->left[lane] == IDLE ? IDLE : s->left[lane] - steps;
	uint32_t more = (uint32_t)steps << 8;
	for (unsigned lane = 0; lane < LANES; lane++)
		s->lanes.step[lane] = (s->lanes.step[lane] & ~J_MASK) | ((s->lanes.step[lane] + more) & J_MASK);
	for (unsigned lane = 0; lane < q->kernel->lanes; lane++) {
		if (s->left[lane] == 0) {
			retire(q, s, lane);
			refill(q, s, lane);
		}
	}
}

// run works on the queue as long as it has enough chains for its kernel, and returns how many are not at their end.
static unsigned run(struct queue *q, struct lane_set *s)
{
	s->active = 0;
	for (unsigned lane = 0; lane < LANES; lane++)
		s->left[lane] = IDLE;
	for (unsigned lane = 0; lane < q->kernel->lanes; lane++)
		refill(q, s, lane);
	while (s->active >= q->enough)
		walk(q, s);
	unsigned unfinished = s->active;
	for (unsigned lane = 0; lane < q->kernel->lanes; lane++) {
		if (s->left[lane] != IDLE)
			retire(q, s, lane);
	}
	return unfinished;
}

// fills is whether the chains keep nearly all lanes of the kernel busy nearly all the time, or no kernel is narrower.
static int fills(const struct queue *q, const struct kernel *narrower)
{
	return narrower == NULL || q->kernel->lanes <= 16 || q->steps >= (uint64_t)q->kernel->lanes * q->longest;
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
		sort(q, count);
		q->kernel = plan->kernel;
		q->enough = plan->enough;
		if (q->count >= q->enough && fills(q, plan[1].kernel))
			unfinished = run(q, &s);
	}
}

// sha256mb_chains takes each chain of the batch from its step from to its step to. Its value is the n bytes of values at
// its place in the batch; order has room for count numbers. The last kernel of the plan has 1 for enough.
void sha256mb_chains(const struct stage *plan, const uint8_t id[16], unsigned n, struct chain *batch, size_t count,
	uint32_t *order, uint8_t *values)
{
	struct queue q = {.batch = batch, .values = values, .order = order};
	run_plan(plan, &q, count, id, n);
	wipe_stack();
}
