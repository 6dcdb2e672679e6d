/* control/audit.c - who decided what: a record in the store, and mostly a line in the log, written with the effect's
 * own transaction, so before the effect. Never key material. */
#include <jansson.h>
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

static void on_written(void *arg, struct fault *f)
{
	(void)arg;
	if (f)
		log_event(LOG_ERROR, "audit.unwritable", LF(f));
	fault_free(f);
}

void audit_record(struct control *c, struct store_tx *tx, const char *event, const char *entry, const char *version,
	const char *by, const char *detail)
{
	json_t *o = json_object();
	set_text(o, "entry", entry);
	set_text(o, "version", version);
	set_text(o, "by", by);
	set_text(o, "detail", detail);
	char *text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(o);
	invariant(text);
	struct store_tx *own = tx ? NULL : store_tx_new();
	store_tx_audit(tx ? tx : own, control_now_ms(c), event, text);
	json_memory_free_text(text);
	if (own)
		store_commit(c->o.store, own, on_written, NULL);
}

void audit_note(struct control *c, struct store_tx *tx, const char *event, const char *entry, const char *version,
	const char *by, const char *detail)
{
	log_event(LOG_INFO, event, LS("secret", entry), LS("version", version), LS("by", by), LS("detail", detail));
	audit_record(c, tx, event, entry, version, by, detail);
}
