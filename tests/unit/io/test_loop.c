#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/io/loop.h"
#include "certs.h"

static struct loop *loop;
static int fired[16];
static size_t count;
static struct timer *victim;

static int open_loop(void **state)
{
	(void)state;
	count = 0;
	victim = NULL;
	expect_ok(loop_new(clock_system(), &loop));
	return 0;
}

static int forget(void **state)
{
	(void)state;
	count = 0;
	return 0;
}

static int close_loop(void **state)
{
	(void)state;
	loop_free(loop);
	return 0;
}

static void note(void *arg)
{
	fired[count++] = *(int *)arg;
}

static void note_and_free_victim(void *arg)
{
	note(arg);
	timer_free(victim);
	victim = NULL;
}

static void timers_fire_once_in_order(void **state)
{
	(void)state;
	int one = 1, two = 2, three = 3, four = 4;
	struct timer *a = timer_new(loop, note, &one), *b = timer_new(loop, note, &two),
		     *c = timer_new(loop, note, &three), *d = timer_new(loop, note, &four);
	timer_start(a, 5);
	timer_start(b, 0);
	timer_start(c, -100); /* at once, too */
	timer_start(d, 1);
	timer_start(a, 2); /* moved */
	timer_start(d, 100000);
	timer_stop(d);
	loop_run(loop); /* ends: nothing is left to wait for */
	assert_int_equal(count, 3);
	assert_int_equal(fired[0], 2);
	assert_int_equal(fired[1], 3);
	assert_int_equal(fired[2], 1);
	timer_start(a, 0); /* again */
	loop_run(loop);
	assert_int_equal(count, 4);
	timer_free(a);
	timer_free(b);
	timer_free(c);
	timer_free(d);
	timer_free(NULL);
}

static void a_freed_timer_does_not_fire(void **state)
{
	(void)state;
	int one = 1, two = 2;
	struct timer *a = timer_new(loop, note_and_free_victim, &one);
	victim = timer_new(loop, note, &two);
	timer_start(a, 0);
	timer_start(victim, 0); /* due in the same turn, behind it */
	loop_run(loop);
	assert_int_equal(count, 1);
	timer_free(a);
}

static int64_t slept_ms;

static int64_t sleepy_wall(void *arg)
{
	(void)arg;
	return clock_wall_ms(clock_system()) + slept_ms;
}

static int64_t sleepy_mono(void *arg)
{
	(void)arg;
	return clock_mono_ms(clock_system()) + slept_ms;
}

/* The machine was suspended for an hour: libuv did not see it pass, CLOCK_BOOTTIME did. */
static void timers_go_on_through_a_suspend(void **state)
{
	(void)state;
	static const struct clock sleepy = {sleepy_wall, sleepy_mono, NULL};
	int one = 1, two = 2, three = 3;
	slept_ms = 0;
	expect_ok(loop_new(&sleepy, &loop));
	struct timer *overdue = timer_new(loop, note, &one), *later = timer_new(loop, note, &two),
		     *stopped = timer_new(loop, note, &three);
	timer_start(overdue, 50 * MS_PER_MIN);
	timer_start(later, 130 * MS_PER_MIN);
	timer_start(stopped, MS_PER_MIN);
	timer_stop(stopped);
	assert_int_equal(loop_catch_up(loop), 0);
	slept_ms = MS_PER_HOUR;
	assert_in_range(loop_catch_up(loop), MS_PER_HOUR - MS_PER_S, MS_PER_HOUR + MS_PER_MIN);
	(void)loop_turn(loop, false);
	assert_int_equal(count, 1);
	assert_int_equal(fired[0], 1);
	assert_int_equal(loop_catch_up(loop), 0); /* once for each sleep */
	(void)loop_turn(loop, false);
	assert_int_equal(count, 1);
	slept_ms += 71 * MS_PER_MIN; /* both together are more than it waits for */
	assert_true(loop_catch_up(loop) >= 70 * MS_PER_MIN);
	(void)loop_turn(loop, false);
	assert_int_equal(count, 2);
	assert_int_equal(fired[1], 2);
	slept_ms = 0; /* no clock that is right goes back: nothing comes of it */
	assert_int_equal(loop_catch_up(loop), 0);
	timer_free(overdue);
	timer_free(later);
	timer_free(stopped);
	loop_free(loop);
}

static void stop(void *arg)
{
	note(arg);
	loop_stop(loop);
}

static void is_stopped(void **state)
{
	(void)state;
	int one = 1, two = 2;
	struct timer *a = timer_new(loop, stop, &one), *b = timer_new(loop, note, &two);
	timer_start(a, 0);
	timer_start(b, 100000);
	loop_run(loop);
	assert_int_equal(count, 1);
	assert_true(loop_turn(loop, false));
	assert_ptr_equal(loop_clock(loop), clock_system());
	timer_free(a);
	timer_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(timers_fire_once_in_order, open_loop, close_loop),
		cmocka_unit_test_setup_teardown(a_freed_timer_does_not_fire, open_loop, close_loop),
		cmocka_unit_test_setup_teardown(is_stopped, open_loop, close_loop),
		cmocka_unit_test_setup(timers_go_on_through_a_suspend, forget),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
