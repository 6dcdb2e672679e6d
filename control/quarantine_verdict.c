/* control/quarantine_verdict.c - is it the node or the version? Told by what others made of the same version, computed
 * from what is known now. Also what there is to see, and the operator's `retry`. */
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "control/identity.h"
#include "control/quarantine.h"

const char *control_verdict_name(enum control_verdict v)
{
	static const char *const names[] = {"undecided", "node", "version"};
	return names[v];
}

int64_t quarantined_hasten_at_ms(const struct quarantined *q)
{
	return q->hastens == STORE_HASTENS && *q->held ? q->since_ms + (q->held_until_ms - q->since_ms) / 2 : 0;
}

/* An ACK of a node that refused the version proves nothing, on whatever stream: Envoy ACKs what it keeps as bad, and
 * several of its listeners may differ. */
static bool is_taken_elsewhere(const struct entry *e, const struct subscriber *s)
{
	if (s->unproven || strcmp(s->acked, version_id(e->current)) != 0)
		return false;
	return !quarantine_find(
		e->control, identity_key(s->identity), s->node ? s->node->id : "", e, version_id(e->current));
}

static struct verdict judge(const struct entry *e)
{
	struct verdict v = {VERDICT_UNDECIDED, 0, 0};
	const struct quarantined *q;
	DL_FOREACH2(e->quarantined, q, entry_next)
	v.refused++;
	for (const struct subscriber *s = v.refused ? e->subscribers : NULL; s; s = s->next)
		v.taken += is_taken_elsewhere(e, s);
	if (v.refused)
		v.what = v.taken ? VERDICT_NODE : v.refused > 1 ? VERDICT_VERSION : VERDICT_UNDECIDED;
	return v;
}

/* A whole fleet that refuses a version at once must not cost a look at every stream for each of its NACKs. */
enum { MANY_STREAMS = 1024 };

struct verdict quarantine_verdict(struct entry *e)
{
	int64_t now = control_now_ms(e->control), age = now - e->judged_at_ms;
	if (e->subscriber_count <= MANY_STREAMS || !e->judged_at_ms || age < 0 || age >= MS_PER_S) {
		e->judged = judge(e);
		e->judged_at_ms = now;
	}
	return e->judged;
}

void quarantine_tell_verdict(struct entry *e)
{
	struct verdict v = quarantine_verdict(e);
	if (v.what == e->verdict)
		return;
	e->verdict = v.what;
	if (v.what == VERDICT_UNDECIDED)
		return;
	log_event(v.what == VERDICT_VERSION ? LOG_ERROR : LOG_WARN, "quarantine.verdict",
		LS("secret", entry_key_text(e->key)), LS("version", version_id(e->current)),
		LS("verdict", control_verdict_name(v.what)), LI("refused_by_nodes", v.refused),
		LI("taken_by_streams", v.taken));
}

void control_each_quarantined(struct control *c, void (*fn)(void *arg, const struct control_quarantined *q), void *arg)
{
	for (struct entry *e = c->quarantine ? c->entries : NULL; e; e = e->hh.next) {
		const struct verdict v = quarantine_verdict(e);
		const struct quarantined *q;
		DL_FOREACH2(e->quarantined, q, entry_next)
		{
			const struct control_quarantined view = {.entry = entry_key_text(e->key),
				.name = entry_key_name(e->key),
				.identity = q->who,
				.node = q->node,
				.version = q->version,
				.message = q->message,
				.held = q->held,
				.code = q->code,
				.since_ms = q->since_ms,
				.held_until_ms = q->held_until_ms,
				.times = q->times,
				.verdict = v.what,
				.refused = v.refused,
				.taken = v.taken,
				.hastens = q->hastens == STORE_HASTENS,
				.trying = q->chance == STORE_CHANCE_GIVEN};
			fn(arg, &view);
		}
	}
}

void control_retry(struct control *c, const char *name, const char *node, const char *by, size_t *ret_count,
	control_done_fn *done, void *arg)
{
	AUTO(mem_freep) char *safe = text_escaped(name);
	AUTO(mem_freep) char *safe_node = text_escaped(node ? node : "");
	if (c->closing) {
		done(arg, fault_new(FAULT_UNAVAILABLE, "leafcast is stopping"));
		return;
	}
	*ret_count = quarantine_retry(c, name, node);
	if (!*ret_count) {
		done(arg, fault_new(FAULT_NOT_FOUND, "no version of %s is held back%s%s", safe,
				  node ? " from node " : "", safe_node));
		return;
	}
	audit_note(c, NULL, "quarantine.retry", name, NULL, by, node);
	barrier_wait(c, c->seq, done, arg);
}
