/* control/publish.c - from a new version to every worker. The store has it first (design: invariant 5); where the store
 * cannot be written, the renewal of what is already granted goes on in memory, loudly, and is written again later,
 * while new grants fail (design.md, section 7). */
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/internal.h"

struct publication {
	struct entry *entry;
	struct version *version; /* NULL: a deletion */
	uint64_t generation;
	bool is_news;				  /* another version than what was served until then */
	struct past_version past[ENTRY_PAST_MAX]; /* of the entry, as they were before: when the store takes nothing */
	size_t past_count;
	const char *event; /* of the trail; static */
	char *by;
	control_done_fn *done;
	void *arg;
};

static uint64_t applied_by_all(const struct control *c)
{
	uint64_t least = UINT64_MAX;
	for (unsigned w = 0; w < c->outlet->workers; w++)
		if (c->applied[w] < least)
			least = c->applied[w];
	return least;
}

void barrier_wait(struct control *c, uint64_t seq, control_done_fn *done, void *arg)
{
	if (c->closing) { /* the workers have stopped: nobody would report it */
		done(arg, fault_new(FAULT_UNAVAILABLE, "leafcast is stopping"));
		return;
	}
	if (c->outlet && applied_by_all(c) >= seq) { /* nothing of it goes to workers: no report would come */
		done(arg, NULL);
		return;
	}
	struct barrier *b = mem_new(struct barrier);
	b->seq = seq;
	b->done = done;
	b->arg = arg;
	LL_APPEND(c->barriers, b);
}

void barrier_applied(struct control *c, unsigned worker, uint64_t seq)
{
	if (seq > c->applied[worker])
		c->applied[worker] = seq;
	uint64_t least = applied_by_all(c);
	struct barrier *b, *next, *due = NULL;
	LL_FOREACH_SAFE (c->barriers, b, next) {
		if (b->seq > least)
			continue;
		LL_DELETE(c->barriers, b);
		LL_APPEND(due, b);
	}
	LL_FOREACH_SAFE (due, b, next) {
		b->done(b->arg, NULL);
		free(b);
	}
}

void barriers_end(struct control *c)
{
	while (c->barriers) {
		struct barrier *b = c->barriers;
		LL_DELETE(c->barriers, b);
		b->done(b->arg, fault_new(FAULT_UNAVAILABLE, "leafcast is stopping"));
		free(b);
	}
}

void publish_current(struct entry *e)
{
	struct control *c = e->control;
	if (c->outlet && e->current && !(e->def && e->def->internal) && !entry_is_withheld(e))
		c->outlet->publish(c->outlet->arg, e->key, e->current, control_next_seq(c));
}

void publish_absent(struct entry *e, int worker, enum absent_reason reason)
{
	struct control *c = e->control;
	if (c->outlet)
		c->outlet->absent(
			c->outlet->arg, worker, e->key, NULL, entry_key_name(e->key), reason, control_next_seq(c));
}

/* The version that was current becomes a past one; what is expired for long enough, or beyond the limit, leaves the
 * store. */
static void retire_current(struct entry *e, struct store_tx *tx)
{
	const struct control_options *o = &e->control->o;
	int64_t now = control_now_ms(e->control);
	size_t kept = 0;
	for (size_t i = 0; i < e->past_count; i++) {
		bool is_over = e->past[i].not_after_ms < now - o->past_expired_ms;
		if (is_over && !version_is_revoked(e, e->past[i].id))
			store_tx_drop_version(tx, e->key, e->past[i].id);
		else
			e->past[kept++] = e->past[i];
	}
	e->past_count = kept;
	if (!e->current)
		return;
	while (e->past_count >= o->past_versions)
		entry_drop_oldest(e, tx);
	struct past_version *p = &e->past[e->past_count++];
	(void)snprintf(p->id, sizeof p->id, "%s", version_id(e->current));
	p->not_after_ms = version_not_after_ms(e->current);
}

static void set_memory_only(struct entry *e, bool on)
{
	if (e->memory_only == on)
		return;
	e->memory_only = on;
	if (on)
		e->control->memory_only++;
	else
		e->control->memory_only--;
}

static void serve(struct entry *e, struct version *v)
{
	struct control *c = e->control;
	versions_served(e, v);
	if (e->current && strcmp(version_id(e->current), version_id(v)) != 0) {
		version_unref(e->previous);
		e->previous = version_ref(e->current);
	}
	quarantine_end_entry(c, e, version_id(v));
	version_unref(e->current);
	e->current = version_ref(v);
	e->received_mono_ms = clock_received_mono_ms(c, v);
	clock_received(c, v);
	e->kind = version_kind(v);
	e->outdated = false;
	e->moved_ms = 0;
	e->told_level = LIFE_OK;
	e->hooks_told = 0;
	publish_current(e);
	crash_point("publish.sent");
	log_event(LOG_INFO, "secret.published", LS("secret", entry_key_text(e->key)), LS("version", version_id(v)),
		LS("kind", secret_kind_name(version_kind(v))), LT("not_after", version_not_after_ms(v)),
		LI("subscribers", e->subscriber_count), LB("stored", !e->memory_only));
	if (e->def && e->def->internal && c->o.on_internal)
		c->o.on_internal(c->o.arg, entry_key_name(e->key));
}

static void on_withdrawn(void *arg, struct fault *f)
{
	(void)arg;
	if (f)
		log_event(LOG_ERROR, "reload.not_withdrawn", LF(f));
	fault_free(f);
}

static void on_dropped(void *arg, struct fault *f)
{
	(void)arg;
	if (f)
		log_event(LOG_ERROR, "store.not_dropped", LF(f));
	fault_free(f);
}

/* The entry outlives the wait: who waits may ask for it. */
static void on_taken_in(void *arg, struct fault *f)
{
	struct publication *p = arg;
	struct entry *e = p->entry;
	if (!f && p->is_news && e->current)
		hooks_note(e, HOOK_ROTATED);
	p->done(p->arg, f);
	e->awaited--;
	entry_drop_if_idle(e);
	free(p->by);
	free(p);
}

/* A commit kept a reload waiting: what it withdrew goes now, what it defined is issued now. */
static void catch_up_reload(struct entry *e)
{
	struct control *c = e->control;
	if (c->closing)
		return;
	if (e->withdrawn && e->current) {
		publish_withdraw(e);
		return;
	}
	e->withdrawn = false;
	rotation_replan(e);
	bundles_refresh(c);
}

/* Where a certificate came from, for the trail. The caller owns it; NULL: brought, or a bundle. */
static char *provenance(const struct version *v)
{
	const struct cert_info *leaf = version_leaf(v);
	if (!leaf || !version_authority(v))
		return NULL;
	return mem_printf(
		"authority %s, profile %s, serial %s", version_authority(v), version_profile(v), leaf->serial);
}

static void on_stored(void *arg, struct fault *f)
{
	struct publication *p = arg;
	struct entry *e = p->entry;
	struct control *c = e->control;
	bool renewal = e->current && e->def, written = !f;
	crash_point("publish.stored");
	e->committing = false;
	if (!f && p->generation != e->generation) { /* design: invariant 4 */
		f = fault_new(FAULT_CONFLICT, "the definition of %s changed meanwhile", entry_key_text(e->key));
		meters_discarded(c);
		struct store_tx *tx = store_tx_new();
		audit_note(c, tx, "secret.discarded", entry_key_text(e->key), version_id(p->version), NULL,
			"definition changed");
		store_tx_drop_version(tx, e->key, version_id(p->version));
		if (e->current) {
			store_tx_put_version(tx, e->current);
			entry_forget_past(e, version_id(e->current));
		}
		store_commit(c->o.store, tx, on_dropped, NULL);
	} else if (f && renewal && p->generation == e->generation && fault_code(f) == FAULT_UNAVAILABLE &&
		   !c->closing) {
		log_event(LOG_ERROR, "store.unwritable", LS("secret", entry_key_text(e->key)),
			LS("effect", "the renewal is served from memory; it is written when the store can be"), LF(f));
		set_memory_only(e, true);
		AUTO(mem_freep) char *detail = provenance(p->version);
		audit_missed(c, p->event, entry_key_text(e->key), version_id(p->version), p->by, detail);
		fault_free(f);
		f = NULL;
	} else if (!f) {
		set_memory_only(e, false);
	}
	e->awaited++; /* by this call */
	if (f) {
		if (!written) {
			memcpy(e->past, p->past, sizeof e->past);
			e->past_count = p->past_count;
		}
		e->pin_next = false;
		p->done(p->arg, f);
		if (p->generation != e->generation)
			catch_up_reload(e);
		version_unref(p->version);
		free(p->by);
		free(p);
	} else {
		p->is_news = !e->current || strcmp(version_id(e->current), version_id(p->version)) != 0;
		serve(e, p->version);
		version_unref(p->version);
		e->awaited++;
		barrier_wait(c, c->seq, on_taken_in, p);
		if (!c->outlet)
			barriers_end(c);
		start_check_ready(c);
		rotation_replan(e);
	}
	e->awaited--;
	entry_drop_if_idle(e);
}

void publish_version(
	struct entry *e, struct version *v, const char *event, const char *by, control_done_fn *done, void *arg)
{
	struct publication *p = mem_new(struct publication);
	p->entry = e;
	p->version = v;
	p->generation = e->generation;
	p->event = event;
	p->by = by ? mem_strdup(by) : NULL;
	p->done = done;
	p->arg = arg;
	e->committing = true;
	struct store_tx *tx = store_tx_new();
	memcpy(p->past, e->past, sizeof p->past);
	p->past_count = e->past_count;
	versions_before_publish(e, v, tx);
	AUTO(mem_freep) char *detail = provenance(v);
	audit_note(e->control, tx, event, entry_key_text(e->key), version_id(v), by, detail);
	if (!e->current || strcmp(version_id(e->current), version_id(v)) != 0)
		retire_current(e, tx);
	store_tx_put_version(tx, v);
	store_commit(e->control->o.store, tx, on_stored, p);
	crash_point("publish.handed_over");
}

static void on_rewritten(void *arg, struct fault *f)
{
	struct publication *p = arg;
	struct entry *e = p->entry;
	e->committing = false;
	if (!f && e->current == p->version) {
		set_memory_only(e, false);
		log_event(LOG_INFO, "store.caught_up", LS("secret", entry_key_text(e->key)),
			LS("version", version_id(p->version)));
	}
	fault_ignore(f, "told when it began; tried again at the next turn");
	version_unref(p->version);
	free(p);
	catch_up_reload(e);
}

void publish_rewrite(struct entry *e)
{
	struct publication *p = mem_new(struct publication);
	p->entry = e;
	p->version = version_ref(e->current);
	e->committing = true;
	struct store_tx *tx = store_tx_new();
	AUTO(mem_freep) char *detail = provenance(e->current);
	audit_record(
		e->control, tx, "secret.stored_late", entry_key_text(e->key), version_id(e->current), NULL, detail);
	store_tx_put_version(tx, e->current);
	versions_before_rewrite(e, tx);
	store_commit(e->control->o.store, tx, on_rewritten, p);
}

static void on_forgotten(void *arg, struct fault *f)
{
	struct publication *p = arg;
	struct entry *e = p->entry;
	struct control *c = e->control;
	free(p);
	e->committing = false;
	if (f) { /* it stays until the store can be written */
		fault_ignore(f, "the sweep tries again");
		catch_up_reload(e);
		return;
	}
	log_event(LOG_INFO, "secret.forgotten", LS("secret", entry_key_text(e->key)),
		LS("why", "nobody holds it, and its certificate has expired"));
	quarantine_end_entry(c, e, NULL);
	set_memory_only(e, false);
	versions_dropped(e);
	publish_absent(e, OUTLET_ALL_WORKERS, ABSENT_PENDING);
	if (e->subscribers) { /* somebody came meanwhile: it is issued anew */
		catch_up_reload(e);
		return;
	}
	e->withdrawn = false;
	e->def = NULL;
	entry_drop_if_idle(e);
}

void publish_forget(struct entry *e)
{
	struct publication *p = mem_new(struct publication);
	p->entry = e;
	e->committing = true;
	struct store_tx *tx = store_tx_new();
	versions_before_drop(e, tx);
	store_tx_drop_entry(tx, e->key);
	store_commit(e->control->o.store, tx, on_forgotten, p);
}

static void on_deleted(void *arg, struct fault *f)
{
	struct publication *p = arg;
	struct entry *e = p->entry;
	struct control *c = e->control;
	e->committing = false;
	if (f && e->withdrawn) { /* served no more all the same; the next start drops what the config lacks */
		on_dropped(NULL, f);
		f = NULL;
	}
	if (f) {
		p->done(p->arg, f);
	} else {
		log_event(LOG_INFO, "secret.deleted", LS("secret", entry_key_text(e->key)),
			LI("subscribers", e->subscriber_count),
			LS("note", "a running Envoy keeps what it holds; revoke the certificate where it must not be "
				   "used"));
		set_memory_only(e, false);
		quarantine_end_entry(c, e, NULL);
		versions_dropped(e);
		e->withdrawn = false;
		publish_absent(e, OUTLET_ALL_WORKERS, ABSENT_DELETED);
		barrier_wait(c, c->seq, p->done, p->arg);
		entry_drop_if_idle(e);
	}
	free(p);
}

void publish_delete(struct entry *e, const char *by, control_done_fn *done, void *arg)
{
	struct publication *p = mem_new(struct publication);
	p->entry = e;
	p->done = done;
	p->arg = arg;
	e->committing = true;
	struct store_tx *tx = store_tx_new();
	audit_note(e->control, tx, "secret.deleted", entry_key_text(e->key), e->current ? version_id(e->current) : NULL,
		by, NULL);
	versions_before_drop(e, tx);
	store_tx_drop_entry(tx, e->key);
	store_commit(e->control->o.store, tx, on_deleted, p);
}

void publish_withdraw(struct entry *e)
{
	e->withdrawn = true;
	if (!e->committing)
		publish_delete(e, "reload", on_withdrawn, NULL);
}
