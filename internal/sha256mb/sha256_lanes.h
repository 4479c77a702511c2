//go:build cgo && amd64

// SHA-256 over the lanes of a vector, for a file that has defined vec (a word of each lane), WIDTH, TARGET and INLINE, and the functions
// load_words, store_words, broadcast, add, choose, majority, shift_left, shift_right, join, big0, big1, small0 and small1.

#include "sha256.h"

// one_round is a round of FIPS 180-4 section 6.2.2, step 3. Instead of the eight words, their names move: a is s[-t mod 8].
INLINE void one_round(vec s[8], unsigned t, vec w, const uint32_t constants[64])
{
	vec *a = &s[(0 - t) & 7], *b = &s[(1 - t) & 7], *c = &s[(2 - t) & 7], *d = &s[(3 - t) & 7];
	vec *e = &s[(4 - t) & 7], *f = &s[(5 - t) & 7], *g = &s[(6 - t) & 7], *h = &s[(7 - t) & 7];
	vec t1 = add(add(add(w, broadcast(constants[t])), *h), add(big1(*e), choose(*e, *f, *g)));
	*d = add(*d, t1);
	*h = add(add(t1, big0(*a)), majority(*a, *b, *c));
}

// rounds does the rounds from first on; w is the block and is used up. The compiler is not to know the constants: it would
// make vectors of them before the first step, and read these from the stack.
INLINE void rounds(vec s[8], vec w[16], unsigned first)
{
	const uint32_t *constants = sha256mb_round;
	__asm__("" : "+r"(constants));
#pragma GCC unroll 64
	for (unsigned t = first; t < 64; t++) {
		if (t >= 16)
			w[t % 16] = add(add(w[t % 16], small0(w[(t + 1) % 16])), add(w[(t + 9) % 16], small1(w[(t + 14) % 16])));
		one_round(s, t, w[t % 16], constants);
	}
}

// prepare is kernel.prepare: the first five rounds, which depend on I and q alone.
TARGET static void prepare(struct lanes *l)
{
	vec head[8];
	for (unsigned k = 0; k < 8; k++)
		head[k] = broadcast(sha256mb_start[k]);
#pragma GCC unroll 4
	for (unsigned t = 0; t < 4; t++)
		one_round(head, t, broadcast(read_word(l->id + 4 * t)), sha256mb_round);
	one_round(head, 4, load_words(l->q), sha256mb_round);
	for (unsigned k = 0; k < 8; k++)
		store_words(l->head[k], head[k]);
}

// advance is kernel.advance.
TARGET static void advance(struct lanes *l, unsigned steps)
{
	vec value[8], q = load_words(l->q), step = load_words(l->step);
	uint32_t tail = l->n < 32 ? 0 : 0x80;
	count_steps(l, WIDTH, steps);
	for (unsigned k = 0; k < 8; k++)
		value[k] = load_words(l->value.words[k]);
	do {
		vec s[8], w[16];
#pragma GCC unroll 16
		for (unsigned k = 0; k < 16; k++) {
			if (k < 4)
				w[k] = broadcast(read_word(l->id + 4 * k));
			else if (k >= 6 && k < 13)
				w[k] = join(value[k - 6], value[k - 5]);
		}
		w[4] = q;
		w[5] = add(step, shift_right(value[0], 24));
		w[13] = add(shift_left(value[7], 8), broadcast(tail));
		w[14] = broadcast(0);
		w[15] = broadcast(CHAIN_BITS(l->n));
#pragma GCC unroll 8
		for (unsigned k = 0; k < 8; k++)
			s[k] = load_words(l->head[k]);
		rounds(s, w, 5);
#pragma GCC unroll 8
		for (unsigned k = 0; k < 8; k++)
			value[k] = add(s[k], broadcast(sha256mb_start[k]));
		if (l->n < 32)
			value[6] = broadcast(SHORT_PADDING), value[7] = broadcast(0);
		step = choose(broadcast(0xff00), add(step, broadcast(0x100)), step);
	} while (--steps > 0);
	for (unsigned k = 0; k < 8; k++)
		store_words(l->value.words[k], value[k]);
}

// compress is kernel.compress.
TARGET static void compress(struct blocks *b)
{
	vec s[8], w[16];
#pragma GCC unroll 16
	for (unsigned k = 0; k < 16; k++)
		w[k] = load_words(b->block.words[k]);
#pragma GCC unroll 8
	for (unsigned k = 0; k < 8; k++)
		s[k] = load_words(b->state.words[k]);
	rounds(s, w, 0);
#pragma GCC unroll 8
	for (unsigned k = 0; k < 8; k++)
		store_words(b->state.words[k], add(s[k], load_words(b->state.words[k])));
}
