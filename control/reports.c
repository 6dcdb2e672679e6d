/* control/reports.c - what workers report, read on the loop: wants are answered by one publish or absent, ACKs and
 * NACKs are counted, the gone are forgotten. */
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/identity.h"
#include "control/internal.h"

enum { BATCHES_PER_TURN = 64 };

/* A templated secret that nobody wanted before: from now on it is issued and kept fresh. */
static void adopt(struct entry *e)
{
	const struct secret_def *def = definitions_secret(e->control->definitions, entry_key_name(e->key));
	if (e->def || !def || def->internal)
		return;
	e->def = def;
	e->kind = def->kind;
}

/* SotW has no way to say so, and Envoy shows nothing but a listener that does not come up: `status` lists each. */
static void tell_unknown(struct control *c, const struct report *r)
{
	uint64_t unsaid;
	if (quiet_passes(&c->unknown_names, control_mono_ms(c), &unsaid))
		log_event(LOG_WARN, "secret.unknown", LS("secret", r->name), LS("identity", identity_text(r->identity)),
			LS("node", r->node ? r->node->id : ""), LS("method", r->delta ? "delta" : "sotw"),
			LI("unsaid", unsaid));
}

static void answer(struct entry *e, unsigned worker, const struct report *r)
{
	if (r->has_answer)
		return;
	if (e->current)
		publish_current(e);
	else if (!e->def)
		publish_absent(e, (int)worker, ABSENT_UNKNOWN);
	/* else it is being issued: a publish follows */
}

static void deny(struct control *c, unsigned worker, const struct report *r, const char *why)
{
	denial_note(c, r->identity, r->name, r->node, why);
	c->outlet->absent(
		c->outlet->arg, (int)worker, r->entry, r->identity, r->name, ABSENT_DENIED, control_next_seq(c));
}

static void wanted(struct control *c, unsigned worker, const struct report *r)
{
	if (!policy_decide(c->policy, r->identity, r->name).allowed) {
		deny(c, worker, r, NULL);
		return;
	}
	/* The entry by today's definitions: the worker may have asked under an older snapshot. */
	AUTO(entry_key_unrefp) struct entry_key *key = NULL;
	AUTO(fault_freep) struct fault *f = policy_entry(c->policy, r->identity, r->name, &key);
	if (f) {
		deny(c, worker, r, fault_text(f));
		return;
	}
	struct entry *e = entry_make(c, key);
	bool is_news = !subscriber_find(c, worker, r);
	struct subscriber *s = subscriber_note(c, worker, r, e);
	adopt(e);
	s->granted = s->granted || grant_note(c, r->identity, e);
	if (is_news && !e->current && !e->def)
		tell_unknown(c, r);
	quarantine_note_held(c, r, e);
	answer(e, worker, r);
	rotation_replan(e);
}

static void acked(struct control *c, unsigned worker, const struct report *r)
{
	struct subscriber *s = subscriber_find(c, worker, r);
	if (!s)
		return;
	s->acked_at_ms = s->entry->last_ack_at_ms = control_now_ms(c);
	memcpy(s->acked, r->acked_version, sizeof s->acked);
	s->granted = s->granted || grant_note(c, s->identity, s->entry); /* one that was put after it was asked for */
	s->unproven = !quarantine_judge_ack(c, r, s->entry);
	if (s->unproven)
		meters_unproven(c);
	else
		verifier_acked(s); /* what proves nothing does not speed a change of anchors */
	log_event(LOG_DEBUG, "secret.acked", LS("secret", entry_key_text(s->entry->key)),
		LS("node", r->node ? r->node->id : ""), LS("version", r->acked_version),
		LI("push_to_ack_ms", r->push_to_ack_ms));
}

static void nacked(struct control *c, unsigned worker, const struct report *r)
{
	struct subscriber *s = subscriber_find(c, worker, r);
	if (!s)
		return;
	struct entry *e = s->entry;
	const char *node = r->node ? r->node->id : "";
	if (strcmp(s->acked, r->nacked_version) == 0) /* what it said before was not so, or is not any more */
		s->acked[0] = 0;
	s->nacked_at_ms = e->last_nack_at_ms = control_now_ms(c);
	memcpy(s->nacked, r->nacked_version, sizeof s->nacked);
	free(s->nack_text);
	s->nack_text = mem_strdup(r->nack_text ? r->nack_text : "");
	free(e->last_nack);
	e->last_nack = mem_printf("%s: version %s: code %d: %s", node, r->nacked_version, r->nack_code, s->nack_text);
	bool held_back = quarantine_note(c, r, e);
	uint64_t unsaid;
	if (!quarantine_may_speak(c, r, e, &unsaid))
		return;
	const struct verdict v = quarantine_verdict(e);
	log_event(LOG_WARN, "secret.nacked", LS("secret", entry_key_text(e->key)), LS("node", node),
		LS("identity", identity_text(r->identity)), LS("version", r->nacked_version), LI("code", r->nack_code),
		LS("message", s->nack_text), LB("held_back", held_back), LS("verdict", control_verdict_name(v.what)),
		LI("refused_by_nodes", v.refused), LI("taken_by_streams", v.taken), LI("unsaid", unsaid));
	audit_record(c, NULL, "secret.nacked", entry_key_text(e->key), r->nacked_version, identity_text(r->identity),
		e->last_nack);
}

static void read_report(struct control *c, unsigned worker, const struct report *r)
{
	if (r->what & REPORT_WANTED)
		wanted(c, worker, r);
	if (r->what & REPORT_ACKED)
		acked(c, worker, r);
	if (r->what & REPORT_NACKED)
		nacked(c, worker, r);
	if (r->what & REPORT_GONE) {
		struct subscriber *s = subscriber_find(c, worker, r);
		if (s)
			subscriber_gone(c, s);
	}
}

void reports_read(struct control *c)
{
	struct mail *list = mailbox_drain(c->inbox.mailbox, BATCHES_PER_TURN), *next;
	for (; list; list = next) {
		struct report_batch *b = container_of(list, struct report_batch, mail);
		next = list->next;
		if (!c->closing)
			for (size_t i = 0; i < b->count; i++)
				read_report(c, b->worker, &b->reports[i]);
		barrier_applied(c, b->worker, b->applied_seq);
		if (!b->stopped)
			c->outlet->taken(c->outlet->arg, b->worker);
		report_batch_free(b);
	}
}
