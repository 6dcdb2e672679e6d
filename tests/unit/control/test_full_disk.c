/* tests/unit/control/test_full_disk.c - a store that takes nothing for a while: what goes on, what stops, and what is
 * made good when there is room again. */
#include <fcntl.h>
#include <signal.h>
#include "control/rig.h"
#include "base/credential.h"
#include "control/internal.h"
#include "pki.h"

#define HEAD "listen: [{unix: {path: /run/x/sds.sock}}]\nauthorities: {lab: {type: builtin}}\n"
#define PROFILE "profiles: {workload: {authority: lab, lifetime: 1h, uri: [\"spiffe://td.example/uid/{uid}\"]}}\n"
#define RULES "policy: [{who: {uid: 7}, may: [\"**\"]}]\n"
static const char yaml[] = HEAD PROFILE "secrets: {default: {profile: workload}, web: {profile: workload, dns: "
					"[web.example], uri: []}, roots: {bundle: [lab]}}\n" RULES;

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

struct records {
	const char *event, *text;
	size_t count;
	bool done;
};

static void see_records(void *arg, struct fault *f, const struct store_audit_page *page)
{
	struct records *n = arg;
	assert_null(f);
	for (size_t i = 0; i < page->count; i++)
		n->count += strcmp(page->records[i].event, n->event) == 0 && strstr(page->records[i].detail, n->text);
	n->done = true;
}

static size_t records_of(struct rig *r, const char *event, const char *text)
{
	struct records n = {event, text, 0, false};
	control_audit_read(r->control, 0, 1000, see_records, &n);
	rig_until(r, n.done);
	return n.count;
}

/* design: invariant 5, and what stands in its place while the disk is full: the renewal of what is granted goes on in
 * memory and is written later; what is new is refused. */
static void a_full_disk_stops_what_is_new_alone(void **state)
{
	struct rig *r = *state;
	struct credential *c = pki_brought();
	size_t times = rig_times(r, TOLD_PUBLISH, "web");
	(void)signal(SIGXFSZ, SIG_IGN);
	log_set_fd(open("/dev/null", O_WRONLY));
	rig_let_files_grow(false);
	control_rotate(r->control, "web", "uid 0", rig_on_done, r);
	rig_until(r, r->done);
	assert_null(r->fault);
	assert_int_equal(rig_times(r, TOLD_PUBLISH, "web"), times + 1);
	assert_int_equal(control_memory_only(r->control), 1);
	char between[33];
	(void)snprintf(between, sizeof between, "%s", rig_last(r, TOLD_PUBLISH, "web")->version);
	r->done = false;
	control_rotate(r->control, "web", "uid 0", rig_on_done, r);
	rig_until(r, r->done);
	assert_null(r->fault);
	r->done = false;
	control_put_certificate(r->control, "new", c, "uid 0", rig_on_done, r);
	rig_until(r, r->done);
	assert_non_null(r->fault);
	assert_int_equal(fault_code(r->fault), FAULT_UNAVAILABLE);
	fault_free(r->fault);
	r->fault = NULL;
	assert_null(rig_last(r, TOLD_PUBLISH, "new"));
	rig_report(r, REPORT_WANTED, 7, "default", NULL); /* a caller that never had one */
	for (int64_t end = clock_mono_ms(clock_system()) + 300; clock_mono_ms(clock_system()) < end;)
		(void)loop_turn(r->loop, false);
	assert_null(rig_last(r, TOLD_PUBLISH, "default{uid=7}"));
	rig_let_files_grow(true);
	rig_until(r, control_memory_only(r->control) == 0);
	rig_until(r, rig_last(r, TOLD_PUBLISH, "default{uid=7}"));
	log_set_fd(2);
	/* Nothing that happened meanwhile is missing in the trail, and nothing is there twice. */
	rig_until(r, records_of(r, "secret.rotate_ordered", "") == 2);
	assert_int_equal(records_of(r, "secret.issued", between), 1);
	assert_int_equal(records_of(r, "secret.issued", rig_last(r, TOLD_PUBLISH, "web")->version), 1);
	char version[33];
	(void)snprintf(version, sizeof version, "%s", rig_last(r, TOLD_PUBLISH, "web")->version);
	rig_stop(r);
	rig_start(r, yaml);
	assert_string_equal(rig_last(r, TOLD_PUBLISH, "web")->version, version);
	rig_until(r, r->ready);
	credential_unref(c);
}

enum { MANY = 600 };

struct order {
	int64_t last;
	size_t count;
	bool done;
};

static void see_order(void *arg, struct fault *f, const struct store_audit_page *page)
{
	struct order *o = arg;
	assert_null(f);
	for (size_t i = 0; i < page->count; i++) {
		const char *number = strstr(page->records[i].detail, "number ");
		if (!number)
			continue;
		assert_int_equal(strtoll(number + 7, NULL, 10), o->last + 1);
		o->last++;
		o->count++;
	}
	o->done = true;
}

/* All of it, in order, in one go; what could not be written until the end is written with the end. */
static void the_trail_catches_up(void **state)
{
	struct rig *r = *state;
	(void)signal(SIGXFSZ, SIG_IGN);
	rig_until(r, !store_pending(r->store));
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	rig_let_files_grow(false);
	for (int i = 1; i <= MANY; i++) {
		char text[32];
		(void)snprintf(text, sizeof text, "number %d", i);
		audit_record(r->control, NULL, "test.happened", NULL, NULL, NULL, text);
	}
	rig_until(r, audit_late_count(r->control) == MANY && !store_pending(r->store));
	rig_let_files_grow(true);
	rig_stop(r);
	log_set_fd(2);
	rig_start(r, yaml);
	struct order o = {0, 0, false};
	control_audit_read(r->control, 0, 1000, see_order, &o);
	rig_until(r, o.done);
	assert_int_equal(o.count, MANY);
}

static size_t count_text(const char *text, const char *what)
{
	size_t n = 0;
	for (const char *p = text; (p = strstr(p, what)); p++)
		n++;
	return n;
}

/* A new bundle that cannot be stored is tried again now and then, not as fast as the store fails. */
static void a_bundle_waits_for_a_full_disk(void **state)
{
	static const char more[] = HEAD PROFILE "secrets: {more: {bundle: [lab]}}\n" RULES;
	static char log[256 * 1024];
	struct rig *r = *state;
	int ends[2];
	rig_until(r, !store_pending(r->store));
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(pipe2(ends, O_NONBLOCK | O_CLOEXEC), 0);
	log_set_fd(ends[1]);
	rig_let_files_grow(false);
	must(control_reload(r->control, rig_definitions(more)));
	for (int64_t end = clock_mono_ms(clock_system()) + 700; clock_mono_ms(clock_system()) < end;)
		(void)loop_turn(r->loop, false);
	ssize_t n = read(ends[0], log, sizeof log - 1);
	rig_let_files_grow(true);
	log_set_fd(2);
	assert_in_range(n, 1, sizeof log - 1);
	assert_in_range(count_text(log, "bundle.not_published"), 1, 3);
	rig_until(r, rig_last(r, TOLD_PUBLISH, "more"));
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* A restart begins an unfinished first start anew, with another root: nobody is told that we are ready before it is
 * marked. */
static void a_first_start_is_complete_before_it_is_ready(void **state)
{
	struct rig *r = mem_new(struct rig);
	(void)state;
	(void)snprintf(r->folder, sizeof r->folder, "/tmp/leafcast-control-XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	(void)signal(SIGXFSZ, SIG_IGN);
	log_set_fd(open("/dev/null", O_WRONLY));
	rig_let_files_grow(true);
	rig_start(r, yaml);
	assert_false(r->ready);
	rig_let_files_grow(false); /* before anything could be written by the loop */
	for (int64_t end = clock_mono_ms(clock_system()) + 1500; clock_mono_ms(clock_system()) < end;)
		(void)loop_turn(r->loop, true);
	assert_false(r->ready);
	rig_let_files_grow(true);
	rig_until(r, r->ready);
	log_set_fd(2);
	char version[33];
	(void)snprintf(version, sizeof version, "%s", rig_last(r, TOLD_PUBLISH, "web")->version);
	rig_stop(r);
	rig_start(r, yaml);
	assert_false(r->first_start);
	assert_string_equal(rig_last(r, TOLD_PUBLISH, "web")->version, version);
	rig_until(r, r->ready);
	rig_free(r);
}

#define with_rig(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_rig(a_full_disk_stops_what_is_new_alone),
		with_rig(the_trail_catches_up),
		with_rig(a_bundle_waits_for_a_full_disk),
		cmocka_unit_test(a_first_start_is_complete_before_it_is_ready),
	};
	return cmocka_run_group_tests(tests, NULL, rig_end_pool);
}
