//go:build cgo && amd64

// Keccak-f[1600] (FIPS 202 section 3) over the lanes of a vector, and the chains of SHAKE256 on it, for a file that has
// defined TARGET, INLINE, WIDTH, vec (64 bits of each lane), and the functions load_words, store_words, broadcast, shift_left,
// shift_right, rotate, add, choose, sum2, sum3 and chi.

#include "shake256.h"

// at is where A[x, y] lies in round: each round leaves five results in the places of the five words they were made of, and
// after four rounds all are back at 5y + x.
INLINE unsigned at(unsigned round, unsigned x, unsigned y)
{
	unsigned power = 1u << round % 4;
	return 5 * (((power - 1) * x + power * y) % 5) + x;
}

// theta makes what is added to each column from the sums of the columns.
INLINE void theta(vec sum[5], const vec column[5])
{
#pragma GCC unroll 5
	for (unsigned x = 0; x < 5; x++)
		sum[x] = sum2(column[(x + 4) % 5], rotate(column[(x + 1) % 5], 1));
}

// one_row is the rest of a round for the words of row y but iota.
INLINE void one_row(vec row[5], const vec a[25], const vec sum[5], unsigned round, unsigned y)
{
	static const unsigned char rotation[5][5] = { // by y and x
		{0, 1, 62, 28, 27}, {36, 44, 6, 55, 20}, {3, 10, 43, 25, 39}, {41, 45, 15, 21, 8}, {18, 2, 61, 56, 14},
	};
	vec b[5]; // B[x, y], which comes from A[x + 3y, x]
#pragma GCC unroll 5
	for (unsigned x = 0; x < 5; x++) {
		unsigned from = (x + 3 * y) % 5;
		b[x] = rotate(sum2(a[at(round, from, x)], sum[from]), rotation[x][from]);
	}
#pragma GCC unroll 5
	for (unsigned x = 0; x < 5; x++)
		row[x] = chi(b[x], b[(x + 1) % 5], b[(x + 2) % 5]);
}

// one_round is theta, rho, pi, chi and iota. column has the sums of the columns, which it brings up to date on the way.
INLINE void one_round(vec a[25], vec column[5], unsigned round, uint64_t iota)
{
	vec sum[5], row[5][5];
	theta(sum, column);
#pragma GCC unroll 5
	for (unsigned y = 0; y < 5; y++) {
		one_row(row[y], a, sum, round, y);
		if (y == 0)
			row[0][0] = sum2(row[0][0], broadcast(iota));
#pragma GCC unroll 5
		for (unsigned x = 0; x < 5; x++)
			a[at(round + 1, x, y)] = row[y][x];
#pragma GCC unroll 5
		for (unsigned x = 0; x < 5; x++) {
			if (y == 1)
				column[x] = sum2(row[0][x], row[1][x]);
			if (y == 3)
				column[x] = sum3(column[x], row[2][x], row[3][x]);
			if (y == 4)
				column[x] = sum2(column[x], row[4][x]);
		}
	}
}

// most_rounds is all rounds but the last. It leaves the sums of the columns for that one.
INLINE void most_rounds(vec a[25], vec column[5])
{
#pragma GCC unroll 5
	for (unsigned x = 0; x < 5; x++)
		column[x] = sum3(sum3(a[x], a[x + 5], a[x + 10]), a[x + 15], a[x + 20]);
	for (unsigned round = 0; round < 20; round += 4) {
#pragma GCC unroll 4
		for (unsigned k = 0; k < 4; k++)
			one_round(a, column, k, shake256_round[round + k]);
	}
#pragma GCC unroll 3
	for (unsigned k = 0; k < 3; k++)
		one_round(a, column, k, shake256_round[20 + k]);
}

INLINE void permute(vec a[25])
{
	vec column[5];
	most_rounds(a, column);
	one_round(a, column, 3, shake256_round[23]);
}

// permute_to_row is permute, of which the first row alone is wanted: the last round makes no other.
INLINE void permute_to_row(vec a[25], vec row[5])
{
	vec column[5], sum[5];
	most_rounds(a, column);
	theta(sum, column);
	one_row(row, a, sum, 3, 0);
	row[0] = sum2(row[0], broadcast(shake256_round[23]));
}

// advance is kernel.advance. Byte 22 of the input is j, and the value begins with byte 23, the last of a word.
TARGET static void advance(struct lanes *l, unsigned steps)
{
	const uint64_t j_mask = UINT64_C(0xff) << 48;
	vec value[4], head;
	uint64_t id[2], heads[WIDTH];
	memcpy(id, l->id, sizeof id);
	for (unsigned lane = 0; lane < WIDTH; lane++)
		heads[lane] = __builtin_bswap64((uint64_t)l->q[lane] << 32 | l->step[lane]);
	head = load_words(heads);
	for (unsigned k = 0; k < 4; k++)
		value[k] = load_words(l->value.longwords[k]);
	count_steps(l, WIDTH, steps);
	do {
		vec a[25];
#pragma GCC unroll 25
		for (unsigned k = 0; k < 25; k++)
			a[k] = broadcast(k == 16 ? SHAKE256_END : k < 2 ? id[k] : 0);
		a[2] = sum2(head, shift_left(value[0], 56));
#pragma GCC unroll 3
		for (unsigned k = 0; k < 3; k++)
			a[3 + k] = sum2(shift_right(value[k], 8), shift_left(value[k + 1], 56));
		a[6] = l->n < 32 ? broadcast(0) : sum2(shift_right(value[3], 8), broadcast(SHAKE256_PADDING << 56));
		vec row[5];
		permute_to_row(a, row);
#pragma GCC unroll 4
		for (unsigned k = 0; k < 4; k++)
			value[k] = row[k];
		if (l->n < 32)
			value[3] = broadcast(SHAKE256_PADDING);
		head = choose(broadcast(j_mask), add(head, broadcast(UINT64_C(1) << 48)), head);
	} while (--steps > 0);
	for (unsigned k = 0; k < 4; k++)
		store_words(l->value.longwords[k], value[k]);
}

// compress is kernel.compress.
TARGET static void compress(struct blocks *b)
{
	vec a[25];
#pragma GCC unroll 25
	for (unsigned k = 0; k < 25; k++) {
		a[k] = load_words(b->state.longwords[k]);
		if (k < 17)
			a[k] = sum2(a[k], load_words(b->block.longwords[k]));
	}
	permute(a);
#pragma GCC unroll 25
	for (unsigned k = 0; k < 25; k++)
		store_words(b->state.longwords[k], a[k]);
}
