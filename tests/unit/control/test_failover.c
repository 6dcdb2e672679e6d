/* tests/unit/control/test_failover.c - a profile with two authorities: which one is asked, and what verifiers hold by
 * then. */
#include "control/rig.h"
#include "base/anchors.h"
#include "cache/description.h"
#include "control/breaker.h"

#define HEAD "listen: [{unix: {path: /run/x/sds.sock}}]\n"
#define REST                                                                                                           \
	"profiles: {workload: {authority: [first, second], lifetime: 1h}}\n"                                           \
	"secrets: {web: {profile: workload, dns: [web.example]}, api: {profile: workload, dns: [api.example]},\n"      \
	"  roots: {bundle: [first]}}\npolicy: [{who: {uid: 7}, may: [\"**\"]}]\n"
static const char yaml[] = HEAD "authorities: {first: {type: builtin}, second: {type: builtin}}\n" REST;

static struct rig *prepare(void)
{
	struct rig *r = rig_prepare();
	r->fakes[0].name = "first";
	r->fakes[1].name = "second";
	return r;
}

static int start(void **state)
{
	struct rig *r = prepare();
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

static struct fake_ca *first(struct rig *r)
{
	return r->fakes[0].ca;
}

static struct fake_ca *second(struct rig *r)
{
	return r->fakes[1].ca;
}

static bool is_from(struct rig *r, const char *name, const char *authority)
{
	struct version *v = NULL;
	must(control_get(r->control, name, &v));
	bool yes = strcmp(version_authority(v), authority) == 0;
	version_unref(v);
	return yes;
}

static struct fault *rotate(struct rig *r, const char *name)
{
	r->done = false;
	control_rotate(r->control, name, "uid 0", rig_on_done, r);
	rig_until(r, r->done);
	return TAKE(r->fault);
}

static void must_fail(struct fault *f, enum fault_code code, const char *text)
{
	assert_non_null(f);
	assert_int_equal(fault_code(f), code);
	if (!strstr(fault_text(f), text))
		fail_msg("no \"%s\" in: %s", text, fault_text(f));
	fault_free(f);
}

static void the_first_is_asked_while_it_answers(void **state)
{
	struct rig *r = *state;
	assert_true(is_from(r, "web", "first"));
	must(rotate(r, "web"));
	assert_true(is_from(r, "web", "first"));
	assert_int_equal(second(r)->requests, 0);
}

struct sought {
	const char *name;
	int64_t at_ms;
};

static void note_renewal(void *arg, const struct control_secret *s)
{
	struct sought *sought = arg;
	if (strcmp(s->name, sought->name) == 0)
		sought->at_ms = s->renew_at_ms;
}

static int64_t renew_at(struct rig *r, const char *name)
{
	struct sought sought = {name, 0};
	control_each_secret(r->control, note_renewal, &sought);
	return sought.at_ms;
}

static size_t bundle_size(struct rig *r)
{
	struct version *v = NULL;
	must(control_get(r->control, "roots", &v));
	size_t n = version_description(v)->count;
	version_unref(v);
	return n;
}

/* One bundle names the first alone: it holds both before a leaf from the second comes. */
static void the_bundle_holds_the_anchors_of_all(void **state)
{
	struct rig *r = *state;
	rig_until(r, bundle_size(r) == 2);
}

/* A failure that may mend is waited out; when the breaker has opened, the second is asked at once. */
static void the_breaker_decides(void **state)
{
	struct rig *r = *state;
	first(r)->script.fault = FAULT_UNAVAILABLE;
	first(r)->script.retryable = true;
	for (int i = 0; i < BREAKER_FAILURES - 1; i++) {
		must_fail(rotate(r, "web"), FAULT_UNAVAILABLE, "as the test ordered");
		assert_int_equal(second(r)->requests, 0);
	}
	must(rotate(r, "web"));
	assert_true(is_from(r, "web", "second"));
	size_t asked = first(r)->requests;
	must(rotate(r, "api")); /* another secret learns from it */
	assert_true(is_from(r, "api", "second"));
	assert_int_equal(first(r)->requests, asked);
	/* Nothing is outdated for having come from the second. */
	must(control_reload(r->control, rig_definitions(yaml)));
	(void)loop_turn(r->loop, false);
	assert_int_equal(second(r)->requests, 2);
}

static void seen_breaker(void *arg, const struct control_authority *a)
{
	if (strcmp(a->name, "first") == 0)
		(void)snprintf(arg, 16, "%s", a->breaker);
}

static const char *breaker_of_first(struct rig *r)
{
	static char text[16];
	control_each_authority(r->control, seen_breaker, text);
	return text;
}

static void one_probe_brings_the_first_back(void **state)
{
	struct rig *r = *state;
	first(r)->script.fault = FAULT_TIMEOUT;
	first(r)->script.retryable = true;
	for (int i = 0; i < BREAKER_FAILURES; i++)
		fault_free(rotate(r, "web"));
	assert_string_equal(breaker_of_first(r), "open");
	first(r)->script = (struct fake_script){0};
	rig_until(r, strcmp(breaker_of_first(r), "half-open") == 0);
	assert_true(is_from(r, "web", "second")); /* nobody hurries back */
	must(rotate(r, "web"));
	assert_true(is_from(r, "web", "first"));
	assert_string_equal(breaker_of_first(r), "closed");
}

/* What the same request would meet again is no reason to wait. */
static void a_refusal_goes_to_the_second_at_once(void **state)
{
	struct rig *r = *state;
	first(r)->script.fault = FAULT_DENIED;
	must(rotate(r, "web"));
	assert_true(is_from(r, "web", "second"));
	assert_string_equal(breaker_of_first(r), "closed"); /* it is the request, not the authority */
}

static void a_liar_is_not_believed(void **state)
{
	struct rig *r = *state;
	first(r)->script.lie = FAKE_OTHER_NAME;
	must(rotate(r, "web"));
	assert_true(is_from(r, "web", "second"));
}

static void when_all_fail_the_last_failure_is_told(void **state)
{
	struct rig *r = *state;
	first(r)->script.fault = FAULT_DENIED;
	second(r)->script.lie = FAKE_OTHER_KEY;
	must_fail(rotate(r, "web"), FAULT_CORRUPT, "rejected answer");
	assert_true(is_from(r, "web", "first"));
}

/* Silence must leave time for another try. */
static void the_patience_follows_the_life_that_is_left(void **state)
{
	struct rig *r = *state;
	must(rotate(r, "web"));
	assert_in_range(first(r)->time_left_ms, 29000, 30000);
	r->shift_ms += 59 * MS_PER_MIN + 30 * MS_PER_S;
	size_t before = first(r)->requests;
	rig_until(r, first(r)->requests > before);
	assert_in_range(first(r)->time_left_ms, 1900, 6000);
}

/* In the last fifth of a life there is no time to wait for the breaker. */
static void urgency_does_not_wait_for_the_breaker(void **state)
{
	struct rig *r = *state;
	first(r)->script.fault = FAULT_UNAVAILABLE;
	first(r)->script.retryable = true;
	r->shift_ms += 50 * MS_PER_MIN;
	rig_until(r, is_from(r, "web", "second") && is_from(r, "api", "second"));
}

static void a_start_without_the_first_issues_from_the_second(void **state)
{
	struct rig *r = prepare();
	(void)state;
	r->fakes[0].start_fault = FAULT_UNAVAILABLE;
	rig_start(r, yaml);
	rig_until(r, rig_last(r, TOLD_PUBLISH, "web") && rig_last(r, TOLD_PUBLISH, "api"));
	assert_true(is_from(r, "web", "second"));
	assert_null(rig_last(r, TOLD_PUBLISH, "roots")); /* it names the first: a part of the trust is no bundle */
	first(r)->start_fault = 0;
	rig_until(r, r->ready);
	assert_non_null(rig_last(r, TOLD_PUBLISH, "roots"));
	rig_free(r);
}

/* The second was never heard of: nothing waits for it. */
static void a_start_without_the_second_is_ready(void **state)
{
	struct rig *r = prepare();
	(void)state;
	r->fakes[1].start_fault = FAULT_UNAVAILABLE;
	rig_start(r, yaml);
	rig_until(r, r->ready);
	assert_true(is_from(r, "web", "first"));
	rig_free(r);
}

static void an_order_is_answered_when_nobody_can_be_asked(void **state)
{
	struct rig *r = *state;
	rig_stop(r);
	r->fakes[0].start_fault = r->fakes[1].start_fault = FAULT_DENIED;
	rig_start(r, yaml);
	rig_until(r, first(r)->starts && second(r)->starts);
	must_fail(rotate(r, "web"), FAULT_UNAVAILABLE, "as the test ordered");
	first(r)->start_fault = 0; /* who failed for want of an authority tries when there is one again */
	second(r)->start_fault = 0;
	r->shift_ms += 45 * MS_PER_MIN;
	rig_until(r, first(r)->answered + second(r)->answered == 2);
}

/* Both hang: the order is answered all the same, and soon. */
static void an_order_is_answered_when_the_start_hangs(void **state)
{
	struct rig *r = *state;
	rig_stop(r);
	r->fakes[0].start_hangs = r->fakes[1].start_hangs = true;
	rig_start(r, yaml);
	must_fail(rotate(r, "web"), FAULT_TIMEOUT, "has not answered yet");
}

/* By a reload: over a while, each at its own moment, under bundles that hold both roots. One that is gone from the
 * config is left at once. */
static void other_authorities_are_moved_to_over_a_while(void **state)
{
	static const char to_second[] =
		HEAD "authorities: {first: {type: builtin}, second: {type: builtin}}\n"
		     "profiles: {workload: {authority: second, lifetime: 1h}}\n"
		     "secrets: {web: {profile: workload, dns: [web.example]}, api: {profile: workload, dns: "
		     "[api.example]},\n"
		     "  roots: {bundle: [first, second]}}\npolicy: [{who: {uid: 7}, may: [\"**\"]}]\n";
	static const char without_second[] =
		HEAD "authorities: {first: {type: builtin}}\n"
		     "profiles: {workload: {authority: first, lifetime: 1h}}\n"
		     "secrets: {web: {profile: workload, dns: [web.example]}, api: {profile: workload, dns: "
		     "[api.example]},\n"
		     "  roots: {bundle: [first]}}\npolicy: [{who: {uid: 7}, may: [\"**\"]}]\n";
	struct rig *r = prepare();
	(void)state;
	r->moving_ms = 6 * MS_PER_HOUR; /* a tenth of the life is less: six minutes */
	rig_start(r, yaml);
	rig_until(r, r->ready && bundle_size(r) == 2);
	must(control_reload(r->control, rig_definitions(to_second)));
	const int64_t begin = rig_wall(r), end = begin + 6 * MS_PER_MIN;
	assert_in_range(renew_at(r, "web"), begin - MS_PER_MIN, end);
	assert_in_range(renew_at(r, "api"), begin - MS_PER_MIN, end);
	assert_true(renew_at(r, "web") != renew_at(r, "api"));
	r->shift_ms += 7 * MS_PER_MIN;
	rig_until(r, is_from(r, "web", "second") && is_from(r, "api", "second"));
	must(control_reload(r->control, rig_definitions(without_second)));
	rig_until(r, is_from(r, "web", "first") && is_from(r, "api", "first"));
	rig_free(r);
}

#define with_rig(test) cmocka_unit_test_setup_teardown(test, start, stop)
int main(void)
{
	const struct CMUnitTest tests[] = {
		with_rig(the_first_is_asked_while_it_answers),
		with_rig(the_bundle_holds_the_anchors_of_all),
		with_rig(the_breaker_decides),
		with_rig(one_probe_brings_the_first_back),
		with_rig(a_refusal_goes_to_the_second_at_once),
		with_rig(a_liar_is_not_believed),
		with_rig(when_all_fail_the_last_failure_is_told),
		with_rig(the_patience_follows_the_life_that_is_left),
		with_rig(urgency_does_not_wait_for_the_breaker),
		cmocka_unit_test(a_start_without_the_first_issues_from_the_second),
		cmocka_unit_test(a_start_without_the_second_is_ready),
		cmocka_unit_test(other_authorities_are_moved_to_over_a_while),
		with_rig(an_order_is_answered_when_nobody_can_be_asked),
		with_rig(an_order_is_answered_when_the_start_hangs),
	};
	return cmocka_run_group_tests(tests, NULL, rig_end_pool);
}
