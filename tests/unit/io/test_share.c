/* tests/unit/io/test_share.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/io/share.h"
#include "base/quiet.h"

static void test_share(void **state)
{
	static const struct {
		size_t taken, max, own, owners;
		bool allowed;
	} table[] = {
		{0, 800, 0, 1, true},
		{699, 800, 699, 1, true},  /* plenty: whoever asks */
		{700, 800, 700, 1, false}, /* the rest is for others */
		{700, 800, 0, 2, true},
		{700, 800, 265, 2, true}, /* a third: one share stays free */
		{700, 800, 266, 2, false},
		{799, 800, 0, 8, true},
		{800, 800, 0, 8, false},
		{3, 4, 3, 1, true}, /* too few to keep some back */
		{4, 4, 0, 2, false},
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		assert_int_equal(
			share_allows(table[i].taken, table[i].max, table[i].own, table[i].owners), table[i].allowed);
}

static void test_quiet(void **state)
{
	(void)state;
	struct quiet q = {0};
	uint64_t held_back = 99;
	assert_true(quiet_passes(&q, 5, &held_back));
	assert_int_equal(held_back, 0);
	for (int64_t t = 5; t < 5 + QUIET_MS; t += 1000)
		assert_false(quiet_passes(&q, t, &held_back));
	assert_true(quiet_passes(&q, 5 + QUIET_MS, &held_back));
	assert_int_equal(held_back, 10);
	assert_false(quiet_passes(&q, 6 + QUIET_MS, &held_back));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_share), cmocka_unit_test(test_quiet)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
