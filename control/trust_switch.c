/* control/trust_switch.c - a leaf under an anchor that verifiers do not hold yet waits (design.md, flow B): which
 * anchors are ready, which leaves wait, and who is passed over when one cannot wait any longer. */
#include "base/anchors.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "control/internal.h"

/* After a restart proxies come back within this time: Envoy's longest pause between two tries is 30 s. */
#define SETTLE_MS (INT64_C(60) * MS_PER_S)
/* How many are named in one message. */
enum { NAMED_MAX = 8 };

int64_t trust_leaf_life_ms(const struct control *c, const char *authority)
{
	int64_t longest = 0;
	for (size_t i = 0; i < c->definitions->profile_count; i++) {
		const struct profile_def *p = &c->definitions->profiles[i];
		if (profile_uses(p, authority) && p->lifetime_ms > longest)
			longest = p->lifetime_ms;
	}
	return longest;
}

void trust_start(struct control *c)
{
	c->trust_settled_ms = c->o.first_start ? 0 : control_now_ms(c) + SETTLE_MS;
}

/* The verifiers of the result are the caller's to free. */
static struct trust_hold_facts facts_of(struct authority *a, const struct trust_anchor *anchor)
{
	struct control *c = authority_control(a);
	struct trust_verifier *list;
	size_t count = verifiers_of(c, authority_name(a), anchor->sha256, &list);
	int64_t life = trust_leaf_life_ms(c, authority_name(a));
	life = anchor->life_ms > life ? anchor->life_ms : life;
	int64_t soak = c->definitions->trust_soak_ms;
	for (size_t i = 0; anchor->passed_count && i < count; i++)
		list[i].passed = trust_anchor_passed(anchor, list[i].node, list[i].identity);
	return (struct trust_hold_facts){.verifiers = list,
		.count = count,
		.shown_ms = anchor->since_ms,
		.soak_ms = soak ? soak : life,
		.leaf_life_ms = life,
		.settled_ms = c->trust_settled_ms};
}

static void free_facts(struct trust_hold_facts *f)
{
	free((struct trust_verifier *)f->verifiers);
}

static bool review_anchor(struct authority *a, struct trust_anchor *anchor, int64_t now)
{
	struct trust_hold_facts f = facts_of(a, anchor);
	bool ready = trust_hold(&f, now).ready;
	size_t count = f.count;
	free_facts(&f);
	if (!ready)
		return false;
	anchor->ready_ms = now;
	log_event(LOG_INFO, "authority.anchor_ready", LS("authority", authority_name(a)), LS("sha256", anchor->sha256),
		LS("subject", anchor->subject), LI("verifiers", count));
	return true;
}

void trust_replan_held(struct control *c)
{
	for (struct entry *e = c->entries, *next; e; e = next) {
		next = e->hh.next;
		if (e->held)
			rotation_replan(e);
	}
}

void trust_review(struct authority *a, int64_t now_ms)
{
	struct control *c = authority_control(a);
	struct trust_record *r = authority_trust(a)->record;
	bool changed = false;
	if (trust_is_paused(c, authority_name(a), NULL, NULL))
		return;
	for (size_t i = 0; i < trust_record_count(r); i++)
		if (!trust_record_at(r, i)->ready_ms)
			changed = review_anchor(a, trust_record_at(r, i), now_ms) || changed;
	if (!changed)
		return;
	trust_save(a);
	trust_replan_held(c);
}

/* Verifiers of the leaf in use are verifiers of the new one when both lead to the same anchor. */
static bool changes_anchor(struct trust_record *r, const struct version *from, const struct version *to)
{
	for (size_t i = 0; i < trust_record_count(r); i++) {
		const struct trust_anchor *anchor = trust_record_at(r, i);
		if (trust_leads_to(version_description(from), anchor) &&
			trust_leads_to(version_description(to), anchor))
			return false;
	}
	return true;
}

/* By signatures: names alone do not tell a root from the next one of the same name. */
static bool leads_to_ready(const struct trust_record *r, const struct version *v, int64_t now)
{
	AUTO(anchors_unrefp) struct anchors *ready = trust_record_ready_anchors(r);
	AUTO(credential_unrefp) struct credential *c = NULL;
	struct fault *f = ready ? version_read_credential(v, &c) : NULL;
	if (!f && c)
		f = anchors_verify(ready, credential_chain(c), 0, now);
	bool leads = !f && c;
	fault_ignore(f, "it leads to an anchor that is not ready, as far as can be told");
	return leads;
}

bool trust_must_wait(const struct entry *e, const struct version *v)
{
	struct authority *a = authority_find(e->control, version_authority(v));
	if (!a || !e->current || !version_leaf(e->current))
		return false; /* nothing else could be served meanwhile */
	const struct trust_record *r = authority_trust(a)->record;
	return changes_anchor(authority_trust(a)->record, e->current, v) &&
	       !leads_to_ready(r, v, control_now_ms(e->control));
}

/* --- who is waited for --- */

static const struct trust_anchor *anchor_of(struct authority *a, const struct version *v)
{
	struct trust_record *r = authority_trust(a)->record;
	for (size_t i = 0; i < trust_record_count(r); i++)
		if (!trust_record_at(r, i)->ready_ms &&
			(!v || trust_leads_to(version_description(v), trust_record_at(r, i))))
			return trust_record_at(r, i);
	return NULL;
}

static void name_verifier(struct buf *b, const struct trust_verifier *v, enum trust_wait wait)
{
	buf_add_text(b, "node \"");
	text_add_escaped(b, v->node, strlen(v->node));
	buf_add_text(b, "\" (");
	text_add_escaped(b, v->identity, strlen(v->identity));
	buf_add_text(b, ") has not taken ");
	text_add_escaped(b, v->bundle, strlen(v->bundle));
	buf_printf(b, ": %s", trust_wait_name(wait));
}

char *trust_waited_for(struct authority *a, const struct version *v, const char *node, size_t *ret_count)
{
	const struct trust_anchor *anchor = anchor_of(a, v);
	int64_t now = control_now_ms(authority_control(a));
	struct buf b = BUF_INIT;
	size_t named = 0;
	bool paused = trust_is_paused(authority_control(a), authority_name(a), NULL, NULL);
	*ret_count = 0;
	if (paused)
		buf_printf(&b, "trust of authority %s is paused (leafcast trust resume %s goes on)", authority_name(a),
			authority_name(a));
	if (anchor) {
		struct trust_hold_facts f = facts_of(a, anchor);
		for (size_t i = 0; i < f.count; i++) {
			enum trust_wait wait = trust_wait_of(&f, &f.verifiers[i], now);
			if (wait == TRUST_WAIT_NONE || (node && strcmp(f.verifiers[i].node, node) != 0))
				continue;
			++*ret_count;
			if (named++ >= NAMED_MAX)
				continue;
			buf_add_text(&b, named > 1 || paused ? "; " : "");
			name_verifier(&b, &f.verifiers[i], wait);
		}
		free_facts(&f);
	}
	if (*ret_count > NAMED_MAX)
		buf_printf(&b, "; and %zu more", *ret_count - NAMED_MAX);
	else if (!*ret_count && !paused)
		buf_add_text(&b, "proxies have time to come back after the restart");
	return buf_take_text(&b);
}

void trust_note_held(struct entry *e)
{
	struct control *c = e->control;
	struct authority *a = authority_find(c, version_authority(e->held));
	size_t count;
	AUTO(mem_freep) char *who = trust_waited_for(a, e->held, NULL, &count);
	audit_record(c, NULL, "trust.leaf_held", entry_key_text(e->key), version_id(e->held), NULL, who);
	log_event(LOG_WARN, "trust.leaf_held", LS("secret", entry_key_text(e->key)), LS("authority", authority_name(a)),
		LI("waiting_for", count), LS("who", who),
		LT("goes_ahead",
			trust_patience_ends_ms(version_not_after_ms(e->current), version_life_ms(e->current))));
}

void trust_note_passed_over(struct entry *e)
{
	struct control *c = e->control;
	struct authority *a = authority_find(c, version_authority(e->held));
	size_t count;
	AUTO(mem_freep) char *who = trust_waited_for(a, e->held, NULL, &count);
	if (!count)
		return; /* it waited for the time after a restart, or for an operator, alone */
	meters_passed_over(c, count);
	audit_record(c, NULL, "trust.passed_over", entry_key_text(e->key), version_id(e->held), NULL, who);
	log_event(LOG_ERROR, "trust.passed_over", LS("secret", entry_key_text(e->key)),
		LS("authority", authority_name(a)), LI("nodes", count), LS("who", who),
		LS("effect", "the leaf in use ends soon: the new one is served, and they may refuse it"));
}

void trust_each_verifier(struct authority *a, const struct trust_anchor *t,
	void (*fn)(void *arg, const struct trust_verifier *v, enum trust_wait wait), void *arg)
{
	int64_t now = control_now_ms(authority_control(a));
	struct trust_hold_facts f = facts_of(a, t);
	for (size_t i = 0; i < f.count; i++)
		fn(arg, &f.verifiers[i], trust_wait_of(&f, &f.verifiers[i], now));
	free_facts(&f);
}

struct showing {
	const struct trust_anchor *anchor;
	void (*fn)(void *arg, const struct control_verifier *v);
	void *arg;
};

static void show_verifier(void *arg, const struct trust_verifier *v, enum trust_wait wait)
{
	const struct showing *s = arg;
	const struct trust_passed *p = trust_anchor_passed(s->anchor, v->node, v->identity);
	const char *state = v->holds		      ? "holds"
			    : p			      ? "passed over"
			    : wait != TRUST_WAIT_NONE ? trust_wait_name(wait)
						      : "absent";
	const struct control_verifier view = {.node = v->node,
		.identity = v->identity,
		.bundle = v->bundle,
		.state = state,
		.since_ms = v->holds && v->acked_ms ? v->acked_ms : v->since_ms,
		.passed_by = !v->holds && p ? p->by : NULL};
	s->fn(s->arg, &view);
}

void control_each_verifier(struct control *c, const char *authority, const char *sha256,
	void (*fn)(void *arg, const struct control_verifier *v), void *arg)
{
	struct authority *a = authority_find(c, authority);
	struct trust_record *r = a ? authority_trust(a)->record : NULL;
	for (size_t i = 0; r && i < trust_record_count(r); i++)
		if (strcmp(trust_record_at(r, i)->sha256, sha256) == 0) {
			struct showing s = {trust_record_at(r, i), fn, arg};
			trust_each_verifier(a, s.anchor, show_verifier, &s);
		}
}

void control_each_waited(
	struct control *c, const char *authority, void (*fn)(void *arg, const struct control_waited *w), void *arg)
{
	struct authority *a = authority_find(c, authority);
	const struct trust_anchor *anchor = a ? anchor_of(a, NULL) : NULL;
	if (!anchor)
		return;
	int64_t now = control_now_ms(c);
	struct trust_hold_facts f = facts_of(a, anchor);
	for (size_t i = 0; i < f.count; i++) {
		const struct trust_verifier *v = &f.verifiers[i];
		enum trust_wait wait = trust_wait_of(&f, v, now);
		const struct control_waited view = {.node = v->node,
			.identity = v->identity,
			.bundle = v->bundle,
			.why = trust_wait_name(wait),
			.since_ms = v->since_ms};
		if (wait != TRUST_WAIT_NONE)
			fn(arg, &view);
	}
	free_facts(&f);
}
