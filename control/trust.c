/* control/trust.c - what is known of each authority's anchors: loaded before its driver starts, brought up to date when
 * it shows others, saved when something changed. Earlier anchors stay until no leaf under them was served for one leaf
 * life. Not its duty: whether verifiers hold them (trust_switch.c). */
#include "base/anchors.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "control/internal.h"

/* How often it is looked at which anchors have leaves that are served. */
#define USE_EVERY_MS (INT64_C(10) * MS_PER_S)
/* How old the stored moment of last use may be: a restart counts from it. */
#define USE_SAVED_EVERY_MS (INT64_C(10) * MS_PER_MIN)

static char *blob_name(const struct authority *a)
{
	return mem_printf("trust/%s", authority_name(a));
}

void trust_load(struct authority *a)
{
	struct trust *t = authority_trust(a);
	AUTO(mem_freep) char *name = blob_name(a);
	AUTO(secret_freep) struct secret *bytes = NULL;
	struct fault *f = store_load_blob(authority_control(a)->o.store, name, &bytes);
	if (!f && bytes)
		f = trust_record_decode(bytes, &t->record);
	if (f)
		log_event(LOG_ERROR, "authority.trust_damaged", LS("authority", authority_name(a)), LF(f),
			LS("effect", "its anchors are not known until it answers; earlier ones are forgotten"));
	fault_free(f);
	if (!t->record)
		t->record = trust_record_new();
	trust_bans_load(a);
}

void trust_done(struct trust *t)
{
	trust_record_free(t->record);
	trust_bans_free(t->bans);
}

/* --- saving --- */

static void on_saved(void *arg, struct fault *f)
{
	char *name = arg;
	if (f) /* the record is saved again with the next change, or at the latest with the next use */
		log_event(LOG_ERROR, "authority.trust_not_saved", LS("authority", name), LF(f));
	fault_free(f);
	free(name);
}

struct fault *trust_write(struct authority *a, const struct trust_record *r, struct store_tx *tx)
{
	struct trust *t = authority_trust(a);
	AUTO(secret_freep) struct secret *bytes = NULL;
	AUTO(mem_freep) char *name = blob_name(a);
	TRY(trust_record_encode(r, &bytes));
	t->writes++;
	t->saved_at_ms = control_now_ms(authority_control(a));
	store_tx_put_blob(tx, name, bytes);
	return NULL;
}

void trust_save(struct authority *a)
{
	struct store_tx *tx = store_tx_new();
	struct fault *f = trust_write(a, authority_trust(a)->record, tx);
	if (f) {
		store_tx_free(tx);
		on_saved(mem_strdup(authority_name(a)), f);
		return;
	}
	store_commit(authority_control(a)->o.store, tx, on_saved, mem_strdup(authority_name(a)));
}

/* --- what the authority shows --- */

void trust_changed(struct authority *a)
{
	struct control *c = authority_control(a);
	const struct anchors *all = trust_record_anchors(authority_trust(a)->record);
	log_event(LOG_INFO, "authority.trust_changed", LS("authority", authority_name(a)),
		LI("anchors", all ? anchors_count(all) : 0));
	bundles_refresh(c);
	if (c->o.on_trust)
		c->o.on_trust(c->o.arg);
}

void trust_shown(struct authority *a)
{
	struct trust *t = authority_trust(a);
	struct anchors *shown = ca_anchors(authority_ca(a));
	AUTO(anchors_unrefp) struct anchors *taken = NULL;
	bool changed = false;
	struct fault *f = shown ? trust_bans_apply_to(a, shown, &taken) : NULL;
	if (shown && !f)
		f = trust_record_show(t->record, taken, control_now_ms(authority_control(a)), &changed);
	if (f)
		log_event(LOG_ERROR, "authority.trust_refused", LS("authority", authority_name(a)), LF(f),
			LS("effect", "its new anchors are not published; leaves under them are refused"));
	fault_free(f);
	if (!changed)
		return;
	trust_save(a);
	trust_changed(a);
	trust_review(a, control_now_ms(authority_control(a)));
}

/* --- what is served --- */

static bool note_use(struct trust_record *r, const struct version *v, int64_t now)
{
	bool first = false;
	for (size_t i = 0; i < trust_record_count(r); i++) {
		struct trust_anchor *anchor = trust_record_at(r, i);
		if (!trust_leads_to(version_description(v), anchor))
			continue;
		first = first || !anchor->used_ms;
		anchor->used_ms = now;
		if (version_life_ms(v) > anchor->life_ms)
			anchor->life_ms = version_life_ms(v);
	}
	return first;
}

static bool is_served_under(const struct entry *e, const struct authority *a)
{
	return e->current && version_leaf(e->current) && version_authority(e->current) &&
	       strcmp(version_authority(e->current), authority_name(a)) == 0;
}

static void review_use(struct authority *a, int64_t now)
{
	struct control *c = authority_control(a);
	struct trust *t = authority_trust(a);
	bool first = false;
	for (const struct entry *e = c->entries; e; e = e->hh.next)
		if (is_served_under(e, a))
			first = note_use(t->record, e->current, now) || first;
	bool swept = !trust_is_paused(c, authority_name(a), NULL, NULL) &&
		     trust_record_sweep(t->record, trust_leaf_life_ms(c, authority_name(a)), now);
	if (first || swept || now - t->saved_at_ms >= USE_SAVED_EVERY_MS)
		trust_save(a);
	if (swept)
		trust_changed(a);
}

static int64_t longest_life_ms(const struct control *c)
{
	int64_t longest = 0;
	for (size_t i = 0; i < c->definitions->profile_count; i++)
		if (c->definitions->profiles[i].lifetime_ms > longest)
			longest = c->definitions->profiles[i].lifetime_ms;
	return longest;
}

void trust_watch(struct control *c, int64_t now_ms)
{
	for (struct authority *a = c->authorities; a; a = authority_next(a))
		trust_review(a, now_ms);
	if (now_ms - c->trust_used_ms < USE_EVERY_MS && now_ms >= c->trust_used_ms)
		return;
	c->trust_used_ms = now_ms;
	for (struct authority *a = c->authorities; a; a = authority_next(a))
		review_use(a, now_ms);
	verifiers_sweep(c, longest_life_ms(c), now_ms);
}
