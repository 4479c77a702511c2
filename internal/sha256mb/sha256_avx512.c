//go:build cgo && amd64

// SHA-256 with AVX-512, 16 lanes.

#define GROUPS 1
#include "sha256_avx512.h"

const struct kernel sha256mb_sha256_avx512 = {
	.hash = &sha256mb_sha256, .lanes = WIDTH, .pace = 260, .prepare = prepare, .advance = advance, .compress = compress,
};
