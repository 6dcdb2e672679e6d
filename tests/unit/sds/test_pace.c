/* tests/unit/sds/test_pace.c - what comes faster than it is read waits: it is not refused, and delays nobody else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>
#include "base/attr.h"
#include "sds_rig.h"

/* At one per second, five at once, the last of them would wait longer than any test. */
enum { MANY = 60, AT_ONCE = 5 };
static const char *const everything[] = {"**", NULL};

static struct rig *start(size_t streams_per_second, size_t requests_per_second)
{
	struct sds_limits l = rig_limits();
	l.streams_per_second = streams_per_second;
	l.requests_per_second = requests_per_second;
	struct rig *r = rig_make_limited(1, everything, &l);
	rig_start(r);
	rig_publish(r, "roots", NULL);
	return r;
}

static struct rpc_stream *subscribe(struct rpc_client *c, const char *name)
{
	struct rpc_stream *s = rpc_stream_open(c, RIG_STREAM_SECRETS);
	rig_ask(s, &(struct xds_ask){.node_id = "n", .names = {name}});
	return s;
}

static void assert_another_is_served(struct rig *r)
{
	struct rpc_client *c = rig_dial(r);
	struct xds_answer a;
	struct rpc_stream *s = subscribe(c, "roots");
	rig_receive(r, c, s, false, &a);
	rpc_stream_free(s);
	rpc_client_close(c);
}

/* The first five are answered. */
static void subscribe_all(struct rig *r, struct rpc_client *c, struct rpc_stream *s[MANY])
{
	struct xds_answer a;
	for (size_t i = 0; i < MANY; i++) {
		s[i] = subscribe(c, "roots");
		if (i == 0) /* until it is connected, a client does not keep their order */
			rig_receive(r, c, s[i], false, &a);
	}
	for (size_t i = 1; i < AT_ONCE; i++)
		rig_receive(r, c, s[i], false, &a);
}

static bool has_come(struct rpc_stream *s)
{
	AUTO(buf_free) struct buf bytes = BUF_INIT;
	return rpc_stream_take(s, &bytes);
}

static void test_new_streams_wait(void **state)
{
	(void)state;
	struct rig *r = start(1, 1000);
	struct rpc_client *c = rig_dial(r);
	struct rpc_stream *s[MANY];
	struct xds_answer a;
	subscribe_all(r, c, s);
	assert_another_is_served(r);
	assert_false(has_come(s[MANY - 1]));
	assert_true(rig_counted_limit(r, "streams_per_second"));
	/* Longer than a silent stream may be: but it is we who do not listen. All are served, in their order. */
	for (size_t i = AT_ONCE; i < MANY; i++) {
		rig_skip(r, 3000);
		rig_receive(r, c, s[i], false, &a);
	}
	for (size_t i = 0; i < MANY; i++)
		rpc_stream_free(s[i]);
	rpc_client_close(c);
	rig_free(r);
}

static bool requests_wait(void *arg)
{
	return rig_counted_limit(arg, "requests_per_second");
}

static void test_requests_wait(void **state)
{
	(void)state;
	struct rig *r = start(1000, 1);
	struct rpc_client *c = rig_dial(r);
	struct xds_answer a;
	char name[16];
	struct rpc_stream *s = subscribe(c, "roots");
	rig_receive(r, c, s, false, &a);
	rig_ask(s, &(struct xds_ask){.nonce = a.nonce, .version = a.version, .names = {"roots"}});
	for (int i = 0; i < MANY; i++) {
		(void)snprintf(name, sizeof name, "n%d", i);
		rig_ask(s, &(struct xds_ask){.names = {"roots", name}});
	}
	rig_until(r, c, requests_wait, r);
	assert_another_is_served(r);
	assert_null(rig_find_report(r, 0, "n59", REPORT_WANTED));
	/* What is sent does not wait. */
	rig_publish(r, "roots", NULL);
	rig_receive(r, c, s, false, &a);
	assert_null(rig_find_report(r, 0, "n59", REPORT_WANTED));
	for (int i = 0; i < 2 * MANY; i++) /* each is a request and a new name */
		rig_skip(r, 1500);
	(void)rig_wait_report(r, c, 0, "n59", REPORT_WANTED);
	rpc_stream_free(s);
	rpc_client_close(c);
	rig_free(r);
}

static bool identity_waits(void *arg)
{
	return rig_counted_limit(arg, "streams_per_second_per_identity");
}

/* What one of its connections has taken, another one of the same identity does not get. */
static void test_streams_of_an_identity_wait(void **state)
{
	struct sds_limits l = rig_limits();
	struct rpc_stream *first[AT_ONCE], *s[MANY];
	struct xds_answer a;
	(void)state;
	l.streams_per_second_per_identity = 1;
	struct rig *r = rig_make_limited(1, everything, &l);
	rig_start(r);
	rig_publish(r, "roots", NULL);
	struct rpc_client *c = rig_dial(r), *other = rig_dial(r);
	for (size_t i = 0; i < AT_ONCE; i++) {
		first[i] = subscribe(c, "roots");
		rig_receive(r, c, first[i], false, &a);
	}
	rig_skip(r, 3000); /* for one of the other's, so that it is connected */
	for (size_t i = 0; i < MANY; i++) {
		s[i] = subscribe(other, "roots");
		if (i == 0)
			rig_receive(r, other, s[i], false, &a);
	}
	rig_until(r, other, identity_waits, r);
	assert_false(rig_counted_limit(r, "streams_per_second"));
	for (size_t i = 1; i < MANY; i++) {
		rig_skip(r, 3000);
		rig_receive(r, other, s[i], false, &a);
	}
	for (size_t i = 0; i < AT_ONCE; i++)
		rpc_stream_free(first[i]);
	for (size_t i = 0; i < MANY; i++)
		rpc_stream_free(s[i]);
	rpc_client_close(c);
	rpc_client_close(other);
	rig_free(r);
}

static bool nothing_is_open(void *arg)
{
	return sds_server_counts(((struct rig *)arg)->server).streams == 0;
}

/* Those who wait and go, in the middle of the line and with their connection, leave it. */
static void test_leaving_the_line(void **state)
{
	(void)state;
	struct rig *r = start(1, 1000);
	struct rpc_client *c = rig_dial(r);
	struct rpc_stream *s[MANY];
	struct xds_answer a;
	subscribe_all(r, c, s);
	for (size_t i = 0; i < MANY - 1; i++)
		rpc_stream_free(s[i]);
	rig_skip(r, 3000);
	rig_receive(r, c, s[MANY - 1], false, &a);
	rpc_stream_free(s[MANY - 1]);
	rig_until(r, c, nothing_is_open, r);
	for (size_t i = 0; i < MANY; i++)
		s[i] = subscribe(c, "roots");
	rpc_client_turn(c, 1);
	rig_settle(r);
	for (size_t i = 0; i < MANY; i++)
		rpc_stream_free(s[i]);
	rpc_client_close(c);
	rig_until(r, NULL, nothing_is_open, r);
	rig_free(r);
}

static bool is_drained(void *arg)
{
	return ((struct rig *)arg)->drained;
}

static void test_drain_while_some_wait(void **state)
{
	(void)state;
	struct rig *r = start(1, 1000);
	struct rpc_client *c = rig_dial(r);
	struct rpc_stream *s[MANY];
	subscribe_all(r, c, s);
	rig_drain(r, 500);
	for (size_t i = AT_ONCE; i < MANY; i++)
		assert_int_equal(rig_wait_end(r, c, s[i]), 14);
	rig_until(r, c, is_drained, r);
	for (size_t i = 0; i < MANY; i++)
		rpc_stream_free(s[i]);
	rpc_client_close(c);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_new_streams_wait),
		cmocka_unit_test(test_requests_wait),
		cmocka_unit_test(test_streams_of_an_identity_wait),
		cmocka_unit_test(test_leaving_the_line),
		cmocka_unit_test(test_drain_while_some_wait),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
