#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/clock.h"

static void formats_wall_time(void **state)
{
	(void)state;
	static const struct {
		int64_t ms;
		const char *text;
	} rows[] = {{0, "1970-01-01T00:00:00.000Z"}, {INT64_C(1795521600123), "2026-11-24T12:00:00.123Z"},
		{-1, "1969-12-31T23:59:59.999Z"}, {INT64_C(253402300799999), "9999-12-31T23:59:59.999Z"},
		{INT64_MAX, "292278994-08-17T07:12:55.807Z"}, {INT64_MIN, "-292275055-05-16T16:47:04.192Z"}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[32];
		clock_format(rows[i].ms, text, sizeof text);
		assert_string_equal(text, rows[i].text);
	}
}

static void monotonic_time_does_not_go_back(void **state)
{
	(void)state;
	int64_t before = clock_mono_ms(clock_system());
	for (int i = 0; i < 1000; i++) {
		int64_t now = clock_mono_ms(clock_system());
		assert_true(now >= before);
		before = now;
	}
	assert_true(clock_wall_ms(clock_system()) > INT64_C(1700000000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(formats_wall_time),
		cmocka_unit_test(monotonic_time_does_not_go_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
