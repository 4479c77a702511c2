//go:build cgo && amd64

// Longer inputs of one length, each a number after the one before it: nodes of a tree and LM-OTS public keys.

#include <string.h>

#include "lanes.h"

enum { PREFIX = 16 + 4 + 2, BLOCK_MAX = 136 };

// inputs are prefix || data.
struct inputs {
	const struct hash *hash;
	uint8_t prefix[PREFIX];
	const uint8_t *data;
	size_t size; // of data, bytes
};

// put copies those of size bytes at from that lie at offset 0 to length-1 of a block, where from lies at offset at.
static void put(uint8_t *block, size_t length, ptrdiff_t at, const uint8_t *from, size_t size)
{
	ptrdiff_t begin = at < 0 ? -at : 0;
	ptrdiff_t end = (ptrdiff_t)length - at < (ptrdiff_t)size ? (ptrdiff_t)length - at : (ptrdiff_t)size;
	if (begin < end)
		memcpy(block + (at + begin), from + begin, (size_t)(end - begin));
}

// fill makes block number b of an input and its padding.
static void fill(uint8_t *block, const struct inputs *in, size_t b, size_t blocks)
{
	size_t length = in->hash->block;
	ptrdiff_t offset = (ptrdiff_t)(b * length);
	memset(block, 0, length);
	put(block, length, -offset, in->prefix, PREFIX);
	put(block, length, PREFIX - offset, in->data, in->size);
	put(block, length, (ptrdiff_t)(PREFIX + in->size) - offset, &in->hash->padding, 1);
	if (b == blocks - 1)
		in->hash->finish(block, PREFIX + in->size);
}

// take gives block number b of an input to a lane.
static void take(struct blocks *work, unsigned lane, const struct inputs *in, size_t b, size_t blocks)
{
	size_t begin = b * in->hash->block, end = begin + in->hash->block;
	if (begin >= PREFIX && end <= PREFIX + in->size) {
		in->hash->absorb(work, lane, in->data + (begin - PREFIX));
		return;
	}
	uint8_t block[BLOCK_MAX];
	fill(block, in, b, blocks);
	in->hash->absorb(work, lane, block);
}

static void number(uint8_t prefix[PREFIX], uint32_t r)
{
	r = __builtin_bswap32(r);
	memcpy(prefix + 16, &r, sizeof r);
}

// group hashes at most as many inputs as the kernel has lanes.
static void group(const struct kernel *kernel, struct inputs in, uint32_t first, uint8_t *out, unsigned n, unsigned count)
{
	struct blocks work;
	size_t blocks = (PREFIX + in.size + in.hash->overhead + in.hash->block - 1) / in.hash->block;
	memset(&work, 0, sizeof work);
	in.hash->start(&work);
	for (size_t b = 0; b < blocks; b++) {
		for (unsigned lane = 0; lane < count; lane++) {
			struct inputs one = in;
			number(one.prefix, first + lane);
			one.data += lane * in.size;
			take(&work, lane, &one, b, blocks);
		}
		kernel->compress(&work);
	}
	for (unsigned lane = 0; lane < count; lane++)
		in.hash->squeeze(&work, lane, out + (size_t)lane * n, n);
}

// sha256mb_nodes writes count hashes of n bytes to out: of id || u32str(first + k) || u16str(d) || data[k], where data[k] has
// size bytes. With size = n, out may be data.
void sha256mb_nodes(const struct stage *plan, const uint8_t id[16], unsigned n, uint32_t first, uint16_t d,
	const uint8_t *data, size_t size, uint8_t *out, size_t count)
{
	struct inputs in = {.hash = plan->kernel->hash, .data = data, .size = size};
	memcpy(in.prefix, id, 16);
	in.prefix[20] = d >> 8;
	in.prefix[21] = d & 0xff;
	for (size_t k = 0; k < count;) {
		while (plan[1].kernel != NULL && count - k < plan->enough)
			plan++;
		unsigned lanes = count - k < plan->kernel->lanes ? (unsigned)(count - k) : plan->kernel->lanes;
		in.data = data + k * size;
		group(plan->kernel, in, first + (uint32_t)k, out + k * n, n, lanes);
		k += lanes;
	}
}
