/* sds/owner.c - what one identity has on this worker: a uid, or the names of a client certificate. What it may have in
 * all is divided by its connections: each worker's part is that of its connections, once control has said how many the
 * others have (deal.c); within it, share_allows() is fair to each connection. */
#include <stdint.h>
#include <string.h>
#include "base/io/accept.h"
#include "base/io/share.h"
#include "base/mem.h"
#include "control/identity.h"
#include "sds/internal.h"

/* Identities that went with buckets that are not full: they must not find full ones when they come back. */
enum { IDLE_OWNERS_MAX = 1024 };
/* Until control has spoken for the first time, whatever the number of workers: one Envoy is served at once. */
enum { STREAMS_UNDEALT = 1024 };
/* All connections on TCP, as if they belonged to one. */
static const char every_tcp[] = "tcp";

static char *key_of(const struct identity *i)
{
	if (identity_kind(i) == IDENTITY_UNIX)
		return mem_printf("uid %ju", (uintmax_t)identity_uid(i)); /* whatever its group */
	return mem_printf("san %s", identity_key(i));
}

static struct owner *find(struct worker *w, const char *key)
{
	struct owner *o = NULL;
	HASH_FIND_STR(w->owners, key, o);
	return o;
}

static void stop_idling(struct worker *w, struct owner *o)
{
	if (!o->is_idle)
		return;
	o->is_idle = false;
	DL_DELETE(w->idle_owners, o);
	w->idle_owner_count--;
}

static void free_owner(struct worker *w, struct owner *o)
{
	stop_idling(w, o);
	if (o->changed)
		DL_DELETE2(w->changed_owners, o, changed_prev, changed_next);
	HASH_DEL(w->owners, o);
	free(o->key);
	free(o);
}

static void note_change(struct worker *w, struct owner *o)
{
	if (o->changed || w->server->o.workers == 1)
		return;
	o->changed = true;
	DL_APPEND2(w->changed_owners, o, changed_prev, changed_next);
}

static struct owner *add_connection(struct worker *w, const char *key)
{
	struct owner *o = find(w, key);
	if (!o) {
		o = mem_new(struct owner);
		o->key = mem_strdup(key);
		HASH_ADD_KEYPTR(hh, w->owners, o->key, strlen(o->key), o);
	}
	stop_idling(w, o);
	o->connections++;
	note_change(w, o);
	return o;
}

static bool is_like_new(const struct owner *o, int64_t now_ms)
{
	return bucket_is_full(&o->names, now_ms) && bucket_is_full(&o->resets, now_ms) &&
	       bucket_is_full(&o->openings, now_ms) && bucket_is_full(&o->requests, now_ms);
}

static void settle(struct worker *w, struct owner *o)
{
	o->dealt = false;
	o->elsewhere = 0;
	o->is_idle = true;
	DL_APPEND(w->idle_owners, o);
	w->idle_owner_count++;
	for (struct owner *old; (old = w->idle_owners);) {
		if (old->changed || (!is_like_new(old, w->now_ms) && w->idle_owner_count <= IDLE_OWNERS_MAX))
			return;
		free_owner(w, old);
	}
}

static void drop_connection(struct worker *w, struct owner *o)
{
	note_change(w, o);
	if (--o->connections == 0)
		settle(w, o);
}

static size_t in_all(const struct owner *o)
{
	return o->connections + o->elsewhere;
}

/* On TCP nobody counted it before its first call. */
static void judge_connection(struct worker *w, struct conn *c, const struct owner *all)
{
	const struct sds_limits *l = &w->server->o.limits;
	size_t own = in_all(c->owner), owners = HASH_COUNT(w->owners) - w->idle_owner_count - 1; /* all: no identity */
	if (own > l->connections_per_identity)
		c->over = LIMIT_CONNECTIONS_PER_IDENTITY;
	else if (!share_allows(in_all(all) - 1, l->connections, own - 1, owners))
		c->over = LIMIT_CONNECTIONS;
}

void owner_enter(struct worker *w, struct conn *c)
{
	AUTO(mem_freep) char *key = key_of(c->identity);
	c->over = LIMIT_COUNT;
	c->owner = add_connection(w, key);
	if (identity_kind(c->identity) == IDENTITY_TLS)
		judge_connection(w, c, add_connection(w, every_tcp));
}

void owner_leave(struct worker *w, struct conn *c)
{
	drop_connection(w, c->owner);
	if (identity_kind(c->identity) == IDENTITY_TLS)
		drop_connection(w, find(w, every_tcp));
}

size_t owner_part(const struct worker *w, const struct owner *o, size_t max)
{
	size_t part = (size_t)((double)max * (double)o->connections / (double)in_all(o)) + (w->server->o.workers > 1);
	return part ? part : 1;
}

static size_t streams_of(const struct worker *w, const struct owner *o)
{
	size_t max = w->server->o.limits.streams_per_identity;
	if (o->dealt || w->server->o.workers == 1)
		return owner_part(w, o, max);
	size_t even = max / w->server->o.workers, least = max < STREAMS_UNDEALT ? max : STREAMS_UNDEALT;
	return even > least ? even : least;
}

bool owner_allows_stream(const struct conn *c)
{
	const struct owner *o = c->owner;
	return share_allows(o->streams, streams_of(c->worker, o), c->streams, o->connections);
}

/* --- new names --- */

#define NAMES_FILL_MS (INT64_C(10) * 60 * 1000)

static struct bucket_size names_of_connection(const struct conn *c)
{
	return bucket_size((int64_t)c->worker->server->o.limits.new_names_per_connection, NAMES_FILL_MS);
}

static struct bucket_size names_of_identity(const struct conn *c)
{
	size_t part = owner_part(c->worker, c->owner, c->worker->server->o.limits.new_names_per_identity);
	return bucket_size((int64_t)part, NAMES_FILL_MS);
}

bool owner_has_new_names(const struct conn *c)
{
	int64_t now = c->worker->now_ms;
	return bucket_wait_ms(&c->names, names_of_connection(c), now) == 0 &&
	       bucket_wait_ms(&c->owner->names, names_of_identity(c), now) == 0;
}

bool owner_takes_new_name(struct call *call)
{
	struct conn *c = call->conn;
	int64_t now = c->worker->now_ms;
	if (bucket_wait_ms(&c->names, names_of_connection(c), now)) {
		limit_hit(call, LIMIT_NEW_NAMES_PER_CONNECTION);
		return false;
	}
	if (bucket_wait_ms(&c->owner->names, names_of_identity(c), now)) {
		limit_hit(call, LIMIT_NEW_NAMES_PER_IDENTITY);
		return false;
	}
	bucket_take(&c->names, names_of_connection(c), 1, now);
	bucket_take(&c->owner->names, names_of_identity(c), 1, now);
	return true;
}

/* --- resets --- */

#define RESETS_FILL_MS (INT64_C(20) * 1000)
/* A client that gives up waits longer: its calls are none of these. One that goes takes all its calls with it. */
#define RESET_AT_ONCE_MS 1000

static struct bucket_size resets_of_identity(const struct conn *c)
{
	size_t part = owner_part(c->worker, c->owner, c->worker->server->o.limits.resets_per_second);
	return bucket_size((int64_t)part * (RESETS_FILL_MS / 1000), RESETS_FILL_MS);
}

/* Whoever comes on TCP cannot be kept out before its handshake, but has an empty bucket when it comes again. */
static void hang_up(const struct conn *c, struct call *call)
{
	if (identity_kind(c->identity) == IDENTITY_UNIX)
		accept_keep_out(c->worker->server->acceptor, c->fd, c->serial, identity_uid(c->identity),
			"it opens streams and resets them (limits.resets_per_second)");
	else if (c->peer && accept_cut_off_tcp(c->worker->server->acceptor, c->peer))
		limit_hit(call, LIMIT_FLOOD);
}

void owner_takes_reset(struct call *call)
{
	struct conn *c = call->conn;
	struct worker *w = c->worker;
	struct bucket_size size = resets_of_identity(c);
	if (w->now_ms - call->since_ms > RESET_AT_ONCE_MS)
		return;
	if (bucket_wait_ms(&c->owner->resets, size, w->now_ms) == 0) {
		bucket_take(&c->owner->resets, size, 1, w->now_ms);
		return;
	}
	limit_hit(call, LIMIT_RESETS_PER_SECOND);
	if (!c->is_hung_up_on)
		hang_up(c, call);
	c->is_hung_up_on = true;
}

/* --- control --- */

void owners_tell(struct worker *w)
{
	struct owner *o;
	while ((o = w->changed_owners)) {
		DL_DELETE2(w->changed_owners, o, changed_prev, changed_next);
		o->changed = false;
		deal_tell(w, o->key, o->connections);
	}
}

void owner_dealt(struct worker *w, const char *key, size_t elsewhere)
{
	struct owner *o = find(w, key);
	if (!o || !o->connections)
		return;
	o->elsewhere = elsewhere;
	o->dealt = true;
}

void owners_free(struct worker *w)
{
	while (w->owners)
		free_owner(w, w->owners);
}
