#include "daemon/init_try.h"
#include <stdbool.h>
#include <stdlib.h>
#include "base/anchors.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/http.h"
#include "base/io/job.h"
#include "base/io/loop.h"
#include "base/mem.h"
#include "control/definitions.h"

struct trial {
	struct loop *loop;
	struct timer *timer; /* for the limit */
	struct timer *saved;
	void (*save_done)(void *arg, struct fault *f);
	void *save_arg;
	struct fault *fault;
	bool answered, closed;
};

static struct fault *load_nothing(void *arg, const char *key, const struct secret **ret)
{
	(void)arg;
	(void)key;
	*ret = NULL;
	return NULL;
}

static void on_saved(void *arg)
{
	struct trial *t = arg;
	t->save_done(t->save_arg, NULL);
}

/* A driver saves one thing at a time. */
static void save_nothing(void *arg, const char *key, const struct secret *bytes,
	void (*done)(void *done_arg, struct fault *f), void *done_arg)
{
	struct trial *t = arg;
	(void)key;
	(void)bytes;
	t->save_done = done;
	t->save_arg = done_arg;
	timer_start(t->saved, 0);
}

static void on_trust(void *arg)
{
	(void)arg;
}

static void on_ready(void *arg, struct fault *f)
{
	struct trial *t = arg;
	t->answered = true;
	t->fault = f;
}

static void on_closed(void *arg)
{
	((struct trial *)arg)->closed = true;
}

static void on_limit(void *arg)
{
	struct trial *t = arg;
	if (t->answered)
		return;
	t->answered = true;
	t->fault = fault_new(FAULT_TIMEOUT, "it did not answer in time");
}

static struct fault *make_driver(const struct authority_def *def, const struct ca_env *env, struct ca **ret)
{
	switch (def->type) {
	case AUTHORITY_BUILTIN:
		return builtin_new(&def->builtin, env, ret);
	case AUTHORITY_VAULT:
		return vault_new(&def->vault, env, ret);
	case AUTHORITY_STEP:
		return step_new(&def->step, env, ret);
	case AUTHORITY_EXEC:
		return exec_new(&def->exec, env, ret);
	default:
		return fault_new(FAULT_INVALID, "this kind of authority cannot be tried without a server");
	}
}

static struct fault *run(struct trial *t, struct ca *ca, int64_t timeout_ms, struct anchors **ret)
{
	ca_start(ca, on_ready, t);
	timer_start(t->timer, timeout_ms);
	while (!t->answered)
		(void)loop_turn(t->loop, true);
	timer_stop(t->timer);
	struct anchors *shown = t->fault ? NULL : anchors_ref(ca_anchors(ca));
	ca_close(ca, on_closed, t);
	while (!t->closed)
		(void)loop_turn(t->loop, true);
	if (t->fault)
		return TAKE(t->fault);
	*ret = shown;
	return NULL;
}

struct fault *init_try(const struct authority_def *def, int64_t timeout_ms, struct anchors **ret)
{
	struct trial t = {.loop = NULL};
	TRY(loop_new(clock_system(), &t.loop));
	struct jobs *jobs = jobs_new(t.loop);
	struct http *http = http_new(t.loop);
	t.timer = timer_new(t.loop, on_limit, &t);
	t.saved = timer_new(t.loop, on_saved, &t);
	const struct ca_env env = {.loop = t.loop,
		.jobs = jobs,
		.http = http,
		.clock = clock_system(),
		.authority = def->name,
		.arg = &t,
		.load = load_nothing,
		.save = save_nothing,
		.on_trust = on_trust};
	struct ca *ca = NULL;
	struct fault *f = make_driver(def, &env, &ca);
	if (!f)
		f = run(&t, ca, timeout_ms, ret);
	timer_free(t.timer);
	timer_free(t.saved);
	http_free(http);
	while (loop_turn(t.loop, false))
		; /* the last close callbacks */
	jobs_free(jobs);
	loop_free(t.loop);
	return f;
}
