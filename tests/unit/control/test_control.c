/* tests/unit/control/test_control.c - the control loop with a real store and a real embedded authority. */
#include <fcntl.h>
#include "control/rig.h"
#include "base/anchors.h"
#include "base/credential.h"
#include "pki.h"

#define HEAD "listen: [{unix: {path: /run/x/sds.sock}}]\nauthorities: {lab: {type: builtin}}\n"
#define PROFILE "profiles: {workload: {authority: lab, lifetime: 1h, uri: [\"spiffe://td.example/uid/{uid}\"]}}\n"
#define RULES                                                                                                          \
	"policy:\n  - {who: {uid: 7}, may: [\"**\"], deny: [forbidden]}\n  - {who: {uid: 8}, may: [default, web]}\n"
static const char yaml[] = HEAD PROFILE "secrets: {default: {profile: workload}, web: {profile: workload, dns: "
					"[web.example], uri: []}, roots: {bundle: [lab]}}\n" RULES;
static const char other_name[] = HEAD PROFILE "secrets: {default: {profile: workload}, web: {profile: workload, dns: "
					      "[other.example], uri: []}, roots: {bundle: [lab]}}\n" RULES;
static const char without_web[] =
	HEAD PROFILE "secrets: {default: {profile: workload}, roots: {bundle: [lab]}}\n" RULES;

static int start(void **state)
{
	struct rig *r = rig_new(yaml);
	*state = r;
	rig_until(r, r->ready);
	return 0;
}

static int stop(void **state)
{
	rig_free(*state);
	return 0;
}

static struct told *published(struct rig *r, const char *entry)
{
	rig_until(r, rig_last(r, TOLD_PUBLISH, entry));
	return rig_last(r, TOLD_PUBLISH, entry);
}

static void exact_names_are_there_at_start(void **state)
{
	struct rig *r = *state;
	assert_non_null(rig_last(r, TOLD_PUBLISH, "web"));
	assert_non_null(rig_last(r, TOLD_PUBLISH, "roots"));
	assert_null(control_unready(r->control));
}

/* Two callers of one name are two entries, issued on first want; a second want of the same issues nothing. */
static void a_template_is_an_entry_for_each_caller(void **state)
{
	struct rig *r = *state;
	r->stream = 1;
	rig_report(r, REPORT_WANTED, 7, "default", NULL);
	rig_report(r, REPORT_WANTED, 7, "default", NULL); /* idempotent (design: invariant 2) */
	r->stream = 2;
	rig_report(r, REPORT_WANTED, 8, "default", NULL);
	(void)published(r, "default{uid=7}");
	(void)published(r, "default{uid=8}");
	assert_string_not_equal(rig_last(r, TOLD_PUBLISH, "default{uid=7}")->version,
		rig_last(r, TOLD_PUBLISH, "default{uid=8}")->version);
	assert_int_equal(rig_times(r, TOLD_PUBLISH, "default{uid=7}"), 1);
	struct version *v = NULL;
	must(control_get(r->control, "default{uid=8}", &v));
	assert_true(san_set_contains(&version_leaf(v)->sans, SAN_URI, "spiffe://td.example/uid/8"));
	version_unref(v);
	struct fault *f = control_get(r->control, "default", &v);
	assert_int_equal(fault_code(f), FAULT_CONFLICT);
	assert_non_null(strstr(fault_text(f), "default{uid=7}"));
	fault_free(f);
}

static void a_want_that_is_late_is_answered_by_a_publish(void **state)
{
	struct rig *r = *state;
	size_t before = rig_times(r, TOLD_PUBLISH, "web");
	rig_report(r, REPORT_WANTED, 7, "web", NULL);
	assert_int_equal(rig_times(r, TOLD_PUBLISH, "web"), before + 1);
}

static void unknown_and_denied_are_absent(void **state)
{
	struct rig *r = *state;
	rig_report(r, REPORT_WANTED, 7, "nothing", NULL);
	assert_int_equal(rig_last(r, TOLD_ABSENT, "nothing")->reason, ABSENT_UNKNOWN);
	rig_report(r, REPORT_WANTED, 7, "forbidden", NULL);
	assert_int_equal(rig_last(r, TOLD_ABSENT, "forbidden")->reason, ABSENT_DENIED);
	rig_report(r, REPORT_WANTED, 9, "web", NULL);
	assert_int_equal(rig_last(r, TOLD_ABSENT, "web")->reason, ABSENT_DENIED);
}

static void note_denial(void *arg, const struct control_denial *d)
{
	char *seen = arg;
	(void)snprintf(seen, 256, "%s %s %s %llu", d->identity, d->name, d->hint, (unsigned long long)d->count);
}

static void a_denial_names_the_rule(void **state)
{
	struct rig *r = *state;
	char seen[256] = "";
	rig_report(r, REPORT_WANTED, 101, "default", NULL);
	rig_report(r, REPORT_WANTED, 101, "default", NULL);
	control_each_denial(r->control, note_denial, seen);
	assert_string_equal(seen, "uid 101 default add {who: {uid: 101}, may: [default]} 2");
}

/* The hint is pasted by an operator: what the caller asked for must not widen it. */
static void a_hint_grants_no_more_than_the_name(void **state)
{
	struct rig *r = *state;
	char seen[256] = "";
	rig_report(r, REPORT_WANTED, 101, "x\", web, \"y", NULL);
	control_each_denial(r->control, note_denial, seen);
	assert_non_null(strstr(seen, "may: [\"x\\\", web, \\\"y\"]}"));
	rig_report(r, REPORT_WANTED, 101, "**", NULL);
	control_each_denial(r->control, note_denial, seen);
	assert_non_null(strstr(seen, "** the name holds a star"));
	assert_null(strstr(seen, "may:"));
}

static void count_denial(void *arg, const struct control_denial *d)
{
	(void)d;
	++*(size_t *)arg;
}

static void denials_are_bounded(void **state)
{
	struct rig *r = *state;
	size_t n = 0;
	log_set_fd(open("/dev/null", O_WRONLY));
	for (unsigned i = 0; i < 1100; i++) {
		char name[32];
		(void)snprintf(name, sizeof name, "n%u", i);
		r->count = 0;
		r->stream = i;
		rig_report(r, REPORT_WANTED, 101, name, NULL);
	}
	log_set_fd(2);
	control_each_denial(r->control, count_denial, &n);
	assert_int_equal(n, 1024);
}

static void rotate_is_done_when_every_worker_has_it(void **state)
{
	struct rig *r = *state;
	char before[33];
	(void)snprintf(before, sizeof before, "%s", rig_last(r, TOLD_PUBLISH, "web")->version);
	size_t times = rig_times(r, TOLD_PUBLISH, "web");
	r->hold_applied = true;
	control_rotate(r->control, "web", "uid 0", rig_on_done, r);
	rig_until(r, rig_times(r, TOLD_PUBLISH, "web") > times);
	assert_false(r->done);
	r->hold_applied = false;
	rig_applied(r, rig_last(r, TOLD_PUBLISH, "web")->seq);
	rig_until(r, r->done);
	assert_null(r->fault);
	assert_string_not_equal(rig_last(r, TOLD_PUBLISH, "web")->version, before);
}

static void refused(struct rig *r, enum fault_code code, const char *words)
{
	rig_until(r, r->done);
	assert_non_null(r->fault);
	if (fault_code(r->fault) != code || !strstr(fault_text(r->fault), words))
		fail_msg("%s: %s", fault_code_name(fault_code(r->fault)), fault_text(r->fault));
	fault_free(r->fault);
	r->fault = NULL;
	r->done = false;
}

static void orders_that_make_no_sense_are_refused(void **state)
{
	struct rig *r = *state;
	size_t n;
	control_rotate(r->control, "nothing", "uid 0", rig_on_done, r);
	assert_false(r->done); /* never from within the call */
	refused(r, FAULT_NOT_FOUND, "there is no secret");
	control_rotate(r->control, "roots", "uid 0", rig_on_done, r);
	refused(r, FAULT_INVALID, "not issued");
	control_rotate(r->control, "default", "uid 0", rig_on_done, r);
	refused(r, FAULT_NOT_FOUND, "nobody has asked");
	control_delete(r->control, "web", "uid 0", &n, rig_on_done, r);
	refused(r, FAULT_CONFLICT, "in the config");
	control_delete(r->control, "nothing", "uid 0", &n, rig_on_done, r);
	refused(r, FAULT_NOT_FOUND, "there is no secret");
}

static void put_get_delete(void **state)
{
	struct rig *r = *state;
	struct credential *c = pki_brought();
	size_t subscribers;
	struct version *v = NULL;
	control_put_certificate(r->control, "mine", c, "uid 0", rig_on_done, r);
	rig_until(r, r->done);
	assert_null(r->fault);
	r->done = false;
	assert_non_null(rig_last(r, TOLD_PUBLISH, "mine"));
	must(control_get(r->control, "mine", &v));
	control_put_bundle(r->control, "mine", control_anchors(r->control, "lab"), "uid 0", rig_on_done, r);
	refused(r, FAULT_CONFLICT, "of kind tls_certificate");
	control_put_certificate(r->control, "web", c, "uid 0", rig_on_done, r);
	refused(r, FAULT_CONFLICT, "in the config");
	rig_report(r, REPORT_WANTED, 7, "mine", NULL);
	control_delete(r->control, "mine", "uid 0", &subscribers, rig_on_done, r);
	rig_until(r, r->done);
	assert_null(r->fault);
	r->done = false;
	assert_int_equal(subscribers, 1);
	assert_int_equal(rig_last(r, TOLD_ABSENT, "mine")->reason, ABSENT_DELETED);
	/* The subscriber may hold a certificate: a bundle under this name would be applied openly. */
	control_put_bundle(r->control, "mine", control_anchors(r->control, "lab"), "uid 0", rig_on_done, r);
	refused(r, FAULT_CONFLICT, "still subscribe");
	rig_report(r, REPORT_GONE, 7, "mine", NULL);
	control_put_bundle(r->control, "mine", control_anchors(r->control, "lab"), "uid 0", rig_on_done, r);
	rig_until(r, r->done);
	assert_null(r->fault);
	version_unref(v);
	credential_unref(c);
}

/* design: invariant 3: the policy reaches the workers before any publish that depends on it. */
static void a_reload_sends_the_policy_first(void **state)
{
	struct rig *r = *state;
	size_t from = r->count;
	must(control_reload(r->control, rig_definitions(other_name)));
	assert_true(r->count > from);
	assert_int_equal(r->told[from].what, TOLD_POLICY);
	assert_int_equal(r->told[from].generation, 2);
	rig_until(r, rig_last(r, TOLD_PUBLISH, "web")->seq > r->told[from].seq);
	struct version *v = NULL;
	must(control_get(r->control, "web", &v));
	assert_true(san_set_contains(&version_leaf(v)->sans, SAN_DNS, "other.example"));
	version_unref(v);
}

static void a_removed_name_is_deleted(void **state)
{
	struct rig *r = *state;
	must(control_reload(r->control, rig_definitions(without_web)));
	rig_until(r, rig_last(r, TOLD_ABSENT, "web"));
	assert_int_equal(rig_last(r, TOLD_ABSENT, "web")->reason, ABSENT_DELETED);
}

/* design: invariant 4: what was begun under a definition that has moved on is wiped, not published. */
static void an_outdated_issuance_is_not_published(void **state)
{
	struct rig *r = *state;
	control_rotate(r->control, "web", "uid 0", rig_on_done, r);
	must(control_reload(r->control, rig_definitions(other_name)));
	uint64_t reloaded = rig_last(r, TOLD_POLICY, "")->seq;
	rig_until(r, rig_last(r, TOLD_PUBLISH, "web")->seq > reloaded);
	for (int i = 0; i < 50; i++)
		(void)loop_turn(r->loop, false);
	for (size_t i = 0; i < r->count; i++) {
		if (r->told[i].what != TOLD_PUBLISH || r->told[i].seq < reloaded ||
			strcmp(r->told[i].entry, "web") != 0)
			continue;
		struct version *v = NULL;
		must(control_get(r->control, "web", &v));
		assert_string_equal(r->told[i].version, version_id(v));
		assert_true(san_set_contains(&version_leaf(v)->sans, SAN_DNS, "other.example"));
		version_unref(v);
	}
	rig_until(r, r->done);
	fault_free(r->fault);
	r->fault = NULL;
}

static void a_bad_reload_changes_nothing(void **state)
{
	struct rig *r = *state;
	struct credential *c = pki_brought();
	control_put_certificate(r->control, "late", c, "uid 0", rig_on_done, r);
	rig_until(r, r->done);
	size_t from = r->count;
	struct fault *f = control_reload(r->control,
		rig_definitions(HEAD PROFILE "secrets: {default: {profile: workload}, late: {bundle: [lab]}}\n" RULES));
	assert_non_null(f);
	assert_int_equal(fault_code(f), FAULT_CONFLICT);
	assert_non_null(strstr(fault_text(f), "was put"));
	fault_free(f);
	assert_int_equal(r->count, from);
	assert_int_equal(policy_generation(control_policy(r->control)), 1);
	credential_unref(c);
}

static void a_restart_serves_the_same_versions(void **state)
{
	struct rig *r = *state;
	char web[33], roots[33], uid7[33];
	rig_report(r, REPORT_WANTED, 7, "default", NULL);
	(void)snprintf(uid7, sizeof uid7, "%s", published(r, "default{uid=7}")->version);
	(void)snprintf(web, sizeof web, "%s", rig_last(r, TOLD_PUBLISH, "web")->version);
	(void)snprintf(roots, sizeof roots, "%s", rig_last(r, TOLD_PUBLISH, "roots")->version);
	rig_stop(r);
	rig_start(r, yaml);
	assert_false(r->first_start);
	assert_string_equal(
		rig_last(r, TOLD_PUBLISH, "web")->version, web); /* at once, before any authority is ready */
	assert_string_equal(rig_last(r, TOLD_PUBLISH, "roots")->version, roots);
	assert_string_equal(rig_last(r, TOLD_PUBLISH, "default{uid=7}")->version, uid7);
	rig_until(r, r->ready);
	assert_int_equal(rig_times(r, TOLD_PUBLISH, "web"), 1);
}

/* What the config lost while leafcast was down is not mistaken for what an operator brought. */
static void a_restart_forgets_what_the_config_lost(void **state)
{
	struct rig *r = *state;
	struct version *v = NULL;
	struct credential *c = pki_brought();
	control_put_certificate(r->control, "mine", c, "uid 0", rig_on_done, r);
	rig_until(r, r->done);
	rig_stop(r);
	rig_start(r, HEAD PROFILE "secrets: {web: {profile: workload, dns: [web.example], uri: []}}\n" RULES);
	rig_until(r, r->ready);
	assert_null(rig_last(r, TOLD_PUBLISH, "roots"));
	assert_non_null(rig_last(r, TOLD_PUBLISH, "mine"));
	struct fault *f = control_get(r->control, "roots", &v);
	assert_int_equal(fault_code(f), FAULT_NOT_FOUND);
	fault_free(f);
	credential_unref(c);
}

static void note_renewal(void *arg, const struct control_secret *s)
{
	if (strcmp(s->name, "web") == 0)
		*(int64_t *)arg = s->renew_at_ms;
}

/* The wall clock is set ahead: everything is planned anew, and what is due is renewed. */
static void a_clock_that_jumps_is_noticed(void **state)
{
	struct rig *r = *state;
	int64_t renew_at = 0;
	size_t times = rig_times(r, TOLD_PUBLISH, "web");
	control_each_secret(r->control, note_renewal, &renew_at);
	assert_in_range(renew_at - rig_wall(r), 29 * MS_PER_MIN, 43 * MS_PER_MIN);
	log_set_fd(open("/dev/null", O_WRONLY));
	r->shift_ms = renew_at - rig_wall(r) + 1000;
	rig_until(r, rig_times(r, TOLD_PUBLISH, "web") > times);
	log_set_fd(2);
}

static void a_nack_is_told_to_every_worker(void **state)
{
	struct rig *r = *state;
	rig_report(r, REPORT_WANTED, 7, "web", NULL);
	char version[33];
	(void)snprintf(version, sizeof version, "%s", rig_last(r, TOLD_PUBLISH, "web")->version);
	log_set_fd(open("/dev/null", O_WRONLY));
	rig_report(r, REPORT_NACKED, 7, "web", version);
	log_set_fd(2);
	assert_non_null(rig_last(r, TOLD_QUARANTINE, "web"));
	assert_string_equal(rig_last(r, TOLD_QUARANTINE, "web")->version, version);
	assert_true(rig_last(r, TOLD_QUARANTINE, "web")->on);
	control_rotate(r->control, "web", "uid 0", rig_on_done, r);
	rig_until(r, r->done);
	assert_null(r->fault);
	assert_false(rig_last(r, TOLD_QUARANTINE, "web")->on); /* a newer version ends it */
}

struct seen {
	size_t subscribers, acked;
};

static void note_web(void *arg, const struct control_secret *s)
{
	struct seen *seen = arg;
	if (strcmp(s->name, "web") == 0)
		*seen = (struct seen){s->subscribers, s->acked};
}

static void subscribers_are_counted(void **state)
{
	struct rig *r = *state;
	struct seen seen;
	const char *version = rig_last(r, TOLD_PUBLISH, "web")->version;
	r->stream = 1;
	rig_report(r, REPORT_WANTED, 7, "web", NULL);
	r->stream = 2;
	rig_report(r, REPORT_WANTED | REPORT_ACKED, 8, "web", version);
	control_each_secret(r->control, note_web, &seen);
	assert_int_equal(seen.subscribers, 2);
	assert_int_equal(seen.acked, 1);
	rig_report(r, REPORT_GONE, 8, "web", NULL);
	control_each_secret(r->control, note_web, &seen);
	assert_int_equal(seen.subscribers, 1);
	assert_int_equal(seen.acked, 0);
}

static void a_reload_ends_the_orders_of_what_it_removes(void **state)
{
	struct rig *r = *state;
	control_rotate(r->control, "web", "uid 0", rig_on_done, r);
	must(control_reload(r->control, rig_definitions(without_web)));
	rig_until(r, r->done);
	assert_int_equal(fault_code(r->fault), FAULT_CONFLICT);
	fault_free(r->fault);
	rig_until(r, rig_last(r, TOLD_ABSENT, "web"));
}

/* Workers are slow: the renewal's wait outlives the secret. */
static void a_removed_entry_outlives_its_waits(void **state)
{
	struct rig *r = *state;
	size_t times = rig_times(r, TOLD_PUBLISH, "web");
	r->hold_applied = true;
	control_rotate(r->control, "web", "uid 0", rig_on_done, r);
	rig_until(r, rig_times(r, TOLD_PUBLISH, "web") > times);
	must(control_reload(r->control, rig_definitions(without_web)));
	rig_until(r, rig_last(r, TOLD_ABSENT, "web"));
	r->hold_applied = false;
	rig_applied(r, r->told[r->count - 1].seq);
	rig_report(r, REPORT_WANTED, 7, "nothing", NULL);
	rig_until(r, r->done);
	fault_free(r->fault);
}

static void a_put_survives_a_reload_of_other_names(void **state)
{
	struct rig *r = *state;
	struct credential *c = pki_brought();
	control_put_certificate(r->control, "mine", c, "uid 0", rig_on_done, r);
	must(control_reload(r->control, rig_definitions(yaml)));
	rig_until(r, r->done);
	must(r->fault);
	assert_non_null(rig_last(r, TOLD_PUBLISH, "mine"));
	credential_unref(c);
}

/* The name is put while the config takes it: the put is refused, and the configured secret comes. */
static void a_name_that_a_reload_takes_is_issued(void **state)
{
	struct rig *r = *state;
	must(control_reload(r->control, rig_definitions(without_web)));
	rig_until(r, rig_last(r, TOLD_ABSENT, "web"));
	struct credential *c = pki_brought();
	size_t times = rig_times(r, TOLD_PUBLISH, "web");
	control_put_certificate(r->control, "web", c, "uid 0", rig_on_done, r);
	must(control_reload(r->control, rig_definitions(yaml)));
	rig_until(r, r->done);
	assert_int_equal(fault_code(r->fault), FAULT_CONFLICT);
	fault_free(r->fault);
	rig_until(r, rig_times(r, TOLD_PUBLISH, "web") > times);
	credential_unref(c);
}

/* A renewal is being stored when its secret goes: what was served before goes too. */
static void a_commit_does_not_save_what_a_reload_removes(void **state)
{
	struct rig *r = *state;
	rig_until(r, !store_pending(r->store));
	must(control_reload(r->control, rig_definitions(other_name)));
	rig_until(r, store_pending(r->store));
	must(control_reload(r->control, rig_definitions(without_web)));
	rig_until(r, rig_last(r, TOLD_ABSENT, "web"));
	struct version *v = NULL;
	struct fault *f = control_get(r->control, "web", &v);
	assert_int_equal(fault_code(f), FAULT_NOT_FOUND);
	fault_free(f);
}

/* Stored while we close: no worker reports any more, and the order is answered all the same. */
static void an_order_is_answered_at_the_end(void **state)
{
	struct rig *r = *state;
	struct credential *c = pki_brought();
	control_put_certificate(r->control, "mine", c, "uid 0", rig_on_done, r);
	r->hold_applied = true;
	rig_stop(r);
	bool answered = r->done;
	fault_free(r->fault);
	r->fault = NULL;
	rig_start(r, yaml);
	assert_true(answered);
	credential_unref(c);
}

/* Between two starts an exact name became a template: the stored entry is nobody's, and is not renewed in vain. */
static void a_restart_forgets_what_a_template_left(void **state)
{
	static const char templated[] =
		HEAD PROFILE "secrets: {web: {profile: workload}, roots: {bundle: [lab]}}\n" RULES;
	struct rig *r = *state;
	struct version *v = NULL;
	rig_stop(r);
	rig_start(r, templated);
	rig_until(r, r->ready);
	struct fault *f = control_get(r->control, "web", &v);
	assert_int_equal(fault_code(f), FAULT_NOT_FOUND);
	fault_free(f);
	assert_null(rig_last(r, TOLD_PUBLISH, "web"));
}

#define with_rig(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_rig(exact_names_are_there_at_start),
		with_rig(a_template_is_an_entry_for_each_caller),
		with_rig(a_want_that_is_late_is_answered_by_a_publish),
		with_rig(unknown_and_denied_are_absent),
		with_rig(a_denial_names_the_rule),
		with_rig(denials_are_bounded),
		with_rig(rotate_is_done_when_every_worker_has_it),
		with_rig(orders_that_make_no_sense_are_refused),
		with_rig(put_get_delete),
		with_rig(a_reload_sends_the_policy_first),
		with_rig(a_removed_name_is_deleted),
		with_rig(an_outdated_issuance_is_not_published),
		with_rig(a_bad_reload_changes_nothing),
		with_rig(a_restart_serves_the_same_versions),
		with_rig(a_restart_forgets_what_the_config_lost),
		with_rig(a_clock_that_jumps_is_noticed),
		with_rig(a_nack_is_told_to_every_worker),
		with_rig(subscribers_are_counted),
		with_rig(a_hint_grants_no_more_than_the_name),
		with_rig(a_reload_ends_the_orders_of_what_it_removes),
		with_rig(a_removed_entry_outlives_its_waits),
		with_rig(a_put_survives_a_reload_of_other_names),
		with_rig(a_name_that_a_reload_takes_is_issued),
		with_rig(a_commit_does_not_save_what_a_reload_removes),
		with_rig(an_order_is_answered_at_the_end),
		with_rig(a_restart_forgets_what_a_template_left),
	};
	return cmocka_run_group_tests(tests, NULL, rig_end_pool);
}
