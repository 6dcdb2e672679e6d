#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include "base/attr.h"
#include "base/clock.h"
#include "base/io/job.h"
#include "base/io/loop.h"
#include "base/mem.h"
#include "certs.h"

static struct loop *loop;
static struct jobs *jobs;

static int open_all(void **state)
{
	(void)state;
	expect_ok(loop_new(clock_system(), &loop));
	jobs = jobs_new(loop);
	return 0;
}

static int close_all(void **state)
{
	(void)state;
	jobs_free(jobs);
	loop_free(loop);
	return 0;
}

static atomic_int running, most_running;
static int order[32];
static size_t done_count;

struct work {
	int number;
	pthread_t worked_on;
	bool worked, done;
};

static void work(void *arg)
{
	struct work *w = arg;
	int now = atomic_fetch_add(&running, 1) + 1, most = atomic_load(&most_running);
	while (now > most && !atomic_compare_exchange_weak(&most_running, &most, now))
		;
	w->worked_on = pthread_self();
	w->worked = true;
	for (volatile int i = 0; i < 200000; i++) /* long enough that a third would be seen beside */
		;
	atomic_fetch_sub(&running, 1);
}

static void on_done(void *arg)
{
	struct work *w = arg;
	loop_assert(loop);
	assert_true(w->worked);
	assert_false(w->done);
	w->done = true;
	order[done_count++] = w->number;
}

static void runs_elsewhere_and_ends_here(void **state)
{
	(void)state;
	struct work w[8] = {{0}};
	done_count = 0;
	for (int i = 0; i < 8; i++) {
		w[i].number = i;
		jobs_run(jobs, false, work, on_done, &w[i]);
		assert_false(w[i].done);
	}
	assert_int_equal(jobs_pending(jobs), 8);
	loop_run(loop);
	assert_int_equal(jobs_pending(jobs), 0);
	assert_int_equal(done_count, 8);
	for (int i = 0; i < 8; i++)
		assert_false(pthread_equal(w[i].worked_on, pthread_self()));
}

/* Slow ones: two at a time. */
static void slow_ones_have_two_lanes(void **state)
{
	(void)state;
	struct work w[20] = {{0}};
	done_count = 0;
	atomic_store(&most_running, 0);
	for (int i = 0; i < 20; i++) {
		w[i].number = i;
		jobs_run(jobs, true, work, on_done, &w[i]);
	}
	loop_run(loop);
	assert_int_equal(done_count, 20);
	assert_in_range(atomic_load(&most_running), 1, JOB_SLOW_MAX);
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

static void wait_at_gate(void *arg)
{
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
	((struct work *)arg)->worked = true;
}

static void open_gate(void *arg)
{
	on_done(arg);
	pthread_mutex_unlock(&gate);
}

static void a_quick_one_passes_slow_ones(void **state)
{
	(void)state;
	struct work slow[4] = {{0}}, quick = {.number = 9};
	done_count = 0;
	pthread_mutex_lock(&gate);
	for (int i = 0; i < 4; i++)
		jobs_run(jobs, true, wait_at_gate, on_done, &slow[i]);
	jobs_run(jobs, false, work, open_gate, &quick); /* hangs where slow ones fill the pool */
	loop_run(loop);
	assert_int_equal(done_count, 5);
	assert_int_equal(order[0], 9);
}

static void open_gate_after_nine(void *arg)
{
	on_done(arg);
	if (done_count == 9)
		pthread_mutex_unlock(&gate);
}

/* One lane is taken; the other one takes them in order. */
static void slow_ones_wait_in_order(void **state)
{
	(void)state;
	struct work w[10] = {{0}};
	done_count = 0;
	pthread_mutex_lock(&gate);
	jobs_run(jobs, true, wait_at_gate, on_done, &w[0]);
	for (int i = 1; i < 10; i++) {
		w[i].number = i;
		jobs_run(jobs, true, work, open_gate_after_nine, &w[i]);
	}
	loop_run(loop);
	assert_int_equal(done_count, 10);
	for (int i = 0; i < 9; i++)
		assert_int_equal(order[i], i + 1);
	assert_int_equal(order[9], 0);
}

static void run_another(void *arg)
{
	struct work *w = arg;
	on_done(w);
	if (w->number == 0)
		jobs_run(jobs, true, work, on_done, w + 1);
}

static void one_that_ends_may_begin_another(void **state)
{
	(void)state;
	struct work w[2] = {{.number = 0}, {.number = 1}};
	done_count = 0;
	jobs_run(jobs, true, work, run_another, &w[0]);
	loop_run(loop);
	assert_int_equal(done_count, 2);
	assert_true(w[1].done);
}

static void free_jobs(void *arg)
{
	on_done(arg);
	assert_int_equal(jobs_pending(jobs), 0);
	jobs_free(jobs);
	jobs = NULL;
}

static void the_last_one_may_free_the_jobs(void **state)
{
	(void)state;
	struct work w = {.number = 1};
	done_count = 0;
	jobs_run(jobs, false, work, free_jobs, &w);
	loop_run(loop);
	assert_true(w.done);
	assert_null(jobs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(runs_elsewhere_and_ends_here, open_all, close_all),
		cmocka_unit_test_setup_teardown(slow_ones_have_two_lanes, open_all, close_all),
		cmocka_unit_test_setup_teardown(slow_ones_wait_in_order, open_all, close_all),
		cmocka_unit_test_setup_teardown(a_quick_one_passes_slow_ones, open_all, close_all),
		cmocka_unit_test_setup_teardown(one_that_ends_may_begin_another, open_all, close_all),
		cmocka_unit_test_setup_teardown(the_last_one_may_free_the_jobs, open_all, close_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
