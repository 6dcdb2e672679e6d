/* control/audit.c - who decided what: a record in the store, and mostly a line in the log, written with the effect's
 * own transaction, so before the effect. Never key material. */
#include <jansson.h>
#include "base/audit_chain.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/io/json_memory.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "control/internal.h"

static void set_text(json_t *o, const char *key, const char *value)
{
	if (!value)
		return;
	AUTO(mem_freep) char *safe = text_escaped(value);
	(void)json_object_set_new(o, key, json_string(safe));
}

/* A record on its own way to the store. */
struct own_record {
	struct control *control;
	int64_t at_ms;
	char *event, *text;
};

static void on_written(void *arg, struct fault *f)
{
	struct own_record *o = arg;
	if (f) {
		log_event(LOG_ERROR, "audit.unwritable", LS("record", o->event),
			LS("effect", "it is written when the store can be"), LF(f));
		audit_late_add(o->control, o->at_ms, o->event, o->text);
	}
	fault_free(f);
	free(o->event);
	free(o->text);
	free(o);
}

/* The caller owns it. */
static char *record_text(const char *entry, const char *version, const char *by, const char *detail)
{
	json_t *o = json_object();
	set_text(o, "entry", entry);
	set_text(o, "version", version);
	set_text(o, "by", by);
	set_text(o, "detail", detail);
	char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(o);
	invariant(text);
	char *ours = mem_strdup(text);
	json_memory_free_text(text);
	return ours;
}

void audit_record(struct control *c, struct store_tx *tx, const char *event, const char *entry, const char *version,
	const char *by, const char *detail)
{
	char *text = record_text(entry, version, by, detail);
	int64_t now = control_now_ms(c);
	audit_file_due(c);
	if (tx) {
		store_tx_audit(tx, now, event, text);
		free(text);
		return;
	}
	struct own_record *o = mem_new(struct own_record);
	*o = (struct own_record){c, now, mem_strdup(event), text};
	tx = store_tx_new();
	store_tx_audit(tx, now, event, text);
	store_commit(c->o.store, tx, on_written, o);
}

void audit_missed(struct control *c, const char *event, const char *entry, const char *version, const char *by,
	const char *detail)
{
	AUTO(mem_freep) char *text = record_text(entry, version, by, detail);
	audit_late_add(c, control_now_ms(c), event, text);
}

void audit_note(struct control *c, struct store_tx *tx, const char *event, const char *entry, const char *version,
	const char *by, const char *detail)
{
	log_event(LOG_INFO, event, LS("secret", entry), LS("version", version), LS("by", by), LS("detail", detail));
	audit_record(c, tx, event, entry, version, by, detail);
}

void control_audit(struct control *c, const char *event, const char *name, const char *version, const char *by,
	const char *detail, control_done_fn *done, void *arg)
{
	struct store_tx *tx = store_tx_new();
	audit_note(c, tx, event, name, version, by, detail);
	store_commit(c->o.store, tx, done, arg);
}

void control_audit_read(struct control *c, int64_t after, size_t limit,
	void (*done)(void *arg, struct fault *f, const struct store_audit_page *page), void *arg)
{
	if (c->closing)
		done(arg, fault_new(FAULT_UNAVAILABLE, "leafcast is stopping"), NULL);
	else
		store_audit_read(c->o.store, after, limit, done, arg);
}

static void on_head(void *arg, struct fault *f, const struct store_audit_page *page)
{
	(void)arg;
	if (f) {
		log_event(LOG_ERROR, "audit.unreadable", LF(f));
		fault_free(f);
		return;
	}
	char hex[AUDIT_HASH_HEX];
	audit_hash_hex(&page->head.hash, hex);
	log_event(LOG_INFO, "audit.head", LI("seq", page->head.seq), LS("hash", hex));
}

static void on_hour(void *arg)
{
	struct control *c = arg;
	store_audit_read(c->o.store, 0, 0, on_head, NULL);
	timer_start(c->audit_head, MS_PER_HOUR);
}

void audit_start(struct control *c)
{
	audit_record(c, NULL, "leafcast.started", NULL, NULL, NULL, LEAFCAST_VERSION);
	c->audit_head = timer_new(c->o.loop, on_hour, c);
	on_hour(c);
}
