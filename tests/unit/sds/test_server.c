/* tests/unit/sds/test_server.c - what a client sees of a stream: first answers, pushes, answers to answers, silence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "base/mem.h"
#include "sds_rig.h"

static const char *const everything[] = {"**", NULL};

struct talk {
	struct rig *r;
	struct rpc_client *c;
	struct rpc_stream *s;
	bool delta;
};

static struct talk begin(unsigned workers, bool delta, const char *const *may)
{
	struct talk t = {.r = rig_new(workers, may), .delta = delta};
	t.c = rig_dial(t.r);
	t.s = rpc_stream_open(t.c, delta ? RIG_DELTA_SECRETS : RIG_STREAM_SECRETS);
	return t;
}

static void end(struct talk *t)
{
	rpc_stream_free(t->s);
	rpc_client_close(t->c);
	rig_free(t->r);
}

static struct xds_answer receive(struct talk *t)
{
	struct xds_answer a;
	rig_receive(t->r, t->c, t->s, t->delta, &a);
	return a;
}

static void answer(struct talk *t, const struct xds_answer *a, const char *error)
{
	rig_ask(t->s, &(struct xds_ask){.delta = t->delta,
			      .nonce = a->nonce,
			      .version = a->version,
			      .error = error,
			      .names = {t->delta ? NULL : a->names[0]}});
}

static void serves_and_pushes(bool delta)
{
	struct talk t = begin(1, delta, everything);
	char v1[33], v2[33];
	rig_publish(t.r, "roots", v1);
	rig_ask(t.s, &(struct xds_ask){.delta = delta, .node_id = "n", .names = {"roots"}});
	struct xds_answer a = receive(&t);
	assert_int_equal(a.count, 1);
	assert_string_equal(a.names[0], "roots");
	assert_string_equal(a.version, v1);
	assert_true(a.body_len > 100 && *a.nonce);
	answer(&t, &a, NULL);
	const struct rig_report *ack = rig_wait_report(t.r, t.c, 0, "roots", REPORT_ACKED);
	assert_string_equal(ack->acked, v1);
	assert_true(rig_is_silent(t.r, t.c, t.s));

	rig_publish(t.r, "roots", v2);
	struct xds_answer b = receive(&t);
	assert_string_equal(b.version, v2);
	assert_string_not_equal(a.nonce, b.nonce);
	end(&t);
}

static void test_serves_and_pushes_sotw(void **state)
{
	(void)state;
	serves_and_pushes(false);
}

static void test_serves_and_pushes_delta(void **state)
{
	(void)state;
	serves_and_pushes(true);
}

/* Two changes while an offer is unanswered: the latest alone follows. */
static void test_slow_answers_get_the_latest(void **state)
{
	(void)state;
	struct talk t = begin(1, false, everything);
	char last[33];
	rig_publish(t.r, "roots", NULL);
	rig_ask(t.s, &(struct xds_ask){.node_id = "n", .names = {"roots"}});
	struct xds_answer a = receive(&t);
	rig_publish(t.r, "roots", NULL);
	rig_publish(t.r, "roots", last);
	assert_true(rig_is_silent(t.r, t.c, t.s));
	answer(&t, &a, NULL);
	a = receive(&t);
	assert_string_equal(a.version, last);
	end(&t);
}

static void test_being_issued_is_waited_for(void **state)
{
	(void)state;
	struct talk t = begin(1, true, everything);
	rig_issue(t.r, "leaf");
	rig_ask(t.s, &(struct xds_ask){.delta = true, .node_id = "n", .names = {"leaf"}});
	const struct rig_report *w = rig_wait_report(t.r, t.c, 0, "leaf", REPORT_WANTED);
	assert_false(w->has_answer);
	assert_true(w->delta);
	assert_true(rig_is_silent(t.r, t.c, t.s));
	rig_publish(t.r, "leaf", NULL);
	struct xds_answer a = receive(&t);
	assert_string_equal(a.names[0], "leaf");
	end(&t);
}

/* design: invariant 2. Both are asked of control, and both are answered by what it says. */
static void test_unknown_and_denied_are_alike(void **state)
{
	static const char *const may[] = {"allowed-*", NULL};
	static const char *const names[] = {"allowed-unknown", "denied"};
	(void)state;
	struct talk t = begin(1, true, may);
	rig_publish(t.r, "denied", NULL);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		t.r->mute = true;
		size_t from = t.r->report_count;
		struct rpc_stream *s = rpc_stream_open(t.c, RIG_DELTA_SECRETS);
		rig_ask(s, &(struct xds_ask){.delta = true, .node_id = "n", .names = {names[i]}});
		assert_false(rig_wait_report(t.r, t.c, from, names[i], REPORT_WANTED)->has_answer);
		struct buf none = BUF_INIT;
		rig_settle(t.r);
		assert_false(rpc_stream_take(s, &none));
		t.r->mute = false;
		/* A second stream asks, control answers it, and both hear of it. */
		struct rpc_stream *other = rpc_stream_open(t.c, RIG_DELTA_SECRETS);
		rig_ask(other, &(struct xds_ask){.delta = true, .node_id = "n", .names = {names[i]}});
		struct xds_answer a, b;
		rig_receive(t.r, t.c, other, true, &a);
		rig_receive(t.r, t.c, s, true, &b);
		assert_int_equal(a.count + b.count, 0);
		assert_int_equal(a.removed_count, 1);
		assert_string_equal(a.removed[0], names[i]);
		assert_string_equal(b.removed[0], names[i]);
		/* From now on it is known. */
		from = t.r->report_count;
		struct rpc_stream *third = rpc_stream_open(t.c, RIG_DELTA_SECRETS);
		rig_ask(third, &(struct xds_ask){.delta = true, .node_id = "n", .names = {names[i]}});
		rig_receive(t.r, t.c, third, true, &a);
		assert_string_equal(a.removed[0], names[i]);
		assert_true(rig_wait_report(t.r, t.c, from, names[i], REPORT_WANTED)->has_answer);
		rpc_stream_free(s);
		rpc_stream_free(other);
		rpc_stream_free(third);
	}
	end(&t);
}

static void test_sotw_is_silent_about_unknown_names(void **state)
{
	(void)state;
	struct talk t = begin(1, false, everything);
	rig_ask(t.s, &(struct xds_ask){.node_id = "n", .names = {"nobody"}});
	(void)rig_wait_report(t.r, t.c, 0, "nobody", REPORT_WANTED);
	assert_true(rig_is_silent(t.r, t.c, t.s));
	rig_publish(t.r, "nobody", NULL);
	struct xds_answer a = receive(&t);
	assert_string_equal(a.names[0], "nobody");
	end(&t);
}

static void test_deleted_is_removed_once(void **state)
{
	(void)state;
	struct talk t = begin(1, true, everything);
	rig_publish(t.r, "roots", NULL);
	rig_ask(t.s, &(struct xds_ask){.delta = true, .node_id = "n", .names = {"roots"}});
	struct xds_answer a = receive(&t);
	answer(&t, &a, NULL);
	rig_delete(t.r, "roots");
	a = receive(&t);
	assert_int_equal(a.removed_count, 1);
	assert_string_equal(a.removed[0], "roots");
	answer(&t, &a, NULL);
	assert_true(rig_is_silent(t.r, t.c, t.s));
	end(&t);
}

/* The NACKed version is not repeated; the one before, which the client ACKed, is offered once more; a newer one is
 * sent. */
static void test_nack(void **state)
{
	(void)state;
	struct talk t = begin(1, true, everything);
	char v1[33], v2[33], v3[33];
	rig_publish(t.r, "roots", v1);
	rig_ask(t.s, &(struct xds_ask){.delta = true, .node_id = "n", .names = {"roots"}});
	struct xds_answer a = receive(&t);
	answer(&t, &a, NULL);
	rig_publish(t.r, "roots", v2);
	a = receive(&t);
	assert_string_equal(a.version, v2);
	answer(&t, &a, "bad: -----BEGIN PRIVATE KEY-----MIIEvg-----END PRIVATE KEY-----");
	const struct rig_report *n = rig_wait_report(t.r, t.c, 0, "roots", REPORT_NACKED);
	assert_string_equal(n->nacked, v2);
	assert_string_equal(n->held, v1);
	assert_null(strstr(n->nack_text, "MIIEvg"));
	a = receive(&t);
	assert_string_equal(a.version, v1);
	answer(&t, &a, NULL);
	assert_true(rig_is_silent(t.r, t.c, t.s));
	rig_publish(t.r, "roots", v3);
	a = receive(&t);
	assert_string_equal(a.version, v3);
	end(&t);
}

/* design: invariant 3. */
static void test_policy_is_asked_at_each_offer(void **state)
{
	static const char *const nothing[] = {NULL};
	(void)state;
	struct talk t = begin(1, true, everything);
	rig_publish(t.r, "roots", NULL);
	rig_ask(t.s, &(struct xds_ask){.delta = true, .node_id = "n", .names = {"roots"}});
	struct xds_answer a = receive(&t);
	answer(&t, &a, NULL);
	(void)rig_wait_report(t.r, t.c, 0, "roots", REPORT_ACKED);
	size_t from = t.r->report_count;
	rig_set_policy(t.r, nothing);
	rig_publish(t.r, "roots", NULL);
	a = receive(&t);
	assert_int_equal(a.count, 0);
	assert_string_equal(a.removed[0], "roots");
	answer(&t, &a, NULL);
	assert_false(rig_wait_report(t.r, t.c, from, "roots", REPORT_WANTED)->has_answer);
	assert_true(rig_is_silent(t.r, t.c, t.s));

	char now[33];
	rig_publish(t.r, "roots", now);
	rig_set_policy(t.r, everything);
	a = receive(&t);
	assert_string_equal(a.version, now);
	end(&t);
}

/* What nobody knew, and what was denied, is asked anew after a reload. */
static void test_reload_asks_anew(void **state)
{
	(void)state;
	struct talk t = begin(1, false, everything);
	rig_ask(t.s, &(struct xds_ask){.node_id = "n", .names = {"later"}});
	(void)rig_wait_report(t.r, t.c, 0, "later", REPORT_WANTED);
	rig_settle(t.r);
	size_t from = t.r->report_count;
	rig_set_policy(t.r, everything);
	assert_false(rig_wait_report(t.r, t.c, from, "later", REPORT_WANTED)->has_answer);
	end(&t);
}

static void test_without_node_is_refused(void **state)
{
	(void)state;
	struct talk t = begin(1, false, everything);
	struct rpc_stream *good = rpc_stream_open(t.c, RIG_STREAM_SECRETS);
	rig_publish(t.r, "roots", NULL);
	rig_ask(good, &(struct xds_ask){.node_id = "n", .names = {"roots"}});
	struct xds_answer a;
	rig_receive(t.r, t.c, good, false, &a);
	rig_ask(t.s, &(struct xds_ask){.names = {"roots"}}); /* a sibling's node does not count */
	assert_int_equal(rig_wait_end(t.r, t.c, t.s), 3);
	assert_non_null(strstr(rpc_stream_status_text(t.s), "node"));
	rpc_stream_free(good);
	end(&t);
}

static void test_malformed_ends_that_stream_only(void **state)
{
	(void)state;
	struct talk t = begin(1, false, everything);
	struct rpc_stream *good = rpc_stream_open(t.c, RIG_STREAM_SECRETS);
	rig_publish(t.r, "roots", NULL);
	rpc_stream_send(t.s, "\xff\xff\xff", 3);
	assert_int_equal(rig_wait_end(t.r, t.c, t.s), 3);
	rig_ask(good, &(struct xds_ask){.node_id = "n", .names = {"roots"}});
	struct xds_answer a;
	rig_receive(t.r, t.c, good, false, &a);
	assert_int_equal(a.count, 1);
	rpc_stream_free(good);
	end(&t);
}

static void test_unknown_method(void **state)
{
	(void)state;
	struct talk t = begin(1, false, everything);
	struct rpc_stream *s = rpc_stream_open(t.c, "/envoy.service.secret.v3.SecretDiscoveryService/Nothing");
	assert_int_equal(rig_wait_end(t.r, t.c, s), 12);
	rpc_stream_free(s);
	end(&t);
}

static void test_half_close_gets_first_answers(void **state)
{
	(void)state;
	struct talk t = begin(1, false, everything);
	rig_publish(t.r, "roots", NULL);
	rig_issue(t.r, "leaf");
	rig_ask(t.s, &(struct xds_ask){.node_id = "n", .names = {"roots", "leaf", "nobody"}});
	rpc_stream_half_close(t.s);
	struct xds_answer a = receive(&t);
	assert_string_equal(a.names[0], "roots");
	rig_publish(t.r, "leaf", NULL);
	a = receive(&t);
	assert_string_equal(a.names[0], "leaf");
	assert_int_equal(rig_wait_end(t.r, t.c, t.s), 0);
	end(&t);
}

static void test_half_close_waits_not_for_ever(void **state)
{
	(void)state;
	struct talk t = begin(1, false, everything);
	rig_issue(t.r, "leaf");
	rig_ask(t.s, &(struct xds_ask){.node_id = "n", .names = {"leaf"}});
	rpc_stream_half_close(t.s);
	assert_int_equal(rig_wait_end(t.r, t.c, t.s), 0);
	end(&t);
}

static void test_fetch(void **state)
{
	(void)state;
	struct talk t = begin(1, false, everything);
	char v1[33];
	rig_publish(t.r, "roots", v1);
	rig_publish(t.r, "more", NULL);
	struct rpc_stream *s = rpc_stream_open(t.c, RIG_FETCH_SECRETS);
	rig_ask(s, &(struct xds_ask){.names = {"roots"}});
	rpc_stream_half_close(s);
	struct xds_answer a;
	rig_receive(t.r, t.c, s, false, &a);
	assert_int_equal(a.count, 1);
	assert_string_equal(a.version, v1);
	assert_int_equal(rig_wait_end(t.r, t.c, s), 0);
	rpc_stream_free(s);

	s = rpc_stream_open(t.c, RIG_FETCH_SECRETS);
	rig_ask(s, &(struct xds_ask){.names = {"roots", "nobody", "more", "roots"}});
	rpc_stream_half_close(s);
	rig_receive(t.r, t.c, s, false, &a);
	assert_int_equal(a.count, 2);
	assert_string_equal(a.names[1], "more");
	assert_int_equal(rig_wait_end(t.r, t.c, s), 0);
	rpc_stream_free(s);
	end(&t);
}

static void test_ads_ignores_other_types(void **state)
{
	(void)state;
	struct talk t = begin(1, false, everything);
	rig_publish(t.r, "roots", NULL);
	struct rpc_stream *s = rpc_stream_open(t.c, RIG_STREAM_ADS);
	rig_ask(s, &(struct xds_ask){.node_id = "n",
			   .type_url = "type.googleapis.com/envoy.config.cluster.v3.Cluster",
			   .names = {"roots"}});
	rig_ask(s, &(struct xds_ask){.names = {"roots"}});
	struct xds_answer a;
	rig_receive(t.r, t.c, s, false, &a);
	assert_string_equal(a.names[0], "roots");
	rpc_stream_free(s);
	end(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_serves_and_pushes_sotw),
		cmocka_unit_test(test_serves_and_pushes_delta),
		cmocka_unit_test(test_slow_answers_get_the_latest),
		cmocka_unit_test(test_being_issued_is_waited_for),
		cmocka_unit_test(test_unknown_and_denied_are_alike),
		cmocka_unit_test(test_sotw_is_silent_about_unknown_names),
		cmocka_unit_test(test_deleted_is_removed_once),
		cmocka_unit_test(test_nack),
		cmocka_unit_test(test_policy_is_asked_at_each_offer),
		cmocka_unit_test(test_reload_asks_anew),
		cmocka_unit_test(test_without_node_is_refused),
		cmocka_unit_test(test_malformed_ends_that_stream_only),
		cmocka_unit_test(test_unknown_method),
		cmocka_unit_test(test_half_close_gets_first_answers),
		cmocka_unit_test(test_half_close_waits_not_for_ever),
		cmocka_unit_test(test_fetch),
		cmocka_unit_test(test_ads_ignores_other_types),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
