/* base/io/accept_tcp.c - the acceptor as guard of workers that a client on TCP keeps captive. gRPC core has accepted it
 * and reads what TLS hides from us: so whoever sends without end is cut off, and cannot be kept out. */
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/io/accept_internal.h"
#include "base/log.h"
#include "base/mem.h"

enum {
	LOOKS_ENOUGH = 50,	 /* half a second and more */
	LOOKS_ENOUGH_AGAIN = 10, /* from a host that was found so within AGAIN_MS. No fewer and no longer: others may be
				    behind that address, and thousands of streams opened at once take their time */
	AGAIN_MS = 60 * 1000,
};

/* A connection, since a worker is captive. */
struct tcp_sight {
	UT_hash_handle hh; /* by remote */
	union tcp_address remote;
	int64_t first, last; /* what was read of it */
	unsigned looks;	     /* that found more of it read */
};

static bool is_ours(const struct acceptor *a, const struct tcp_peer *p)
{
	for (size_t i = 0; i < a->tcp_port_count; i++)
		if (a->tcp_ports[i] == tcp_peer_local_port(p))
			return true;
	return false;
}

static struct tcp_sight *sight_of(struct acceptor *a, const struct tcp_peer *p)
{
	struct tcp_sight *s = NULL;
	HASH_FIND(hh, a->tcp_sights, &p->remote, sizeof p->remote, s);
	if (!s) {
		s = mem_new(struct tcp_sight);
		s->remote = p->remote;
		s->first = s->last = p->read;
		HASH_ADD(hh, a->tcp_sights, remote, sizeof s->remote, s);
	}
	return s;
}

static union tcp_address host_of(const struct tcp_peer *p)
{
	union tcp_address host = p->remote;
	if (host.any.sa_family == AF_INET6)
		host.v6.sin6_port = 0;
	else
		host.v4.sin_port = 0;
	return host;
}

static bool has_flooded(const struct acceptor *a, const struct tcp_peer *p)
{
	union tcp_address host = host_of(p);
	for (size_t i = 0; i < ACCEPT_TCP_FLOODERS_MAX; i++)
		if (a->watched < a->tcp_flooders[i].until && memcmp(&a->tcp_flooders[i].host, &host, sizeof host) == 0)
			return true;
	return false;
}

static void cut_off(struct acceptor *a, const struct tcp_peer *p)
{
	uint64_t held_back = 0;
	int64_t now = a->watched;
	if (!tcp_peer_reset(p))
		return;
	if (!has_flooded(a, p))
		a->tcp_flooders[a->tcp_flooder_count++ % ACCEPT_TCP_FLOODERS_MAX] =
			(struct tcp_flooder){host_of(p), now + AGAIN_MS};
	a->o.refused(a->o.arg, ACCEPT_KEPT_OUT);
	if (!quiet_passes(&a->barred, now, &held_back))
		return;
	AUTO(mem_freep) char *peer = tcp_peer_text(p);
	log_event(LOG_WARN, "accept.cut_off", LS("reason", "it sends without end, faster than a worker can take"),
		LS("peer", peer), LI("held_back", held_back));
}

struct look {
	struct acceptor *acceptor;
	int64_t most; /* bytes read of worst */
	struct tcp_peer worst;
};

/* Others that are read wait for the captive worker, or have another one: they send less. */
static bool look_at(void *arg, const struct tcp_peer *p)
{
	struct look *l = arg;
	if (!is_ours(l->acceptor, p))
		return false;
	struct tcp_sight *s = sight_of(l->acceptor, p);
	s->looks += p->read > s->last;
	s->last = p->read;
	unsigned enough = has_flooded(l->acceptor, p) ? LOOKS_ENOUGH_AGAIN : LOOKS_ENOUGH;
	if (s->looks >= enough && s->last - s->first > l->most) {
		l->most = s->last - s->first;
		l->worst = *p;
	}
	return false;
}

void accept_tcp_look(struct acceptor *a)
{
	struct look l = {.acceptor = a};
	tcp_peers_each(look_at, &l);
	if (l.most)
		cut_off(a, &l.worst);
}

void accept_tcp_forget(struct acceptor *a)
{
	struct tcp_sight *s, *next;
	HASH_ITER (hh, a->tcp_sights, s, next) {
		HASH_DEL(a->tcp_sights, s);
		free(s);
	}
}

struct cut {
	const struct acceptor *acceptor;
	const char *peer;
	bool done;
};

static bool cut_if_it_is(void *arg, const struct tcp_peer *p)
{
	struct cut *c = arg;
	if (!is_ours(c->acceptor, p))
		return false;
	AUTO(mem_freep) char *text = tcp_peer_text(p);
	c->done = strcmp(text, c->peer) == 0 && tcp_peer_reset(p);
	return c->done;
}

bool accept_cut_off_tcp(struct acceptor *a, const char *peer)
{
	struct cut c = {.acceptor = a, .peer = peer};
	pthread_mutex_lock(&a->lock);
	tcp_peers_each(cut_if_it_is, &c);
	pthread_mutex_unlock(&a->lock);
	return c.done;
}
