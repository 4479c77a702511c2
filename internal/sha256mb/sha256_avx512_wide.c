//go:build cgo && amd64

// SHA-256 with AVX-512, 32 lanes.

#define GROUPS 2
#include "sha256_avx512.h"

const struct kernel sha256mb_sha256_avx512_wide = {
	.hash = &sha256mb_sha256, .lanes = WIDTH, .pace = 480, .prepare = prepare, .advance = advance, .compress = compress,
};
