/* tests/unit/control/test_trust_switch.c - a leaf under a new root waits until the proxies that verify hold the root.
 */
#include "control/rig.h"
#include "base/anchors.h"
#include "base/credential.h"

static const char yaml[] = "listen: [{unix: {path: /run/x/sds.sock}}]\nauthorities: {ca: {type: builtin}}\n"
			   "profiles: {workload: {authority: ca, lifetime: 1h}}\n"
			   "secrets: {web: {profile: workload, dns: [web.example]}, roots: {bundle: [ca]}}\n"
			   "policy: [{who: {uid: 7}, may: [\"**\"]}, {who: {uid: 8}, may: [\"**\"]}]\n"
			   "trust: {soak: 10m}\n";
static const char other_name[] = "listen: [{unix: {path: /run/x/sds.sock}}]\nauthorities: {ca: {type: builtin}}\n"
				 "profiles: {workload: {authority: ca, lifetime: 1h}}\n"
				 "secrets: {web: {profile: workload, dns: [x.example]}, roots: {bundle: [ca]}}\n"
				 "policy: [{who: {uid: 7}, may: [\"**\"]}]\ntrust: {soak: 10m}\n";

static struct pki_ca next_root;

static int start(void **state)
{
	struct rig *r = rig_prepare();
	r->fakes[0].name = "ca";
	*state = r;
	next_root = pki_ca_new("the next root");
	rig_start(r, yaml);
	rig_until(r, r->ready);
	rig_until(r, rig_last(r, TOLD_PUBLISH, "roots"));
	return 0;
}

static int stop(void **state)
{
	rig_free(*state);
	pki_ca_free(&next_root);
	return 0;
}

/* The authority shows both roots and signs under the new one. */
static void switch_root(struct rig *r)
{
	const struct pki_ca both[] = {r->fakes[0].root, next_root};
	char before[33];
	(void)snprintf(before, sizeof before, "%s", rig_last(r, TOLD_PUBLISH, "roots")->version);
	r->fakes[0].ca->script.root = &next_root;
	fake_ca_show(r->fakes[0].ca, both, 2);
	rig_until(r, strcmp(rig_last(r, TOLD_PUBLISH, "roots")->version, before) != 0);
}

static const char *roots_version(struct rig *r)
{
	return rig_last(r, TOLD_PUBLISH, "roots")->version;
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

static void rotate(struct rig *r)
{
	r->done = false;
	fault_free(TAKE(r->fault));
	control_rotate(r->control, "web", "uid 0", rig_on_done, r);
	assert_false(r->done);
	rig_until(r, r->done);
}

/* The order is answered at once, and says who is in the way. */
static void rotate_is_held(struct rig *r, const char *why)
{
	rotate(r);
	assert_non_null(r->fault);
	assert_int_equal(fault_code(r->fault), FAULT_CONFLICT);
	if (!strstr(fault_text(r->fault), why))
		fail_msg("no \"%s\" in: %s", why, fault_text(r->fault));
	fault_free(TAKE(r->fault));
	assert_true(web_is_under(r, &r->fakes[0].root));
}

static void seen_secret(void *arg, const struct control_secret *s)
{
	bool *held = arg;
	if (strcmp(s->name, "web") == 0)
		*held = s->held_since_ms != 0 && s->held_for != NULL;
}

static bool status_says_held(struct rig *r)
{
	bool held = false;
	control_each_secret(r->control, seen_secret, &held);
	return held;
}

static void count_waited(void *arg, const struct control_waited *w)
{
	assert_string_equal(w->node, "node-1");
	assert_string_equal(w->bundle, "roots");
	++*(size_t *)arg;
}

static size_t waited(struct rig *r)
{
	size_t n = 0;
	control_each_waited(r->control, "ca", count_waited, &n);
	return n;
}

static void the_leaf_waits_for_the_ack_of_the_bundle(void **state)
{
	struct rig *r = *state;
	rig_report(r, REPORT_WANTED, 7, "roots", NULL);
	rig_report(r, REPORT_ACKED, 7, "roots", roots_version(r));
	rig_until(r, waited(r) == 0); /* the first root is held */
	switch_root(r);
	rotate_is_held(r, "node \"node-1\"");
	assert_true(status_says_held(r));
	assert_int_equal(waited(r), 1);
	size_t requests = r->fakes[0].ca->requests;
	rotate_is_held(r, "silent");
	assert_int_equal(r->fakes[0].ca->requests, requests); /* the one that waits is good enough */
	rig_report(r, REPORT_ACKED, 7, "roots", roots_version(r));
	rig_until(r, web_is_under(r, &next_root));
	assert_false(status_says_held(r));
	assert_int_equal(r->fakes[0].ca->requests, requests);
	rotate(r); /* from now on nothing waits */
	assert_null(r->fault);
}

static void an_ack_of_the_former_bundle_is_not_enough(void **state)
{
	struct rig *r = *state;
	char former[33];
	rig_report(r, REPORT_WANTED, 7, "roots", NULL);
	(void)snprintf(former, sizeof former, "%s", roots_version(r));
	switch_root(r);
	rig_report(r, REPORT_ACKED, 7, "roots", former);
	rotate_is_held(r, "silent");
}

static void a_nack_holds_it_until_the_last_fifth(void **state)
{
	struct rig *r = *state;
	rig_report(r, REPORT_WANTED, 7, "roots", NULL);
	rig_report(r, REPORT_ACKED, 7, "roots", roots_version(r));
	switch_root(r);
	rig_report(r, REPORT_NACKED, 7, "roots", roots_version(r));
	rotate_is_held(r, "refused");
	r->shift_ms += 47 * MS_PER_MIN;
	rotate_is_held(r, "refused"); /* also long after the soak time */
	r->shift_ms += 2 * MS_PER_MIN;
	rotate(r);
	assert_null(r->fault);
	assert_true(web_is_under(r, &next_root));
	assert_int_equal(waited(r), 1); /* it is passed over, not forgotten */
	rotate(r);
	assert_null(r->fault);
}

/* --- an operator passes over, and pauses --- */

static char passed_over[256];

static void on_passed(void *arg, struct fault *f, const char *who)
{
	(void)snprintf(passed_over, sizeof passed_over, "%s", who ? who : "");
	rig_on_done(arg, f);
}

static void proceed(struct rig *r, const char *node)
{
	r->done = false;
	fault_free(TAKE(r->fault));
	control_trust_proceed(r->control, "ca", node, "uid 0", on_passed, r);
	rig_until(r, r->done);
}

static void pause_trust(struct rig *r, bool on)
{
	r->done = false;
	fault_free(TAKE(r->fault));
	control_trust_pause(r->control, "ca", on, "uid 0", rig_on_done, r);
	rig_until(r, r->done);
}

static void is_refused(struct rig *r, enum fault_code code, const char *words)
{
	assert_non_null(r->fault);
	assert_int_equal(fault_code(r->fault), code);
	if (!strstr(fault_text(r->fault), words))
		fail_msg("no \"%s\" in: %s", words, fault_text(r->fault));
	fault_free(TAKE(r->fault));
}

/* Two bundles' subscribers under two identities, none of which takes the new root. */
static void two_that_do_not_answer(struct rig *r)
{
	rig_report(r, REPORT_WANTED, 7, "roots", NULL);
	rig_report(r, REPORT_ACKED, 7, "roots", roots_version(r));
	r->node = "node-2";
	r->stream++;
	rig_report(r, REPORT_WANTED, 8, "roots", NULL);
	rig_report(r, REPORT_ACKED, 8, "roots", roots_version(r));
	r->node = NULL;
	r->stream--;
	switch_root(r);
	rotate_is_held(r, "node-2");
}

struct seen_verifiers {
	size_t passed, silent;
};

static void see_verifier(void *arg, const struct control_verifier *v)
{
	struct seen_verifiers *n = arg;
	n->silent += strcmp(v->state, "silent") == 0;
	if (strcmp(v->state, "passed over") != 0)
		return;
	n->passed++;
	assert_string_equal(v->passed_by, "uid 0");
	assert_string_equal(v->node, "node-2");
}

static void see_anchor(void *arg, const struct control_anchor *a)
{
	struct rig *r = arg;
	struct seen_verifiers n = {0, 0};
	if (a->ready_ms)
		return;
	control_each_verifier(r->control, "ca", a->sha256, see_verifier, &n);
	assert_int_equal(n.passed, 1);
	assert_int_equal(n.silent, 1);
}

static void one_is_passed_over_by_name(void **state)
{
	struct rig *r = *state;
	two_that_do_not_answer(r);
	proceed(r, "node-3");
	is_refused(r, FAULT_NOT_FOUND, "node-1");
	proceed(r, "node-2");
	assert_null(r->fault);
	assert_non_null(strstr(passed_over, "node \"node-2\" (uid 8)"));
	assert_null(strstr(passed_over, "node-1"));
	control_each_anchor(r->control, see_anchor, r);
	assert_non_null(strstr(rig_audited(r, "trust.proceed_ordered"), "node-2"));
	rotate_is_held(r, "node-1"); /* that one is still waited for */
	assert_true(web_is_under(r, &r->fakes[0].root));
	rig_report(r, REPORT_ACKED, 7, "roots", roots_version(r));
	rig_until(r, web_is_under(r, &next_root));
}

/* Another one under that name is another one. */
static void who_is_passed_over_is_an_identity_with_a_name(void **state)
{
	struct rig *r = *state;
	two_that_do_not_answer(r);
	proceed(r, "node-2");
	assert_null(r->fault);
	rig_report(r, REPORT_ACKED, 7, "roots", roots_version(r));
	r->node = "node-2";
	r->stream = 20;
	rig_report(r, REPORT_WANTED, 7, "roots", NULL);
	r->node = NULL;
	rotate_is_held(r, "(uid 7) has not taken roots");
}

static void all_are_passed_over(void **state)
{
	struct rig *r = *state;
	two_that_do_not_answer(r);
	proceed(r, NULL);
	assert_null(r->fault);
	assert_non_null(strstr(passed_over, "node-1"));
	assert_non_null(strstr(passed_over, "node-2"));
	rig_until(r, web_is_under(r, &next_root));
	proceed(r, NULL);
	is_refused(r, FAULT_CONFLICT, "waiting for anybody");
	assert_non_null(strstr(rig_audited(r, "trust.proceed_all_ordered"), "node-1"));
}

static void passed_over_is_remembered_over_a_restart(void **state)
{
	struct rig *r = *state;
	two_that_do_not_answer(r);
	proceed(r, "node-2");
	rig_stop(r);
	rig_start(r, yaml);
	const struct pki_ca both[] = {r->fakes[0].root, next_root};
	fake_ca_show(r->fakes[0].ca, both, 2);
	r->fakes[0].ca->script.root = &next_root;
	rig_report(r, REPORT_WANTED, 7, "roots", NULL);
	rig_report(r, REPORT_ACKED, 7, "roots", roots_version(r));
	r->node = "node-2";
	r->stream++;
	rig_report(r, REPORT_WANTED, 8, "roots", NULL);
	r->shift_ms += 61 * MS_PER_S; /* the time to come back */
	rotate(r);
	fault_free(TAKE(r->fault)); /* perhaps before it was looked */
	rig_until(r, web_is_under(r, &next_root));
}

static void paused_nothing_moves(void **state)
{
	struct rig *r = *state;
	rig_report(r, REPORT_WANTED, 7, "roots", NULL);
	rig_report(r, REPORT_ACKED, 7, "roots", roots_version(r));
	pause_trust(r, false);
	is_refused(r, FAULT_CONFLICT, "is not paused");
	pause_trust(r, true);
	assert_null(r->fault);
	pause_trust(r, true);
	is_refused(r, FAULT_CONFLICT, "paused already, by uid 0");
	switch_root(r);
	rig_report(r, REPORT_ACKED, 7, "roots", roots_version(r)); /* it holds it: only the pause is in the way */
	rotate_is_held(r, "trust of authority ca is paused");
	proceed(r, NULL);
	is_refused(r, FAULT_CONFLICT, "leafcast trust resume ca");
	assert_non_null(strstr(rig_audited(r, "trust.paused"), "uid 0"));
	rig_stop(r); /* a restart changes nothing about it */
	rig_start(r, yaml);
	const struct pki_ca both[] = {r->fakes[0].root, next_root};
	fake_ca_show(r->fakes[0].ca, both, 2);
	r->fakes[0].ca->script.root = &next_root;
	r->shift_ms += 61 * MS_PER_S;
	rotate_is_held(r, "paused");
	pause_trust(r, false);
	assert_null(r->fault);
	rig_until(r, web_is_under(r, &next_root));
	assert_non_null(strstr(rig_audited(r, "trust.resumed"), "uid 0"));
}

static void nobody_subscribed_is_no_hold(void **state)
{
	struct rig *r = *state;
	switch_root(r);
	rotate(r);
	assert_null(r->fault);
	assert_true(web_is_under(r, &next_root));
}

static void who_went_away_is_waited_for_until_the_soak_has_passed(void **state)
{
	struct rig *r = *state;
	rig_report(r, REPORT_WANTED, 7, "roots", NULL);
	rig_report(r, REPORT_ACKED, 7, "roots", roots_version(r));
	rig_report(r, REPORT_GONE, 7, "roots", NULL);
	switch_root(r);
	rotate_is_held(r, "away");
	r->shift_ms += 9 * MS_PER_MIN;
	rotate_is_held(r, "away");
	r->shift_ms += 2 * MS_PER_MIN;
	rig_until(r, web_is_under(r, &next_root));
}

static void find_neighbour(void *arg, const struct control_waited *w)
{
	*(size_t *)arg += strcmp(w->node, "neighbour") == 0;
}

/* One identity that makes up nodes fills the memory, and pushes out its own. */
static void made_up_nodes_push_out_nobody_else(void **state)
{
	enum { MANY = 16384 + 2 };
	struct rig *r = *state;
	size_t found = 0;
	r->forget_told = true;
	for (size_t i = 0; i < MANY; i++) {
		AUTO(mem_freep) char *node = mem_printf("made-up-%zu", i);
		r->node = node;
		r->stream = 10 + i;
		rig_report(r, REPORT_WANTED, 7, "roots", NULL);
		rig_report(r, REPORT_GONE, 7, "roots", NULL);
	}
	r->node = "neighbour";
	rig_report(r, REPORT_WANTED, 8, "roots", NULL);
	rig_report(r, REPORT_GONE, 8, "roots", NULL);
	r->node = NULL;
	r->forget_told = false;
	switch_root(r);
	control_each_waited(r->control, "ca", find_neighbour, &found);
	assert_int_equal(found, 1);
}

static void who_comes_back_has_to_answer(void **state)
{
	struct rig *r = *state;
	rig_report(r, REPORT_WANTED, 7, "roots", NULL);
	rig_report(r, REPORT_GONE, 7, "roots", NULL);
	switch_root(r);
	rotate_is_held(r, "away");
	r->stream = 2;
	rig_report(r, REPORT_WANTED, 7, "roots", NULL);
	rotate_is_held(r, "silent");
	assert_int_equal(waited(r), 1);
	rig_report(r, REPORT_ACKED, 7, "roots", roots_version(r));
	rig_until(r, web_is_under(r, &next_root));
}

static void after_a_restart_proxies_have_time_to_come_back(void **state)
{
	struct rig *r = *state;
	struct pki_ca old = r->fakes[0].root;
	rig_stop(r);
	r->fakes[0].root = next_root;
	next_root = old; /* freed by stop() */
	rig_start(r, yaml);
	rig_until(r, control_anchors(r->control, "ca") && anchors_count(control_anchors(r->control, "ca")) == 2);
	rotate(r);
	assert_non_null(r->fault);
	assert_non_null(strstr(fault_text(r->fault), "come back"));
	fault_free(TAKE(r->fault));
	r->shift_ms += 61 * MS_PER_S;
	rig_until(r, web_is_under(r, &r->fakes[0].root));
}

static void ready_is_remembered_over_a_restart(void **state)
{
	struct rig *r = *state;
	switch_root(r);
	rig_until(r, waited(r) == 0);
	rig_stop(r);
	rig_start(r, yaml);
	const struct pki_ca both[] = {r->fakes[0].root, next_root};
	fake_ca_show(r->fakes[0].ca, both, 2);
	r->fakes[0].ca->script.root = &next_root;
	rotate(r);
	assert_null(r->fault);
	assert_true(web_is_under(r, &next_root));
}

static void a_reload_drops_what_waits(void **state)
{
	struct rig *r = *state;
	rig_report(r, REPORT_WANTED, 7, "roots", NULL);
	switch_root(r);
	rotate_is_held(r, "silent");
	size_t requests = r->fakes[0].ca->requests;
	must(control_reload(r->control, rig_definitions(other_name)));
	rig_until(r, r->fakes[0].ca->requests > requests && status_says_held(r));
	assert_true(web_is_under(r, &r->fakes[0].root));
	rig_report(r, REPORT_ACKED, 7, "roots", roots_version(r));
	rig_until(r, web_is_under(r, &next_root));
	struct version *v = NULL;
	must(control_get(r->control, "web", &v));
	assert_true(san_set_contains(&version_leaf(v)->sans, SAN_DNS, "x.example"));
	version_unref(v);
}

#define with_rig(test) cmocka_unit_test_setup_teardown(test, start, stop)
int main(void)
{
	const struct CMUnitTest tests[] = {
		with_rig(the_leaf_waits_for_the_ack_of_the_bundle),
		with_rig(an_ack_of_the_former_bundle_is_not_enough),
		with_rig(a_nack_holds_it_until_the_last_fifth),
		with_rig(one_is_passed_over_by_name),
		with_rig(who_is_passed_over_is_an_identity_with_a_name),
		with_rig(all_are_passed_over),
		with_rig(passed_over_is_remembered_over_a_restart),
		with_rig(paused_nothing_moves),
		with_rig(nobody_subscribed_is_no_hold),
		with_rig(who_went_away_is_waited_for_until_the_soak_has_passed),
		with_rig(made_up_nodes_push_out_nobody_else),
		with_rig(who_comes_back_has_to_answer),
		with_rig(after_a_restart_proxies_have_time_to_come_back),
		with_rig(ready_is_remembered_over_a_restart),
		with_rig(a_reload_drops_what_waits),
	};
	return cmocka_run_group_tests(tests, NULL, rig_end_pool);
}
