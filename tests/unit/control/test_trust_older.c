/* tests/unit/control/test_trust_older.c - a compromise of an authority that makes its roots itself: the newest anchor
 * stays, everything is issued anew under it, then the older ones are banned though they are still shown. */
#include <fcntl.h>
#include "control/rig.h"
#include "base/anchors.h"
#include "base/credential.h"
#include "cache/description.h"
#include "control/internal.h"

static const char yaml[] = "listen: [{unix: {path: /run/x/sds.sock}}]\nauthorities: {ca: {type: builtin}}\n"
			   "profiles: {workload: {authority: ca, lifetime: 1h}}\n"
			   "secrets: {web: {profile: workload, dns: [web.example]}, roots: {bundle: [ca]}}\n"
			   "policy: [{who: {uid: 7}, may: [\"**\"]}]\n";

/* The second was made last. */
static struct pki_ca roots[2];

static void make_younger(struct pki_ca *root)
{
	assert_non_null(X509_gmtime_adj(X509_getm_notBefore(root->cert), -60));
	assert_true(X509_sign(root->cert, root->key, EVP_sha256()) > 0);
}

static int start(void **state)
{
	struct rig *r = rig_prepare();
	r->fakes[0].name = "ca";
	r->watch_ms = 50;
	*state = r;
	roots[1] = pki_ca_new("the next root");
	make_younger(&roots[1]);
	rig_start(r, yaml);
	rig_until(r, r->ready);
	rig_until(r, rig_last(r, TOLD_PUBLISH, "roots"));
	roots[0] = r->fakes[0].root;
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	return 0;
}

static int stop(void **state)
{
	log_set_fd(2);
	rig_free(*state);
	pki_ca_free(&roots[1]);
	return 0;
}

static bool is_trusted(struct rig *r, size_t count, const struct pki_ca *root)
{
	struct anchors *a = control_anchors(r->control, "ca");
	return anchors_count(a) == count && anchors_contain(a, root->cert);
}

static bool web_is_under(struct rig *r, const struct pki_ca *root)
{
	struct version *v = NULL;
	struct anchors *a = pki_anchors(root, 1);
	struct credential *c = NULL;
	must(control_get(r->control, "web", &v));
	must(version_read_credential(v, &c));
	struct fault *f = anchors_verify(a, credential_chain(c), 0, clock_wall_ms(&r->clock));
	bool yes = !f;
	credential_unref(c);
	fault_free(f);
	version_unref(v);
	anchors_unref(a);
	return yes;
}

static struct fault *compromise(struct rig *r)
{
	r->done = false;
	control_trust_rotate(r->control, "ca", 0, true, "uid 0", rig_on_done, r);
	assert_false(r->done);
	rig_until(r, r->done);
	return TAKE(r->fault);
}

static void expect(struct fault *f, const char *words)
{
	assert_non_null(f);
	if (!strstr(fault_text(f), words))
		fail_msg("no \"%s\" in: %s", words, fault_text(f));
	fault_free(f);
}

static void show_both(struct rig *r)
{
	fake_ca_show(r->fakes[0].ca, roots, 2);
	rig_until(r, is_trusted(r, 2, &roots[0]));
}

static bool is_over(struct rig *r)
{
	return !trust_order_state(r->control, "ca");
}

static void the_older_one_is_banned_though_it_is_shown(void **state)
{
	struct rig *r = *state;
	show_both(r);
	r->fakes[0].ca->script.root = &roots[1];
	must(compromise(r));
	assert_true(is_trusted(r, 2, &roots[0])); /* not before everything is under the new one */
	rig_until(r, is_over(r));
	assert_true(web_is_under(r, &roots[1]));
	assert_true(is_trusted(r, 1, &roots[1]));
	fake_ca_show(r->fakes[0].ca, roots, 2);
	assert_true(is_trusted(r, 1, &roots[1]));
	assert_string_not_equal(rig_audited(r, "trust.anchor_banned"), "");
	assert_string_not_equal(rig_audited(r, "trust.rotated"), "");
	rig_stop(r);
	rig_start(r, yaml);
	assert_true(is_over(r));
	assert_true(is_trusted(r, 1, &roots[1]));
}

/* It is begun while the authority does not sign under the new root yet, and ended by the next start. */
static void it_goes_on_after_a_restart(void **state)
{
	struct rig *r = *state;
	show_both(r);
	must(compromise(r));
	rig_until(r, !campaign_is_under_way(r->control, "ca")); /* under the old root again */
	assert_true(web_is_under(r, &roots[0]));
	assert_false(is_over(r));
	assert_true(is_trusted(r, 2, &roots[0]));
	expect(compromise(r), "already");
	rig_stop(r);
	rig_start(r, yaml);
	assert_string_equal(trust_order_state(r->control, "ca"), "compromised");
	rig_until(r, authority_is_ready(authority_find(r->control, "ca")));
	r->fakes[0].ca->script.root = &roots[1];
	show_both(r);
	r->shift_ms += 70 * MS_PER_S; /* proxies have come back by now */
	rig_until(r, is_over(r));
	assert_true(web_is_under(r, &roots[1]));
	assert_true(is_trusted(r, 1, &roots[1]));
}

static void without_a_new_root_it_is_refused(void **state)
{
	struct rig *r = *state;
	expect(compromise(r), "shows it beside the old one, order this again");
	show_both(r);
	fake_ca_show(r->fakes[0].ca, &roots[0], 1);
	expect(compromise(r), "cannot be told");
	assert_true(is_over(r));
	r->done = false;
	control_trust_rotate(r->control, "ca", 0, false, "uid 0", rig_on_done, r);
	rig_until(r, r->done);
	expect(TAKE(r->fault), "change them where they are made");
}

#define with_rig(test) cmocka_unit_test_setup_teardown(test, start, stop)
int main(void)
{
	const struct CMUnitTest tests[] = {
		with_rig(the_older_one_is_banned_though_it_is_shown),
		with_rig(it_goes_on_after_a_restart),
		with_rig(without_a_new_root_it_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, rig_end_pool);
}
