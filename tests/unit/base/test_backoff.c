#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/backoff.h"

static void doubles_up_to_its_cap(void **state)
{
	(void)state;
	static const int64_t ceilings[] = {100, 200, 400, 800, 1000, 1000};
	struct backoff b = {.base_ms = 100, .cap_ms = 1000};
	for (size_t i = 0; i < ARRAY_LEN(ceilings); i++) {
		struct backoff low = b;
		assert_int_equal(backoff_next_ms(&low, 0, 0), ceilings[i] / 10); /* nobody spins */
		assert_int_equal(backoff_next_ms(&b, 0, (uint64_t)ceilings[i] - 1), ceilings[i] - 1);
	}
	backoff_reset(&b);
	assert_int_equal(backoff_next_ms(&b, 0, 99), 99);
}

static void heeds_the_least_wait(void **state)
{
	(void)state;
	struct backoff b = {.base_ms = 100, .cap_ms = 1000};
	assert_int_equal(backoff_next_ms(&b, 5000, 50), 5000);
	assert_int_equal(backoff_next_ms(&b, 5, 150), 150);
	backoff_reset(&b);
	assert_int_equal(backoff_asked_ms(&b, 500, 50), 500);
	assert_int_equal(backoff_asked_ms(&b, 5000, 50), 1000);
	assert_int_equal(backoff_asked_ms(&b, -1, 150), 150);
}

static void bears_odd_bounds(void **state)
{
	(void)state;
	struct backoff none = {.base_ms = 0, .cap_ms = 0}, huge = {.base_ms = INT64_MAX - 1, .cap_ms = INT64_MAX};
	assert_int_equal(backoff_next_ms(&none, 0, UINT64_MAX), 0);
	for (int i = 0; i < 100; i++) {
		assert_in_range(backoff_next_ms(&huge, 0, UINT64_MAX), INT64_MAX / 10, INT64_MAX);
		assert_in_range(backoff_next_ms(&none, 0, UINT64_MAX), 0, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(doubles_up_to_its_cap),
		cmocka_unit_test(heeds_the_least_wait),
		cmocka_unit_test(bears_odd_bounds),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
