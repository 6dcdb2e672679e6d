/* ca-client/exec.c - the exec driver: its anchors, asked for at start and again and again, and its life. The runs of
 * the command are in exec_run.c. */
#include "ca-client/exec.h"
#include <stdlib.h>
#include <string.h>
#include "base/anchors.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/file.h"
#include "base/io/job.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "ca-client/exec_internal.h"

/* After a failure, and after a leaf of an issuer that is not known. */
#define RETRY_TRUST_MS MS_PER_MIN
#define DOUBT_MS MS_PER_S

static bool same_texts(char *const *a, size_t a_count, char *const *b, size_t b_count)
{
	if (a_count != b_count)
		return false;
	for (size_t i = 0; i < a_count; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return true;
}

bool exec_options_equal(const struct exec_options *a, const struct exec_options *b)
{
	return same_texts(a->command, a->command_count, b->command, b->command_count) &&
	       same_texts(a->environment, a->environment_count, b->environment, b->environment_count) &&
	       a->timeout_ms == b->timeout_ms && text_same(a->root_file, b->root_file) &&
	       a->trust_interval_ms == b->trust_interval_ms && a->revoke == b->revoke;
}

static void free_texts(char **texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(texts[i]);
	free(texts);
}

void exec_options_done(struct exec_options *o)
{
	free_texts(o->command, o->command_count);
	free_texts(o->environment, o->environment_count);
	free(o->root_file);
}

static char **copy_texts(char *const *texts, size_t count)
{
	char **copy = mem_array(char *, count + 1);
	for (size_t i = 0; i < count; i++)
		copy[i] = mem_strdup(texts[i]);
	return copy;
}

static void copy_options(const struct exec_options *from, struct exec_options *ret)
{
	*ret = *from;
	ret->command = copy_texts(from->command, from->command_count);
	ret->environment = copy_texts(from->environment, from->environment_count);
	ret->root_file = mem_strdup(from->root_file);
}

void exec_finish_close(struct exec *e)
{
	if (!e->closing || !e->turned || e->jobs || e->runs || e->ops.list)
		return;
	void (*closed)(void *arg) = e->closed;
	void *arg = e->closed_arg;
	anchors_unref(e->anchors);
	timer_free(e->poll);
	timer_free(e->turn);
	exec_options_done(&e->o);
	free(e->told);
	free(e);
	closed(arg);
}

static void on_emptied(void *arg)
{
	exec_finish_close(arg);
}

static void on_turn(void *arg)
{
	struct exec *e = arg;
	e->turned = true;
	exec_finish_close(e);
}

/* --- anchors --- */

static void put_anchors(struct exec *e, struct anchors *anchors)
{
	bool first = !e->anchors, changed = !first && !anchors_equal(e->anchors, anchors);
	if (!first && !changed)
		return;
	anchors_unref(e->anchors);
	e->anchors = anchors_ref(anchors);
	log_event(LOG_INFO, first ? "authority.anchors_known" : "authority.anchors_changed",
		LS("authority", e->ca.env.authority), LI("count", anchors_count(anchors)),
		LS("first_sha256", anchors_info(anchors, 0)->sha256));
	if (changed)
		e->ca.env.on_trust(e->ca.env.arg);
}

void exec_learn_anchors(struct exec *e, struct anchors *anchors)
{
	if (!e->closing)
		put_anchors(e, anchors);
}

void exec_take_anchors(struct exec *e, struct fault *f, struct anchors *anchors)
{
	e->asking = false;
	if (e->closing) {
		fault_free(f);
		return;
	}
	if (anchors)
		put_anchors(e, anchors);
	else if (!e->ready && !text_same(e->told, fault_text(f)))
		log_event(LOG_WARN, "authority.anchors_not_read", LS("authority", e->ca.env.authority), LF(f));
	free(e->told);
	e->told = f ? mem_strdup(fault_text(f)) : NULL;
	if (e->anchors)
		timer_start(e->poll,
			anchors || e->o.trust_interval_ms < RETRY_TRUST_MS ? e->o.trust_interval_ms : RETRY_TRUST_MS);
	void (*ready)(void *arg, struct fault *why) = e->ready;
	e->ready = NULL;
	if (ready)
		ready(e->ready_arg, f);
	else
		fault_free(f);
}

struct reading {
	struct exec *owner;
	char *path;
	struct fault *fault;
	struct anchors *anchors;
};

static struct fault *read_roots(const char *path, struct anchors **ret)
{
	struct buf pem = BUF_INIT;
	struct fault *f = file_read(path, ANCHORS_PEM_MAX, &pem);
	if (!f)
		f = anchors_from_pem(pem.data, pem.len, ret);
	buf_free(&pem);
	return f ? fault_wrap(f, "root_file %s", path) : NULL;
}

static void read_in_job(void *arg)
{
	struct reading *r = arg;
	r->fault = read_roots(r->path, &r->anchors);
}

static void on_read(void *arg)
{
	struct reading *r = arg;
	struct exec *e = r->owner;
	e->jobs--;
	exec_take_anchors(e, r->fault, r->anchors);
	anchors_unref(r->anchors);
	free(r->path);
	free(r);
	exec_finish_close(e);
}

static void ask_for_anchors(struct exec *e)
{
	if (e->asking || e->closing)
		return;
	e->asking = true;
	timer_stop(e->poll);
	if (!e->o.root_file) {
		exec_run_trust(e);
		return;
	}
	struct reading *r = mem_new(struct reading);
	r->owner = e;
	r->path = mem_strdup(e->o.root_file);
	e->jobs++;
	jobs_run(e->ca.env.jobs, false, read_in_job, on_read, r);
}

static void on_poll(void *arg)
{
	ask_for_anchors(arg);
}

void exec_doubt_anchors(struct exec *e)
{
	if (!e->asking)
		timer_start(e->poll, e->o.trust_interval_ms < DOUBT_MS ? e->o.trust_interval_ms : DOUBT_MS);
}

/* --- the driver --- */

static void start(struct ca *ca, void (*ready)(void *arg, struct fault *f), void *arg)
{
	struct exec *e = exec_of(ca);
	invariant(!e->ready && !e->closing);
	e->ready = ready;
	e->ready_arg = arg;
	ask_for_anchors(e);
}

static struct anchors *get_anchors(struct ca *ca)
{
	return exec_of(ca)->anchors;
}

static void close_exec(struct ca *ca, void (*closed)(void *arg), void *arg)
{
	struct exec *e = exec_of(ca);
	e->closing = true;
	e->closed = closed;
	e->closed_arg = arg;
	timer_stop(e->poll);
	ops_close(&e->ops);
	exec_end_runs(e);
	timer_start(e->turn, 0);
}

static const struct ca_driver driver = {.type = "exec",
	.capabilities = CA_TRUST_CHANGES,
	.start = start,
	.issue = exec_issue,
	.cancel = op_cancel,
	.anchors = get_anchors,
	.close = close_exec};
static const struct ca_driver revoking = {.type = "exec",
	.capabilities = CA_TRUST_CHANGES | CA_REVOKE,
	.start = start,
	.issue = exec_issue,
	.revoke = exec_revoke,
	.cancel = op_cancel,
	.anchors = get_anchors,
	.close = close_exec};

static struct fault *check_options(const struct exec_options *o)
{
	if (o->command_count == 0 || o->command_count > EXEC_ARGUMENTS_MAX)
		return fault_new(FAULT_INVALID, "command is a list of 1 to %d texts", EXEC_ARGUMENTS_MAX);
	if (*o->command[0] != '/')
		return fault_new(FAULT_INVALID, "command begins with an absolute path");
	if (o->environment_count > EXEC_ENVIRONMENT_MAX)
		return fault_new(FAULT_INVALID, "environment has at most %d names", EXEC_ENVIRONMENT_MAX);
	return NULL;
}

struct fault *exec_new(const struct exec_options *o, const struct ca_env *env, struct ca **ret)
{
	TRY(check_options(o));
	struct exec *e = mem_new(struct exec);
	e->ca.driver = o->revoke == EXEC_REVOKE_YES ? &revoking : &driver;
	e->ca.env = *env;
	copy_options(o, &e->o);
	e->ops = (struct ops){.loop = env->loop, .clock = env->clock, .emptied = on_emptied, .arg = e};
	e->poll = timer_new(env->loop, on_poll, e);
	e->turn = timer_new(env->loop, on_turn, e);
	*ret = &e->ca;
	return NULL;
}
