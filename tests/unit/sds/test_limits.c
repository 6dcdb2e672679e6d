/* tests/unit/sds/test_limits.c - what a peer can ask of us is bounded, and others are served meanwhile. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/mem.h"
#include "h2_flood.h"
#include "sds_rig.h"

enum { INVALID_ARGUMENT = 3, RESOURCE_EXHAUSTED = 8, UNIMPLEMENTED = 12 };
static const char *const everything[] = {"**", NULL};

struct fixture {
	struct rig *r;
	struct rpc_client *c;
};

static int set_up(void **state)
{
	struct fixture *f = mem_new(struct fixture);
	f->r = rig_new(1, everything);
	f->c = rig_dial(f->r);
	rig_publish(f->r, "roots", NULL);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	rpc_client_close(f->c);
	rig_free(f->r);
	free(f);
	return 0;
}

/* On the same connection, after whatever the test did. */
static void assert_others_are_served(struct fixture *f)
{
	struct rpc_stream *s = rpc_stream_open(f->c, RIG_STREAM_SECRETS);
	struct xds_answer a;
	rig_ask(s, &(struct xds_ask){.node_id = "n", .names = {"roots"}});
	rig_receive(f->r, f->c, s, false, &a);
	assert_int_equal(a.count, 1);
	rpc_stream_free(s);
}

static void assert_ends(struct fixture *f, struct rpc_client *c, const char *method, const struct buf *b, int status)
{
	struct rpc_stream *s = rpc_stream_open(c, method);
	rpc_stream_send(s, b->data, b->len);
	assert_int_equal(rig_wait_end(f->r, c, s), status);
	rpc_stream_free(s);
	assert_others_are_served(f);
}

/* A field that nobody knows, len bytes long: fills a message. */
static void add_filler(struct buf *b, size_t len)
{
	static const unsigned char tag[] = {0xfa, 0x3f}; /* number 1023, length-delimited */
	buf_add(b, tag, sizeof tag);
	for (size_t v = len; v || len == 0; v >>= 7) {
		unsigned char byte = (unsigned char)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
		buf_add(b, &byte, 1);
	}
	memset(buf_extend(b, len), 0, len);
}

static void test_large_messages(void **state)
{
	struct fixture *f = *state;
	AUTO(buf_free) struct buf b = BUF_INIT;
	xds_write(&(struct xds_ask){.node_id = "n", .names = {"roots"}}, &b);
	size_t request = b.len;
	add_filler(&b, (size_t)2 << 20);
	struct rpc_stream *s = rpc_stream_open(f->c, RIG_STREAM_SECRETS);
	struct xds_answer a;
	rpc_stream_send(s, b.data, b.len);
	rig_receive(f->r, f->c, s, false, &a);
	rpc_stream_free(s);
	buf_truncate(&b, request);
	add_filler(&b, (size_t)5 << 20);
	assert_ends(f, f->c, RIG_STREAM_SECRETS, &b, RESOURCE_EXHAUSTED);
	assert_true(rig_counted_limit(f->r, "message_bytes"));
	/* What is far too large gRPC does not even give us. */
	buf_truncate(&b, request);
	add_filler(&b, (size_t)9 << 20);
	assert_ends(f, f->c, RIG_STREAM_SECRETS, &b, RESOURCE_EXHAUSTED);
}

/* A small message that would become a large one is not unpacked at all. */
static void test_compression_is_refused(void **state)
{
	struct fixture *f = *state;
	AUTO(buf_free) struct buf b = BUF_INIT;
	xds_write(&(struct xds_ask){.node_id = "n", .names = {"roots"}}, &b);
	add_filler(&b, (size_t)40 << 20);
	struct rpc_client *c = rpc_client_open_gzip(f->r->target);
	assert_ends(f, c, RIG_STREAM_SECRETS, &b, UNIMPLEMENTED);
	rpc_client_close(c);
}

static void add_names(struct buf *b, int from, int count)
{
	char name[16];
	for (int i = from; i < from + count; i++) {
		const unsigned char head[] = {3 << 3 | 2, 5};
		(void)snprintf(name, sizeof name, "n%04d", i);
		buf_add(b, head, sizeof head);
		buf_add(b, name, 5);
	}
}

static void test_too_many_names(void **state)
{
	struct fixture *f = *state;
	AUTO(buf_free) struct buf b = BUF_INIT;
	xds_write(&(struct xds_ask){.node_id = "n"}, &b);
	add_names(&b, 0, 101); /* the rig permits 100 */
	assert_ends(f, f->c, RIG_STREAM_SECRETS, &b, RESOURCE_EXHAUSTED);
	assert_null(rig_find_report(f->r, 0, "n0001", REPORT_WANTED));
	assert_true(rig_counted_limit(f->r, "names_per_stream"));
}

/* Though they are few names. */
static void test_too_many_names_in_a_request(void **state)
{
	struct fixture *f = *state;
	AUTO(buf_free) struct buf b = BUF_INIT;
	xds_write(&(struct xds_ask){.node_id = "n"}, &b);
	for (int i = 0; i < 4; i++) /* the rig permits 200 */
		add_names(&b, 0, 50);
	struct rpc_stream *s = rpc_stream_open(f->c, RIG_STREAM_SECRETS);
	rpc_stream_send(s, b.data, b.len);
	(void)rig_wait_report(f->r, f->c, 0, "n0049", REPORT_WANTED);
	assert_true(rig_is_silent(f->r, f->c, s));
	rpc_stream_free(s);
	add_names(&b, 0, 1);
	assert_ends(f, f->c, RIG_STREAM_SECRETS, &b, RESOURCE_EXHAUSTED);
	assert_true(rig_counted_limit(f->r, "names_per_request"));
}

static void test_names_that_cannot_be(void **state)
{
	struct fixture *f = *state;
	AUTO(buf_free) struct buf b = BUF_INIT;
	const unsigned char bad_utf8[] = {3 << 3 | 2, 1, 0xff};
	xds_write(&(struct xds_ask){.node_id = "n"}, &b);
	buf_add(&b, bad_utf8, sizeof bad_utf8);
	assert_ends(f, f->c, RIG_STREAM_SECRETS, &b, INVALID_ARGUMENT);
	/* A NUL is UTF-8, but no secret's name: delta hears that there is none, and control is not asked. */
	const unsigned char with_nul[] = {3 << 3 | 2, 3, 'a', 0, 'b'};
	buf_truncate(&b, 0);
	xds_write(&(struct xds_ask){.delta = true, .node_id = "n"}, &b);
	buf_add(&b, with_nul, sizeof with_nul);
	struct rpc_stream *s = rpc_stream_open(f->c, RIG_DELTA_SECRETS);
	struct xds_answer a;
	rpc_stream_send(s, b.data, b.len);
	rig_receive(f->r, f->c, s, true, &a);
	assert_int_equal(a.removed_count, 1);
	assert_null(rig_find_report(f->r, 0, "a", REPORT_WANTED));
	rpc_stream_free(s);
}

static void test_long_node_id_is_cut(void **state)
{
	struct fixture *f = *state;
	struct xds_answer a;
	char id[301] = "";
	memset(id, 'x', sizeof id - 1);
	assert_others_are_served(f);
	assert_false(rig_counted_limit(f->r, "node_bytes"));
	struct rpc_stream *s = rpc_stream_open(f->c, RIG_STREAM_SECRETS);
	rig_ask(s, &(struct xds_ask){.node_id = id, .names = {"roots"}});
	rig_receive(f->r, f->c, s, false, &a);
	assert_true(rig_counted_limit(f->r, "node_bytes"));
	rpc_stream_free(s);
}

static void test_wrong_type(void **state)
{
	struct fixture *f = *state;
	AUTO(buf_free) struct buf b = BUF_INIT;
	xds_write(&(struct xds_ask){.node_id = "n", .type_url = "type.googleapis.com/envoy.config.cluster.v3.Cluster"},
		&b);
	assert_ends(f, f->c, RIG_STREAM_SECRETS, &b, INVALID_ARGUMENT);
	buf_truncate(&b, 0);
	xds_write(&(struct xds_ask){.node_id = "n", .type_url = ""}, &b);
	assert_ends(f, f->c, RIG_STREAM_ADS, &b, INVALID_ARGUMENT);
}

/* SETTINGS say how many streams a connection may have; the rest wait at the client. */
static void test_streams_per_connection(void **state)
{
	enum { LIMIT = 1024, MORE = 3 };
	struct fixture *f = *state;
	struct rpc_stream *s[LIMIT + MORE];
	struct xds_answer a;
	for (size_t i = 0; i < ARRAY_LEN(s); i++) {
		s[i] = rpc_stream_open(f->c, RIG_STREAM_SECRETS);
		rig_ask(s[i], &(struct xds_ask){.node_id = "n", .names = {"roots"}});
		if (i == 0) /* with the first answer the client knows the limit: until then it would open more and be
			       refused */
			rig_receive(f->r, f->c, s[i], false, &a);
	}
	for (size_t i = 1; i < LIMIT; i++)
		rig_receive(f->r, f->c, s[i], false, &a);
	assert_int_equal(sds_server_counts(f->r->server).streams, LIMIT);
	for (size_t i = 0; i < MORE; i++)
		rpc_stream_free(s[i]);
	for (size_t i = LIMIT; i < LIMIT + MORE; i++)
		rig_receive(f->r, f->c, s[i], false, &a);
	for (size_t i = MORE; i < ARRAY_LEN(s); i++)
		rpc_stream_free(s[i]);
}

/* Until the client has acknowledged SETTINGS, gRPC takes any number. */
static void test_streams_before_settings(void **state)
{
	enum { STREAMS = 2100, OVER = STREAMS - 2 * 1024 };
	struct fixture *f = *state;
	struct h2_flood_result flood = h2_flood(f->r->path, RIG_STREAM_SECRETS, STREAMS, 1, OVER, RIG_DEADLINE_MS);
	assert_int_equal(flood.refused, OVER);
	assert_true(rig_counted_limit(f->r, "streams_per_connection"));
	assert_others_are_served(f);
}

/* Slowly, so that it is the worker that sees them: core's floods are the acceptor's (test_accept.c). */
static void test_streams_that_are_reset(void **state)
{
	struct sds_limits l = rig_limits();
	(void)state;
	l.resets_per_second = 1;
	struct rig *r = rig_make_limited(1, everything, &l);
	rig_start(r);
	assert_true(h2_resets(r->path, RIG_STREAM_SECRETS, RIG_DEADLINE_MS));
	assert_true(rig_counted_limit(r, "resets_per_second"));
	assert_true(rig_counted_limit(r, "flood"));
	assert_true(h2_is_kept_out(r->path));
	rig_free(r);
}

static bool has_one_connection(void *arg)
{
	const struct rig *r = arg;
	return sds_server_counts(r->server).connections == 1;
}

/* Messages that never end hold what was sent of them: together, no more than gRPC is given. */
static void test_memory_of_unfinished_messages(void **state)
{
	enum { STREAMS = 100, BYTES = 4000000, ENOUGH = 10 };
	struct fixture *f = *state;
	struct h2_flood_result flood =
		h2_flood(f->r->path, RIG_STREAM_SECRETS, STREAMS, BYTES, ENOUGH, RIG_DEADLINE_MS);
	assert_true(flood.refused >= ENOUGH);
	assert_true(flood.sent_bytes < 3 * (size_t)RIG_MEMORY_BYTES);
	/* The flood is over. Its victims come again, on a connection of their own. */
	rpc_client_close(f->c);
	f->c = rig_dial(f->r);
	assert_others_are_served(f);
	/* gRPC loses what it cut off last when its server is destroyed before it has let go of that connection. */
	rig_until(f->r, f->c, has_one_connection, f->r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_large_messages, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_compression_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_many_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_many_names_in_a_request, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_names_that_cannot_be, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_long_node_id_is_cut, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_wrong_type, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_streams_per_connection, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_streams_before_settings, set_up, tear_down),
		cmocka_unit_test(test_streams_that_are_reset),
		cmocka_unit_test_setup_teardown(test_memory_of_unfinished_messages, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
