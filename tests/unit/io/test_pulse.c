/* tests/unit/io/test_pulse.c - a thread is captive when it works and its loop does not turn. */
#include "base/io/pulse.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <time.h>
#include <cmocka.h>

static int64_t cpu_us(void)
{
	struct timespec t;
	assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
	return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void work(int64_t us)
{
	int64_t end = cpu_us() + us;
	while (cpu_us() < end)
		;
}

static void test_pulse(void **state)
{
	struct pulse p = {0};
	struct pulse_sight s = {0};
	(void)state;
	assert_false(pulse_is_captive(&p, &s, 0)); /* it did not begin */
	pulse_begin(&p);
	assert_false(pulse_is_captive(&p, &s, 0)); /* the first sight: there was a turn */
	work(5000);
	assert_false(pulse_is_captive(&p, &s, INT64_MAX));
	assert_true(pulse_is_captive(&p, &s, 5000)); /* what was too little does not begin anew with each sight */
	assert_false(pulse_is_captive(&p, &s, INT64_MAX));
	work(5000);
	pulse_turn(&p);
	assert_false(pulse_is_captive(&p, &s, 0));
	work(5000);
	assert_true(pulse_is_captive(&p, &s, 5000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_pulse)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
