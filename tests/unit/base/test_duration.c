/* Durations, both ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/duration.h"

static void test_parse(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		int64_t ms;
	} cases[] = {{"10s", 10000}, {"1h30m", 5400000}, {"2d", 172800000}, {"0s", 0}, {"1500ms", 1500},
		{"1m1ms", 60001}, {"1d2h3m4s5ms", 93784005}, {"90m", 5400000}, {"36600d", INT64_C(3162240000000)}};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t ms = -1;
		assert_true(duration_parse(cases[i].text, &ms));
		assert_int_equal(ms, cases[i].ms);
	}
}

static void test_refused(void **state)
{
	(void)state;
	static const char *const cases[] = {"", "10", "s", "10 s", " 10s", "10s ", "-1s", "+1s", "1.5h", "1m1h", "1s1s",
		"1h1", "10S", "1w", "1hm", "1sm", "1mss", "36601d", "36600d1ms", "99999999999999999999s",
		"9999999999999999d", "1e3s", "0x1s"};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t ms = -1;
		if (duration_parse(cases[i], &ms))
			fail_msg("\"%s\" was taken", cases[i]);
		assert_int_equal(ms, -1);
	}
}

static void test_text(void **state)
{
	(void)state;
	static const int64_t cases[] = {
		0, 1, 999, 1000, 60000, 61001, 3600000, 5400000, 86400000, 93784005, INT64_C(71280000000)};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char text[48];
		int64_t ms = -1;
		assert_true(duration_parse(duration_text(cases[i], text, sizeof text), &ms));
		assert_int_equal(ms, cases[i]);
	}
	char text[48];
	assert_string_equal(duration_text(5400000, text, sizeof text), "1h30m");
	assert_string_equal(duration_text(0, text, sizeof text), "0s");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse), cmocka_unit_test(test_refused), cmocka_unit_test(test_text)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
