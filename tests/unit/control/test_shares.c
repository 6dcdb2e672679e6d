/* Bounded room shared fairly: whoever has the most gives way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "control/shares.h"

static void test_the_greedy_gives_way(void **state)
{
	(void)state;
	struct shares s = {NULL, 0};
	struct share_link greedy[5], modest;
	assert_null(shares_victim(&s));
	shares_add(&s, "modest", &modest);
	assert_ptr_equal(shares_victim(&s), &modest);
	for (size_t i = 0; i < 5; i++)
		shares_add(&s, "greedy", &greedy[i]);
	assert_int_equal(s.count, 6);
	assert_ptr_equal(shares_victim(&s), &greedy[0]);
	shares_touch(&greedy[0]);
	assert_ptr_equal(shares_victim(&s), &greedy[1]);
	assert_ptr_equal(shares_of(&s, "modest"), &modest);
	assert_null(shares_of(&s, "nobody"));
	for (size_t i = 1; i < 5; i++)
		shares_remove(&s, &greedy[i]);
	shares_remove(&s, &modest);
	assert_null(shares_of(&s, "modest"));
	assert_ptr_equal(shares_victim(&s), &greedy[0]);
	shares_remove(&s, &greedy[0]);
	assert_int_equal(s.count, 0);
	assert_null(s.owners);
}

static void test_lines_are_bounded(void **state)
{
	(void)state;
	struct shares s = {NULL, 0};
	struct share_link l, other;
	uint64_t unsaid = 99;
	shares_add(&s, "a", &l);
	shares_add(&s, "b", &other);
	for (int i = 0; i < SHARE_LINES; i++)
		assert_true(share_may_speak(&l, 1000, &unsaid));
	assert_int_equal(unsaid, 0);
	for (int i = 0; i < 3; i++)
		assert_false(share_may_speak(&l, 1000, &unsaid));
	assert_true(share_may_speak(&other, 1000, &unsaid)); /* each has its own */
	assert_true(share_may_speak(&l, 1000 + SHARE_LINE_MS, &unsaid));
	assert_int_equal(unsaid, 3);
	assert_false(share_may_speak(&l, 1000 + SHARE_LINE_MS, &unsaid));
	shares_remove(&s, &l);
	shares_remove(&s, &other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_greedy_gives_way),
		cmocka_unit_test(test_lines_are_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
