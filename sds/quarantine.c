/* sds/quarantine.c - versions that control told us not to push to a node while it holds an older valid one. */
#include <string.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cache/canonical.h"
#include "control/identity.h"
#include "sds/internal.h"

/* Each part with its length: a node.id may hold any character. */
static struct buf key_of(const char *identity, const char *node, const struct entry_key *e, const char *version)
{
	struct buf key = BUF_INIT;
	size_t len;
	const void *entry = entry_key_bytes(e, &len);
	canonical_add_text(&key, identity);
	canonical_add_text(&key, node);
	canonical_add(&key, entry, len);
	canonical_add_text(&key, version);
	return key;
}

struct held_back *held_back_new(const struct outlet_quarantine *q)
{
	struct held_back *h = mem_new(struct held_back);
	AUTO(buf_free) struct buf key = key_of(q->identity, q->node_id, q->entry, q->version_id);
	h->key = mem_dup(key.data, key.len);
	h->key_len = key.len;
	h->identity = mem_strdup(q->identity);
	h->node = mem_strdup(q->node_id);
	h->entry = entry_key_ref((struct entry_key *)(uintptr_t)q->entry);
	(void)snprintf(h->version, sizeof h->version, "%s", q->version_id);
	h->on = q->on;
	h->forgive = q->forgive;
	memcpy(h->older, q->older, sizeof h->older);
	h->older_count = q->older_count;
	h->fallback = q->fallback ? version_ref(q->fallback) : NULL;
	return h;
}

void held_back_free(struct held_back *h)
{
	if (!h)
		return;
	free(h->key);
	free(h->identity);
	free(h->node);
	entry_key_unref(h->entry);
	version_unref(h->fallback);
	free(h);
}

static const char *node_of(const struct interest *i)
{
	return i->node ? i->node->id : "";
}

static void forgive(struct slot *s, const struct held_back *h)
{
	struct interest *i;
	DL_FOREACH2(s->interests, i, slot_next)
	{
		if (i->sub && strcmp(identity_key(i->identity), h->identity) == 0 && strcmp(node_of(i), h->node) == 0)
			engine_forgive(engine_sub_engine(i->sub), i->sub, h->version);
	}
}

void quarantine_take(struct worker *w, struct held_back *h)
{
	struct held_back *known = NULL;
	struct slot *s = slot_find_entry(w, h->entry);
	HASH_FIND(hh, w->held_back, h->key, h->key_len, known);
	if (known) {
		HASH_DEL(w->held_back, known);
		held_back_free(known);
	}
	if (h->on) {
		HASH_ADD_KEYPTR(hh, w->held_back, h->key, h->key_len, h);
		return;
	}
	if (s && h->forgive)
		forgive(s, h);
	if (s)
		slot_mark(s);
	held_back_free(h);
}

void quarantine_forget_content(struct worker *w, const struct entry_key *entry, const char *version)
{
	struct held_back *h, *next;
	HASH_ITER (hh, w->held_back, h, next) {
		if (!entry_key_equal(h->entry, entry))
			continue;
		if (h->fallback && strcmp(version_id(h->fallback), version) == 0)
			version_unrefp(&h->fallback);
		for (size_t n = 0; n < h->older_count; n++)
			if (strcmp(h->older[n].id, version) == 0)
				h->older[n].not_after_ms = 0; /* not valid any more, whatever it says */
	}
}

static const struct held_back *find(struct worker *w, const struct interest *i, const char *version)
{
	struct held_back *h = NULL;
	if (!w->held_back)
		return NULL;
	AUTO(buf_free) struct buf key = key_of(identity_key(i->identity), node_of(i), i->entry, version);
	HASH_FIND(hh, w->held_back, key.data, key.len, h);
	return h;
}

static struct version *content_of(const struct interest *i, const struct held_back *h, const char *id)
{
	struct version *const known[] = {i->held, i->slot->previous, h ? h->fallback : NULL};
	for (size_t n = 0; n < ARRAY_LEN(known); n++)
		if (known[n] && strcmp(version_id(known[n]), id) == 0)
			return known[n];
	return NULL;
}

static int64_t end_of(const struct held_back *h, const char *id)
{
	for (size_t n = 0; h && n < h->older_count; n++)
		if (strcmp(h->older[n].id, id) == 0)
			return h->older[n].not_after_ms;
	return 0;
}

/* Only a stream that holds an older version, which we know and which is still valid, is spared: a process that claims
 * nothing, or something else, knows nothing of the NACK, and one that ACKed the version since has proven that it takes
 * it. What this very stream NACKed is kept from it before control has heard of it. */
struct sparing quarantine_judge(struct worker *w, const struct interest *i, const struct version *v)
{
	const struct sparing none = {0, NULL};
	const char *id = version_id(v);
	if (!i->sub || !i->entry)
		return none;
	const char *held = engine_sub_acked(i->sub);
	if (!*held)
		held = engine_sub_claimed(i->sub);
	if (!*held || strcmp(held, id) == 0)
		return none;
	const struct held_back *h = find(w, i, id);
	if (!h && !engine_sub_has_nacked(i->sub, id))
		return none;
	struct version *instead = content_of(i, h, held);
	int64_t until = instead ? version_not_after_ms(instead) : end_of(h, held);
	return until > clock_wall_ms(w->server->o.clock) ? (struct sparing){until, instead} : none;
}

void quarantines_free(struct worker *w)
{
	struct held_back *h, *next;
	HASH_ITER (hh, w->held_back, h, next) {
		HASH_DEL(w->held_back, h);
		held_back_free(h);
	}
}
