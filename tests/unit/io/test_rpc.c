/* tests/unit/io/test_rpc.c - the queue and its bell, together with a mailbox as workers use them (design: invariant 7).
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/io/mailbox.h"
#include "base/io/rpc.h"
#include "base/mem.h"

enum { THREADS = 4, POSTS = 5000 };

struct number {
	struct mail mail;
	int thread, value;
};

static void free_number(struct mail *m)
{
	free(container_of(m, struct number, mail));
}

struct poster {
	struct mailbox *box;
	int thread, refused;
};

static void post(struct poster *p, int value)
{
	struct number *n = mem_new(struct number);
	n->mail.free = free_number;
	n->thread = p->thread;
	n->value = value;
	p->refused += !mailbox_post(p->box, &n->mail);
}

static void *post_all(void *arg)
{
	for (int i = 0; i < POSTS; i++)
		post(arg, i);
	return NULL;
}

static int drain(struct mailbox *b, int next[THREADS])
{
	int count = 0;
	struct mail *m = mailbox_drain(b, 0), *following;
	for (; m; m = following, count++) {
		const struct number *n = container_of(m, struct number, mail);
		following = m->next;
		assert_int_equal(n->value, next[n->thread]);
		next[n->thread]++;
		free_number(m);
	}
	return count;
}

/* Nothing is lost and each thread's order is kept, however the rings fall. */
static void test_every_post_arrives(void **state)
{
	(void)state;
	struct rpc_queue *q = rpc_queue_new();
	struct mailbox *b = mailbox_new(rpc_queue_ring, q);
	pthread_t threads[THREADS];
	struct poster posters[THREADS];
	int next[THREADS] = {0}, got = 0;
	for (int i = 0; i < THREADS; i++) {
		posters[i] = (struct poster){b, i, 0};
		assert_int_equal(pthread_create(&threads[i], NULL, post_all, &posters[i]), 0);
	}
	while (got < THREADS * POSTS) {
		struct rpc_op *op;
		bool ok;
		assert_int_equal(rpc_queue_next(q, 20000, &op, &ok), RPC_EVENT_BELL);
		got += drain(b, next);
	}
	for (int i = 0; i < THREADS; i++)
		(void)pthread_join(threads[i], NULL);
	mailbox_free(b);
	rpc_queue_shutdown(q);
	struct rpc_op *op;
	bool ok;
	while (rpc_queue_next(q, 20000, &op, &ok) != RPC_EVENT_SHUTDOWN)
		;
	rpc_queue_free(q);
}

/* A ring after the queue's shutdown aborts the process: posts that race with the end must not ring. */
static void test_posts_race_with_the_end(void **state)
{
	(void)state;
	for (int round = 0; round < 50; round++) {
		struct rpc_queue *q = rpc_queue_new();
		struct mailbox *b = mailbox_new(rpc_queue_ring, q);
		struct poster p = {b, 0, 0};
		struct rpc_op *op;
		pthread_t thread;
		bool ok;
		int next[THREADS] = {0};
		assert_int_equal(pthread_create(&thread, NULL, post_all, &p), 0);
		assert_int_equal(rpc_queue_next(q, 20000, &op, &ok), RPC_EVENT_BELL);
		(void)drain(b, next);
		mailbox_close(b);
		rpc_queue_shutdown(q);
		while (rpc_queue_next(q, 20000, &op, &ok) != RPC_EVENT_SHUTDOWN)
			;
		(void)pthread_join(thread, NULL);
		post(&p, POSTS);
		assert_true(p.refused > 0);
		mailbox_free(b);
		rpc_queue_free(q);
	}
}

static void test_time_passes(void **state)
{
	(void)state;
	struct rpc_queue *q = rpc_queue_new();
	struct rpc_op *op;
	bool ok;
	assert_int_equal(rpc_queue_next(q, 1, &op, &ok), RPC_EVENT_TIMEOUT);
	rpc_queue_shutdown(q);
	assert_int_equal(rpc_queue_next(q, -1, &op, &ok), RPC_EVENT_SHUTDOWN);
	rpc_queue_free(q);
}

static int set_up(void **state)
{
	(void)state;
	grpc_init();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	grpc_shutdown_blocking();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_post_arrives),
		cmocka_unit_test(test_posts_race_with_the_end),
		cmocka_unit_test(test_time_passes),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
