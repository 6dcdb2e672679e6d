/* control/control.c - made, started, closed: the life of the control loop's state. */
#include "control/control.h"
#include "base/anchors.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/job.h"
#include "base/io/loop.h"
#include "base/io/wakeup.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/internal.h"
#include "control/meters.h"
#include "control/template.h"

#define WATCH_MS MS_PER_S
/* Versions that are in memory alone, written again in one turn, while the store takes them. */
enum { REWRITES = 256 };

int64_t control_now_ms(const struct control *c)
{
	return clock_wall_ms(c->o.clock);
}

int64_t control_mono_ms(const struct control *c)
{
	return clock_mono_ms(c->o.clock);
}

uint64_t control_next_seq(struct control *c)
{
	return ++c->seq;
}

static void on_watch(void *arg)
{
	struct control *c = arg;
	int64_t now = control_now_ms(c);
	clock_watch(c);
	for (struct entry *e = c->entries; e; e = e->hh.next) {
		if (e->previous && version_not_after_ms(e->previous) <= now)
			version_unrefp(&e->previous);
		outage_watch(e, now);
		hooks_watch(e, now);
	}
	size_t rewritten = store_pending(c->o.store) ? REWRITES : 0;
	for (struct entry *e = c->entries; c->memory_only && rewritten < REWRITES && e; e = e->hh.next)
		if (e->memory_only && !e->committing) {
			publish_rewrite(e);
			rewritten++;
		}
	entries_sweep(c, now);
	bundles_retry(c);
	trust_watch(c, now);
	quarantine_sweep(c, now);
	revocations_watch(c);
	campaigns_watch(c);
	trust_orders_watch(c);
	audit_late_write(c);
	start_check_ready(c);
	timer_start(c->watch, c->o.watch_ms);
}

static void on_wakeup(void *arg)
{
	reports_read(arg);
}

/* The names that exist whoever asks: exact leaves, bundles, our own certificates. */
void control_make_exact_entries(struct control *c)
{
	for (size_t i = 0; i < c->definitions->secret_count; i++) {
		const struct secret_def *def = &c->definitions->secrets[i];
		const char *variables[DEFINITION_VARIABLES_MAX];
		if (definitions_variables(c->definitions, def, variables))
			continue;
		struct entry_key *key =
			def->internal ? entry_key_internal(def->name) : entry_key_new(def->name, NULL, 0);
		struct entry *e = entry_make(c, key);
		entry_key_unref(key);
		e->def = def;
		e->kind = def->kind;
	}
}

static struct fault *make_authorities(struct control *c)
{
	for (size_t i = 0; i < c->definitions->authority_count; i++) {
		struct authority *a;
		TRY(authority_new(c, &c->definitions->authorities[i], &a));
	}
	return NULL;
}

struct fault *control_new(const struct control_options *o, struct definitions *d, struct control **ret)
{
	struct control *c = mem_new(struct control);
	c->o = *o;
	if (!c->o.past_versions)
		c->o.past_versions = 4;
	if (!c->o.watch_ms)
		c->o.watch_ms = WATCH_MS;
	invariant(c->o.past_versions <= ENTRY_PAST_MAX);
	c->definitions = d;
	c->generation = 1;
	c->policy = policy_new(d, c->generation);
	c->wakeup = wakeup_new(o->loop, on_wakeup, c);
	c->inbox.mailbox = mailbox_new(wakeup_ring, c->wakeup);
	c->watch = timer_new(o->loop, on_watch, c);
	c->meters = control_meters_new(c, o->metrics);
	audit_file_new(c);
	audit_late_new(c);
	*ret = c;
	TRY(control_load(c));
	hooks_define(c, d);
	audit_file_define(c, d->audit_file);
	TRY(make_authorities(c));
	control_make_exact_entries(c);
	return NULL;
}

struct policy *control_policy(struct control *c)
{
	return c->policy;
}

struct inbox *control_inbox(struct control *c)
{
	return &c->inbox;
}

struct anchors *control_anchors(struct control *c, const char *authority)
{
	struct authority *a = authority_find(c, authority);
	return a ? authority_anchors(a) : NULL;
}

struct fault *control_internal_credential(struct control *c, const char *name, struct credential **ret)
{
	struct entry_key *key = entry_key_internal(name);
	struct entry *e = entry_find(c, key);
	entry_key_unref(key);
	return e && e->current ? version_read_credential(e->current, ret)
			       : fault_new(FAULT_NOT_FOUND, "certificate %s is not issued yet", name);
}

/* --- start --- */

static void tell_ready(struct control *c)
{
	c->ready_told = true;
	c->ready(c->ready_arg, NULL);
}

/* Until this mark is durable a restart would begin anew, with another root: we are not ready before, and try again. */
static void on_first_start_complete(void *arg, struct fault *f)
{
	struct control *c = arg;
	c->completing = false;
	if (f) {
		log_event(LOG_ERROR, "store.first_start_incomplete", LF(f));
		fault_free(f);
		return;
	}
	c->o.first_start = false;
	start_check_ready(c);
}

static void complete_first_start(struct control *c)
{
	struct store_tx *tx = store_tx_new();
	c->completing = true;
	store_tx_complete_first_start(tx);
	store_commit(c->o.store, tx, on_first_start_complete, c);
}

const char *control_unready(struct control *c)
{
	free(c->unready);
	c->unready = NULL;
	for (struct authority *a = c->authorities; a; a = authority_next(a))
		if (!authority_is_ready(a) && !authority_anchors(a) && /* one that we know may be down */
			!definitions_only_stands_in(c->definitions, authority_name(a))) {
			const char *error = authority_error(a);
			c->unready = mem_printf("authority %s is not ready%s%s", authority_name(a), error ? ": " : "",
				error ? error : "");
			return c->unready;
		}
	for (struct entry *e = c->entries; e; e = e->hh.next)
		if (e->def && !e->current && (entry_key_attribute_count(e->key) == 0 || e->def->internal)) {
			c->unready = mem_printf("secret %s has no version yet%s%s", entry_key_text(e->key),
				e->last_error ? ": " : "", e->last_error ? e->last_error : "");
			return c->unready;
		}
	const struct entry *expired = outage_expired(c);
	if (expired)
		c->unready = mem_printf("secret %s has expired and is not renewed%s%s", entry_key_text(expired->key),
			expired->last_error ? ": " : "", expired->last_error ? expired->last_error : "");
	return c->unready;
}

/* The mark waits for the authorities' own state alone: a secret that cannot be issued yet, or an authority that does
 * not answer well, must not cost the root at the next restart. */
void start_check_ready(struct control *c)
{
	if (c->ready_told || c->completing || !c->started || c->closing)
		return;
	if (c->o.first_start) {
		if (authorities_have_answered(c))
			complete_first_start(c);
	} else if (!control_unready(c)) {
		tell_ready(c);
	}
}

void control_start(struct control *c, const struct outlet *o, void (*ready)(void *arg, struct fault *f), void *arg)
{
	c->outlet = o;
	c->applied = mem_array(uint64_t, o->workers);
	c->ready = ready;
	c->ready_arg = arg;
	c->started = true;
	clock_begin(c);
	timer_start(c->watch, c->o.watch_ms);
	trust_start(c);
	audit_start(c);
	for (struct entry *e = c->entries; e; e = e->hh.next) {
		rotation_compare(e);
		quarantine_publish(e);
		publish_current(e);
		if (e->def && e->def->internal && e->current && c->o.on_internal)
			c->o.on_internal(c->o.arg, entry_key_name(e->key));
	}
	authorities_start(c);
	rotation_replan_all(c);
	bundles_refresh(c);
	start_check_ready(c);
}

/* --- close --- */

static void free_control(struct control *c)
{
	revocations_free(c);
	campaigns_free(c);
	trust_orders_free(c);
	trust_pauses_free(c);
	while (c->subscribers)
		subscriber_gone(c, c->subscribers);
	quarantine_free(c);
	for (struct entry *e = c->entries, *next; e; e = next) {
		next = e->hh.next;
		entry_free(e);
	}
	denials_free(c);
	grants_free(c);
	hooks_free(c);
	audit_file_free(c);
	audit_late_free(c);
	verifiers_free(c);
	mailbox_free(c->inbox.mailbox);
	wakeup_free(c->wakeup);
	timer_free(c->watch);
	control_meters_free(c->meters);
	policy_unref(c->policy);
	definitions_free(c->definitions);
	free(c->applied);
	free(c->unready);
	void (*closed)(void *arg) = c->closed;
	void *arg = c->closed_arg;
	free(c);
	closed(arg);
}

static void close_step(void *arg)
{
	struct control *c = arg;
	if (c->authorities) {
		authority_close(c->authorities, close_step, c);
		return;
	}
	/* Commits under way still name entries: their completions come before this one, in order. */
	for (struct entry *e = c->entries; e; e = e->hh.next)
		if (e->committing || e->waiters) {
			timer_start(c->watch, 1);
			return;
		}
	if (c->hooks_running || jobs_pending(c->o.jobs) || store_pending(c->o.store)) {
		timer_start(c->watch, 1);
		return;
	}
	if (audit_file_finish(c)) { /* the last: what was recorded until now goes into it */
		timer_start(c->watch, 1);
		return;
	}
	free_control(c);
}

void control_close(struct control *c, void (*closed)(void *arg), void *arg)
{
	c->closing = true;
	revocations_close(c);
	trust_orders_close(c);
	hooks_close(c);
	audit_late_write(c);
	store_stop_tasks(c->o.store);
	c->closed = closed;
	c->closed_arg = arg;
	timer_free(c->watch);
	timer_free(c->audit_head);
	c->watch = timer_new(c->o.loop, close_step, c);
	for (struct entry *e = c->entries; e; e = e->hh.next)
		rotation_close(e);
	barriers_end(c);
	timer_start(c->watch, 0);
}
