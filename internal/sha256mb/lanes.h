//go:build cgo && amd64

// What the kernels and their callers share: many hashes side by side, one per lane of the vector registers.

#ifndef LANES_H
#define LANES_H

#include <stddef.h>
#include <stdint.h>

enum {
	LANES = 32,    // of the widest kernel
	LONGEST = 512, // chains have fewer steps
};

// chain is Chain of package sha256mb.
struct chain {
	uint32_t q;
	uint16_t i, from, to;
	uint16_t next; // in the list of those with as many steps left
};

// lanes is the work of a kernel on chains: column l is lane l. Lanes out of use hold anything.
struct lanes {
	uint8_t id[16];
	unsigned n;            // bytes of a value, 24 or 32
	uint32_t q[LANES];
	uint32_t step[LANES];  // u16str(i) || u8str(j) || one byte of zero
	union {
		uint32_t words[8][LANES];     // SHA-256: the value in words, then padding
		uint64_t longwords[4][LANES]; // SHAKE256: likewise
	} value;
	uint32_t head[8][LANES]; // of a kernel that has prepare
};

// count_steps goes steps on in the step numbers of the first lanes, modulo 256.
static inline void count_steps(struct lanes *l, unsigned lanes, unsigned steps)
{
	const uint32_t j = 0xff00;
	for (unsigned lane = 0; lane < lanes; lane++)
		l->step[lane] = (l->step[lane] & ~j) | ((l->step[lane] + (steps << 8)) & j);
}

// blocks is the work of a kernel on the blocks of longer inputs: column l is lane l.
struct blocks {
	union {
		uint32_t words[8][LANES];
		uint64_t longwords[25][LANES];
	} state;
	union {
		uint32_t words[16][LANES];
		uint64_t longwords[17][LANES];
	} block;
};

// hash is what differs between SHA-256 and SHAKE256 beside the compression.
struct hash {
	size_t block;    // bytes
	size_t overhead; // bytes of padding at least
	uint8_t padding; // its first byte
	// load and store move a value of n bytes between memory and a lane.
	void (*load)(struct lanes *, unsigned lane, const uint8_t *value);
	void (*store)(const struct lanes *, unsigned lane, uint8_t *value);
	// start sets all lanes to the empty input; finish ends the padding of size bytes of input in the last block.
	void (*start)(struct blocks *);
	void (*finish)(uint8_t *last, size_t size);
	void (*absorb)(struct blocks *, unsigned lane, const uint8_t *block);
	void (*squeeze)(const struct blocks *, unsigned lane, uint8_t *out, unsigned n);
};

extern const struct hash sha256mb_sha256, sha256mb_shake256;

// kernel is one way to compute one of the two.
struct kernel {
	const struct hash *hash;
	unsigned lanes; // at once
	unsigned pace;  // nanoseconds that a step of all lanes takes, about
	void (*prepare)(struct lanes *);                 // computes what depends on id and q alone; NULL: nothing
	void (*advance)(struct lanes *, unsigned steps); // takes values and step numbers steps > 0 steps on
	void (*compress)(struct blocks *);               // takes one block into all states
};

extern const struct kernel sha256mb_sha256_avx512_wide, sha256mb_sha256_avx512, sha256mb_sha256_avx2, sha256mb_sha256_shani,
	sha256mb_shake256_avx512, sha256mb_shake256_avx2;

// stage is a kernel of a plan, and how many chains are worth it: fewer are better off with the next one.
struct stage {
	const struct kernel *kernel;
	unsigned enough;
};

// plan is a list of kernels, the widest first, that NULL ends. For the last one 1 is enough.
typedef const struct stage plan[4];

extern plan sha256mb_avx512_shani, sha256mb_avx512, sha256mb_shani, sha256mb_avx2, sha256mb_shake_avx512, sha256mb_shake_avx2;

// queue is the chains of a batch that are neither in a lane nor at their end. The longest leave it first.
struct queue {
	uint16_t first[LONGEST]; // of the list of the chains that have so many steps left
	unsigned longest;        // steps of a chain in it, or more
	size_t count;            // chains
};

// work is a batch under way. It has no pointers into memory of Go.
struct work {
	const struct stage *stage; // NULL: not begun; one without a kernel: done
	struct queue queue;
	struct lanes lanes;
	uint32_t active;        // bit l is lane l
	unsigned busy;          // so many lanes are active
	uint32_t stale;         // lanes whose q is not the one that the kernel prepared for
	uint16_t owner[LANES];  // chain in the lane
	unsigned end[LANES];    // when it ends, in steps
	unsigned now;           // steps that were gone
	uint32_t ends[LONGEST]; // lanes that end at a time, which counts modulo LONGEST
};

int sha256mb_has_shani(void);
int sha256mb_chains(struct work *work, const struct stage *plan, const uint8_t id[16], unsigned n, struct chain *batch,
	size_t count, const uint8_t *seed, uint8_t *values);
void sha256mb_nodes(const struct stage *plan, const uint8_t id[16], unsigned n, uint32_t first, uint16_t d,
	const uint8_t *data, size_t size, uint8_t *out, size_t count);

#endif
