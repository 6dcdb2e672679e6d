/* control/entries.c - the table of entries: found by key, made when asked for, freed when they mean nothing to anybody.
 */
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/internal.h"

struct entry *entry_find(struct control *c, const struct entry_key *key)
{
	struct entry *e = NULL;
	size_t len;
	const void *bytes = entry_key_bytes(key, &len);
	HASH_FIND(hh, c->entries, bytes, len, e);
	return e;
}

struct entry *entry_find_text(struct control *c, const char *text)
{
	for (struct entry *e = c->entries; e; e = e->hh.next)
		if (strcmp(entry_key_text(e->key), text) == 0)
			return e;
	return NULL;
}

struct entry *entry_make(struct control *c, struct entry_key *key)
{
	struct entry *e = entry_find(c, key);
	if (e)
		return e;
	e = mem_new(struct entry);
	e->control = c;
	e->key = entry_key_ref(key);
	e->backoff = (struct backoff){.base_ms = MS_PER_S, .cap_ms = MS_PER_MIN};
	size_t len;
	const void *bytes = entry_key_bytes(e->key, &len);
	HASH_ADD_KEYPTR(hh, c->entries, bytes, len, e);
	return e;
}

struct entry_key *entry_key_internal(const char *name)
{
	/* An attribute that no identity has: no client's name leads here. */
	static const char *const mark[] = {"internal=1"};
	return entry_key_new(name, mark, 1);
}

void entry_free(struct entry *e)
{
	invariant(!e->issuance && !e->committing && !e->subscribers && !e->quarantined);
	HASH_DELETE(hh, e->control->entries, e);
	if (e->memory_only)
		e->control->memory_only--;
	timer_free(e->timer);
	version_unref(e->current);
	version_unref(e->held);
	version_unref(e->previous);
	entry_key_unref(e->key);
	rejected_done(&e->rejected);
	free(e->last_error);
	free(e->last_nack);
	free(e);
}

static void forget_past(struct entry *e, size_t i)
{
	memmove(&e->past[i], &e->past[i + 1], (--e->past_count - i) * sizeof e->past[0]);
}

/* One that is being revoked is needed until that is done, as long as there is another. */
void entry_drop_oldest(struct entry *e, struct store_tx *tx)
{
	size_t i = 0;
	while (i < e->past_count && version_is_revoked(e, e->past[i].id))
		i++;
	i = i < e->past_count ? i : 0;
	store_tx_drop_version(tx, e->key, e->past[i].id);
	forget_past(e, i);
}

void entry_forget_past(struct entry *e, const char *id)
{
	for (size_t i = e->past_count; i > 0; i--)
		if (strcmp(e->past[i - 1].id, id) == 0)
			forget_past(e, i - 1);
}

void entry_drop_if_idle(struct entry *e)
{
	if (!e->def && !e->current && !e->subscribers && !e->issuance && !e->committing && !e->waiters && !e->awaited)
		entry_free(e);
}

enum { ENTRIES_SWEPT = 64 };

static bool is_forsaken(const struct entry *e, int64_t now_ms)
{
	if (!e->def || e->def->internal || !entry_key_attribute_count(e->key) || e->subscribers || e->issuance ||
		e->committing || e->waiters || e->awaited || e->ordered)
		return false;
	return (!e->current || version_not_after_ms(e->current) <= now_ms) && !rotation_is_kept_fresh(e, now_ms);
}

void entries_sweep(struct control *c, int64_t now_ms)
{
	size_t swept = 0;
	for (struct entry *e = c->entries, *next; e && swept < ENTRIES_SWEPT; e = next) {
		next = e->hh.next;
		if (!is_forsaken(e, now_ms))
			continue;
		swept++;
		if (e->current) {
			publish_forget(e);
			continue;
		}
		e->def = NULL;
		entry_drop_if_idle(e);
	}
}

void entry_set_error(struct entry *e, const struct fault *f)
{
	free(e->last_error);
	e->last_error = f ? mem_strdup(fault_text(f)) : NULL;
	e->last_error_at_ms = f ? control_now_ms(e->control) : 0;
}
