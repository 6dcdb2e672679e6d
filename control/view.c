/* control/view.c - what there is to see of the control loop's state, as plain values. */
#include "base/anchors.h"
#include "base/buf.h"
#include "base/mem.h"
#include "control/identity.h"
#include "control/internal.h"

static size_t count_acked(const struct entry *e)
{
	size_t n = 0;
	if (!e->current)
		return 0;
	for (const struct subscriber *s = e->subscribers; s; s = s->next)
		n += !s->unproven && strcmp(s->acked, version_id(e->current)) == 0;
	return n;
}

static size_t count_held_back(const struct entry *e)
{
	size_t n = 0;
	const struct quarantined *q;
	DL_FOREACH2(e->quarantined, q, entry_next)
	n++;
	return n;
}

static char *source_of(const struct entry *e)
{
	if (!e->def)
		return mem_strdup(e->current ? "put" : "");
	if (e->def->kind == SECRET_VALIDATION_CONTEXT) {
		struct buf b = BUF_INIT;
		buf_add_text(&b, "bundle");
		for (size_t i = 0; i < e->def->authority_count; i++)
			buf_printf(&b, "%s%s", i ? "," : " ", e->def->authorities[i]);
		return buf_take_text(&b);
	}
	const struct profile_def *p = definitions_profile(e->control->definitions, e->def->profile);
	const char *from = e->current ? version_authority(e->current) : NULL;
	return mem_printf("%s (%s)", p->name, from ? from : p->authorities[0]);
}

static char *held_for_of(const struct entry *e)
{
	struct authority *a = e->held ? authority_find(e->control, version_authority(e->held)) : NULL;
	size_t count;
	return a ? trust_waited_for(a, e->held, NULL, &count) : NULL;
}

static size_t find_askers(const struct entry *e, struct control_asker *ret)
{
	size_t n = 0;
	for (const struct subscriber *s = e->subscribers; s && n < CONTROL_ASKERS_MAX; s = s->next)
		ret[n++] = (struct control_asker){.identity = identity_text(s->identity),
			.node = s->node ? s->node->id : "",
			.since_ms = s->since_ms,
			.delta = s->delta};
	return n;
}

void control_each_secret(struct control *c, void (*fn)(void *arg, const struct control_secret *s), void *arg)
{
	for (struct entry *e = c->entries; e; e = e->hh.next) {
		struct control_asker askers[CONTROL_ASKERS_MAX];
		AUTO(mem_freep) char *source = source_of(e);
		AUTO(mem_freep) char *held_for = held_for_of(e);
		const struct control_secret s = {.name = entry_key_name(e->key),
			.entry = entry_key_text(e->key),
			.source = source,
			.kind = e->current || e->def ? e->kind : 0,
			.version = e->current,
			.renew_at_ms = rotation_renew_at_ms(e),
			.last_error = e->last_error,
			.last_error_at_ms = e->last_error_at_ms,
			.issuing = e->issuance != NULL,
			.memory_only = e->memory_only,
			.rejected = e->rejected.text,
			.rejected_authority = e->rejected.authority,
			.rejected_at_ms = e->rejected.at_ms,
			.held_since_ms = e->held ? e->held_since_ms : 0,
			.held_for = held_for,
			.subscribers = e->subscriber_count,
			.acked = count_acked(e),
			.held_back = count_held_back(e),
			.last_ack_at_ms = e->last_ack_at_ms,
			.last_nack_at_ms = e->last_nack_at_ms,
			.last_nack = e->last_nack,
			.wanted_at_ms = e->wanted_at_ms,
			.askers = askers,
			.asker_count = find_askers(e, askers)};
		fn(arg, &s);
	}
}

void control_each_subscriber(
	struct control *c, const char *entry, void (*fn)(void *arg, const struct control_subscriber *s), void *arg)
{
	struct entry *e = entry_find_text(c, entry);
	for (const struct subscriber *s = e ? e->subscribers : NULL; s; s = s->next) {
		const struct control_subscriber view = {.identity = identity_text(s->identity),
			.node = s->node ? s->node->id : "",
			.acked_version = s->acked,
			.nacked_version = s->nacked,
			.nack_text = s->nack_text ? s->nack_text : "",
			.since_ms = s->since_ms,
			.acked_at_ms = s->acked_at_ms,
			.nacked_at_ms = s->nacked_at_ms,
			.delta = s->delta,
			.unproven = s->unproven};
		fn(arg, &view);
	}
}

void control_each_denial(struct control *c, void (*fn)(void *arg, const struct control_denial *d), void *arg)
{
	for (const struct denial *d = c->denials; d; d = d->hh.next) {
		const struct control_denial view = {.identity = d->identity,
			.name = d->name,
			.node = d->node,
			.hint = d->hint,
			.first_at_ms = d->first_at_ms,
			.last_at_ms = d->last_at_ms,
			.count = d->count};
		fn(arg, &view);
	}
}

void control_each_authority(struct control *c, void (*fn)(void *arg, const struct control_authority *a), void *arg)
{
	for (struct authority *a = c->authorities; a; a = authority_next(a)) {
		const struct anchors *anchors = authority_anchors(a);
		int64_t failure_ms;
		const char *failure = authority_last_failure(a, &failure_ms);
		const struct control_authority view = {.name = authority_name(a),
			.type = authority_type(a),
			.error = authority_error(a),
			.root_sha256 = anchors ? anchors_info(anchors, 0)->sha256 : NULL,
			.breaker = breaker_state_name(authority_breaker(a)),
			.last_failure = failure,
			.last_failure_ms = failure_ms,
			.login_ends_ms = ca_login_ends_at_ms(authority_ca(a)),
			.ready = authority_is_ready(a),
			.issuing = authority_running(a),
			.waiting = authority_waiting(a)};
		fn(arg, &view);
	}
}

void control_add_troubles(const struct control *c, struct buf *ret)
{
	if (c->memory_only)
		buf_printf(ret, "; versions served from memory alone, because the store cannot be written: %zu",
			c->memory_only);
	if (audit_late_count(c))
		buf_printf(ret, "; audit records that wait for the store: %zu", audit_late_count(c));
	if (c->clock_said_ms)
		buf_add_text(ret, "; the clock is doubted, and nothing is issued until it agrees");
}

size_t control_memory_only(const struct control *c)
{
	return c->memory_only;
}
