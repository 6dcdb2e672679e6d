#include "control/authorities.h"
#include "base/anchors.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/internal.h"

/* A driver that has not answered after so long is treated as one that is down: what waits is told. */
#define ANSWER_GRACE_MS (INT64_C(10) * MS_PER_S)
/* A throttled authority is left alone for as long as it says, but not for longer. */
#define PAUSE_MOST_MS MS_PER_MIN

struct authority {
	struct authority *next; /* control.authorities */
	struct control *control;
	char *name;
	struct ca *ca;
	bool started, answered, ready;
	bool late; /* not answered yet, and it was given up to wait for that */
	char *error;
	struct trust trust;
	struct kept *kept;
	struct admission *admission;
	struct breaker breaker;
	char *last_failure; /* of a request; NULL: none, or the last one succeeded */
	int64_t last_failure_ms;
	bool admitting;
	struct timer *turn;  /* somebody may have his turn */
	struct timer *grace; /* it should have answered by now */
	struct timer *retry;
	struct backoff backoff;
	bool driver_closed;
	void (*closed)(void *arg); /* set: it ends */
	void *closed_arg;
};

static struct fault *env_load(void *arg, const char *key, const struct secret **ret)
{
	struct authority *a = arg;
	return kept_load(&a->kept, a->control->o.store, a->name, key, ret);
}

static void env_save(void *arg, const char *key, const struct secret *bytes,
	void (*done)(void *done_arg, struct fault *f), void *done_arg)
{
	struct authority *a = arg;
	kept_save(&a->kept, a->control->o.store, a->name, key, bytes, done, done_arg);
}

static void env_on_trust(void *arg)
{
	trust_shown(arg);
}

static struct fault *make_driver(struct authority *a, const struct authority_def *def)
{
	struct control *c = a->control;
	struct ca_env env = {.loop = c->o.loop,
		.jobs = c->o.jobs,
		.http = c->o.http,
		.clock = c->o.clock,
		.authority = a->name,
		.arg = a,
		.load = env_load,
		.save = env_save,
		.on_trust = env_on_trust};
	if (c->o.make_ca)
		return c->o.make_ca(c->o.arg, def, &env, &a->ca);
	switch (def->type) {
	case AUTHORITY_BUILTIN:
		return builtin_new(&def->builtin, &env, &a->ca);
	case AUTHORITY_STEP:
		return step_new(&def->step, &env, &a->ca);
	case AUTHORITY_VAULT:
		return vault_new(&def->vault, &env, &a->ca);
	case AUTHORITY_EXEC:
		return exec_new(&def->exec, &env, &a->ca);
	}
	return fault_new(FAULT_INVALID, "authority %s: unknown type", a->name);
}

static void authority_release_memory(struct authority *a)
{
	kept_free(&a->kept);
	admission_free(a->admission);
	timer_free(a->turn);
	timer_free(a->grace);
	timer_free(a->retry);
	trust_done(&a->trust);
	free(a->name);
	free(a->error);
	free(a->last_failure);
	free(a);
}

static void start_driver(void *arg);
static void on_turn(void *arg);
static void on_grace(void *arg);
static void end_when_idle(struct authority *a);

struct fault *authority_new(struct control *c, const struct authority_def *def, struct authority **ret)
{
	struct authority *a = mem_new(struct authority);
	a->control = c;
	a->name = mem_strdup(def->name);
	a->backoff = (struct backoff){.base_ms = 1000, .cap_ms = 60000};
	struct fault *f = make_driver(a, def);
	if (f) {
		authority_release_memory(a);
		return fault_wrap(f, "authority %s", def->name);
	}
	a->retry = timer_new(c->o.loop, start_driver, a);
	a->turn = timer_new(c->o.loop, on_turn, a);
	a->grace = timer_new(c->o.loop, on_grace, a);
	a->admission = admission_new(def->max_in_flight, def->rate);
	breaker_init(&a->breaker);
	trust_load(a);
	LL_APPEND(c->authorities, a);
	*ret = a;
	return NULL;
}

struct authority *authority_find(struct control *c, const char *name)
{
	struct authority *a;
	LL_FOREACH (c->authorities, a)
		if (strcmp(a->name, name) == 0)
			return a;
	return NULL;
}

static int64_t mono_ms(const struct authority *a)
{
	return control_mono_ms(a->control);
}

/* go() may lead back in here. */
static void admit(struct authority *a)
{
	int64_t now = mono_ms(a);
	struct ticket *t;
	if (a->admitting)
		return;
	a->admitting = true;
	while (a->ready && breaker_lets(&a->breaker, now) && (t = admission_next(a->admission, now))) {
		invariant(breaker_begin(&a->breaker, now, &t->probe));
		t->go(t->arg, NULL);
	}
	a->admitting = false;
	int64_t at = a->ready && breaker_lets(&a->breaker, now) ? admission_next_at_ms(a->admission, now) : -1;
	if (at >= 0)
		timer_start(a->turn, at > now ? at - now : 1);
}

static void on_turn(void *arg)
{
	admit(arg);
}

/* Those who wait now: who comes back meanwhile is another matter. */
static void refuse_all(struct authority *a, enum fault_code code, const char *why)
{
	struct ticket *t;
	for (size_t n = admission_waiting(a->admission); n > 0 && (t = admission_refuse(a->admission)); n--)
		t->go(t->arg, fault_set_retryable(fault_new(code, "authority %s: %s", a->name, why), -1));
}

static void on_grace(void *arg)
{
	struct authority *a = arg;
	if (a->answered)
		return;
	a->late = true;
	free(a->error);
	a->error = mem_printf("it has not answered yet");
	log_event(LOG_ERROR, "authority.silent", LS("authority", a->name), LI("after_ms", ANSWER_GRACE_MS));
	refuse_all(a, FAULT_TIMEOUT, a->error);
}

static void on_ready(void *arg, struct fault *f)
{
	struct authority *a = arg;
	a->answered = true;
	free(a->error);
	a->error = f ? mem_strdup(fault_text(f)) : NULL;
	if (f) {
		int64_t wait =
			backoff_asked_ms(&a->backoff, fault_retry_after_ms(f), table_hash(a->name, strlen(a->name)));
		log_event(LOG_ERROR, "authority.not_ready", LS("authority", a->name), LI("retry_in_ms", wait), LF(f));
		fault_free(f);
		if (!a->control->closing)
			timer_start(a->retry, wait);
		if (!a->ready)
			refuse_all(a, FAULT_UNAVAILABLE, a->error);
	} else {
		a->ready = true;
		backoff_reset(&a->backoff);
		trust_shown(a);
		admit(a);
		rotation_wake(a->control, a);
	}
	start_check_ready(a->control);
}

static void start_driver(void *arg)
{
	struct authority *a = arg;
	char *why = a->started ? NULL : clock_holds_start(a->control);
	if (why) { /* a root that it makes now would be of another age */
		free(a->error);
		a->error = why;
		timer_start(a->retry, MS_PER_S);
		return;
	}
	if (!a->started)
		timer_start(a->grace, ANSWER_GRACE_MS);
	a->started = true;
	ca_start(a->ca, on_ready, a);
}

void authorities_start(struct control *c)
{
	struct authority *a;
	LL_FOREACH (c->authorities, a)
		if (!a->started)
			start_driver(a);
}

struct authority *authority_next(struct authority *a)
{
	return a->next;
}

const char *authority_name(const struct authority *a)
{
	return a->name;
}

const char *authority_type(const struct authority *a)
{
	return a->ca->driver->type;
}

bool authority_is_ready(const struct authority *a)
{
	return a->ready;
}

bool authorities_have_answered(const struct control *c)
{
	for (const struct authority *a = c->authorities; a; a = a->next)
		if (!a->answered)
			return false;
	return true;
}

const char *authority_error(const struct authority *a)
{
	return a->error;
}

struct anchors *authority_anchors(struct authority *a)
{
	return trust_record_anchors(a->trust.record);
}

struct trust *authority_trust(struct authority *a)
{
	return &a->trust;
}

struct control *authority_control(const struct authority *a)
{
	return a->control;
}

struct ca *authority_ca(struct authority *a)
{
	return a->ca;
}

size_t authority_running(const struct authority *a)
{
	return admission_running(a->admission);
}

size_t authority_waiting(const struct authority *a)
{
	return admission_waiting(a->admission);
}

bool authority_is_ending(const struct authority *a)
{
	return a->closed != NULL;
}

enum breaker_state authority_breaker(const struct authority *a)
{
	return breaker_state(&a->breaker, mono_ms(a));
}

const char *authority_last_failure(const struct authority *a, int64_t *ret_at_ms)
{
	*ret_at_ms = a->last_failure_ms;
	return a->last_failure;
}

bool authority_is_usable(const struct authority *a)
{
	return a->ready ? breaker_lets(&a->breaker, mono_ms(a)) : !a->answered && !a->late;
}

void authority_hasten(struct authority *a)
{
	breaker_hasten(&a->breaker, mono_ms(a));
}

char *authority_why_unusable(const struct authority *a)
{
	if (!a->ready)
		return mem_printf("%s is not ready: %s", a->name, a->error ? a->error : "it has not answered yet");
	return mem_printf("%s does not answer (its breaker is %s): %s", a->name,
		breaker_state_name(authority_breaker(a)), a->last_failure ? a->last_failure : "");
}

void authority_wait(struct authority *a, struct ticket *t)
{
	admission_wait(a->admission, t);
	admit(a);
}

void authority_leave(struct authority *a, struct ticket *t)
{
	admission_leave(a->admission, t);
}

static void note_failure(struct authority *a, const struct fault *f)
{
	free(a->last_failure);
	a->last_failure = f ? mem_strdup(fault_text(f)) : NULL;
	a->last_failure_ms = f ? control_now_ms(a->control) : 0;
}

/* Only silence is a failure of the authority: a refusal or a bad answer is one of the request. */
static bool is_silence(const struct fault *f)
{
	return f && (fault_code(f) == FAULT_UNAVAILABLE || fault_code(f) == FAULT_TIMEOUT);
}

static void note_silence(struct authority *a, uint64_t probe)
{
	int64_t now = mono_ms(a);
	uint64_t draw = table_hash(a->name, strlen(a->name)) ^ (uint64_t)now * 2654435761u;
	if (!breaker_failed(&a->breaker, probe, now, draw))
		return;
	log_event(LOG_ERROR, "authority.breaker_opened", LS("authority", a->name), LS("last", a->last_failure),
		LI("probe_in_ms", a->breaker.probe_at_ms - now));
	refuse_all(a, FAULT_UNAVAILABLE, "it does not answer (its breaker is open)");
}

void authority_release(struct authority *a, uint64_t probe, bool asked, const struct fault *f)
{
	admission_release(a->admission);
	if (!asked) {
		breaker_abandoned(&a->breaker, probe);
	} else {
		note_failure(a, f);
		if (f && fault_code(f) == FAULT_EXHAUSTED && fault_retry_after_ms(f) > 0) {
			int64_t pause = fault_retry_after_ms(f);
			admission_pause(a->admission, mono_ms(a) + (pause < PAUSE_MOST_MS ? pause : PAUSE_MOST_MS));
		}
		if (is_silence(f)) {
			note_silence(a, probe);
		} else if (breaker_succeeded(&a->breaker)) {
			log_event(LOG_INFO, "authority.breaker_closed", LS("authority", a->name));
			rotation_wake(a->control, a);
		}
	}
	if (a->closed)
		end_when_idle(a);
	else
		admit(a);
}

/* The driver is gone, and nobody who had a place (a key may be being made for him) comes back to it. */
static void end_when_idle(struct authority *a)
{
	if (!a->driver_closed || admission_running(a->admission))
		return;
	void (*closed)(void *arg2) = a->closed;
	void *closed_arg = a->closed_arg;
	invariant(!admission_waiting(a->admission));
	authority_release_memory(a);
	closed(closed_arg);
}

static void on_closed(void *arg)
{
	struct authority *a = arg;
	a->driver_closed = true;
	end_when_idle(a);
}

void authority_close(struct authority *a, void (*closed)(void *arg), void *arg)
{
	LL_DELETE(a->control->authorities, a);
	a->closed = closed;
	a->closed_arg = arg;
	a->ready = false;
	timer_stop(a->retry);
	timer_stop(a->turn);
	timer_stop(a->grace);
	refuse_all(a, FAULT_UNAVAILABLE, "it ends");
	ca_close(a->ca, on_closed, a);
}
