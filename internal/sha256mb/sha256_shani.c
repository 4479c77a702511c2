//go:build cgo && amd64

// SHA-256 with the SHA instructions, four lanes: one alone would wait for each result.

#include <immintrin.h>

#include "sha256.h"

#define TARGET __attribute__((target("sha,sse4.1")))
#define INLINE static inline __attribute__((always_inline, target("sha,sse4.1")))

enum { STREAMS = 4 };

// stream is one lane. The instructions want the state as words a, b, e, f and c, d, g, h, the first word on top.
struct stream {
	__m128i abef, cdgh;
	__m128i w[4];
};

// value is one lane's value as two numbers of 128 bits, most significant byte first, after q, i and j at the end of head.
struct value {
	__m128i head, high, low;
};

// reverse turns the order of the four words.
INLINE __m128i reverse(__m128i x)
{
	return _mm_shuffle_epi32(x, 0x1b);
}

INLINE __m128i four(uint32_t top, uint32_t second, uint32_t third, uint32_t last)
{
	return _mm_set_epi32((int)top, (int)second, (int)third, (int)last);
}

INLINE __m128i start_abef(void)
{
	return four(sha256mb_start[0], sha256mb_start[1], sha256mb_start[4], sha256mb_start[5]);
}

INLINE __m128i start_cdgh(void)
{
	return four(sha256mb_start[2], sha256mb_start[3], sha256mb_start[6], sha256mb_start[7]);
}

// four_rounds does rounds 4t to 4t+3, and the part of the message schedule that rounds 4t+4 to 4t+7 need.
INLINE void four_rounds(struct stream *s, unsigned t)
{
	__m128i *w = &s->w[t % 4], *next = &s->w[(t + 1) % 4], *after = &s->w[(t + 2) % 4], *last = &s->w[(t + 3) % 4];
	__m128i wk = _mm_add_epi32(*w, _mm_load_si128((const __m128i *)&sha256mb_round[4 * t]));
	s->cdgh = _mm_sha256rnds2_epu32(s->cdgh, s->abef, wk);
	s->abef = _mm_sha256rnds2_epu32(s->abef, s->cdgh, _mm_shuffle_epi32(wk, 0x0e));
	if (t >= 3 && t < 15) {
		__m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(*next, *after), _mm_alignr_epi8(*w, *last, 4));
		*next = _mm_sha256msg2_epu32(sum, *w);
	}
}

INLINE void rounds(struct stream s[STREAMS], unsigned first)
{
#pragma GCC unroll 16
	for (unsigned t = first; t < 16; t++) {
#pragma GCC unroll 4
		for (unsigned k = 0; k < STREAMS; k++)
			four_rounds(&s[k], t);
	}
}

INLINE struct value load_value(const struct lanes *l, unsigned lane)
{
	const uint32_t(*w)[LANES] = l->value.words;
	return (struct value){
		.head = four(0, 0, l->q[lane] >> 8, l->q[lane] << 24 | l->step[lane] >> 8),
		.high = four(w[0][lane], w[1][lane], w[2][lane], w[3][lane]),
		.low = four(w[4][lane], w[5][lane], w[6][lane], w[7][lane]),
	};
}

INLINE void store_value(struct lanes *l, unsigned lane, struct value v)
{
	uint32_t words[8];
	_mm_storeu_si128((__m128i *)words, reverse(v.high));
	_mm_storeu_si128((__m128i *)(words + 4), reverse(v.low));
	for (unsigned k = 0; k < 8; k++)
		l->value.words[k][lane] = words[k];
}

// advance is kernel.advance. The first four rounds depend on I alone and are done once.
TARGET static void advance(struct lanes *l, unsigned steps)
{
	__m128i id = four(read_word(l->id + 12), read_word(l->id + 8), read_word(l->id + 4), read_word(l->id));
	__m128i ones = _mm_set1_epi32(-1), keep = l->n < 32 ? _mm_slli_si128(ones, 8) : ones;
	__m128i pad = l->n < 32 ? four(0, 0, SHORT_PADDING, 0) : four(0, 0, 0, 0);
	uint32_t bits = CHAIN_BITS(l->n);
	__m128i tail = four(l->n < 32 ? 0 : 0x80000000, bits >> 8, bits << 24, 0); // the upper 9 bytes count
	struct stream head = {start_abef(), start_cdgh(), {id}};
	four_rounds(&head, 0);
	struct value v[STREAMS];
	for (unsigned k = 0; k < STREAMS; k++)
		v[k] = load_value(l, k);
	count_steps(l, STREAMS, steps);
	do {
		struct stream s[STREAMS];
#pragma GCC unroll 4
		for (unsigned k = 0; k < STREAMS; k++) {
			s[k] = head;
			s[k].w[1] = reverse(_mm_alignr_epi8(v[k].head, v[k].high, 7));
			s[k].w[2] = reverse(_mm_alignr_epi8(v[k].high, v[k].low, 7));
			s[k].w[3] = reverse(_mm_alignr_epi8(v[k].low, tail, 7));
		}
		rounds(s, 1);
#pragma GCC unroll 4
		for (unsigned k = 0; k < STREAMS; k++) {
			__m128i abef = _mm_add_epi32(s[k].abef, start_abef()), cdgh = _mm_add_epi32(s[k].cdgh, start_cdgh());
			v[k].high = _mm_unpackhi_epi64(cdgh, abef);
			v[k].low = _mm_or_si128(_mm_and_si128(_mm_unpacklo_epi64(cdgh, abef), keep), pad);
			v[k].head = _mm_add_epi8(v[k].head, four(0, 0, 0, 1)); // j + 1 mod 256
		}
	} while (--steps > 0);
	for (unsigned k = 0; k < STREAMS; k++)
		store_value(l, k, v[k]);
}

// compress is kernel.compress.
TARGET static void compress(struct blocks *b)
{
	uint32_t(*w)[LANES] = b->block.words, (*h)[LANES] = b->state.words;
	struct stream s[STREAMS], before[STREAMS];
#pragma GCC unroll 4
	for (unsigned k = 0; k < STREAMS; k++) {
		s[k].abef = four(h[0][k], h[1][k], h[4][k], h[5][k]);
		s[k].cdgh = four(h[2][k], h[3][k], h[6][k], h[7][k]);
		for (unsigned t = 0; t < 4; t++)
			s[k].w[t] = four(w[4 * t + 3][k], w[4 * t + 2][k], w[4 * t + 1][k], w[4 * t][k]);
		before[k] = s[k];
	}
	rounds(s, 0);
	for (unsigned k = 0; k < STREAMS; k++) {
		uint32_t sum[8];
		_mm_storeu_si128((__m128i *)sum, _mm_add_epi32(s[k].abef, before[k].abef));
		_mm_storeu_si128((__m128i *)(sum + 4), _mm_add_epi32(s[k].cdgh, before[k].cdgh));
		const unsigned word[8] = {5, 4, 1, 0, 7, 6, 3, 2};
		for (unsigned t = 0; t < 8; t++)
			h[word[t]][k] = sum[t];
	}
}

const struct kernel sha256mb_sha256_shani = {
	.hash = &sha256mb_sha256, .lanes = STREAMS, .pace = 70, .advance = advance, .compress = compress,
};
