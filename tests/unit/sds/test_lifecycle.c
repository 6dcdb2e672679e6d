/* tests/unit/sds/test_lifecycle.c - how streams, connections and the whole server end, with one worker and with four:
 * the design's invariants 1, 6 to 10 as far as a client or control can see them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/mem.h"
#include "sds_rig.h"

#define WATCH "/grpc.health.v1.Health/Watch"

enum { CLIENTS = 8, MANY = 60 };
static const char *const everything[] = {"**", NULL};

static struct rpc_stream *subscribe(struct rpc_client *c, const char *name)
{
	struct rpc_stream *s = rpc_stream_open(c, RIG_STREAM_SECRETS);
	rig_ask(s, &(struct xds_ask){.node_id = "n", .names = {name}});
	return s;
}

static unsigned char health_of(const struct buf *b)
{
	assert_int_equal(b->len, 2);
	assert_int_equal(b->data[0], 0x08);
	return b->data[1];
}

struct take {
	struct rpc_stream *s;
	struct buf b;
};

static bool took(void *arg)
{
	struct take *t = arg;
	return rpc_stream_take(t->s, &t->b);
}

static unsigned char next_health(struct rig *r, struct rpc_client *c, struct rpc_stream *s)
{
	struct take t = {.s = s};
	rig_until(r, c, took, &t);
	unsigned char h = health_of(&t.b);
	buf_free(&t.b);
	return h;
}

static bool is_drained(void *arg)
{
	return ((struct rig *)arg)->drained;
}

/* Many clients and streams on every worker: each gets every version, and every end is reported once. */
static void everybody_is_served(unsigned workers)
{
	struct rig *r = rig_new(workers, everything);
	struct rpc_client *c[CLIENTS];
	struct rpc_stream *s[CLIENTS][2];
	struct xds_answer a;
	char id[33];
	rig_publish(r, "roots", id);
	for (size_t i = 0; i < CLIENTS; i++) {
		c[i] = rig_dial(r);
		for (size_t k = 0; k < 2; k++)
			s[i][k] = subscribe(c[i], "roots");
	}
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < CLIENTS; i++)
			for (size_t k = 0; k < 2; k++) {
				rig_receive(r, c[i], s[i][k], false, &a);
				assert_string_equal(a.version, id);
				rig_ask(s[i][k],
					&(struct xds_ask){.nonce = a.nonce, .version = a.version, .names = {"roots"}});
			}
		rig_publish(r, "roots", id);
	}
	bool used[RIG_WORKERS_MAX] = {false};
	for (size_t i = 0; i < r->report_count; i++)
		used[r->reports[i].worker] = true;
	for (unsigned w = 0; w < workers; w++)
		assert_true(used[w]); /* dealt to all */
	for (size_t i = 0; i < CLIENTS; i++) {
		for (size_t k = 0; k < 2; k++)
			rpc_stream_free(s[i][k]);
		rpc_client_close(c[i]);
	}
	rig_free(r);
}

static void test_everybody_is_served_1(void **state)
{
	(void)state;
	everybody_is_served(1);
}

static void test_everybody_is_served_4(void **state)
{
	(void)state;
	everybody_is_served(4);
}

/* design: invariant 6. Streams are cancelled at every stage, and their numbers are never used again. */
static void test_cancelled_at_any_time(void **state)
{
	(void)state;
	struct rig *r = rig_new(1, everything);
	struct rpc_client *c = rig_dial(r);
	struct xds_answer a;
	rig_publish(r, "roots", NULL);
	for (int i = 0; i < MANY; i++) {
		struct rpc_stream *s = subscribe(c, "roots");
		size_t from = r->report_count;
		if (i % 4 == 1)
			rig_turn(r, c);
		else if (i % 4 == 2)
			rig_receive(r, c, s, false, &a);
		else if (i % 4 == 3)
			(void)rig_wait_report(r, c, from, "roots", REPORT_WANTED);
		rpc_stream_free(s);
	}
	struct rpc_stream *last = subscribe(c, "last");
	uint64_t number = rig_wait_report(r, c, 0, "last", REPORT_WANTED)->stream;
	uint64_t seen = 0, gone = 0, wanted = 0;
	for (size_t i = 0; i < r->report_count; i++) {
		if (strcmp(r->reports[i].name, "roots") != 0)
			continue;
		if (r->reports[i].what & REPORT_WANTED) {
			assert_true(r->reports[i].stream > seen);
			seen = r->reports[i].stream;
			wanted++;
		}
		gone += (r->reports[i].what & REPORT_GONE) != 0;
	}
	/* What was cancelled before control heard of it is not told at all. */
	assert_true(number > seen && wanted >= MANY / 4 && gone <= wanted);
	rpc_stream_free(last);
	rpc_client_close(c);
	rig_free(r);
}

/* design: invariant 7. Control may post for ever, also to workers that have stopped. */
static void test_posts_after_the_end(void **state)
{
	(void)state;
	struct rig *r = rig_new(4, everything);
	rig_drain(r, 0);
	while (!r->drained) {
		rig_publish(r, "roots", NULL);
		rig_turn(r, NULL);
	}
	for (unsigned w = 0; w < 4; w++)
		assert_true(r->stopped[w]);
	rig_publish(r, "roots", NULL);
	r->out->taken(r->out->arg, 0);
	rig_free(r);
}

static bool is_held(void *arg)
{
	return ((struct rig *)arg)->untaken[0] == 1;
}

/* design: invariant 8. While control does not read, what happens coalesces: one batch is under way, and then there is
 * one report per subscription however much happened. NACKs of other versions follow, oldest first: none hides another.
 */
static void test_reports_coalesce(void **state)
{
	(void)state;
	struct rig *r = rig_new(1, everything);
	struct rpc_client *c = rig_dial(r);
	struct xds_answer a;
	char id[33], refused[5][33];
	struct rpc_stream *s = subscribe(c, "roots");
	(void)rig_wait_report(r, c, 0, "roots", REPORT_WANTED);
	rig_settle(r);
	r->hold_taken = true;
	rig_publish(r, "roots", id);
	rig_until(r, c, is_held, r);
	size_t batches = r->batches, reports = r->report_count;
	for (int i = 0; i < 10; i++) {
		rig_receive(r, c, s, false, &a);
		assert_string_equal(a.version, id);
		rig_ask(s, &(struct xds_ask){.nonce = a.nonce,
				   .version = a.version,
				   .error = i % 2 ? "no" : NULL,
				   .names = {"roots"}});
		if (i % 2)
			memcpy(refused[i / 2], id, sizeof id);
		if (i % 2 && *a.version) { /* what was ACKed before comes once more */
			rig_receive(r, c, s, false, &a);
			rig_ask(s, &(struct xds_ask){.nonce = a.nonce, .version = a.version, .names = {"roots"}});
		}
		if (i < 9)
			rig_publish(r, "roots", id);
	}
	assert_int_equal(r->batches, batches);
	rig_release_taken(r);
	const struct rig_report *q = rig_wait_report(r, c, reports, "roots", REPORT_ACKED | REPORT_NACKED);
	assert_int_equal(q - r->reports, reports);
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		q = rig_wait_report(r, c, reports + i, "roots", REPORT_NACKED);
		assert_int_equal(q - r->reports, reports + i);
		assert_string_equal(q->nacked, refused[i]);
	}
	rpc_stream_free(s);
	rpc_client_close(c);
	rig_free(r);
}

/* Over when the server says so, though its client reads nothing: far more is offered than its windows hold. */
static void test_ended_stream_is_cut_off(void **state)
{
	static const char *const names[] = {"l0", "l1", "l2", "l3", "l4", "l5", "l6", "l7"};
	(void)state;
	struct rig *r = rig_new(1, everything);
	struct rpc_client *c = rig_dial(r);
	struct xds_ask ask = {.node_id = "n"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		rig_publish_large(r, names[i]);
		ask.names[i] = names[i];
	}
	struct rpc_stream *s = rpc_stream_open(c, RIG_STREAM_SECRETS);
	rpc_stream_stop_reading(s);
	rig_ask(s, &ask);
	rpc_stream_half_close(s);
	(void)rig_wait_report(r, c, 0, "l7", REPORT_GONE); /* the wait for first answers is over */
	rig_skip(r, 11000);
	rpc_stream_resume_reading(s);
	assert_int_not_equal(rig_wait_end(r, c, s), 0);
	rpc_stream_free(s);
	rpc_client_close(c);
	rig_free(r);
}

static void test_silent_stream_is_let_go(void **state)
{
	(void)state;
	struct rig *r = rig_new(1, everything);
	struct rpc_client *c = rig_dial(r);
	struct rpc_stream *silent = rpc_stream_open(c, RIG_STREAM_SECRETS), *s = subscribe(c, "roots");
	(void)rig_wait_report(r, c, 0, "roots", REPORT_WANTED);
	rig_skip(r, 59000);
	assert_false(rpc_stream_ended(silent));
	rig_skip(r, 2000);
	assert_int_equal(rig_wait_end(r, c, silent), 4);
	assert_true(rig_is_silent(r, c, s)); /* it asked: it may stay as long as it likes */
	rpc_stream_free(silent);
	rpc_stream_free(s);
	rpc_client_close(c);
	rig_free(r);
}

/* An offer that is never answered holds its place for five minutes; then what is current is offered. */
static void test_patience_ends(void **state)
{
	(void)state;
	struct rig *r = rig_new(1, everything);
	struct rpc_client *c = rig_dial(r);
	struct xds_answer a;
	char last[33];
	rig_publish(r, "roots", NULL);
	struct rpc_stream *s = subscribe(c, "roots");
	rig_receive(r, c, s, false, &a);
	rig_publish(r, "roots", last);
	rig_skip(r, 290000);
	assert_true(rig_is_silent(r, c, s));
	rig_skip(r, 20000);
	rig_receive(r, c, s, false, &a);
	assert_string_equal(a.version, last);
	rpc_stream_free(s);
	rpc_client_close(c);
	rig_free(r);
}

/* One that answers nothing is sent it anew, and let go in the end; one that answers at last is not. */
static void test_unanswered_ends(void **state)
{
	(void)state;
	struct rig *r = rig_new(1, everything);
	struct rpc_client *c = rig_dial(r);
	struct xds_answer a;
	rig_publish(r, "roots", NULL);
	struct rpc_stream *s = subscribe(c, "roots"), *late = subscribe(c, "roots");
	rig_receive(r, c, s, false, &a);
	rig_receive(r, c, late, false, &a);
	rig_skip(r, 310000);
	rig_receive(r, c, s, false, &a);
	rig_receive(r, c, late, false, &a);
	assert_true(rig_counted_limit(r, "unanswered_reoffer"));
	rig_ask(late, &(struct xds_ask){.nonce = a.nonce, .version = a.version, .names = {"roots"}});
	(void)rig_wait_report(r, c, 0, "roots", REPORT_ACKED);
	rig_skip(r, 580000);
	assert_false(rpc_stream_ended(s));
	rig_skip(r, 20000);
	assert_int_equal(rig_wait_end(r, c, s), 4);
	assert_non_null(strstr(rpc_stream_status_text(s), "limits.unanswered_close"));
	assert_true(rig_counted_limit(r, "unanswered_close"));
	assert_true(rig_is_silent(r, c, late));
	rpc_stream_free(s);
	rpc_stream_free(late);
	rpc_client_close(c);
	rig_free(r);
}

/* A connection that speaks HTTP/2 no further than its preface answers no GOAWAY: the grace ends it. */
static void test_drain_cuts_off_the_deaf(void **state)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
	(void)state;
	struct rig *r = rig_new(1, everything);
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	(void)snprintf(a.sun_path, sizeof a.sun_path, "%s", r->path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(write(fd, preface, sizeof preface), sizeof preface);
	char first;
	assert_int_equal(read(fd, &first, 1), 1); /* it is being served */
	int64_t begun = clock_mono_ms(clock_system());
	rig_drain(r, 200);
	rig_until(r, NULL, is_drained, r);
	assert_true(clock_mono_ms(clock_system()) - begun < 10000);
	(void)close(fd);
	rig_free(r);
}

/* A client that takes nothing: one secret waits in the transport, a flag stands for the rest, and the stream ends. */
static void test_slow_reader_ends(void **state)
{
	(void)state;
	struct rig *r = rig_new(1, everything);
	struct rpc_client *c = rig_dial(r);
	rig_publish(r, "roots", NULL);
	struct rpc_stream *s = subscribe(c, "roots");
	rpc_stream_stop_reading(s);
	(void)rig_wait_report(r, c, 0, "roots", REPORT_WANTED);
	for (int i = 0; i < MANY; i++)
		rig_publish(r, "roots", NULL);
	rig_settle(r);
	rig_drain(r, 0);
	rig_until(r, c, is_drained, r);
	rpc_stream_free(s);
	rpc_client_close(c);
	rig_free(r);
}

static bool nothing_is_open(void *arg)
{
	return sds_server_counts(((struct rig *)arg)->server).streams == 0;
}

/* A method that answers before it reads on has no read under way which would tell of the client's end. */
static void test_cancelled_while_an_answer_waits(void **state)
{
	(void)state;
	static const char ask[] = "\x22\x30"
				  "envoy.extensions.transport_sockets.tls.v3.Secret";
	struct rig *r = rig_new(1, everything);
	struct rpc_client *c = rig_dial(r);
	struct xds_answer a;
	rig_publish(r, "roots", NULL);
	struct rpc_stream *s = rpc_stream_open(c, "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
	rpc_stream_stop_reading(s);
	for (int i = 0; i < 50 * MANY; i++)
		rpc_stream_send(s, ask, sizeof ask - 1);
	/* Each is a round trip on the same connection: by then the answers have filled the window. */
	for (int i = 0; i < MANY; i++) {
		struct rpc_stream *other = subscribe(c, "roots");
		rig_receive(r, c, other, false, &a);
		rpc_stream_free(other);
	}
	rpc_stream_free(s);
	rig_until(r, c, nothing_is_open, r);
	rpc_client_close(c);
	rig_free(r);
}

/* design: invariant 10. */
static void drains(unsigned workers)
{
	struct rig *r = rig_new(workers, everything);
	struct rpc_client *c = rig_dial(r);
	struct rpc_stream *idle[MANY / 10];
	struct xds_answer a;
	rig_publish(r, "roots", NULL);
	rig_issue(r, "leaf");
	struct rpc_stream *watch = rpc_stream_open(c, WATCH);
	rpc_stream_send(watch, "", 0);
	rpc_stream_half_close(watch);
	assert_int_equal(next_health(r, c, watch), 1);
	/* By the order alone its turn to end would come first. */
	struct rpc_stream *owed = subscribe(c, "leaf");
	(void)rig_wait_report(r, c, 0, "leaf", REPORT_WANTED);
	for (size_t i = 0; i < ARRAY_LEN(idle); i++) {
		idle[i] = subscribe(c, "roots");
		rig_receive(r, c, idle[i], false, &a);
		rig_ask(idle[i], &(struct xds_ask){.nonce = a.nonce, .version = a.version, .names = {"roots"}});
	}
	int64_t begun = clock_mono_ms(clock_system());
	rig_drain(r, 1500);
	assert_int_equal(next_health(r, c, watch), 2);
	size_t last = ARRAY_LEN(idle) - 1;
	for (size_t i = 0; i < last; i++)
		assert_int_equal(rig_wait_end(r, c, idle[i]), 14);
	assert_false(r->drained);
	/* The one that is owed an answer still gets it. */
	assert_false(rpc_stream_ended(owed));
	rig_publish(r, "leaf", NULL);
	rig_receive(r, c, owed, false, &a);
	assert_int_equal(rig_wait_end(r, c, owed), 14);
	assert_int_equal(rig_wait_end(r, c, idle[last]), 14);
	/* A new call of this client finds nobody. */
	struct rpc_stream *late = subscribe(c, "roots");
	assert_int_equal(rig_wait_end(r, c, late), 14);
	rig_until(r, c, is_drained, r);
	assert_true(clock_mono_ms(clock_system()) - begun < 10000);
	for (unsigned w = 0; w < workers; w++)
		assert_true(r->stopped[w]);
	for (size_t i = 0; i < ARRAY_LEN(idle); i++)
		rpc_stream_free(idle[i]);
	rpc_stream_free(late);
	rpc_stream_free(owed);
	rpc_stream_free(watch);
	rpc_client_close(c);
	rig_free(r);
}

static void test_drains_1(void **state)
{
	(void)state;
	drains(1);
}

static void test_drains_4(void **state)
{
	(void)state;
	drains(4);
}

static void test_never_started(void **state)
{
	(void)state;
	struct rig *r = rig_make(2, everything);
	rig_publish(r, "roots", NULL);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everybody_is_served_1),
		cmocka_unit_test(test_everybody_is_served_4),
		cmocka_unit_test(test_cancelled_at_any_time),
		cmocka_unit_test(test_posts_after_the_end),
		cmocka_unit_test(test_reports_coalesce),
		cmocka_unit_test(test_slow_reader_ends),
		cmocka_unit_test(test_ended_stream_is_cut_off),
		cmocka_unit_test(test_silent_stream_is_let_go),
		cmocka_unit_test(test_patience_ends),
		cmocka_unit_test(test_unanswered_ends),
		cmocka_unit_test(test_drain_cuts_off_the_deaf),
		cmocka_unit_test(test_cancelled_while_an_answer_waits),
		cmocka_unit_test(test_drains_1),
		cmocka_unit_test(test_drains_4),
		cmocka_unit_test(test_never_started),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
