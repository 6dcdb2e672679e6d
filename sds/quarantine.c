/* sds/quarantine.c - versions that control told us not to push to a node while it holds an older valid one. */
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "control/identity.h"
#include "sds/internal.h"

static char *key_of(const struct identity *id, const char *node, const struct entry_key *e, const char *version)
{
	return mem_printf("%s\x1f%s\x1f%s\x1f%s", identity_key(id), node, entry_key_text(e), version);
}

void quarantine_set(struct worker *w, const struct identity *id, const char *node, const struct entry_key *e,
	const char *version, bool on)
{
	AUTO(mem_freep) char *key = key_of(id, node, e, version);
	struct held_back *h = NULL;
	HASH_FIND_STR(w->held_back, key, h);
	if (on && !h) {
		h = mem_new(struct held_back);
		h->key = TAKE(key);
		HASH_ADD_KEYPTR(hh, w->held_back, h->key, strlen(h->key), h);
	} else if (!on && h) {
		HASH_DEL(w->held_back, h);
		free(h->key);
		free(h);
		struct slot *s = slot_find_entry(w, e);
		if (s)
			slot_mark(s);
	}
}

/* Only a stream that holds an older version, which we know and which is still valid, is held back: a process that
 * claims nothing, or something else, knows nothing of the NACK, and one that ACKed the version since has proven that it
 * takes it. */
bool quarantine_holds(struct worker *w, const struct interest *i, const char *version)
{
	if (!w->held_back || !i->entry || !i->sub)
		return false;
	const char *held = engine_sub_acked(i->sub);
	if (!*held)
		held = engine_sub_claimed(i->sub);
	if (strcmp(held, version) == 0 || !slot_knows_valid(i->slot, held, clock_wall_ms(w->server->o.clock)))
		return false;
	AUTO(mem_freep) char *key = key_of(i->identity, i->node ? i->node->id : "", i->entry, version);
	struct held_back *h = NULL;
	HASH_FIND_STR(w->held_back, key, h);
	return h != NULL;
}

void quarantines_free(struct worker *w)
{
	struct held_back *h, *next;
	HASH_ITER (hh, w->held_back, h, next) {
		HASH_DEL(w->held_back, h);
		free(h->key);
		free(h);
	}
}
