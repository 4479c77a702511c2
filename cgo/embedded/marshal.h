/*
 * Values between the caller's memory and the octets of the wire (docs/spec/wire.md). Nothing here makes a system call
 * or keeps a global: what an answer holds is parsed and checked here in full before any of it reaches the caller.
 */
#ifndef ONCELEAF_MARSHAL_H
#define ONCELEAF_MARSHAL_H

#include "cryptoki.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Values cross as they lie in memory: the wire is little-endian, and its CK_ULONG has 8 octets. */
_Static_assert(sizeof(CK_ULONG) == 8 && sizeof(void *) == 8, "the wire's CK_ULONG has 8 octets");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the wire is little-endian");
_Static_assert(sizeof(CK_ATTRIBUTE) == 24, "CK_ATTRIBUTE has natural alignment");

enum {
	MAX_PART = 64 << 20,              /* octets of one argument */
	MAX_FRAME = MAX_PART + (1 << 20), /* octets after a frame's size */
	MAX_ATTRIBUTES = 1024,            /* in all templates of one call, nested ones included */
	MAX_VALUE = 1 << 20,              /* octets of one attribute's value or one mechanism's parameter */
	MAX_LIST = 65536,                 /* numbers in one list */
	MAX_NAME = 64,                    /* octets of a function's name */
	RANDOM_CHUNK = 65536,             /* octets of random numbers in one answer */
};

/* What is sent. A put never fails: it marks the buffer, and exchange() then refuses the call. */
struct buffer {
	unsigned char *bytes;
	size_t used, room;
	size_t answer;  /* octets that the answer may have beyond what any answer may have */
	size_t entries; /* of templates */
	bool bad;       /* no memory, or it is excessive or crowded */
	bool excessive; /* an argument above MAX_PART, or a frame above MAX_FRAME */
	bool crowded;   /* more than MAX_ATTRIBUTES entries */
};

/* What was received. bad: it was too short or held what it must not; reads give 0 from then on. */
struct reader {
	const unsigned char *at, *end;
	bool bad;
};

void put_u8(struct buffer *, unsigned);
void put_u32(struct buffer *, size_t);
void put_ulong(struct buffer *, CK_ULONG);
void put_octets(struct buffer *, const void *, size_t); /* without a length: a label, a fixed field */
void put_bytes(struct buffer *, const void *, CK_ULONG); /* NULL stays NULL */
void put_name(struct buffer *, const CK_UTF8CHAR *);     /* ends with NUL */
void put_template(struct buffer *, const CK_ATTRIBUTE *, CK_ULONG);
void put_queries(struct buffer *, const CK_ATTRIBUTE *, CK_ULONG);
void put_mechanism(struct buffer *, const CK_MECHANISM *, bool wrapping); /* NULL: form 0 */
void put_message(struct buffer *, const void *, CK_ULONG, bool encrypts);
void put_room(struct buffer *, const void *out, const CK_ULONG *length);
void put_room_or_none(struct buffer *, const void *out, const CK_ULONG *length); /* u8 0 if length is NULL, else u8 1, room */

/*
 * The rest of a mechanism after its type: the form 2, 3 or 4 belongs to the type and the length, which only the
 * generated calls.c knows. put_mechanism has dealt with NULL and with length 0.
 */
void put_params(struct buffer *, const CK_MECHANISM *, bool wrapping);

/* What an argument must not be. An empty string may be at NULL. */
bool bad_bytes(const void *, CK_ULONG);
bool bad_name(const CK_UTF8CHAR *);
bool bad_list(const CK_ATTRIBUTE *, CK_ULONG);     /* of a query: a NULL pValue asks for the length */
bool bad_template(const CK_ATTRIBUTE *, CK_ULONG);
bool bad_mechanism(const CK_MECHANISM *);          /* NULL is bad: ask first where NULL cancels */

unsigned get_u8(struct reader *);
uint32_t get_u32(struct reader *);
CK_ULONG get_ulong(struct reader *);
void get_version(struct reader *, CK_VERSION *);
void get_text(struct reader *, CK_UTF8CHAR *field, size_t size); /* into a local; padded with blanks, cut at a character */

/* Octets of an answer, still where they were received. */
struct output {
	const unsigned char *bytes;
	CK_ULONG length;
	bool given; /* bytes are to be copied */
};

/* Out: all checks against the caller's room, then, when the answer is complete, the copy. length may be NULL: nothing. */
void get_output(struct reader *, struct output *, CK_RV, const void *out, const CK_ULONG *length);
void store_output(const struct output *, CK_RV, void *out, CK_ULONG *length);

/* Random: exactly so many octets if rv is CKR_OK. */
void get_random(struct reader *, struct output *, CK_RV, CK_ULONG length);
void store_random(const struct output *, CK_RV, void *out);

/* List and Found: numbers, if rv is CKR_OK. store_list decides about queries and too small rooms and gives the function's rv. */
struct numbers {
	const unsigned char *octets; /* 8 each */
	CK_ULONG count;
};
void get_numbers(struct reader *, struct numbers *, CK_RV, CK_ULONG max);
CK_RV store_list(const struct numbers *, CK_RV, CK_ULONG *out, CK_ULONG *count);
void store_found(const struct numbers *, CK_RV, CK_ULONG *out, CK_ULONG *count);

/* Query. `at` keeps where the results begin: store_results reads them once more, whatever the rv is. */
void get_results(struct reader *, struct reader *at, CK_RV, const CK_ATTRIBUTE *, CK_ULONG);
void store_results(struct reader *at, CK_RV, CK_ATTRIBUTE *, CK_ULONG);

/* MessageParam: the octets that an encryption puts into the caller's parameter. */
struct message {
	struct output iv, tag;
};
void get_message(struct reader *, struct message *, CK_RV, const void *parameter, CK_ULONG, bool encrypts);
void store_message(const struct message *, CK_RV, void *parameter, CK_ULONG);

/* Async: checked into a local, whose pValue points into the answer. */
void get_async(struct reader *, CK_ASYNC_DATA *local, CK_RV, const CK_ASYNC_DATA *caller);
void store_async(const CK_ASYNC_DATA *local, CK_RV, CK_ASYNC_DATA *caller);

/* For exchange.c and the transports: a buffer's memory holds PINs and signatures, so it is wiped before it goes. */
bool make_room(struct buffer *, size_t more); /* for so many octets more than are used; false sets bad */
void wipe_buffer(struct buffer *);            /* wipes what was used; large memory goes */
void drop_buffer(struct buffer *);            /* wipes all that there is, and it goes */

#endif
