#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/mem.h"
#include "control/clock_guard.h"

#define NOW INT64_C(1800000000000)
#define UP (INT64_C(5) * MS_PER_HOUR)

/* A guard after hours in step, and what it is asked. */
static struct clock_guard in_step(void)
{
	struct clock_guard g;
	clock_guard_init(&g, NOW, UP);
	return g;
}

static struct clock_facts facts(int64_t wall_ms, int64_t mono_ms)
{
	return (struct clock_facts){.wall_ms = wall_ms,
		.mono_ms = mono_ms,
		.built_ms = NOW - 30 * MS_PER_DAY,
		.newest_ms = NOW - MS_PER_HOUR,
		.tolerance_ms = 30 * MS_PER_S,
		.alone = true};
}

static void agrees_while_both_clocks_run_in_step(void **state)
{
	(void)state;
	struct clock_guard g = in_step();
	for (int64_t s = 0; s < 100000; s += 1000) { /* slewed by NTP, and read a little apart */
		int64_t wall = NOW + s * MS_PER_S + s / 2 + s % 7;
		assert_int_equal(clock_guard_look(&g, wall, UP + s * MS_PER_S), 0);
		const struct clock_facts f = facts(wall, UP + s * MS_PER_S);
		assert_int_equal(clock_guard_judge(&g, &f), CLOCK_AGREES);
	}
}

static void no_time_is_before_the_build_or_before_what_is_known(void **state)
{
	(void)state;
	struct clock_guard g = in_step();
	struct clock_facts f = facts(NOW, UP);
	f.alone = false;
	f.wall_ms = f.built_ms - 1;
	assert_int_equal(clock_guard_judge(&g, &f), CLOCK_BEFORE_BUILD);
	f.wall_ms = f.built_ms;
	assert_int_equal(clock_guard_judge(&g, &f), CLOCK_BEFORE_FACT);
	f.wall_ms = f.newest_ms - f.tolerance_ms - 1;
	assert_int_equal(clock_guard_judge(&g, &f), CLOCK_BEFORE_FACT);
	f.wall_ms++;
	assert_int_equal(clock_guard_judge(&g, &f), CLOCK_AGREES);
	f.newest_ms = f.built_ms = 0; /* nothing is known */
	f.wall_ms = 1;
	assert_int_equal(clock_guard_judge(&g, &f), CLOCK_AGREES);
}

/* Judged before anybody looked again: there is no moment in between. */
static void a_set_clock_is_doubted_where_it_alone_dates_certificates(void **state)
{
	(void)state;
	struct clock_guard g = in_step();
	const struct {
		int64_t by_ms;
		enum clock_verdict verdict;
	} rows[] = {{29 * MS_PER_S, CLOCK_AGREES}, {-29 * MS_PER_S, CLOCK_AGREES}, {31 * MS_PER_S, CLOCK_SET_AHEAD},
		{-31 * MS_PER_S, CLOCK_SET_BACK}, {366 * MS_PER_DAY, CLOCK_SET_AHEAD}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct clock_facts f = facts(NOW + rows[i].by_ms, UP);
		assert_int_equal(clock_guard_judge(&g, &f), rows[i].verdict);
		f.alone = false; /* an authority's own clock dates them: its answer is checked against ours */
		assert_int_equal(clock_guard_judge(&g, &f), CLOCK_AGREES);
	}
	struct clock_facts short_life = facts(NOW + 1900, UP);
	short_life.tolerance_ms = MS_PER_S;
	assert_int_equal(clock_guard_judge(&g, &short_life), CLOCK_AGREES); /* that much is no set clock */
}

/* At boot, without a battery: the time before NTP answered is no witness against that after. */
static void a_time_that_cannot_have_been_right_is_no_witness(void **state)
{
	(void)state;
	struct clock_guard g;
	clock_guard_init(&g, 0, UP);
	struct clock_facts f = facts(NOW, UP);
	assert_int_equal(clock_guard_judge(&g, &f), CLOCK_AGREES);
	f.wall_ms = MS_PER_HOUR;
	assert_int_equal(clock_guard_judge(&g, &f), CLOCK_BEFORE_BUILD);
}

static void it_ends_when_the_clock_is_put_right(void **state)
{
	(void)state;
	struct clock_guard g = in_step();
	assert_int_equal(clock_guard_look(&g, NOW + MS_PER_HOUR, UP), MS_PER_HOUR);
	assert_int_equal(clock_guard_look(&g, NOW + MS_PER_HOUR + MS_PER_S, UP + MS_PER_S), 0);
	struct clock_facts f = facts(NOW + MS_PER_HOUR + MS_PER_S, UP + MS_PER_S);
	assert_int_equal(clock_guard_judge(&g, &f), CLOCK_SET_AHEAD);
	assert_int_equal(clock_guard_look(&g, NOW + 2 * MS_PER_S, UP + 2 * MS_PER_S), -MS_PER_HOUR);
	f = facts(NOW + 2 * MS_PER_S, UP + 2 * MS_PER_S);
	assert_int_equal(clock_guard_judge(&g, &f), CLOCK_AGREES);
}

/* The new time may be the right one: it is when it has lasted. */
static void it_ends_when_the_new_time_has_lasted(void **state)
{
	(void)state;
	struct clock_guard g = in_step();
	int64_t passed = 0;
	enum clock_verdict v = CLOCK_SET_AHEAD;
	for (; v != CLOCK_AGREES; passed += MS_PER_S) {
		if (passed == MS_PER_MIN) /* set once more meanwhile: it begins anew */
			g.since_ms = UP + passed;
		assert_true(passed < 10 * MS_PER_MIN);
		(void)clock_guard_look(&g, NOW + MS_PER_HOUR + passed, UP + passed);
		const struct clock_facts f = facts(NOW + MS_PER_HOUR + passed, UP + passed);
		v = clock_guard_judge(&g, &f);
	}
	assert_int_equal(passed - MS_PER_S, MS_PER_MIN + CLOCK_SETTLE_MS);
}

static void it_is_said_in_words(void **state)
{
	(void)state;
	const struct clock_guard g = in_step();
	const struct clock_facts f = facts(NOW - MS_PER_HOUR - 1, UP);
	AUTO(mem_freep) char *back = clock_verdict_text(CLOCK_SET_BACK, &g, &f);
	AUTO(mem_freep) char *build = clock_verdict_text(CLOCK_BEFORE_BUILD, &g, &f);
	AUTO(mem_freep) char *fact = clock_verdict_text(CLOCK_BEFORE_FACT, &g, &f);
	assert_string_equal(back, "the clock was set back by 1h, to 2027-01-15T06:59:59.999Z");
	assert_string_equal(build,
		"the clock says 2027-01-15T06:59:59.999Z, and this leafcast was built at 2026-12-16T08:00:00.000Z");
	assert_string_equal(fact,
		"the clock says 2027-01-15T06:59:59.999Z, and a certificate was received at 2027-01-15T07:00:00.000Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_while_both_clocks_run_in_step),
		cmocka_unit_test(no_time_is_before_the_build_or_before_what_is_known),
		cmocka_unit_test(a_set_clock_is_doubted_where_it_alone_dates_certificates),
		cmocka_unit_test(a_time_that_cannot_have_been_right_is_no_witness),
		cmocka_unit_test(it_ends_when_the_clock_is_put_right),
		cmocka_unit_test(it_ends_when_the_new_time_has_lasted),
		cmocka_unit_test(it_is_said_in_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
