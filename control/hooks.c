/* control/hooks.c - commands that are run after a rotation, after a failure, and when little is left of a life. One of
 * each hook at a time, HOOKS_AT_ONCE of all; what comes meanwhile waits in the hook's queue. What a command does is its
 * own affair: nothing here waits for it but our end. Each run is a line in the log, a record of the trail and a count.
 * What waits is in memory alone: a restart forgets it, and tells of short lives again. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/child.h"
#include "base/io/child_env.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/redact.h"
#include "control/hook_facts.h"
#include "control/hook_queue.h"
#include "control/internal.h"
#include "control/pattern.h"

enum { HOOKS_AT_ONCE = 4 };

struct hook {
	struct hook *next; /* control.hooks; who ran last is last */
	struct control *control;
	const struct hook_def *def; /* NULL: the config has it no more; it is freed when its command has ended */
	char *name;
	unsigned slot; /* its bit in entry.hooks_told */
	struct pattern *secrets;
	size_t secret_count;
	struct hook_queue queue;
	struct quiet full;
	struct child *child;	    /* or NULL */
	struct hook_facts *running; /* what it was told */
	int64_t began_ms;	    /* monotonic */
	bool is_mute; /* a reload came while it ran: which variables are to be cut from its words is not known any more
		       */
};

static void free_patterns(struct hook *h)
{
	for (size_t i = 0; i < h->secret_count; i++)
		pattern_done(&h->secrets[i]);
	free(h->secrets);
}

static void hook_free(struct hook *h)
{
	(void)hook_queue_clear(&h->queue);
	hook_facts_free(h->running);
	free_patterns(h);
	free(h->name);
	free(h);
}

/* --- what is told --- */

static bool wants(const struct hook *h, enum hook_event event, const char *name)
{
	if (!h->def || !(h->def->events & event))
		return false;
	for (size_t i = 0; i < h->secret_count; i++)
		if (pattern_matches(&h->secrets[i], name, strlen(name)))
			return true;
	return h->secret_count == 0;
}

static void note(struct hook *h, enum hook_event event, const struct entry *e)
{
	struct control *c = h->control;
	const char *error = event == HOOK_ROTATED ? NULL : e->last_error;
	uint64_t unsaid;
	struct hook_facts *f = hook_facts_new(
		event, entry_key_name(e->key), entry_key_text(e->key), e->kind, e->current, error, control_now_ms(c));
	if (!hook_queue_put(&h->queue, f)) {
		meters_hook_missed(c, h->name);
		if (quiet_passes(&h->full, control_mono_ms(c), &unsaid))
			log_event(LOG_ERROR, "hook.queue_full", LS("hook", h->name), LI("waiting", h->queue.count),
				LI("unsaid", unsaid), LS("effect", "the next run is told how many events were missed"));
	}
	timer_start(c->hook_turn, 0); /* no child is made within what it is told of */
}

void hooks_note(const struct entry *e, enum hook_event event)
{
	struct control *c = e->control;
	for (struct hook *h = c->closing ? NULL : c->hooks; h; h = h->next)
		if (wants(h, event, entry_key_name(e->key)))
			note(h, event, e);
}

static bool is_below(const struct hook_def *d, const struct version *v, int64_t now_ms)
{
	int64_t left = version_not_after_ms(v) - now_ms;
	return left < (d->below_percent ? version_life_ms(v) / 100 * d->below_percent : d->below_ms);
}

void hooks_watch(struct entry *e, int64_t now_ms)
{
	const struct version *v = e->current;
	if (!v || e->kind != SECRET_TLS_CERTIFICATE)
		return; /* a bundle has no life of its own */
	for (struct hook *h = e->control->hooks; h; h = h->next) {
		if (!h->def || !(h->def->events & HOOK_EXPIRING) || e->hooks_told & 1U << h->slot ||
			!is_below(h->def, v, now_ms))
			continue;
		e->hooks_told |= 1U << h->slot; /* once for each version */
		if (wants(h, HOOK_EXPIRING, entry_key_name(e->key)))
			note(h, HOOK_EXPIRING, e);
	}
}

/* --- a run --- */

struct ending {
	const char *outcome; /* for the metric */
	char *text;	     /* for people; owned */
};

static struct ending ending_of(const struct fault *f, const struct child_result *r)
{
	if (f && fault_code(f) == FAULT_TIMEOUT)
		return (struct ending){"timeout", mem_strdup(fault_text(f))};
	if (f)
		return (struct ending){"failed", mem_strdup(fault_text(f))};
	if (r->signal)
		return (struct ending){"failed", mem_printf("ended by signal %d", r->signal)};
	return (struct ending){r->exit_code ? "failed" : "ok", mem_printf("exit code %d", r->exit_code)};
}

/* What it was given by our environment is not to come back in the log. */
static void add_said(const struct hook *h, const struct child_result *r, struct buf *ret)
{
	const char *values[HOOK_ENVIRONMENT_MAX] = {NULL};
	if (h->is_mute)
		return;
	for (size_t i = 0; i < h->def->environment_count; i++)
		values[i] = getenv(h->def->environment[i]);
	redact_add(r->errors.data, r->errors.len, &(struct redact_hidden){values, h->def->environment_count}, ret);
}

static void tell(const struct hook *h, const struct ending *end, const struct child_result *r)
{
	struct control *c = h->control;
	const struct hook_facts *f = h->running;
	bool ok = strcmp(end->outcome, "ok") == 0;
	const char *event = ok ? "hook.ran" : "hook.failed";
	struct buf said = BUF_INIT;
	add_said(h, r, &said);
	log_event(ok ? LOG_INFO : LOG_WARN, event, LS("hook", h->name), LS("for", hook_event_name(f->event)),
		LS("secret", f->entry), LS("version", f->version), LI("events", f->events), LS("end", end->text),
		LI("took_ms", control_mono_ms(c) - h->began_ms), LS("said", buf_text(&said)));
	AUTO(mem_freep) char *by = mem_printf("hook %s", h->name);
	AUTO(mem_freep) char *detail = mem_printf("%s: %s", hook_event_name(f->event), end->text);
	audit_record(c, NULL, event, f->entry, f->version, by, detail);
	if (h->def)
		meters_hook_ran(c, h->name, end->outcome);
	buf_free(&said);
}

static void unlink_hook(struct hook *h)
{
	struct control *c = h->control;
	LL_DELETE(c->hooks, h);
}

static void on_child(void *arg, struct fault *f, const struct child_result *r)
{
	struct hook *h = arg;
	struct control *c = h->control;
	struct ending end = ending_of(f, r);
	tell(h, &end, r);
	free(end.text);
	fault_free(f);
	h->child = NULL;
	hook_facts_free(TAKE(h->running));
	c->hooks_running--;
	if (!h->def) {
		unlink_hook(h);
		hook_free(h);
	}
	if (!c->closing)
		timer_start(c->hook_turn, 0);
}

/* A reload may have changed what it wants. */
static struct hook_facts *take_wanted(struct hook *h)
{
	struct hook_facts *f;
	while ((f = hook_queue_take(&h->queue)) && !wants(h, f->event, f->secret))
		hook_facts_free(f);
	return f;
}

static void run(struct hook *h)
{
	struct control *c = h->control;
	const struct hook_def *d = h->def;
	const char *argv[HOOK_ARGUMENTS_MAX + 1] = {NULL};
	struct child_env env = CHILD_ENV_INIT;
	struct buf told = BUF_INIT;
	uint64_t missed = h->queue.missed;
	h->running = take_wanted(h);
	if (!h->running)
		return;
	h->queue.missed = 0;
	h->is_mute = false;
	h->began_ms = control_mono_ms(c);
	for (size_t i = 0; i < d->command_count; i++)
		argv[i] = d->command[i];
	child_env_inherit(&env, (const char *const *)d->environment, d->environment_count);
	hook_facts_add_env(h->running, h->name, missed, &env);
	hook_facts_add_json(h->running, h->name, missed, &told);
	const struct child_request r = {.argv = argv,
		.env = child_env_list(&env),
		.input = told.data,
		.input_len = told.len,
		.only_talk = true,
		.timeout_ms = d->timeout_ms};
	c->hooks_running++;
	h->child = child_start(c->o.loop, &r, on_child, h);
	child_env_done(&env);
	buf_free(&told);
}

static struct hook *next_to_run(struct control *c)
{
	struct hook *h;
	LL_FOREACH (c->hooks, h)
		if (h->def && !h->child && h->queue.count)
			return h;
	return NULL;
}

static void on_turn(void *arg)
{
	struct control *c = arg;
	struct hook *h;
	while (!c->closing && c->hooks_running < HOOKS_AT_ONCE && (h = next_to_run(c))) {
		unlink_hook(h);
		LL_APPEND(c->hooks, h); /* the others first, next time */
		run(h);
	}
}

/* --- what the config says --- */

static struct hook *hook_find(const struct control *c, const char *name)
{
	for (struct hook *h = c->hooks; h; h = h->next)
		if (h->def && strcmp(h->name, name) == 0)
			return h;
	return NULL;
}

static unsigned free_slot(const struct control *c)
{
	unsigned used = 0, slot = 0;
	for (const struct hook *h = c->hooks; h; h = h->next)
		if (h->def)
			used |= 1U << h->slot;
	while (used & 1U << slot)
		slot++;
	invariant(slot < HOOKS_MAX);
	return slot;
}

/* A threshold that it did not have before: what lies below is told. */
static void forget_told(struct control *c, unsigned slot)
{
	for (struct entry *e = c->entries; e; e = e->hh.next)
		e->hooks_told &= ~(1U << slot);
}

static void define(struct hook *h, const struct hook_def *d)
{
	free_patterns(h);
	h->secret_count = d->secret_count;
	h->secrets = mem_array(struct pattern, d->secret_count + 1);
	for (size_t i = 0; i < d->secret_count; i++)
		pattern_init(&h->secrets[i], d->secrets[i], '/');
	h->def = d;
	h->is_mute = true;
}

static bool same_threshold(const struct hook_def *a, const struct hook_def *b)
{
	return a->below_percent == b->below_percent && a->below_ms == b->below_ms &&
	       (a->events & HOOK_EXPIRING) == (b->events & HOOK_EXPIRING);
}

static void remove_hook(struct hook *h)
{
	size_t dropped = hook_queue_clear(&h->queue);
	log_event(LOG_INFO, "hook.removed", LS("hook", h->name), LI("dropped", dropped));
	meters_hook_removed(h->control, h->name);
	h->def = NULL;
	h->is_mute = true;
	if (h->child)
		return; /* its command ends by itself, or at its limit */
	unlink_hook(h);
	hook_free(h);
}

void hooks_define(struct control *c, const struct definitions *d)
{
	for (struct hook *h = c->hooks, *next; h; h = next) {
		next = h->next;
		bool kept = false;
		for (size_t i = 0; h->def && i < d->hook_count; i++)
			kept = kept || strcmp(d->hooks[i].name, h->name) == 0;
		if (h->def && !kept)
			remove_hook(h);
	}
	for (size_t i = 0; i < d->hook_count; i++) {
		struct hook *h = hook_find(c, d->hooks[i].name);
		bool as_before = h && same_threshold(h->def, &d->hooks[i]);
		if (!h) {
			h = mem_new(struct hook);
			h->control = c;
			h->name = mem_strdup(d->hooks[i].name);
			h->slot = free_slot(c);
			LL_APPEND(c->hooks, h);
		}
		define(h, &d->hooks[i]);
		if (!as_before)
			forget_told(c, h->slot);
	}
	if (!c->hook_turn)
		c->hook_turn = timer_new(c->o.loop, on_turn, c);
}

void hooks_close(struct control *c)
{
	size_t dropped = 0;
	for (struct hook *h = c->hooks; h; h = h->next) {
		dropped += hook_queue_clear(&h->queue);
		if (h->child)
			child_end(h->child);
	}
	if (dropped)
		log_event(LOG_WARN, "hook.dropped", LI("count", dropped), LS("why", "leafcast is stopping"));
	timer_free(c->hook_turn);
	c->hook_turn = NULL;
}

void hooks_free(struct control *c)
{
	while (c->hooks) {
		struct hook *h = c->hooks;
		invariant(!h->child);
		unlink_hook(h);
		hook_free(h);
	}
}

void hooks_each_waiting(const struct control *c, void (*fn)(void *arg, const char *hook, size_t waiting), void *arg)
{
	for (const struct hook *h = c->hooks; h; h = h->next)
		if (h->def)
			fn(arg, h->name, h->queue.count);
}
