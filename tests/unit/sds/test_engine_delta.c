/* The incremental engine: assertions 27 to 43 of the conformance list that are the engine's own, as tables. */
#include "engine_script.h"

static const struct engine_limits limits = {.names = 60, .resend_on_repeat_ms = 1000};

#define RUN(...) SCRIPT_RUN(ENGINE_DELTA, &limits, __VA_ARGS__)

static void test_subscribe_is_answered(void **state) /* 27, 33 */
{
	(void)state;
	RUN({"set a v1", ""}, {"sub=a", "+a a=v1#1"}, {"at 30", ""}, {"nonce=#1", "ack(a v1 30)"}, {"nonce=#1", ""},
		{"at 9000", ""}, {"set a v1", ""}, {"set a v2", "a=v2#2"});
}

static void test_subscribe_again_is_answered_again(void **state) /* 28 */
{
	(void)state;
	RUN({"set a v1", ""}, {"sub=a", "+a a=v1#1"}, {"nonce=#1", "ack(a v1 0)"}, {"sub=a", "a=v1#2"}, {"sub=a", ""},
		{"nonce=#2", "ack(a v1 0) a=v1#3"}, {"nonce=#3 error=x", "nack(a v1 13 x)"}, {"sub=a", ""});
}

static void test_unknown_is_removed_once(void **state) /* 29, 30 */
{
	(void)state;
	RUN({"sub=a", "+a a!#1"}, {"nonce=#1", ""}, {"set a -", ""}, {"sub=a", "a!#2"}, {"set a v1", ""},
		{"nonce=#2", "a=v1#3"}, {"nonce=#3", "ack(a v1 0)"}, {"set a -", "a!#4"}, {"nonce=#4", ""},
		{"set a -", ""}, {"set a v1", "a=v1#5"}, {"nonce=#5", "ack(a v1 0)"}, {"unsub=a", "-a"},
		{"set a -", ""});
}

static void test_removal_that_is_nacked(void **state)
{
	(void)state;
	/* Envoy to 1.29 */
	RUN({"sub=a", "+a a!#1"}, {"nonce=#1 error=x", ""}, {"set a -", ""}, {"set a v1", "a=v1#2"},
		{"nonce=#2", "ack(a v1 0)"});
}

static void test_unsubscribe(void **state) /* 31 */
{
	(void)state;
	RUN({"set a v1", ""}, {"sub=a,b", "+a +b a=v1#1 b!#2"}, {"unsub=c,a", "-a"}, {"set a v2", ""},
		{"nonce=#1 error=x", ""}, {"sub=a", "+a a=v2#3"}, {"unsub=a,a,b", "-a -b"});
}

static void test_both_lists_mean_afresh(void **state) /* 32 */
{
	(void)state;
	RUN({"set a v1", ""}, {"sub=a unsub=a", "+a a=v1#1"}, {"nonce=#1", "ack(a v1 0)"},
		{"sub=a unsub=a", "-a +a a=v1#2"}, {"nonce=#2", "ack(a v1 0)"});
}

static void test_lists_ride_on_answers(void **state) /* 33, 34, 35 */
{
	(void)state;
	RUN({"set a v1", ""}, {"set b v1", ""}, {"set c v1", ""}, {"sub=a", "+a a=v1#1"},
		{"sub=b nonce=#1", "ack(a v1 0) +b b=v1#2"},
		{"unsub=a sub=c nonce=#2 error=x", "nack(b v1 13 x) -a +c c=v1#3"}, {"sub=a nonce=#1", "+a a=v1#4"},
		{"unsub=b nonce=other", "-b"}, {"sub=b", "+b b=v1#5"}, {"nonce=#3", "ack(c v1 0)"}, {"error=x", ""});
}

static void test_initial_versions(void **state) /* 36, 37 */
{
	(void)state;
	RUN({"set a v1", ""}, {"sub=a,b initial=a:v1,b:v0,c:v9", "+a~v1 +b~v0 a=v1#1 b!#2"},
		{"sub=c initial=c:v9", "+c c!#3"});
	RUN({"sub=a initial=a:v1,a:v2,a:,b:", "+a~v2 a!#1"});
	RUN({"set a v1", ""}, {"initial=a:v1", "+* *!#1"}, {"set a v2", ""});
}

static void test_a_claim_with_nul_is_none(void **state)
{
	(void)state;
	struct view name = {"a", 1};
	struct request_version initial = {name, {"v1\0", 3}};
	const struct request r = {
		.delta = true, .names = &name, .names_count = 1, .initial = &initial, .initial_count = 1};
	struct script t = {0};
	t.events = (struct engine_events){&t, script_subscribed, script_unsubscribed, script_acked, script_nacked};
	t.engine = engine_new(ENGINE_DELTA, &limits, &t.events, SCRIPT_PREFIX);
	assert_int_equal(engine_request(t.engine, &r, 0).grpc_status, 0);
	assert_string_equal(buf_text(&t.effects), "+a");
	engine_free(t.engine);
	buf_free(&t.effects);
}

static void test_wildcards(void **state) /* 38 */
{
	(void)state;
	RUN({"set * v1", ""}, {"set a v1", ""}, {"nonce=", "+* *!#1"}, {"nonce=", ""}, {"sub=a", "+a a=v1#2"},
		{"sub=*", "*!#3"}, {"unsub=*", "-*"}, {"nonce=#2", "ack(a v1 0)"}, {"unsub=a", "-a"}, {"nonce=", ""});
	RUN({"set * v1", ""}, {"sub=*", "+* *!#1"}, {"half", "done"});
	/* nobody waits for an answer to it */
	RUN({"nonce=", "+* *!#1"}, {"at 99999", ""}, {"reoffer 99999", "0"});
}

static void test_only_what_changed(void **state) /* 39, 43 */
{
	(void)state;
	RUN({"set a v1", ""}, {"set b v1", ""}, {"sub=a,b,a", "+a +b a=v1#1 b=v1#2"}, {"nonce=#2", "ack(b v1 0)"},
		{"set b v2", "b=v2#3"}, {"nonce=#1", "ack(a v1 0)"}, {"set a v2", "a=v2#4"});
}

static void test_nack(void **state) /* 41 */
{
	(void)state;
	RUN({"set a v1", ""}, {"sub=a", "+a a=v1#1"}, {"nonce=#1", "ack(a v1 0)"}, {"set a v2", "a=v2#2"},
		{"nonce=#2 error=x", "nack(a v2 13 x) a=v1#3"}, {"nonce=#3", "ack(a v1 0)"}, {"set a v2", ""},
		{"sub=a", "a=v1#4"}, {"set a v3", ""}, {"nonce=#4", "ack(a v1 0) a=v3#5"}, {"nonce=#5", "ack(a v3 0)"},
		{"nonce=#2 error=x", ""});
}

static void test_nacked_versions_are_remembered_within_bounds(void **state)
{
	(void)state;
	RUN({"set a v1", ""}, {"sub=a", "+a a=v1#1"}, {"nonce=#1 error=x", "nack(a v1 13 x)"}, {"set a v2", "a=v2#2"},
		{"nonce=#2 error=x", "nack(a v2 13 x)"}, {"set a v3", "a=v3#3"},
		{"nonce=#3 error=x", "nack(a v3 13 x)"}, {"set a v4", "a=v4#4"},
		{"nonce=#4 error=x", "nack(a v4 13 x)"}, {"set a v5", "a=v5#5"},
		{"nonce=#5 error=x", "nack(a v5 13 x)"}, {"set a v6", "a=v6#6"},
		{"nonce=#6 error=x", "nack(a v6 13 x)"}, {"set a v7", "a=v7#7"},
		{"nonce=#7 error=x", "nack(a v7 13 x)"}, {"set a v8", "a=v8#8"},
		{"nonce=#8 error=x", "nack(a v8 13 x)"}, {"set a v1", ""}, {"set a v9", "a=v9#9"},
		{"nonce=#9 error=x", "nack(a v9 13 x)"}, {"set a v2", ""}, {"set a v8", ""}, {"set a v1", "a=v1#10"});
}

static void test_window(void **state) /* 23 */
{
	(void)state;
	RUN({"sub=0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33",
		    "+0 +1 +2 +3 +4 +5 +6 +7 +8 +9 +10 +11 +12 +13 +14 +15 +16 +17 +18 +19 +20 +21 +22 +23 +24 +25 +26 "
		    "+27 "
		    "+28 +29 +30 +31 +32 +33 0!#1 1!#2 2!#3 3!#4 4!#5 5!#6 6!#7 7!#8 8!#9 9!#10 10!#11 11!#12 12!#13 "
		    "13!#14 "
		    "14!#15 15!#16 16!#17 17!#18 18!#19 19!#20 20!#21 21!#22 22!#23 23!#24 24!#25 25!#26 26!#27 27!#28 "
		    "28!#29 29!#30 30!#31 31!#32"},
		{"set 0 v1", ""}, {"nonce=#9", "32!#33"}, {"unsub=33", "-33"}, {"nonce=#1", "0=v1#34"},
		{"unsub=1", "-1"}, {"sub=1", "+1 1!#35"}, {"half", "done"});
	RUN({"sub=0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31,32,33",
		    "+0 +1 +2 +3 +4 +5 +6 +7 +8 +9 +10 +11 +12 +13 +14 +15 +16 +17 +18 +19 +20 +21 +22 +23 +24 +25 +26 "
		    "+27 "
		    "+28 +29 +30 +31 +32 +33 0!#1 1!#2 2!#3 3!#4 4!#5 5!#6 6!#7 7!#8 8!#9 9!#10 10!#11 11!#12 12!#13 "
		    "13!#14 "
		    "14!#15 15!#16 16!#17 17!#18 18!#19 19!#20 20!#21 21!#22 22!#23 23!#24 24!#25 25!#26 26!#27 27!#28 "
		    "28!#29 29!#30 30!#31 31!#32"},
		/* nobody will acknowledge any more: the rest need not wait */
		{"half", "32!#33 33!#34 done"});
}

static void test_impossible_names(void **state)
{
	(void)state;
	/* "," is the empty name, twice */
	RUN({"sub=,", "+ !#1"}, {"nonce=#1", ""}, {"set a v1", ""}, {"sub=a,", "+a a=v1#2 !#3"}, {"unsub=,", "-"});
}

static void test_limits(void **state)
{
	(void)state;
	static const struct engine_limits two = {.names = 2};
	SCRIPT_RUN(ENGINE_DELTA, &two, {"sub=a,b,a", "+a +b a!#1 b!#2"}, {"unsub=a sub=c", "-a +c c!#3"},
		{"unsub=b sub=d,e", "-b close(8)"});
}

static void test_no_resend_on_repeat(void **state)
{
	(void)state;
	RUN({"set a v1", ""}, {"sub=a", "+a a=v1#1"}, {"nonce=#1", "ack(a v1 0)"}, {"nonce=#1", ""}, {"nonce=", ""});
}

static void test_half_close(void **state) /* 52 */
{
	(void)state;
	RUN({"set a v1", ""}, {"set b ?", ""}, {"sub=a,b,c", "+a +b +c a=v1#1 c!#2"}, {"sub=a", ""}, {"half", "a=v1#3"},
		{"set a v2", ""}, {"set b -", "b!#4 done"}, {"set b v1", "done"});
}

static void test_removal_forgets_what_was_held(void **state)
{
	(void)state;
	RUN({"set a v1", ""}, {"sub=a", "+a a=v1#1"}, {"nonce=#1", "ack(a v1 0)"}, {"set a -", "a!#2"},
		{"nonce=#2", ""}, {"set a v2", "a=v2#3"}, {"nonce=#3 error=x", "nack(a v2 13 x)"},
		{"set a v1", "a=v1#4"});
}

/* Beyond a few names there is a table; every way in and out of it. */
static void test_many_names(void **state)
{
	(void)state;
	RUN({"sub=1,2,3,4,5,6,7,8,9,10",
		    "+1 +2 +3 +4 +5 +6 +7 +8 +9 +10 1!#1 2!#2 3!#3 4!#4 5!#5 6!#6 7!#7 8!#8 9!#9 10!#10"},
		{"set 3 v1", ""}, {"nonce=#3", "3=v1#11"}, {"unsub=1,2,3,4,5,6,7,8,9", "-1 -2 -3 -4 -5 -6 -7 -8 -9"},
		{"sub=3", "+3 3=v1#12"}, {"unsub=3,10", "-3 -10"}, {"sub=3", "+3 3=v1#13"},
		{"sub=1,2,4,5,6,7,8,9", "+1 +2 +4 +5 +6 +7 +8 +9 1!#14 2!#15 4!#16 5!#17 6!#18 7!#19 8!#20 9!#21"},
		{"unsub=3,9,7", "-3 -9 -7"});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_subscribe_is_answered),
		cmocka_unit_test(test_subscribe_again_is_answered_again),
		cmocka_unit_test(test_unknown_is_removed_once),
		cmocka_unit_test(test_removal_that_is_nacked),
		cmocka_unit_test(test_unsubscribe),
		cmocka_unit_test(test_both_lists_mean_afresh),
		cmocka_unit_test(test_lists_ride_on_answers),
		cmocka_unit_test(test_initial_versions),
		cmocka_unit_test(test_a_claim_with_nul_is_none),
		cmocka_unit_test(test_wildcards),
		cmocka_unit_test(test_only_what_changed),
		cmocka_unit_test(test_nack),
		cmocka_unit_test(test_nacked_versions_are_remembered_within_bounds),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_impossible_names),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_no_resend_on_repeat),
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_removal_forgets_what_was_held),
		cmocka_unit_test(test_many_names),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
