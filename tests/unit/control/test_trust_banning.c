/* tests/unit/control/test_trust_banning.c - an anchor is removed while its authority still shows it: out of the
 * bundles, over restarts too, what leads to it is refused, and it comes back when the ban is lifted. */
#include <fcntl.h>
#include <signal.h>
#include "control/rig.h"
#include "base/anchors.h"
#include "base/secret.h"
#include "cache/description.h"
#include "control/internal.h"

static const char yaml[] = "listen: [{unix: {path: /run/x/sds.sock}}]\nauthorities: {ca: {type: builtin}}\n"
			   "profiles: {workload: {authority: ca, lifetime: 1h}}\n"
			   "secrets: {web: {profile: workload, dns: [web.example]}, roots: {bundle: [ca]}}\n"
			   "policy: [{who: {uid: 7}, may: [\"**\"]}]\n";

/* The first one is to go; whether the authority signs under it is said by the test. */
static struct pki_ca roots[2];

static const char *sha256_of(const struct pki_ca *root)
{
	static char text[2][TRUST_SHA256_HEX + 1];
	struct anchors *a = pki_anchors(root, 1);
	char *ret = text[root != roots];
	(void)snprintf(ret, sizeof text[0], "%s", anchors_info(a, 0)->sha256);
	anchors_unref(a);
	return ret;
}

static size_t bundle_size(struct rig *r, const struct pki_ca *root, bool *ret_has)
{
	struct version *v = NULL;
	must(control_get(r->control, "roots", &v));
	const struct description *d = version_description(v);
	*ret_has = false;
	for (size_t i = 0; i < d->count; i++)
		*ret_has = *ret_has || strcmp(d->certs[i].sha256, sha256_of(root)) == 0;
	size_t n = d->count;
	version_unref(v);
	return n;
}

static bool bundle_is(struct rig *r, size_t count, bool has_first)
{
	bool has;
	return bundle_size(r, &roots[0], &has) == count && has == has_first;
}

/* The first one is not taken, now and when all that is under way has ended. */
static void expect_second_alone(struct rig *r)
{
	assert_int_equal(anchors_count(control_anchors(r->control, "ca")), 1);
	assert_true(anchors_contain(control_anchors(r->control, "ca"), roots[1].cert));
	rig_until(r, bundle_is(r, 1, false));
	rig_until(r, !store_pending(r->store));
	assert_true(bundle_is(r, 1, false));
}

static void show_both(struct rig *r)
{
	fake_ca_show(r->fakes[0].ca, roots, 2);
	rig_until(r, bundle_is(r, 2, true));
}

static int start(void **state)
{
	struct rig *r = rig_prepare();
	r->fakes[0].name = "ca";
	*state = r;
	rig_start(r, yaml);
	rig_until(r, r->ready);
	rig_until(r, rig_last(r, TOLD_PUBLISH, "roots"));
	roots[0] = r->fakes[0].root;
	roots[1] = pki_ca_new("the next root");
	return 0;
}

static int stop(void **state)
{
	log_set_fd(2);
	rig_free(*state); /* roots[0] is its own */
	pki_ca_free(&roots[1]);
	return 0;
}

static struct fault *wait_for(struct rig *r)
{
	rig_until(r, r->done);
	return TAKE(r->fault);
}

static struct fault *ban(struct rig *r, const char *sha256, bool force)
{
	r->done = false;
	control_trust_ban(r->control, "ca", sha256, force, "uid 0", rig_on_done, r);
	assert_false(r->done);
	return wait_for(r);
}

static struct fault *restore(struct rig *r, const char *sha256)
{
	r->done = false;
	control_trust_restore(r->control, "ca", sha256, "uid 0", rig_on_done, r);
	assert_false(r->done);
	return wait_for(r);
}

static struct fault *rotate(struct rig *r)
{
	r->done = false;
	control_rotate(r->control, "web", "uid 0", rig_on_done, r);
	return wait_for(r);
}

static void expect(struct fault *f, enum fault_code code, const char *words)
{
	assert_non_null(f);
	if (fault_code(f) != code || !strstr(fault_text(f), words))
		fail_msg("not \"%s\" but %d: %s", words, (int)fault_code(f), fault_text(f));
	fault_free(f);
}

struct bans {
	size_t count;
	bool shown;
};

static void see_ban(void *arg, const struct control_ban *b)
{
	struct bans *n = arg;
	assert_string_equal(b->authority, "ca");
	assert_string_equal(b->sha256, sha256_of(&roots[0]));
	assert_string_equal(b->by, "uid 0");
	n->count++;
	n->shown = b->shown;
}

static struct bans bans_of(struct rig *r)
{
	struct bans n = {0, false};
	control_each_ban(r->control, see_ban, &n);
	return n;
}

static void restart_with_both(struct rig *r)
{
	rig_stop(r);
	rig_start(r, yaml);
	show_both(r);
}

/* Between a start and the first answer as well as after it. */
static void a_ban_survives_restarts_and_what_is_shown(void **state)
{
	struct rig *r = *state;
	show_both(r);
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	must(ban(r, sha256_of(&roots[0]), true));
	expect_second_alone(r);
	assert_non_null(strstr(rig_audited(r, "trust.anchor_banned"), sha256_of(&roots[0])));
	fake_ca_show(r->fakes[0].ca, roots, 2);
	expect_second_alone(r);
	for (int i = 0; i < 2; i++) {
		rig_stop(r);
		rig_start(r, yaml);
		expect_second_alone(r);
		assert_int_equal(bans_of(r).count, 1);
		rig_until(r, authority_is_ready(authority_find(r->control, "ca"))); /* it shows the banned one alone */
		expect_second_alone(r);
		assert_true(bans_of(r).shown);
		fake_ca_show(r->fakes[0].ca, roots, 2);
		expect_second_alone(r);
	}
	expect(ban(r, sha256_of(&roots[0]), true), FAULT_CONFLICT, "removed already");
	must(restore(r, sha256_of(&roots[0])));
	assert_int_equal(bans_of(r).count, 0);
	rig_until(r, bundle_is(r, 2, true));
	assert_non_null(strstr(rig_audited(r, "trust.ban_lifted"), sha256_of(&roots[0])));
	restart_with_both(r);
	assert_int_equal(bans_of(r).count, 0);
}

static void a_leaf_under_a_banned_anchor_is_refused(void **state)
{
	struct rig *r = *state;
	show_both(r);
	must(ban(r, sha256_of(&roots[0]), true));
	char web[33], words[128];
	(void)snprintf(web, sizeof web, "%s", rig_last(r, TOLD_PUBLISH, "web")->version);
	(void)snprintf(words, sizeof words, "lift the ban with leafcast trust restore ca %s", sha256_of(&roots[0]));
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	expect(rotate(r), FAULT_CORRUPT, words);
	expect(rotate(r), FAULT_CORRUPT, "rejected answer: it leads to anchor");
	assert_string_equal(rig_last(r, TOLD_PUBLISH, "web")->version, web);
	r->fakes[0].ca->script.root = &roots[1];
	must(rotate(r));
	assert_string_not_equal(rig_last(r, TOLD_PUBLISH, "web")->version, web);
	r->fakes[0].ca->script.root = NULL;
	must(restore(r, sha256_of(&roots[0])));
	rig_until(r, bundle_is(r, 2, true));
	must(rotate(r));
}

static bool web_is_held(struct rig *r)
{
	struct entry_key *key = entry_key_new("web", NULL, 0);
	struct entry *e = entry_find(r->control, key);
	entry_key_unref(key);
	return e->held != NULL;
}

/* One that waits for its anchor is not served when that is banned meanwhile. */
static void a_leaf_that_waits_is_dropped(void **state)
{
	struct rig *r = *state;
	rig_report(r, REPORT_WANTED, 7, "roots", NULL); /* who never ACKs */
	show_both(r);
	r->fakes[0].ca->script.root = &roots[1];
	expect(rotate(r), FAULT_CONFLICT, "not every verifier holds yet");
	assert_true(web_is_held(r));
	must(ban(r, sha256_of(&roots[1]), true));
	assert_false(web_is_held(r));
	rig_until(r, bundle_is(r, 1, true));
}

static void refusals(void **state)
{
	struct rig *r = *state;
	const char *first = sha256_of(&roots[0]);
	expect(ban(r, first, true), FAULT_CONFLICT, "only anchor of authority ca");
	show_both(r);
	expect(ban(r, first, false), FAULT_CONFLICT, "still shows it, and 1 certificates");
	expect(ban(r, "ab", true), FAULT_INVALID, "64 hex digits");
	expect(ban(r, "ABABABABABABABABAB", true), FAULT_INVALID, "64 hex digits");
	expect(ban(r, "0000000000000000", true), FAULT_NOT_FOUND, "has no anchor");
	expect(restore(r, first), FAULT_NOT_FOUND, "removed by order");
	expect(restore(r, NULL), FAULT_INVALID, "name the anchor");
	r->done = false;
	control_trust_ban(r->control, "nobody", first, true, "uid 0", rig_on_done, r);
	expect(wait_for(r), FAULT_NOT_FOUND, "no authority nobody");
	assert_true(bundle_is(r, 2, true));
	/* two at once: one of them, by its first digits */
	char digits[TRUST_SHA256_LEAST + 1];
	(void)snprintf(digits, sizeof digits, "%s", first);
	struct rig other = {.done = false};
	r->done = false;
	control_trust_ban(r->control, "ca", digits, true, "uid 0", rig_on_done, r);
	control_trust_ban(r->control, "ca", digits, true, "uid 0", rig_on_done, &other);
	rig_until(r, r->done && other.done);
	assert_null(r->fault);
	expect(other.fault, FAULT_CONFLICT, "another order");
	expect_second_alone(r);
}

/* What cannot be read bans everything that is not known already. */
static void damaged_bans_unban_nothing(void **state)
{
	struct rig *r = *state;
	show_both(r);
	must(ban(r, sha256_of(&roots[0]), true));
	struct store_tx *tx = store_tx_new();
	struct secret *rubbish = NULL;
	must(secret_new("{", 1, &rubbish));
	store_tx_put_blob(tx, "trust-bans/ca", rubbish);
	secret_free(rubbish);
	r->done = false;
	store_commit(r->store, tx, rig_on_done, r);
	must(wait_for(r));
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	rig_stop(r);
	rig_start(r, yaml);
	rig_until(r, authority_is_ready(authority_find(r->control, "ca")));
	fake_ca_show(r->fakes[0].ca, roots, 2);
	expect_second_alone(r);
	struct control_reach reach;
	assert_true(control_trust_reach(r->control, "ca", &reach) && reach.bans_unreadable);
	expect(rotate(r), FAULT_CORRUPT, "cannot be read");
	expect(ban(r, sha256_of(&roots[1]), true), FAULT_CONFLICT, "cannot be read");
	expect(restore(r, sha256_of(&roots[0])), FAULT_CONFLICT, "--force");
	must(restore(r, NULL));
	assert_non_null(strstr(rig_audited(r, "trust.bans_forgotten"), "authority ca"));
	rig_until(r, bundle_is(r, 2, true));
	restart_with_both(r);
}

/* Whole or not at all. */
static void a_full_disk_changes_nothing(void **state)
{
	struct rig *r = *state;
	show_both(r);
	rig_until(r, !store_pending(r->store));
	(void)signal(SIGXFSZ, SIG_IGN);
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	rig_let_files_grow(false);
	expect(ban(r, sha256_of(&roots[0]), true), FAULT_UNAVAILABLE, "nothing was changed");
	rig_let_files_grow(true);
	assert_int_equal(bans_of(r).count, 0);
	assert_true(bundle_is(r, 2, true));
	assert_string_equal(rig_audited(r, "trust.anchor_banned"), "");
	must(ban(r, sha256_of(&roots[0]), true));
	rig_until(r, bundle_is(r, 1, false) && !store_pending(r->store));
	rig_let_files_grow(false);
	expect(restore(r, sha256_of(&roots[0])), FAULT_UNAVAILABLE, "still banned");
	rig_let_files_grow(true);
	assert_int_equal(bans_of(r).count, 1);
	assert_true(bundle_is(r, 1, false));
	must(restore(r, sha256_of(&roots[0])));
	rig_until(r, bundle_is(r, 2, true));
}

struct removed {
	bool done;
	struct fault *fault;
	size_t count;
};

static void on_removed(void *arg, struct fault *f, size_t count)
{
	*(struct removed *)arg = (struct removed){true, f, count};
}

static struct removed remove_old(struct rig *r)
{
	struct removed n = {false, NULL, 0};
	control_trust_remove(r->control, "ca", true, "uid 0", on_removed, &n);
	rig_until(r, n.done);
	return n;
}

/* The same of what the authority shows no more: nothing half done, also after a restart, and the words say how to go
 * on.
 */
static void a_full_disk_keeps_old_anchors(void **state)
{
	struct rig *r = *state;
	show_both(r);
	r->fakes[0].ca->script.root = &roots[1];
	fake_ca_show(r->fakes[0].ca, &roots[1], 1);
	rig_until(r, !store_pending(r->store));
	(void)signal(SIGXFSZ, SIG_IGN);
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	rig_let_files_grow(false);
	struct removed n = remove_old(r);
	rig_let_files_grow(true);
	expect(n.fault, FAULT_UNAVAILABLE, "every anchor is still in the bundles; order it again");
	assert_int_equal(anchors_count(control_anchors(r->control, "ca")), 2);
	assert_true(bundle_is(r, 2, true));
	assert_string_equal(rig_audited(r, "trust.anchors_removed"), "");
	r->fakes[0].start_hangs = true; /* what is known is from the store alone */
	rig_stop(r);
	rig_start(r, yaml);
	assert_int_equal(anchors_count(control_anchors(r->control, "ca")), 2);
	assert_true(bundle_is(r, 2, true));
	n = remove_old(r);
	assert_null(n.fault);
	assert_int_equal(n.count, 1);
	expect_second_alone(r);
	assert_non_null(strstr(rig_audited(r, "trust.anchors_removed"), "1 anchors"));
	rig_stop(r);
	rig_start(r, yaml);
	expect_second_alone(r);
}

#define with_rig(test) cmocka_unit_test_setup_teardown(test, start, stop)
int main(void)
{
	const struct CMUnitTest tests[] = {
		with_rig(a_ban_survives_restarts_and_what_is_shown),
		with_rig(a_leaf_under_a_banned_anchor_is_refused),
		with_rig(a_leaf_that_waits_is_dropped),
		with_rig(refusals),
		with_rig(damaged_bans_unban_nothing),
		with_rig(a_full_disk_changes_nothing),
		with_rig(a_full_disk_keeps_old_anchors),
	};
	return cmocka_run_group_tests(tests, NULL, rig_end_pool);
}
