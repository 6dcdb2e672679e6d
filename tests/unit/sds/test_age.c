/* tests/unit/sds/test_age.c - the life of connections: they go at an age, and thousands of streams come at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/mem.h"
#include "sds_rig.h"

enum { UNAVAILABLE = 14, STREAMS = 20, STORM_CONNECTIONS = 5, STORM_STREAMS = 1000 };
static const char *const everything[] = {"**", NULL};

static struct rpc_stream *subscribe(struct rpc_client *c, const char *name)
{
	struct rpc_stream *s = rpc_stream_open(c, RIG_STREAM_SECRETS);
	rig_ask(s, &(struct xds_ask){.node_id = "n", .names = {name}});
	return s;
}

/* One second, and a fifth of a second more for this connection; by GOAWAY its client knows to come again on another. */
static void test_old_connection_goes(void **state)
{
	struct sds_limits l = rig_limits();
	struct xds_answer a;
	struct rpc_stream *s[STREAMS];
	(void)state;
	l.connection_age_ms = 1000;
	l.connection_age_grace_ms = 500;
	struct rig *r = rig_make_limited(1, everything, &l);
	rig_start(r);
	rig_publish(r, "roots", NULL);
	struct rpc_client *c = rig_dial(r);
	for (size_t i = 0; i < STREAMS; i++) {
		s[i] = subscribe(c, "roots");
		rig_receive(r, c, s[i], false, &a);
	}
	for (size_t i = 0; i < STREAMS; i++) {
		assert_int_equal(rig_wait_end(r, c, s[i]), UNAVAILABLE);
		assert_non_null(strstr(rpc_stream_status_text(s[i]), "limits.connection_age"));
	}
	assert_true(rig_counted_limit(r, "connection_age"));
	struct rpc_stream *again = subscribe(c, "roots");
	rig_receive(r, c, again, false, &a);
	for (size_t i = 0; i < STREAMS; i++)
		rpc_stream_free(s[i]);
	rpc_stream_free(again);
	rpc_client_close(c);
	rig_free(r);
}

static void test_age_that_is_owed_an_answer(void **state)
{
	struct sds_limits l = rig_limits();
	struct xds_answer a;
	(void)state;
	l.connection_age_ms = 500;
	l.connection_age_grace_ms = 3600000;
	struct rig *r = rig_make_limited(1, everything, &l);
	rig_start(r);
	rig_publish(r, "roots", NULL);
	rig_issue(r, "leaf");
	struct rpc_client *c = rig_dial(r);
	struct rpc_stream *owed = subscribe(c, "leaf"), *other = subscribe(c, "roots");
	rig_receive(r, c, other, false, &a);
	(void)rig_wait_report(r, c, 0, "leaf", REPORT_WANTED);
	while (!rig_counted_limit(r, "connection_age"))
		rig_turn(r, c);
	/* The turn of both has come and gone, but not the end of the grace. */
	rig_skip(r, 3600000 / 5 * 4 - 60000);
	rig_skip(r, 30000);
	assert_false(rpc_stream_ended(owed));
	rig_publish(r, "leaf", NULL);
	rig_receive(r, c, owed, false, &a);
	rig_skip(r, 60000);
	assert_int_equal(rig_wait_end(r, c, owed), UNAVAILABLE);
	assert_int_equal(rig_wait_end(r, c, other), UNAVAILABLE);
	rpc_stream_free(owed);
	rpc_stream_free(other);
	rpc_client_close(c);
	rig_free(r);
}

static bool has_all(void *arg)
{
	struct rpc_stream **s = arg;
	AUTO(buf_free) struct buf bytes = BUF_INIT;
	return rpc_stream_take(*s, &bytes);
}

/* As after a restart: everybody at once, with new connections. Each is answered. */
static void test_storm(void **state)
{
	(void)state;
	struct rig *r = rig_new(1, everything);
	struct rpc_client *c[STORM_CONNECTIONS];
	struct rpc_stream **s = mem_array(struct rpc_stream *, STORM_CONNECTIONS * STORM_STREAMS);
	rig_publish(r, "roots", NULL);
	for (size_t i = 0; i < STORM_CONNECTIONS; i++)
		c[i] = rig_dial(r);
	for (size_t n = 0; n < STORM_CONNECTIONS * STORM_STREAMS; n++)
		s[n] = subscribe(c[n % STORM_CONNECTIONS], "roots");
	for (size_t n = 0; n < STORM_CONNECTIONS * STORM_STREAMS; n++)
		rig_until(r, c[n % STORM_CONNECTIONS], has_all, &s[n]);
	assert_int_equal(sds_server_counts(r->server).streams, STORM_CONNECTIONS * STORM_STREAMS);
	for (size_t n = 0; n < STORM_CONNECTIONS * STORM_STREAMS; n++)
		rpc_stream_free(s[n]);
	for (size_t i = 0; i < STORM_CONNECTIONS; i++)
		rpc_client_close(c[i]);
	free(s);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_old_connection_goes),
		cmocka_unit_test(test_age_that_is_owed_an_answer),
		cmocka_unit_test(test_storm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
