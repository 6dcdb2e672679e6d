/* tests/unit/base/test_timers.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/timers.h"

enum { MANY = 200 };

struct entry {
	struct timers_entry timer;
	int number;
};

static int fired[4 * MANY];
static size_t fired_count;
static struct timers *rearm_in;

static void on_fire(struct timers_entry *t)
{
	fired[fired_count++] = container_of(t, struct entry, timer)->number;
	if (rearm_in)
		timers_set(rearm_in, t, 0);
}

static int set_up(void **state)
{
	(void)state;
	fired_count = 0;
	rearm_in = NULL;
	return 0;
}

static void test_fires_in_order(void **state)
{
	(void)state;
	struct entry e[MANY];
	struct timers t;
	timers_init(&t);
	for (int i = 0; i < MANY; i++) {
		e[i] = (struct entry){{.fire = on_fire}, i};
		timers_set(&t, &e[i].timer, (i * 37) % 50); /* many ties */
	}
	for (int i = 0; i < MANY; i += 3)
		timers_clear(&t, &e[i].timer);
	for (int i = 1; i < MANY; i += 3)
		timers_set(&t, &e[i].timer, 100 - i % 7); /* moved */
	int64_t last = INT64_MIN;
	for (int64_t now = 0; t.count; now++) {
		assert_true(timers_next_ms(&t) >= now);
		size_t from = fired_count;
		timers_run(&t, now);
		for (size_t i = from; i < fired_count; i++) {
			assert_true(fired[i] % 3 != 0);
			assert_int_equal(e[fired[i]].timer.at_ms, now);
			last = now;
		}
	}
	assert_int_equal(last, 100);
	assert_int_equal(fired_count, MANY - (MANY + 2) / 3);
	assert_int_equal(timers_next_ms(&t), INT64_MAX);
	timers_done(&t);
}

static void test_ties_keep_the_order_of_setting(void **state)
{
	(void)state;
	struct entry e[MANY];
	struct timers t;
	timers_init(&t);
	for (int i = 0; i < MANY; i++) {
		e[i] = (struct entry){{.fire = on_fire}, i};
		timers_set(&t, &e[i].timer, 5);
	}
	timers_run(&t, 4);
	assert_int_equal(fired_count, 0);
	timers_run(&t, 5);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(fired[i], i);
	timers_done(&t);
}

/* One that sets itself again while it fires waits for the next turn: no turn lasts for ever. */
static void test_set_while_firing_waits(void **state)
{
	(void)state;
	struct entry e = {{.fire = on_fire}, 1};
	struct timers t;
	timers_init(&t);
	rearm_in = &t;
	timers_set(&t, &e.timer, 0);
	timers_run(&t, 10);
	assert_int_equal(fired_count, 1);
	timers_run(&t, 10);
	assert_int_equal(fired_count, 2);
	timers_done(&t);
	assert_int_equal(e.timer.place, 0);
}

/* One that sets itself into the past, again and again, keeps nobody else from firing. */
static void test_set_into_the_past_starves_nobody(void **state)
{
	(void)state;
	struct entry eager = {{.fire = on_fire}, 1}, other = {{.fire = on_fire}, 2};
	struct timers t;
	timers_init(&t);
	rearm_in = &t;
	timers_set(&t, &eager.timer, 0);
	timers_set(&t, &other.timer, 5);
	timers_run(&t, 10);
	assert_int_equal(fired_count, 2);
	assert_int_equal(fired[0], 1);
	assert_int_equal(fired[1], 2);
	assert_int_equal(timers_next_ms(&t), 10);
	timers_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_fires_in_order, set_up),
		cmocka_unit_test_setup(test_ties_keep_the_order_of_setting, set_up),
		cmocka_unit_test_setup(test_set_while_firing_waits, set_up),
		cmocka_unit_test_setup(test_set_into_the_past_starves_nobody, set_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
