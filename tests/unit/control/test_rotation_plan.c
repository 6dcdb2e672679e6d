#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/clock.h"
#include "control/rotation_plan.h"

static struct rotation_facts hour_long(const char *id)
{
	return (struct rotation_facts){.version_id = id,
		.not_before_ms = 1000000 - 30000,
		.received_at_ms = 1000000,
		.not_after_ms = 1000000 + MS_PER_HOUR,
		.renew_from_percent = 50,
		.renew_to_percent = 70,
		.keep_fresh = true};
}

static void issues_at_once_when_there_is_nothing(void **state)
{
	(void)state;
	struct rotation_facts f = {.renew_from_percent = 50, .renew_to_percent = 70, .keep_fresh = true};
	assert_int_equal(rotation_plan(&f, 5000).action, ROTATION_ISSUE);
}

static void is_idle_when_nobody_wants_it(void **state)
{
	(void)state;
	struct rotation_facts f = hour_long("00000000");
	f.keep_fresh = false;
	assert_int_equal(rotation_plan(&f, f.not_after_ms).action, ROTATION_IDLE);
}

/* The life counts from when we received it: an authority's backdating does not shift the window. */
static void draws_within_the_window_of_the_received_life(void **state)
{
	(void)state;
	static const char *const ids[] = {"00000000", "000003e7", "ffffffff", "12345678", "deadbeef", "80000000"};
	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		struct rotation_facts f = hour_long(ids[i]);
		struct rotation_plan p = rotation_plan(&f, f.received_at_ms);
		assert_int_equal(p.action, ROTATION_WAIT);
		assert_in_range(p.at_ms, f.received_at_ms + MS_PER_HOUR / 2, f.received_at_ms + MS_PER_HOUR * 7 / 10);
		assert_int_equal(rotation_plan(&f, p.at_ms).action, ROTATION_ISSUE);
		assert_int_equal(rotation_plan(&f, p.at_ms - 1).action, ROTATION_WAIT);
	}
}

/* For a node that holds an older version: sooner, but never within the first tenth, nor against a pin, nor later. */
static void is_brought_forward(void **state)
{
	(void)state;
	struct rotation_facts f = hour_long("80000000");
	const int64_t planned = rotation_plan(&f, f.received_at_ms).at_ms;
	f.hasten_at_ms = f.received_at_ms + MS_PER_HOUR / 4;
	assert_int_equal(rotation_plan(&f, f.received_at_ms).at_ms, f.hasten_at_ms);
	assert_int_equal(rotation_plan(&f, f.hasten_at_ms).action, ROTATION_ISSUE);
	f.hasten_at_ms = f.received_at_ms + 1;
	assert_int_equal(rotation_plan(&f, f.received_at_ms).at_ms, f.received_at_ms + MS_PER_HOUR / 10);
	f.hasten_at_ms = planned + 1;
	assert_int_equal(rotation_plan(&f, f.received_at_ms).at_ms, planned);
	f.pinned = true;
	const int64_t pinned = rotation_plan(&f, f.received_at_ms).at_ms;
	f.hasten_at_ms = f.received_at_ms + MS_PER_HOUR / 4;
	assert_int_equal(rotation_plan(&f, f.received_at_ms).at_ms, pinned);
	assert_true(pinned > planned);
}

static void plans_the_same_after_a_restart(void **state)
{
	(void)state;
	struct rotation_facts a = hour_long("cafe0123"), b = hour_long("cafe0123"), c = hour_long("cafe0124");
	assert_int_equal(rotation_plan(&a, a.received_at_ms).at_ms, rotation_plan(&b, b.received_at_ms + 60000).at_ms);
	assert_int_not_equal(rotation_plan(&a, a.received_at_ms).at_ms, rotation_plan(&c, c.received_at_ms).at_ms);
}

static void spreads_over_the_whole_window(void **state)
{
	(void)state;
	int buckets[10] = {0};
	for (unsigned i = 0; i < 1000; i++) {
		char id[16];
		(void)snprintf(id, sizeof id, "%08x", i * 2654435761u);
		struct rotation_facts f = hour_long(id);
		int64_t at = rotation_plan(&f, f.received_at_ms).at_ms - f.received_at_ms - MS_PER_HOUR / 2;
		buckets[at * 10 / (MS_PER_HOUR / 5)]++;
	}
	for (size_t i = 0; i < ARRAY_LEN(buckets); i++)
		assert_in_range(buckets[i], 50, 150);
}

static void never_sooner_than_a_tenth_of_the_life(void **state)
{
	(void)state;
	struct rotation_facts f = hour_long("00000000");
	f.renew_from_percent = 1;
	f.renew_to_percent = 2;
	assert_int_equal(rotation_plan(&f, f.received_at_ms).at_ms, f.received_at_ms + MS_PER_HOUR / 10);
}

static void an_order_is_not_held_back(void **state)
{
	(void)state;
	struct rotation_facts f = hour_long("00000000");
	f.ordered = true;
	f.keep_fresh = false;
	assert_int_equal(rotation_plan(&f, f.received_at_ms + 1).action, ROTATION_ISSUE);
}

static void waits_after_a_failure(void **state)
{
	(void)state;
	struct rotation_facts f = hour_long("00000000");
	int64_t late = f.received_at_ms + MS_PER_HOUR * 8 / 10;
	f.retry_at_ms = late + 5000;
	assert_int_equal(rotation_plan(&f, late).action, ROTATION_WAIT);
	assert_int_equal(rotation_plan(&f, late).at_ms, late + 5000);
	assert_int_equal(rotation_plan(&f, late + 5000).action, ROTATION_ISSUE);
}

static void a_not_before_in_the_future_shifts_the_window(void **state)
{
	(void)state;
	struct rotation_facts f = hour_long("00000000");
	f.not_before_ms = f.received_at_ms + MS_PER_HOUR / 2;
	assert_int_equal(rotation_plan(&f, f.received_at_ms).at_ms, f.not_before_ms + MS_PER_HOUR / 4);
}

static void lives_of_centuries_do_not_overflow(void **state)
{
	(void)state;
	struct rotation_facts f = hour_long("ffffffff");
	f.not_after_ms = INT64_C(1000) * 365 * MS_PER_DAY;
	struct rotation_plan p = rotation_plan(&f, f.received_at_ms);
	assert_in_range(
		p.at_ms, f.received_at_ms + f.not_after_ms / 2 - MS_PER_DAY, f.not_after_ms * 7 / 10 + MS_PER_DAY);
	f.not_after_ms = f.received_at_ms - 1; /* received after its end: due at once */
	assert_int_equal(rotation_plan(&f, f.received_at_ms).action, ROTATION_ISSUE);
}

static void tries_fit_into_the_life_that_is_left(void **state)
{
	(void)state;
	assert_int_equal(rotation_retry_cap_ms(0), 1000);
	assert_int_equal(rotation_retry_cap_ms(60000), 6000);
	assert_int_equal(rotation_retry_cap_ms(MS_PER_DAY), 5 * MS_PER_MIN);
}

/* So long before the end: whatever the life is, within its sound part; where it does not fit, the usual window. */
static void an_absolute_window_counts_from_the_end(void **state)
{
	(void)state;
	static const char *const ids[] = {"00000000", "000003e7", "ffffffff", "12345678"};
	const struct {
		int64_t life, from, to, least, most; /* minutes */
	} rows[] = {
		{60, 40, 20, 20, 40}, {600, 40, 20, 300, 420},	/* all of it is in the last fifth */
		{600, 400, 200, 200, 400}, {60, 58, 30, 6, 30}, /* not in the first tenth */
		{60, 30, 1, 30, 48},				/* not in the last fifth */
		{30, 120, 60, 15, 21}				/* the authority gave less than it was asked for */
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t k = 0; k < ARRAY_LEN(ids); k++) {
			struct rotation_facts f = hour_long(ids[k]);
			f.not_after_ms = f.received_at_ms + rows[i].life * MS_PER_MIN;
			f.renew_before_from_ms = rows[i].from * MS_PER_MIN;
			f.renew_before_to_ms = rows[i].to * MS_PER_MIN;
			int64_t at = rotation_plan(&f, f.received_at_ms).at_ms - f.received_at_ms;
			assert_in_range(at, rows[i].least * MS_PER_MIN, rows[i].most * MS_PER_MIN);
		}
}

/* What an authority suggests narrows the window, and never takes anything out of it. */
static void a_hint_narrows_the_window(void **state)
{
	(void)state;
	static const char *const ids[] = {"00000000", "000003e7", "ffffffff", "12345678"};
	const struct {
		int64_t from, to, least, most; /* minutes after it was received; the window is 30 to 42 */
	} rows[] = {
		{0, 0, 30, 42}, /* nothing was suggested */
		{35, 37, 35, 37}, {0, 33, 30, 33}, {40, 60, 40, 42}, {1, 60, 30, 42},
		{5, 10, 30, 32},  /* sooner than we would: our soonest tenth */
		{50, 58, 40, 42}, /* later than is sound: our latest */
		{37, 35, 30, 42}  /* none */
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t k = 0; k < ARRAY_LEN(ids); k++) {
			struct rotation_facts f = hour_long(ids[k]);
			f.hint_from_ms = rows[i].to ? f.received_at_ms + rows[i].from * MS_PER_MIN : 0;
			f.hint_to_ms = rows[i].to ? f.received_at_ms + rows[i].to * MS_PER_MIN : 0;
			struct rotation_plan p = rotation_plan(&f, f.received_at_ms);
			assert_in_range(
				p.at_ms - f.received_at_ms, rows[i].least * MS_PER_MIN, rows[i].most * MS_PER_MIN);
			f.pinned = true;
			assert_int_equal(rotation_plan(&f, f.received_at_ms).at_ms - f.received_at_ms, 48 * MS_PER_MIN);
		}
}

/* The wall clock was set back after it was received: its age is what the other clock says. */
static void a_clock_that_was_set_back_does_not_prolong_a_life(void **state)
{
	(void)state;
	struct rotation_facts f = hour_long("00000000"); /* due at half of its life */
	f.aged_ms = 20 * MS_PER_MIN;
	int64_t now = f.received_at_ms + 20 * MS_PER_MIN;
	assert_int_equal(rotation_plan(&f, now).at_ms, f.received_at_ms + 30 * MS_PER_MIN);
	now -= 15 * MS_PER_MIN; /* set back: in ten minutes it is half an hour old all the same */
	assert_int_equal(rotation_plan(&f, now).action, ROTATION_WAIT);
	assert_int_equal(rotation_plan(&f, now).at_ms, now + 10 * MS_PER_MIN);
	f.aged_ms += 10 * MS_PER_MIN;
	assert_int_equal(rotation_plan(&f, now + 10 * MS_PER_MIN).action, ROTATION_ISSUE);
	f.aged_ms = 5 * MS_PER_MIN; /* set ahead: the wall clock is what certificates are judged by */
	assert_int_equal(rotation_plan(&f, f.received_at_ms + 31 * MS_PER_MIN).action, ROTATION_ISSUE);
	f.aged_ms = 20 * MS_PER_MIN + 1500; /* no set clock, but slewing and rounding */
	assert_int_equal(
		rotation_plan(&f, f.received_at_ms + 20 * MS_PER_MIN).at_ms, f.received_at_ms + 30 * MS_PER_MIN);
}

/* What became due in a sleep: at once where little is left, else spread, by the version, over a minute at most. */
static void what_became_due_in_a_sleep_is_spread(void **state)
{
	(void)state;
	size_t at_once = 0;
	for (unsigned i = 0; i < 1000; i++) {
		char id[16];
		(void)snprintf(id, sizeof id, "%08x", i * 2654435761u);
		struct rotation_facts f = hour_long(id);
		f.woke_over_ms = MS_PER_MIN;
		f.asleep_ms = f.received_at_ms + 20 * MS_PER_MIN;
		f.woke_ms = f.received_at_ms + 45 * MS_PER_MIN; /* 15 minutes are left: over 45 s */
		struct rotation_plan p = rotation_plan(&f, f.woke_ms);
		assert_in_range(p.at_ms, f.woke_ms, f.woke_ms + 45 * MS_PER_S);
		at_once += p.at_ms < f.woke_ms + MS_PER_S;
		assert_int_equal(rotation_plan(&f, p.at_ms).action, ROTATION_ISSUE);
		f.woke_ms = f.not_after_ms - 20 * MS_PER_S;
		assert_in_range(rotation_plan(&f, f.woke_ms).at_ms, f.woke_ms, f.woke_ms + MS_PER_S);
		f.woke_ms = f.not_after_ms + MS_PER_HOUR; /* it has ended */
		assert_int_equal(rotation_plan(&f, f.woke_ms).action, ROTATION_ISSUE);
		f.woke_ms = f.not_after_ms - 10 * MS_PER_MIN; /* a nap later on: it puts nothing off once more */
		f.asleep_ms = f.woke_ms - 5 * MS_PER_MIN;
		assert_int_equal(rotation_plan(&f, f.woke_ms).action, ROTATION_ISSUE);
		f.asleep_ms = f.received_at_ms;
		f.woke_ms = f.received_at_ms + MS_PER_MIN; /* not due yet: the sleep does not change its time */
		struct rotation_facts awake = f;
		awake.asleep_ms = awake.woke_ms = 0;
		assert_int_equal(rotation_plan(&f, f.woke_ms).at_ms, rotation_plan(&awake, f.woke_ms).at_ms);
	}
	assert_in_range(at_once, 1, 60);
}

/* Another authority: spread over the time that there is, unless it is due sooner by itself. */
static void a_change_of_authority_is_spread(void **state)
{
	(void)state;
	int64_t first = INT64_MAX, last = 0;
	for (unsigned i = 0; i < 1000; i++) {
		char id[16];
		(void)snprintf(id, sizeof id, "%08x", i * 2654435761u);
		struct rotation_facts f = hour_long(id);
		f.moved_over_ms = 5 * MS_PER_MIN;
		f.moved_ms = f.received_at_ms + 10 * MS_PER_MIN;
		int64_t at = rotation_plan(&f, f.moved_ms).at_ms;
		assert_in_range(at, f.moved_ms, f.moved_ms + 5 * MS_PER_MIN);
		first = at < first ? at : first;
		last = at > last ? at : last;
		f.moved_ms = f.not_after_ms - 10 * MS_PER_MIN; /* a tenth of what is left, and it is due already */
		assert_int_equal(rotation_plan(&f, f.moved_ms).action, ROTATION_ISSUE);
		f.moved_ms = f.not_after_ms + 1;
		assert_int_equal(rotation_plan(&f, f.moved_ms).action, ROTATION_ISSUE);
		f.moved_ms = f.received_at_ms + MS_PER_MIN;
		f.pinned = true; /* a pin is stronger */
		assert_int_equal(rotation_plan(&f, f.moved_ms).at_ms, f.received_at_ms + 48 * MS_PER_MIN);
	}
	assert_true(last - first > 4 * MS_PER_MIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(issues_at_once_when_there_is_nothing),
		cmocka_unit_test(is_idle_when_nobody_wants_it),
		cmocka_unit_test(draws_within_the_window_of_the_received_life),
		cmocka_unit_test(is_brought_forward),
		cmocka_unit_test(plans_the_same_after_a_restart),
		cmocka_unit_test(spreads_over_the_whole_window),
		cmocka_unit_test(never_sooner_than_a_tenth_of_the_life),
		cmocka_unit_test(an_order_is_not_held_back),
		cmocka_unit_test(waits_after_a_failure),
		cmocka_unit_test(a_not_before_in_the_future_shifts_the_window),
		cmocka_unit_test(lives_of_centuries_do_not_overflow),
		cmocka_unit_test(tries_fit_into_the_life_that_is_left),
		cmocka_unit_test(an_absolute_window_counts_from_the_end),
		cmocka_unit_test(a_change_of_authority_is_spread),
		cmocka_unit_test(a_clock_that_was_set_back_does_not_prolong_a_life),
		cmocka_unit_test(what_became_due_in_a_sleep_is_spread),
		cmocka_unit_test(a_hint_narrows_the_window),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
