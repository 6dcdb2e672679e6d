/* sds/engine_sotw.c - reading DiscoveryRequests (state of the world): each names all that the client wants.
 *
 * A stream's requests arrive in the order in which they were sent, so the list of the latest is always the truth,
 * whatever nonce it carries: a stale nonce loses no name, it only acknowledges nothing. */
#include <string.h>
#include "sds/engine_internal.h"

/* A request answers at most one nonce, yet Envoy merges answers: while a CDS or LDS update is applied it keeps back
 * requests for secrets and then sends one, with the last nonce (grpc_mux_impl.cc, queueDiscoveryRequest). It clears
 * error_detail only when a request was sent, so one without it speaks well of all that came before. One with
 * error_detail does not say which of them was bad: those before are merely not awaited any longer. The nonce may be
 * that of a name dropped since; it is an answer all the same. */
static void take_answer(struct engine *e, const struct request *r, uint64_t number, int64_t now_ms)
{
	if (number <= e->answered || number > e->offers)
		return; /* stale, or none of ours */
	e->answered = number;
	for (struct engine_sub *s; (s = e->unanswered) && s->offer <= number;) {
		if (!r->has_error)
			engine_take_ack(e, s, now_ms);
		else if (s->offer == number)
			engine_take_nack(e, s, r);
		else
			engine_settle(e, s);
	}
}

/* Names that are left out, then names that are new; in this order, so that a stream at its limit may trade names. */
static bool take_names(struct engine *e, const struct request *r, bool *ret_changed)
{
	size_t known = 0, before = e->count;
	for (size_t i = 0; i < r->names_count; i++) {
		struct engine_sub *s = engine_find(e, r->names[i].at, r->names[i].len);
		if (s) {
			s->named_in = e->requests;
			known++;
		}
	}
	for (struct engine_sub *s = e->subs, *next; s; s = next) {
		next = s->next;
		if (s->named_in != e->requests)
			engine_remove(e, s);
	}
	*ret_changed = e->count != before || known != r->names_count;
	if (known == r->names_count)
		return true;
	for (size_t i = 0; i < r->names_count; i++)
		if (!engine_find(e, r->names[i].at, r->names[i].len) && !engine_add(e, r->names[i]))
			return false;
	return true;
}

static void resend(struct engine *e, int64_t now_ms)
{
	struct engine_sub *s;
	e->repeat_due = false;
	e->repeat_free_at_ms = now_ms + e->limits->resend_on_repeat_ms;
	DL_FOREACH (e->subs, s) {
		/* What is out reaches the client after it asked, so it answers this, too. */
		if (s->place != ENGINE_UNANSWERED)
			engine_ask(e, s);
	}
}

/* Envoy repeats its last request word for word when a second user of a known name appears, and waits for an answer that
 * the protocol does not owe (envoyproxy/envoy#47309). Clients that acknowledge twice look the same: hence the bound. */
static void take_repeat(struct engine *e, int64_t now_ms)
{
	if (e->limits->resend_on_repeat_ms <= 0)
		return;
	if (now_ms < e->repeat_free_at_ms)
		e->repeat_due = true;
	else
		resend(e, now_ms);
}

int64_t engine_wake_at_ms(const struct engine *e)
{
	return e->repeat_due ? e->repeat_free_at_ms : INT64_MAX;
}

void engine_wake(struct engine *e, int64_t now_ms)
{
	if (e->repeat_due && now_ms >= e->repeat_free_at_ms)
		resend(e, now_ms);
}

struct engine_close engine_sotw_request(struct engine *e, const struct request *r, int64_t now_ms)
{
	bool changed;
	/* 0 on a first request: no nonce, and an error_detail there is about an earlier stream. */
	uint64_t number = engine_nonce_number(e, r->nonce);
	bool repeats = e->begun && !r->has_error && (r->nonce.len == 0 || (number && number == e->answered));
	take_answer(e, r, number, now_ms);
	if (!take_names(e, r, &changed))
		return engine_refuse(e);
	/* version_info is one for all names of a stream: it tells what is held only where there is one. */
	if (!e->begun && e->fresh && e->count == 1)
		engine_claim(e->fresh, r->version_info);
	engine_announce(e);
	if (repeats && !changed)
		take_repeat(e, now_ms);
	return (struct engine_close){0, NULL};
}
