/* base/io/accept_watch.c - the acceptor as the workers' guard. While a peer sends more than its worker can take, gRPC
 * core (1.51) reads on and on from that connection and does not come back to the worker's queue: streams that are
 * opened and reset (CVE-2023-44487) need no flow control and cost a peer next to nothing, and core keeps each until the
 * worker has seen it. So whoever keeps a worker captive is hung up on, and their uid is kept out for a while.
 * Connections on unix sockets alone: those are ours (TCP: accept_tcp.c). */
#include <sys/ioctl.h>
#include <sys/socket.h>
#include "base/io/accept_internal.h"
#include "base/io/rapid_reset.h"
#include "base/log.h"

enum {
	WATCH_MS = 50,
	CAPTIVE_US = 20000,    /* no captivity below: a burst, or CPUs that are busy with others */
	CAPTIVE_WATCH_MS = 10, /* once a worker is */
	STILL_CAPTIVE_US = 1000,
	RESETS_ENOUGH = 32, /* in what it has sent and nobody read: nobody else does that */
	SIGHTS_ENOUGH = 50, /* for any other flood: a second and more. 10,000 streams that are opened at once take
			       less, and let go in between */
	DISCARDS_MAX = 64,
	BAR_MS = 10000,
	BAR_FACTOR = 3,
	BARS_MAX = 4,	    /* 10 s to 13 min */
	OPENINGS_MS = 20000 /* so many seconds' worth of connections may come at once */
};

static int64_t bar_ms(unsigned before)
{
	int64_t ms = BAR_MS;
	for (unsigned i = 0; i < before; i++)
		ms *= BAR_FACTOR;
	return ms;
}

bool accept_may_open(const struct acceptor *a, struct owner *o, int64_t now, enum accept_refusal *ret_why)
{
	const struct bucket_size size =
		bucket_size((int64_t)a->o.per_uid_per_second * (OPENINGS_MS / 1000), OPENINGS_MS);
	if (now < o->barred_until) {
		*ret_why = ACCEPT_KEPT_OUT;
		return false;
	}
	if (bucket_wait_ms(&o->opened, size, now) > 0) {
		*ret_why = ACCEPT_TOO_FAST;
		return false;
	}
	bucket_take(&o->opened, size, 1, now);
	return true;
}

/* What was held against it is forgotten when it has been back for as long as the next bar would be. */
static bool is_forgiven(const struct owner *o, int64_t now)
{
	return !o->bars || now >= o->barred_until + bar_ms(o->bars);
}

bool accept_is_clean(const struct owner *o, int64_t now)
{
	return bucket_is_full(&o->opened, now) && is_forgiven(o, now);
}

static int64_t bar(struct acceptor *a, uid_t uid, int64_t now)
{
	struct owner *o = accept_owner(a, uid);
	if (now < o->barred_until)
		return o->barred_until - now;
	if (is_forgiven(o, now))
		o->bars = 0;
	o->barred_until = now + bar_ms(o->bars);
	o->bars += o->bars < BARS_MAX;
	return o->barred_until - now;
}

/* What it sent already would keep core busy for some time yet. */
static void hang_up(struct acceptor *a, struct connection *c)
{
	c->sights = 0;
	if (!accept_is_open(c))
		return;
	(void)shutdown(c->fd, SHUT_RDWR);
	for (int i = 0; i < DISCARDS_MAX; i++)
		if (recv(c->fd, a->peeked, ACCEPT_PEEK_BYTES, MSG_DONTWAIT) <= 0)
			return;
}

/* Floods come on several connections. Pid 0: one that is not seen from here. */
static void hang_up_on_process(struct acceptor *a, const struct evidence *e)
{
	struct connection *c, *next;
	HASH_ITER (hh, a->connections, c, next)
		if (e->pid && c->evidence.pid == e->pid && c->evidence.uid == e->uid)
			hang_up(a, c);
}

void accept_bar(struct acceptor *a, uid_t uid, struct connection *c, const char *reason, int64_t now)
{
	uint64_t held_back = 0;
	if (c) {
		hang_up(a, c);
		hang_up_on_process(a, &c->evidence);
	}
	int64_t left_ms = bar(a, uid, now);
	a->o.refused(a->o.arg, ACCEPT_KEPT_OUT);
	if (quiet_passes(&a->barred, now, &held_back))
		log_event(LOG_WARN, "accept.kept_out", LS("reason", reason), LI("uid", (int64_t)uid),
			LI("pid", c ? (int64_t)c->evidence.pid : 0), LI("seconds", (left_ms + 999) / 1000),
			LI("held_back", held_back));
}

/* Those of a captive worker: what comes from them is not all read by core at once, ever. */
static void look_at(struct acceptor *a, struct connection *c, int64_t now)
{
	int unread = 0;
	if (!accept_is_open(c) || ioctl(c->fd, FIONREAD, &unread) < 0)
		return;
	c->sights = unread == 0 ? 0 : c->sights + (unread < c->unread);
	c->unread = unread;
	ssize_t n = unread ? recv(c->fd, a->peeked, ACCEPT_PEEK_BYTES, MSG_PEEK | MSG_DONTWAIT) : 0;
	if (n > 0 && rapid_resets(a->peeked, (size_t)n) >= RESETS_ENOUGH)
		accept_bar(
			a, c->evidence.uid, c, "it opens streams and resets them, faster than a worker can take", now);
	else if (c->sights >= SIGHTS_ENOUGH)
		accept_bar(a, c->evidence.uid, c, "it sends without end, faster than a worker can take", now);
}

int64_t accept_watch(struct acceptor *a, int64_t now)
{
	struct connection *c, *next;
	if (!a->o.pulses || (!a->connections && !a->tcp_port_count))
		return -1;
	int64_t interval = a->captive ? CAPTIVE_WATCH_MS : WATCH_MS;
	if (now - a->watched < interval)
		return a->watched + interval - now;
	int64_t least_us = a->captive ? STILL_CAPTIVE_US : CAPTIVE_US;
	a->captive = false;
	for (unsigned w = 0; w < a->o.workers; w++) {
		a->captives[w] = pulse_is_captive(&a->o.pulses[w], &a->sights[w], least_us);
		a->captive |= a->captives[w];
	}
	a->watched = now;
	if (!a->captive) {
		accept_tcp_forget(a);
		return WATCH_MS;
	}
	HASH_ITER (hh, a->connections, c, next)
		if (a->captives[c->worker])
			look_at(a, c, now);
	if (a->tcp_port_count)
		accept_tcp_look(a);
	return CAPTIVE_WATCH_MS;
}
