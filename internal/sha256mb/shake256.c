//go:build cgo && amd64

// SHAKE256 (FIPS 202) between memory and the lanes. The words of Keccak and of this processor have the same byte order.

#include "shake256.h"

static void load(struct lanes *l, unsigned lane, const uint8_t *value)
{
	l->value.longwords[3][lane] = SHAKE256_PADDING; // replaced if n is 32
	for (unsigned k = 0; k < l->n / 8; k++)
		memcpy(&l->value.longwords[k][lane], value + 8 * k, 8);
}

static void store(const struct lanes *l, unsigned lane, uint8_t *value)
{
	for (unsigned k = 0; k < l->n / 8; k++)
		memcpy(value + 8 * k, &l->value.longwords[k][lane], 8);
}

static void start(struct blocks *b)
{
	memset(&b->state, 0, sizeof b->state);
}

static void finish(uint8_t *last, size_t size)
{
	(void)size;
	last[135] |= 0x80;
}

static void absorb(struct blocks *b, unsigned lane, const uint8_t *block)
{
	for (unsigned k = 0; k < 17; k++)
		memcpy(&b->block.longwords[k][lane], block + 8 * k, 8);
}

static void squeeze(const struct blocks *b, unsigned lane, uint8_t *out, unsigned n)
{
	for (unsigned k = 0; k < n / 8; k++)
		memcpy(out + 8 * k, &b->state.longwords[k][lane], 8);
}

const struct hash sha256mb_shake256 = {
	.block = 136, .overhead = 1, .padding = 0x1f, .load = load, .store = store, .start = start, .finish = finish, .absorb = absorb,
	.squeeze = squeeze,
};
