#include "proto/wire.h"
#include <string.h>
#include "base/buf.h"

/* https://protobuf.dev/programming-guides/encoding/ */
#define NUMBER_MAX ((UINT32_C(1) << 29) - 1)
enum { VARINT_BYTES_MAX = 10, SHORT_BYTES_MAX = 5 };

void wire_read(struct wire_reader *r, const void *bytes, size_t len)
{
	static const uint8_t nothing[1];
	r->at = len ? bytes : nothing;
	r->end = r->at + len;
	r->bad = false;
}

static bool fail(struct wire_reader *r)
{
	r->bad = true;
	return false;
}

static bool next_varint(struct wire_reader *r, unsigned bytes_max, uint64_t *ret)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < bytes_max; i++) {
		if (r->at == r->end)
			return fail(r);
		uint8_t byte = *r->at++;
		if (i == VARINT_BYTES_MAX - 1 && byte > 1)
			return fail(r); /* beyond 64 bits */
		value |= (uint64_t)(byte & 0x7f) << (7 * i);
		if (!(byte & 0x80)) {
			*ret = value;
			return true;
		}
	}
	return fail(r);
}

static bool next_fixed(struct wire_reader *r, size_t bytes, uint64_t *ret)
{
	uint64_t value = 0;
	if ((size_t)(r->end - r->at) < bytes)
		return fail(r);
	for (size_t i = 0; i < bytes; i++)
		value |= (uint64_t)r->at[i] << (8 * i);
	r->at += bytes;
	*ret = value;
	return true;
}

static bool next_bytes(struct wire_reader *r, struct wire_field *f)
{
	uint64_t len;
	if (!next_varint(r, SHORT_BYTES_MAX, &len))
		return false;
	if (len > (uint64_t)(r->end - r->at))
		return fail(r);
	f->bytes = r->at;
	f->len = (size_t)len;
	r->at += len;
	return true;
}

static bool next_value(struct wire_reader *r, struct wire_field *f)
{
	switch (f->type) {
	case WIRE_VARINT:
		return next_varint(r, VARINT_BYTES_MAX, &f->value);
	case WIRE_FIXED64:
		return next_fixed(r, 8, &f->value);
	case WIRE_BYTES:
		return next_bytes(r, f);
	case WIRE_FIXED32:
		return next_fixed(r, 4, &f->value);
	default: /* groups (3, 4) are gone from proto3; 6 and 7 never were */
		return fail(r);
	}
}

bool wire_next(struct wire_reader *r, struct wire_field *ret)
{
	uint64_t tag;
	if (r->bad || r->at == r->end || !next_varint(r, SHORT_BYTES_MAX, &tag))
		return false;
	if (tag >> 3 == 0 || tag >> 3 > NUMBER_MAX)
		return fail(r);
	struct wire_field f = {.number = (uint32_t)(tag >> 3), .type = (enum wire_type)(tag & 7)};
	if (!next_value(r, &f))
		return false;
	*ret = f;
	return true;
}

size_t wire_varint_len(uint64_t value)
{
	size_t n = 1;
	for (; value >= 0x80; value >>= 7)
		n++;
	return n;
}

size_t wire_bytes_len(uint32_t number, size_t len)
{
	return wire_varint_len((uint64_t)number << 3) + wire_varint_len(len) + len;
}

void wire_put_varint(struct buf *b, uint64_t value)
{
	uint8_t bytes[VARINT_BYTES_MAX];
	size_t n = 0;
	for (; value >= 0x80; value >>= 7)
		bytes[n++] = (uint8_t)(value | 0x80);
	bytes[n++] = (uint8_t)value;
	buf_add(b, bytes, n);
}

void wire_put_head(struct buf *b, uint32_t number, size_t len)
{
	wire_put_varint(b, (uint64_t)number << 3 | WIRE_BYTES);
	wire_put_varint(b, len);
}

void wire_put_bytes(struct buf *b, uint32_t number, const void *bytes, size_t len)
{
	wire_put_head(b, number, len);
	buf_add(b, bytes, len);
}

void wire_put_text(struct buf *b, uint32_t number, const char *text)
{
	size_t len = strlen(text);
	if (len)
		wire_put_bytes(b, number, text, len);
}

void wire_put_number(struct buf *b, uint32_t number, uint64_t value)
{
	if (!value)
		return;
	wire_put_varint(b, (uint64_t)number << 3 | WIRE_VARINT);
	wire_put_varint(b, value);
}
