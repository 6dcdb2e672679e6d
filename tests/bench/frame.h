/* tests/bench/frame.h - just enough protobuf to write and read discovery messages of which all fields are known.
 * Thread: any. */
#ifndef TESTS_BENCH_FRAME_H
#define TESTS_BENCH_FRAME_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

#define FRAME_SECRET_TYPE "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"

/** Append a length-delimited field. */
void frame_add(struct buf *out, uint32_t field, const void *bytes, size_t len);
void frame_add_text(struct buf *out, uint32_t field, const char *text);

struct frame_field {
	uint32_t number;
	const uint8_t *bytes; /* borrowed from the message; NULL for a field that is not length-delimited */
	size_t len;
};

/** Take the next field off the message's front. False at its end or where it is broken: then *len is not 0. */
bool frame_next(const uint8_t **bytes, size_t *len, struct frame_field *ret);
/** The last length-delimited field with this number; false when there is none, or the message is broken. */
bool frame_find(const uint8_t *bytes, size_t len, uint32_t number, struct frame_field *ret);
bool frame_equals(const struct frame_field *f, const char *text);
#endif
