/* sds/pace.c - how fast a connection is read: a token for each new call and one for each request. Without one its calls
 * wait, in the order in which they came, and what they send waits in their transport's windows; nothing is refused, and
 * no other connection waits. What is sent to them does not wait. */
#include "base/mem.h"
#include "sds/internal.h"

/* How much may come at once, in the time that it takes to come back. */
#define BURST_MS (INT64_C(5) * 1000)

static struct bucket_size size_of(const struct call *c, bool first)
{
	const struct sds_limits *l = &c->worker->server->o.limits;
	int64_t per_second = first ? (int64_t)l->streams_per_second : (int64_t)l->requests_per_second;
	return bucket_size(per_second * (BURST_MS / 1000), BURST_MS);
}

static int64_t wait_ms(const struct call *c)
{
	const struct conn *o = c->conn;
	int64_t now = c->worker->now_ms, request = bucket_wait_ms(&o->requests, size_of(c, false), now);
	int64_t stream = c->was_read ? 0 : bucket_wait_ms(&o->openings, size_of(c, true), now);
	return stream > request ? stream : request;
}

static void take(struct call *c)
{
	struct conn *o = c->conn;
	bucket_take(&o->requests, size_of(c, false), 1, c->worker->now_ms);
	if (!c->was_read)
		bucket_take(&o->openings, size_of(c, true), 1, c->worker->now_ms);
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
	limit_hit(c, c->was_read ? LIMIT_REQUESTS_PER_SECOND : LIMIT_STREAMS_PER_SECOND);
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
	bucket_take(&c->conn->requests, size_of(c, false), (int64_t)requests, c->worker->now_ms);
}
