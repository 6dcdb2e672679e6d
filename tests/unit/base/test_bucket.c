/* tests/unit/base/test_bucket.c - tokens go, and come back with time. */
#include "base/bucket.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_burst_then_rate(void **state)
{
	const struct bucket_size s = bucket_size(10, 1000); /* one per 100 ms */
	struct bucket b = {0};
	int64_t now = 5000;
	(void)state;
	for (int i = 0; i < 10; i++) {
		assert_int_equal(bucket_wait_ms(&b, s, now), 0);
		bucket_take(&b, s, 1, now);
	}
	assert_int_equal(bucket_wait_ms(&b, s, now), 100);
	assert_int_equal(bucket_wait_ms(&b, s, now + 40), 60);
	assert_int_equal(bucket_wait_ms(&b, s, now + 100), 0);
	bucket_take(&b, s, 1, now + 100);
	assert_int_equal(bucket_wait_ms(&b, s, now + 100), 100);
	assert_false(bucket_is_full(&b, now + 1099));
	assert_true(bucket_is_full(&b, now + 1100));
}

/* An idle hour is no more than a full bucket. */
static void test_is_never_fuller_than_full(void **state)
{
	const struct bucket_size s = bucket_size(2, 1000);
	struct bucket b = {0};
	(void)state;
	bucket_take(&b, s, 2, 0);
	bucket_take(&b, s, 2, 3600000);
	assert_int_equal(bucket_wait_ms(&b, s, 3600000), 500);
}

static void test_debt(void **state)
{
	const struct bucket_size s = bucket_size(4, 400);
	struct bucket b = {0};
	(void)state;
	bucket_take(&b, s, 7, 1000);
	assert_int_equal(bucket_wait_ms(&b, s, 1000), 400);
	assert_int_equal(bucket_wait_ms(&b, s, 1400), 0);
}

static void test_fast_ones(void **state)
{
	const struct bucket_size s = bucket_size(20000, 5000); /* four per ms */
	struct bucket b = {0};
	(void)state;
	bucket_take(&b, s, 20000, 7);
	assert_int_equal(bucket_wait_ms(&b, s, 7), 1);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(bucket_wait_ms(&b, s, 8), 0);
		bucket_take(&b, s, 1, 8);
	}
	assert_int_equal(bucket_wait_ms(&b, s, 8), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_burst_then_rate),
		cmocka_unit_test(test_is_never_fuller_than_full),
		cmocka_unit_test(test_debt),
		cmocka_unit_test(test_fast_ones),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
