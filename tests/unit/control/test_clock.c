/* tests/unit/control/test_clock.c - the machine sleeps, its clock is set: what is due is done, nothing is issued under
 * a clock that contradicts what is known. */
#include "control/rig.h"

enum { WATCH_MS = 10 };
static const char yaml[] =
	"listen: [{unix: {path: /run/x/sds.sock}}]\n"
	"authorities: {lab: {type: builtin}}\n"
	"profiles: {workload: {authority: lab, lifetime: 10h}}\n"
	"secrets: {web: {profile: workload, dns: [web.example]}, api: {profile: workload, dns: [api.example]}}\n";

static int start(void **state)
{
	struct rig *r = rig_prepare();
	*state = r;
	r->watch_ms = WATCH_MS;
	rig_start(r, yaml);
	rig_until(r, r->ready);
	return 0;
}

static int prepare(void **state)
{
	struct rig *r = rig_prepare();
	*state = r;
	r->watch_ms = WATCH_MS;
	return 0;
}

static int stop(void **state)
{
	rig_free(*state);
	return 0;
}

static size_t issued(struct rig *r)
{
	return rig_times(r, TOLD_PUBLISH, "web") + rig_times(r, TOLD_PUBLISH, "api");
}

struct seen {
	const char *name;
	int64_t renew_at_ms, end_ms;
	char error[256];
};

static void note(void *arg, const struct control_secret *s)
{
	struct seen *seen = arg;
	if (strcmp(s->name, seen->name) != 0)
		return;
	seen->renew_at_ms = s->renew_at_ms;
	seen->end_ms = s->version ? version_not_after_ms(s->version) : 0;
	(void)snprintf(seen->error, sizeof seen->error, "%s", s->last_error ? s->last_error : "");
}

static struct seen look(struct rig *r, const char *name)
{
	struct seen seen = {.name = name};
	control_each_secret(r->control, note, &seen);
	return seen;
}

/* Until it has been looked many times what time has brought. */
static void let_some_looks_pass(struct rig *r)
{
	int64_t end = clock_mono_ms(clock_system()) + (int64_t)20 * WATCH_MS;
	while (clock_mono_ms(clock_system()) < end)
		(void)loop_turn(r->loop, true);
}

/* Eight hours with the lid closed. Timers counted none of them. */
static void what_became_due_in_a_suspend_is_done_at_once(void **state)
{
	struct rig *r = *state;
	const int64_t planned = look(r, "web").renew_at_ms;
	assert_in_range(planned - rig_wall(r), 4 * MS_PER_HOUR, 8 * MS_PER_HOUR);
	r->shift_ms = 8 * MS_PER_HOUR;
	rig_until(r, issued(r) == 4);
	assert_true(look(r, "web").renew_at_ms > rig_wall(r) + 4 * MS_PER_HOUR);
}

/* A fleet wakes up together: not every one of them asks in the same second. */
static void and_spread_over_a_while(void **state)
{
	struct rig *r = *state;
	r->waking_ms = 30 * MS_PER_MIN;
	rig_start(r, yaml);
	rig_until(r, r->ready);
	r->shift_ms = 71 * MS_PER_HOUR / 10; /* 2.9 hours are left: over 8.7 minutes */
	const int64_t woke = rig_wall(r);
	rig_until(r, look(r, "web").renew_at_ms >= woke && look(r, "api").renew_at_ms >= woke);
	const int64_t web = look(r, "web").renew_at_ms, api = look(r, "api").renew_at_ms;
	assert_true(web != api);
	assert_true(web < woke + 10 * MS_PER_MIN && api < woke + 10 * MS_PER_MIN);
	r->shift_ms += 12 * MS_PER_MIN;
	rig_until(r, issued(r) == 4);
}

/* Set ahead by more than leaves are backdated by: what would be issued now would not be valid yet where they are used.
 */
static void nothing_is_issued_by_a_clock_that_was_set(void **state)
{
	struct rig *r = *state;
	r->set_ms = 8 * MS_PER_HOUR;
	rig_until(r, strstr(look(r, "web").error, "the clock was set ahead by "));
	let_some_looks_pass(r);
	assert_int_equal(issued(r), 2);
	r->set_ms = 0;
	let_some_looks_pass(r);
	assert_int_equal(issued(r), 2); /* and it is not due */
	assert_true(look(r, "web").renew_at_ms > rig_wall(r) + 4 * MS_PER_HOUR);
	r->set_ms = 8 * MS_PER_HOUR;
	let_some_looks_pass(r);
	r->shift_ms = 3 * MS_PER_MIN; /* it has lasted: it was the former that was wrong */
	rig_until(r, issued(r) == 4);
	assert_string_equal(look(r, "web").error, "");
}

/* Set back to before what is known: what is held ages all the same, and is renewed when the clock agrees. */
static void nothing_is_issued_before_what_was_received(void **state)
{
	struct rig *r = *state;
	r->set_ms = -8 * MS_PER_HOUR - 4 * MS_PER_MIN; /* the authority's own root begins no sooner */
	r->shift_ms = 8 * MS_PER_HOUR;		       /* by the clock that nobody sets it is due */
	rig_until(r, strstr(look(r, "web").error, "and a certificate was received at "));
	let_some_looks_pass(r);
	assert_int_equal(issued(r), 2);
	r->done = false;
	control_rotate(r->control, "web", "uid 0", rig_on_done, r); /* an operator may know better */
	rig_until(r, r->done);
	must(TAKE(r->fault));
	assert_int_equal(issued(r), 3);
	r->set_ms = 0;
	rig_until(r, rig_times(r, TOLD_PUBLISH, "api") == 2);
}

/* The clock of a machine that has none, before NTP: no root of another age is made, and no leaf. */
static void nothing_begins_before_the_build(void **state)
{
	struct rig *r = *state;
	r->built_ms = rig_wall(r);
	r->set_ms = -20 * 366 * MS_PER_DAY;
	rig_start(r, yaml);
	let_some_looks_pass(r);
	assert_false(r->ready);
	assert_null(control_anchors(r->control, "lab"));
	assert_non_null(strstr(control_unready(r->control), "and this leafcast was built at "));
	r->set_ms = 0;
	rig_until(r, r->ready);
	assert_int_equal(issued(r), 2);
	assert_true(look(r, "web").end_ms > rig_wall(r));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_became_due_in_a_suspend_is_done_at_once, start, stop),
		cmocka_unit_test_setup_teardown(and_spread_over_a_while, prepare, stop),
		cmocka_unit_test_setup_teardown(nothing_is_issued_by_a_clock_that_was_set, start, stop),
		cmocka_unit_test_setup_teardown(nothing_is_issued_before_what_was_received, start, stop),
		cmocka_unit_test_setup_teardown(nothing_begins_before_the_build, prepare, stop),
	};
	return cmocka_run_group_tests(tests, NULL, rig_end_pool);
}
