//go:build cgo && amd64

// SHAKE256 with AVX2, 4 lanes.

#include <immintrin.h>
#include <stdint.h>

#define TARGET __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline, target("avx2")))

enum { WIDTH = 4 };

typedef __m256i vec;

INLINE vec broadcast(uint64_t w)
{
	return _mm256_set1_epi64x((long long)w);
}

INLINE vec load_words(const uint64_t *from)
{
	return _mm256_loadu_si256((const vec *)from);
}

INLINE void store_words(uint64_t *to, vec v)
{
	_mm256_storeu_si256((vec *)to, v);
}

INLINE vec add(vec a, vec b)
{
	return _mm256_add_epi64(a, b);
}

INLINE vec shift_left(vec a, int bits)
{
	return _mm256_slli_epi64(a, bits);
}

INLINE vec shift_right(vec a, int bits)
{
	return _mm256_srli_epi64(a, bits);
}

INLINE vec rotate(vec a, int bits)
{
	return _mm256_or_si256(shift_left(a, bits), shift_right(a, 64 - bits));
}

INLINE vec sum2(vec a, vec b)
{
	return _mm256_xor_si256(a, b);
}

INLINE vec sum3(vec a, vec b, vec c)
{
	return sum2(sum2(a, b), c);
}

// choose takes the bits of a where mask has ones, and those of b elsewhere.
INLINE vec choose(vec mask, vec a, vec b)
{
	return sum2(b, _mm256_and_si256(mask, sum2(a, b)));
}

// chi is a ^ (~b & c).
INLINE vec chi(vec a, vec b, vec c)
{
	return sum2(a, _mm256_andnot_si256(b, c));
}

#include "keccak_lanes.h"

const struct kernel sha256mb_shake256_avx2 = {
	.hash = &sha256mb_shake256, .lanes = WIDTH, .pace = 370, .advance = advance, .compress = compress,
};
