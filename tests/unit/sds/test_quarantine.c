/* What a stream gets of a version that its node NACKed: nothing while it holds an older valid one, but that one once
 * more; the version after all when what it holds has ended, and then once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/clock.h"
#include "control/outlet.h"
#include "tests/unit/sds_rig.h"

static const char *const everything[] = {"**", NULL};

struct scene {
	struct rig *r;
	struct rpc_client *c;
	struct xds_answer a;
	char v1[33], v2[33];
};

/* What is published before the worker looks takes the place of what was. */
static void publish(struct scene *s, char *ret_version)
{
	rig_publish(s->r, "roots", ret_version);
	rig_settle(s->r);
}

static void begin(struct scene *s)
{
	s->r = rig_new(1, everything);
	s->c = rig_dial(s->r);
	publish(s, s->v1);
}

static void end(struct scene *s)
{
	rpc_client_close(s->c);
	rig_free(s->r);
}

static struct rpc_stream *open_stream(struct scene *s, bool delta, const char *node, const char *held)
{
	struct rpc_stream *t = rpc_stream_open(s->c, delta ? RIG_DELTA_SECRETS : RIG_STREAM_SECRETS);
	struct xds_ask ask = {.delta = delta, .node_id = node, .names = {"roots"}};
	if (held && delta) {
		ask.held_name = "roots";
		ask.held_version = held;
	} else {
		ask.version = held;
	}
	rig_ask(t, &ask);
	return t;
}

static void expect(struct scene *s, struct rpc_stream *t, bool delta, const char *version)
{
	rig_receive(s->r, s->c, t, delta, &s->a);
	assert_string_equal(s->a.version, version);
}

/* SotW says all names again; delta would ask anew with them. */
static void answer(struct scene *s, struct rpc_stream *t, bool delta, const char *version, const char *error)
{
	size_t from = s->r->report_count;
	struct xds_ask ask = {.delta = delta, .nonce = s->a.nonce, .error = error};
	if (!delta) {
		ask.version = version;
		ask.names[0] = "roots";
	}
	rig_ask(t, &ask);
	(void)rig_wait_report(s->r, s->c, from, "roots", error ? REPORT_NACKED : REPORT_ACKED);
}

static void ack(struct scene *s, struct rpc_stream *t, bool delta)
{
	answer(s, t, delta, s->a.version, NULL);
}

static void nack(struct scene *s, struct rpc_stream *t, bool delta, const char *last)
{
	answer(s, t, delta, last, "no");
}

/* design.md, quarantine: a node that holds an older valid version is spared, one that claims nothing, or what nobody
 * knows, is not. Nor is another node, or one with another identity under the same node.id (that is the key's part in
 * test_quarantine.c of control). */
static void who_is_spared(bool delta)
{
	struct scene s;
	static const char unknown[] = "00000000000000000000000000000000";
	begin(&s);
	publish(&s, s.v2);
	rig_quarantine(s.r, "n", "roots", s.v2, true, false);
	rig_settle(s.r);
	struct rpc_stream *held = open_stream(&s, delta, "n", s.v1);
	expect(&s, held, delta, s.v1); /* what it holds, again: that heals it, and answers the new stream */
	ack(&s, held, delta);
	assert_true(rig_is_silent(s.r, s.c, held));
	const struct {
		const char *node, *held;
	} others[] = {{"n", NULL}, {"n", unknown}, {"n", s.v2}, {"m", s.v1}};
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		struct rpc_stream *t = open_stream(&s, delta, others[i].node, others[i].held);
		expect(&s, t, delta, s.v2);
		rpc_stream_free(t);
	}
	rig_quarantine(s.r, "n", "roots", s.v2, false, false);
	expect(&s, held, delta, s.v2);
	rpc_stream_free(held);
	end(&s);
}

static void test_who_is_spared(void **state)
{
	(void)state;
	who_is_spared(false);
	who_is_spared(true);
}

/* After a restart of ours nobody has the older content: the stream is silent, not given the bad one. */
static void test_spared_without_content(void **state)
{
	struct scene s;
	char v3[33], v4[33];
	(void)state;
	begin(&s);
	publish(&s, s.v2);
	publish(&s, v3);
	publish(&s, v4);
	rig_quarantine(s.r, "n", "roots", v4, true, false);
	rig_settle(s.r);
	struct rpc_stream *t = open_stream(&s, true, "n", s.v1); /* not the one before: its content is gone */
	assert_true(rig_is_silent(s.r, s.c, t));
	rpc_stream_free(t);
	end(&s);
}

/* The last ACKed content comes back once for each NACK, also when it is not the version before. */
static void heals(bool delta)
{
	struct scene s;
	char v3[33];
	begin(&s);
	struct rpc_stream *t = open_stream(&s, delta, "n", NULL);
	expect(&s, t, delta, s.v1);
	ack(&s, t, delta);
	publish(&s, s.v2);
	expect(&s, t, delta, s.v2);
	nack(&s, t, delta, s.v1);
	expect(&s, t, delta, s.v1);
	ack(&s, t, delta);
	assert_true(rig_is_silent(s.r, s.c, t));
	publish(&s, v3);
	expect(&s, t, delta, v3);
	nack(&s, t, delta, s.v1);
	expect(&s, t, delta, s.v1);
	nack(&s, t, delta, s.v1); /* it refuses that as well: enough */
	assert_true(rig_is_silent(s.r, s.c, t));
	rpc_stream_free(t);
	end(&s);
}

static void test_last_acked_comes_back(void **state)
{
	(void)state;
	heals(false);
	heals(true);
}

/* When what it holds ends, the version is offered after all; once. */
static void test_held_version_ends(void **state)
{
	struct scene s;
	(void)state;
	begin(&s);
	struct rpc_stream *t = open_stream(&s, true, "n", NULL);
	expect(&s, t, true, s.v1);
	ack(&s, t, true);
	publish(&s, s.v2);
	expect(&s, t, true, s.v2);
	nack(&s, t, true, NULL);
	expect(&s, t, true, s.v1);
	ack(&s, t, true);
	rig_quarantine(s.r, "n", "roots", s.v2, true, false);
	rig_settle(s.r);
	struct rpc_stream *claims = open_stream(&s, true, "n", s.v1);
	expect(&s, claims, true, s.v1);
	ack(&s, claims, true);
	rig_skip(s.r, MS_PER_HOUR - MS_PER_MIN);
	assert_true(rig_is_silent(s.r, s.c, t));
	rig_skip(s.r, 2 * MS_PER_MIN);
	expect(&s, t, true, s.v2);
	nack(&s, t, true, NULL);
	assert_true(rig_is_silent(s.r, s.c, t));
	expect(&s, claims, true, s.v2);
	rig_skip(s.r, 10 * MS_PER_MIN);
	assert_true(rig_is_silent(s.r, s.c, t));
	rpc_stream_free(t);
	rpc_stream_free(claims);
	end(&s);
}

/* `retry` reaches a stream that NACKed the version; an end for another reason does not. */
static void test_forgiven(void **state)
{
	struct scene s;
	(void)state;
	begin(&s);
	struct rpc_stream *t = open_stream(&s, false, "n", NULL), *other = open_stream(&s, false, "m", NULL);
	expect(&s, t, false, s.v1);
	nack(&s, t, false, NULL);
	expect(&s, other, false, s.v1);
	nack(&s, other, false, NULL);
	rig_quarantine(s.r, "n", "roots", s.v1, true, false);
	rig_quarantine(s.r, "n", "roots", s.v1, false, false);
	rig_settle(s.r);
	assert_true(rig_is_silent(s.r, s.c, t));
	rig_quarantine(s.r, "n", "roots", s.v1, false, true);
	expect(&s, t, false, s.v1);
	nack(&s, t, false, NULL);
	assert_true(rig_is_silent(s.r, s.c, t)); /* no loop */
	assert_true(rig_is_silent(s.r, s.c, other));
	rpc_stream_free(t);
	rpc_stream_free(other);
	end(&s);
}

/* A revoked version never comes back, whoever held it: neither on the stream that ACKed it nor on a new one that says
 * so; what it refuses instead is offered to the new one, for it holds nothing that is valid. */
static void revoked(bool delta)
{
	struct scene s;
	begin(&s);
	struct rpc_stream *t = open_stream(&s, delta, "n", NULL);
	expect(&s, t, delta, s.v1);
	ack(&s, t, delta);
	publish(&s, s.v2);
	expect(&s, t, delta, s.v2);
	rig_quarantine(s.r, "n", "roots", s.v2, true, false);
	rig_revoke(s.r, "roots", s.v1);
	rig_settle(s.r);
	nack(&s, t, delta, s.v1);
	assert_true(rig_is_silent(s.r, s.c, t));
	struct rpc_stream *claims = open_stream(&s, delta, "n", s.v1);
	expect(&s, claims, delta, s.v2);
	rpc_stream_free(t);
	rpc_stream_free(claims);
	end(&s);
}

static void test_revoked_never_comes_back(void **state)
{
	(void)state;
	revoked(false);
	revoked(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_is_spared),
		cmocka_unit_test(test_spared_without_content),
		cmocka_unit_test(test_last_acked_comes_back),
		cmocka_unit_test(test_held_version_ends),
		cmocka_unit_test(test_forgiven),
		cmocka_unit_test(test_revoked_never_comes_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
