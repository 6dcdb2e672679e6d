/* sds/age.c - connections that are old enough go, where the config asks for it: so that load spreads again over servers
 * that came later, and clients of a name that points elsewhere by now follow it. gRPC sends GOAWAY at the age, give or
 * take a tenth, and tells nobody; from then on the client opens its streams on another connection. Those that are open
 * are ended here, later than any GOAWAY, and spread: by connection over a fifth of the age, within it over the grace.
 */
#include "base/log.h"
#include "base/mem.h"
#include "control/identity.h"
#include "sds/internal.h"

/* gRPC cuts off what is left so much later than we are done. */
#define SLACK_MS (INT64_C(5) * 1000)

int64_t age_cut_off_ms(const struct sds_limits *l)
{
	/* From the earliest GOAWAY to the latest end, from 0.9 to 1.3 of the age, and the grace. */
	return l->connection_age_ms * 4 / 10 + l->connection_age_grace_ms + SLACK_MS;
}

static int64_t grace_ms(const struct conn *o)
{
	return o->worker->server->o.limits.connection_age_grace_ms / 5 * 4;
}

static void spread(struct conn *o)
{
	struct worker *w = o->worker;
	int64_t count = (int64_t)o->streams, n = 0;
	struct call *c;
	DL_FOREACH (w->calls, c)
		if (c->conn == o && !c->ending && !c->closed)
			timers_set(&w->timers, &c->timer, w->now_ms + grace_ms(o) * ++n / count);
}

static void on_timer(struct timers_entry *t)
{
	struct conn *o = container_of(t, struct conn, age_timer);
	struct worker *w = o->worker;
	if (w->state != WORKER_SERVING)
		return; /* a drain ends them */
	o->is_old = true;
	o->age_ends_ms = w->now_ms + grace_ms(o);
	meters_limit(w->server, LIMIT_CONNECTION_AGE);
	log_event(LOG_INFO, "connection.aged", LS("who", identity_text(o->identity)),
		LS("peer", o->peer ? o->peer : ""), LI("streams", (int64_t)o->streams));
	spread(o);
}

void age_begin(struct conn *o)
{
	struct worker *w = o->worker;
	int64_t age = w->server->o.limits.connection_age_ms;
	const uint64_t unique[3] = {w->number, w->last_call_id, (uint64_t)w->now_ms};
	o->age_timer.fire = on_timer;
	if (age)
		timers_set(&w->timers, &o->age_timer,
			w->now_ms + age + age / 10 +
				(int64_t)(table_hash(unique, sizeof unique) % (uint64_t)(age / 5 + 1)));
}

void age_end(struct call *c)
{
	struct worker *w = c->worker;
	if (w->now_ms < c->conn->age_ends_ms && c->ops->owes && c->ops->owes(c))
		timers_set(&w->timers, &c->timer, c->conn->age_ends_ms);
	else
		call_end(c, GRPC_STATUS_UNAVAILABLE,
			"this connection is as old as one may become (limits.connection_age)");
}
