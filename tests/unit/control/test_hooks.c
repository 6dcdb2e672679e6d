/* tests/unit/control/test_hooks.c - commands after a rotation, after a failure and below a life: what they are told,
 * how many there are at once, and that nothing waits for them. The commands are scripts in the rig's folder. */
#include "control/rig.h"
#include <fcntl.h>
#include <signal.h>
#include "control/internal.h"

#define HOUR_MS INT64_C(3600000)
#define HEAD                                                                                                           \
	"listen: [{unix: {path: /run/x/sds.sock}}]\nauthorities: {lab: {type: builtin}}\n"                             \
	"profiles: {workload: {authority: lab, lifetime: 10h}}\n"                                                      \
	"secrets: {web: {profile: workload, dns: [web.example]}, api/x: {profile: workload, dns: [x.example]}}\n"      \
	"policy: [{who: {uid: 7}, may: [\"**\"]}]\n"

static char script[128], output[128];
static struct timer *ticker; /* what a script writes wakes no loop */

static void on_tick(void *arg)
{
	(void)arg;
	timer_start(ticker, 10);
}

/* A script that its hooks run with their name as its argument; it writes into `output`. */
static void write_script(const struct rig *r, const char *body)
{
	(void)snprintf(script, sizeof script, "%s/hook", r->folder);
	(void)snprintf(output, sizeof output, "%s/output", r->folder);
	int fd = open(script, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
	assert_true(fd >= 0);
	assert_true(dprintf(fd, "#!/bin/sh\nout=%s\n%s\n", output, body) > 0);
	(void)close(fd);
}

static char *yaml_of(const char *hooks)
{
	struct buf b = BUF_INIT;
	buf_add_text(&b, HEAD);
	for (const char *at = hooks; *at; at++)
		if (*at == '@')
			buf_add_text(&b, script);
		else
			buf_add(&b, at, 1);
	return buf_take_text(&b);
}

static struct rig *start(const char *body, const char *hooks)
{
	struct rig *r = rig_prepare();
	r->fakes[0].name = "lab";
	write_script(r, body);
	AUTO(mem_freep) char *yaml = yaml_of(hooks);
	rig_start(r, yaml);
	ticker = timer_new(r->loop, on_tick, NULL);
	on_tick(NULL);
	rig_until(r, r->ready);
	return r;
}

static void end(struct rig *r)
{
	(void)unlink(script);
	(void)unlink(output);
	timer_free(ticker);
	rig_free(r);
}

/* What was written so far; until the next call. */
static const char *written(void)
{
	static char text[1 << 16];
	int fd = open(output, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
	assert_true(n >= 0);
	text[n] = 0;
	if (fd >= 0)
		(void)close(fd);
	return text;
}

static size_t times(const char *text, const char *word)
{
	size_t n = 0;
	for (const char *at = text; (at = strstr(at, word)); at += strlen(word))
		n++;
	return n;
}

static double runs(struct rig *r, const char *hook, const char *outcome)
{
	AUTO(mem_freep)
	char *sample = mem_printf("leafcast_hook_runs_total{hook=\"%s\",outcome=\"%s\"}", hook, outcome);
	return rig_metric(r, sample);
}

static void rotate(struct rig *r, const char *name)
{
	r->done = false;
	control_rotate(r->control, name, "uid 0", rig_on_done, r);
	rig_until(r, r->done);
}

static const char say[] = "echo \"$LEAFCAST_HOOK $LEAFCAST_EVENT $LEAFCAST_SECRET $LEAFCAST_ERROR\" >>$out";

static void after_a_rotation(void **state)
{
	(void)state;
	struct rig *r = start("env | grep ^LEAFCAST_ | sort >$out.new; cat >>$out.new; mv $out.new $out",
		"hooks: {told: {command: [\"@\"], events: [rotated], secrets: [web]}}\n");
	rig_until(r, runs(r, "told", "ok") == 1); /* the first certificate is one too */
	struct version *v = NULL;
	must(control_get(r->control, "web", &v));
	const char *leaf = version_leaf(v)->sha256;
	AUTO(mem_freep) char *fingerprint = mem_printf("LEAFCAST_FINGERPRINT=%s\n", leaf);
	AUTO(mem_freep) char *json = mem_printf("\"fingerprint\":\"%s\"", leaf);
	AUTO(mem_freep) char *version = mem_printf("LEAFCAST_VERSION=%s\n", version_id(v));
	const char *text = written();
	assert_non_null(strstr(text, fingerprint));
	assert_non_null(strstr(text, json));
	assert_non_null(strstr(text, version));
	assert_non_null(strstr(text, "LEAFCAST_EVENT=rotated\n"));
	assert_non_null(strstr(text, "LEAFCAST_AUTHORITY=lab\n"));
	assert_non_null(strstr(text, "LEAFCAST_SERIAL="));
	assert_non_null(strstr(text, "LEAFCAST_NOT_AFTER=2"));
	assert_null(strstr(text, "PRIVATE"));
	assert_null(strstr(text, "ERROR"));
	version_unref(v);
	assert_non_null(strstr(rig_audited(r, "hook.ran"), "\"by\":\"hook told\""));
	assert_non_null(strstr(rig_audited(r, "hook.ran"), "\"detail\":\"rotated: exit code 0\""));
	end(r);
}

static void after_a_failure(void **state)
{
	(void)state;
	struct rig *r = start(say, "hooks: {page: {command: [\"@\"], events: [failed]}}\n");
	r->fakes[0].ca->script = (struct fake_script){.fault = FAULT_UNAVAILABLE, .retryable = true};
	rotate(r, "web");
	assert_non_null(r->fault); /* the order heard of it as well */
	fault_free(TAKE(r->fault));
	rig_until(r, runs(r, "page", "ok") >= 1);
	assert_int_equal(strncmp(written(), "page failed web ", 16), 0);
	assert_true(strlen(written()) > 20); /* with the reason */
	end(r);
}

/* What is looked at each second, now. */
static void look(struct rig *r)
{
	for (struct entry *e = r->control->entries; e; e = e->hh.next)
		hooks_watch(e, control_now_ms(r->control));
}

static void below_a_life(void **state)
{
	(void)state;
	struct rig *r =
		start(say, "hooks: {part: {command: [\"@\"], events: [expiring], life_below: 10%, secrets: [web]}, "
			   "time: {command: [\"@\"], events: [expiring], life_below: 2h, secrets: [web]}}\n");
	r->fakes[0].ca->script = (struct fake_script){.fault = FAULT_UNAVAILABLE, .retryable = true};
	r->shift_ms = HOUR_MS * 85 / 10;
	look(r);
	look(r);
	rig_until(r, runs(r, "time", "ok") == 1);
	assert_true(runs(r, "part", "ok") == -1);
	r->shift_ms = HOUR_MS * 95 / 10;
	look(r);
	rig_until(r, runs(r, "part", "ok") == 1);
	assert_int_equal(times(written(), "expiring web"), 2); /* each once */
	/* A reload that changes one threshold tells of that one again, and of no other. */
	AUTO(mem_freep)
	char *next = yaml_of("hooks: {part: {command: [\"@\"], events: [expiring], life_below: 10%, secrets: [web]}, "
			     "time: {command: [\"@\"], events: [expiring], life_below: 3h, secrets: [web]}}\n");
	must(control_reload(r->control, rig_definitions(next)));
	look(r);
	rig_until(r, runs(r, "time", "ok") == 2);
	assert_true(runs(r, "part", "ok") == 1);
	/* A new version has a life of its own. */
	r->fakes[0].ca->script = (struct fake_script){0};
	rotate(r, "web");
	while (r->fault) { /* what was asked before answers an order too */
		fault_free(TAKE(r->fault));
		rotate(r, "web");
	}
	r->fakes[0].ca->script = (struct fake_script){.fault = FAULT_UNAVAILABLE, .retryable = true};
	r->shift_ms += HOUR_MS * 85 / 10;
	look(r);
	rig_until(r, runs(r, "time", "ok") == 3);
	end(r);
}

static void patterns_choose(void **state)
{
	(void)state;
	struct rig *r = start(say, "hooks: {one: {command: [\"@\"], events: [rotated], secrets: [\"api/*\"]}, "
				   "all: {command: [\"@\"], events: [rotated]}}\n");
	rig_until(r, runs(r, "all", "ok") == 2 && runs(r, "one", "ok") == 1);
	assert_int_equal(times(written(), "one rotated api/x"), 1);
	assert_int_equal(times(written(), "one rotated web"), 0);
	end(r);
}

/* Dead, but nobody has taken note of it yet: that is init's affair. */
static bool is_dead(pid_t pid)
{
	char path[64], text[256] = "";
	(void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return true;
	ssize_t n = read(fd, text, sizeof text - 1);
	(void)close(fd);
	const char *state = n > 0 ? strrchr(text, ')') : NULL;
	return state && state[1] == ' ' && state[2] == 'Z';
}

/* A hook that hangs is ended with all that it started, and nothing waits for it meanwhile. On a slow machine its time
 * may be over before it has begun: then once more. */
static void a_hanging_one_is_ended(void **state)
{
	(void)state;
	struct rig *r = start("sleep 600 & echo $! >$out; wait",
		"hooks: {slow: {command: [\"@\"], events: [rotated], secrets: [web], timeout: 500ms}}\n");
	double before;
	do {
		before = runs(r, "slow", "timeout");
		rotate(r, "web");
		must(TAKE(r->fault));
		rig_until(r, runs(r, "slow", "timeout") > before);
	} while (!strchr(written(), '\n'));
	pid_t pid = (pid_t)strtol(written(), NULL, 10);
	assert_true(pid > 1);
	rig_until(r, kill(pid, 0) != 0 || is_dead(pid));
	assert_non_null(strstr(rig_audited(r, "hook.failed"), "did not end within 500 ms"));
	end(r);
}

/* What is written without end, a command that is not there, one that reads nothing: the service goes on. */
static void a_bad_one_disturbs_nobody(void **state)
{
	(void)state;
	struct rig *r = start("head -c 1000000 /dev/zero | tr '\\0' x; exit 3",
		"hooks: {loud: {command: [\"@\"], events: [rotated], secrets: [web]}, "
		"gone: {command: [/nonexistent/hook], events: [rotated], secrets: [web]}}\n");
	rig_until(r, runs(r, "loud", "failed") == 1 && runs(r, "gone", "failed") == 1);
	rotate(r, "web");
	must(TAKE(r->fault));
	rig_until(r, runs(r, "loud", "failed") == 2 && runs(r, "gone", "failed") == 2);
	assert_true(runs(r, "loud", "ok") == -1);
	end(r);
}

/* One of each hook at a time, four of all; what comes meanwhile is told once, as it is at the end. */
static void many_are_told_one_after_another(void **state)
{
	(void)state;
	struct rig *r = start("mkdir $out.busy || echo overlap >>$out; echo \"$LEAFCAST_SECRET $LEAFCAST_VERSION "
			      "$LEAFCAST_EVENTS\" >>$out; while [ -e $out.hold ]; do sleep 0.05; done; rmdir $out.busy",
		"hooks: {a: {command: [\"@\"], events: [rotated]}}\n");
	rig_until(r, runs(r, "a", "ok") == 2);
	AUTO(mem_freep) char *hold = mem_printf("%s.hold", output);
	(void)close(open(hold, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	rotate(r, "web");
	must(TAKE(r->fault));
	rig_until(r, times(written(), "web ") == 2); /* it runs, and stays */
	for (int i = 0; i < 5; i++) {
		rotate(r, "web");
		must(TAKE(r->fault));
	}
	rig_until(r, rig_metric(r, "leafcast_hook_waiting{hook=\"a\"}") == 1);
	(void)unlink(hold);
	rig_until(r, runs(r, "a", "ok") == 4);
	struct version *v = NULL;
	must(control_get(r->control, "web", &v));
	AUTO(mem_freep) char *last = mem_printf("web %s 5\n", version_id(v));
	assert_non_null(strstr(written(), last));
	assert_int_equal(times(written(), "overlap"), 0);
	version_unref(v);
	end(r);
}

/* It is taken out while it runs, and comes back under the same name. */
static void a_reload_changes_hooks(void **state)
{
	(void)state;
	struct rig *r = start("echo $1 >>$out; [ \"$1\" != first ] || exec sleep 600",
		"hooks: {h: {command: [\"@\", first], events: [rotated], secrets: [web], timeout: 5s}}\n");
	rig_until(r, times(written(), "first"));
	rotate(r, "web");
	must(TAKE(r->fault)); /* waits behind the first run, and is dropped with its hook */
	AUTO(mem_freep) char *none = yaml_of("");
	must(control_reload(r->control, rig_definitions(none)));
	assert_true(rig_metric(r, "leafcast_hook_waiting{hook=\"h\"}") == -1);
	AUTO(mem_freep)
	char *next = yaml_of("hooks: {h: {command: [\"@\", second], events: [rotated], secrets: [web]}}\n");
	must(control_reload(r->control, rig_definitions(next)));
	rotate(r, "web");
	must(TAKE(r->fault));
	rig_until(r, runs(r, "h", "ok") == 1);
	assert_int_equal(times(written(), "first"), 1);
	assert_int_equal(times(written(), "second"), 1);
	end(r); /* also while the first one still runs: it is ended */
}

/* Bytes that only a shell would take apart stay one argument; the environment is what was named. */
static void there_is_no_shell(void **state)
{
	(void)state;
	struct rig *r = start("echo \"$# $1 ${HOME-none}\" >>$out",
		"hooks: {h: {command: [\"@\", \"a b; $(id) `id`\"], events: [rotated], secrets: [web]}}\n");
	rig_until(r, runs(r, "h", "ok") == 1);
	assert_string_equal(written(), "1 a b; $(id) `id` none\n");
	end(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(after_a_rotation),
		cmocka_unit_test(after_a_failure),
		cmocka_unit_test(below_a_life),
		cmocka_unit_test(patterns_choose),
		cmocka_unit_test(a_hanging_one_is_ended),
		cmocka_unit_test(a_bad_one_disturbs_nobody),
		cmocka_unit_test(many_are_told_one_after_another),
		cmocka_unit_test(a_reload_changes_hooks),
		cmocka_unit_test(there_is_no_shell),
	};
	(void)signal(SIGPIPE, SIG_IGN); /* as the server does */
	return cmocka_run_group_tests(tests, NULL, rig_end_pool);
}
