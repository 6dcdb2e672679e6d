/* The wire format: what is read, what is refused, what is written. */
#include "proto/wire.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/mem.h"
#include "envoy/config/core/v3/address.pb-c.h"

#define BYTES(literal) (const uint8_t *)(literal), sizeof(literal) - 1

/* A copy that ends where its memory ends, so that a sanitizer sees one byte too many. */
static uint8_t *exact(const uint8_t *bytes, size_t len)
{
	uint8_t *copy = mem_calloc(len ? len : 1, 1);
	memcpy(copy, bytes, len);
	return copy;
}

static void test_fields(void **state)
{
	(void)state;
	static const struct {
		const uint8_t *bytes;
		size_t len;
		struct wire_field expected;
	} rows[] = {
		{BYTES("\x08\x00"), {1, WIRE_VARINT, 0, NULL, 0}},
		{BYTES("\x08\x96\x01"), {1, WIRE_VARINT, 150, NULL, 0}},
		{BYTES("\x08\x96\x80\x00"), {1, WIRE_VARINT, 22, NULL, 0}}, /* longer than need be, yet allowed */
		{BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), {1, WIRE_VARINT, UINT64_MAX, NULL, 0}},
		{BYTES("\x11\x01\x02\x03\x04\x05\x06\x07\x88"),
			{2, WIRE_FIXED64, UINT64_C(0x8807060504030201), NULL, 0}},
		{BYTES("\x1d\x01\x02\x03\x84"), {3, WIRE_FIXED32, UINT64_C(0x84030201), NULL, 0}},
		{BYTES("\xfa\xff\xff\xff\x0f\x00"), {(UINT32_C(1) << 29) - 1, WIRE_BYTES, 0, (const uint8_t *)"", 0}},
		{BYTES("\x22\x03\x61\x00\xff"), {4, WIRE_BYTES, 0, (const uint8_t *)"a\0\xff", 3}},
		{BYTES("\x22\x83\x80\x00\x61\x62\x63"), {4, WIRE_BYTES, 0, (const uint8_t *)"abc", 3}},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint8_t *bytes = exact(rows[i].bytes, rows[i].len);
		struct wire_reader r;
		struct wire_field f;
		wire_read(&r, bytes, rows[i].len);
		assert_true(wire_next(&r, &f));
		assert_int_equal(f.number, rows[i].expected.number);
		assert_int_equal(f.type, rows[i].expected.type);
		assert_int_equal(f.value, rows[i].expected.value);
		assert_int_equal(f.len, rows[i].expected.len);
		if (f.type == WIRE_BYTES) {
			assert_ptr_equal(f.bytes, bytes + rows[i].len - f.len); /* a view, not a copy */
			assert_memory_equal(f.bytes, rows[i].expected.bytes, f.len);
		} else {
			assert_null(f.bytes);
		}
		assert_false(wire_next(&r, &f));
		assert_false(r.bad);
		free(bytes);
	}
}

static void test_malformed(void **state)
{
	(void)state;
	static const struct {
		const uint8_t *bytes;
		size_t len;
	} rows[] = {
		{BYTES("\x80")},					     /* a tag that does not end */
		{BYTES("\x08")},					     /* no value */
		{BYTES("\x08\x80")},					     /* a value that does not end */
		{BYTES("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02")},     /* 65 bits */
		{BYTES("\x08\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00")}, /* 11 bytes */
		{BYTES("\x00\x00")},					     /* field number 0 */
		{BYTES("\x02\x00")},					     /* likewise, of bytes */
		{BYTES("\x80\x80\x80\x80\x10\x00")},			     /* field number 2^29 */
		{BYTES("\x88\x80\x80\x80\x80\x00\x01")},		     /* a tag of 6 bytes */
		{BYTES("\x11\x01\x02\x03\x04\x05\x06\x07")},		     /* 7 bytes of 8 */
		{BYTES("\x1d\x01\x02\x03")},				     /* 3 bytes of 4 */
		{BYTES("\x22\x02\x61")},				     /* a length beyond the end */
		{BYTES("\x22\xff\xff\xff\xff\x7f\x61")},		     /* far beyond it */
		{BYTES("\x22\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x61")}, /* so far that pointers would wrap */
		{BYTES("\x22\x81\x80\x80\x80\x80\x00\x61")},		     /* a length of 6 bytes */
		{BYTES("\x22")},					     /* no length */
		{BYTES("\x0b\x0c")},					     /* a group and its end */
		{BYTES("\x0c")},					     /* the end of none */
		{BYTES("\x0e")},					     /* wire types that do not exist */
		{BYTES("\x0f")},
	};
	static const uint8_t before[] = {0x28, 0x07};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = BUF_INIT;
		buf_add(&b, before, sizeof before);
		buf_add(&b, rows[i].bytes, rows[i].len);
		uint8_t *bytes = exact(b.data, b.len);
		struct wire_reader r;
		struct wire_field f;
		wire_read(&r, bytes, b.len);
		assert_true(wire_next(&r, &f));
		assert_false(wire_next(&r, &f));
		assert_true(r.bad);
		assert_int_equal(f.number, 5); /* untouched */
		assert_int_equal(f.value, 7);
		assert_false(wire_next(&r, &f)); /* and bad it stays */
		assert_true(r.bad);
		free(bytes);
		buf_free(&b);
	}
}

static void test_nothing(void **state)
{
	(void)state;
	struct wire_reader r;
	struct wire_field f;
	wire_read(&r, NULL, 0);
	assert_false(wire_next(&r, &f));
	assert_false(r.bad);
}

/* Each cut of a good message either ends between two fields or is seen to be malformed. */
static void test_every_cut(void **state)
{
	(void)state;
	static const uint8_t whole[] = "\x08\x96\x01\x11\x01\x02\x03\x04\x05\x06\x07\x08\x22\x03"
				       "abc\x1d\x01\x02\x03\x04";
	static const size_t ends[] = {0, 3, 12, 17, 22};
	for (size_t len = 0; len < sizeof whole; len++) {
		uint8_t *bytes = exact(whole, len);
		struct wire_reader r;
		struct wire_field f;
		size_t fields = 0;
		bool between = false;
		wire_read(&r, bytes, len);
		while (wire_next(&r, &f))
			fields++;
		for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
			between |= ends[i] == len;
			if (ends[i] == len)
				assert_int_equal(fields, i);
		}
		assert_int_equal(r.bad, !between);
		free(bytes);
	}
}

static void test_varints(void **state)
{
	(void)state;
	for (unsigned bits = 0; bits <= 64; bits++)
		for (int step = -1; step <= 1; step++) {
			uint64_t value = (bits == 64 ? 0 : UINT64_C(1) << bits) + (uint64_t)(int64_t)step;
			struct buf b = BUF_INIT;
			struct wire_reader r;
			struct wire_field f;
			wire_put_varint(&b, value);
			assert_int_equal(b.len, wire_varint_len(value));
			buf_truncate(&b, 0);
			wire_put_number(&b, 9, value);
			assert_int_equal(b.len, value ? 1 + wire_varint_len(value) : 0);
			wire_read(&r, b.data, b.len);
			assert_int_equal(wire_next(&r, &f), value != 0);
			if (value)
				assert_int_equal(f.value, value);
			buf_free(&b);
		}
	assert_int_equal(wire_varint_len(0), 1);
	assert_int_equal(wire_varint_len(127), 1);
	assert_int_equal(wire_varint_len(128), 2);
	assert_int_equal(wire_varint_len(UINT64_MAX), 10);
}

static void test_bytes(void **state)
{
	(void)state;
	static const uint32_t numbers[] = {1, 15, 16, 2047, 2048, (UINT32_C(1) << 29) - 1};
	static const size_t lens[] = {0, 1, 127, 128, 16383, 16384};
	static const uint8_t body[16384] = {7};
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		for (size_t j = 0; j < ARRAY_LEN(lens); j++) {
			struct buf b = BUF_INIT, head = BUF_INIT;
			struct wire_reader r;
			struct wire_field f;
			wire_put_bytes(&b, numbers[i], body, lens[j]);
			assert_int_equal(b.len, wire_bytes_len(numbers[i], lens[j]));
			wire_put_head(&head, numbers[i], lens[j]);
			assert_int_equal(head.len + lens[j], b.len);
			assert_memory_equal(head.data, b.data, head.len);
			wire_read(&r, b.data, b.len);
			assert_true(wire_next(&r, &f));
			assert_int_equal(f.number, numbers[i]);
			assert_int_equal(f.type, WIRE_BYTES);
			assert_int_equal(f.len, lens[j]);
			assert_memory_equal(f.bytes, body, lens[j]);
			assert_false(wire_next(&r, &f) || r.bad);
			buf_free(&b);
			buf_free(&head);
		}
}

/* What protobuf-c packs is what we write; what we write it reads. */
static void test_as_protobuf_does(void **state)
{
	(void)state;
	Envoy__Config__Core__V3__Pipe pipe = ENVOY__CONFIG__CORE__V3__PIPE__INIT;
	Envoy__Config__Core__V3__Pipe *read = NULL;
	struct buf b = BUF_INIT;
	uint8_t packed[64];
	pipe.path = (char *)"/run/x.sock";
	pipe.mode = 0660;
	wire_put_text(&b, 1, pipe.path);
	wire_put_number(&b, 2, pipe.mode);
	assert_int_equal(envoy__config__core__v3__pipe__pack(&pipe, packed), b.len);
	assert_memory_equal(packed, b.data, b.len);
	read = envoy__config__core__v3__pipe__unpack(NULL, b.len, b.data);
	assert_non_null(read);
	assert_string_equal(read->path, pipe.path);
	assert_int_equal(read->mode, pipe.mode);
	envoy__config__core__v3__pipe__free_unpacked(read, NULL);
	buf_truncate(&b, 0);
	wire_put_text(&b, 1, "");
	wire_put_number(&b, 2, 0);
	assert_int_equal(b.len, 0); /* proto3's defaults are not sent */
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_every_cut),
		cmocka_unit_test(test_varints),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_as_protobuf_does),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
