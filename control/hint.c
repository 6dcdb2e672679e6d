/* control/hint.c - when an authority would like a leaf to be renewed (ca.h): kept beside the version that it came with,
 * over restarts, for as long as that is served. What becomes of it is the planner's (rotation_plan.c). Facts of the
 * store: "renew/from/<version>/<entry>" and "renew/to/...", wall times in ms. */
#include <string.h>
#include "base/log.h"
#include "base/mem.h"
#include "control/internal.h"

static const char *const PREFIXES[] = {"renew/from/", "renew/to/"};
enum { FROM, TO };

static char *fact_of(int which, const struct entry *e, const char *version)
{
	return mem_printf("%s%s/%s", PREFIXES[which], version, entry_key_text(e->key));
}

static void put(const struct entry *e, const char *version, const struct ca_hint *h, struct store_tx *tx)
{
	AUTO(mem_freep) char *from = fact_of(FROM, e, version);
	AUTO(mem_freep) char *to = fact_of(TO, e, version);
	if (!h->to_ms)
		return;
	store_tx_put_fact(tx, from, h->from_ms);
	store_tx_put_fact(tx, to, h->to_ms);
}

static void drop(const struct entry *e, struct store_tx *tx)
{
	if (!e->current || !e->hint.to_ms)
		return;
	AUTO(mem_freep) char *from = fact_of(FROM, e, version_id(e->current));
	AUTO(mem_freep) char *to = fact_of(TO, e, version_id(e->current));
	store_tx_drop_fact(tx, from);
	store_tx_drop_fact(tx, to);
}

static bool is_next(const struct entry *e, const struct version *v)
{
	return strcmp(e->hint_next.version, version_id(v)) == 0;
}

void hint_note(struct entry *e, const struct version *v, const struct ca_hint *hint)
{
	(void)snprintf(e->hint_next.version, sizeof e->hint_next.version, "%s", version_id(v));
	e->hint_next.hint = *hint;
	if (hint->to_ms)
		log_event(LOG_INFO, "rotation.hint", LS("secret", entry_key_text(e->key)), LS("version", version_id(v)),
			LT("from", hint->from_ms), LT("to", hint->to_ms));
}

void hint_before_publish(const struct entry *e, const struct version *v, struct store_tx *tx)
{
	if (e->current && strcmp(version_id(e->current), version_id(v)) != 0)
		drop(e, tx);
	if (is_next(e, v))
		put(e, version_id(v), &e->hint_next.hint, tx);
}

void hint_before_rewrite(const struct entry *e, struct store_tx *tx)
{
	put(e, version_id(e->current), &e->hint, tx);
}

void hint_before_drop(const struct entry *e, struct store_tx *tx)
{
	drop(e, tx);
}

void hint_served(struct entry *e, const struct version *v)
{
	if (is_next(e, v))
		e->hint = e->hint_next.hint;
	else if (!e->current || strcmp(version_id(e->current), version_id(v)) != 0)
		e->hint = (struct ca_hint){0, 0};
	e->hint_next.version[0] = 0;
}

void hint_dropped(struct entry *e)
{
	e->hint = (struct ca_hint){0, 0};
	e->hint_next.version[0] = 0;
}

/* Whose version is no longer served goes: a crash came between, or a memory-only one was lost. */
void hint_load(struct control *c, const char *fact, int64_t value, struct store_tx *drop_from)
{
	for (int which = FROM; which <= TO; which++) {
		size_t len = strlen(PREFIXES[which]);
		if (strncmp(fact, PREFIXES[which], len) != 0)
			continue;
		const char *id = fact + len, *slash = strchr(id, '/');
		struct entry *e = slash ? entry_find_text(c, slash + 1) : NULL;
		if (!e || !e->current || strlen(version_id(e->current)) != (size_t)(slash - id) ||
			strncmp(id, version_id(e->current), (size_t)(slash - id)) != 0)
			store_tx_drop_fact(drop_from, fact);
		else if (which == FROM)
			e->hint.from_ms = value;
		else
			e->hint.to_ms = value;
	}
}
