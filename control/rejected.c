/* control/rejected.c - answers of authorities that our checks refused: never published, the last one of each entry kept
 * aside in words (reason, fingerprint, serial) until the same authority answers well. */
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/internal.h"

void rejected_done(struct rejected *r)
{
	free(r->authority);
	free(r->text);
	*r = (struct rejected){NULL, NULL, 0, 0};
}

void rejected_note(struct entry *e, const char *authority, const struct fault *f)
{
	struct control *c = e->control;
	uint64_t count = e->rejected.authority && strcmp(e->rejected.authority, authority) == 0 ? e->rejected.count : 0;
	rejected_done(&e->rejected);
	e->rejected = (struct rejected){mem_strdup(authority), mem_strdup(fault_text(f)), control_now_ms(c), count + 1};
	meters_rejected(c, authority);
	audit_record(c, NULL, "answer.rejected", entry_key_text(e->key), NULL, authority, e->rejected.text);
	log_event(LOG_ERROR, "answer.rejected", LS("secret", entry_key_text(e->key)), LS("authority", authority),
		LI("in_a_row", (int64_t)e->rejected.count), LF(f));
}

void rejected_forget(struct entry *e, const char *authority)
{
	if (e->rejected.authority && strcmp(e->rejected.authority, authority) == 0)
		rejected_done(&e->rejected);
}
