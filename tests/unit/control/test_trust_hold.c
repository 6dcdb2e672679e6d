/* tests/unit/control/test_trust_hold.c - who is waited for, as a table of facts and verdicts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/attr.h"
#include "control/trust_hold.h"

enum { SHOWN = 1000, SOAK = 500, LIFE = 300 };

static const struct {
	const char *what;
	struct trust_verifier v;
	int64_t now_ms;
	enum trust_wait wait;
} cases[] = {
	{"connected, holds it", {.connected = true, .holds = true, .since_ms = 900}, 1001, TRUST_WAIT_NONE},
	{"holds it, NACKed something since", {.connected = true, .holds = true, .refused = true}, 1001,
		TRUST_WAIT_NONE},
	{"connected, has not answered", {.connected = true, .since_ms = 900}, 1001, TRUST_WAIT_SILENT},
	{"connected, silent after the soak", {.connected = true, .since_ms = 900}, 9999, TRUST_WAIT_SILENT},
	{"connected, NACKed", {.connected = true, .refused = true, .since_ms = 900}, 9999, TRUST_WAIT_REFUSED},
	{"away, seen lately", {.since_ms = 1300}, 1499, TRUST_WAIT_AWAY},
	{"away, the soak has passed", {.since_ms = 1300}, 1500, TRUST_WAIT_NONE},
	{"away for a leaf life", {.since_ms = 900}, 1200, TRUST_WAIT_NONE},
	{"away for nearly a leaf life", {.since_ms = 900}, 1199, TRUST_WAIT_AWAY},
	{"connected, silent, passed over", {.connected = true, .passed = true, .since_ms = 900}, 1001, TRUST_WAIT_NONE},
	{"away, passed over", {.passed = true, .since_ms = 1300}, 1499, TRUST_WAIT_NONE},
	{"away, but it held it", {.holds = true, .since_ms = 1100}, 1101, TRUST_WAIT_NONE},
};

static void each_verifier(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct trust_hold_facts f = {&cases[i].v, 1, SHOWN, SOAK, LIFE, 0};
		if (trust_wait_of(&f, &cases[i].v, cases[i].now_ms) != cases[i].wait)
			fail_msg("%s", cases[i].what);
		struct trust_hold h = trust_hold(&f, cases[i].now_ms);
		assert_int_equal(h.ready, cases[i].wait == TRUST_WAIT_NONE);
		assert_int_equal(h.waited_for, cases[i].wait != TRUST_WAIT_NONE);
	}
}

static void one_of_many_holds_it_up(void **state)
{
	const struct trust_verifier v[] = {{.connected = true, .holds = true}, {.connected = true},
		{.connected = true, .holds = true}, {.since_ms = 1100}};
	const struct trust_hold_facts f = {v, ARRAY_LEN(v), SHOWN, SOAK, LIFE, 0};
	(void)state;
	assert_int_equal(trust_hold(&f, 1200).waited_for, 2);
	assert_int_equal(trust_hold(&f, 5000).waited_for, 1);
	assert_false(trust_hold(&f, 5000).ready);
}

static void nobody_is_no_reason_to_wait(void **state)
{
	const struct trust_hold_facts f = {NULL, 0, SHOWN, SOAK, LIFE, 0};
	(void)state;
	assert_true(trust_hold(&f, SHOWN).ready);
}

static void after_a_restart_proxies_come_back_first(void **state)
{
	const struct trust_hold_facts f = {NULL, 0, SHOWN, SOAK, LIFE, 2000};
	(void)state;
	assert_false(trust_hold(&f, 1999).ready);
	assert_int_equal(trust_hold(&f, 1999).waited_for, 0);
	assert_true(trust_hold(&f, 2000).ready);
}

static void patience_ends_in_the_last_fifth(void **state)
{
	(void)state;
	assert_int_equal(trust_patience_ends_ms(10000, 1000), 9800);
	assert_int_equal(trust_patience_ends_ms(10000, 0), 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_verifier),
		cmocka_unit_test(one_of_many_holds_it_up),
		cmocka_unit_test(nobody_is_no_reason_to_wait),
		cmocka_unit_test(after_a_restart_proxies_come_back_first),
		cmocka_unit_test(patience_ends_in_the_last_fifth),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
