/* sds/engine.c - the subscriptions of one stream and the lines in which they wait.
 * A subscription is idle, ready (wants an answer) or unanswered (an offer is out); a change that comes while it is
 * unanswered is one flag. Offers and answers are engine_offer.c's, reading requests engine_sotw.c's and
 * engine_delta.c's. */
#include "sds/engine.h"
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

void engine_leave_line(struct engine *e, struct engine_sub *s)
{
	if (s->place == ENGINE_READY) {
		DL_DELETE2(e->ready, s, line_prev, line_next);
	} else if (s->place == ENGINE_UNANSWERED) {
		DL_DELETE2(e->unanswered, s, line_prev, line_next);
		e->unanswered_count--;
	}
	s->place = ENGINE_IDLE;
}

void engine_make_ready(struct engine *e, struct engine_sub *s)
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
		engine_make_ready(e, s);
}

struct engine_sub *engine_next(struct engine *e)
{
	return e->unanswered_count < ENGINE_WINDOW ? e->ready : NULL;
}

void engine_set_owed(struct engine *e, struct engine_sub *s, bool owed)
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

bool engine_sub_is_wildcard(const struct engine_sub *s)
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
	s->possible = text_is_name(s->name, s->name_len) && !engine_sub_is_wildcard(s);
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
	engine_set_owed(e, s, true);
	engine_mark(e, s);
}

static void drop(struct engine *e, struct engine_sub *s)
{
	engine_leave_line(e, s);
	engine_set_owed(e, s, false);
	if (e->next_refreshed == s)
		e->next_refreshed = s->next;
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
