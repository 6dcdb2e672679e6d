/* control/load.c - what the store held when we started, made into entries and orders; what the config no longer knows
 * is dropped from it. Not its duty: what the config asks for beside (control.c). */
#include <string.h>
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/internal.h"

struct loading {
	struct control *c;
	struct store_tx *drop; /* what the config no longer knows */
	size_t versions, dropped, damaged;
};

/* Does the config still mean something by it? *ret_def: what; NULL: an operator brought it. */
static bool is_known(struct loading *l, const struct entry_key *key, enum secret_kind kind,
	const struct version_origin *origin, const struct secret_def **ret_def)
{
	const struct secret_def *def = entry_definition(l->c->definitions, key);
	if (origin->authority || origin->profile) { /* issued, or a configured bundle */
		*ret_def = def;
		return def && def->kind == kind;
	}
	*ret_def = NULL;
	return !definitions_secret(l->c->definitions, entry_key_name(key));
}

static void load_version(void *arg, struct version *v)
{
	struct loading *l = arg;
	struct entry_key *key = (struct entry_key *)version_entry(v);
	const struct secret_def *def;
	const struct version_origin origin = {version_authority(v), version_profile(v), version_received_at_ms(v)};
	if (!is_known(l, key, version_kind(v), &origin, &def)) {
		if (!origin.authority && !origin.profile)
			log_event(LOG_WARN, "store.put_dropped", LS("secret", entry_key_text(key)),
				LS("version", version_id(v)), LS("why", "the config has this name now"));
		store_tx_drop_entry(l->drop, key);
		l->dropped++;
		return;
	}
	struct entry *e = entry_make(l->c, key);
	version_unref(e->current);
	e->current = version_ref(v);
	e->received_mono_ms = clock_received_mono_ms(l->c, v);
	e->kind = version_kind(v);
	e->def = def;
	/* A templated entry counts as wanted when it was last renewed: kept fresh for up to two lives after a restart.
	 */
	e->wanted_at_ms = version_received_at_ms(v);
	l->versions++;
}

static void load_past(void *arg, const struct store_past *past)
{
	struct loading *l = arg;
	struct entry_key *key = (struct entry_key *)(uintptr_t)past->entry;
	const struct secret_def *def;
	if (!is_known(l, key, past->kind, &past->origin, &def)) {
		store_tx_drop_entry(l->drop, key);
		l->dropped++;
		return;
	}
	struct entry *e = entry_make(l->c, key);
	version_unref(e->previous);
	e->previous = version_ref(past->version);
	if (e->past_count == l->c->o.past_versions) {
		entry_drop_oldest(e, l->drop);
		l->dropped++;
	}
	struct past_version *p = &e->past[e->past_count++];
	(void)snprintf(p->id, sizeof p->id, "%s", past->id);
	p->not_after_ms = past->not_after_ms;
}

static void load_damaged(void *arg, struct fault *f)
{
	struct loading *l = arg;
	l->damaged++;
	log_event(LOG_ERROR, "store.record_damaged", LF(f));
	fault_free(f);
}

static void load_fact(void *arg, const char *key, int64_t value)
{
	struct loading *l = arg;
	versions_load_pin(l->c, key, l->drop);
	hint_load(l->c, key, value, l->drop);
	revocation_load(l->c, key, value, l->drop);
	campaign_load(l->c, key, value);
	trust_order_load(l->c, key, value);
	audit_file_load(l->c, key, value);
	grant_load(l->c, key, l->drop);
	trust_pause_load(l->c, key, value, l->drop);
}

static void on_dropped(void *arg, struct fault *f)
{
	(void)arg;
	if (f)
		log_event(LOG_WARN, "store.not_cleaned", LF(f));
	fault_free(f);
}

static void load_quarantine(void *arg, const struct store_quarantine *q)
{
	struct loading *l = arg;
	quarantine_load(l->c, q, l->drop);
}

struct fault *control_load(struct control *c)
{
	struct loading l = {c, store_tx_new(), 0, 0, 0};
	const struct store_visitor v = {&l, load_version, load_past, load_damaged, load_fact, load_quarantine};
	struct fault *f = store_load(c->o.store, &v);
	if (!f)
		store_begin_upkeep(c->o.store);
	if (f || store_tx_is_empty(l.drop))
		store_tx_free(l.drop);
	else
		store_commit(c->o.store, l.drop, on_dropped, NULL);
	if (!f)
		log_event(LOG_INFO, "store.loaded", LI("versions", l.versions), LI("dropped", l.dropped),
			LI("damaged", l.damaged));
	return f;
}
