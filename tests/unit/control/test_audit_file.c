/* tests/unit/control/test_audit_file.c - the copy of the trail: whole, in order, each record once, over restarts,
 * renames, torn lines and a file that cannot be written. */
#include "control/rig.h"
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "base/audit_chain.h"
#include "base/io/file.h"

#define YAML(audit)                                                                                                    \
	"listen: [{unix: {path: /run/x/sds.sock}}]\nauthorities: {lab: {type: builtin}}\n"                             \
	"profiles: {workload: {authority: lab, lifetime: 10h}}\n"                                                      \
	"secrets: {web: {profile: workload, dns: [web.example]}}\n"                                                    \
	"policy: [{who: {uid: 7}, may: [\"**\"]}]\n" audit

static char folder[64], path[80], moved[80];

static int make_folder(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof folder, "/tmp/leafcast-audit-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof path, "%s/audit.jsonl", folder);
	(void)snprintf(moved, sizeof moved, "%s/audit.jsonl.1", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	(void)unlink(path);
	(void)unlink(moved);
	return rmdir(folder);
}

static char *yaml(void)
{
	return mem_printf(YAML("audit: {file: %s}\n"), path);
}

static struct rig *start(void)
{
	struct rig *r = rig_prepare();
	r->fakes[0].name = "lab";
	AUTO(mem_freep) char *text = yaml();
	rig_start(r, text);
	rig_until(r, r->ready);
	return r;
}

static void start_again(struct rig *r)
{
	AUTO(mem_freep) char *text = yaml();
	rig_start(r, text);
	rig_until(r, r->ready);
}

static void record(struct rig *r, const char *detail)
{
	r->done = false;
	control_audit(r->control, "test.noted", "web", NULL, "uid 0", detail, rig_on_done, r);
	rig_until(r, r->done);
	must(TAKE(r->fault));
}

/* The records from first on stand in the file, each once, in order. The last one. */
static int64_t last_of(const char *file, int64_t first)
{
	struct buf b = BUF_INIT;
	int64_t next = first;
	must(file_read(file, 1 << 24, &b));
	for (const char *line = buf_text(&b), *end; *line; line = end + 1) {
		end = strchr(line, '\n');
		assert_non_null(end);
		AUTO(mem_freep) char *one = mem_strndup(line, (size_t)(end - line));
		AUTO(mem_freep) char *tail = mem_printf(",\"seq\":%lld}", (long long)next++);
		if (strlen(one) < strlen(tail) || strcmp(one + strlen(one) - strlen(tail), tail) != 0)
			fail_msg("%s does not end with %s", one, tail);
	}
	assert_true(next > first);
	buf_free(&b);
	return next - 1;
}

static bool holds(const char *words)
{
	struct buf b = BUF_INIT;
	struct fault *f = file_read(path, 1 << 24, &b);
	bool yes = !f && strstr(buf_text(&b), words);
	fault_free(f);
	buf_free(&b);
	return yes;
}

static void each_record_once(void **state)
{
	(void)state;
	struct rig *r = start();
	for (int i = 0; i < 20; i++)
		record(r, "more");
	record(r, "the last");
	rig_until(r, holds("the last"));
	assert_true(last_of(path, 1) >= 21);
	rig_until(r, rig_metric(r, "leafcast_audit_file_behind") == 0);
	record(r, "at the end");
	rig_stop(r); /* what was recorded goes into it before the end */
	assert_true(holds("at the end"));
	start_again(r);
	record(r, "after a restart");
	rig_until(r, holds("after a restart"));
	(void)last_of(path, 1);
	rig_free(r);
}

/* As logrotate does, while we run and while we do not. */
static void a_new_one_goes_on(void **state)
{
	(void)state;
	struct rig *r = start();
	record(r, "one");
	rig_until(r, holds("one"));
	assert_int_equal(rename(path, moved), 0);
	record(r, "two");
	rig_until(r, holds("two"));
	int64_t last = last_of(moved, 1);
	rig_stop(r);
	last = last_of(path, last + 1);
	assert_int_equal(rename(path, moved), 0);
	start_again(r);
	record(r, "three");
	rig_until(r, holds("three"));
	assert_true(last_of(path, last + 1) > last);
	rig_free(r);
}

/* The store is the truth: nothing else waits for the file, and it lacks nothing afterwards. */
static void nothing_is_missing_after_a_fault(void **state)
{
	(void)state;
	int log = memfd_create("log", MFD_CLOEXEC);
	char said[4096] = "";
	struct rig *r = start();
	record(r, "good");
	rig_until(r, holds("good"));
	log_set_fd(log);
	assert_int_equal(chmod(path, 0620), 0); /* others could write in it: it is refused */
	for (int i = 0; i < 3; i++)
		record(r, "unwritten");
	rig_until(r, rig_metric(r, "leafcast_audit_file_behind") >= 3);
	rig_until(r, pread(log, said, sizeof said - 1, 0) > 0);
	log_set_fd(2);
	assert_non_null(strstr(said, "audit.file_unwritable"));
	assert_int_equal(chmod(path, 0600), 0);
	AUTO(mem_freep) char *text = yaml();
	must(control_reload(r->control, rig_definitions(text))); /* not only after its time */
	rig_until(r, rig_metric(r, "leafcast_audit_file_behind") == 0 && holds("unwritten"));
	assert_true(last_of(path, 1) > 3);
	rig_free(r);
	(void)close(log);
}

static void a_torn_line_is_written_again(void **state)
{
	(void)state;
	struct rig *r = start();
	record(r, "whole");
	rig_until(r, holds("whole"));
	rig_stop(r);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size - 9), 0);
	start_again(r);
	record(r, "behind it");
	rig_until(r, holds("behind it"));
	(void)last_of(path, 1);
	rig_free(r);
}

static void another_trail_is_left_alone(void **state)
{
	(void)state;
	struct rig *r = start();
	record(r, "mine");
	rig_until(r, holds("mine"));
	rig_free(r); /* with its store */
	struct buf b = BUF_INIT, after = BUF_INIT;
	must(file_read(path, 1 << 24, &b));
	int log = memfd_create("log", MFD_CLOEXEC);
	char said[4096] = "";
	log_set_fd(log);
	r = start();
	for (int i = 0; i < 20; i++)
		record(r, "another");
	rig_until(r, pread(log, said, sizeof said - 1, 0) > 0 && strstr(said, "of another trail"));
	rig_stop(r);
	log_set_fd(2);
	must(file_read(path, 1 << 24, &after));
	assert_string_equal(buf_text(&b), buf_text(&after));
	assert_int_equal(rename(path, moved), 0); /* an operator heeds it */
	start_again(r);
	record(r, "then");
	rig_until(r, holds("then"));
	(void)last_of(path, 1);
	rig_free(r);
	buf_free(&b);
	buf_free(&after);
	(void)close(log);
}

/* Named by a reload: all that the trail has goes into it, of many pages. */
static void it_catches_up(void **state)
{
	(void)state;
	struct rig *r = rig_prepare();
	r->fakes[0].name = "lab";
	rig_start(r, YAML(""));
	rig_until(r, r->ready);
	assert_true(rig_metric(r, "leafcast_audit_file_behind") == -1);
	struct store_tx *tx = store_tx_new();
	for (int i = 0; i < 1200; i++)
		store_tx_audit(tx, 1, "test.filled", "{\"by\":\"uid 0\"}");
	store_commit(r->store, tx, NULL, NULL);
	AUTO(mem_freep) char *text = yaml();
	must(control_reload(r->control, rig_definitions(text)));
	record(r, "the end");
	rig_until(r, holds("the end"));
	assert_true(last_of(path, 1) > 1200);
	/* And taken out by another: nothing more is written. */
	must(control_reload(r->control, rig_definitions(YAML(""))));
	record(r, "unseen");
	rig_free(r);
	assert_true(!holds("unseen"));
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
	const struct CMUnitTest tests[] = {
		IN_FOLDER(each_record_once),
		IN_FOLDER(a_new_one_goes_on),
		IN_FOLDER(nothing_is_missing_after_a_fault),
		IN_FOLDER(a_torn_line_is_written_again),
		IN_FOLDER(another_trail_is_left_alone),
		IN_FOLDER(it_catches_up),
	};
	return cmocka_run_group_tests(tests, NULL, rig_end_pool);
}
