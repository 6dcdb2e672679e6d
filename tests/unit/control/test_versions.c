/* Earlier versions: rollback and pin, over renewals and restarts. */
#include "control/rig.h"
#include "base/credential.h"
#include "pki.h"

#define HOUR_MS INT64_C(3600000)

static const char yaml[] = "listen: [{unix: {path: /run/x/sds.sock}}]\nauthorities: {lab: {type: builtin}}\n"
			   "profiles: {workload: {authority: lab, lifetime: 10h}}\n"
			   "secrets: {web: {profile: workload, dns: [web.example]}, roots: {bundle: [lab]}}\n"
			   "policy: [{who: {uid: 7}, may: [\"**\"]}]\n";
static const char other_name[] = "listen: [{unix: {path: /run/x/sds.sock}}]\nauthorities: {lab: {type: builtin}}\n"
				 "profiles: {workload: {authority: lab, lifetime: 10h}}\n"
				 "secrets: {web: {profile: workload, dns: [wrong.example]}, roots: {bundle: [lab]}}\n"
				 "policy: [{who: {uid: 7}, may: [\"**\"]}]\n";

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

static struct fault *finish(struct rig *r)
{
	rig_until(r, r->done);
	r->done = false;
	return TAKE(r->fault);
}

static void rotate(struct rig *r)
{
	control_rotate(r->control, "web", "uid 0", rig_on_done, r);
	must(finish(r));
}

static void pin(struct rig *r, bool on)
{
	control_pin(r->control, "web", on, "uid 0", rig_on_done, r);
	must(finish(r));
}

static struct fault *rollback(struct rig *r, const char *name, const char *version)
{
	control_rollback(r->control, name, version, "uid 0", rig_on_done, r);
	return finish(r);
}

static void refused(struct fault *f, enum fault_code code, const char *words)
{
	assert_non_null(f);
	if (fault_code(f) != code || !strstr(fault_text(f), words))
		fail_msg("%s: %s", fault_code_name(fault_code(f)), fault_text(f));
	fault_free(f);
}

static void served(struct rig *r, char id[33])
{
	struct version *v = NULL;
	must(control_get(r->control, "web", &v));
	(void)snprintf(id, 33, "%s", version_id(v));
	version_unref(v);
}

struct listed {
	size_t count;
	char current[33];
	bool pinned;
};

static void note(void *arg, const struct control_version *v)
{
	struct listed *l = arg;
	l->count++;
	if (v->is_current)
		(void)snprintf(l->current, sizeof l->current, "%s", v->id);
	l->pinned = l->pinned || v->pinned;
}

static struct listed list(struct rig *r)
{
	struct listed l = {0};
	control_each_version(r->control, "web", note, &l);
	return l;
}

static void note_renewal(void *arg, const struct control_secret *s)
{
	if (strcmp(s->name, "web") == 0)
		*(int64_t *)arg = s->renew_at_ms;
}

static int64_t renew_at(struct rig *r)
{
	int64_t at = 0;
	control_each_secret(r->control, note_renewal, &at);
	return at;
}

static void to_the_latest_and_to_one_by_name(void **state)
{
	struct rig *r = *state;
	char first[33], second[33], third[33], now[33];
	served(r, first);
	rotate(r);
	served(r, second);
	rotate(r);
	served(r, third);
	assert_int_equal(list(r).count, 3);
	must(rollback(r, "web", NULL));
	served(r, now);
	assert_string_equal(now, second);
	assert_string_equal(rig_last(r, TOLD_PUBLISH, "web")->version, second);
	assert_int_equal(list(r).count, 3); /* none is lost, none is there twice */
	first[8] = 0;
	must(rollback(r, "web", first));
	served(r, now);
	assert_int_equal(strncmp(now, first, 8), 0);
	must(rollback(r, "web", third));
	served(r, now);
	assert_string_equal(now, third);
	assert_int_equal(list(r).count, 3);
}

static void it_is_pinned_until_rotated(void **state)
{
	struct rig *r = *state;
	char first[33], now[33];
	int64_t begin = clock_wall_ms(&r->clock);
	served(r, first);
	rotate(r);
	assert_false(list(r).pinned);
	must(rollback(r, "web", NULL));
	assert_true(list(r).pinned);
	assert_in_range(renew_at(r), begin + 79 * HOUR_MS / 10, begin + 81 * HOUR_MS / 10);
	rig_stop(r);
	rig_start(r, yaml);
	rig_until(r, r->ready);
	served(r, now);
	assert_string_equal(now, first);
	assert_true(list(r).pinned); /* over a restart */
	rotate(r);
	assert_false(list(r).pinned);
	rig_stop(r);
	rig_start(r, yaml);
	rig_until(r, r->ready);
	assert_false(list(r).pinned);
}

/* The config that made the bad version is still there: what was rolled back to stays all the same. */
static void it_stays_though_the_config_wants_another(void **state)
{
	struct rig *r = *state;
	char good[33], now[33];
	served(r, good);
	must(control_reload(r->control, rig_definitions(other_name)));
	rig_until(r, list(r).count == 2);
	must(rollback(r, "web", good));
	served(r, now);
	assert_string_equal(now, good);
	rig_stop(r);
	rig_start(r, other_name);
	rig_until(r, r->ready);
	served(r, now);
	assert_string_equal(now, good);
	pin(r, false); /* now the config has its way */
	rig_until(r, (served(r, now), strcmp(now, good) != 0));
}

static void a_pin_lets_nothing_end(void **state)
{
	struct rig *r = *state;
	char first[33], now[33];
	pin(r, true);
	served(r, first);
	r->shift_ms = 79 * HOUR_MS / 10;
	rig_stop(r);
	rig_start(r, yaml);
	rig_until(r, r->ready);
	served(r, now);
	assert_string_equal(now, first);
	rig_stop(r);
	r->shift_ms = 81 * HOUR_MS / 10;
	rig_start(r, yaml);
	rig_until(r, (served(r, now), strcmp(now, first) != 0));
}

static void what_is_refused(void **state)
{
	struct rig *r = *state;
	char first[33];
	served(r, first);
	refused(rollback(r, "web", NULL), FAULT_NOT_FOUND, "no earlier version");
	refused(rollback(r, "web", first), FAULT_CONFLICT, "serves now");
	refused(rollback(r, "web", "ffffffffffffffffffffffffffffffff"), FAULT_NOT_FOUND, "begins so");
	refused(rollback(r, "none", NULL), FAULT_NOT_FOUND, "none");
	refused(rollback(r, "roots", NULL), FAULT_INVALID, "follows its authorities");
	control_pin(r->control, "roots", true, "uid 0", rig_on_done, r);
	refused(finish(r), FAULT_INVALID, "nothing to pin");
	rotate(r);
	rig_stop(r);
	r->shift_ms = 9 * HOUR_MS; /* a renewal, and the one before is still valid */
	rig_start(r, yaml);
	rig_until(r, r->ready && list(r).count == 3);
	r->shift_ms = 11 * HOUR_MS;
	refused(rollback(r, "web", first), FAULT_INVALID, "expired");
	refused(rollback(r, "web", NULL), FAULT_NOT_FOUND, "still valid");
}

static void what_was_put(void **state)
{
	struct rig *r = *state;
	struct pki_ca ca = pki_ca_new("own");
	int64_t now = clock_wall_ms(&r->clock);
	char good[33];
	for (int i = 0; i < 2; i++) {
		struct credential *c = pki_leaf(&ca, i ? "spiffe://td/bad" : "spiffe://td/good", now, now + HOUR_MS);
		control_put_certificate(r->control, "own", c, "uid 0", rig_on_done, r);
		must(finish(r));
		credential_unref(c);
		if (i == 0)
			(void)snprintf(good, sizeof good, "%s", rig_last(r, TOLD_PUBLISH, "own")->version);
	}
	must(rollback(r, "own", NULL));
	assert_string_equal(rig_last(r, TOLD_PUBLISH, "own")->version, good);
	rig_stop(r);
	rig_start(r, yaml);
	rig_until(r, r->ready);
	struct version *v = NULL;
	must(control_get(r->control, "own", &v));
	assert_string_equal(version_id(v), good);
	version_unref(v);
	pki_ca_free(&ca);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {T(to_the_latest_and_to_one_by_name), T(it_is_pinned_until_rotated),
		T(it_stays_though_the_config_wants_another), T(a_pin_lets_nothing_end), T(what_is_refused),
		T(what_was_put)};
	return cmocka_run_group_tests(tests, NULL, rig_end_pool);
}
