/* tests/unit/control/test_breaker.c - when an authority is asked, and when it is left alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "control/breaker.h"

static uint64_t last_probe; /* of the last request that began */

static bool begins(struct breaker *b, int64_t now)
{
	return breaker_begin(b, now, &last_probe);
}

static struct breaker opened(int64_t now)
{
	struct breaker b;
	breaker_init(&b);
	for (int i = 0; i < BREAKER_FAILURES; i++) {
		assert_true(begins(&b, now));
		assert_int_equal(breaker_failed(&b, last_probe, now, 7), i == BREAKER_FAILURES - 1);
	}
	return b;
}

static void failures_in_a_row_open_it(void **state)
{
	struct breaker b = opened(1000);
	(void)state;
	assert_int_equal(breaker_state(&b, 1000), BREAKER_OPEN);
	assert_false(breaker_lets(&b, b.probe_at_ms - 1));
	assert_false(begins(&b, 1000));
	assert_true(b.probe_at_ms > 1000);
}

static void a_success_between_starts_the_count_anew(void **state)
{
	struct breaker b;
	(void)state;
	breaker_init(&b);
	for (int i = 0; i < 10; i++) {
		assert_false(breaker_failed(&b, last_probe, 0, 1));
		assert_false(breaker_failed(&b, last_probe, 0, 1));
		assert_false(breaker_succeeded(&b));
	}
	assert_int_equal(breaker_state(&b, 0), BREAKER_CLOSED);
}

static void one_probe_decides(void **state)
{
	struct breaker b = opened(0);
	int64_t at = b.probe_at_ms;
	(void)state;
	assert_int_equal(breaker_state(&b, at), BREAKER_HALF_OPEN);
	assert_true(begins(&b, at));
	assert_false(begins(&b, at)); /* the second one is not let through */
	assert_false(breaker_lets(&b, at + 1000000));
	assert_false(breaker_failed(&b, last_probe, at, 3));
	assert_int_equal(breaker_state(&b, at), BREAKER_OPEN);
	at = b.probe_at_ms;
	assert_true(begins(&b, at));
	assert_true(breaker_succeeded(&b));
	assert_int_equal(breaker_state(&b, at), BREAKER_CLOSED);
	assert_int_equal(b.failures, 0);
}

static void an_order_brings_the_probe_forward(void **state)
{
	struct breaker b = opened(0);
	(void)state;
	breaker_hasten(&b, 1);
	assert_true(begins(&b, 1));
	breaker_hasten(&b, 1);
	assert_false(begins(&b, 1)); /* one at a time all the same */
	assert_false(breaker_succeeded(&b) && b.open);
	breaker_hasten(&b, 1); /* nothing to hasten */
	assert_int_equal(breaker_state(&b, 1), BREAKER_CLOSED);
}

static void a_cancelled_probe_makes_room_for_another(void **state)
{
	struct breaker b = opened(0);
	(void)state;
	assert_true(begins(&b, b.probe_at_ms));
	breaker_abandoned(&b, last_probe);
	assert_true(begins(&b, b.probe_at_ms));
}

/* Three requests are under way when it opens by three others; then a probe: whatever comes of the three, there is no
 * second one beside it. */
static void there_is_never_a_second_probe(void **state)
{
	struct breaker b;
	uint64_t early[2 * BREAKER_FAILURES], probe, second;
	(void)state;
	breaker_init(&b);
	for (int i = 0; i < 2 * BREAKER_FAILURES; i++)
		assert_true(breaker_begin(&b, 0, &early[i]));
	for (int i = 0; i < BREAKER_FAILURES; i++)
		(void)breaker_failed(&b, early[i], 0, 7);
	int64_t at = b.probe_at_ms;
	assert_true(breaker_begin(&b, at, &probe));
	assert_false(breaker_failed(&b, early[3], at, 7));
	breaker_abandoned(&b, early[4]);
	assert_int_equal(b.probe_at_ms, at);
	assert_false(breaker_lets(&b, at + 1000000));
	assert_false(breaker_failed(&b, probe, at, 7));
	assert_true(b.probe_at_ms > at);
	/* One that was let through before a success closed it is no probe of the next time. */
	assert_true(breaker_begin(&b, b.probe_at_ms, &probe));
	assert_true(breaker_succeeded(&b));
	for (int i = 0; i < BREAKER_FAILURES; i++)
		(void)breaker_failed(&b, 0, 0, 7);
	assert_true(breaker_begin(&b, b.probe_at_ms, &second));
	assert_int_not_equal(second, probe);
	breaker_abandoned(&b, probe);
	assert_false(breaker_lets(&b, b.probe_at_ms));
}

static void late_failures_do_not_move_the_probe(void **state)
{
	struct breaker b = opened(0);
	int64_t at = b.probe_at_ms;
	(void)state;
	for (int i = 0; i < 20; i++)
		assert_false(breaker_failed(&b, last_probe, at - 1, 99));
	assert_int_equal(b.probe_at_ms, at);
}

/* A late success shows that it answers. */
static void a_late_success_closes_it(void **state)
{
	struct breaker b = opened(0);
	(void)state;
	assert_true(breaker_succeeded(&b));
	assert_true(breaker_lets(&b, 0));
}

static void probes_grow_rarer_but_stay_bounded(void **state)
{
	struct breaker b = opened(0);
	(void)state;
	for (int i = 0; i < 40; i++) {
		int64_t at = b.probe_at_ms;
		assert_true(begins(&b, at));
		(void)breaker_failed(&b, last_probe, at, UINT64_MAX - (uint64_t)i * 7919);
		assert_true(b.probe_at_ms > at);
		assert_true(b.probe_at_ms - at <= 60000);
	}
}

static void the_probe_is_jittered(void **state)
{
	struct breaker one, other;
	(void)state;
	breaker_init(&one);
	breaker_init(&other);
	for (int i = 0; i < BREAKER_FAILURES; i++) {
		(void)breaker_failed(&one, last_probe, 0, UINT64_MAX / 5);
		(void)breaker_failed(&other, last_probe, 0, UINT64_MAX / 2 + 12345);
	}
	assert_int_not_equal(one.probe_at_ms, other.probe_at_ms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(failures_in_a_row_open_it),
		cmocka_unit_test(a_success_between_starts_the_count_anew),
		cmocka_unit_test(one_probe_decides),
		cmocka_unit_test(an_order_brings_the_probe_forward),
		cmocka_unit_test(a_cancelled_probe_makes_room_for_another),
		cmocka_unit_test(there_is_never_a_second_probe),
		cmocka_unit_test(late_failures_do_not_move_the_probe),
		cmocka_unit_test(a_late_success_closes_it),
		cmocka_unit_test(probes_grow_rarer_but_stay_bounded),
		cmocka_unit_test(the_probe_is_jittered),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
