/* tests/unit/control/test_order_fact.c - who ordered what, in the name of a fact. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/mem.h"
#include "control/order_fact.h"

static void expect(const char *who, const char *what, const char *fact, const char *read_who)
{
	AUTO(mem_freep) char *made = order_fact_new("x/", who, what);
	AUTO(mem_freep) char *by = NULL;
	assert_string_equal(made, fact);
	assert_string_equal(order_fact_read(made, "x/", &by), what);
	assert_string_equal(by, read_who);
}

static void what_is_written_is_read(void **state)
{
	(void)state;
	expect("uid 0", "web", "x/uid 0/web", "uid 0");
	expect("a/b", "c/d/e", "x/a_b/c/d/e", "a_b");
	expect("", "", "x//", "");
}

static void another_fact(void **state)
{
	static const char *const facts[] = {"", "x", "x/", "x/uid 0", "y/uid 0/web"};
	(void)state;
	for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
		char *by = NULL;
		assert_null(order_fact_read(facts[i], "x/", &by));
		assert_null(by);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_written_is_read), cmocka_unit_test(another_fact)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
