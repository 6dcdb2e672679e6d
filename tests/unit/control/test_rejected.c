/* tests/unit/control/test_rejected.c - answers that are not what was asked for: told, never served. Lives that are not
 * what was asked for: planned by what was received. */
#include "control/rig.h"
#include "base/credential.h"

static const char yaml[] = "listen: [{unix: {path: /run/x/sds.sock}}]\nauthorities: {ca: {type: builtin}}\n"
			   "profiles: {workload: {authority: ca, lifetime: 1h}}\n"
			   "secrets: {web: {profile: workload, dns: [web.example]}}\n"
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

static struct fault *rotate(struct rig *r)
{
	r->done = false;
	control_rotate(r->control, "web", "uid 0", rig_on_done, r);
	rig_until(r, r->done);
	return TAKE(r->fault);
}

struct seen {
	char rejected[400];
	int64_t rejected_at_ms, renew_at_ms;
};

static void see(void *arg, const struct control_secret *s)
{
	struct seen *seen = arg;
	if (strcmp(s->name, "web") != 0)
		return;
	(void)snprintf(seen->rejected, sizeof seen->rejected, "%s", s->rejected ? s->rejected : "");
	seen->rejected_at_ms = s->rejected_at_ms;
	seen->renew_at_ms = s->renew_at_ms;
}

static struct seen look(struct rig *r)
{
	struct seen s = {.rejected = ""};
	control_each_secret(r->control, see, &s);
	return s;
}

static void it_is_kept_aside_with_its_reason(void **state)
{
	static const struct {
		enum fake_lie lie;
		const char *text;
	} cases[] = {{FAKE_OTHER_KEY, "key"}, {FAKE_OTHER_NAME, "other.example"}, {FAKE_IS_CA, "CA"}};
	struct rig *r = *state;
	char served[33];
	(void)snprintf(served, sizeof served, "%s", rig_last(r, TOLD_PUBLISH, "web")->version);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		fake_ca_next(r->fakes[0].ca, (struct fake_script){.lie = cases[i].lie});
		struct fault *f = rotate(r);
		assert_int_equal(fault_code(f), FAULT_CORRUPT);
		fault_free(f);
		struct seen s = look(r);
		if (!strstr(s.rejected, cases[i].text) || !strstr(s.rejected, "sha256"))
			fail_msg("no \"%s\" in: %s", cases[i].text, s.rejected);
		assert_true(s.rejected_at_ms > 0);
		assert_string_equal(rig_last(r, TOLD_PUBLISH, "web")->version, served);
	}
	must(rotate(r));
	assert_string_equal(look(r).rejected, "");
}

/* Under a root that it never showed. */
static void a_strange_root_is_refused(void **state)
{
	struct rig *r = *state;
	struct pki_ca strange = pki_ca_new("strange");
	fake_ca_next(r->fakes[0].ca, (struct fake_script){.root = &strange});
	struct fault *f = rotate(r);
	assert_int_equal(fault_code(f), FAULT_CORRUPT);
	fault_free(f);
	assert_non_null(strstr(look(r).rejected, "anchors"));
	pki_ca_free(&strange);
}

/* Asked for an hour, given what is left of 40 minutes that began half an hour ago: ten minutes to plan with. */
static void the_plan_follows_the_life_received(void **state)
{
	struct rig *r = *state;
	r->shift_ms += 51 * MS_PER_MIN; /* what is served ends sooner than what comes */
	rig_until(r, rig_times(r, TOLD_PUBLISH, "web") == 2);
	r->shift_ms += 55 * MS_PER_MIN;
	r->fakes[0].ca->script =
		(struct fake_script){.backdate_ms = 30 * MS_PER_MIN, .lifetime_most_ms = 40 * MS_PER_MIN};
	rig_until(r, rig_times(r, TOLD_PUBLISH, "web") == 3);
	int64_t now = clock_wall_ms(&r->clock), at = look(r).renew_at_ms;
	assert_in_range(at - now, 4 * MS_PER_MIN, 8 * MS_PER_MIN);
	r->shift_ms += 8 * MS_PER_MIN;
	rig_until(r, rig_times(r, TOLD_PUBLISH, "web") == 4);
}

#define with_rig(test) cmocka_unit_test_setup_teardown(test, start, stop)
int main(void)
{
	const struct CMUnitTest tests[] = {
		with_rig(it_is_kept_aside_with_its_reason),
		with_rig(a_strange_root_is_refused),
		with_rig(the_plan_follows_the_life_received),
	};
	return cmocka_run_group_tests(tests, NULL, rig_end_pool);
}
