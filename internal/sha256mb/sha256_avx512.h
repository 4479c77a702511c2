//go:build cgo && amd64

// SHA-256 with AVX-512, GROUPS (1 or 2) vectors of 16 lanes at once: two dependent streams of instructions hide the
// latency of each other. The includer defines GROUPS.

#include <immintrin.h>
#include <stdint.h>

#define TARGET __attribute__((target("avx512f")))
#define INLINE static inline __attribute__((always_inline, target("avx512f")))
#define EACH _Pragma("GCC unroll 2") for (int k = 0; k < GROUPS; k++)

enum { WIDTH = 16 * GROUPS };

typedef struct {
	__m512i g[GROUPS];
} vec;

INLINE vec broadcast(uint32_t w)
{
	vec v;
	EACH v.g[k] = _mm512_set1_epi32((int)w);
	return v;
}

INLINE vec load_words(const uint32_t *from)
{
	vec v;
	EACH v.g[k] = _mm512_loadu_si512(from + 16 * k);
	return v;
}

INLINE void store_words(uint32_t *to, vec v)
{
	EACH _mm512_storeu_si512(to + 16 * k, v.g[k]);
}

INLINE vec add(vec a, vec b)
{
	EACH a.g[k] = _mm512_add_epi32(a.g[k], b.g[k]);
	return a;
}

// choose takes the bits of a where mask has ones, and those of b elsewhere.
INLINE vec choose(vec mask, vec a, vec b)
{
	EACH a.g[k] = _mm512_ternarylogic_epi32(mask.g[k], a.g[k], b.g[k], 0xca);
	return a;
}

INLINE vec majority(vec a, vec b, vec c)
{
	EACH a.g[k] = _mm512_ternarylogic_epi32(a.g[k], b.g[k], c.g[k], 0xe8);
	return a;
}

INLINE vec shift_left(vec a, unsigned bits)
{
	EACH a.g[k] = _mm512_slli_epi32(a.g[k], bits);
	return a;
}

INLINE vec shift_right(vec a, unsigned bits)
{
	EACH a.g[k] = _mm512_srli_epi32(a.g[k], bits);
	return a;
}

// join is the low 24 bits of a, then the high 8 bits of b.
INLINE vec join(vec a, vec b)
{
	EACH a.g[k] = _mm512_rol_epi32(a.g[k], 8), b.g[k] = _mm512_rol_epi32(b.g[k], 8);
	return choose(broadcast(0xff), b, a);
}

// The four functions of FIPS 180-4 section 4.1.2; 0x96 is the exclusive or of three.
#define SIGMA(name, first, second, third)                                                       \
	INLINE vec name(vec x)                                                                      \
	{                                                                                           \
		EACH x.g[k] = _mm512_ternarylogic_epi32(first, second, third, 0x96);                    \
		return x;                                                                               \
	}
#define ROR(bits) _mm512_ror_epi32(x.g[k], bits)
#define SHR(bits) _mm512_srli_epi32(x.g[k], bits)
SIGMA(big0, ROR(2), ROR(13), ROR(22))
SIGMA(big1, ROR(6), ROR(11), ROR(25))
SIGMA(small0, ROR(7), ROR(18), SHR(3))
SIGMA(small1, ROR(17), ROR(19), SHR(10))

#include "sha256_lanes.h"
