/* tests/fuzz/fuzz_reflection.c - any bytes as a reflection request. The answer is a whole message that says one thing
 * and repeats the request; it holds at most all files. */
#include <stdint.h>
#include <string.h>
#include "base/attr.h"
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "proto/descriptors.h"
#include "proto/wire.h"
#include "sds/reflection.h"

enum { REQUEST_MAX = 4096, TELL_REQUEST = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct reflection *reflection(void)
{
	static struct reflection *r; /* for the life of the process */
	static const char *const services[] = {"grpc.health.v1.Health"};
	size_t len;
	const unsigned char *set = descriptors_set(&len);
	if (!r)
		r = reflection_new(set, len, services, ARRAY_LEN(services));
	return r;
}

static void check_echo(const struct buf *answer, const uint8_t *data, size_t len)
{
	struct wire_reader r;
	struct wire_field f;
	size_t echoes = 0;
	wire_read(&r, answer->data, answer->len);
	while (wire_next(&r, &f))
		if (f.number == TELL_REQUEST) {
			invariant(f.len == len && (!len || !memcmp(f.bytes, data, len)));
			echoes++;
		}
	invariant(!r.bad && echoes == 1);
}

static void check_message(const struct buf *answer)
{
	Grpc__Reflection__V1__ServerReflectionResponse *m =
		grpc__reflection__v1__server_reflection_response__unpack(NULL, answer->len, answer->data);
	if (!m)
		return; /* a field of the request that protobuf-c knows under another type */
	invariant(m->message_response_case && m->base.n_unknown_fields == 0);
	grpc__reflection__v1__server_reflection_response__free_unpacked(m, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buf b = BUF_INIT;
	size_t set_len;
	(void)descriptors_set(&set_len);
	AUTO(fault_freep) struct fault *f = reflection_answer(reflection(), data, len, &b);
	if (f) {
		invariant(fault_code(f) == FAULT_INVALID && b.len == 0);
		return 0;
	}
	invariant(len <= REQUEST_MAX && b.len <= 2 * len + set_len + 64);
	check_echo(&b, data, len);
	check_message(&b);
	buf_free(&b);
	return 0;
}
