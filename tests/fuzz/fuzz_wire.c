/* tests/fuzz/fuzz_wire.c - any bytes as a message. What is read lies within them; written again it reads the same; and
 * protobuf-c, which takes more, takes all that we take, with as many fields. */
#include <stdint.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "grpc/health/v1/health.pb-c.h"
#include "proto/wire.h"

enum { REFERENCE_MAX = 4096, NUMBER_MAX = (1 << 29) - 1 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void put(struct buf *b, const struct wire_field *f)
{
	size_t before = b->len;
	if (f->type == WIRE_BYTES) {
		wire_put_bytes(b, f->number, f->bytes, f->len);
		invariant(b->len - before == wire_bytes_len(f->number, f->len));
		return;
	}
	wire_put_varint(b, (uint64_t)f->number << 3 | f->type);
	if (f->type == WIRE_VARINT)
		wire_put_varint(b, f->value);
	for (unsigned i = 0; f->type == WIRE_FIXED64 && i < 8; i++)
		*buf_extend(b, 1) = (uint8_t)(f->value >> (8 * i));
	for (unsigned i = 0; f->type == WIRE_FIXED32 && i < 4; i++)
		*buf_extend(b, 1) = (uint8_t)(f->value >> (8 * i));
}

static bool is_same(const struct wire_field *a, const struct wire_field *b)
{
	return a->number == b->number && a->type == b->type && a->value == b->value && a->len == b->len &&
	       (!a->len || !memcmp(a->bytes, b->bytes, a->len));
}

/* A message without fields of its own keeps all of them as unknown ones. */
static void check_reference(const uint8_t *data, size_t len, size_t fields)
{
	Grpc__Health__V1__HealthListRequest *m = grpc__health__v1__health_list_request__unpack(NULL, len, data);
	invariant(m && m->base.n_unknown_fields == fields);
	grpc__health__v1__health_list_request__free_unpacked(m, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct wire_reader r, again;
	struct wire_field f, g;
	struct buf b = BUF_INIT;
	size_t fields = 0;
	const uint8_t *last = data;
	wire_read(&r, data, len);
	for (; wire_next(&r, &f); fields++) {
		invariant(!len || (r.at > last && r.at <= data + len));
		invariant(f.number >= 1 && f.number <= NUMBER_MAX);
		invariant(f.type != WIRE_BYTES || (f.bytes > last && f.bytes + f.len == r.at));
		last = r.at;
		put(&b, &f);
	}
	invariant(!wire_next(&r, &f));
	invariant(b.len <= len); /* ours are the shortest forms */
	wire_read(&again, b.data, b.len);
	wire_read(&r, data, len);
	for (size_t i = 0; i < fields; i++)
		invariant(wire_next(&r, &f) && wire_next(&again, &g) && is_same(&f, &g));
	invariant(!wire_next(&again, &g) && !again.bad);
	if (!wire_next(&r, &f) && !r.bad && len <= REFERENCE_MAX)
		check_reference(data, len, fields);
	buf_free(&b);
	return 0;
}
