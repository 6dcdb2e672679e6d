/* A thread with a mailbox: everything posted arrives once and in order, in batches of at most so many; what comes after
 * the end is freed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdatomic.h>
#include <cmocka.h>
#include "base/fault.h"
#include "base/io/mailbox.h"
#include "base/io/thread.h"
#include "base/mem.h"

enum { LAST = -1, MESSAGES = 5000, BATCH = 16 };

struct number {
	struct mail mail;
	int number;
	atomic_int *freed;
};

/* The thread's until it is joined. */
struct seen {
	int next, largest_batch;
	atomic_int freed, freed_late; /* on whichever side they end */
	bool signals_are_blocked;
};

static void free_number(struct mail *m)
{
	struct number *n = container_of(m, struct number, mail);
	atomic_fetch_add(n->freed, 1);
	free(n);
}

static bool post(struct thread *t, int number, atomic_int *freed)
{
	struct number *n = mem_new(struct number);
	n->mail.free = free_number;
	n->number = number;
	n->freed = freed;
	return thread_post(t, &n->mail);
}

static bool take(void *arg, struct mail *batch)
{
	struct seen *seen = arg;
	int size = 0;
	bool more = true;
	sigset_t blocked;
	seen->signals_are_blocked =
		pthread_sigmask(SIG_SETMASK, NULL, &blocked) == 0 && sigismember(&blocked, SIGTERM) == 1;
	while (batch) {
		struct mail *next = batch->next;
		struct number *n = container_of(batch, struct number, mail);
		if (n->number == LAST)
			more = false;
		else if (n->number == seen->next)
			seen->next++;
		batch->free(batch);
		batch = next;
		size++;
	}
	if (size > seen->largest_batch)
		seen->largest_batch = size;
	return more;
}

static void test_in_order_and_bounded(void **arg)
{
	(void)arg;
	struct seen seen = {.next = 0};
	struct thread *t = NULL;
	assert_null(thread_start("test", BATCH, take, &seen, &t));
	for (int i = 0; i < MESSAGES; i++)
		assert_true(post(t, i, &seen.freed));
	assert_true(post(t, LAST, &seen.freed));
	int taken = 0;
	while (post(t, 1000000, &seen.freed_late)) /* until it has ended: then refused */
		taken++;
	assert_int_equal(thread_backlog(t), 0);
	thread_join(t);
	assert_int_equal(seen.next, MESSAGES);
	assert_int_equal(seen.freed, MESSAGES + 1);
	assert_int_equal(seen.freed_late, taken + 1); /* none is lost */
	assert_true(seen.largest_batch > 0 && seen.largest_batch <= BATCH);
	assert_true(seen.signals_are_blocked);
}

static void test_sleeps_until_it_is_rung(void **arg)
{
	(void)arg;
	struct seen seen = {.next = 0};
	struct thread *t = NULL;
	assert_null(thread_start("test", BATCH, take, &seen, &t));
	assert_int_equal(thread_backlog(t), 0);
	assert_true(post(t, LAST, &seen.freed));
	thread_join(t);
	assert_int_equal(seen.freed, 1);
	thread_join(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_order_and_bounded),
		cmocka_unit_test(test_sleeps_until_it_is_rung),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
