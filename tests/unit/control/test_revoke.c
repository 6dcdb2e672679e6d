/* Revocation: new key first, ACKed, then the authority, then the old key goes; over failures and restarts. */
#include "control/rig.h"

#define YAML(authority)                                                                                                \
	"listen: [{unix: {path: /run/x/sds.sock}}]\nauthorities: {lab: {type: builtin}, other: {type: builtin}}\n"     \
	"profiles: {workload: {authority: " authority ", lifetime: 10h}}\n"                                            \
	"secrets: {web: {profile: workload, dns: [web.example]}, roots: {bundle: [lab, other]}}\n"                     \
	"policy: [{who: {uid: 7}, may: [\"**\"]}]\n"
static const char yaml[] = YAML("lab"), embedded[] = YAML("other");

static char outcome[256];

static int start(void **state)
{
	struct rig *r = rig_prepare();
	r->fakes[0].name = "lab";
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

static void on_revoked(void *arg, struct fault *f, const char *what)
{
	(void)snprintf(outcome, sizeof outcome, "%s", what ? what : "");
	rig_on_done(arg, f);
}

static struct fault *finish(struct rig *r)
{
	rig_until(r, r->done);
	r->done = false;
	return TAKE(r->fault);
}

static void order(struct rig *r)
{
	r->done = false;
	control_revoke(r->control, "web", CA_REASON_KEY_COMPROMISE, "uid 0", on_revoked, r);
}

static void served(struct rig *r, char id[33], char serial[64])
{
	struct version *v = NULL;
	must(control_get(r->control, "web", &v));
	(void)snprintf(id, 33, "%s", version_id(v));
	(void)snprintf(serial, 64, "%s", version_leaf(v)->serial);
	version_unref(v);
}

static void count(void *arg, const struct control_version *v)
{
	(void)v;
	++*(size_t *)arg;
}

static size_t versions(struct rig *r)
{
	size_t n = 0;
	control_each_version(r->control, "web", count, &n);
	return n;
}

static void refused(struct fault *f, enum fault_code code, const char *words)
{
	assert_non_null(f);
	if (fault_code(f) != code || !strstr(fault_text(f), words))
		fail_msg("%s: %s", fault_code_name(fault_code(f)), fault_text(f));
	fault_free(f);
}

static void new_key_first(void **state)
{
	struct rig *r = *state;
	char old[33], serial[64], now[33], ignored[64];
	served(r, old, serial);
	rig_report(r, REPORT_WANTED, 7, "web", NULL);
	rig_report(r, REPORT_ACKED, 7, "web", old);
	order(r);
	rig_until(r, strcmp(rig_last(r, TOLD_PUBLISH, "web")->version, old) != 0);
	served(r, now, ignored);
	rig_until(r, rig_last(r, TOLD_REVOKED, "web")); /* no worker offers it again, whatever its proxy says */
	assert_string_equal(rig_last(r, TOLD_REVOKED, "web")->version, old);
	assert_true(rig_last(r, TOLD_REVOKED, "web")->seq > rig_last(r, TOLD_PUBLISH, "web")->seq);
	assert_int_equal(r->fakes[0].ca->revocations, 0); /* its proxy still holds the old one */
	assert_false(r->done);
	r->node = "who refuses the new one";
	r->stream = 9;
	rig_report(r, REPORT_WANTED, 7, "web", NULL);
	rig_report(r, REPORT_NACKED, 7, "web", now);
	assert_string_equal(rig_last(r, TOLD_QUARANTINE, "web")->fallback, "");
	assert_int_equal(rig_last(r, TOLD_QUARANTINE, "web")->older_count, 0);
	rig_report(r, REPORT_GONE, 7, "web", NULL);
	r->node = NULL;
	r->stream = 0;
	rig_report(r, REPORT_ACKED, 7, "web", now);
	must(finish(r));
	assert_int_equal(r->fakes[0].ca->revocations, 1);
	assert_int_equal(r->fakes[0].ca->reason, CA_REASON_KEY_COMPROMISE);
	assert_string_equal(r->fakes[0].ca->revoked, serial);
	assert_non_null(strstr(outcome, "authority lab, reason key-compromise"));
	assert_int_equal(versions(r), 1); /* nobody can go back to it */
	rig_stop(r);
	rig_start(r, yaml);
	rig_until(r, r->ready);
	assert_int_equal(versions(r), 1);
}

static bool is_from(struct rig *r, const char *authority)
{
	struct version *v = NULL;
	must(control_get(r->control, "web", &v));
	bool is = strcmp(version_authority(v), authority) == 0;
	version_unref(v);
	return is;
}

static void an_authority_that_cannot(void **state)
{
	struct rig *r = *state;
	rig_stop(r);
	rig_start(r, embedded);
	rig_until(r, r->ready && is_from(r, "other"));
	order(r);
	size_t before = versions(r);
	must(finish(r));
	assert_non_null(strstr(outcome, "recorded alone"));
	assert_int_equal(versions(r), before); /* one more, one less */
}

/* The authority does not answer: who waits is told, and it is tried until it has. */
static void tried_until_done(void **state)
{
	struct rig *r = *state;
	char old[33], serial[64];
	served(r, old, serial);
	order(r);
	r->fakes[0].ca->script = (struct fake_script){.delay_ms = 20};
	rig_until(r, r->fakes[0].ca->requests == 2); /* the new certificate */
	r->fakes[0].ca->script = (struct fake_script){.fault = FAULT_UNAVAILABLE, .retryable = true};
	refused(finish(r), FAULT_UNAVAILABLE, "asked again until it has");
	assert_int_equal(versions(r), 2);
	struct fault *f = NULL;
	control_rollback(r->control, "web", NULL, "uid 0", rig_on_done, r);
	f = finish(r);
	refused(f, FAULT_NOT_FOUND, "no earlier version"); /* not back to that one */
	rig_stop(r);
	r->fakes[0].ca = NULL;
	rig_start(r, yaml); /* it goes on after a restart */
	rig_until(r, rig_last(r, TOLD_REVOKED, "web"));
	r->shift_ms += MS_PER_MIN; /* proxies have had time to come back */
	rig_until(r, r->fakes[0].ca && r->fakes[0].ca->revocations == 1);
	assert_string_equal(r->fakes[0].ca->revoked, serial);
	rig_until(r, versions(r) == 1);
	assert_non_null(strstr(rig_audited(r, "secret.revoked"), "\"by\":\"uid 0\""));
	assert_string_equal(rig_last(r, TOLD_REVOKED, "web")->version, old);
}

static void restarted_before_there_was_a_new_one(void **state)
{
	struct rig *r = *state;
	char old[33], serial[64], now[33], ignored[64];
	served(r, old, serial);
	r->fakes[0].ca->script = (struct fake_script){.fault = FAULT_UNAVAILABLE, .retryable = true};
	order(r);
	refused(finish(r), FAULT_UNAVAILABLE, "no new certificate yet");
	served(r, now, ignored);
	assert_string_equal(now, old); /* still served */
	order(r);
	refused(finish(r), FAULT_CONFLICT, "revoked already");
	rig_stop(r);
	rig_start(r, yaml);
	rig_until(r, rig_last(r, TOLD_REVOKED, "web"));
	r->shift_ms += MS_PER_MIN;
	rig_until(r, r->fakes[0].ca->revocations == 1);
	assert_string_equal(r->fakes[0].ca->revoked, serial);
	served(r, now, ignored);
	assert_string_not_equal(now, old);
}

static void an_end_in_the_middle(void **state)
{
	struct rig *r = *state;
	r->fakes[0].ca->script = (struct fake_script){.delay_ms = FAKE_NEVER};
	order(r);
	rig_until(r, r->fakes[0].ca->requests == 2);
	rig_stop(r);
	refused(TAKE(r->fault), FAULT_UNAVAILABLE, "stopping");
	rig_start(r, yaml);
	rig_until(r, rig_last(r, TOLD_REVOKED, "web"));
	r->shift_ms += MS_PER_MIN;
	rig_until(r, r->fakes[0].ca->revocations == 1);
}

static void what_is_refused(void **state)
{
	struct rig *r = *state;
	control_revoke(r->control, "roots", CA_REASON_UNSPECIFIED, "uid 0", on_revoked, r);
	refused(finish(r), FAULT_INVALID, "is a bundle");
	control_revoke(r->control, "nobody", CA_REASON_UNSPECIFIED, "uid 0", on_revoked, r);
	refused(finish(r), FAULT_NOT_FOUND, "nobody");
	enum ca_reason reason;
	assert_true(ca_reason_parse("superseded", &reason) && reason == CA_REASON_SUPERSEDED);
	assert_false(ca_reason_parse("", &reason));
	assert_false(ca_reason_parse("hold", &reason));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {T(new_key_first), T(an_authority_that_cannot), T(tried_until_done),
		T(restarted_before_there_was_a_new_one), T(an_end_in_the_middle), T(what_is_refused)};
	return cmocka_run_group_tests(tests, NULL, rig_end_pool);
}
