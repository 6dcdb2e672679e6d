/* When a worker gives memory back: some seconds after many streams have left, once for all of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "sds/internal.h"

enum { MANY = 100, AFTER_MS = 5000 };

static void test_give_back(void **state)
{
	struct worker w = {.now_ms = 100};
	(void)state;
	timers_init(&w.timers);
	give_back_init(&w);
	for (int i = 1; i < MANY; i++)
		give_back_note(&w);
	assert_int_equal(timers_next_ms(&w.timers), INT64_MAX);
	give_back_note(&w);
	assert_int_equal(timers_next_ms(&w.timers), 100 + AFTER_MS);
	/* Those who leave later do not put it off. */
	w.now_ms = 200;
	for (int i = 0; i < 2 * MANY; i++)
		give_back_note(&w);
	assert_int_equal(timers_next_ms(&w.timers), 100 + AFTER_MS);
	timers_run(&w.timers, 100 + AFTER_MS);
	assert_int_equal(timers_next_ms(&w.timers), INT64_MAX);
	assert_int_equal(w.departed, 0);
	timers_done(&w.timers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_give_back)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
