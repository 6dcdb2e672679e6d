/* proto/wire.h - protobuf's wire format, as far as we read and write it by hand: bounded, no recursion, no copies.
 * Requests are read through it because protobuf-c cuts strings at NUL, takes invalid UTF-8 and unpacks a small message
 * into a large one; responses are written through it because their body is shared by all streams. Pure. */
#ifndef PROTO_WIRE_H
#define PROTO_WIRE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
struct buf;

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire_reader {
	const uint8_t *at, *end;
	bool bad; /* the message is malformed from here on */
};
struct wire_field {
	uint32_t number;
	enum wire_type type;
	uint64_t value;	      /* WIRE_VARINT, WIRE_FIXED64, WIRE_FIXED32 */
	const uint8_t *bytes; /* WIRE_BYTES: borrowed from the message */
	size_t len;
};

void wire_read(struct wire_reader *r, const void *bytes, size_t len);
/** The next field, or false at the end or when the message is malformed: r->bad, which whoever reads asks after the
 * last field, and which stays. Malformed is: field number 0 or above 2^29-1, a value beyond 64 bits, a tag or length of
 * more than 5 bytes, a length beyond the end, a group. *ret is untouched then. */
bool wire_next(struct wire_reader *r, struct wire_field *ret);

/** Sizes and bytes of what is written; numbers below 2^29. */
size_t wire_varint_len(uint64_t value);
/** Of a length-delimited field: tag, length and len bytes. */
size_t wire_bytes_len(uint32_t number, size_t len);
void wire_put_varint(struct buf *b, uint64_t value);
/** Tag and length: len bytes must follow. */
void wire_put_head(struct buf *b, uint32_t number, size_t len);
void wire_put_bytes(struct buf *b, uint32_t number, const void *bytes, size_t len);
/** A string; nothing for an empty one (proto3's default). */
void wire_put_text(struct buf *b, uint32_t number, const char *text);
/** A varint field; nothing for 0. */
void wire_put_number(struct buf *b, uint32_t number, uint64_t value);
#endif
