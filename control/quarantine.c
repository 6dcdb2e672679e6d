/* control/quarantine.c - versions that a node NACKed (design.md, section 1): every worker is told not to push them to
 * that node while it still holds an older valid one. Bounded; an entry ends with a newer version or when the version
 * expires. */
#include "base/log.h"
#include "base/mem.h"
#include "control/identity.h"
#include "control/internal.h"

enum { QUARANTINE_MAX = 4096 };

static void tell_workers(struct control *c, const struct quarantined *q, bool on)
{
	if (c->outlet)
		c->outlet->quarantine(
			c->outlet->arg, q->identity, q->node_id, q->entry, q->version, on, control_next_seq(c));
}

static void end(struct control *c, struct quarantined *q)
{
	HASH_DELETE(hh, c->quarantine, q);
	identity_unref(q->identity);
	entry_key_unref(q->entry);
	free(q->node_id);
	free(q->key);
	free(q);
}

void quarantine_note(struct control *c, const struct report *r, const struct entry *e)
{
	const char *node_id = r->node ? r->node->id : "";
	if (!e->current || strcmp(version_id(e->current), r->nacked_version) != 0)
		return; /* a newer version is served already */
	AUTO(mem_freep)
	char *key = mem_printf(
		"%s\x1f%s\x1f%s\x1f%s", identity_key(r->identity), node_id, entry_key_text(e->key), r->nacked_version);
	struct quarantined *q = NULL;
	HASH_FIND_STR(c->quarantine, key, q);
	if (q)
		return;
	if (HASH_COUNT(c->quarantine) >= QUARANTINE_MAX) {
		log_event(LOG_WARN, "quarantine.full", LI("remembered", QUARANTINE_MAX), LS("node", node_id));
		return;
	}
	q = mem_new(struct quarantined);
	q->key = TAKE(key);
	q->identity = identity_ref(r->identity);
	q->node_id = mem_strdup(node_id);
	q->entry = entry_key_ref(e->key);
	(void)snprintf(q->version, sizeof q->version, "%s", r->nacked_version);
	q->until_ms = version_not_after_ms(e->current);
	HASH_ADD_KEYPTR(hh, c->quarantine, q->key, strlen(q->key), q);
	tell_workers(c, q, true);
}

void quarantine_sweep(struct control *c, int64_t now_ms)
{
	struct quarantined *q, *next;
	HASH_ITER (hh, c->quarantine, q, next) {
		if (q->until_ms > now_ms)
			continue;
		tell_workers(c, q, false);
		end(c, q);
	}
}

void quarantine_end_entry(struct control *c, const struct entry *e)
{
	struct quarantined *q, *next;
	HASH_ITER (hh, c->quarantine, q, next) {
		if (!entry_key_equal(q->entry, e->key))
			continue;
		tell_workers(c, q, false);
		end(c, q);
	}
}

void quarantine_free(struct control *c)
{
	struct quarantined *q, *next;
	HASH_ITER (hh, c->quarantine, q, next)
		end(c, q);
}
