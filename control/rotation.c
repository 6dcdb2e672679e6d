/* control/rotation.c - the executor of issued entries: asks the planner, does one step, asks again. One issuance per
 * entry at a time; failures back off by the life that is left. */
#include "base/buf.h"
#include "base/clock.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/internal.h"
#include "control/rotation_plan.h"
#include "control/template.h"

/* Longest sleep: wall time can be set while we wait. */
#define LONGEST_WAIT_MS (INT64_C(6) * MS_PER_HOUR)
/* How long an authority may take for an answer, and what of it must remain for the next one. */
#define ISSUE_TIMEOUT_MS (INT64_C(30) * MS_PER_S)
#define ISSUE_TIMEOUT_SPARE_MS (INT64_C(10) * MS_PER_S)
#define ISSUE_TIMEOUT_LEAST_MS (INT64_C(2) * MS_PER_S)

static const struct profile_def *profile_of(const struct entry *e)
{
	return e->def && e->def->kind == SECRET_TLS_CERTIFICATE
		       ? definitions_profile(e->control->definitions, e->def->profile)
		       : NULL;
}

static bool is_exact(const struct entry *e)
{
	return entry_key_attribute_count(e->key) == 0 || e->def->internal;
}

bool rotation_is_kept_fresh(const struct entry *e, int64_t now_ms)
{
	if (is_exact(e) || e->subscribers)
		return true;
	int64_t life = e->current ? version_life_ms(e->current) : MS_PER_HOUR;
	return e->wanted_at_ms && now_ms - e->wanted_at_ms < 2 * life;
}

static struct rotation_plan plan_of(const struct entry *e, int64_t now)
{
	const struct profile_def *p = profile_of(e);
	struct rotation_facts facts = {.renew_from_percent = p->renew_from_percent,
		.renew_to_percent = p->renew_to_percent,
		.renew_before_from_ms = p->renew_before_from_ms,
		.renew_before_to_ms = p->renew_before_to_ms,
		.keep_fresh = rotation_is_kept_fresh(e, now),
		.pinned = e->pinned,
		.ordered = e->ordered || (e->outdated && !e->pinned) || entry_is_revoked(e),
		.hasten_at_ms = e->hasten_at_ms,
		.moved_ms = e->moved_ms,
		.moved_over_ms = e->control->o.moving_ms,
		.retry_at_ms = e->retry_at_ms};
	campaign_facts(e, &facts.campaign_ms, &facts.campaign_over_ms);
	if (e->current) {
		facts.version_id = version_id(e->current);
		facts.not_before_ms = version_not_before_ms(e->current);
		facts.not_after_ms = version_not_after_ms(e->current);
		facts.received_at_ms = version_received_at_ms(e->current);
		facts.aged_ms = control_mono_ms(e->control) - e->received_mono_ms;
		facts.asleep_ms = e->control->asleep_ms;
		facts.woke_ms = e->control->woke_ms;
		facts.woke_over_ms = e->control->o.waking_ms;
		facts.hint_from_ms = e->hint.from_ms;
		facts.hint_to_ms = e->hint.to_ms;
	}
	return rotation_plan(&facts, now);
}

int64_t rotation_renew_at_ms(const struct entry *e)
{
	if (!profile_of(e))
		return 0;
	struct rotation_plan p = plan_of(e, control_now_ms(e->control));
	return p.action == ROTATION_IDLE ? 0 : p.at_ms;
}

struct fault *rotation_sans_of(
	const struct definitions *d, const struct secret_def *def, const struct entry_key *key, struct san_set *ret)
{
	for (int type = SAN_DNS; type <= SAN_EMAIL; type++) {
		const struct template_list *list = definitions_sans(d, def, (enum san_type)type);
		for (size_t i = 0; i < list->count; i++) {
			AUTO(mem_freep) char *value = NULL;
			TRY(template_expand(list->items[i], key, &value));
			TRY(san_set_add(ret, (enum san_type)type, value));
		}
	}
	return ret->count ? NULL
			  : fault_new(FAULT_INVALID, "%s: the profile and the secret name no SAN", entry_key_text(key));
}

struct fault *rotation_sans(const struct entry *e, struct san_set *ret)
{
	return rotation_sans_of(e->control->definitions, e->def, e->key, ret);
}

void rotation_compare(struct entry *e)
{
	const struct profile_def *p = profile_of(e);
	const struct cert_info *info = p && e->current ? version_leaf(e->current) : NULL;
	bool outdated = false, moved = false;
	if (info) {
		struct san_set sans = {NULL, 0};
		struct fault *f = rotation_sans(e, &sans);
		const char *authority = version_authority(e->current);
		bool same = !f && san_set_equal(&sans, &info->sans) && strcmp(info->key, key_type_name(p->key)) == 0;
		bool ours = authority && profile_uses(p, authority);
		/* Verifiers trust one that is in the config still: there is no hurry. */
		moved = same && !ours && authority && definitions_authority(e->control->definitions, authority);
		outdated = !same || (!ours && !moved);
		fault_free(f);
		san_set_free(&sans);
	}
	e->outdated = outdated;
	if (!moved)
		e->moved_ms = 0;
	else if (!e->moved_ms)
		e->moved_ms = control_now_ms(e->control);
}

static void tell_waiters(struct entry *e, struct fault *f)
{
	struct waiter *list = e->waiters;
	e->waiters = NULL;
	while (list) {
		struct waiter *w = list;
		list = w->next;
		w->done(w->arg, f ? fault_new(fault_code(f), "%s", fault_text(f)) : NULL);
		free(w);
	}
}

static void failed(struct entry *e, struct fault *f)
{
	int64_t now = control_now_ms(e->control);
	e->tried = 0;
	e->starved = fault_code(f) == FAULT_UNAVAILABLE || fault_code(f) == FAULT_TIMEOUT;
	int64_t left = e->current ? version_not_after_ms(e->current) - now : MS_PER_HOUR;
	e->backoff.cap_ms = rotation_retry_cap_ms(left > 0 ? left : 0);
	size_t len;
	const void *key = entry_key_bytes(e->key, &len);
	int64_t wait = backoff_asked_ms(&e->backoff, fault_retry_after_ms(f), table_hash(key, len) ^ (uint64_t)now);
	e->retry_at_ms = now + wait;
	entry_set_error(e, f);
	hooks_note(e, HOOK_FAILED);
	log_event(!e->current || left < version_life_ms(e->current) / 5 ? LOG_ERROR : LOG_WARN, "rotation.failed",
		LS("secret", entry_key_text(e->key)), LI("retry_in_ms", wait),
		LI("life_left_ms", e->current ? left : 0), LF(f));
	e->ordered = false; /* an order is answered once, with this failure; the plan goes on */
	tell_waiters(e, f);
	fault_free(f);
	rotation_replan(e);
	start_check_ready(e->control);
}

static void on_published(void *arg, struct fault *f)
{
	struct entry *e = arg;
	if (f) {
		failed(e, f);
		return;
	}
	tell_waiters(e, NULL);
}

static void on_leaf(void *arg, struct fault *f, struct credential *c, const struct ca_hint *hint);

/* --- whom to ask --- */

static void begin(struct entry *e);

/* The first of the profile that is usable and has not failed in this round. */
static struct authority *choose(const struct entry *e)
{
	const struct profile_def *p = profile_of(e);
	for (size_t i = 0; i < p->authority_count; i++) {
		struct authority *a = authority_find(e->control, p->authorities[i]);
		if (a && !(e->tried & UINT64_C(1) << i) && authority_is_usable(a))
			return a;
	}
	return NULL;
}

/* An operator may know that one answers again. */
static void hasten(const struct entry *e)
{
	const struct profile_def *p = profile_of(e);
	for (size_t i = 0; i < p->authority_count; i++) {
		struct authority *a = authority_find(e->control, p->authorities[i]);
		if (a && !(e->tried & UINT64_C(1) << i))
			authority_hasten(a);
	}
}

static struct fault *nobody(const struct entry *e)
{
	const struct profile_def *p = profile_of(e);
	struct buf why = BUF_INIT;
	for (size_t i = 0; i < p->authority_count; i++) {
		struct authority *a = authority_find(e->control, p->authorities[i]);
		AUTO(mem_freep) char *text = a ? authority_why_unusable(a) : NULL;
		buf_printf(&why, "%s%s", i ? "; " : "", text ? text : "");
	}
	struct fault *f = fault_set_retryable(
		fault_new(FAULT_UNAVAILABLE, "no authority of profile %s can be asked: %s", p->name, buf_text(&why)),
		-1);
	buf_free(&why);
	return f;
}

static bool is_urgent(const struct entry *e)
{
	return !e->current || control_now_ms(e->control) >= trust_patience_ends_ms(version_not_after_ms(e->current),
								    version_life_ms(e->current));
}

/* One failure of an authority that may mend is no reason to turn to the next one, unless there is no time; the breaker
 * says when it is. What the same request would meet again is. */
static bool try_next(struct entry *e, struct fault *f)
{
	const struct profile_def *p = profile_of(e);
	for (size_t i = 0; i < p->authority_count; i++)
		if (strcmp(p->authorities[i], authority_name(e->via)) == 0)
			e->tried |= UINT64_C(1) << i;
	if ((fault_is_retryable(f) && authority_is_usable(e->via) && !is_urgent(e)) || !choose(e))
		return false;
	log_event(LOG_WARN, "rotation.next_authority", LS("secret", entry_key_text(e->key)),
		LS("after", authority_name(e->via)), LF(f));
	fault_free(f);
	begin(e);
	return true;
}

/* A silent authority must leave time for another try, and for another authority where there is one. */
static int64_t issue_timeout_ms(const struct entry *e)
{
	bool spare = profile_of(e)->authority_count > 1;
	if (!e->current)
		return spare ? ISSUE_TIMEOUT_SPARE_MS : ISSUE_TIMEOUT_MS;
	int64_t wait = (version_not_after_ms(e->current) - control_now_ms(e->control)) / (spare ? 5 : 2);
	return wait < ISSUE_TIMEOUT_LEAST_MS ? ISSUE_TIMEOUT_LEAST_MS
	       : wait > ISSUE_TIMEOUT_MS     ? ISSUE_TIMEOUT_MS
					     : wait;
}

static void begin(struct entry *e)
{
	const struct profile_def *p = profile_of(e);
	struct san_set sans = {NULL, 0};
	AUTO(credential_unrefp) struct credential *current = NULL;
	e->via = choose(e);
	if (!e->via && e->ordered) {
		hasten(e);
		e->via = choose(e);
	}
	struct fault *f = e->via ? rotation_sans(e, &sans) : nobody(e);
	if (f) {
		san_set_free(&sans);
		failed(e, f);
		return;
	}
	if (clock_holds(e, e->via, p->lifetime_ms)) {
		san_set_free(&sans);
		return;
	}
	struct issuance_spec spec = {.key_type = p->key,
		.sans = &sans,
		.lifetime_ms = p->lifetime_ms,
		.timeout_ms = issue_timeout_ms(e),
		.ends_ms = e->current ? version_not_after_ms(e->current) : 0,
		.waiters = e->subscriber_count};
	/* A lifetime that was shortened in the config may end before what is served; one that was not may not. */
	if (e->current && control_now_ms(e->control) + p->lifetime_ms > version_not_after_ms(e->current))
		spec.served_not_after_ms = version_not_after_ms(e->current);
	if (e->current && version_authority(e->current) &&
		strcmp(version_authority(e->current), authority_name(e->via)) == 0)
		fault_ignore(version_read_credential(e->current, &current), "an authority can do without it");
	spec.current = current;
	e->issuance = issuance_start(e->control, e->via, &spec, on_leaf, e);
	san_set_free(&sans);
}

void rotation_wake(struct control *c, const struct authority *a)
{
	for (struct entry *e = c->entries, *next; e; e = next) {
		next = e->hh.next;
		const struct profile_def *p = profile_of(e);
		if (!p || !e->starved || !profile_uses(p, authority_name(a)))
			continue;
		e->starved = false;
		e->retry_at_ms = 0;
		rotation_replan(e);
	}
}

static void drop_held(struct entry *e)
{
	version_unref(e->held);
	e->held = NULL;
}

static void on_leaf(void *arg, struct fault *f, struct credential *c, const struct ca_hint *hint)
{
	struct entry *e = arg;
	const struct profile_def *p = profile_of(e);
	struct version *v = NULL;
	e->issuance = NULL;
	if (!f) {
		const struct version_origin origin = {authority_name(e->via), p->name, control_now_ms(e->control)};
		f = version_new_certificate(e->key, c, &origin, &v);
	}
	credential_unref(c);
	meters_issued(e->control, authority_name(e->via), f);
	if (!f)
		rejected_forget(e, authority_name(e->via));
	else if (fault_code(f) == FAULT_CORRUPT)
		rejected_note(e, authority_name(e->via), f);
	if (f) {
		if (!try_next(e, f))
			failed(e, f);
		return;
	}
	if (clock_holds(e, e->via, p->lifetime_ms)) { /* it was set while this one was being made */
		version_unref(v);
		return;
	}
	e->ordered = e->starved = false;
	e->tried = 0;
	e->retry_at_ms = 0;
	backoff_reset(&e->backoff);
	entry_set_error(e, NULL);
	drop_held(e);
	hint_note(e, v, hint);
	if (!trust_must_wait(e, v)) {
		publish_version(e, v, "secret.issued", NULL, on_published, e);
		return;
	}
	e->held = v;
	e->held_since_ms = control_now_ms(e->control);
	trust_note_held(e);
	rotation_replan(e);
}

/* --- a leaf that waits for its anchor (trust_switch.c) --- */

/* An order is not kept waiting for proxies. */
static void answer_held(struct entry *e)
{
	size_t count;
	struct authority *a = authority_find(e->control, version_authority(e->held));
	AUTO(mem_freep) char *who = trust_waited_for(a, e->held, NULL, &count);
	AUTO(fault_freep)
	struct fault *f = fault_new(FAULT_CONFLICT,
		"%s: the new certificate is under an anchor that not every verifier holds yet; it is served when they "
		"do: %s",
		entry_key_text(e->key), who);
	e->ordered = false;
	tell_waiters(e, f);
}

/* True: it goes on waiting. Otherwise it is on its way, or it was dropped: it has become old, its anchor was removed,
 * or an operator wants an earlier one. */
static bool wait_on(struct entry *e, int64_t now)
{
	int64_t patience = trust_patience_ends_ms(version_not_after_ms(e->current), version_life_ms(e->current));
	bool must = trust_must_wait(e, e->held);
	if (e->pinned || trust_is_banned(e, e->held) ||
		now >= trust_patience_ends_ms(version_not_after_ms(e->held), version_life_ms(e->held))) {
		drop_held(e);
		return false;
	}
	if (must && now < patience) {
		if (e->waiters)
			answer_held(e);
		timer_start(e->timer, patience - now > LONGEST_WAIT_MS ? LONGEST_WAIT_MS : patience - now);
		return true;
	}
	if (must)
		trust_note_passed_over(e);
	publish_version(e, TAKE(e->held), "secret.issued", NULL, on_published, e);
	return true;
}

static void on_timer(void *arg)
{
	rotation_replan(arg);
}

void rotation_replan(struct entry *e)
{
	struct control *c = e->control;
	if (!profile_of(e) || e->issuance || e->committing || c->closing || !c->started)
		return;
	int64_t now = control_now_ms(c);
	struct rotation_plan p = plan_of(e, now);
	if (!e->timer)
		e->timer = timer_new(c->o.loop, on_timer, e);
	timer_stop(e->timer);
	if (e->held && wait_on(e, now))
		return;
	switch (p.action) {
	case ROTATION_IDLE:
		break;
	case ROTATION_WAIT: {
		int64_t wait = p.at_ms - now;
		timer_start(e->timer, wait > LONGEST_WAIT_MS ? LONGEST_WAIT_MS : wait);
		break;
	}
	case ROTATION_ISSUE:
		begin(e);
		break;
	}
}

void rotation_replan_all(struct control *c)
{
	for (struct entry *e = c->entries, *next; e; e = next) {
		next = e->hh.next;
		rotation_replan(e);
	}
}

void rotation_stop(struct entry *e)
{
	if (e->issuance) {
		issuance_cancel(e->issuance);
		e->issuance = NULL;
	}
	drop_held(e);
	if (e->timer)
		timer_stop(e->timer);
}

void rotation_close(struct entry *e)
{
	rotation_stop(e);
	AUTO(fault_freep) struct fault *f = fault_new(FAULT_UNAVAILABLE, "leafcast is stopping");
	tell_waiters(e, f);
}

void rotation_end_orders(struct entry *e)
{
	e->ordered = false;
	AUTO(fault_freep)
	struct fault *f =
		fault_new(FAULT_CONFLICT, "%s was taken out of the config by a reload", entry_key_text(e->key));
	tell_waiters(e, f);
}

void rotation_order(struct entry *e, control_done_fn *done, void *arg)
{
	struct waiter *w = mem_new(struct waiter);
	w->done = done;
	w->arg = arg;
	LL_APPEND(e->waiters, w);
	e->ordered = true;
	e->retry_at_ms = 0;
	if (e->held)
		timer_start(e->timer, 0); /* it is answered that one waits: not before this call has returned */
	else
		rotation_replan(e);
}
