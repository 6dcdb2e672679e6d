/* sds/outbox.c - what control is to be told, coalesced by subscription: at most one batch is under way, what happens
 * meanwhile sets flags (design: invariant 8). */
#include <string.h>
#include "base/mem.h"
#include "control/identity.h"
#include "sds/internal.h"

enum { BATCH_MAX = 1024 };
/* ACKs of a fan-out come one by one: a batch each would cost both threads a wake-up each. */
#define GATHER_MS INT64_C(20)

static bool has_answer(const struct interest *i)
{
	return i->absent || (i->slot && i->slot->version);
}

void outbox_note(struct worker *w, struct interest *i, enum report_what what)
{
	i->report |= what;
	if (what == REPORT_NACKED || (what == REPORT_WANTED && !has_answer(i)))
		w->outbox_urgent = true;
	if (!w->outbox)
		w->outbox_since_ms = w->now_ms;
	if (i->in_outbox)
		return;
	i->in_outbox = true;
	DL_APPEND2(w->outbox, i, out_prev, out_next);
}

static void fill(struct report *r, struct interest *i)
{
	r->what = i->report;
	r->stream = i->stream;
	r->subscription = i->number;
	r->name = mem_strdup(i->name);
	r->entry = i->entry ? entry_key_ref(i->entry) : NULL;
	r->identity = identity_ref(i->identity);
	r->node = i->node ? node_ref(i->node) : NULL;
	r->delta = i->delta;
	r->has_answer = has_answer(i);
	r->push_to_ack_ms = i->push_to_ack_ms;
	memcpy(r->acked_version, i->acked, sizeof i->acked);
	const char *held = i->sub ? engine_sub_acked(i->sub) : "";
	if (i->sub && !*held)
		held = engine_sub_claimed(i->sub);
	(void)snprintf(r->held_version, sizeof r->held_version, "%s", held);
	struct nack *n = i->nacks;
	if (n) {
		LL_DELETE(i->nacks, n);
		r->nack_code = n->code;
		r->nack_text = TAKE(n->text);
		memcpy(r->nacked_version, n->version, sizeof n->version);
		free(n);
	}
	i->told = i->told || (i->report & REPORT_WANTED);
	i->report = 0;
	i->in_outbox = false;
}

static void post(struct worker *w, size_t count, bool stopped)
{
	struct report_batch *b = report_batch_new(w->number, count);
	for (size_t n = 0; n < count; n++) {
		struct interest *i = w->outbox;
		DL_DELETE2(w->outbox, i, out_prev, out_next);
		fill(&b->reports[n], i);
		if (i->nacks)
			outbox_note(w, i, REPORT_NACKED); /* a report has room for one */
		else if (!i->call)
			interest_free(i);
	}
	b->applied_seq = w->reported_seq = w->applied_seq;
	b->stopped = stopped;
	w->batch_under_way = true;
	(void)mailbox_post(w->server->o.inbox->mailbox, &b->mail); /* a closed one frees it: control is gone */
}

int64_t outbox_due_ms(const struct worker *w)
{
	return w->outbox && !w->batch_under_way ? w->outbox_since_ms + GATHER_MS : INT64_MAX;
}

void outbox_flush(struct worker *w)
{
	bool due = w->outbox_urgent || w->reported_seq != w->applied_seq || w->now_ms >= outbox_due_ms(w);
	size_t count = 0;
	if (w->batch_under_way || !due || w->state == WORKER_STOPPED)
		return;
	for (struct interest *i = w->outbox; i && count < BATCH_MAX; i = i->out_next)
		count++;
	if (count < BATCH_MAX)
		w->outbox_urgent = false;
	post(w, count, false);
}

void outbox_end(struct worker *w)
{
	struct interest *i, *next;
	DL_FOREACH_SAFE2(w->outbox, i, next, out_next)
	{
		DL_DELETE2(w->outbox, i, out_prev, out_next);
		interest_free(i);
	}
	post(w, 0, true);
}
