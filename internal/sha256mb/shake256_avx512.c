//go:build cgo && amd64

// SHAKE256 with AVX-512, 8 lanes.

#include <immintrin.h>
#include <stdint.h>

#define TARGET __attribute__((target("avx512f")))
#define INLINE static inline __attribute__((always_inline, target("avx512f")))

enum { WIDTH = 8 };

typedef __m512i vec;

INLINE vec broadcast(uint64_t w)
{
	return _mm512_set1_epi64((long long)w);
}

INLINE vec load_words(const uint64_t *from)
{
	return _mm512_loadu_si512(from);
}

INLINE void store_words(uint64_t *to, vec v)
{
	_mm512_storeu_si512(to, v);
}

INLINE vec add(vec a, vec b)
{
	return _mm512_add_epi64(a, b);
}

INLINE vec shift_left(vec a, unsigned bits)
{
	return _mm512_slli_epi64(a, bits);
}

INLINE vec shift_right(vec a, unsigned bits)
{
	return _mm512_srli_epi64(a, bits);
}

INLINE vec rotate(vec a, int bits)
{
	return _mm512_rol_epi64(a, bits);
}

INLINE vec sum2(vec a, vec b)
{
	return _mm512_xor_si512(a, b);
}

INLINE vec sum3(vec a, vec b, vec c)
{
	return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}

// choose takes the bits of a where mask has ones, and those of b elsewhere.
INLINE vec choose(vec mask, vec a, vec b)
{
	return _mm512_ternarylogic_epi64(mask, a, b, 0xca);
}

// chi is a ^ (~b & c).
INLINE vec chi(vec a, vec b, vec c)
{
	return _mm512_ternarylogic_epi64(a, b, c, 0xd2);
}

#include "keccak_lanes.h"

const struct kernel sha256mb_shake256_avx512 = {
	.hash = &sha256mb_shake256, .lanes = WIDTH, .pace = 390, .advance = advance, .compress = compress,
};
