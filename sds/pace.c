/* sds/pace.c - how fast a connection is read: a token for each new call and one for each request, out of a bucket of
 * its own and one of its identity's. Without one its calls wait, in the order in which they came, and what they send
 * waits in their transport's windows; nothing is refused, and no other identity waits. Connections that wait for the
 * same bucket are woken together: none has a right before the others. What is sent to them does not wait. */
#include "base/mem.h"
#include "sds/internal.h"

/* How much may come at once, in the time that it takes to come back. */
#define BURST_MS (INT64_C(5) * 1000)

static struct bucket_size size(size_t per_second)
{
	return bucket_size((int64_t)per_second * (BURST_MS / 1000), BURST_MS);
}

/* What one token comes out of: the connection's bucket, and that of its identity on this worker. */
struct pair {
	struct bucket *own, *all;
	struct bucket_size own_size, all_size;
};

static struct pair openings_of(struct conn *o)
{
	const struct sds_limits *l = &o->worker->server->o.limits;
	return (struct pair){&o->openings, &o->owner->openings, size(l->streams_per_second),
		size(owner_part(o->worker, o->owner, l->streams_per_second_per_identity))};
}

static struct pair requests_of(struct conn *o)
{
	const struct sds_limits *l = &o->worker->server->o.limits;
	return (struct pair){&o->requests, &o->owner->requests, size(l->requests_per_second),
		size(owner_part(o->worker, o->owner, l->requests_per_second_per_identity))};
}

static int64_t pair_wait_ms(struct pair p, int64_t now_ms)
{
	int64_t own = bucket_wait_ms(p.own, p.own_size, now_ms), all = bucket_wait_ms(p.all, p.all_size, now_ms);
	return own > all ? own : all;
}

static void pair_take(struct pair p, int64_t tokens, int64_t now_ms)
{
	bucket_take(p.own, p.own_size, tokens, now_ms);
	bucket_take(p.all, p.all_size, tokens, now_ms);
}

static int64_t wait_ms(const struct call *c)
{
	int64_t now = c->worker->now_ms, request = pair_wait_ms(requests_of(c->conn), now);
	int64_t stream = c->was_read ? 0 : pair_wait_ms(openings_of(c->conn), now);
	return stream > request ? stream : request;
}

/* The identity's is said only where the connection's own would not have kept it waiting. */
static enum limit limit_of(const struct call *c)
{
	int64_t now = c->worker->now_ms;
	struct pair p = c->was_read ? requests_of(c->conn) : openings_of(c->conn);
	bool own = bucket_wait_ms(p.own, p.own_size, now) > 0 || bucket_wait_ms(p.all, p.all_size, now) == 0;
	if (c->was_read)
		return own ? LIMIT_REQUESTS_PER_SECOND : LIMIT_REQUESTS_PER_SECOND_PER_IDENTITY;
	return own ? LIMIT_STREAMS_PER_SECOND : LIMIT_STREAMS_PER_SECOND_PER_IDENTITY;
}

static void take(struct call *c)
{
	pair_take(requests_of(c->conn), 1, c->worker->now_ms);
	if (!c->was_read)
		pair_take(openings_of(c->conn), 1, c->worker->now_ms);
	c->was_read = true;
}

static struct call **line_of(struct call *c)
{
	return c->was_read ? &c->conn->reads : &c->conn->new_calls;
}

/* The first in a line waits for no more than a token. Those that are open already go before new ones. */
static void arm(struct conn *o)
{
	struct worker *w = o->worker;
	int64_t ms = INT64_MAX;
	if (o->new_calls)
		ms = wait_ms(o->new_calls);
	if (o->reads && wait_ms(o->reads) < ms)
		ms = wait_ms(o->reads);
	if (ms != INT64_MAX)
		timers_set(&w->timers, &o->pace_timer, w->now_ms + ms);
	else
		timers_clear(&w->timers, &o->pace_timer);
}

static void read_some(struct call **line)
{
	struct call *c;
	while ((c = *line) && wait_ms(c) == 0) {
		DL_DELETE2(*line, c, wait_prev, wait_next);
		c->waits = false;
		take(c);
		call_read(c);
	}
}

static void on_timer(struct timers_entry *t)
{
	struct conn *o = container_of(t, struct conn, pace_timer);
	read_some(&o->reads);
	read_some(&o->new_calls);
	arm(o);
}

void pace_init(struct conn *o)
{
	o->pace_timer.fire = on_timer;
}

bool pace_allows(struct call *c)
{
	struct call **line = line_of(c);
	if (!*line && wait_ms(c) == 0) {
		take(c);
		return true;
	}
	limit_hit(c, limit_of(c));
	DL_APPEND2(*line, c, wait_prev, wait_next);
	c->waits = true;
	if (*line == c)
		arm(c->conn);
	return false;
}

void pace_leave(struct call *c)
{
	if (!c->waits)
		return;
	struct call **line = line_of(c);
	c->waits = false;
	DL_DELETE2(*line, c, wait_prev, wait_next);
	arm(c->conn);
}

void pace_charge(struct call *c, size_t requests)
{
	pair_take(requests_of(c->conn), (int64_t)requests, c->worker->now_ms);
}
