/* What peers can make us keep has an end: entries of callers that went away, names that nobody knows, denials. */
#include <fcntl.h>
#include "control/rig.h"

#define HEAD "listen: [{unix: {path: /run/x/sds.sock}}]\nauthorities: {lab: {type: builtin}}\n"
static const char yaml[] =
	HEAD "profiles: {workload: {authority: lab, lifetime: 1h, uri: [\"spiffe://td/uid/{uid}\"]}}\n"
	     "secrets: {default: {profile: workload}, web: {profile: workload, dns: [web.example], uri: []}}\n"
	     "policy: [{who: {uid: 7}, may: [default, web, mystery]}, {who: {uid: 8}, may: [default]}]\n";
static const char without_default[] =
	HEAD "profiles: {workload: {authority: lab, lifetime: 1h, uri: [\"spiffe://td/uid/{uid}\"]}}\n"
	     "secrets: {web: {profile: workload, dns: [web.example], uri: []}}\n"
	     "policy: [{who: {uid: 7}, may: [default, web, mystery]}, {who: {uid: 8}, may: [default]}]\n";
#define HOURS(n) ((n)*INT64_C(3600000))

static int start(void **state)
{
	struct rig *r = rig_new(yaml);
	*state = r;
	rig_until(r, r->ready);
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	return 0;
}

static int stop(void **state)
{
	rig_free(*state);
	log_set_fd(2);
	return 0;
}

struct found {
	const char *entry;
	bool is_there, has_version;
	size_t askers;
	char asker[64], node[64];
	int64_t since_ms;
	bool delta;
	enum secret_kind kind;
};

static void find(void *arg, const struct control_secret *s)
{
	struct found *f = arg;
	if (strcmp(s->entry, f->entry) != 0)
		return;
	f->is_there = true;
	f->has_version = s->version != NULL;
	f->kind = s->kind;
	f->askers = s->asker_count;
	if (!s->asker_count)
		return;
	(void)snprintf(f->asker, sizeof f->asker, "%s", s->askers[0].identity);
	(void)snprintf(f->node, sizeof f->node, "%s", s->askers[0].node);
	f->since_ms = s->askers[0].since_ms;
	f->delta = s->askers[0].delta;
}

static struct found look(struct rig *r, const char *entry)
{
	struct found f = {.entry = entry};
	control_each_secret(r->control, find, &f);
	return f;
}

static void want(struct rig *r, uint64_t stream, unsigned uid)
{
	char entry[64];
	(void)snprintf(entry, sizeof entry, "default{uid=%u}", uid);
	r->stream = stream;
	rig_report(r, REPORT_WANTED, uid, "default", NULL);
	rig_until(r, look(r, entry).has_version);
}

static void leave(struct rig *r, uint64_t stream, unsigned uid)
{
	r->stream = stream;
	rig_report(r, REPORT_GONE, uid, "default", NULL);
}

/* Nobody holds it, and its leaf has ended: out of the workers and the store. Not while somebody does, not what the
 * config names exactly. Who comes back gets a new one. */
static void a_caller_that_went_is_forgotten(void **state)
{
	struct rig *r = *state;
	want(r, 1, 7);
	want(r, 2, 8);
	leave(r, 2, 8);
	r->shift_ms = HOURS(1) + 60000; /* its leaf has ended, but it was wanted within two lives: it is renewed */
	rig_until(r, rig_times(r, TOLD_PUBLISH, "default{uid=8}") > 1);
	assert_null(rig_last(r, TOLD_ABSENT, "default"));
	r->shift_ms = HOURS(6);
	rig_until(r, !look(r, "default{uid=8}").is_there);
	assert_int_equal(rig_times(r, TOLD_ABSENT, "default"), 1);
	assert_int_equal(rig_last(r, TOLD_ABSENT, "default")->reason, ABSENT_PENDING); /* wait: it is not unknown */
	rig_until(r, rig_times(r, TOLD_PUBLISH, "web") > 2);
	assert_true(look(r, "default{uid=7}").has_version);
	assert_true(look(r, "web").has_version);
	rig_stop(r);
	rig_start(r, yaml);
	rig_until(r, r->ready);
	log_set_level(LOG_ERROR);
	assert_false(look(r, "default{uid=8}").is_there); /* the store has forgotten it, too */
	assert_true(look(r, "default{uid=7}").is_there);
	want(r, 3, 8);
}

static void pin(struct rig *r, const char *entry)
{
	r->done = false;
	control_pin(r->control, entry, true, "uid 0", rig_on_done, r);
	rig_until(r, r->done);
	assert_null(r->fault);
}

/* A pin goes with what was pinned: by the sweep, and by a reload. */
static void a_pinned_one_is_forgotten(void **state)
{
	struct rig *r = *state;
	want(r, 1, 8);
	pin(r, "default{uid=8}");
	leave(r, 1, 8);
	r->shift_ms = HOURS(6);
	rig_until(r, !look(r, "default{uid=8}").is_there);
	want(r, 2, 8);
	pin(r, "default{uid=8}");
	must(control_reload(r->control, rig_definitions(without_default))); /* its subscriber keeps the entry */
	rig_until(r, !look(r, "default{uid=8}").has_version);
	must(control_reload(r->control, rig_definitions(yaml)));
	want(r, 2, 8);
}

/* It comes back while the store forgets: it is issued anew. */
static void a_caller_comes_back_meanwhile(void **state)
{
	struct rig *r = *state;
	want(r, 1, 8);
	leave(r, 1, 8);
	r->shift_ms = HOURS(6);
	char was[33];
	(void)snprintf(was, sizeof was, "%s", rig_last(r, TOLD_PUBLISH, "default{uid=8}")->version);
	while (!store_pending(r->store)) /* the sweep's commit is under way, and not told yet */
		(void)loop_turn(r->loop, true);
	r->stream = 2;
	rig_report(r, REPORT_WANTED, 8, "default", NULL);
	rig_until(r, rig_last(r, TOLD_PUBLISH, "default{uid=8}") &&
			     strcmp(rig_last(r, TOLD_PUBLISH, "default{uid=8}")->version, was) != 0);
	assert_true(look(r, "default{uid=8}").has_version);
}

/* A reload that takes the definition while the store forgets. */
static void a_reload_comes_meanwhile(void **state)
{
	struct rig *r = *state;
	want(r, 1, 8);
	leave(r, 1, 8);
	r->shift_ms = HOURS(6);
	while (!store_pending(r->store))
		(void)loop_turn(r->loop, true);
	must(control_reload(r->control, rig_definitions(without_default)));
	rig_until(r, !look(r, "default{uid=8}").is_there);
	must(control_reload(r->control, rig_definitions(yaml)));
	want(r, 2, 8);
}

/* SotW is silent about a name that nobody knows; status is not: for whom it is missing, and since when. */
static void an_unknown_name_is_shown(void **state)
{
	struct rig *r = *state;
	int64_t begin = rig_wall(r);
	for (uint64_t s = 1; s <= 5; s++) {
		r->stream = s;
		r->node = s == 1 ? "first" : "later";
		rig_report(r, REPORT_WANTED, 7, "mystery", NULL);
	}
	assert_int_equal(rig_last(r, TOLD_ABSENT, "mystery")->reason, ABSENT_UNKNOWN);
	struct found f = look(r, "mystery");
	assert_true(f.is_there);
	assert_int_equal(f.kind, 0);
	assert_int_equal(f.askers, CONTROL_ASKERS_MAX);
	assert_string_equal(f.asker, "uid 7");
	assert_string_equal(f.node, "first");
	assert_in_range(f.since_ms, begin, rig_wall(r));
	assert_true(rig_metric(r, "leafcast_names_wanted_unknown ") == 1);
	for (uint64_t s = 1; s <= 5; s++) {
		r->stream = s;
		rig_report(r, REPORT_GONE, 7, "mystery", NULL);
	}
	assert_false(look(r, "mystery").is_there); /* nothing is left of it */
	assert_true(rig_metric(r, "leafcast_names_wanted_unknown ") == 0);
}

struct denials {
	size_t count, of_7;
	bool oldest, newest;
};

static void see_denial(void *arg, const struct control_denial *d)
{
	struct denials *s = arg;
	s->count++;
	s->of_7 += strcmp(d->identity, "uid 7") == 0;
	s->oldest |= strcmp(d->name, "made-up-0") == 0;
	s->newest |= strcmp(d->name, "made-up-1999") == 0;
}

/* Who asks for more than there is room for pushes out his own oldest; the others' stay to be seen. */
static void denials_are_shared_fairly(void **state)
{
	struct rig *r = *state;
	struct denials seen = {0};
	r->forget_told = true;
	rig_report(r, REPORT_WANTED, 7, "not-mine", NULL);
	for (int i = 0; i < 2000; i++) {
		char name[32];
		(void)snprintf(name, sizeof name, "made-up-%d", i);
		rig_report(r, REPORT_WANTED, 8, name, NULL);
	}
	control_each_denial(r->control, see_denial, &seen);
	assert_int_equal(seen.count, 1024);
	assert_int_equal(seen.of_7, 1);
	assert_false(seen.oldest);
	assert_true(seen.newest);
	assert_true(rig_metric(r, "leafcast_denials_total ") == 2001);
}

#define with_rig(t) cmocka_unit_test_setup_teardown(t, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_rig(a_caller_that_went_is_forgotten),
		with_rig(a_pinned_one_is_forgotten),
		with_rig(a_caller_comes_back_meanwhile),
		with_rig(a_reload_comes_meanwhile),
		with_rig(an_unknown_name_is_shown),
		with_rig(denials_are_shared_fairly),
	};
	return cmocka_run_group_tests(tests, NULL, rig_end_pool);
}
