#include "proto/wire.h"
#include <string.h>
#include "base/buf.h"

/* https://protobuf.dev/programming-guides/encoding/ */
#define NUMBER_MAX ((UINT32_C(1) << 29) - 1)
enum { VARINT_BYTES_MAX = 10 };

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

static bool next_varint(struct wire_reader *r, uint64_t *ret)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < VARINT_BYTES_MAX; i++) {
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

bool wire_next(struct wire_reader *r, struct wire_field *ret)
{
	uint64_t tag, len;
	if (r->bad || r->at == r->end || !next_varint(r, &tag))
		return false;
	if (tag >> 3 == 0 || tag >> 3 > NUMBER_MAX)
		return fail(r);
	memset(ret, 0, sizeof *ret);
	ret->number = (uint32_t)(tag >> 3);
	switch (tag & 7) {
	case WIRE_VARINT:
		ret->type = WIRE_VARINT;
		return next_varint(r, &ret->value);
	case WIRE_FIXED64:
		ret->type = WIRE_FIXED64;
		return next_fixed(r, 8, &ret->value);
	case WIRE_FIXED32:
		ret->type = WIRE_FIXED32;
		return next_fixed(r, 4, &ret->value);
	case WIRE_BYTES:
		ret->type = WIRE_BYTES;
		if (!next_varint(r, &len))
			return false;
		if (len > (uint64_t)(r->end - r->at))
			return fail(r);
		ret->bytes = r->at;
		ret->len = (size_t)len;
		r->at += len;
		return true;
	default: /* groups (3, 4) are gone from proto3 */
		return fail(r);
	}
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
