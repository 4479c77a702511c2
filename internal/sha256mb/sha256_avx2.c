//go:build cgo && amd64

// SHA-256 with AVX2, 8 lanes.

#include <immintrin.h>
#include <stdint.h>

#define TARGET __attribute__((target("avx2")))
#define INLINE static inline __attribute__((always_inline, target("avx2")))

enum { WIDTH = 8 };

typedef __m256i vec;

INLINE vec broadcast(uint32_t w)
{
	return _mm256_set1_epi32((int)w);
}

INLINE vec load_words(const uint32_t *from)
{
	return _mm256_loadu_si256((const vec *)from);
}

INLINE void store_words(uint32_t *to, vec v)
{
	_mm256_storeu_si256((vec *)to, v);
}

INLINE vec add(vec a, vec b)
{
	return _mm256_add_epi32(a, b);
}

// choose takes the bits of a where mask has ones, and those of b elsewhere.
INLINE vec choose(vec mask, vec a, vec b)
{
	return _mm256_xor_si256(b, _mm256_and_si256(mask, _mm256_xor_si256(a, b)));
}

INLINE vec majority(vec a, vec b, vec c)
{
	return choose(_mm256_xor_si256(a, b), c, b);
}

INLINE vec shift_left(vec a, unsigned bits)
{
	return _mm256_slli_epi32(a, (int)bits);
}

INLINE vec shift_right(vec a, unsigned bits)
{
	return _mm256_srli_epi32(a, (int)bits);
}

// join is the low 24 bits of a, then the high 8 bits of b.
INLINE vec join(vec a, vec b)
{
	return _mm256_or_si256(shift_left(a, 8), shift_right(b, 24));
}

INLINE vec rotate(vec a, unsigned bits)
{
	return _mm256_or_si256(shift_right(a, bits), shift_left(a, 32 - bits));
}

INLINE vec sum3(vec a, vec b, vec c)
{
	return _mm256_xor_si256(_mm256_xor_si256(a, b), c);
}

// The four functions of FIPS 180-4 section 4.1.2.

INLINE vec big0(vec x)
{
	return sum3(rotate(x, 2), rotate(x, 13), rotate(x, 22));
}

INLINE vec big1(vec x)
{
	return sum3(rotate(x, 6), rotate(x, 11), rotate(x, 25));
}

INLINE vec small0(vec x)
{
	return sum3(rotate(x, 7), rotate(x, 18), shift_right(x, 3));
}

INLINE vec small1(vec x)
{
	return sum3(rotate(x, 17), rotate(x, 19), shift_right(x, 10));
}

#include "sha256_lanes.h"

const struct kernel sha256mb_sha256_avx2 = {
	.hash = &sha256mb_sha256, .lanes = WIDTH, .pace = 270, .prepare = prepare, .advance = advance, .compress = compress,
};
