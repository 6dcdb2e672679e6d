/* tests/unit/control/test_trust_takeover.c - a compromise is ordered while a new root is being rotated in over an hour:
 * that root stays, and the rest is done at once. */
#include <fcntl.h>
#include "control/rig.h"
#include "base/anchors.h"
#include "base/credential.h"
#include "control/internal.h"

static const char yaml[] =
	"listen: [{unix: {path: /run/x/sds.sock}}]\nauthorities: {ca: {type: builtin}}\n"
	"profiles: {workload: {authority: ca, lifetime: 24h}}\n"
	"secrets: {a: {profile: workload, dns: [a.example]}, b: {profile: workload, dns: [b.example]}, "
	"c: {profile: workload, dns: [c.example]}, roots: {bundle: [ca]}}\n"
	"policy: [{who: {uid: 7}, may: [\"**\"]}]\n";
enum { LEAVES = 3 };
static const char *const leaves[LEAVES] = {"a", "b", "c"};

static int start(void **state)
{
	struct rig *r = rig_prepare();
	r->watch_ms = 50;
	*state = r;
	rig_start(r, yaml);
	rig_until(r, r->ready);
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	return 0;
}

static int stop(void **state)
{
	log_set_fd(2);
	rig_free(*state);
	return 0;
}

static struct fault *order(struct rig *r, int64_t over_ms, bool compromised)
{
	r->done = false;
	control_trust_rotate(r->control, "ca", over_ms, compromised, compromised ? "uid 1" : "uid 0", rig_on_done, r);
	rig_until(r, r->done);
	return TAKE(r->fault);
}

static size_t count(const struct rig *r)
{
	return anchors_count(control_anchors(r->control, "ca"));
}

static bool is_over(const struct rig *r)
{
	return !trust_order_state(r->control, "ca");
}

/* How many of the leaves lead to an anchor of these. */
static size_t leaves_under(struct rig *r, struct anchors *a)
{
	size_t n = 0;
	for (size_t i = 0; i < LEAVES; i++) {
		struct version *v = NULL;
		struct credential *c = NULL;
		must(control_get(r->control, leaves[i], &v));
		must(version_read_credential(v, &c));
		struct fault *f = anchors_verify(a, credential_chain(c), 0, clock_wall_ms(&r->clock));
		n += !f;
		fault_free(f);
		credential_unref(c);
		version_unref(v);
	}
	return n;
}

static struct anchors *rotate_over_an_hour(struct rig *r)
{
	struct anchors *old = anchors_ref(control_anchors(r->control, "ca"));
	must(order(r, MS_PER_HOUR, false));
	assert_int_equal(count(r), 2);
	assert_string_equal(trust_order_state(r->control, "ca"), "rotating");
	rig_until(r, campaign_is_under_way(r->control, "ca"));
	return old;
}

static void assert_ended(struct rig *r, struct anchors *old)
{
	rig_until(r, is_over(r));
	assert_int_equal(count(r), 1);
	assert_int_equal(leaves_under(r, old), 0);
	assert_int_equal(leaves_under(r, control_anchors(r->control, "ca")), LEAVES);
	assert_false(campaign_is_under_way(r->control, "ca"));
}

static void the_rest_is_done_at_once(void **state)
{
	struct rig *r = *state;
	struct anchors *old = rotate_over_an_hour(r);
	must(order(r, 0, true));
	assert_ended(r, old);
	assert_string_not_equal(rig_audited(r, "trust.compromise_ordered"), "");
	anchors_unref(old);
}

static void it_goes_on_after_a_restart(void **state)
{
	struct rig *r = *state;
	struct anchors *old = rotate_over_an_hour(r);
	must(order(r, 0, true));
	rig_stop(r);
	rig_start(r, yaml);
	rig_until(r, r->ready);
	r->shift_ms += 70 * MS_PER_S; /* proxies have come back by now */
	assert_ended(r, old);
	anchors_unref(old);
}

static void a_rotation_takes_over_nothing(void **state)
{
	struct rig *r = *state;
	struct anchors *old = rotate_over_an_hour(r);
	struct fault *f = order(r, 0, false);
	assert_non_null(f);
	assert_int_equal(fault_code(f), FAULT_CONFLICT);
	fault_free(f);
	assert_string_equal(trust_order_state(r->control, "ca"), "rotating");
	anchors_unref(old);
}

#define with_rig(test) cmocka_unit_test_setup_teardown(test, start, stop)
int main(void)
{
	const struct CMUnitTest tests[] = {
		with_rig(the_rest_is_done_at_once),
		with_rig(it_goes_on_after_a_restart),
		with_rig(a_rotation_takes_over_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, rig_end_pool);
}
