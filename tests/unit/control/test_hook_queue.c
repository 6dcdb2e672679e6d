/* tests/unit/control/test_hook_queue.c - what waits for a hook: once for each entry and event, in order, bounded; and
 * how it is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/io/child_env.h"
#include "base/mem.h"
#include "control/hook_facts.h"
#include "control/hook_queue.h"

static struct hook_facts *facts(enum hook_event event, const char *entry, const char *error)
{
	return hook_facts_new(event, entry, entry, SECRET_TLS_CERTIFICATE, NULL, error, 0);
}

/* "event entry times error" of each, oldest first. */
static void assert_waiting(struct hook_queue *q, const char *expected)
{
	struct buf b = BUF_INIT;
	struct hook_facts *f;
	while ((f = hook_queue_take(q))) {
		buf_printf(&b, "%s %s %d %s;", hook_event_name(f->event), f->entry, (int)f->events,
			f->error ? f->error : "-");
		hook_facts_free(f);
	}
	assert_string_equal(buf_text(&b), expected);
	assert_int_equal(q->count, 0);
	buf_free(&b);
}

static void the_same_is_told_once_as_it_is_now(void **state)
{
	struct hook_queue q = {.max = 0};
	(void)state;
	assert_true(hook_queue_put(&q, facts(HOOK_FAILED, "a", "first")));
	assert_true(hook_queue_put(&q, facts(HOOK_FAILED, "b", "other")));
	assert_true(hook_queue_put(&q, facts(HOOK_FAILED, "a", "second")));
	assert_true(hook_queue_put(&q, facts(HOOK_FAILED, "a", "third")));
	assert_int_equal(q.count, 2);
	assert_waiting(&q, "failed a 3 third;failed b 1 other;");
}

/* Whoever is told last is told what is. */
static void a_rotation_ends_what_is_over(void **state)
{
	struct hook_queue q = {.max = 0};
	(void)state;
	assert_true(hook_queue_put(&q, facts(HOOK_ROTATED, "a", NULL)));
	assert_true(hook_queue_put(&q, facts(HOOK_FAILED, "a", "x")));
	assert_true(hook_queue_put(&q, facts(HOOK_EXPIRING, "a", NULL)));
	assert_true(hook_queue_put(&q, facts(HOOK_FAILED, "b", "x")));
	assert_true(hook_queue_put(&q, facts(HOOK_ROTATED, "a", NULL)));
	assert_true(hook_queue_put(&q, facts(HOOK_FAILED, "a", "later")));
	assert_waiting(&q, "rotated a 2 -;failed b 1 x;failed a 1 later;");
}

static void more_than_fits_is_counted(void **state)
{
	struct hook_queue q = {.max = 2};
	(void)state;
	assert_true(hook_queue_put(&q, facts(HOOK_ROTATED, "a", NULL)));
	assert_true(hook_queue_put(&q, facts(HOOK_ROTATED, "b", NULL)));
	assert_false(hook_queue_put(&q, facts(HOOK_ROTATED, "c", NULL)));
	assert_true(hook_queue_put(&q, facts(HOOK_ROTATED, "a", NULL))); /* it has its place */
	assert_int_equal(q.missed, 1);
	assert_waiting(&q, "rotated a 2 -;rotated b 1 -;");
	assert_true(hook_queue_put(&q, facts(HOOK_ROTATED, "c", NULL)));
	assert_int_equal(hook_queue_clear(&q), 1);
	assert_null(hook_queue_take(&q));
}

/* A fleet of 10,000 that rotates ten times fits, and each is told as it is at the end. */
static void a_fleet_fits(void **state)
{
	enum { FLEET = 10000, TIMES = 10 };
	struct hook_queue q = {.max = 0};
	struct hook_facts *f;
	size_t told = 0;
	(void)state;
	for (int64_t k = 0; k < TIMES; k++)
		for (int i = 0; i < FLEET; i++) {
			AUTO(mem_freep) char *name = mem_printf("n%d", i);
			assert_true(hook_queue_put(
				&q, hook_facts_new(HOOK_ROTATED, name, name, SECRET_TLS_CERTIFICATE, NULL, NULL, k)));
		}
	assert_int_equal(q.count, FLEET);
	while ((f = hook_queue_take(&q))) {
		assert_int_equal(f->at_ms, TIMES - 1);
		assert_int_equal(f->events, TIMES);
		told++;
		hook_facts_free(f);
	}
	assert_int_equal(told, FLEET);
	assert_int_equal(q.missed, 0);
}

static void both_ways_say_the_same(void **state)
{
	static const char *const expected[] = {"LEAFCAST_EVENT=failed", "LEAFCAST_HOOK=page",
		"LEAFCAST_AT=1970-01-01T00:00:00.000Z", "LEAFCAST_SECRET=we\\nb", "LEAFCAST_ENTRY=we\\nb{uid=7}",
		"LEAFCAST_KIND=tls_certificate", "LEAFCAST_ERROR=no\\ntime", "LEAFCAST_EVENTS=1", "LEAFCAST_MISSED=3",
		NULL};
	struct hook_facts *f =
		hook_facts_new(HOOK_FAILED, "we\nb", "we\nb{uid=7}", SECRET_TLS_CERTIFICATE, NULL, "no\ntime", 0);
	struct child_env env = CHILD_ENV_INIT;
	struct buf json = BUF_INIT;
	(void)state;
	hook_facts_add_env(f, "page", 3, &env);
	for (size_t i = 0; expected[i]; i++)
		assert_string_equal(child_env_list(&env)[i], expected[i]);
	assert_int_equal(env.count, ARRAY_LEN(expected) - 1);
	hook_facts_add_json(f, "page", 3, &json);
	assert_string_equal(buf_text(&json),
		"{\"event\":\"failed\",\"hook\":\"page\",\"at\":\"1970-01-01T00:00:00.000Z\",\"secret\":\"we\\\\nb\","
		"\"entry\":\"we\\\\nb{uid=7}\",\"kind\":\"tls_certificate\",\"error\":\"no\\\\ntime\",\"events\":1,"
		"\"missed\":3}\n");
	buf_free(&json);
	child_env_done(&env);
	hook_facts_free(f);
}

static void a_long_error_is_cut(void **state)
{
	char text[4 * HOOK_ERROR_MAX];
	(void)state;
	memset(text, 'x', sizeof text - 1);
	text[sizeof text - 1] = 0;
	struct hook_facts *f = facts(HOOK_FAILED, "a", text);
	assert_int_equal(strlen(f->error), HOOK_ERROR_MAX);
	hook_facts_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_same_is_told_once_as_it_is_now),
		cmocka_unit_test(a_rotation_ends_what_is_over),
		cmocka_unit_test(more_than_fits_is_counted),
		cmocka_unit_test(a_fleet_fits),
		cmocka_unit_test(both_ways_say_the_same),
		cmocka_unit_test(a_long_error_is_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
