#include "base/io/accept.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/accept_internal.h"
#include "base/io/share.h"
#include "base/log.h"
#include "base/mem.h"

enum { SWEEP_MIN_MS = 1000, SWEEP_MAX_MS = 30000, SWEEP_MS_PER_CONNECTION = 15, ACCEPTS_PER_TURN = 64 };

static void choose_range(struct acceptor *a)
{
	struct rlimit files;
	int end = 65536;
	if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < (rlim_t)end)
		end = (int)files.rlim_cur;
	a->end_fd = end;
	a->lowest_fd = a->next_fd = end / 4;
	if (a->o.connections_max > (size_t)(end - a->lowest_fd))
		a->o.connections_max = (size_t)(end - a->lowest_fd);
}

/* Move to the next number of a rolling range: numbers come back as late as can be. -1: there is none. */
static int move_high(struct acceptor *a, int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, a->next_fd);
	if (high < 0)
		high = fcntl(fd, F_DUPFD_CLOEXEC, a->lowest_fd);
	(void)close(fd);
	if (high >= 0)
		a->next_fd = high + 1 < a->end_fd ? high + 1 : a->lowest_fd;
	return high;
}

static bool inode_of(int fd, ino_t *ret)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || !S_ISSOCK(st.st_mode))
		return false;
	*ret = st.st_ino;
	return true;
}

bool accept_is_open(const struct connection *c)
{
	ino_t inode;
	return inode_of(c->fd, &inode) && inode == c->inode;
}

static void forget(struct acceptor *a, struct connection *c)
{
	struct owner *o = NULL;
	HASH_FIND(hh, a->owners, &c->evidence.uid, sizeof o->uid, o);
	if (--o->count == 0)
		a->owner_count--;
	HASH_DEL(a->connections, c);
	a->load[c->worker]--;
	free(c);
}

struct owner *accept_owner(struct acceptor *a, uid_t uid)
{
	struct owner *o = NULL;
	HASH_FIND(hh, a->owners, &uid, sizeof uid, o);
	if (o)
		return o;
	o = mem_new(struct owner);
	o->uid = uid;
	HASH_ADD(hh, a->owners, uid, sizeof o->uid, o);
	return o;
}

/* gRPC tells of no end of a connection: a descriptor that is closed, or another file, was one. Called with the lock. */
static void sweep(struct acceptor *a, int64_t now)
{
	struct connection *c, *next;
	HASH_ITER (hh, a->connections, c, next) {
		if (!accept_is_open(c))
			forget(a, c);
	}
	struct owner *o, *following;
	HASH_ITER (hh, a->owners, o, following) {
		if (o->count || !accept_is_clean(o, now))
			continue;
		HASH_DEL(a->owners, o);
		free(o);
	}
	a->swept = now;
}

/* A sweep costs about 0.5 us per connection; once a second it would double what 2,000 idle ones cost. So its pace
 * follows their number: about 0.03 ms of CPU per second, up to 2,000 connections. */
static int64_t sweep_interval_ms(const struct acceptor *a)
{
	int64_t ms = (int64_t)HASH_COUNT(a->connections) * SWEEP_MS_PER_CONNECTION;
	return ms < SWEEP_MIN_MS ? SWEEP_MIN_MS : ms > SWEEP_MAX_MS ? SWEEP_MAX_MS : ms;
}

/* Sweep and watch if it is time; ms until the next time, -1 while there is nothing to do. */
static int look_after(struct acceptor *a)
{
	pthread_mutex_lock(&a->lock);
	int64_t now = clock_mono_ms(clock_system());
	if (now - a->swept >= sweep_interval_ms(a))
		sweep(a, now);
	int64_t wait = a->owners ? a->swept + sweep_interval_ms(a) - now : -1;
	int64_t watch = accept_watch(a, now);
	if (watch >= 0 && (wait < 0 || watch < wait))
		wait = watch;
	pthread_mutex_unlock(&a->lock);
	return (int)wait;
}

static bool allows(const struct acceptor *a, const struct owner *o)
{
	return o->count < a->o.per_uid_max &&
	       share_allows(HASH_COUNT(a->connections), a->o.connections_max, o->count, a->owner_count + !o->count);
}

/* Those that have gone must not keep others out; but a flood of refused ones must not buy a sweep each. */
static bool has_room(struct acceptor *a, struct owner *o, int64_t now)
{
	bool room = allows(a, o);
	if (!room && now - a->swept >= SWEEP_MIN_MS) {
		sweep(a, now); /* it is not clean, for it has just opened one: it stays */
		room = allows(a, o);
	}
	return room;
}

static unsigned least_loaded(const struct acceptor *a)
{
	unsigned best = 0;
	for (unsigned w = 1; w < a->o.workers; w++)
		if (a->load[w] < a->load[best])
			best = w;
	return best;
}

static bool record(
	struct acceptor *a, int fd, const struct ucred *peer, unsigned *ret_worker, enum accept_refusal *ret_why)
{
	struct connection *old, *c = mem_new(struct connection);
	c->fd = fd;
	c->evidence = (struct evidence){.kind = EVIDENCE_UNIX, .uid = peer->uid, .gid = peer->gid, .pid = peer->pid};
	if (!inode_of(fd, &c->inode)) {
		free(c);
		return false;
	}
	pthread_mutex_lock(&a->lock);
	HASH_FIND_INT(a->connections, &fd, old);
	if (old)
		forget(a, old);
	int64_t now = clock_mono_ms(clock_system());
	struct owner *o = accept_owner(a, peer->uid);
	bool room = accept_may_open(a, o, now, ret_why);
	if (room && !has_room(a, o, now)) {
		*ret_why = o->count >= a->o.per_uid_max ? ACCEPT_UID_HAS_TOO_MANY : ACCEPT_NO_ROOM;
		room = false;
	}
	if (room) {
		c->worker = *ret_worker = least_loaded(a);
		c->serial = ++a->serial;
		a->load[c->worker]++;
		a->owner_count += o->count++ == 0;
		HASH_ADD_INT(a->connections, fd, c);
	} else {
		free(c);
	}
	pthread_mutex_unlock(&a->lock);
	return room;
}

static void say(enum log_level level, const char *event, struct quiet *q, const char *reason, long uid)
{
	uint64_t held_back = 0;
	if (quiet_passes(q, clock_mono_ms(clock_system()), &held_back))
		log_event(level, event, LS("reason", reason), LI("uid", uid), LI("held_back", held_back));
}

/* fd is -1 when there was no descriptor. */
static void refuse(struct acceptor *a, int fd, enum accept_refusal why, uid_t uid)
{
	static const char *const reasons[ACCEPT_REFUSALS] = {
		[ACCEPT_NO_ROOM] = "more connections than there is room for",
		[ACCEPT_UID_HAS_TOO_MANY] = "more connections of one uid than are permitted",
		[ACCEPT_TOO_FAST] = "one uid connects faster than is permitted",
		[ACCEPT_KEPT_OUT] = "it flooded a worker; it is kept out for a while",
	};
	const char *reason = fd < 0 ? "no descriptor is left" : reasons[why];
	say(LOG_WARN, "accept.refused", &a->refused[why], reason, (long)uid);
	a->o.refused(a->o.arg, why);
	if (fd >= 0)
		(void)close(fd);
}

/* False: nothing more to accept now. */
static bool accept_one(struct acceptor *a, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			say(LOG_ERROR, "accept.exhausted", &a->exhausted, strerror(errno), -1);
			(void)poll(NULL, 0, 50); /* the connection stays in the backlog; do not spin on it */
			return false;
		}
		return errno == EINTR || errno == ECONNABORTED;
	}
	struct ucred peer;
	socklen_t len = sizeof peer;
	unsigned worker = 0;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0) {
		(void)close(fd);
		return true;
	}
	fd = move_high(a, fd);
	enum accept_refusal why = ACCEPT_NO_ROOM;
	if (fd >= 0 && record(a, fd, &peer, &worker, &why)) {
		a->o.add(a->o.arg, worker, fd);
		return true;
	}
	refuse(a, fd, why, peer.uid);
	return true;
}

static void accept_some(struct acceptor *a, int listener)
{
	for (int i = 0; i < ACCEPTS_PER_TURN; i++)
		if (!accept_one(a, listener))
			return;
}

static size_t poll_set(struct acceptor *a, struct pollfd set[ACCEPT_LISTENERS_MAX + 1], bool *ret_stop)
{
	pthread_mutex_lock(&a->lock);
	size_t n = a->listener_count;
	for (size_t i = 0; i < n; i++)
		set[i] = (struct pollfd){.fd = a->listeners[i], .events = POLLIN};
	*ret_stop = a->stopping;
	pthread_mutex_unlock(&a->lock);
	set[n] = (struct pollfd){.fd = a->wake, .events = POLLIN};
	return n;
}

static void *run(void *arg)
{
	struct acceptor *a = arg;
	(void)pthread_setname_np(pthread_self(), "acceptor");
	for (;;) {
		struct pollfd set[ACCEPT_LISTENERS_MAX + 1];
		bool stop;
		size_t n = poll_set(a, set, &stop);
		if (stop)
			return NULL;
		int ready = poll(set, n + 1, look_after(a));
		if (ready > 0 && set[n].revents) {
			uint64_t drained;
			(void)!read(a->wake, &drained, sizeof drained);
		}
		for (size_t i = 0; ready > 0 && i < n; i++)
			if (set[i].revents)
				accept_some(a, set[i].fd);
	}
}

static void free_tables(struct acceptor *a)
{
	free(a->load);
	free(a->sights);
	free(a->captives);
	free(a->peeked);
}

struct fault *accept_new(const struct accept_options *o, struct acceptor **ret)
{
	struct acceptor *a = mem_new(struct acceptor);
	a->o = *o;
	a->load = mem_array(size_t, o->workers);
	a->sights = mem_array(struct pulse_sight, o->workers);
	a->captives = mem_array(bool, o->workers);
	a->peeked = mem_array(unsigned char, ACCEPT_PEEK_BYTES);
	choose_range(a);
	invariant(pthread_mutex_init(&a->lock, NULL) == 0);
	a->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int err = a->wake < 0 ? errno : pthread_create(&a->thread, NULL, run, a);
	if (err) {
		if (a->wake >= 0)
			(void)close(a->wake);
		free_tables(a);
		free(a);
		return fault_errno(err, "acceptor thread");
	}
	*ret = a;
	return NULL;
}

static void wake(struct acceptor *a)
{
	uint64_t one = 1;
	(void)!write(a->wake, &one, sizeof one);
}

struct fault *accept_listen(struct acceptor *a, int fd)
{
	int flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
		struct fault *f = fault_errno(errno, "listening socket");
		(void)close(fd);
		return f;
	}
	pthread_mutex_lock(&a->lock);
	bool room = a->listener_count < ACCEPT_LISTENERS_MAX;
	if (room)
		a->listeners[a->listener_count++] = fd;
	pthread_mutex_unlock(&a->lock);
	if (!room) {
		(void)close(fd);
		return fault_new(FAULT_EXHAUSTED, "more than %d unix listeners", ACCEPT_LISTENERS_MAX);
	}
	wake(a);
	return NULL;
}

void accept_watch_tcp(struct acceptor *a, int port)
{
	pthread_mutex_lock(&a->lock);
	if (a->tcp_port_count < ACCEPT_LISTENERS_MAX)
		a->tcp_ports[a->tcp_port_count++] = port;
	pthread_mutex_unlock(&a->lock);
	wake(a);
}

bool accept_evidence(struct acceptor *a, int fd, struct evidence *ret, uint64_t *ret_serial)
{
	struct connection *c;
	pthread_mutex_lock(&a->lock);
	HASH_FIND_INT(a->connections, &fd, c);
	bool known = c && accept_is_open(c);
	if (known) {
		*ret = c->evidence;
		*ret_serial = c->serial;
	}
	pthread_mutex_unlock(&a->lock);
	return known;
}

void accept_keep_out(struct acceptor *a, int fd, uint64_t serial, uid_t uid, const char *reason)
{
	struct connection *c;
	pthread_mutex_lock(&a->lock);
	HASH_FIND_INT(a->connections, &fd, c);
	accept_bar(a, uid, c && c->serial == serial ? c : NULL, reason, clock_mono_ms(clock_system()));
	pthread_mutex_unlock(&a->lock);
}

size_t accept_count(struct acceptor *a)
{
	pthread_mutex_lock(&a->lock);
	int64_t now = clock_mono_ms(clock_system());
	if (now - a->swept >= SWEEP_MIN_MS)
		sweep(a, now);
	size_t n = HASH_COUNT(a->connections);
	pthread_mutex_unlock(&a->lock);
	return n;
}

void accept_stop(struct acceptor *a)
{
	if (a->joined)
		return;
	pthread_mutex_lock(&a->lock);
	a->stopping = true;
	pthread_mutex_unlock(&a->lock);
	wake(a);
	(void)pthread_join(a->thread, NULL);
	a->joined = true;
	for (size_t i = 0; i < a->listener_count; i++)
		(void)close(a->listeners[i]);
	a->listener_count = 0;
}

void accept_free(struct acceptor *a)
{
	if (!a)
		return;
	accept_stop(a);
	while (a->connections)
		forget(a, a->connections);
	(void)close(a->wake);
	pthread_mutex_destroy(&a->lock);
	struct owner *o, *next;
	HASH_ITER (hh, a->owners, o, next) {
		HASH_DEL(a->owners, o);
		free(o);
	}
	accept_tcp_forget(a);
	free_tables(a);
	free(a);
}
