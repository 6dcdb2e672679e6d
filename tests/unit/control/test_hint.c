/* tests/unit/control/test_hint.c - when an authority would like a leaf to be renewed: followed within the profile's
 * window, kept over a restart, gone with the version that it came with. */
#include "control/rig.h"

static const char yaml[] = "listen: [{unix: {path: /run/x/sds.sock}}]\n"
			   "authorities: {lab: {type: builtin}}\n"
			   "profiles: {workload: {authority: lab, lifetime: 10h}}\n"
			   "secrets: {web: {profile: workload, dns: [web.example]}}\n";
/* Some minutes within the five to seven hours of the profile. */
static const struct fake_script hinting = {.renew = {6 * MS_PER_HOUR, 6 * MS_PER_HOUR + 6 * MS_PER_MIN}};

static int stop(void **state)
{
	rig_free(*state);
	return 0;
}

static int start(void **state)
{
	struct rig *r = rig_prepare();
	*state = r;
	r->fakes[0].name = "lab";
	rig_start(r, yaml);
	fake_ca_next(r->fakes[0].ca, hinting); /* it answers on a later turn */
	rig_until(r, r->ready);
	return 0;
}

static void note(void *arg, const struct control_secret *s)
{
	if (strcmp(s->name, "web") == 0)
		*(int64_t *)arg = s->renew_at_ms;
}

static int64_t renew_at(struct rig *r)
{
	int64_t at = 0;
	control_each_secret(r->control, note, &at);
	return at;
}

static void rotate(struct rig *r)
{
	r->done = false;
	control_rotate(r->control, "web", "uid 0", rig_on_done, r);
	rig_until(r, r->done);
	must(TAKE(r->fault));
}

#define assert_hinted(r, begin_ms)                                                                                     \
	assert_in_range(                                                                                               \
		renew_at(r), (begin_ms) + 6 * MS_PER_HOUR - MS_PER_MIN, (begin_ms) + 6 * MS_PER_HOUR + 8 * MS_PER_MIN)

static void it_is_followed_and_kept_over_a_restart(void **state)
{
	struct rig *r = *state;
	const int64_t now = rig_wall(r);
	assert_hinted(r, now);
	const int64_t planned = renew_at(r);
	rig_stop(r);
	rig_start(r, yaml);
	rig_until(r, r->ready);
	assert_int_equal(renew_at(r), planned);
}

/* The next version comes without one: nothing of the former is left, neither now nor after a restart. */
static void it_goes_with_its_version(void **state)
{
	struct rig *r = *state;
	fake_ca_next(r->fakes[0].ca, (struct fake_script){.renew = {MS_PER_HOUR, 5 * MS_PER_HOUR + MS_PER_MIN}});
	rotate(r);
	const int64_t begin_ms = rig_wall(r);
	assert_in_range(
		renew_at(r), begin_ms + 5 * MS_PER_HOUR - MS_PER_MIN, begin_ms + 5 * MS_PER_HOUR + 2 * MS_PER_MIN);
	rotate(r); /* without one: drawn from two hours */
	int64_t plain = renew_at(r);
	rig_stop(r);
	rig_start(r, yaml);
	rig_until(r, r->ready);
	assert_int_equal(renew_at(r), plain);
	assert_in_range(plain, begin_ms + 5 * MS_PER_HOUR - MS_PER_MIN, begin_ms + 7 * MS_PER_HOUR + MS_PER_MIN);
	r->done = false;
	control_rollback(r->control, "web", NULL, "uid 0", rig_on_done, r);
	rig_until(r, r->done);
	must(TAKE(r->fault));
	rotate(r); /* ends the pin */
	assert_in_range(
		renew_at(r), begin_ms + 5 * MS_PER_HOUR - MS_PER_MIN, begin_ms + 7 * MS_PER_HOUR + 2 * MS_PER_MIN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_is_followed_and_kept_over_a_restart, start, stop),
		cmocka_unit_test_setup_teardown(it_goes_with_its_version, start, stop),
	};
	return cmocka_run_group_tests(tests, NULL, rig_end_pool);
}
