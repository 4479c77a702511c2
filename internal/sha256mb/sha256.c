//go:build cgo && amd64

// SHA-256 (FIPS 180-4) between memory and the lanes.

#include <string.h>

#include "sha256.h"

static void write_word(uint8_t *p, uint32_t w)
{
	w = __builtin_bswap32(w);
	memcpy(p, &w, sizeof w);
}

static void load(struct lanes *l, unsigned lane, const uint8_t *value)
{
#pragma GCC unroll 6
	for (unsigned k = 0; k < 6; k++)
		l->value.words[k][lane] = read_word(value + 4 * k);
	l->value.words[6][lane] = l->n < 32 ? SHORT_PADDING : read_word(value + 24);
	l->value.words[7][lane] = l->n < 32 ? 0 : read_word(value + 28);
}

static void store(const struct lanes *l, unsigned lane, uint8_t *value)
{
#pragma GCC unroll 6
	for (unsigned k = 0; k < 6; k++)
		write_word(value + 4 * k, l->value.words[k][lane]);
	if (l->n < 32)
		return;
	write_word(value + 24, l->value.words[6][lane]);
	write_word(value + 28, l->value.words[7][lane]);
}

static void start(struct blocks *b)
{
	for (unsigned k = 0; k < 8; k++) {
		for (unsigned lane = 0; lane < LANES; lane++)
			b->state.words[k][lane] = sha256mb_start[k];
	}
}

static void finish(uint8_t *last, size_t size)
{
	write_word(last + 56, (uint32_t)((uint64_t)size * 8 >> 32));
	write_word(last + 60, (uint32_t)(size * 8));
}

static void absorb(struct blocks *b, unsigned lane, const uint8_t *block)
{
	for (unsigned k = 0; k < 16; k++)
		b->block.words[k][lane] = read_word(block + 4 * k);
}

static void squeeze(const struct blocks *b, unsigned lane, uint8_t *out, unsigned n)
{
	for (unsigned k = 0; k < n / 4; k++)
		write_word(out + 4 * k, b->state.words[k][lane]);
}

const struct hash sha256mb_sha256 = {
	.block = 64, .overhead = 9, .padding = 0x80, .load = load, .store = store, .start = start, .finish = finish, .absorb = absorb,
	.squeeze = squeeze,
};
