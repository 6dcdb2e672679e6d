/* An authority that is away for longer than a life: signals grow louder, and at the end the secret's policy holds. */
#include "control/rig.h"
#include <sys/mman.h>
#include "control/internal.h"

#define HOUR_MS INT64_C(3600000)
#define YAML(more)                                                                                                     \
	"listen: [{unix: {path: /run/x/sds.sock}}]\nauthorities: {lab: {type: builtin}}\n"                             \
	"profiles: {workload: {authority: lab, lifetime: 10h}}\n"                                                      \
	"secrets: {web: {profile: workload, dns: [web.example]" more "}, roots: {bundle: [lab]}}\n"                    \
	"policy: [{who: {uid: 7}, may: [\"**\"]}]\n"
static const char serves[] = YAML(""), withdraws[] = YAML(", on_expiry: withdraw");

static int log_fd;

static struct rig *start(const char *yaml)
{
	struct rig *r = rig_prepare();
	r->fakes[0].name = "lab";
	log_fd = memfd_create("log", MFD_CLOEXEC);
	log_set_fd(log_fd);
	log_set_format(LOG_FORMAT_JSON);
	log_set_level(LOG_WARN);
	rig_start(r, yaml);
	rig_until(r, r->ready);
	return r;
}

static void stop(struct rig *r)
{
	rig_free(r);
	log_set_fd(2);
	log_set_format(LOG_FORMAT_AUTO);
	(void)close(log_fd);
}

static size_t said(const char *event, const char *words)
{
	static char text[1 << 20];
	ssize_t n = pread(log_fd, text, sizeof text - 1, 0);
	size_t count = 0;
	assert_true(n >= 0);
	text[n] = 0;
	for (char *line = text, *rest; line && *line; line = rest) {
		rest = strchr(line, '\n');
		if (rest)
			*rest++ = 0;
		count += strstr(line, event) && strstr(line, words);
	}
	return count;
}

static double life(struct rig *r, const char *level)
{
	AUTO(mem_freep) char *sample = mem_printf("leafcast_certificates{life=\"%s\"}", level);
	return rig_metric(r, sample);
}

static void levels(void **state)
{
	(void)state;
	assert_int_equal(outage_level(1000, 1000, 0), LIFE_OK);
	assert_int_equal(outage_level(1000, 1000, 850), LIFE_OK);
	assert_int_equal(outage_level(1000, 1000, 851), LIFE_LOW);
	assert_int_equal(outage_level(1000, 1000, 951), LIFE_CRITICAL);
	assert_int_equal(outage_level(1000, 1000, 1000), LIFE_EXPIRED);
	assert_int_equal(outage_level(INT64_MAX / 2, INT64_MAX / 4, 0), LIFE_OK);
}

static void louder_and_louder(void **state)
{
	struct rig *r = start(serves);
	(void)state;
	r->fakes[0].ca->script = (struct fake_script){.fault = FAULT_UNAVAILABLE, .retryable = true};
	assert_true(life(r, "ok") == 1);
	r->shift_ms = HOUR_MS * 86 / 10;
	rig_until(r, said("secret.expires_soon", "\"level\":\"low\"") == 1);
	assert_true(life(r, "low") == 1);
	assert_null(control_unready(r->control));
	r->shift_ms = HOUR_MS * 96 / 10;
	rig_until(r, said("secret.expires_soon", "\"level\":\"critical\"") == 1);
	assert_true(life(r, "critical") == 1);
	r->shift_ms = HOUR_MS * 101 / 10;
	rig_until(r, said("secret.expired", "still served") == 1);
	assert_true(life(r, "expired") == 1);
	assert_non_null(strstr(control_unready(r->control), "secret web has expired"));
	rig_report(r, REPORT_WANTED, 7, "web", NULL);
	assert_non_null(rig_last(r, TOLD_PUBLISH, "web"));    /* a stream that comes now gets it */
	assert_int_equal(said("secret.expires_soon", ""), 2); /* each once */
	r->fakes[0].ca->script = (struct fake_script){0};
	control_rotate(r->control, "web", "uid 0", rig_on_done, r);
	rig_until(r, r->done);
	must(TAKE(r->fault));
	assert_null(control_unready(r->control));
	assert_true(life(r, "ok") == 1);
	stop(r);
}

static void withdrawn_from_new_streams(void **state)
{
	struct rig *r = start(withdraws);
	(void)state;
	r->stream = 1;
	rig_report(r, REPORT_WANTED, 7, "web", NULL);
	r->fakes[0].ca->script = (struct fake_script){.fault = FAULT_UNAVAILABLE, .retryable = true};
	r->shift_ms = HOUR_MS * 101 / 10;
	rig_until(r, said("secret.expired", "running proxies keep") == 1);
	assert_int_equal(said("secret.expired", "\"subscribers\":1"), 1);
	struct told *t = rig_last(r, TOLD_ABSENT, "web");
	assert_non_null(t);
	assert_int_equal(t->reason, ABSENT_PENDING); /* nobody is told that it is gone */
	size_t before = rig_times(r, TOLD_PUBLISH, "web");
	r->stream = 2;
	rig_report(r, REPORT_WANTED, 7, "web", NULL);
	assert_int_equal(rig_times(r, TOLD_PUBLISH, "web"), before);
	rig_stop(r); /* and so it is after a restart */
	r->fakes[0].start_fault = FAULT_UNAVAILABLE;
	rig_start(r, withdraws);
	r->stream = 3;
	rig_report(r, REPORT_WANTED, 7, "web", NULL);
	assert_int_equal(rig_times(r, TOLD_PUBLISH, "web"), 0);
	assert_int_equal(rig_times(r, TOLD_PUBLISH, "roots"), 1);
	r->fakes[0].start_fault = 0;
	rig_stop(r);
	rig_start(r, withdraws);
	rig_until(r, r->ready && rig_times(r, TOLD_PUBLISH, "web") == 1);
	stop(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(levels), cmocka_unit_test(louder_and_louder),
		cmocka_unit_test(withdrawn_from_new_streams)};
	return cmocka_run_group_tests(tests, NULL, rig_end_pool);
}
