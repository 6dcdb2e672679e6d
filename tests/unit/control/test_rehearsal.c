/* tests/unit/control/test_rehearsal.c - a dry issuance: everything but the effect. */
#include "control/rig.h"
#include "base/credential.h"

static const char yaml[] =
	"listen: [{unix: {path: /run/x/sds.sock}}]\n"
	"authorities: {ca: {type: builtin}, idle: {type: builtin}}\n"
	"profiles: {workload: {authority: ca, lifetime: 1h, uri: [\"spiffe://td/{uid}\"]}}\n"
	"secrets: {default: {profile: workload}, web: {profile: workload, dns: [web.example], uri: []}}\n"
	"policy: [{who: {uid: 7}, may: [\"**\"]}]\n";

static struct {
	bool done, began;
	enum fault_code refusal, failure;
	char text[300], entry[64], name[64];
	int64_t wait_ms, key_ms, answer_ms, check_ms;
} seen;

static int start(void **state)
{
	struct rig *r = rig_prepare();
	r->fakes[0].name = "ca";
	*state = r;
	rig_start(r, yaml);
	rig_until(r, r->ready);
	memset(&seen, 0, sizeof seen);
	return 0;
}

static int stop(void **state)
{
	rig_free(*state);
	return 0;
}

static void on_rehearsed(void *arg, struct fault *f, const struct control_rehearsal *p)
{
	(void)arg;
	assert_false(seen.done);
	assert_true(seen.began); /* not from within the call */
	seen.done = true;
	if (f) {
		seen.refusal = fault_code(f);
		(void)snprintf(seen.text, sizeof seen.text, "%s", fault_text(f));
		fault_free(f);
		return;
	}
	(void)snprintf(seen.entry, sizeof seen.entry, "%s", p->entry);
	seen.wait_ms = p->wait_ms;
	seen.key_ms = p->key_ms;
	seen.answer_ms = p->answer_ms;
	seen.check_ms = p->check_ms;
	assert_int_equal(p->lifetime_ms, MS_PER_HOUR);
	assert_true(!p->failure != !p->credential);
	if (p->failure) {
		seen.failure = fault_code(p->failure);
		(void)snprintf(seen.text, sizeof seen.text, "%s", fault_text(p->failure));
	} else {
		(void)snprintf(seen.name, sizeof seen.name, "%s", credential_info(p->credential)->sans.items[0].value);
	}
}

static void rehearse(struct rig *r, const char *authority, const char *secret)
{
	memset(&seen, 0, sizeof seen);
	control_rehearse(r->control, authority, secret, "uid 0", on_rehearsed, NULL);
	seen.began = true;
	rig_until(r, seen.done);
}

static void each_step_is_timed_and_nothing_is_kept(void **state)
{
	struct rig *r = *state;
	size_t published = rig_times(r, TOLD_PUBLISH, "web"), all = r->count;
	r->fakes[0].ca->script.delay_ms = 30;
	rehearse(r, "ca", "web");
	assert_int_equal(seen.failure, 0);
	assert_string_equal(seen.entry, "web");
	assert_string_equal(seen.name, "web.example");
	assert_true(seen.wait_ms >= 0 && seen.key_ms >= 0 && seen.check_ms >= 0);
	assert_true(seen.answer_ms >= 29);
	assert_int_equal(rig_times(r, TOLD_PUBLISH, "web"), published);
	assert_int_equal(r->count, all);
	assert_int_equal(r->fakes[0].ca->answered, 2);
}

/* Nobody has asked for it yet: sample values show what it would be. */
static void a_template_is_tried_with_samples(void **state)
{
	struct rig *r = *state;
	rehearse(r, "ca", "default");
	assert_string_equal(seen.entry, "default{uid=1000}");
	assert_string_equal(seen.name, "spiffe://td/1000");
	struct version *v = NULL;
	struct fault *f = control_get(r->control, "default", &v);
	assert_int_equal(fault_code(f), FAULT_NOT_FOUND);
	fault_free(f);
	rehearse(r, "ca", NULL);
	assert_string_equal(seen.entry, "default{uid=1000}"); /* the first one in the config */
}

static void failures_are_told_with_the_step(void **state)
{
	struct rig *r = *state;
	fake_ca_next(r->fakes[0].ca, (struct fake_script){.fault = FAULT_DENIED});
	rehearse(r, "ca", "web");
	assert_int_equal(seen.failure, FAULT_DENIED);
	assert_true(seen.answer_ms >= 0);
	fake_ca_next(r->fakes[0].ca, (struct fake_script){.lie = FAKE_OTHER_NAME});
	rehearse(r, "ca", "web");
	assert_int_equal(seen.failure, FAULT_CORRUPT);
	assert_non_null(strstr(seen.text, "other.example"));
	assert_true(seen.check_ms >= 0);
}

static void what_cannot_begin_is_refused(void **state)
{
	struct rig *r = *state;
	rehearse(r, "nobody", NULL);
	assert_int_equal(seen.refusal, FAULT_NOT_FOUND);
	rehearse(r, "idle", NULL);
	assert_int_equal(seen.refusal, FAULT_NOT_FOUND);
	rehearse(r, "ca", "other");
	assert_int_equal(seen.refusal, FAULT_NOT_FOUND);
	rig_stop(r);
	r->fakes[0].start_fault = FAULT_DENIED;
	rig_start(r, yaml);
	rig_until(r, r->fakes[0].ca->starts);
	(void)loop_turn(r->loop, true);
	rehearse(r, "ca", "web");
	assert_non_null(strstr(seen.text, "as the test ordered"));
}

/* The end answers who waits: while the authority is silent, and while the key is made. */
static void the_end_answers_it(void **state)
{
	struct rig *r = *state;
	r->fakes[0].ca->script.delay_ms = FAKE_NEVER;
	for (int i = 0; i < 2; i++) {
		memset(&seen, 0, sizeof seen);
		control_rehearse(r->control, "ca", "web", "uid 0", on_rehearsed, NULL);
		seen.began = true;
		if (i == 0)
			rig_until(r, r->fakes[0].ca->running == 1);
		rig_stop(r);
		assert_true(seen.done);
		assert_int_equal(seen.failure, FAULT_UNAVAILABLE);
		rig_start(r, yaml);
		rig_until(r, r->ready);
	}
}

#define with_rig(test) cmocka_unit_test_setup_teardown(test, start, stop)
int main(void)
{
	const struct CMUnitTest tests[] = {
		with_rig(each_step_is_timed_and_nothing_is_kept),
		with_rig(a_template_is_tried_with_samples),
		with_rig(failures_are_told_with_the_step),
		with_rig(what_cannot_begin_is_refused),
		with_rig(the_end_answers_it),
	};
	return cmocka_run_group_tests(tests, NULL, rig_end_pool);
}
