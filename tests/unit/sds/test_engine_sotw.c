/* The state-of-the-world engine: assertions 7 to 26 of the conformance list that are the engine's own, as tables. */
#include "engine_script.h"

static const struct engine_limits limits = {.names = 40, .resend_on_repeat_ms = 1000};
static const struct engine_limits no_repeat = {.names = 40};

#define RUN(...) SCRIPT_RUN(ENGINE_SOTW, &limits, __VA_ARGS__)

static void test_first_request_is_answered_once(void **state) /* 7, 9, 19 */
{
	(void)state;
	RUN({"set a v1", ""}, {"names=a", "+a a=v1#1"}, {"at 20", ""}, {"names=a nonce=#1 version=v1", "ack(a v1 20)"},
		{"set a v1", ""}, {"at 9000", ""});
}

static void test_push_without_request(void **state) /* 18 */
{
	(void)state;
	RUN({"set a v1", ""}, {"names=a", "+a a=v1#1"}, {"names=a nonce=#1 version=v1", "ack(a v1 0)"},
		{"set a v2", "a=v2#2"}, {"names=a nonce=#2 version=v2", "ack(a v2 0)"});
}

static void test_nack_is_not_answered_with_the_same(void **state) /* 10, 11 */
{
	(void)state;
	RUN({"set a v1", ""}, {"names=a", "+a a=v1#1"},
		/* the version says v1, but error_detail alone decides */
		{"names=a nonce=#1 version=v1 error=bad", "nack(a v1 13 bad)"}, {"set a v1", ""},
		{"names=a nonce=#1 version=v1", ""}, {"at 5000", ""}, {"set a v2", "a=v2#2"},
		{"names=a nonce=#2 version=v2", "ack(a v2 0)"}, {"set a v1", ""}, {"set a v3", "a=v3#3"});
}

static void test_nack_is_healed_once_by_what_was_good(void **state)
{
	(void)state;
	RUN({"set a v1", ""}, {"names=a", "+a a=v1#1"}, {"names=a nonce=#1 version=v1", "ack(a v1 0)"},
		{"set a v2", "a=v2#2"}, {"names=a nonce=#2 version=v1 error=bad", "nack(a v2 13 bad) a=v1#3"},
		{"names=a nonce=#3 version=v1", "ack(a v1 0)"}, {"set a v2", ""}, {"set a v2", ""},
		{"set a v3", "a=v3#4"});
}

static void test_nack_of_what_heals_ends_it(void **state)
{
	(void)state;
	RUN({"set a v1", ""}, {"names=a", "+a a=v1#1"}, {"names=a nonce=#1 version=v1", "ack(a v1 0)"},
		{"set a v2", "a=v2#2"}, {"names=a nonce=#2 version=v1 error=bad", "nack(a v2 13 bad) a=v1#3"},
		{"names=a nonce=#3 version=v1 error=bad", "nack(a v1 13 bad)"}, {"set a v2", ""}, {"set a v1", ""},
		{"set a v4", "a=v4#4"});
}

static void test_nacked_versions_stay_nacked(void **state)
{
	(void)state;
	RUN({"set a v1", ""}, {"names=a", "+a a=v1#1"}, {"names=a nonce=#1 error=x", "nack(a v1 13 x)"},
		{"set a v2", "a=v2#2"}, {"names=a nonce=#2 error=x", "nack(a v2 13 x)"}, {"set a v1", ""},
		{"set a v2", ""}, {"set a v3", "a=v3#3"}, {"names=a nonce=#3", "ack(a v3 0)"}, {"set a v1", ""});
}

static void test_error_in_first_request_is_no_nack(void **state) /* 22 */
{
	(void)state;
	RUN({"set a v1", ""}, {"names=a error=old", "+a a=v1#1"}, {"names=a nonce= error=older", ""},
		{"names=a nonce=#1", "ack(a v1 0)"});
}

static void test_stale_nonce_acknowledges_nothing(void **state) /* 12 */
{
	(void)state;
	RUN({"set a v1", ""}, {"names=a", "+a a=v1#1"}, {"names=a nonce=#1", "ack(a v1 0)"}, {"set a v2", "a=v2#2"},
		{"names=a nonce=#1 error=late", ""}, {"names=a nonce=#7", ""}, {"names=a nonce=q-2", ""},
		{"names=a nonce=q7-2", ""}, {"names=a nonce=p7.2", ""}, {"names=a nonce=#02", ""},
		{"names=a nonce=#2x", ""}, {"names=a nonce=#", ""}, {"names=a nonce=#99999999999999999999", ""},
		{"names=a nonce=#2", "ack(a v2 0)"});
}

static void test_stale_nonce_loses_no_name(void **state) /* 13 */
{
	(void)state;
	RUN({"set a v1", ""}, {"set b v1", ""}, {"set c v1", ""}, {"names=a", "+a a=v1#1"},
		{"names=a nonce=#1", "ack(a v1 0)"}, {"set a v2", "a=v2#2"}, {"names=a,b nonce=#1", "+b b=v1#3"},
		{"names=b,c nonce=#9", "-a +c c=v1#4"}, {"names=b,c nonce=#3", "ack(b v1 0)"},
		{"names=b,c nonce=#4", "ack(c v1 0)"});
}

static void test_added_name_is_sent_again(void **state) /* 14, 15, 16 */
{
	(void)state;
	RUN({"set a v1", ""}, {"set b v1", ""}, {"names=a,b", "+a +b a=v1#1 b=v1#2"},
		{"names=a,b nonce=#1", "ack(a v1 0)"}, {"names=a,b nonce=#2", "ack(b v1 0)"},
		{"names=a nonce=#2", "-b"}, {"set b v2", ""}, {"set b v1", ""}, {"names=a,b nonce=#2", "+b b=v1#3"},
		{"names=a,b nonce=#3", "ack(b v1 0)"}, {"names= nonce=#3", "-a -b"}, {"set a v2", ""},
		{"names= nonce=#3", ""}, {"names=a nonce=#3", "+a a=v2#4"});
}

static void test_empty_first_request_and_wildcards(void **state) /* 17 */
{
	(void)state;
	RUN({"set * v1", ""}, {"set a v1", ""}, {"names=", ""}, {"names=*", "+*"}, {"names=*,", "+"},
		{"names=*,a", "- +a a=v1#1"}, {"names=*,a nonce=#1", "ack(a v1 0)"}, {"half", "done"});
}

static void test_unknown_is_silent_until_it_exists(void **state) /* 20, 26 */
{
	(void)state;
	RUN({"names=a,b", "+a +b"}, {"set a v1", "a=v1#1"}, {"names=a,b nonce=#1", "ack(a v1 0)"}, {"set a -", ""},
		{"set b ?", ""}, {"set b v1", "b=v1#2"}, {"names=a,b nonce=#2", "ack(b v1 0)"}, {"set a v1", "a=v1#3"});
}

static void test_reconnect_gets_everything(void **state) /* 21 */
{
	(void)state;
	RUN({"set a v1", ""}, {"names=a version=v1", "+a~v1 a=v1#1"});
	RUN({"set a v1", ""}, {"set b v1", ""}, {"names=a,b version=v1", "+a +b a=v1#1 b=v1#2"});
	RUN({"names=a version=012345678901234567890123456789012", "+a"}); /* 33 bytes: none of ours */
	RUN({"names=", ""}, {"names=a version=v1", "+a"});
}

static void test_changes_between_acks_are_merged(void **state) /* 23 */
{
	(void)state;
	RUN({"set a v1", ""}, {"names=a", "+a a=v1#1"}, {"set a v2", ""}, {"set a v3", ""}, {"set a v4", ""},
		{"names=a nonce=#1", "ack(a v1 0) a=v4#2"}, {"set a v5", ""}, {"set a v4", ""},
		{"names=a nonce=#2", "ack(a v4 0)"}, {"set a v6", "a=v6#3"}, {"set a -", ""},
		{"names=a nonce=#3", "ack(a v6 0)"});
}

static void test_duplicates_in_a_list(void **state) /* 24 */
{
	(void)state;
	RUN({"set a v1", ""}, {"names=a,a,a version=v1", "+a~v1 a=v1#1"}, {"names=a,a nonce=#1", "ack(a v1 0)"},
		{"names=a nonce=#1", "a=v1#2"});
}

static void test_verbatim_repeat_is_answered_at_a_bounded_rate(void **state) /* 25 */
{
	(void)state;
	RUN({"set a v1", ""}, {"set b v1", ""}, {"names=a,b", "+a +b a=v1#1 b=v1#2"},
		{"names=a,b nonce=#1", "ack(a v1 0)"}, {"names=a,b nonce=#2", "ack(b v1 0)"}, {"at 100", ""},
		{"names=a,b nonce=#2", "a=v1#3 b=v1#4"}, {"names=a,b nonce=#3", "ack(a v1 0)"},
		{"names=a,b nonce=#4", "ack(b v1 0)"}, {"names=a,b nonce=#4", "wake(1100)"},
		{"names=a,b nonce=#4", "wake(1100)"}, {"at 1099", "wake(1100)"}, {"at 1100", "a=v1#5 b=v1#6"},
		{"at 5000", ""});
	SCRIPT_RUN(ENGINE_SOTW, &no_repeat, {"set a v1", ""}, {"names=a", "+a a=v1#1"},
		{"names=a nonce=#1", "ack(a v1 0)"}, {"names=a nonce=#1", ""}, {"at 9000", ""});
}

static void test_repeat_before_the_first_answer(void **state)
{
	(void)state;
	/* What is under way answers the repeat, too; a rejected version is not repeated. */
	RUN({"set a v1", ""}, {"names=a", "+a a=v1#1"}, {"names=a", ""}, {"at 2000", ""},
		{"names=a nonce=#1", "ack(a v1 2000)"});
	RUN({"set a v1", ""}, {"names=a", "+a a=v1#1"}, {"names=a nonce=#1 error=x", "nack(a v1 13 x)"},
		{"names=a nonce=#1", ""}, {"at 2000", ""}, {"names=a nonce=#1", ""}, {"set a v2", "a=v2#2"});
}

static void test_merged_answers(void **state)
{
	(void)state;
	/* An ACK of the last speaks for those before; after a NACK of the last they are merely not awaited. */
	RUN({"set a v1", ""}, {"set b v1", ""}, {"set c v1", ""}, {"names=a,b,c", "+a +b +c a=v1#1 b=v1#2 c=v1#3"},
		{"set a v2", ""}, {"names=a,b,c nonce=#2", "ack(a v1 0) ack(b v1 0) a=v2#4"},
		{"names=a,b,c nonce=#1", ""}, {"names=a,b,c nonce=#4 error=x", "nack(a v2 13 x) a=v1#5"},
		{"set c v2", "c=v2#6"}, {"names=a,b,c nonce=#6", "ack(a v1 0) ack(c v2 0)"});
}

static void test_answer_and_removal_in_one_request(void **state)
{
	(void)state;
	RUN({"set a v1", ""}, {"set b v1", ""}, {"names=a,b", "+a +b a=v1#1 b=v1#2"},
		{"names=b nonce=#1", "ack(a v1 0) -a"}, {"names= nonce=#2 error=x", "nack(b v1 13 x) -b"},
		{"names=b nonce=#2", "+b b=v1#3"});
}

static void test_name_dropped_while_its_offer_is_out(void **state)
{
	(void)state;
	RUN({"set a v1", ""}, {"names=a", "+a a=v1#1"}, {"names=", "-a"}, {"names= nonce=#1 error=x", ""},
		{"names=a nonce=#1", "+a a=v1#2"}, {"names=a nonce=#1", ""}, {"names=a nonce=#2", "ack(a v1 0)"});
}

/* The nonce of a dropped name is an answer all the same, and may be the last that the client has. */
static void test_answer_under_the_nonce_of_a_dropped_name(void **state)
{
	(void)state;
	RUN({"set a v1", ""}, {"set b v1", ""}, {"names=a,b", "+a +b a=v1#1 b=v1#2"}, {"names=a", "-b"},
		{"names=a nonce=#2", "ack(a v1 0)"}, {"names=a nonce=#1", ""}, {"names=a nonce=#2", "a=v1#3"});
}

static void test_limits(void **state)
{
	(void)state;
	static const struct engine_limits two = {.names = 2}, bytes = {.names = 9, .name_bytes = 4};
	SCRIPT_RUN(ENGINE_SOTW, &two, {"names=a,b", "+a +b"}, {"names=b,c", "-a +c"}, {"names=d,e", "-b -c +d +e"},
		{"names=d,e,f", "close(8)"});
	SCRIPT_RUN(ENGINE_SOTW, &two, {"names=a,b,a,b,c", "close(8)"});
	SCRIPT_RUN(ENGINE_SOTW, &bytes, {"names=aa,bb", "+aa +bb"}, {"names=aaa,b,", "-aa -bb +aaa +b +"},
		{"names=aaaa,b", "-aaa - close(8)"});
}

static void test_half_close(void **state) /* 52 */
{
	(void)state;
	RUN({"set a v1", ""}, {"set b ?", ""}, {"names=a,b,c", "+a +b +c a=v1#1"}, {"half", ""}, {"set a v2", ""},
		{"set b v1", "b=v1#2 done"}, {"set b v2", "done"});
	RUN({"set a ?", ""}, {"names=a", "+a"}, {"half", ""}, {"set a -", "done"});
	RUN({"set a v1", ""}, {"hold a", ""}, {"names=a", "+a"}, {"half", "done"});
	RUN({"half", "done"});
}

static void test_held_back(void **state)
{
	(void)state;
	RUN({"set a v1", ""}, {"names=a", "+a a=v1#1"}, {"names=a nonce=#1", "ack(a v1 0)"}, {"hold a", ""},
		{"set a v2", ""}, {"free a", "a=v2#2"});
}

static void test_watchdog(void **state)
{
	(void)state;
	RUN({"set a v1", ""}, {"set b v1", ""}, {"names=a", "+a a=v1#1"}, {"at 500", ""}, {"names=a,b", "+b b=v1#2"},
		{"at 900", ""}, {"reoffer 500", "1 a=v1#3"}, {"names=a,b nonce=#1", ""},
		{"names=a,b nonce=#3", "ack(b v1 400) ack(a v1 0)"}, {"reoffer 99999", "0"});
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_request_is_answered_once),
		cmocka_unit_test(test_push_without_request),
		cmocka_unit_test(test_nack_is_not_answered_with_the_same),
		cmocka_unit_test(test_nack_is_healed_once_by_what_was_good),
		cmocka_unit_test(test_nack_of_what_heals_ends_it),
		cmocka_unit_test(test_nacked_versions_stay_nacked),
		cmocka_unit_test(test_error_in_first_request_is_no_nack),
		cmocka_unit_test(test_stale_nonce_acknowledges_nothing),
		cmocka_unit_test(test_stale_nonce_loses_no_name),
		cmocka_unit_test(test_added_name_is_sent_again),
		cmocka_unit_test(test_empty_first_request_and_wildcards),
		cmocka_unit_test(test_unknown_is_silent_until_it_exists),
		cmocka_unit_test(test_reconnect_gets_everything),
		cmocka_unit_test(test_changes_between_acks_are_merged),
		cmocka_unit_test(test_duplicates_in_a_list),
		cmocka_unit_test(test_verbatim_repeat_is_answered_at_a_bounded_rate),
		cmocka_unit_test(test_repeat_before_the_first_answer),
		cmocka_unit_test(test_merged_answers),
		cmocka_unit_test(test_answer_and_removal_in_one_request),
		cmocka_unit_test(test_name_dropped_while_its_offer_is_out),
		cmocka_unit_test(test_answer_under_the_nonce_of_a_dropped_name),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_half_close),
		cmocka_unit_test(test_held_back),
		cmocka_unit_test(test_watchdog),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
