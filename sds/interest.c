/* sds/interest.c - one name that one stream wants: found its entry, its place in the index, and what it may have at
 * this moment. Policy is asked at each answer with the snapshot then current (design: invariant 3). */
#include <string.h>
#include "base/fault.h"
#include "base/gate.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/identity.h"
#include "sds/internal.h"

/* Entry and slot under the policy now. A denied name, and one whose template this identity cannot fill, is asked of
 * control like an unknown one (design: invariant 2). Whoever has no version asks again: a reload may have changed the
 * answer. */
static void place(struct interest *i)
{
	struct worker *w = i->call->worker;
	struct entry_key *entry = NULL;
	i->policy_generation = policy_generation(w->policy);
	i->allowed = policy_decide(w->policy, i->identity, i->name).allowed;
	struct fault *f = policy_entry(w->policy, i->identity, i->name, &entry);
	fault_ignore(f, "control meets the same fault when it is asked, and says so");
	entry_key_unref(i->entry);
	i->entry = entry;
	i->absent = absence_is_known(w, i->identity, i->name);
	bool may = i->allowed && entry;
	struct slot *s = may ? slot_for_entry(w, entry) : slot_for_absence(w, i->identity, i->name);
	bool moved = s != i->slot;
	if (moved) { /* what happens to the versions of a slot is told to those who are in it */
		version_unrefp(&i->offered);
		version_unrefp(&i->held);
		slot_leave(w, i);
		slot_join(s, i);
	}
	if (moved || !s->version)
		outbox_note(w, i, REPORT_WANTED);
}

bool interest_would_be_new(const struct call *c, const char *name)
{
	struct worker *w = c->worker;
	const struct identity *i = c->conn->identity;
	AUTO(entry_key_unrefp) struct entry_key *entry = NULL;
	struct fault *f = policy_entry(w->policy, i, name, &entry);
	fault_ignore(f, "it is asked again under its place");
	if (entry && policy_decide(w->policy, i, name).allowed && slot_find_entry(w, entry))
		return false;
	return !absence_is_known(w, i, name);
}

struct interest *interest_new(struct call *c, struct node *n, struct engine_sub *sub, const char *name, bool delta)
{
	struct interest *i = mem_new(struct interest);
	i->call = c;
	i->sub = sub;
	i->number = ++c->worker->last_interest;
	i->stream = c->id;
	i->name = mem_strdup(name);
	i->identity = identity_ref(c->conn->identity);
	i->node = n ? node_ref(n) : NULL;
	i->delta = delta;
	i->push_to_ack_ms = -1;
	place(i);
	meters_subscription(c->worker->server, 1);
	return i;
}

enum answer interest_answer(struct interest *i, struct version **ret)
{
	struct worker *w = i->call->worker;
	if (i->policy_generation != policy_generation(w->policy))
		place(i);
	const struct slot *s = i->slot;
	if (i->allowed && i->entry && s->version) {
		*ret = s->version;
		return ANSWER_VERSION;
	}
	return i->absent ? ANSWER_ABSENT : ANSWER_PENDING;
}

bool interest_node_takes(const struct interest *i, const struct version *v)
{
	const struct cert_info *leaf = version_leaf(v);
	const struct node *n = i->node;
	if (!leaf || !n)
		return true;
	AUTO(fault_freep)
	struct fault *f = gate_check_for(leaf, n->user_agent, n->version_major, n->version_minor);
	if (f)
		log_event(LOG_WARN, "offer.held_for_old_envoy", LS("node", n->id), LS("secret", i->name),
			LS("version", version_id(v)), LF(f));
	return !f;
}

void interest_leave(struct interest *i)
{
	struct worker *w = i->call->worker;
	slot_leave(w, i);
	meters_subscription(w->server, -1);
	i->call = NULL;
	i->sub = NULL;
	version_unrefp(&i->offered);
	version_unrefp(&i->held);
	if (i->told) {
		outbox_note(w, i, REPORT_GONE);
		return;
	}
	/* Control never heard of it, and need not. */
	if (i->in_outbox)
		DL_DELETE2(w->outbox, i, out_prev, out_next);
	interest_free(i);
}

void interest_free(struct interest *i)
{
	free(i->name);
	identity_unref(i->identity);
	node_unref(i->node);
	entry_key_unref(i->entry);
	for (struct nack *n; (n = i->nacks);) {
		LL_DELETE(i->nacks, n);
		free(n->text);
		free(n);
	}
	free(i);
}
