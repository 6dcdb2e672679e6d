/* tests/unit/control/test_trust.c - anchors of authorities over time: kept over a restart with the authority down,
 * earlier ones kept for a leaf life. */
#include "control/rig.h"
#include "base/anchors.h"
#include "cache/description.h"

static const char yaml[] = "listen: [{unix: {path: /run/x/sds.sock}}]\nauthorities: {ca: {type: builtin}}\n"
			   "profiles: {workload: {authority: ca, lifetime: 1h}}\n"
			   "secrets: {web: {profile: workload, dns: [web.example]}, roots: {bundle: [ca]}}\n"
			   "policy: [{who: {uid: 7}, may: [\"**\"]}]\n";

static int start(void **state)
{
	struct rig *r = rig_prepare();
	r->fakes[0].name = "ca";
	*state = r;
	rig_start(r, yaml);
	rig_until(r, r->ready);
	return 0;
}

static int stop(void **state)
{
	rig_free(*state);
	return 0;
}

static size_t bundle_size(struct rig *r)
{
	struct version *v = NULL;
	must(control_get(r->control, "roots", &v));
	size_t n = version_description(v)->count;
	version_unref(v);
	return n;
}

/* What was served is served, trust is known, and nobody calls us unready for it. */
static void a_restart_with_the_authority_down_has_its_anchors(void **state)
{
	struct rig *r = *state;
	char web[33], roots[33];
	(void)snprintf(web, sizeof web, "%s", rig_last(r, TOLD_PUBLISH, "web")->version);
	(void)snprintf(roots, sizeof roots, "%s", rig_last(r, TOLD_PUBLISH, "roots")->version);
	rig_stop(r);
	r->fakes[0].start_hangs = true;
	rig_start(r, yaml);
	assert_true(r->ready); /* at once: nothing waits for the authority */
	assert_non_null(control_anchors(r->control, "ca"));
	assert_int_equal(anchors_count(control_anchors(r->control, "ca")), 1);
	assert_true(anchors_contain(control_anchors(r->control, "ca"), r->fakes[0].root.cert));
	assert_string_equal(rig_last(r, TOLD_PUBLISH, "web")->version, web);
	assert_string_equal(rig_last(r, TOLD_PUBLISH, "roots")->version, roots);
	assert_null(control_unready(r->control));
}

/* The same with one that answers, but badly. */
static void a_restart_with_a_failing_authority_is_ready(void **state)
{
	struct rig *r = *state;
	rig_stop(r);
	r->fakes[0].start_fault = FAULT_UNAVAILABLE;
	log_set_level(LOG_ERROR);
	rig_start(r, yaml);
	assert_true(r->ready);
	rig_until(r, r->fakes[0].ca->starts == 1);
	assert_null(control_unready(r->control));
}

static void a_first_start_waits_for_the_authority(void **state)
{
	struct rig *r = rig_prepare();
	(void)state;
	r->fakes[0].name = "ca";
	r->fakes[0].start_fault = FAULT_UNAVAILABLE;
	rig_start(r, yaml);
	rig_until(r, r->fakes[0].ca->starts == 1);
	assert_false(r->ready);
	assert_non_null(strstr(control_unready(r->control), "authority ca"));
	r->fakes[0].ca->start_fault = 0;
	rig_until(r, r->ready);
	rig_free(r);
}

/* The root is exchanged while we are down: both are in the bundle, as long as leaves under the old one may live. */
static void earlier_anchors_stay_for_a_leaf_life(void **state)
{
	struct rig *r = *state;
	struct pki_ca old = r->fakes[0].root;
	rig_stop(r);
	r->fakes[0].root = pki_ca_new("the next one");
	rig_start(r, yaml);
	rig_until(r, bundle_size(r) == 2);
	assert_true(anchors_contain(control_anchors(r->control, "ca"), old.cert));
	r->shift_ms += MS_PER_HOUR / 2 + MS_PER_HOUR / 4; /* the leaf is renewed, now under the new one */
	size_t before = rig_times(r, TOLD_PUBLISH, "web");
	rig_until(r, rig_times(r, TOLD_PUBLISH, "web") > before);
	assert_int_equal(bundle_size(r), 2);
	r->shift_ms += MS_PER_HOUR + 20 * MS_PER_S;
	rig_until(r, bundle_size(r) == 1);
	assert_true(anchors_contain(control_anchors(r->control, "ca"), r->fakes[0].root.cert));
	pki_ca_free(&old);
}

#define with_rig(test) cmocka_unit_test_setup_teardown(test, start, stop)
int main(void)
{
	const struct CMUnitTest tests[] = {
		with_rig(a_restart_with_the_authority_down_has_its_anchors),
		with_rig(a_restart_with_a_failing_authority_is_ready),
		cmocka_unit_test(a_first_start_waits_for_the_authority),
		with_rig(earlier_anchors_stay_for_a_leaf_life),
	};
	return cmocka_run_group_tests(tests, NULL, rig_end_pool);
}
