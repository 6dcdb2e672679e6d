/* tests/unit/io/test_rapid_reset.c - what counts as streams opened and reset in one breath, and what a client that is
 * merely busy sends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/buf.h"
#include "base/io/rapid_reset.h"

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3 };

static void add(struct buf *b, unsigned char type, uint32_t stream, size_t len)
{
	const unsigned char head[9] = {(unsigned char)(len >> 16), (unsigned char)(len >> 8), (unsigned char)len, type,
		0, (unsigned char)(stream >> 24), (unsigned char)(stream >> 16), (unsigned char)(stream >> 8),
		(unsigned char)stream};
	buf_add(b, head, sizeof head);
	for (size_t i = 0; i < len; i++)
		buf_add(b, "\x08", 1);
}

static void test_opened_and_reset(void **state)
{
	AUTO(buf_free) struct buf b = BUF_INIT;
	(void)state;
	for (uint32_t i = 1; i < 200; i += 2) {
		add(&b, HEADERS, i, 40);
		add(&b, DATA, i, 100);
		add(&b, RST_STREAM, i, 4);
	}
	assert_int_equal(rapid_resets(b.data, b.len), 99); /* the first one is where counting begins */
	for (size_t cut = 0; cut < 40; cut++) {
		assert_in_range(rapid_resets(b.data + cut, b.len - cut), 98, 99);
		assert_in_range(rapid_resets(b.data, b.len - cut), 98, 99);
	}
}

static void test_opened_many_then_reset(void **state)
{
	AUTO(buf_free) struct buf b = BUF_INIT;
	(void)state;
	add(&b, RST_STREAM, 1, 4);
	for (uint32_t i = 3; i < 103; i += 2)
		add(&b, HEADERS, i, 5);
	for (uint32_t i = 3; i < 103; i += 2)
		add(&b, RST_STREAM, i, 4);
	assert_int_equal(rapid_resets(b.data, b.len), 50);
}

/* Ten thousand streams that were served, and end; some begin meanwhile. */
static void test_served_streams_that_end(void **state)
{
	AUTO(buf_free) struct buf b = BUF_INIT;
	(void)state;
	for (uint32_t i = 1; i < 1000; i += 2) {
		add(&b, RST_STREAM, i, 4);
		add(&b, HEADERS, i + 20000, 40);
		add(&b, DATA, i + 20000, 400);
	}
	assert_int_equal(rapid_resets(b.data, b.len), 0);
}

static void test_whatever_else(void **state)
{
	AUTO(buf_free) struct buf b = BUF_INIT;
	(void)state;
	assert_int_equal(rapid_resets((const unsigned char *)"", 0), 0);
	add(&b, RST_STREAM, 1, 4);
	assert_int_equal(rapid_resets(b.data, b.len), 0);
	assert_int_equal(rapid_resets(b.data, 8), 0);
	add(&b, HEADERS, 3, 0);
	buf_add(&b, "\xff\xff\xff\x03\0\0\0\0\x03", 9); /* cut off, 16 MiB */
	assert_int_equal(rapid_resets(b.data, b.len), 1);
	buf_truncate(&b, 0);
	for (int i = 0; i < 70000; i++)
		buf_add(&b, "\0", 1);
	assert_int_equal(rapid_resets(b.data, b.len), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_opened_and_reset),
		cmocka_unit_test(test_opened_many_then_reset), cmocka_unit_test(test_served_streams_that_end),
		cmocka_unit_test(test_whatever_else)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
