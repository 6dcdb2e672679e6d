#include "tests/bench/frame.h"
#include <string.h>

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

static void add_varint(struct buf *out, uint64_t value)
{
	for (; value >= 0x80; value >>= 7) {
		uint8_t byte = (uint8_t)(value | 0x80);
		buf_add(out, &byte, 1);
	}
	uint8_t last = (uint8_t)value;
	buf_add(out, &last, 1);
}

void frame_add(struct buf *out, uint32_t field, const void *bytes, size_t len)
{
	add_varint(out, (uint64_t)field << 3 | WIRE_BYTES);
	add_varint(out, len);
	buf_add(out, bytes, len);
}

void frame_add_text(struct buf *out, uint32_t field, const char *text)
{
	frame_add(out, field, text, strlen(text));
}

static bool take_varint(const uint8_t **bytes, size_t *len, uint64_t *ret)
{
	uint64_t value = 0;
	for (unsigned shift = 0; shift < 64 && *len; shift += 7) {
		uint8_t byte = *(*bytes)++;
		--*len;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret = value;
			return true;
		}
	}
	return false;
}

bool frame_next(const uint8_t **bytes, size_t *len, struct frame_field *ret)
{
	const uint8_t *at = *bytes;
	size_t left = *len;
	uint64_t key;
	uint64_t size = 0;
	if (!take_varint(&at, &left, &key))
		return false;
	bool ok = true;
	switch (key & 7) {
	case WIRE_VARINT:
		ok = take_varint(&at, &left, &size);
		size = 0;
		break;
	case WIRE_BYTES:
		ok = take_varint(&at, &left, &size);
		break;
	case WIRE_FIXED64:
		size = 8;
		break;
	case WIRE_FIXED32:
		size = 4;
		break;
	default:
		ok = false;
	}
	if (!ok || size > left)
		return false;
	ret->number = (uint32_t)(key >> 3);
	ret->bytes = (key & 7) == WIRE_BYTES ? at : NULL;
	ret->len = (size_t)size;
	*bytes = at + size;
	*len = left - (size_t)size;
	return true;
}

bool frame_find(const uint8_t *bytes, size_t len, uint32_t number, struct frame_field *ret)
{
	bool found = false;
	struct frame_field f;
	while (frame_next(&bytes, &len, &f)) {
		if (f.number == number && f.bytes) {
			*ret = f;
			found = true;
		}
	}
	return found && len == 0;
}

bool frame_equals(const struct frame_field *f, const char *text)
{
	return f->len == strlen(text) && memcmp(f->bytes, text, f->len) == 0;
}
