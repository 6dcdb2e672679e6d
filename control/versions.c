/* control/versions.c - earlier versions of a secret: shown, served again (rollback), and kept from being renewed (pin).
 * A rollback is a version change like any other: stored and recorded first, then pushed. It pins, or the next renewal
 * would undo it. A pin never lets a certificate end: its last fifth of life ends the wait (rotation_plan.c). */
#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "control/internal.h"
#include "control/trust_record.h"

struct rollback {
	struct entry *entry;
	char *by;
	control_done_fn *done;
	void *arg;
};

static bool names(const struct entry *e, const char *name)
{
	return strcmp(entry_key_name(e->key), name) == 0 || strcmp(entry_key_text(e->key), name) == 0;
}

void control_each_version(
	struct control *c, const char *name, void (*fn)(void *arg, const struct control_version *v), void *arg)
{
	for (const struct entry *e = c->entries; e; e = e->hh.next) {
		if (!names(e, name) || (e->def && e->def->internal))
			continue;
		for (size_t i = 0; i < e->past_count; i++) {
			const struct past_version *p = &e->past[i];
			if (e->current && strcmp(p->id, version_id(e->current)) == 0)
				continue; /* its successor is on the way to the store */
			fn(arg, &(struct control_version){
					entry_key_text(e->key), p->id, p->not_after_ms, false, false});
		}
		if (e->current)
			fn(arg, &(struct control_version){entry_key_text(e->key), version_id(e->current),
					version_not_after_ms(e->current), true, e->pinned});
	}
}

/* --- pins --- */

static char *pin_fact(const struct entry *e, const char *id)
{
	return mem_printf("pin/%s/%s", id, entry_key_text(e->key));
}

void versions_load_pin(struct control *c, const char *fact, struct store_tx *drop)
{
	static const char prefix[] = "pin/";
	if (strncmp(fact, prefix, sizeof prefix - 1) != 0)
		return;
	const char *id = fact + sizeof prefix - 1, *slash = strchr(id, '/');
	struct entry *e = slash ? entry_find_text(c, slash + 1) : NULL;
	if (e && e->def && e->current && (size_t)(slash - id) == strlen(version_id(e->current)) &&
		strncmp(id, version_id(e->current), (size_t)(slash - id)) == 0)
		e->pinned = true;
	else
		store_tx_drop_fact(drop, fact);
}

void versions_before_publish(struct entry *e, const struct version *v, struct store_tx *tx)
{
	entry_forget_past(e, version_id(v));
	bool changes = !e->current || strcmp(version_id(e->current), version_id(v)) != 0;
	hint_before_publish(e, v, tx);
	if (e->pinned && changes) {
		AUTO(mem_freep) char *fact = pin_fact(e, version_id(e->current));
		store_tx_drop_fact(tx, fact);
	}
	if (e->pin_next) {
		AUTO(mem_freep) char *fact = pin_fact(e, version_id(v));
		store_tx_put_fact(tx, fact, 1);
	}
}

void versions_before_drop(const struct entry *e, struct store_tx *tx)
{
	hint_before_drop(e, tx);
	if (!e->pinned || !e->current)
		return;
	AUTO(mem_freep) char *fact = pin_fact(e, version_id(e->current));
	store_tx_drop_fact(tx, fact);
}

void versions_dropped(struct entry *e)
{
	version_unrefp(&e->current);
	version_unrefp(&e->previous);
	version_unrefp(&e->held);
	e->past_count = 0;
	e->pinned = e->pin_next = false;
	hint_dropped(e);
}

void versions_before_rewrite(const struct entry *e, struct store_tx *tx)
{
	hint_before_rewrite(e, tx);
	if (!e->pinned)
		return;
	AUTO(mem_freep) char *fact = pin_fact(e, version_id(e->current));
	store_tx_put_fact(tx, fact, 1);
}

void versions_served(struct entry *e, const struct version *v)
{
	if (!e->current || strcmp(version_id(e->current), version_id(v)) != 0)
		e->pinned = e->pin_next;
	e->pin_next = false;
	hint_served(e, v);
}

struct pin {
	struct entry *entry;
	struct version *version;
	bool on;
	control_done_fn *done;
	void *arg;
};

static void on_pinned(void *arg, struct fault *f)
{
	struct pin *p = arg;
	struct entry *e = p->entry;
	if (!f && e->current && strcmp(version_id(e->current), version_id(p->version)) == 0) {
		e->pinned = p->on;
		rotation_replan(e);
	} else if (!f) {
		f = fault_set_retryable(fault_new(FAULT_CONFLICT, "%s got another version meanwhile; try again",
						entry_key_text(e->key)),
			-1);
	}
	p->done(p->arg, f);
	e->awaited--;
	entry_drop_if_idle(e);
	version_unref(p->version);
	free(p);
}

void control_pin(struct control *c, const char *name, bool on, const char *by, control_done_fn *done, void *arg)
{
	struct entry *e = NULL;
	struct fault *f = entry_find_only(c, name, &e);
	if (!f && (!e->def || e->kind != SECRET_TLS_CERTIFICATE))
		f = fault_new(
			FAULT_INVALID, "%s is not renewed by itself: there is nothing to pin", entry_key_text(e->key));
	if (f) {
		order_refuse(c, f, done, arg);
		return;
	}
	struct pin *p = mem_new(struct pin);
	*p = (struct pin){e, version_ref(e->current), on, done, arg};
	e->awaited++;
	struct store_tx *tx = store_tx_new();
	AUTO(mem_freep) char *fact = pin_fact(e, version_id(e->current));
	audit_note(c, tx, on ? "secret.pinned" : "secret.unpinned", entry_key_text(e->key), version_id(e->current), by,
		NULL);
	if (on)
		store_tx_put_fact(tx, fact, 1);
	else
		store_tx_drop_fact(tx, fact);
	store_commit(c->o.store, tx, on_pinned, p);
}

/* --- rollback --- */

/* The version that is meant: by the beginning of its id, or the latest that is still valid. */
static struct fault *choose(const struct entry *e, const char *wanted, int64_t now, const char **ret)
{
	const char *text = entry_key_text(e->key), *current = version_id(e->current);
	const struct past_version *found = NULL;
	if (wanted && strncmp(current, wanted, strlen(wanted)) == 0)
		return fault_new(FAULT_CONFLICT, "%s is what %s serves now", current, text);
	for (size_t i = 0; i < e->past_count; i++) {
		const struct past_version *p = &e->past[i];
		bool is_meant = wanted ? strncmp(p->id, wanted, strlen(wanted)) == 0 : p->not_after_ms > now;
		if (!is_meant || strcmp(p->id, current) == 0 || version_is_revoked(e, p->id))
			continue;
		if (wanted && found)
			return fault_new(
				FAULT_CONFLICT, "more than one version of %s begins with that; give more of it", text);
		found = p;
	}
	if (!found)
		return fault_new(FAULT_NOT_FOUND, "%s has no %s; leafcast versions %s shows what there is", text,
			wanted ? "earlier version that begins so" : "earlier version that is still valid", text);
	if (found->not_after_ms <= now)
		return fault_new(FAULT_INVALID, "version %s of %s has expired", found->id, text);
	*ret = found->id;
	return NULL;
}

static struct fault *check_anchor(const struct entry *e, const struct version *v)
{
	if (!version_authority(v))
		return NULL; /* it was put: who brought it knows who trusts it */
	struct authority *a = authority_find(e->control, version_authority(v));
	if (!a)
		return fault_new(FAULT_CONFLICT, "version %s is from authority %s, which the config has no more",
			version_id(v), version_authority(v));
	struct trust_record *r = authority_trust(a)->record;
	for (size_t i = 0; i < trust_record_count(r); i++)
		if (trust_leads_to(version_description(v), trust_record_at(r, i)))
			return NULL;
	return fault_new(FAULT_CONFLICT, "version %s leads to an anchor that %s has no more: nobody would accept it",
		version_id(v), version_authority(v));
}

static void finish(struct rollback *r, struct fault *f)
{
	struct entry *e = r->entry;
	r->done(r->arg, f);
	e->awaited--;
	entry_drop_if_idle(e);
	free(r->by);
	free(r);
}

static void on_served(void *arg, struct fault *f)
{
	struct rollback *r = arg;
	if (f)
		rotation_replan(r->entry);
	finish(r, f);
}

static struct fault *busy(const struct entry *e)
{
	if (e->control->closing)
		return fault_new(FAULT_UNAVAILABLE, "leafcast is stopping");
	if (e->committing || e->ordered)
		return fault_set_retryable(fault_new(FAULT_CONFLICT, "%s is being changed by another order; try again",
						   entry_key_text(e->key)),
			-1);
	return e->current ? NULL : fault_new(FAULT_CONFLICT, "%s was deleted meanwhile", entry_key_text(e->key));
}

static void on_read(void *arg, struct fault *f, struct version *v)
{
	struct rollback *r = arg;
	struct entry *e = r->entry;
	if (!f)
		f = busy(e);
	if (!f && version_kind(v) != e->kind)
		f = fault_new(FAULT_CONFLICT, "version %s is of another kind", version_id(v));
	if (!f)
		f = check_anchor(e, v);
	if (f) {
		finish(r, f);
		return;
	}
	rotation_stop(e); /* what is on its way would take its place */
	e->pin_next = e->def != NULL;
	publish_version(e, version_ref(v), "secret.rolled_back", r->by, on_served, r);
}

void control_rollback(
	struct control *c, const char *name, const char *version, const char *by, control_done_fn *done, void *arg)
{
	struct entry *e = NULL;
	const char *id = NULL;
	struct fault *f = entry_find_only(c, name, &e);
	if (!f && e->def && e->kind == SECRET_VALIDATION_CONTEXT)
		f = fault_new(FAULT_INVALID,
			"%s follows its authorities; change what they show, or put a bundle under another name",
			entry_key_text(e->key));
	if (!f)
		f = busy(e);
	if (!f)
		f = choose(e, version, control_now_ms(c), &id);
	if (f) {
		order_refuse(c, f, done, arg);
		return;
	}
	struct rollback *r = mem_new(struct rollback);
	*r = (struct rollback){e, mem_strdup(by), done, arg};
	e->awaited++;
	store_read_version(c->o.store, e->key, id, on_read, r);
}
