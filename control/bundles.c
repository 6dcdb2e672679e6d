/* control/bundles.c - configured trust bundles: the union of their authorities' anchors (and of those that stand in for
 * them in a profile), published anew when it changes. */
#include "base/anchors.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "cache/description.h"
#include "control/internal.h"

enum { BUNDLE_AUTHORITIES_MAX = 64 };
/* What tells a configured bundle from one that an operator put. */
#define BUNDLE_PROFILE "bundle"

static void on_published(void *arg, struct fault *f)
{
	struct entry *e = arg;
	if (f) {
		entry_set_error(e, f);
		log_event(LOG_ERROR, "bundle.not_published", LS("secret", entry_key_text(e->key)), LF(f));
		fault_free(f);
		return; /* tried again at the next turn of the watch: the store fails faster than it mends */
	}
	bundles_refresh(e->control); /* anchors may have changed while it was stored */
}

/* NULL in *ret while an authority that the bundle names was never heard of: a part of the trust is worse than the
 * former whole. One that a profile alone adds may be missing: no leaf of it can be accepted before it is known. */
static struct fault *collect(const struct entry *e, struct anchors **ret)
{
	struct anchors *sets[BUNDLE_AUTHORITIES_MAX];
	size_t count = 0;
	for (struct authority *a = e->control->authorities; a; a = authority_next(a)) {
		if (!definitions_bundle_has(e->control->definitions, e->def, authority_name(a)))
			continue;
		struct anchors *anchors = authority_anchors(a);
		if (!anchors && definitions_bundle_names(e->def, authority_name(a)))
			return NULL;
		if (anchors && count == BUNDLE_AUTHORITIES_MAX)
			return fault_new(FAULT_INVALID, "a bundle of more than %d authorities", BUNDLE_AUTHORITIES_MAX);
		if (anchors)
			sets[count++] = anchors;
	}
	return count ? anchors_union(sets, count, ret) : NULL;
}

static void refresh(struct entry *e)
{
	AUTO(anchors_unrefp) struct anchors *now = NULL;
	struct version *v = NULL;
	struct fault *f = collect(e, &now);
	if (!f && (!now || (e->current && description_is_of(version_description(e->current), now))))
		return;
	const struct version_origin origin = {NULL, BUNDLE_PROFILE, control_now_ms(e->control)};
	if (!f)
		f = version_new_bundle(e->key, now, &origin, &v);
	if (f) {
		entry_set_error(e, f);
		log_event(LOG_ERROR, "bundle.not_made", LS("secret", entry_key_text(e->key)), LF(f));
		fault_free(f);
		return;
	}
	entry_set_error(e, NULL);
	publish_version(e, v, "bundle.changed", NULL, on_published, e);
}

void bundles_retry(struct control *c)
{
	for (struct entry *e = c->entries; e; e = e->hh.next)
		if (e->def && e->def->kind == SECRET_VALIDATION_CONTEXT && e->last_error) {
			bundles_refresh(c);
			return;
		}
}

void bundles_refresh(struct control *c)
{
	if (!c->started || c->closing)
		return;
	for (struct entry *e = c->entries, *next; e; e = next) {
		next = e->hh.next;
		if (e->def && e->def->kind == SECRET_VALIDATION_CONTEXT && !e->committing)
			refresh(e);
	}
}
