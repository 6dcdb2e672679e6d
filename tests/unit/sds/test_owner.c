/* tests/unit/sds/test_owner.c - what one identity may have is divided by its connections, on one worker and on several:
 * who has much is stopped first, and who has nothing still gets something. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/attr.h"
#include "sds_rig.h"

enum { RESOURCE_EXHAUSTED = 8, STREAMS = 40, MANY = 60, PEERS = 4 };
static const char *const everything[] = {"**", NULL};

struct peer {
	struct rpc_client *c;
	struct rpc_stream *s[MANY];
	size_t count, answered, refused;
};

static struct rig *start(unsigned workers, const struct sds_limits *l)
{
	struct rig *r = rig_make_limited(workers, everything, l);
	rig_start(r);
	rig_publish(r, "roots", NULL);
	rig_settle(r);
	return r;
}

static void open_streams(struct peer *p, size_t count)
{
	for (; count; count--) {
		p->s[p->count] = rpc_stream_open(p->c, RIG_STREAM_SECRETS);
		rig_ask(p->s[p->count++], &(struct xds_ask){.node_id = "n", .names = {"roots"}});
	}
}

static bool is_decided(void *arg)
{
	struct peer *p = arg;
	AUTO(buf_free) struct buf bytes = BUF_INIT;
	size_t n = p->answered + p->refused;
	if (rpc_stream_take(p->s[n], &bytes)) {
		p->answered++;
	} else if (rpc_stream_ended(p->s[n])) {
		assert_int_equal(rpc_stream_status(p->s[n]), RESOURCE_EXHAUSTED);
		assert_non_null(strstr(rpc_stream_status_text(p->s[n]), "limits.streams_per_identity"));
		p->refused++;
	}
	return p->answered + p->refused == p->count;
}

static void decide(struct rig *r, struct peer *p)
{
	rig_until(r, p->c, is_decided, p);
}

static void hang_up(struct peer *p)
{
	for (size_t i = 0; i < p->count; i++)
		rpc_stream_free(p->s[i]);
	rpc_client_close(p->c);
}

static bool nothing_is_open(void *arg)
{
	return sds_server_counts(((struct rig *)arg)->server).streams == 0;
}

static void test_streams_on_one_worker(void **state)
{
	struct sds_limits l = rig_limits();
	(void)state;
	l.streams_per_identity = STREAMS;
	struct rig *r = start(1, &l);
	struct peer greedy = {.c = rig_dial(r)}, modest = {.c = rig_dial(r)}, again = {.c = rig_dial(r)};
	open_streams(&greedy, MANY);
	decide(r, &greedy);
	assert_int_equal(greedy.answered, STREAMS * 7 / 8);
	assert_true(rig_counted_limit(r, "streams_per_identity"));
	open_streams(&modest, 3);
	decide(r, &modest);
	assert_int_equal(modest.answered, 3);
	/* Those that were refused, and those that have gone, hold no place. */
	hang_up(&greedy);
	hang_up(&modest);
	rig_until(r, NULL, nothing_is_open, r);
	open_streams(&again, STREAMS * 7 / 8);
	decide(r, &again);
	assert_int_equal(again.refused, 0);
	hang_up(&again);
	rig_free(r);
}

static bool few_are_open(void *arg)
{
	return sds_server_counts(((struct rig *)arg)->server).streams <= STREAMS / PEERS + 1;
}

/* The acceptor gives each worker one of them. */
static void test_streams_on_all_workers(void **state)
{
	struct sds_limits l = rig_limits();
	struct peer p[PEERS];
	size_t answered = 0;
	(void)state;
	l.streams_per_identity = STREAMS;
	struct rig *r = start(PEERS, &l);
	for (size_t i = 0; i < PEERS; i++) {
		p[i] = (struct peer){.c = rig_dial(r)};
		open_streams(&p[i], 1);
		decide(r, &p[i]);
		assert_int_equal(p[i].answered, 1);
	}
	for (int i = 0; i < 3; i++) /* workers to control, and back */
		rig_settle(r);
	for (size_t i = 0; i < PEERS; i++) {
		open_streams(&p[i], MANY - 1);
		decide(r, &p[i]);
		assert_in_range(p[i].answered, STREAMS / PEERS / 2, STREAMS / PEERS + 1);
		answered += p[i].answered;
	}
	assert_in_range(answered, STREAMS / 2, STREAMS + PEERS);
	/* When the others have gone, the last one may have what they had. */
	for (size_t i = 1; i < PEERS; i++)
		hang_up(&p[i]);
	rig_until(r, p[0].c, few_are_open, r);
	for (int i = 0; i < 3; i++)
		rig_settle(r);
	struct peer more = {.c = p[0].c};
	open_streams(&more, STREAMS / 2);
	decide(r, &more);
	assert_int_equal(more.refused, 0);
	for (size_t i = 0; i < more.count; i++)
		rpc_stream_free(more.s[i]);
	hang_up(&p[0]);
	rig_free(r);
}

static void subscribe(struct rpc_stream *s, const char *const *names, size_t count)
{
	struct xds_ask ask = {.delta = true, .node_id = "n"};
	memcpy(ask.names, names, count * sizeof *names);
	rig_ask(s, &ask);
}

/* Of the eight names with this prefix. */
static size_t count_wanted(const struct rig *r, char prefix)
{
	char name[4];
	size_t n = 0;
	for (size_t i = 0; i < 8; i++) {
		(void)snprintf(name, sizeof name, "%c%zu", prefix, i);
		n += rig_find_report(r, 0, name, REPORT_WANTED) != NULL;
	}
	return n;
}

/* Asks for eight names that start with prefix; all are answered as unknown. Returns how many were new to control. */
static size_t ask_for_eight(struct rig *r, struct rpc_client *c, struct rpc_stream *s, char prefix)
{
	char names[8][4];
	const char *list[8];
	struct xds_answer a;
	for (size_t i = 0; i < 8; i++) {
		(void)snprintf(names[i], sizeof names[i], "%c%zu", prefix, i);
		list[i] = names[i];
	}
	subscribe(s, list, 8);
	for (size_t i = 0; i < 8; i++) {
		rig_receive(r, c, s, true, &a);
		assert_int_equal(a.removed_count, 1);
	}
	rig_settle(r);
	return count_wanted(r, prefix);
}

static void test_new_names(void **state)
{
	static const char *const known[] = {"roots"};
	struct sds_limits l = rig_limits();
	struct xds_answer a;
	(void)state;
	l.new_names_per_connection = 5;
	l.new_names_per_identity = 7;
	struct rig *r = start(1, &l);
	struct rpc_client *one = rig_dial(r), *two = rig_dial(r);
	struct rpc_stream *s = rpc_stream_open(one, RIG_DELTA_SECRETS), *t = rpc_stream_open(two, RIG_DELTA_SECRETS);
	assert_int_equal(ask_for_eight(r, one, s, 'a'), 5);
	assert_true(rig_counted_limit(r, "new_names_per_connection"));
	/* What is known costs nothing, and so does a name that it has asked for already. */
	subscribe(s, known, 1);
	rig_receive(r, one, s, true, &a);
	assert_int_equal(a.count, 1);
	assert_int_equal(ask_for_eight(r, two, t, 'b'), 2);
	assert_true(rig_counted_limit(r, "new_names_per_identity"));
	/* They come back with time, and not with another connection. */
	rpc_stream_free(t);
	rpc_client_close(two);
	rpc_stream_free(s);
	rpc_client_close(one);
	rig_until(r, NULL, nothing_is_open, r);
	one = rig_dial(r);
	s = rpc_stream_open(one, RIG_DELTA_SECRETS);
	assert_int_equal(ask_for_eight(r, one, s, 'c'), 0);
	/* Those that were refused come up again by themselves, at the latest when they are offered anew. */
	rig_skip(r, 11 * 60 * 1000);
	(void)rig_wait_report(r, one, 0, "c4", REPORT_WANTED);
	assert_int_equal(count_wanted(r, 'c'), 5);
	rpc_stream_free(s);
	rpc_client_close(one);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams_on_one_worker),
		cmocka_unit_test(test_streams_on_all_workers),
		cmocka_unit_test(test_new_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
