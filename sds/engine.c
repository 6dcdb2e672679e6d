/* sds/engine.c - the subscriptions of one stream, the lines in which they wait, offers and their answers.
 * A subscription is idle, ready (wants an answer) or unanswered (an offer is out); a change that comes while it is
 * unanswered is one flag. Reading requests is engine_sotw.c's and engine_delta.c's. */
#include "sds/engine.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "base/text.h"
#include "sds/engine_internal.h"

#define STATUS_RESOURCE_EXHAUSTED 8 /* grpc_status_code; this file knows no gRPC */

struct engine *engine_new(enum engine_mode mode, const struct engine_limits *limits, const struct engine_events *events,
	const char *nonce_prefix)
{
	size_t len = strlen(nonce_prefix);
	invariant(len <= ENGINE_PREFIX_MAX);
	struct engine *e = mem_new(struct engine);
	e->mode = mode;
	e->limits = limits;
	e->events = events;
	e->repeat_free_at_ms = INT64_MIN;
	memcpy(e->prefix, nonce_prefix, len);
	return e;
}

enum engine_mode engine_mode(const struct engine *e)
{
	return e->mode;
}

struct engine_close engine_request(struct engine *e, const struct request *r, int64_t now_ms)
{
	invariant(!e->half_closed);
	e->requests++;
	struct engine_close close =
		e->mode == ENGINE_SOTW ? engine_sotw_request(e, r, now_ms) : engine_delta_request(e, r, now_ms);
	e->begun = true;
	return close;
}

/* -- lines -- */

static void leave_line(struct engine *e, struct engine_sub *s)
{
	if (s->place == ENGINE_READY) {
		DL_DELETE2(e->ready, s, line_prev, line_next);
	} else if (s->place == ENGINE_UNANSWERED) {
		DL_DELETE2(e->unanswered, s, line_prev, line_next);
		e->unanswered_count--;
	}
	s->place = ENGINE_IDLE;
}

static void make_ready(struct engine *e, struct engine_sub *s)
{
	invariant(s->place == ENGINE_IDLE);
	/* Nobody can acknowledge on a half-closed stream: there, one answer to each name is all. */
	if (e->half_closed && !s->owed)
		return;
	s->dirty = false;
	s->place = ENGINE_READY;
	DL_APPEND2(e->ready, s, line_prev, line_next);
}

void engine_mark(struct engine *e, struct engine_sub *s)
{
	if (s->place == ENGINE_UNANSWERED)
		s->dirty = true;
	else if (s->place == ENGINE_IDLE)
		make_ready(e, s);
}

struct engine_sub *engine_next(struct engine *e)
{
	return e->unanswered_count < ENGINE_WINDOW ? e->ready : NULL;
}

static void set_owed(struct engine *e, struct engine_sub *s, bool owed)
{
	if (s->owed == owed)
		return;
	s->owed = owed;
	if (owed)
		e->owed++;
	else
		e->owed--;
}

/* -- subscriptions -- */

struct engine_sub *engine_find(struct engine *e, const char *name, size_t len)
{
	struct engine_sub *s = NULL;
	if (e->table) {
		HASH_FIND(hh, e->table, name, len, s);
		return s;
	}
	DL_FOREACH (e->subs, s) {
		if (s->name_len == len && !memcmp(s->name, name, len))
			return s;
	}
	return NULL;
}

static void add_to_table(struct engine *e, struct engine_sub *s)
{
	HASH_ADD_KEYPTR(hh, e->table, s->name, s->name_len, s);
}

static void index_name(struct engine *e, struct engine_sub *s)
{
	struct engine_sub *other;
	if (e->table) {
		add_to_table(e, s);
	} else if (e->count > ENGINE_LIST_MAX) {
		DL_FOREACH (e->subs, other) {
			add_to_table(e, other);
		}
	}
}

static bool is_wildcard(const struct engine_sub *s)
{
	return s->name_len == 1 && s->name[0] == '*';
}

bool engine_add(struct engine *e, struct view name)
{
	size_t bytes_max = e->limits->name_bytes ? e->limits->name_bytes : ENGINE_NAME_BYTES;
	if (e->count >= e->limits->names || name.len > bytes_max - e->name_bytes)
		return false;
	struct engine_sub *s = mem_calloc(1, sizeof *s + name.len + 1);
	s->engine = e;
	s->named_in = e->requests;
	s->name_len = name.len;
	if (name.len)
		memcpy(s->name, name.at, name.len);
	/* "*" is the wildcard of the protocol (and delta's empty first request): no secret has that name. */
	s->possible = text_is_name(s->name, s->name_len) && !is_wildcard(s);
	DL_APPEND(e->subs, s);
	e->count++;
	e->name_bytes += name.len;
	index_name(e, s);
	if (!e->fresh)
		e->fresh = s;
	engine_ask(e, s);
	return true;
}

void engine_ask(struct engine *e, struct engine_sub *s)
{
	s->asked = true;
	set_owed(e, s, true);
	engine_mark(e, s);
}

static void drop(struct engine *e, struct engine_sub *s)
{
	leave_line(e, s);
	set_owed(e, s, false);
	if (e->table)
		HASH_DELETE(hh, e->table, s); /* the last one frees the table */
	DL_DELETE(e->subs, s);
	e->count--;
	e->name_bytes -= s->name_len;
	free(s->nacked);
	free(s);
}

void engine_remove(struct engine *e, struct engine_sub *s)
{
	e->events->unsubscribed(e->events->arg, s);
	drop(e, s);
}

void engine_announce(struct engine *e)
{
	struct engine_sub *s = e->fresh;
	e->fresh = NULL;
	for (; s; s = s->next)
		e->events->subscribed(e->events->arg, s);
}

struct engine_close engine_refuse(struct engine *e)
{
	const char *text = e->count >= e->limits->names ? "more names on one stream than this server permits"
							: "more bytes of names on one stream than this server permits";
	for (struct engine_sub *s = e->fresh, *next; s; s = next) {
		next = s->next;
		drop(e, s);
	}
	e->fresh = NULL;
	return (struct engine_close){STATUS_RESOURCE_EXHAUSTED, text};
}

void engine_claim(struct engine_sub *s, struct view version)
{
	if (version.len == 0 || version.len > ENGINE_VERSION_LEN || memchr(version.at, 0, version.len))
		return;
	memcpy(s->claimed, version.at, version.len);
	s->claimed[version.len] = 0;
}

void engine_free(struct engine *e)
{
	if (!e)
		return;
	while (e->subs)
		engine_remove(e, e->subs);
	free(e);
}

/* -- offers -- */

static void put_out(struct engine *e, struct engine_sub *s, int64_t now_ms, char *ret_nonce)
{
	invariant(s->place != ENGINE_UNANSWERED && e->unanswered_count < ENGINE_WINDOW);
	leave_line(e, s);
	set_owed(e, s, false);
	s->asked = s->dirty = false;
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
	if (is_wildcard(s))
		leave_line(e, s);
	return true;
}

void engine_pending(struct engine *e, struct engine_sub *s)
{
	invariant(s->place != ENGINE_UNANSWERED);
	leave_line(e, s);
}

void engine_held(struct engine *e, struct engine_sub *s)
{
	engine_pending(e, s);
	set_owed(e, s, false);
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

struct engine_sub *engine_find_offer(struct engine *e, uint64_t number)
{
	struct engine_sub *s;
	DL_FOREACH2(e->unanswered, s, line_next)
	{
		if (s->offer == number)
			return s;
	}
	return NULL;
}

static void settle(struct engine *e, struct engine_sub *s)
{
	leave_line(e, s);
	if (s->dirty || s->asked)
		make_ready(e, s);
}

void engine_take_ack(struct engine *e, struct engine_sub *s, int64_t now_ms)
{
	e->answered = s->offer;
	if (!s->is_removal) {
		copy_version(s->acked, s->sent);
		e->events->acked(e->events->arg, s, s->acked, now_ms - s->offered_at_ms);
	}
	settle(e, s);
}

void engine_take_nack(struct engine *e, struct engine_sub *s, const struct request *r)
{
	e->answered = s->offer;
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
	settle(e, s);
}

void engine_pass_over(struct engine *e, struct engine_sub *s)
{
	settle(e, s);
}

void engine_half_close(struct engine *e)
{
	e->half_closed = true;
	while (e->unanswered) {
		struct engine_sub *s = e->unanswered;
		leave_line(e, s);
		if (s->owed)
			make_ready(e, s);
	}
	for (struct engine_sub *s = e->ready, *next; s; s = next) {
		next = s->line_next;
		if (!s->owed)
			leave_line(e, s);
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

size_t engine_reoffer(struct engine *e, int64_t made_before_ms)
{
	size_t n = 0;
	for (struct engine_sub *s; (s = e->unanswered) && s->offered_at_ms < made_before_ms; n++) {
		s->asked = true;
		settle(e, s);
	}
	return n;
}

/* -- a subscription -- */

const char *engine_sub_name(const struct engine_sub *s, size_t *ret_len)
{
	if (ret_len)
		*ret_len = s->name_len;
	return s->name;
}

bool engine_sub_is_possible(const struct engine_sub *s)
{
	return s->possible;
}

const char *engine_sub_acked(const struct engine_sub *s)
{
	return s->acked;
}

const char *engine_sub_claimed(const struct engine_sub *s)
{
	return s->claimed;
}

struct engine *engine_sub_engine(const struct engine_sub *s)
{
	return s->engine;
}

void *engine_sub_user(const struct engine_sub *s)
{
	return s->user;
}

void engine_sub_set_user(struct engine_sub *s, void *user)
{
	s->user = user;
}

size_t engine_count(const struct engine *e)
{
	return e->count;
}

void engine_each(struct engine *e, void (*fn)(void *arg, struct engine_sub *s), void *arg)
{
	struct engine_sub *s;
	DL_FOREACH (e->subs, s) {
		fn(arg, s);
	}
}
