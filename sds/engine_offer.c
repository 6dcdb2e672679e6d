/* sds/engine_offer.c - what is sent on a stream and what the client answers: nonces, the window, versions that were
 * sent, ACKed and NACKed. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/mem.h"
#include "sds/engine_internal.h"

static void put_out(struct engine *e, struct engine_sub *s, int64_t now_ms, char *ret_nonce)
{
	invariant(s->place != ENGINE_UNANSWERED && e->unanswered_count < ENGINE_WINDOW);
	engine_leave_line(e, s);
	engine_set_owed(e, s, false);
	s->asked = false;
	s->offer = ++e->offers;
	s->offered_at_ms = now_ms;
	int n = snprintf(ret_nonce, ENGINE_NONCE_MAX, "%s-%" PRIu64, e->prefix, s->offer);
	invariant(n > 0 && n < ENGINE_NONCE_MAX);
	if (e->half_closed)
		return;
	s->place = ENGINE_UNANSWERED;
	DL_APPEND2(e->unanswered, s, line_prev, line_next);
	e->unanswered_count++;
}

static void copy_version(char *to, const char *version)
{
	size_t len = strlen(version);
	invariant(len && len <= ENGINE_VERSION_LEN);
	memcpy(to, version, len + 1);
}

bool engine_sub_has_nacked(const struct engine_sub *s, const char *version)
{
	size_t kept = s->nacks < ENGINE_NACKED_MAX ? s->nacks : ENGINE_NACKED_MAX;
	for (size_t i = 0; i < kept; i++)
		if (!strcmp(s->nacked[i], version))
			return true;
	return false;
}

bool engine_wants(struct engine *e, struct engine_sub *s, const char *version)
{
	if (!engine_sub_has_nacked(s, version) && (s->asked || strcmp(s->sent, version) != 0))
		return true;
	engine_held(e, s);
	return false;
}

void engine_offered(struct engine *e, struct engine_sub *s, const char *version, int64_t now_ms, char *ret_nonce)
{
	put_out(e, s, now_ms, ret_nonce);
	copy_version(s->sent, version);
	s->gone = s->is_removal = false;
}

bool engine_absent(struct engine *e, struct engine_sub *s, int64_t now_ms, char *ret_nonce)
{
	/* Whatever comes under this name later is sent, even if it is what the client had before. */
	s->sent[0] = 0;
	if (e->mode == ENGINE_SOTW || (s->gone && !s->asked)) {
		s->asked = false;
		engine_held(e, s);
		return false;
	}
	/* An on-demand user drops what it held, so nothing counts as held from here on. */
	s->acked[0] = s->claimed[0] = 0;
	put_out(e, s, now_ms, ret_nonce);
	s->gone = s->is_removal = true;
	/* Envoy does not answer for a type that it has no watch of, and then it sends an empty subscription. */
	if (engine_sub_is_wildcard(s))
		engine_leave_line(e, s);
	return true;
}

void engine_pending(struct engine *e, struct engine_sub *s)
{
	invariant(s->place != ENGINE_UNANSWERED);
	engine_leave_line(e, s);
}

void engine_held(struct engine *e, struct engine_sub *s)
{
	engine_pending(e, s);
	engine_set_owed(e, s, false);
}

/* -- answers -- */

uint64_t engine_nonce_number(const struct engine *e, struct view nonce)
{
	size_t prefix = strlen(e->prefix);
	if (nonce.len < prefix + 2 || nonce.len > prefix + 1 + 18 || memcmp(nonce.at, e->prefix, prefix) != 0 ||
		nonce.at[prefix] != '-' || nonce.at[prefix + 1] == '0')
		return 0;
	uint64_t number = 0;
	for (size_t i = prefix + 1; i < nonce.len; i++) {
		if (nonce.at[i] < '0' || nonce.at[i] > '9')
			return 0;
		number = number * 10 + (uint64_t)(nonce.at[i] - '0');
	}
	return number;
}

void engine_settle(struct engine *e, struct engine_sub *s)
{
	engine_leave_line(e, s);
	if (s->dirty || s->asked)
		engine_make_ready(e, s);
}

void engine_take_ack(struct engine *e, struct engine_sub *s, int64_t now_ms)
{
	if (!s->is_removal) {
		copy_version(s->acked, s->sent);
		e->events->acked(e->events->arg, s, s->acked, now_ms - s->offered_at_ms);
	}
	engine_settle(e, s);
}

void engine_take_nack(struct engine *e, struct engine_sub *s, const struct request *r)
{
	/* Envoy to 1.29 NACKs removals: there is nothing to learn from that. */
	if (!s->is_removal) {
		if (!s->nacked)
			s->nacked = mem_calloc(ENGINE_NACKED_MAX, sizeof *s->nacked);
		copy_version(s->nacked[s->nacks % ENGINE_NACKED_MAX], s->sent);
		s->nacks++;
		e->events->nacked(e->events->arg, s, s->sent, r->error_code, r->error_text.at ? r->error_text.at : "",
			r->error_text.len);
		/* It comes up: the version before is worth an offer, for it heals what Envoy keeps of the bad one
		 * (engine_wants() sees that this one was NACKed). */
		s->dirty = true;
	}
	engine_settle(e, s);
}

void engine_forgive(struct engine *e, struct engine_sub *s, const char *version)
{
	if (!*version || !engine_sub_has_nacked(s, version))
		return;
	for (size_t i = 0; i < ENGINE_NACKED_MAX; i++)
		if (!strcmp(s->nacked[i], version))
			s->nacked[i][0] = 0;
	if (s->place != ENGINE_UNANSWERED && !strcmp(s->sent, version))
		s->sent[0] = 0; /* it counts as not sent */
	engine_mark(e, s);
}

void engine_half_close(struct engine *e)
{
	e->half_closed = true;
	while (e->unanswered) {
		struct engine_sub *s = e->unanswered;
		engine_leave_line(e, s);
		if (s->owed)
			engine_make_ready(e, s);
	}
	for (struct engine_sub *s = e->ready, *next; s; s = next) {
		next = s->line_next;
		if (!s->owed)
			engine_leave_line(e, s);
	}
}

bool engine_is_done(const struct engine *e)
{
	return e->half_closed && e->owed == 0;
}

int64_t engine_oldest_offer_ms(const struct engine *e)
{
	return e->unanswered ? e->unanswered->offered_at_ms : INT64_MAX;
}

struct engine_sub *engine_refresh(struct engine *e)
{
	struct engine_sub *s = e->next_refreshed ? e->next_refreshed : e->subs;
	if (!s || e->half_closed)
		return NULL;
	e->next_refreshed = s->next;
	if (s->place != ENGINE_UNANSWERED)
		engine_ask(e, s);
	return s;
}

size_t engine_reoffer(struct engine *e, int64_t made_before_ms)
{
	size_t n = 0;
	for (struct engine_sub *s; (s = e->unanswered) && s->offered_at_ms < made_before_ms; n++) {
		s->asked = true;
		engine_settle(e, s);
	}
	return n;
}
