#include "marshal.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
	NO_BYTES = 0xffffffff, /* the length that stands for NULL */
	FIRST_ROOM = 1024,     /* octets of a buffer's first memory */
	KEPT_ROOM = 131072,    /* octets that a buffer keeps from call to call: 64 KiB of data fit with their frame */
	DEPTH = 2,             /* a template in a template, and no more */
	FORM_BYTES = 0,
	FORM_TEMPLATE = 1,
	MAX_IV = 256,       /* octets */
	MAX_TAG_BITS = 1024,
};

static const CK_ULONG UNAVAILABLE = ~0UL;

/* --- buffers --- */

/*
 * hand_over gives a buffer other memory; `written` octets of the old one are wiped. A fork may come between any two stores
 * of another thread, and the child wipes and frees what its copy of the buffer says: so the buffer never names memory
 * that was freed, nor more than there is.
 */
static void hand_over(struct buffer *b, unsigned char *bytes, size_t room, size_t written)
{
	unsigned char *old = b->bytes;
	b->room = room < b->room ? room : b->room;
	atomic_signal_fence(memory_order_seq_cst);
	b->bytes = bytes;
	atomic_signal_fence(memory_order_seq_cst);
	b->room = room;
	atomic_signal_fence(memory_order_seq_cst);
	if (old != NULL) {
		explicit_bzero(old, written);
		free(old);
	}
}

static bool grow(struct buffer *b, size_t wanted)
{
	size_t room = b->room < FIRST_ROOM ? FIRST_ROOM : b->room;
	while (room < wanted)
		room *= 2;
	unsigned char *bytes = malloc(room);
	if (bytes == NULL) {
		b->bad = true;
		return false;
	}
	if (b->used != 0)
		memcpy(bytes, b->bytes, b->used);
	hand_over(b, bytes, room, b->used);
	return true;
}

bool make_room(struct buffer *b, size_t more)
{
	if (b->bad)
		return false;
	if (more > MAX_FRAME || b->used + more > MAX_FRAME + sizeof(uint32_t)) {
		b->bad = b->excessive = true;
		return false;
	}
	return b->used + more <= b->room || grow(b, b->used + more);
}

static void empty(struct buffer *b)
{
	b->used = 0;
	b->answer = b->entries = 0;
	b->bad = b->excessive = b->crowded = false;
}

void drop_buffer(struct buffer *b)
{
	hand_over(b, NULL, 0, b->room);
	empty(b);
}

void wipe_buffer(struct buffer *b)
{
	if (b->room > KEPT_ROOM)
		hand_over(b, NULL, 0, b->used);
	else if (b->bytes != NULL)
		explicit_bzero(b->bytes, b->used);
	empty(b);
}

/* --- requests --- */

void put_octets(struct buffer *b, const void *octets, size_t length)
{
	if (length == 0 || !make_room(b, length))
		return;
	memcpy(b->bytes + b->used, octets, length);
	b->used += length;
}

void put_u8(struct buffer *b, unsigned value)
{
	unsigned char octet = (unsigned char)value;
	put_octets(b, &octet, 1);
}

void put_u32(struct buffer *b, size_t value)
{
	uint32_t v = (uint32_t)value;
	put_octets(b, &v, sizeof v);
}

void put_ulong(struct buffer *b, CK_ULONG value)
{
	put_octets(b, &value, sizeof value);
}

void put_bytes(struct buffer *b, const void *bytes, CK_ULONG length)
{
	if (bytes == NULL) {
		put_u32(b, NO_BYTES);
		return;
	}
	if (length > MAX_PART) {
		b->bad = b->excessive = true;
		return;
	}
	put_u32(b, length);
	put_octets(b, bytes, length);
}

void put_name(struct buffer *b, const CK_UTF8CHAR *name)
{
	put_bytes(b, name, strnlen((const char *)name, MAX_NAME));
}

static bool holds_template(CK_ATTRIBUTE_TYPE type)
{
	switch (type) { /* by number and never by bit 30: numbers of other vendors have it and hold plain octets */
	case 0x40000211: /* CKA_WRAP_TEMPLATE */
	case 0x40000212: /* CKA_UNWRAP_TEMPLATE */
	case 0x40000213: /* CKA_DERIVE_TEMPLATE */
	case 0x4000062a: /* CKA_ENCAPSULATE_TEMPLATE */
	case 0x4000062b: /* CKA_DECAPSULATE_TEMPLATE */
		return true;
	}
	return false;
}

/* whole: the value is an array of CK_ATTRIBUTE. */
static bool whole(const CK_ATTRIBUTE *a)
{
	return a->ulValueLen % sizeof(CK_ATTRIBUTE) == 0;
}

static CK_ULONG entries(const CK_ATTRIBUTE *a)
{
	return a->ulValueLen / sizeof(CK_ATTRIBUTE);
}

/* put_count begins a template, unless the call has too many entries then: the daemon counts them over the whole frame. */
static bool put_count(struct buffer *b, CK_ULONG count)
{
	if (count > MAX_ATTRIBUTES - b->entries) {
		b->bad = b->crowded = true;
		return false;
	}
	b->entries += count;
	put_u32(b, count);
	return !b->bad;
}

static void put_attributes(struct buffer *b, const CK_ATTRIBUTE *a, CK_ULONG count, int depth)
{
	if (!put_count(b, count))
		return;
	for (CK_ULONG i = 0; i < count && !b->bad; i++) {
		bool odd = holds_template(a[i].type);
		bool nested = odd && depth < DEPTH && whole(&a[i]);
		put_ulong(b, a[i].type);
		put_u8(b, nested ? FORM_TEMPLATE : FORM_BYTES);
		if (nested)
			put_attributes(b, a[i].pValue, entries(&a[i]), depth + 1);
		else if (odd)
			put_bytes(b, NULL, 0); /* no template: the daemon says so */
		else
			put_bytes(b, a[i].pValue, a[i].ulValueLen);
	}
}

void put_template(struct buffer *b, const CK_ATTRIBUTE *a, CK_ULONG count)
{
	put_attributes(b, a, count, 1);
}

/* may_answer counts what the answer may hold for one room of the caller. */
static void may_answer(struct buffer *b, CK_ULONG room)
{
	b->answer = room > MAX_FRAME || b->answer + room > MAX_FRAME ? MAX_FRAME : b->answer + room;
}

/* asks_inside: the query goes to the entries of a template, for which the caller has brought room. */
static bool asks_inside(const CK_ATTRIBUTE *a, int depth)
{
	return holds_template(a->type) && depth < DEPTH && a->pValue != NULL && whole(a) && entries(a) <= MAX_ATTRIBUTES;
}

static void put_query_list(struct buffer *b, const CK_ATTRIBUTE *a, CK_ULONG count, int depth)
{
	if (!put_count(b, count))
		return;
	for (CK_ULONG i = 0; i < count && !b->bad; i++) {
		bool inside = asks_inside(&a[i], depth);
		put_ulong(b, a[i].type);
		put_u8(b, inside ? FORM_TEMPLATE : FORM_BYTES);
		if (inside)
			put_query_list(b, a[i].pValue, entries(&a[i]), depth + 1);
		else
			put_room(b, a[i].pValue, &a[i].ulValueLen);
	}
}

void put_queries(struct buffer *b, const CK_ATTRIBUTE *a, CK_ULONG count)
{
	put_query_list(b, a, count, 1);
}

void put_mechanism(struct buffer *b, const CK_MECHANISM *m, bool wrapping)
{
	if (m == NULL) {
		put_u8(b, 0);
	} else if (m->ulParameterLen == 0) {
		put_u8(b, 1);
		put_ulong(b, m->mechanism);
	} else {
		put_params(b, m, wrapping);
	}
}

void put_room(struct buffer *b, const void *out, const CK_ULONG *length)
{
	put_u8(b, out == NULL);
	put_ulong(b, *length);
	if (out != NULL)
		may_answer(b, *length);
}

void put_room_or_none(struct buffer *b, const void *out, const CK_ULONG *length)
{
	put_u8(b, length != NULL);
	if (length != NULL)
		put_room(b, out, length);
}

/* CK_GCM_MESSAGE_PARAMS */
struct gcm_message {
	CK_BYTE *iv;
	CK_ULONG iv_length, fixed_bits, generator;
	CK_BYTE *tag;
	CK_ULONG tag_bits;
};

_Static_assert(sizeof(struct gcm_message) == 48, "CK_GCM_MESSAGE_PARAMS has natural alignment");

static CK_ULONG tag_length(const struct gcm_message *m)
{
	return (m->tag_bits + 7) / 8;
}

/* read_gcm: whether the parameter is a CK_GCM_MESSAGE_PARAMS that can be right. */
static bool read_gcm(struct gcm_message *m, const void *parameter, CK_ULONG length)
{
	if (parameter == NULL || length != sizeof *m)
		return false;
	memcpy(m, parameter, sizeof *m);
	return m->iv_length <= MAX_IV && m->tag_bits <= MAX_TAG_BITS && !(m->iv == NULL && m->iv_length != 0);
}

void put_message(struct buffer *b, const void *parameter, CK_ULONG length, bool encrypts)
{
	struct gcm_message m;
	if (!read_gcm(&m, parameter, length)) {
		put_u8(b, length == 0 ? 0 : 2);
		return;
	}
	put_u8(b, 1);
	put_bytes(b, m.iv, m.iv_length);
	put_ulong(b, m.fixed_bits);
	put_ulong(b, m.generator);
	put_ulong(b, m.tag_bits);
	put_bytes(b, encrypts ? NULL : m.tag, tag_length(&m));
}

/* --- what an argument must not be --- */

bool bad_bytes(const void *bytes, CK_ULONG length)
{
	return (bytes == NULL && length != 0) || length > PTRDIFF_MAX;
}

bool bad_name(const CK_UTF8CHAR *name)
{
	return name == NULL || strnlen((const char *)name, MAX_NAME + 1) > MAX_NAME;
}

static bool bad_value(const void *bytes, CK_ULONG length)
{
	return bad_bytes(bytes, length) || length > MAX_VALUE;
}

bool bad_list(const CK_ATTRIBUTE *a, CK_ULONG count)
{
	return bad_bytes(a, count) || count > MAX_ATTRIBUTES;
}

static bool bad_attributes(const CK_ATTRIBUTE *a, CK_ULONG count, int depth)
{
	if (bad_list(a, count))
		return true;
	for (CK_ULONG i = 0; i < count; i++) {
		if (bad_value(a[i].pValue, a[i].ulValueLen))
			return true;
		if (depth < DEPTH && holds_template(a[i].type) && whole(&a[i]) &&
		    bad_attributes(a[i].pValue, entries(&a[i]), depth + 1))
			return true;
	}
	return false;
}

bool bad_template(const CK_ATTRIBUTE *a, CK_ULONG count)
{
	return bad_attributes(a, count, 1);
}

bool bad_mechanism(const CK_MECHANISM *m)
{
	return m == NULL || bad_value(m->pParameter, m->ulParameterLen);
}

/* --- answers --- */

/* take gives the next octets, or NULL, and bad, if there are not so many. */
static const unsigned char *take(struct reader *r, size_t length)
{
	if (r->bad || length > (size_t)(r->end - r->at)) {
		r->bad = true;
		return NULL;
	}
	const unsigned char *octets = r->at;
	r->at += length;
	return octets;
}

static void get_octets(struct reader *r, void *into, size_t length)
{
	const unsigned char *octets = take(r, length);
	if (octets == NULL)
		memset(into, 0, length);
	else
		memcpy(into, octets, length);
}

unsigned get_u8(struct reader *r)
{
	unsigned char value;
	get_octets(r, &value, sizeof value);
	return value;
}

uint32_t get_u32(struct reader *r)
{
	uint32_t value;
	get_octets(r, &value, sizeof value);
	return value;
}

CK_ULONG get_ulong(struct reader *r)
{
	CK_ULONG value;
	get_octets(r, &value, sizeof value);
	return value;
}

/* get_bytes: given is false for NULL. */
static struct output get_bytes(struct reader *r)
{
	struct output o = {NULL, 0, false};
	uint32_t length = get_u32(r);
	if (r->bad || length == NO_BYTES)
		return o;
	o.bytes = take(r, length);
	o.given = o.bytes != NULL;
	o.length = o.given ? length : 0;
	return o;
}

void get_version(struct reader *r, CK_VERSION *version)
{
	version->major = (CK_BYTE)get_u8(r);
	version->minor = (CK_BYTE)get_u8(r);
}

void get_text(struct reader *r, CK_UTF8CHAR *field, size_t size)
{
	struct output text = get_bytes(r);
	memset(field, ' ', size);
	if (text.length > size)
		r->bad = true;
	else if (text.length != 0)
		memcpy(field, text.bytes, text.length);
}

/* get_value: octets that go to a caller's memory of `room` octets, and their length; a NULL pointer asked for the length. */
static void get_value(struct reader *r, struct output *o, bool asked, CK_ULONG room)
{
	CK_ULONG length = get_ulong(r);
	*o = get_bytes(r);
	if (asked ? o->given : o->length != length || length > room)
		r->bad = true;
	o->length = length;
}

void get_output(struct reader *r, struct output *o, CK_RV rv, const void *out, const CK_ULONG *length)
{
	*o = (struct output){NULL, 0, false};
	if (length == NULL)
		return;
	if (rv == CKR_OK) {
		get_value(r, o, out == NULL, *length);
	} else if (rv == CKR_BUFFER_TOO_SMALL) {
		o->length = get_ulong(r);
		if (out == NULL || o->length <= *length)
			r->bad = true;
	}
}

void store_output(const struct output *o, CK_RV rv, void *out, CK_ULONG *length)
{
	if (length == NULL || (rv != CKR_OK && rv != CKR_BUFFER_TOO_SMALL))
		return;
	if (o->given && o->length != 0)
		memcpy(out, o->bytes, o->length);
	*length = o->length;
}

void get_random(struct reader *r, struct output *o, CK_RV rv, CK_ULONG length)
{
	*o = (struct output){NULL, 0, false};
	if (rv != CKR_OK)
		return;
	*o = get_bytes(r);
	if (o->length != length)
		r->bad = true;
}

void store_random(const struct output *o, CK_RV rv, void *out)
{
	if (rv == CKR_OK && o->length != 0)
		memcpy(out, o->bytes, o->length);
}

void get_numbers(struct reader *r, struct numbers *n, CK_RV rv, CK_ULONG max)
{
	*n = (struct numbers){NULL, 0};
	if (rv != CKR_OK)
		return;
	CK_ULONG count = get_u32(r);
	n->octets = take(r, count * sizeof(CK_ULONG));
	if (count > max || r->bad)
		r->bad = true;
	else
		n->count = count;
}

static void store_numbers(const struct numbers *n, CK_ULONG *out)
{
	if (n->count != 0)
		memcpy(out, n->octets, n->count * sizeof *out);
}

CK_RV store_list(const struct numbers *n, CK_RV rv, CK_ULONG *out, CK_ULONG *count)
{
	if (rv != CKR_OK)
		return rv;
	CK_ULONG room = *count;
	*count = n->count;
	if (out == NULL)
		return CKR_OK;
	if (room < n->count)
		return CKR_BUFFER_TOO_SMALL;
	store_numbers(n, out);
	return CKR_OK;
}

void store_found(const struct numbers *n, CK_RV rv, CK_ULONG *out, CK_ULONG *count)
{
	if (rv != CKR_OK)
		return;
	store_numbers(n, out);
	*count = n->count;
}

/*
 * What an answer may say of one attribute: its octets and their number; or, without octets, that it cannot be given, or
 * that it is empty; or its length, if only that was asked for. More than the room is never believed: a caller that is
 * told of more octets than it has room for may read behind its buffer.
 */
static void get_result(struct reader *r, struct output *o, const CK_ATTRIBUTE *a, CK_ULONG length)
{
	*o = get_bytes(r);
	bool right = a->pValue == NULL ? !o->given
		   : o->given          ? o->length == length && length <= a->ulValueLen
				       : length == UNAVAILABLE || length == 0;
	if (!right)
		r->bad = true;
}

/* template_fits is the same for an attribute that is a template, answered entry by entry. */
static bool template_fits(const CK_ATTRIBUTE *a, CK_ULONG length)
{
	return length == UNAVAILABLE || (length <= a->ulValueLen && length % sizeof(CK_ATTRIBUTE) == 0);
}

/* get_result_list checks results of `count` queries, and with `store` puts them where the queries point. */
static void get_result_list(struct reader *r, CK_RV rv, CK_ATTRIBUTE *store, const CK_ATTRIBUTE *a, CK_ULONG count,
			    int depth)
{
	size_t given = get_u32(r);
	if (given != count && (given != 0 || (rv == CKR_OK && depth == 1)))
		r->bad = true;
	for (CK_ULONG i = 0; i < given && !r->bad; i++) {
		struct output o = {NULL, 0, false};
		bool inside = asks_inside(&a[i], depth);
		CK_ULONG type = get_ulong(r), length = get_ulong(r);
		if (depth == 1 && type != a[i].type)
			r->bad = true;
		if (rv == CKR_OK && length == UNAVAILABLE) /* all went well, and this did not */
			r->bad = true;
		if (get_u8(r) != (inside ? FORM_TEMPLATE : FORM_BYTES))
			r->bad = true;
		else if (inside && !template_fits(&a[i], length))
			r->bad = true;
		else if (inside)
			get_result_list(r, rv, store == NULL || length + 1 <= 1 ? NULL : store[i].pValue, a[i].pValue, entries(&a[i]),
					depth + 1); /* no length or 0: no entry was answered */
		else
			get_result(r, &o, &a[i], length);
		if (store == NULL || r->bad)
			continue;
		if (o.given && o.length != 0)
			memcpy(store[i].pValue, o.bytes, o.length);
		store[i].type = type; /* in a template the token says what is there */
		store[i].ulValueLen = length;
	}
}

void get_results(struct reader *r, struct reader *at, CK_RV rv, const CK_ATTRIBUTE *a, CK_ULONG count)
{
	*at = *r;
	get_result_list(r, rv, NULL, a, count, 1);
}

void store_results(struct reader *at, CK_RV rv, CK_ATTRIBUTE *a, CK_ULONG count)
{
	get_result_list(at, rv, a, a, count, 1);
}

/* right_part: NULL, or octets that fill what the caller has for them. */
static bool right_part(const struct output *o, const void *into, CK_ULONG length)
{
	return !o->given || (into != NULL && o->length == length);
}

void get_message(struct reader *r, struct message *m, CK_RV rv, const void *parameter, CK_ULONG length, bool encrypts)
{
	struct gcm_message gcm = {0};
	memset(m, 0, sizeof *m);
	if (rv != CKR_OK)
		return;
	unsigned count = get_u8(r);
	if (count == 0)
		return;
	if (!encrypts || !read_gcm(&gcm, parameter, length) || count != (gcm.generator != 0 ? 2 : 1)) {
		r->bad = true;
		return;
	}
	if (gcm.generator != 0)
		m->iv = get_bytes(r);
	m->tag = get_bytes(r);
	if (!right_part(&m->iv, gcm.iv, gcm.iv_length) || !right_part(&m->tag, gcm.tag, tag_length(&gcm)))
		r->bad = true;
}

void store_message(const struct message *m, CK_RV rv, void *parameter, CK_ULONG length)
{
	struct gcm_message gcm;
	if (rv != CKR_OK || !read_gcm(&gcm, parameter, length))
		return;
	if (m->iv.length != 0)
		memcpy(gcm.iv, m->iv.bytes, m->iv.length);
	if (m->tag.length != 0)
		memcpy(gcm.tag, m->tag.bytes, m->tag.length);
}

void get_async(struct reader *r, CK_ASYNC_DATA *local, CK_RV rv, const CK_ASYNC_DATA *caller)
{
	memset(local, 0, sizeof *local);
	if (rv != CKR_OK)
		return;
	local->ulVersion = get_ulong(r);
	struct output value = get_bytes(r);
	local->ulValue = get_ulong(r);
	local->hObject = get_ulong(r);
	local->hAdditionalObject = get_ulong(r);
	if (value.given && (caller->pValue == NULL || value.length != local->ulValue || value.length > caller->ulValue))
		r->bad = true;
	local->pValue = value.given ? (CK_BYTE_PTR)(uintptr_t)value.bytes : NULL;
}

void store_async(const CK_ASYNC_DATA *local, CK_RV rv, CK_ASYNC_DATA *caller)
{
	if (rv != CKR_OK)
		return;
	CK_BYTE_PTR value = caller->pValue;
	if (local->pValue != NULL && local->ulValue != 0)
		memcpy(value, local->pValue, local->ulValue);
	*caller = *local;
	caller->pValue = value;
}
