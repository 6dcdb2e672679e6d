/* control/quarantine_save.c - the quarantine outlives a restart: Envoy's poisoned state does, too (a bad version that
 * is sent again to the same process is ACKed and not used). One commit is under way at a time and takes all that has
 * changed, so that a peer that NACKs without end makes us write no faster than the disk does. What is not stored yet is
 * at most the table, and what is not dropped yet at most what is stored. */
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/quarantine.h"

enum { UNMADE_MAX = 2 * QUARANTINE_MAX };

static struct store_quarantine row_of(const struct quarantined *q)
{
	return (struct store_quarantine){.identity = q->identity,
		.node = q->node,
		.entry = q->entry_key,
		.version = q->version,
		.who = q->who,
		.held = q->held,
		.message = q->message,
		.code = q->code,
		.since_ms = q->since_ms,
		.hastens = q->hastens,
		.chance = q->chance,
		.neighbour = q->neighbour};
}

static void free_first(struct control *c, struct quarantined **list)
{
	struct quarantined *q = *list;
	DL_DELETE2(*list, q, save_prev, save_next);
	c->unmade_count--;
	quarantined_free(q);
}

static void free_list(struct control *c, struct quarantined **list)
{
	while (*list)
		free_first(c, list);
}

static void mark_unsaved(struct control *c, struct quarantined *q)
{
	if (q->is_unsaved)
		return;
	q->is_unsaved = true;
	DL_APPEND2(c->unsaved, q, save_prev, save_next);
}

/* Nothing of it was written: all of it is owed again. */
static void owe_again(struct control *c)
{
	for (struct quarantined *q = c->quarantine; q; q = q->hh.next)
		mark_unsaved(c, q);
	DL_CONCAT2(c->unmade, c->unmaking, save_prev, save_next);
	c->unmaking = NULL;
}

static void begin(struct control *c);

static void on_saved(void *arg, struct fault *f)
{
	struct control *c = arg;
	c->saving_quarantine = false;
	if (f) {
		uint64_t unsaid;
		if (quiet_passes(&c->unsaved_quiet, control_mono_ms(c), &unsaid))
			log_event(LOG_WARN, "quarantine.not_stored", LI("unsaid", unsaid), LF(f));
		fault_free(f);
		owe_again(c); /* with the next turn of the watch */
		return;
	}
	free_list(c, &c->unmaking);
	begin(c);
}

static void begin(struct control *c)
{
	struct quarantined *q, *next;
	if (c->saving_quarantine || (!c->unsaved && !c->unmade))
		return;
	struct store_tx *tx = store_tx_new();
	DL_FOREACH2(c->unmade, q, save_next)
	{
		const struct store_quarantine row = row_of(q);
		store_tx_drop_quarantine(tx, &row);
	}
	c->unmaking = c->unmade;
	c->unmade = NULL;
	DL_FOREACH_SAFE2(c->unsaved, q, next, save_next)
	{
		const struct store_quarantine row = row_of(q);
		store_tx_put_quarantine(tx, &row);
		DL_DELETE2(c->unsaved, q, save_prev, save_next);
		q->is_unsaved = false;
		q->is_stored = true;
	}
	c->saving_quarantine = true;
	store_commit(c->o.store, tx, on_saved, c);
}

void quarantine_save(struct quarantined *q)
{
	struct control *c = q->entry->control;
	mark_unsaved(c, q);
	begin(c);
}

void quarantine_unsave(struct control *c, struct quarantined *q)
{
	if (q->is_unsaved)
		DL_DELETE2(c->unsaved, q, save_prev, save_next);
	q->is_unsaved = false;
	if (!q->is_stored) {
		quarantined_free(q);
		return;
	}
	DL_APPEND2(c->unmade, q, save_prev, save_next);
	/* A row that stays for want of a store that can be written is passed over once its version is gone. */
	if (++c->unmade_count > UNMADE_MAX)
		free_first(c, &c->unmade);
	if (!c->closing)
		begin(c);
}

void quarantine_save_again(struct control *c)
{
	if (!c->closing)
		begin(c);
}

void quarantine_save_free(struct control *c)
{
	free_list(c, &c->unmade);
	free_list(c, &c->unmaking);
}
