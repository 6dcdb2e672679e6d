/* Envoy #47309: what a delta ADS stream holds comes anew from time to time, where that is asked for; on no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/sds_rig.h"

enum { INTERVAL = 60000 };
static const char *const everything[] = {"**", NULL};

struct scene {
	struct rig *r;
	struct rpc_client *c;
	char roots[33];
};

static void begin(struct scene *s, int64_t repush_ms)
{
	s->r = rig_make_repushing(1, everything, repush_ms);
	rig_start(s->r);
	s->c = rig_dial(s->r);
	rig_publish(s->r, "roots", s->roots);
}

static void end(struct scene *s)
{
	rpc_client_close(s->c);
	rig_free(s->r);
}

static struct rpc_stream *subscribe(struct scene *s, const char *method, bool delta, const char *second)
{
	struct rpc_stream *t = rpc_stream_open(s->c, method);
	struct xds_answer a;
	rig_ask(t, &(struct xds_ask){.delta = delta, .node_id = "n", .names = {"roots", second}});
	for (int i = 0; i < (second ? 2 : 1); i++) {
		rig_receive(s->r, s->c, t, delta, &a);
		struct xds_ask ack = {.delta = delta, .nonce = a.nonce, .version = delta ? NULL : a.version};
		if (!delta)
			ack.names[0] = "roots";
		rig_ask(t, &ack);
	}
	assert_true(rig_is_silent(s->r, s->c, t));
	return t;
}

/* Every name in its turn, what exists and what does not; under new nonces. */
static void test_every_name_in_turn(void **state)
{
	(void)state;
	struct scene s;
	struct xds_answer a;
	char nonce[sizeof a.nonce] = "";
	begin(&s, INTERVAL);
	struct rpc_stream *t = subscribe(&s, RIG_DELTA_ADS, true, "unknown");
	for (int round = 0; round < 4; round++) {
		rig_skip(s.r, INTERVAL * 3 / 2 + 1); /* one name, however long it is overdue */
		rig_receive(s.r, s.c, t, true, &a);
		if (a.count)
			assert_string_equal(a.version, s.roots);
		else
			assert_string_equal(a.removed[0], "unknown");
		assert_int_equal(a.count, round % 2 == 0);
		assert_string_not_equal(a.nonce, nonce);
		(void)snprintf(nonce, sizeof nonce, "%s", a.nonce);
		rig_ask(t, &(struct xds_ask){.delta = true, .nonce = a.nonce});
		assert_true(rig_is_silent(s.r, s.c, t));
	}
	rpc_stream_free(t);
	end(&s);
}

/* An offer that is out is answer enough: a client that does not read gets no backlog. */
static void test_nothing_piles_up(void **state)
{
	(void)state;
	struct scene s;
	struct xds_answer a;
	begin(&s, INTERVAL);
	struct rpc_stream *t = subscribe(&s, RIG_DELTA_ADS, true, NULL);
	rig_skip(s.r, INTERVAL * 2);
	rig_receive(s.r, s.c, t, true, &a);
	rig_skip(s.r, INTERVAL * 2);
	assert_true(rig_is_silent(s.r, s.c, t));
	rpc_stream_free(t);
	end(&s);
}

static void silent(const char *method, bool delta, int64_t repush_ms)
{
	struct scene s;
	begin(&s, repush_ms);
	struct rpc_stream *t = subscribe(&s, method, delta, NULL);
	rig_skip(s.r, INTERVAL * 4);
	assert_true(rig_is_silent(s.r, s.c, t));
	rpc_stream_free(t);
	end(&s);
}

static void test_others_are_left_alone(void **state)
{
	(void)state;
	silent(RIG_DELTA_SECRETS, true, INTERVAL);
	silent(RIG_STREAM_SECRETS, false, INTERVAL);
	silent(RIG_STREAM_ADS, false, INTERVAL);
	silent(RIG_DELTA_ADS, true, 0); /* the default */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_name_in_turn),
		cmocka_unit_test(test_nothing_piles_up),
		cmocka_unit_test(test_others_are_left_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
