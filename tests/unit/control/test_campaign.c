/* A rotation of many: spread, resumed after a restart, ended when nothing is left. */
#include "control/rig.h"

static const char yaml[] =
	"listen: [{unix: {path: /run/x/sds.sock}}]\nauthorities: {lab: {type: builtin}, other: {type: builtin}}\n"
	"profiles: {mine: {authority: lab, lifetime: 10h}, theirs: {authority: other, lifetime: 10h}}\n"
	"secrets: {a: {profile: mine, dns: [a]}, b: {profile: mine, dns: [b]}, c: {profile: mine, dns: [c]},\n"
	"  x: {profile: theirs, dns: [x]}, roots: {bundle: [lab, other]}}\n"
	"policy: [{who: {uid: 7}, may: [\"**\"]}]\n";

static int start(void **state)
{
	struct rig *r = rig_prepare();
	r->fakes[0].name = "lab";
	r->fakes[1].name = "other";
	rig_start(r, yaml);
	rig_until(r, r->ready);
	*state = r;
	return 0;
}

static int stop(void **state)
{
	rig_free(*state);
	return 0;
}

static void order(struct rig *r, const char *authority, int64_t over_ms)
{
	r->done = false;
	control_rotate_all(r->control, authority, over_ms, "uid 0", rig_on_done, r);
	rig_until(r, r->done);
	must(TAKE(r->fault));
}

static void note(void *arg, const struct control_campaign *k)
{
	*(struct control_campaign *)arg = *k;
}

static struct control_campaign campaign(struct rig *r)
{
	struct control_campaign k = {0};
	control_each_campaign(r->control, note, &k);
	return k;
}

static size_t issued(struct rig *r)
{
	return r->fakes[0].ca->requests;
}

static void all_of_one_authority(void **state)
{
	struct rig *r = *state;
	assert_int_equal(issued(r), 3);
	order(r, "lab", 0);
	rig_until(r, issued(r) == 6 && !campaign(r).ordered_ms);
	assert_int_equal(r->fakes[1].ca->requests, 1);
	order(r, NULL, 0);
	rig_until(r, issued(r) == 9 && r->fakes[1].ca->requests == 2 && !campaign(r).ordered_ms);
}

static int64_t received(struct rig *r, const char *name)
{
	struct version *v = NULL;
	must(control_get(r->control, name, &v));
	int64_t at = version_received_at_ms(v);
	version_unref(v);
	return at;
}

/* What was received in the very millisecond of the order was there before it. */
static void received_just_now(void **state)
{
	struct rig *r = *state;
	const int64_t at = received(r, "c");
	r->stand_ms = at;
	order(r, "lab", 0);
	assert_true(campaign(r).left > 0);
	r->stand_ms = 0;
	rig_until(r, received(r, "c") > at && !campaign(r).ordered_ms);
}

/* And so was what was received at a time that, after the clock was set back, is still to come. */
static void the_clock_was_set_back(void **state)
{
	struct rig *r = *state;
	const int64_t hour = 3600000;
	r->set_ms = -hour;
	order(r, "lab", 4 * hour);
	rig_until(r, issued(r) == 6 && !campaign(r).ordered_ms);
}

/* Spread over hours, each at its own time; over a restart, and none twice. */
static void spread_and_resumed(void **state)
{
	struct rig *r = *state;
	const int64_t hour = 3600000;
	order(r, "lab", 4 * hour);
	struct control_campaign k = campaign(r);
	assert_int_equal(k.total, 3);
	assert_int_equal(k.left, 3);
	assert_int_equal(k.until_ms - k.ordered_ms, 4 * hour);
	rig_stop(r);
	r->shift_ms = 4 * hour; /* every one is due, and none by its own window */
	rig_start(r, yaml);
	rig_until(r, issued(r) == 3 && !campaign(r).ordered_ms);
	rig_stop(r);
	rig_start(r, yaml);
	rig_until(r, r->ready);
	assert_int_equal(issued(r), 0);
	assert_int_equal(campaign(r).ordered_ms, 0);
}

/* Facts are not sealed: whatever numbers stand there, an order has an end. */
static void numbers_out_of_bounds(void **state)
{
	struct rig *r = *state;
	static const struct {
		int64_t ordered_ms, over_ms, expected_over_ms;
	} rows[] = {{INT64_MAX, INT64_MAX, CONTROL_OVER_MAX_MS}, {INT64_MAX, INT64_MIN, 0}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct store_tx *tx = store_tx_new();
		store_tx_put_fact(tx, "rotate-at/lab", rows[i].ordered_ms);
		store_tx_put_fact(tx, "rotate-over/lab", rows[i].over_ms);
		r->done = false;
		store_commit(r->store, tx, rig_on_done, r);
		rig_until(r, r->done);
		must(TAKE(r->fault));
		rig_stop(r);
		rig_start(r, yaml);
		struct control_campaign k = campaign(r);
		assert_true(k.ordered_ms > 0 && k.ordered_ms <= clock_wall_ms(&r->clock) + 1);
		assert_int_equal(k.until_ms - k.ordered_ms, rows[i].expected_over_ms);
	}
	rig_until(r, issued(r) == 3 && !campaign(r).ordered_ms);
}

static void failures_are_counted_and_tried_again(void **state)
{
	struct rig *r = *state;
	r->fakes[0].ca->script = (struct fake_script){.fault = FAULT_UNAVAILABLE, .retryable = true};
	order(r, "lab", 0);
	rig_until(r, campaign(r).failing == 3);
	r->fakes[0].ca->script = (struct fake_script){0};
	rig_until(r, !campaign(r).ordered_ms);
}

static void a_pin_does_not_hold_it_up(void **state)
{
	struct rig *r = *state;
	r->done = false;
	control_pin(r->control, "a", true, "uid 0", rig_on_done, r);
	rig_until(r, r->done);
	must(TAKE(r->fault));
	order(r, "lab", 0);
	rig_until(r, issued(r) == 6 && !campaign(r).ordered_ms);
}

static void an_unknown_authority(void **state)
{
	struct rig *r = *state;
	control_rotate_all(r->control, "nobody", 0, "uid 0", rig_on_done, r);
	rig_until(r, r->done);
	assert_int_equal(fault_code(r->fault), FAULT_NOT_FOUND);
	fault_free(r->fault);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {T(all_of_one_authority), T(received_just_now), T(the_clock_was_set_back),
		T(spread_and_resumed), T(numbers_out_of_bounds), T(failures_are_counted_and_tried_again),
		T(a_pin_does_not_hold_it_up), T(an_unknown_authority)};
	return cmocka_run_group_tests(tests, NULL, rig_end_pool);
}
