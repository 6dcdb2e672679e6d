/* tests/unit/control/test_grants.c - the first time that an identity is granted a name is recorded, once. */
#include "control/rig.h"
#include "base/anchors.h"
#include "control/internal.h"
#include "pki.h"

#define YAML                                                                                                           \
	"listen: [{unix: {path: /run/x/sds.sock}}]\nauthorities: {lab: {type: builtin}}\n"                             \
	"profiles: {workload: {authority: lab, lifetime: 10h}}\n"                                                      \
	"secrets: {web: {profile: workload, dns: [web.example]}, api: {profile: workload, dns: [api.example]}}\n"      \
	"policy:\n  - {who: {uid: 7}, may: [\"**\"]}\n  - {who: {uid: 8}, may: [web]}\n"

static struct rig *begin(void)
{
	struct rig *r = rig_prepare();
	r->fakes[0].name = "lab";
	rig_start(r, YAML);
	rig_until(r, r->ready);
	return r;
}

static void again(struct rig *r)
{
	rig_stop(r);
	rig_start(r, YAML);
	rig_until(r, r->ready);
}

struct count {
	const char *by, *entry;
	size_t n;
	bool done;
};

static void count_grants(void *arg, struct fault *f, const struct store_audit_page *page)
{
	struct count *t = arg;
	assert_null(f);
	AUTO(mem_freep) char *by = mem_printf("\"by\":\"%s\"", t->by);
	AUTO(mem_freep) char *entry = mem_printf("\"entry\":\"%s\"", t->entry);
	for (size_t i = 0; i < page->count; i++) {
		const struct audit_record *r = &page->records[i];
		t->n += strcmp(r->event, "policy.granted") == 0 && strstr(r->detail, by) && strstr(r->detail, entry);
	}
	t->done = true;
}

/* How often the trail says that this identity was granted this. */
static size_t granted(struct rig *r, const char *by, const char *entry)
{
	struct count t = {by, entry, 0, false};
	control_audit_read(r->control, 0, 1000, count_grants, &t);
	rig_until(r, t.done);
	return t.n;
}

static void want(struct rig *r, unsigned uid, const char *name)
{
	r->stream++;
	rig_report(r, REPORT_WANTED, uid, name, NULL);
}

static void once_for_each_identity_and_name(void **state)
{
	(void)state;
	struct rig *r = begin();
	for (int i = 0; i < 3; i++) {
		want(r, 7, "web");
		want(r, 8, "web");
		want(r, 7, "api");
		want(r, 8, "api"); /* denied */
	}
	assert_int_equal(granted(r, "uid 7", "web"), 1);
	assert_int_equal(granted(r, "uid 8", "web"), 1);
	assert_int_equal(granted(r, "uid 7", "api"), 1);
	assert_int_equal(granted(r, "uid 8", "api"), 0);
	assert_non_null(strstr(rig_audited(r, "policy.granted"), "the rule in line 6"));
	rig_free(r);
}

/* How much is said is counted by the clock that nobody sets. */
static void a_clock_that_is_set_back_silences_nobody(void **state)
{
	(void)state;
	struct rig *r = begin();
	want(r, 7, "web");
	assert_int_equal(granted(r, "uid 7", "web"), 1);
	r->set_ms = -INT64_C(3600000);
	want(r, 7, "api");
	assert_int_equal(granted(r, "uid 7", "api"), 1);
	rig_free(r);
}

static void a_restart_records_nothing_again(void **state)
{
	(void)state;
	struct rig *r = begin();
	want(r, 7, "web");
	again(r);
	want(r, 7, "web");
	want(r, 8, "web");
	assert_int_equal(granted(r, "uid 7", "web"), 1);
	assert_int_equal(granted(r, "uid 8", "web"), 1);
	rig_free(r);
}

/* What a peer makes up is none; what is put later is, for whoever waited for it, when he has taken it. */
static void a_name_that_nobody_defined_is_none(void **state)
{
	(void)state;
	struct rig *r = begin();
	want(r, 7, "made-up");
	assert_int_equal(granted(r, "uid 7", "made-up"), 0);
	struct pki_ca ca = pki_ca_new("put");
	struct anchors *roots = pki_anchors(&ca, 1);
	control_put_bundle(r->control, "made-up", roots, "uid 0", rig_on_done, r);
	rig_until(r, r->done);
	must(TAKE(r->fault));
	rig_report(r, REPORT_ACKED, 7, "made-up", rig_last(r, TOLD_PUBLISH, "made-up")->version);
	assert_int_equal(granted(r, "uid 7", "made-up"), 1);
	anchors_unref(roots);
	pki_ca_free(&ca);
	rig_free(r);
}

/* Beyond the room an identity's own oldest goes, and is recorded again when it comes again; the others' stay. */
static void it_is_bounded(void **state)
{
	(void)state;
	struct rig *r = begin();
	r->control->grants_max = 2;
	want(r, 8, "web");
	want(r, 7, "web");
	want(r, 7, "api");
	want(r, 7, "web");
	want(r, 8, "web");
	assert_int_equal(granted(r, "uid 8", "web"), 1);
	assert_int_equal(granted(r, "uid 7", "api"), 1);
	assert_int_equal(granted(r, "uid 7", "web"), 2);
	again(r); /* what was pushed out is no fact of the store any more */
	assert_int_equal(r->control->grant_shares.count, 2);
	rig_free(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(once_for_each_identity_and_name),
		cmocka_unit_test(a_clock_that_is_set_back_silences_nobody),
		cmocka_unit_test(a_restart_records_nothing_again),
		cmocka_unit_test(a_name_that_nobody_defined_is_none),
		cmocka_unit_test(it_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, rig_end_pool);
}
