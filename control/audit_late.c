/* control/audit_late.c - audit records that the store did not take: they wait here, in order and with the time of what
 * they tell, until it takes them. Of what was refused there is no record; these are of what went on all the same. What
 * waits when we end is lost but for the log, and so is what is beyond LATE_MAX; how many is recorded. */
#include <stdlib.h>
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/internal.h"

enum { LATE_MAX = 16384, LATE_BATCH = 256 };

struct late_record {
	struct late_record *prev, *next;
	int64_t at_ms;
	char *event, *text;
};

struct audit_late {
	struct late_record *records; /* the first is the oldest */
	size_t count, lost;
	size_t writing; /* of the first; 0: no commit is under way */
};

static void drop_first(struct audit_late *l)
{
	struct late_record *r = l->records;
	DL_DELETE(l->records, r);
	l->count--;
	free(r->event);
	free(r->text);
	free(r);
}

void audit_late_new(struct control *c)
{
	c->audit_late = mem_new(struct audit_late);
}

void audit_late_add(struct control *c, int64_t at_ms, const char *event, const char *text)
{
	struct audit_late *l = c->audit_late;
	if (l->count == LATE_MAX) {
		l->lost++;
		return;
	}
	struct late_record *r = mem_new(struct late_record);
	*r = (struct late_record){.at_ms = at_ms, .event = mem_strdup(event), .text = mem_strdup(text)};
	DL_APPEND(l->records, r);
	l->count++;
}

static void on_caught_up(void *arg, struct fault *f)
{
	struct control *c = arg;
	struct audit_late *l = c->audit_late;
	size_t written = f ? 0 : l->writing;
	l->writing = 0;
	while (written--)
		drop_first(l);
	if (!f)
		audit_file_due(c);
	if (!f && !l->count)
		log_event(LOG_INFO, "audit.caught_up", LI("lost", l->lost));
	bool failed = f != NULL;
	fault_ignore(f, "told when it began; tried again at the next turn");
	if (l->count && !failed)
		audit_late_write(c);
	if (l->count || !l->lost)
		return;
	AUTO(mem_freep) char *detail = mem_printf("%zu records; the log has what they told", l->lost);
	l->lost = 0;
	audit_note(c, NULL, "audit.lost", NULL, NULL, NULL, detail);
}

void audit_late_write(struct control *c)
{
	struct audit_late *l = c->audit_late;
	if (!l->count || l->writing)
		return;
	struct store_tx *tx = store_tx_new();
	struct late_record *r;
	DL_FOREACH (l->records, r) {
		store_tx_audit(tx, r->at_ms, r->event, r->text);
		if (++l->writing == LATE_BATCH)
			break;
	}
	store_commit(c->o.store, tx, on_caught_up, c);
}

size_t audit_late_count(const struct control *c)
{
	return c->audit_late->count;
}

void audit_late_free(struct control *c)
{
	if (c->audit_late->count)
		log_event(LOG_ERROR, "audit.lost", LI("records", c->audit_late->count + c->audit_late->lost),
			LS("why", "the store could not be written until the end"));
	while (c->audit_late->count)
		drop_first(c->audit_late);
	free(c->audit_late);
}
