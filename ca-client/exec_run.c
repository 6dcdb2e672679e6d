/* ca-client/exec_run.c - the runs of the command. An op is what the caller sees, a run is the process behind it: that
 * ends when it ends, at the latest CHILD_GRACE_MS after nobody waits for it any more. */
#include <string.h>
#include "base/anchors.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/child.h"
#include "base/io/child_env.h"
#include "base/io/loop.h"
#include "base/mem.h"
#include "base/redact.h"
#include "base/table.h"
#include "ca-client/exec_internal.h"
#include "ca-client/exec_words.h"

/* sysexits.h, as far as a code says more than that it did not work. */
enum { EX_USAGE = 64, EX_DATAERR = 65, EX_NOPERM = 77, EX_CONFIG = 78 };

static struct fault *fault_of_exit(const struct child_result *r, const char *said)
{
	const char *sep = *said ? ": " : "";
	if (r->signal)
		return fault_set_retryable(
			fault_new(FAULT_UNAVAILABLE, "the command was ended by signal %d%s%s", r->signal, sep, said),
			-1);
	switch (r->exit_code) {
	case EX_USAGE:
	case EX_DATAERR:
	case EX_CONFIG:
		return fault_new(FAULT_INVALID, "the command ended with %d%s%s", r->exit_code, sep, said);
	case EX_NOPERM:
		return fault_new(FAULT_DENIED, "the command ended with %d%s%s", r->exit_code, sep, said);
	default:
		return fault_set_retryable(
			fault_new(FAULT_UNAVAILABLE, "the command ended with %d%s%s", r->exit_code, sep, said), -1);
	}
}

/* What was handed over by the environment is not to come back in a message. */
struct secrets {
	const char *values[EXEC_ENVIRONMENT_MAX];
	struct redact_hidden hide;
};

static const struct redact_hidden *hidden(const struct exec *e, struct secrets *s)
{
	for (size_t i = 0; i < e->o.environment_count; i++)
		s->values[i] = getenv(e->o.environment[i]);
	s->hide = (struct redact_hidden){s->values, e->o.environment_count};
	return &s->hide;
}

/* NULL: its output is to be read. */
static struct fault *fault_of_run(const struct exec *e, struct fault *f, const struct child_result *r)
{
	if (!f && !r->signal && !r->exit_code)
		return NULL;
	struct secrets s;
	struct buf said = BUF_INIT;
	const struct redact_hidden *hide = hidden(e, &s);
	redact_add(r->errors.data, r->errors.len, hide, &said);
	struct fault *told = f || r->signal ? NULL : exec_read_error(r->output.data, r->output.len, hide);
	if (f && said.len) {
		struct fault *with = fault_new(fault_code(f), "%s: %s", fault_text(f), buf_text(&said));
		told = fault_is_retryable(f) ? fault_set_retryable(with, fault_retry_after_ms(f)) : with;
		fault_free(f);
	} else if (f) {
		told = f;
	} else if (!told) {
		told = fault_of_exit(r, buf_text(&said));
	}
	buf_free(&said);
	return told;
}

static bool is_known(const struct exec *e, STACK_OF(X509) * chain)
{
	if (!e->anchors)
		return false;
	struct fault *f = anchors_verify(e->anchors, chain, 0, clock_wall_ms(e->ca.env.clock));
	bool known = !f;
	fault_ignore(f, "the core checks the answer and says why");
	return known;
}

static void end_issue(struct exec *e, struct ca_op *op, struct fault *f, const struct child_result *r)
{
	struct ca_answer *a = NULL;
	struct secrets s;
	if (!f)
		f = exec_read_issue(r->output.data, r->output.len, hidden(e, &s), &a);
	if (a && a->anchors && !e->o.root_file)
		exec_learn_anchors(e, a->anchors);
	if (a && !e->closing && !is_known(e, a->chain))
		exec_doubt_anchors(e);
	if (op)
		op_complete(op, f, a);
	else
		fault_free(f), ca_answer_free(a);
}

static void end_trust(struct exec *e, struct fault *f, const struct child_result *r)
{
	struct anchors *anchors = NULL;
	struct secrets s;
	if (!f)
		f = exec_read_trust(r->output.data, r->output.len, hidden(e, &s), &anchors);
	exec_take_anchors(e, f, anchors);
	anchors_unref(anchors);
}

static void on_child(void *arg, struct fault *f, const struct child_result *r)
{
	struct exec_run *run = arg;
	struct exec *e = run->owner;
	struct ca_op *op = run->op;
	enum exec_operation operation = run->operation;
	struct secrets s;
	DL_DELETE(e->runs, run);
	free(run);
	f = fault_of_run(e, f, r);
	if (operation == EXEC_TRUST)
		end_trust(e, f, r);
	else if (operation == EXEC_ISSUE)
		end_issue(e, op, f, r);
	else if (op)
		op_complete(op, f ? f : exec_read_revoke(r->output.data, r->output.len, hidden(e, &s)), NULL);
	else
		fault_free(f);
	exec_finish_close(e);
}

/* --- the beginning of a run --- */

static struct child *start_child(struct exec_run *run, const struct buf *told, int64_t timeout_ms)
{
	const struct exec_options *o = &run->owner->o;
	const char *argv[EXEC_ARGUMENTS_MAX + 1] = {NULL};
	struct child_env env = CHILD_ENV_INIT;
	for (size_t i = 0; i < o->command_count; i++)
		argv[i] = o->command[i];
	child_env_inherit(&env, (const char *const *)o->environment, o->environment_count);
	const struct child_request request = {.argv = argv,
		.env = child_env_list(&env),
		.input = told->data,
		.input_len = told->len,
		.output_max = EXEC_ANSWER_MAX,
		.timeout_ms = timeout_ms};
	struct child *c = child_start(run->owner->ca.env.loop, &request, on_child, run);
	child_env_done(&env);
	return c;
}

static void on_abandoned(void *work)
{
	struct exec_run *run = work;
	run->op = NULL;
	child_end(run->child);
}

static void begin_run(
	struct exec *e, enum exec_operation operation, struct ca_op *op, const struct buf *told, int64_t timeout_ms)
{
	struct exec_run *run = mem_new(struct exec_run);
	run->owner = e;
	run->operation = operation;
	run->op = op;
	if (op) {
		op->abandon = on_abandoned;
		op->work = run;
	}
	DL_APPEND(e->runs, run);
	run->child = start_child(run, told, timeout_ms);
}

void exec_run_trust(struct exec *e)
{
	struct buf told = BUF_INIT;
	exec_write_trust(e->ca.env.authority, e->o.timeout_ms, &told);
	begin_run(e, EXEC_TRUST, NULL, &told, e->o.timeout_ms);
	buf_free(&told);
}

/* The time that a run has: NULL with a reason where it has none. */
static bool may_run(struct exec *e, struct ca_op *op, int64_t *ret_timeout_ms)
{
	if (e->closing || !e->anchors) {
		op_end_later(op, fault_set_retryable(fault_new(FAULT_UNAVAILABLE, "the authority is %s",
							     e->closing ? "closing" : "not ready"),
					 -1));
		return false;
	}
	int64_t left = op_left_ms(op);
	*ret_timeout_ms = left < e->o.timeout_ms ? left : e->o.timeout_ms;
	return left > 0; /* else its own timer ends it */
}

struct ca_op *exec_issue(struct ca *ca, const struct ca_request *r, ca_issued_fn *done, void *arg)
{
	struct exec *e = exec_of(ca);
	struct ca_op *op = op_new_issue(&e->ops, r->deadline_ms, done, arg);
	int64_t timeout_ms;
	if (!may_run(e, op, &timeout_ms))
		return op;
	struct buf told = BUF_INIT;
	exec_write_issue(ca->env.authority, r, timeout_ms, &told);
	begin_run(e, EXEC_ISSUE, op, &told, timeout_ms);
	buf_free(&told);
	return op;
}

struct ca_op *exec_revoke(struct ca *ca, const struct ca_revocation *r, ca_revoked_fn *done, void *arg)
{
	struct exec *e = exec_of(ca);
	struct ca_op *op = op_new_revoke(&e->ops, r->deadline_ms, done, arg);
	int64_t timeout_ms;
	if (!may_run(e, op, &timeout_ms))
		return op;
	struct buf told = BUF_INIT;
	exec_write_revoke(ca->env.authority, r, timeout_ms, &told);
	begin_run(e, EXEC_REVOKE, op, &told, timeout_ms);
	buf_free(&told);
	return op;
}

void exec_end_runs(struct exec *e)
{
	struct exec_run *run;
	DL_FOREACH (e->runs, run)
		child_end(run->child);
}
