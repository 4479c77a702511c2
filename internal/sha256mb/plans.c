//go:build cgo && amd64

// The plans that package sha256mb offers.

#include <cpuid.h>

#include "lanes.h"

// Four streams of SHA-NI take a fourth of the time of 16 lanes, or less: so fewer than 13 chains end sooner there.
plan sha256mb_avx512_shani = {{&sha256mb_sha256_avx512_wide, 28}, {&sha256mb_sha256_avx512, 13}, {&sha256mb_sha256_shani, 1}};
plan sha256mb_avx512 = {{&sha256mb_sha256_avx512_wide, 17}, {&sha256mb_sha256_avx512, 1}};
plan sha256mb_shani = {{&sha256mb_sha256_shani, 1}};
plan sha256mb_avx2 = {{&sha256mb_sha256_avx2, 1}};
plan sha256mb_shake_avx512 = {{&sha256mb_shake256_avx512, 1}};
plan sha256mb_shake_avx2 = {{&sha256mb_shake256_avx2, 1}};

// sha256mb_has_shani is whether the processor has the SHA instructions, which need no support of the system.
int sha256mb_has_shani(void)
{
	unsigned a, b, c, d;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 29 & 1);
}
