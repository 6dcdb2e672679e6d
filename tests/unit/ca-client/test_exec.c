/* The exec driver against small scripts: every way to fail, each with one completion, and nothing left behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <unistd.h>
#include "base/anchors.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/file.h"
#include "base/io/job.h"
#include "base/io/json_memory.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "ca-client/exec.h"
#include "certs.h"

#define PATIENCE_MS (INT64_C(20) * MS_PER_S)

struct rig {
	struct loop *loop;
	struct jobs *jobs;
	struct ca *ca;
	struct timer *watchdog;
	struct exec_options o;
	char *argv[4];
	char folder[64];
	int ready, closed, trust_changes;
	struct fault *ready_fault;
	/* the answer */
	int done;
	struct fault *fault;
	struct ca_answer *answer;
};

static X509 *root, *issuer, *leaf;
static X509_REQ *csr;
static struct san_set sans;

static int make_all(void **state)
{
	(void)state;
	(void)signal(SIGPIPE, SIG_IGN); /* as the program does */
	json_memory_wipe();
	log_set_level(LOG_ERROR);
	root = certs_root(CERTS_ROOT, "Root");
	issuer = certs_issuer(root, CERTS_ROOT, CERTS_ISSUER, "Issuing");
	leaf = certs_leaf(issuer, CERTS_ISSUER, CERTS_LEAF);
	csr = X509_REQ_new();
	invariant(csr && X509_REQ_set_pubkey(csr, certs_key(CERTS_LEAF)) == 1);
	invariant(X509_REQ_sign(csr, certs_key(CERTS_LEAF), EVP_sha256()) > 0);
	expect_ok(san_set_add(&sans, SAN_DNS, "web.example"));
	expect_ok(san_set_add(&sans, SAN_URI, "spiffe://td/web"));
	return 0;
}

static int free_all(void **state)
{
	X509_free(root);
	X509_free(issuer);
	X509_free(leaf);
	X509_REQ_free(csr);
	san_set_free(&sans);
	return certs_free(state);
}

static void add_json_pem(struct buf *b, X509 *cert)
{
	struct buf pem = BUF_INIT;
	certs_add_pem(&pem, cert);
	for (size_t i = 0; i < pem.len; i++)
		if (pem.data[i] == '\n')
			buf_add_text(b, "\\n");
		else
			buf_add(b, &pem.data[i], 1);
	buf_free(&pem);
}

static void put(struct rig *r, const char *name, const struct buf *b)
{
	AUTO(mem_freep) char *path = mem_printf("%s/%s", r->folder, name);
	expect_ok(file_write(path, 0600, b->data, b->len));
}

/* Files that scripts show: issue.json, trust.json. */
static void put_answers(struct rig *r)
{
	struct buf b = BUF_INIT;
	buf_add_text(&b, "{\"chain\":\"");
	add_json_pem(&b, leaf);
	add_json_pem(&b, issuer);
	buf_add_text(&b, "\",\"request_id\":\"r-1\",\"renew\":{\"from\":1800000000,\"to\":1800003600}}");
	put(r, "issue.json", &b);
	buf_free(&b);
	buf_add_text(&b, "{\"anchors\":\"");
	add_json_pem(&b, root);
	buf_add_text(&b, "\"}");
	put(r, "trust.json", &b);
	buf_free(&b);
	certs_add_pem(&b, root);
	put(r, "root.pem", &b);
	buf_free(&b);
}

static void on_watchdog(void *arg)
{
	(void)arg;
	fail_msg("nothing happened for too long");
}

#define until(r, condition)                                                                                            \
	do {                                                                                                           \
		timer_start((r)->watchdog, PATIENCE_MS);                                                               \
		while (!(condition))                                                                                   \
			(void)loop_turn((r)->loop, true);                                                              \
		timer_stop((r)->watchdog);                                                                             \
	} while (0)

static int open_rig(void **state)
{
	struct rig *r = mem_new(struct rig);
	expect_ok(loop_new(clock_system(), &r->loop));
	r->jobs = jobs_new(r->loop);
	r->watchdog = timer_new(r->loop, on_watchdog, r);
	(void)snprintf(r->folder, sizeof r->folder, "/tmp/leafcast-exec-XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	put_answers(r);
	r->o = (struct exec_options){.timeout_ms = PATIENCE_MS, .trust_interval_ms = MS_PER_HOUR};
	*state = r;
	return 0;
}

static void on_trust(void *arg)
{
	((struct rig *)arg)->trust_changes++;
}

static void on_ready(void *arg, struct fault *f)
{
	struct rig *r = arg;
	r->ready++;
	r->ready_fault = f;
}

static void on_closed(void *arg)
{
	((struct rig *)arg)->closed++;
}

/* The driver with a script, whose folder is $0. */
static void make(struct rig *r, const char *script)
{
	union {
		const char *in;
		char *out;
	} text = {script};
	static char sh[] = "/bin/sh", c[] = "-c";
	char *argv[] = {sh, c, text.out, r->folder};
	memcpy(r->argv, argv, sizeof argv);
	r->o.command = r->argv;
	r->o.command_count = 4;
	const struct ca_env env = {.loop = r->loop,
		.jobs = r->jobs,
		.clock = clock_system(),
		.authority = "corp",
		.arg = r,
		.on_trust = on_trust};
	expect_ok(exec_new(&r->o, &env, &r->ca));
}

static void start(struct rig *r)
{
	int before = r->ready;
	ca_start(r->ca, on_ready, r);
	assert_int_equal(r->ready, before);
	until(r, r->ready > before);
}

static void stop(struct rig *r)
{
	ca_close(r->ca, on_closed, r);
	assert_int_equal(r->closed, 0);
	until(r, r->closed);
	r->ca = NULL;
}

static int close_rig(void **state)
{
	struct rig *r = *state;
	static const char *const files[] = {
		"issue.json", "trust.json", "root.pem", "asked", "pid", "pid2", "fds", "env", "began"};
	if (r->ca)
		stop(r);
	timer_free(r->watchdog);
	jobs_free(r->jobs);
	loop_free(r->loop); /* aborts when a handle is open */
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		AUTO(mem_freep) char *path = mem_printf("%s/%s", r->folder, files[i]);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(r->folder), 0);
	fault_free(r->ready_fault);
	fault_free(r->fault);
	ca_answer_free(r->answer);
	free(r);
	return 0;
}

/* Trust is told at once; an issue runs what is given. */
#define SCRIPT(issue) "read -r q; case $q in *'\"trust\"'*) cat $0/trust.json;; *) " issue ";; esac"

static void make_started(struct rig *r, const char *script)
{
	make(r, script);
	start(r);
	expect_ok(TAKE(r->ready_fault));
}

static void on_issued(void *arg, struct fault *f, struct ca_answer *a)
{
	struct rig *r = arg;
	assert_true((f == NULL) != (a == NULL));
	r->done++;
	r->fault = f;
	r->answer = a;
}

static struct ca_op *begin_issue(struct rig *r, int64_t patience_ms)
{
	const struct ca_request request = {.csr = csr,
		.sans = &sans,
		.key_type = KEY_ECDSA_P256,
		.lifetime_ms = MS_PER_HOUR,
		.deadline_ms = clock_mono_ms(clock_system()) + patience_ms};
	r->done = 0;
	struct ca_op *op = ca_issue(r->ca, &request, on_issued, r);
	assert_int_equal(r->done, 0);
	return op;
}

static void issue(struct rig *r, int64_t patience_ms)
{
	(void)begin_issue(r, patience_ms);
	until(r, r->done);
	assert_int_equal(r->done, 1);
}

static char *content(struct rig *r, const char *name)
{
	AUTO(mem_freep) char *path = mem_printf("%s/%s", r->folder, name);
	struct buf b = BUF_INIT;
	expect_ok(file_read(path, 65536, &b));
	char *text = mem_strdup(buf_text(&b));
	buf_free(&b);
	return text;
}

static bool exists(struct rig *r, const char *name)
{
	AUTO(mem_freep) char *path = mem_printf("%s/%s", r->folder, name);
	return access(path, F_OK) == 0;
}

/* Dead: an orphan is reaped by init, whenever that likes. */
static bool is_gone(struct rig *r, const char *name)
{
	AUTO(mem_freep) char *text = content(r, name);
	long pid = strtol(text, NULL, 10);
	assert_true(pid > 1);
	AUTO(mem_freep) char *path = mem_printf("/proc/%ld/stat", pid);
	char line[512] = "";
	FILE *f = fopen(path, "r");
	if (!f)
		return true;
	(void)!fgets(line, sizeof line, f);
	(void)fclose(f);
	const char *state = strrchr(line, ')');
	return !state || state[2] == 'Z' || state[2] == 'X';
}

static void on_poll(void *arg)
{
	(void)arg;
}

/* For what the loop is not told of. */
#define until_seen(r, condition)                                                                                       \
	do {                                                                                                           \
		struct timer *poll_ = timer_new((r)->loop, on_poll, NULL);                                             \
		timer_start((r)->watchdog, PATIENCE_MS);                                                               \
		while (!(condition)) {                                                                                 \
			timer_start(poll_, 5);                                                                         \
			(void)loop_turn((r)->loop, true);                                                              \
		}                                                                                                      \
		timer_stop((r)->watchdog);                                                                             \
		timer_free(poll_);                                                                                     \
	} while (0)

static void an_issue_says_all_and_takes_the_answer(void **state)
{
	struct rig *r = *state;
	make_started(r, SCRIPT("printf %s \"$q\" > $0/asked; cat $0/issue.json"));
	assert_int_equal(ca_capabilities(r->ca), CA_TRUST_CHANGES);
	assert_true(anchors_contain(ca_anchors(r->ca), root));
	issue(r, PATIENCE_MS);
	expect_ok(TAKE(r->fault));
	assert_int_equal(sk_X509_num(r->answer->chain), 2);
	assert_int_equal(X509_cmp(sk_X509_value(r->answer->chain, 0), leaf), 0);
	assert_string_equal(r->answer->request_id, "r-1");
	assert_int_equal(r->answer->renew.from_ms, INT64_C(1800000000000));
	assert_int_equal(r->answer->renew.to_ms, INT64_C(1800003600000));
	AUTO(mem_freep) char *asked = content(r, "asked");
	static const char *const parts[] = {"\"version\":1", "\"operation\":\"issue\"", "\"authority\":\"corp\"",
		"-----BEGIN CERTIFICATE REQUEST-----", "\"key_type\":\"ecdsa-p256\"", "\"lifetime_s\":3600",
		"\"sans\":{\"dns\":[\"web.example\"],\"uri\":[\"spiffe://td/web\"],\"ip\":[],\"email\":[]}"};
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		assert_non_null(strstr(asked, parts[i]));
	assert_null(strstr(asked, "PRIVATE KEY"));
}

static void each_failure_has_its_class(void **state)
{
	struct rig *r = *state;
	static const struct {
		const char *script;
		enum fault_code code;
		bool retryable;
		int64_t after_ms;
		const char *text;
	} rows[] = {
		{SCRIPT("exit 3"), FAULT_UNAVAILABLE, true, -1, "ended with 3"},
		{SCRIPT("echo one >&2; echo no route to host >&2; exit 1"), FAULT_UNAVAILABLE, true, -1,
			"ended with 1: one | no route to host"},
		{SCRIPT("exit 77"), FAULT_DENIED, false, -1, "ended with 77"},
		{SCRIPT("exit 65"), FAULT_INVALID, false, -1, "ended with 65"},
		{SCRIPT("kill -SEGV $$"), FAULT_UNAVAILABLE, true, -1, "signal 11"},
		{SCRIPT("true"), FAULT_CORRUPT, false, -1, "nothing was written"},
		{SCRIPT("echo '{\"chain\":'"), FAULT_CORRUPT, false, -1, "no JSON (line"},
		{SCRIPT("echo '[]'"), FAULT_CORRUPT, false, -1, "no JSON object"},
		{SCRIPT("echo '{}'"), FAULT_CORRUPT, false, -1, "there is no chain"},
		{SCRIPT("echo '{\"chain\":\"x\"}'"), FAULT_CORRUPT, false, -1, "chain: "},
		{SCRIPT("echo '{\"chian\":\"x\"}'"), FAULT_CORRUPT, false, -1, "a key \"chian\""},
		{SCRIPT("echo '{\"chain\":1,\"chain\":2}'"), FAULT_CORRUPT, false, -1, "no JSON"},
		{SCRIPT("sed s/1800003600/1800000000/ $0/issue.json"), FAULT_CORRUPT, false, -1, "from before to"},
		{SCRIPT("sed s/1800003600/1e12/ $0/issue.json"), FAULT_CORRUPT, false, -1, "renew is {from, to}"},
		{SCRIPT("sed s/\\\"to\\\"/\\\"until\\\"/ $0/issue.json"), FAULT_CORRUPT, false, -1, "a key \"until\""},
		{SCRIPT("cat /dev/zero"), FAULT_CORRUPT, false, -1, "wrote more than 2097152 bytes"},
		{SCRIPT("echo '{\"error\":{\"class\":\"throttled\",\"message\":\"slow down\",\"retry_after_s\":7}}'"),
			FAULT_EXHAUSTED, true, 7000, "the command says: slow down"},
		{SCRIPT("printf %s '{\"error\":{\"class\":\"denied\",\"message\":\"a\\nb\"}}'; exit 1"), FAULT_DENIED,
			false, -1, "says: a | b"},
		{SCRIPT("echo '{\"error\":{\"class\":\"invalid\"}}'"), FAULT_INVALID, false, -1, "no message"},
		{SCRIPT("echo '{\"error\":{\"class\":\"unavailable\"}}'"), FAULT_UNAVAILABLE, true, -1, "no message"},
		{SCRIPT("echo '{\"error\":{\"class\":\"odd\"}}'"), FAULT_CORRUPT, false, -1, "error.class"},
		{SCRIPT("echo '{\"error\":{\"class\":\"denied\",\"retry_after_s\":-1}}'"), FAULT_CORRUPT, false, -1,
			"retry_after_s"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		make_started(r, rows[i].script);
		issue(r, PATIENCE_MS);
		if (fault_is_retryable(r->fault) != rows[i].retryable)
			fail_msg("%zu: %s", i, fault_text(r->fault));
		assert_int_equal(fault_retry_after_ms(r->fault), rows[i].after_ms);
		expect_fault(TAKE(r->fault), rows[i].code, rows[i].text);
		stop(r);
		r->closed = 0;
	}
}

static void a_missing_program_is_said(void **state)
{
	struct rig *r = *state;
	make(r, "");
	static char missing[] = "/no/such/program";
	stop(r);
	r->closed = 0;
	r->argv[0] = missing;
	const struct ca_env env = {.loop = r->loop, .jobs = r->jobs, .clock = clock_system(), .authority = "corp"};
	expect_ok(exec_new(&r->o, &env, &r->ca));
	start(r);
	assert_true(fault_is_retryable(r->ready_fault));
	expect_fault(TAKE(r->ready_fault), FAULT_UNAVAILABLE, "/no/such/program cannot be run: no such file");
	issue(r, PATIENCE_MS); /* before it is ready */
	expect_fault(TAKE(r->fault), FAULT_UNAVAILABLE, "not ready");
}

static void a_start_that_failed_can_be_tried_again(void **state)
{
	struct rig *r = *state;
	make(r, "test -e $0/began && exec cat $0/trust.json; touch $0/began; exit 1");
	start(r);
	expect_fault(TAKE(r->ready_fault), FAULT_UNAVAILABLE, "ended with 1");
	start(r);
	expect_ok(TAKE(r->ready_fault));
}

/* The op ends in time; the processes, SIGTERM ignored, a little later. */
static void a_hanging_group_is_ended(void **state)
{
	struct rig *r = *state;
	make_started(r, SCRIPT("trap '' TERM; (trap '' TERM; sleep 1000) & echo $! > $0/pid2; echo $$ > $0/pid; wait; "
			       "sleep 1000"));
	r->done = 0;
	(void)begin_issue(r, 700);
	until(r, r->done);
	expect_fault(TAKE(r->fault), FAULT_TIMEOUT, "");
	stop(r); /* waits for the end of what it ran */
	assert_true(is_gone(r, "pid"));
	until_seen(r, is_gone(r, "pid2"));
}

static void children_that_hold_the_pipes_hold_nobody_up(void **state)
{
	struct rig *r = *state;
	make_started(r, SCRIPT("sleep 1000 & echo $! > $0/pid2; cat $0/issue.json"));
	issue(r, 5000);
	expect_ok(TAKE(r->fault));
	until_seen(r, is_gone(r, "pid2"));
	stop(r);
	r->closed = 0;
	ca_answer_free(TAKE(r->answer));
	/* One that left the group. */
	make_started(r, SCRIPT("setsid sleep 4 & cat $0/issue.json"));
	issue(r, 3000);
	expect_ok(TAKE(r->fault));
}

static void it_need_not_read_and_may_talk_without_end(void **state)
{
	struct rig *r = *state;
	r->o.root_file = mem_printf("%s/root.pem", r->folder);
	make_started(r, "exec 0<&-; head -c 3000000 /dev/zero | tr '\\0' x >&2; cat $0/issue.json");
	issue(r, PATIENCE_MS);
	expect_ok(TAKE(r->fault));
	free(r->o.root_file);
}

static void cancel_ends_it_once_at_each_point(void **state)
{
	struct rig *r = *state;
	make_started(r, SCRIPT("touch $0/began; sleep 1000"));
	ca_cancel(begin_issue(r, PATIENCE_MS), r->ca); /* at once */
	until(r, r->done);
	expect_fault(TAKE(r->fault), FAULT_UNAVAILABLE, "cancelled");
	struct ca_op *op = begin_issue(r, PATIENCE_MS); /* while it runs */
	until_seen(r, exists(r, "began"));
	ca_cancel(op, r->ca);
	ca_cancel(op, r->ca);
	assert_int_equal(r->done, 0);
	until(r, r->done);
	expect_fault(TAKE(r->fault), FAULT_UNAVAILABLE, "cancelled");
	(void)begin_issue(r, PATIENCE_MS); /* by close */
	stop(r);
	assert_int_equal(r->done, 1);
	expect_fault(TAKE(r->fault), FAULT_UNAVAILABLE, "closing");
}

static void close_ends_a_start(void **state)
{
	struct rig *r = *state;
	make(r, "sleep 1000");
	ca_start(r->ca, on_ready, r);
	stop(r);
	assert_int_equal(r->ready, 0);
}

static void the_environment_is_clean(void **state)
{
	struct rig *r = *state;
	static char name[] = "LEAFCAST_TEST_SECRET";
	char *names[] = {name};
	int before = dup(2); /* without O_CLOEXEC */
	assert_int_equal(setenv(name, "hunter-value", 1), 0);
	assert_int_equal(setenv("LEAFCAST_TEST_OTHER", "1", 1), 0);
	r->o.environment = names;
	r->o.environment_count = 1;
	make_started(r,
		SCRIPT("env > $0/env; ls /proc/self/fd > $0/fds; pwd >> $0/env; echo it is hunter-value >&2; exit 1"));
	issue(r, PATIENCE_MS);
	assert_null(strstr(fault_text(r->fault), "hunter"));
	expect_fault(TAKE(r->fault), FAULT_UNAVAILABLE, "it is [cut]");
	AUTO(mem_freep) char *env = content(r, "env"), *fds = content(r, "fds");
	assert_non_null(strstr(env, "LEAFCAST_TEST_SECRET=hunter-value\n"));
	assert_non_null(strstr(env, "PATH="));
	assert_non_null(strstr(env, "\n/\n"));
	assert_null(strstr(env, "OTHER"));
	assert_string_equal(fds, "0\n1\n2\n3\n"); /* the last one is ls's own, of the folder */
	(void)close(before);
}

static void anchors_are_asked_for_again(void **state)
{
	struct rig *r = *state;
	r->o.trust_interval_ms = 20;
	make_started(r, "cat $0/trust.json");
	struct buf b = BUF_INIT;
	X509 *second = certs_root(CERTS_STRANGER, "Second");
	buf_add_text(&b, "{\"anchors\":\"");
	add_json_pem(&b, root);
	add_json_pem(&b, second);
	buf_add_text(&b, "\"}");
	assert_int_equal(r->trust_changes, 0);
	put(r, "trust.json", &b);
	until(r, r->trust_changes);
	assert_int_equal(anchors_count(ca_anchors(r->ca)), 2);
	X509_free(second);
	buf_free(&b);
}

static void a_bad_root_file_is_said(void **state)
{
	struct rig *r = *state;
	r->o.root_file = mem_printf("%s/issue.json", r->folder);
	make(r, "exit 1");
	start(r);
	expect_fault(TAKE(r->ready_fault), FAULT_INVALID, "root_file ");
	free(r->o.root_file);
}

static void on_revoked(void *arg, struct fault *f)
{
	struct rig *r = arg;
	r->done++;
	r->fault = f;
}

static void revokes_where_it_can(void **state)
{
	struct rig *r = *state;
	STACK_OF(X509) *chain = sk_X509_new_null();
	struct credential *c = NULL;
	invariant(chain && sk_X509_push(chain, leaf) > 0 && sk_X509_push(chain, issuer) > 0);
	expect_ok(credential_new(chain, certs_key(CERTS_LEAF), &c));
	r->o.revoke = EXEC_REVOKE_YES;
	make_started(r, SCRIPT("printf %s \"$q\" > $0/asked; echo '{}'"));
	assert_int_equal(ca_capabilities(r->ca), CA_TRUST_CHANGES | CA_REVOKE);
	const struct ca_revocation revocation = {.leaf = c,
		.reason = CA_REASON_KEY_COMPROMISE,
		.deadline_ms = clock_mono_ms(clock_system()) + PATIENCE_MS};
	(void)ca_revoke(r->ca, &revocation, on_revoked, r);
	until(r, r->done);
	expect_ok(TAKE(r->fault));
	AUTO(mem_freep) char *asked = content(r, "asked");
	assert_non_null(strstr(asked, "\"operation\":\"revoke\""));
	assert_non_null(strstr(asked, "\"reason\":\"keyCompromise\",\"reason_code\":1"));
	assert_non_null(strstr(asked, credential_info(c)->serial));
	assert_null(strstr(asked, "PRIVATE KEY"));
	credential_unref(c);
	sk_X509_free(chain);
}

int main(void)
{
#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, open_rig, close_rig)
	const struct CMUnitTest tests[] = {
		WITH_RIG(an_issue_says_all_and_takes_the_answer),
		WITH_RIG(each_failure_has_its_class),
		WITH_RIG(a_missing_program_is_said),
		WITH_RIG(a_start_that_failed_can_be_tried_again),
		WITH_RIG(a_hanging_group_is_ended),
		WITH_RIG(children_that_hold_the_pipes_hold_nobody_up),
		WITH_RIG(it_need_not_read_and_may_talk_without_end),
		WITH_RIG(cancel_ends_it_once_at_each_point),
		WITH_RIG(close_ends_a_start),
		WITH_RIG(the_environment_is_clean),
		WITH_RIG(anchors_are_asked_for_again),
		WITH_RIG(a_bad_root_file_is_said),
		WITH_RIG(revokes_where_it_can),
	};
	return cmocka_run_group_tests(tests, make_all, free_all);
}
