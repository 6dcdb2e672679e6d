/* sds/server.c - the serving side's face: workers made, fed and ended; control's messages fanned out to them. */
#include "sds/server.h"
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <string.h>
#include <unistd.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/io/accept.h"
#include "base/io/loop.h"
#include "base/io/machine.h"
#include "base/io/tcp_socket.h"
#include "base/io/wakeup.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/identity.h"
#include "proto/descriptors.h"
#include "sds/internal.h"
#include "sds/reflection.h"

/* --- control's messages: one to each worker --- */

static void post(struct sds_server *s, int worker, struct message *(*make)(const void *arg), const void *arg)
{
	for (unsigned w = 0; w < s->o.workers; w++)
		if (worker == OUTLET_ALL_WORKERS || (unsigned)worker == w)
			(void)mailbox_post(s->workers[w].mailbox, &make(arg)->mail);
}

static void set_entry_key(struct message *m, const struct entry_key *e)
{
	size_t len;
	const void *bytes = entry_key_bytes(e, &len);
	struct buf key = BUF_INIT;
	buf_add(&key, "e", 1);
	buf_add(&key, bytes, len);
	message_set_key(m, key.data, key.len);
	buf_free(&key);
	m->entry = entry_key_ref((struct entry_key *)(uintptr_t)e);
}

struct publish_arg {
	const struct entry_key *entry;
	struct version *version;
	uint64_t seq;
};

static struct message *make_publish(const void *arg)
{
	const struct publish_arg *a = arg;
	struct message *m = message_new(MAIL_PUBLISH, a->seq);
	set_entry_key(m, a->entry);
	m->version = version_ref(a->version);
	return m;
}

static void out_publish(void *arg, const struct entry_key *entry, struct version *v, uint64_t seq)
{
	const struct publish_arg a = {entry, v, seq};
	post(arg, OUTLET_ALL_WORKERS, make_publish, &a);
}

struct absent_arg {
	const struct entry_key *entry;
	const struct identity *identity;
	const char *name;
	enum absent_reason reason;
	uint64_t seq;
};

static struct message *make_absent(const void *arg)
{
	const struct absent_arg *a = arg;
	struct message *m = message_new(MAIL_ABSENT, a->seq);
	m->reason = a->reason;
	if (a->reason != ABSENT_DENIED) {
		set_entry_key(m, a->entry);
		return m;
	}
	AUTO(mem_freep) char *key = mem_printf("a%s\x1f%s", identity_key(a->identity), a->name);
	message_set_key(m, key, strlen(key));
	m->identity = identity_ref((struct identity *)(uintptr_t)a->identity);
	m->name = mem_strdup(a->name);
	return m;
}

static void out_absent(void *arg, int worker, const struct entry_key *entry, const struct identity *identity,
	const char *name, enum absent_reason reason, uint64_t seq)
{
	const struct absent_arg a = {entry, identity, name, reason, seq};
	post(arg, worker, make_absent, &a);
}

struct policy_arg {
	struct policy *policy;
	uint64_t seq;
};

static struct message *make_policy(const void *arg)
{
	const struct policy_arg *a = arg;
	struct message *m = message_new(MAIL_POLICY, a->seq);
	m->policy = policy_ref(a->policy);
	return m;
}

static void out_policy(void *arg, struct policy *p, uint64_t seq)
{
	const struct policy_arg a = {p, seq};
	post(arg, OUTLET_ALL_WORKERS, make_policy, &a);
}

struct quarantine_arg {
	const struct outlet_quarantine *order;
	uint64_t seq;
};

/* Coalesced by what it is about: of several orders that wait, the last one counts. */
static struct message *make_quarantine(const void *arg)
{
	const struct quarantine_arg *a = arg;
	struct message *m = message_new(MAIL_QUARANTINE, a->seq);
	m->held_back = held_back_new(a->order);
	struct buf key = BUF_INIT;
	buf_add(&key, "q", 1);
	buf_add(&key, m->held_back->key, m->held_back->key_len);
	message_set_key(m, key.data, key.len);
	buf_free(&key);
	return m;
}

static void out_quarantine(void *arg, const struct outlet_quarantine *q, uint64_t seq)
{
	const struct quarantine_arg a = {q, seq};
	post(arg, OUTLET_ALL_WORKERS, make_quarantine, &a);
}

struct revoked_arg {
	const struct entry_key *entry;
	const char *version;
	uint64_t seq;
};

static struct message *make_revoked(const void *arg)
{
	const struct revoked_arg *a = arg;
	struct message *m = message_new(MAIL_REVOKED, a->seq);
	struct buf key = BUF_INIT;
	size_t len;
	const void *bytes = entry_key_bytes(a->entry, &len);
	buf_printf(&key, "v%s\x1f", a->version);
	buf_add(&key, bytes, len);
	message_set_key(m, key.data, key.len);
	buf_free(&key);
	m->entry = entry_key_ref((struct entry_key *)(uintptr_t)a->entry);
	m->name = mem_strdup(a->version);
	return m;
}

static void out_revoked(void *arg, const struct entry_key *entry, const char *version_id, uint64_t seq)
{
	const struct revoked_arg a = {entry, version_id, seq};
	post(arg, OUTLET_ALL_WORKERS, make_revoked, &a);
}

static struct message *make_taken(const void *arg)
{
	(void)arg;
	return message_new(MAIL_TAKEN, 0);
}

static void out_taken(void *arg, unsigned worker)
{
	post(arg, (int)worker, make_taken, NULL);
}

const struct outlet *sds_server_outlet(struct sds_server *s)
{
	return &s->outlet;
}

/* --- making and starting --- */

static void add_connection(void *arg, unsigned worker, int fd)
{
	struct sds_server *s = arg;
	struct message *m = message_new(MAIL_CONNECTION, 0);
	m->fd = fd;
	(void)mailbox_post(s->workers[worker].mailbox, &m->mail);
}

/* The acceptor has said it already. */
static void refuse_connection(void *arg, enum accept_refusal why)
{
	static const enum limit limits[ACCEPT_REFUSALS] = {[ACCEPT_NO_ROOM] = LIMIT_CONNECTIONS,
		[ACCEPT_UID_HAS_TOO_MANY] = LIMIT_CONNECTIONS_PER_IDENTITY,
		[ACCEPT_TOO_FAST] = LIMIT_CONNECTIONS_PER_SECOND,
		[ACCEPT_KEPT_OUT] = LIMIT_FLOOD};
	meters_limit(arg, limits[why]);
}

static void on_notice(void *arg);

struct fault *sds_server_new(const struct sds_options *o, struct sds_server **ret)
{
	grpc_init();
	struct sds_server *s = mem_new(struct sds_server);
	s->o = *o;
	s->instance = mem_strdup(o->instance);
	s->o.instance = s->instance;
	s->plain = grpc_insecure_server_credentials_create();
	size_t set_len;
	const unsigned char *set = descriptors_set(&set_len);
	/* The first name of the health services is "", the whole server: reflection lists the others. */
	s->reflection = reflection_new(set, set_len, health_services + 1, HEALTH_SERVICE_COUNT - 1);
	s->memory_bytes = o->limits.memory_bytes ? o->limits.memory_bytes : (size_t)(machine_memory_bytes() / 2);
	s->memory = rpc_memory_new(s->memory_bytes);
	s->meters = sds_meters_new(s, o->metrics);
	s->workers = mem_array(struct worker, o->workers);
	s->pulses = mem_array(struct pulse, o->workers);
	for (unsigned w = 0; w < o->workers; w++)
		worker_init(&s->workers[w], s, w);
	s->wakeup = wakeup_new(o->loop, on_notice, s);
	s->notices = mailbox_new(wakeup_ring, s->wakeup);
	s->outlet = (struct outlet){
		s, out_publish, out_absent, out_policy, out_quarantine, out_revoked, out_taken, o->workers};
	const struct accept_options a = {.workers = o->workers,
		.add = add_connection,
		.refused = refuse_connection,
		.arg = s,
		.pulses = s->pulses,
		.connections_max = o->limits.connections,
		.per_uid_max = o->limits.connections_per_identity,
		.per_uid_per_second = (int)o->limits.connections_per_second};
	struct fault *f = accept_new(&a, &s->acceptor);
	if (f)
		sds_server_free(s);
	else
		*ret = s;
	return f;
}

struct fault *sds_server_listen_unix(struct sds_server *s, int listen_fd)
{
	if (s->started)
		return accept_listen(s->acceptor, listen_fd);
	if (s->pending_count == ARRAY_LEN(s->pending_fds)) {
		(void)close(listen_fd);
		return fault_new(FAULT_EXHAUSTED, "more than %zu unix listeners", ARRAY_LEN(s->pending_fds));
	}
	s->pending_fds[s->pending_count++] = listen_fd;
	return NULL;
}

static struct tls_listener *listener_number(struct sds_server *s, size_t number)
{
	struct tls_listener *l = s->tls;
	for (size_t i = 0; l && i < number; i++)
		l = tls_listener_next(l);
	return l;
}

static struct message *make_trust(const void *arg)
{
	(void)arg;
	return message_new(MAIL_TRUST, 0);
}

struct fault *sds_server_set_tls(
	struct sds_server *s, size_t tls, struct credential *c, const struct client_trust *trust, size_t trust_count)
{
	bool shrunk = false;
	while (!listener_number(s, tls)) {
		invariant(!s->started);
		tls_listener_append(&s->tls, tls_listener_new());
	}
	TRY(tls_listener_set(listener_number(s, tls), c, trust, trust_count, &shrunk));
	if (shrunk)
		post(s, OUTLET_ALL_WORKERS, make_trust, NULL);
	return NULL;
}

/* A second leafcast must not take half of the connections: the port is bound once without SO_REUSEPORT before each
 * worker binds it with. */
static struct fault *claim_port(const char *address, char **ret_address, int *ret_port)
{
	int fd = -1, port = 0;
	TRY(tcp_socket_listen(address, &fd, &port));
	(void)close(fd);
	const char *colon = strrchr(address, ':');
	*ret_address = mem_printf("%.*s:%d", (int)(colon - address), address, port);
	*ret_port = port;
	return NULL;
}

struct fault *sds_server_listen_tcp(struct sds_server *s, const char *address, size_t tls, int *ret_port)
{
	AUTO(mem_freep) char *exact = NULL;
	int port = 0;
	struct tls_listener *l = listener_number(s, tls);
	invariant(!s->started && l);
	TRY(claim_port(address, &exact, &port));
	for (unsigned w = 0; w < s->o.workers; w++) {
		grpc_server_credentials *creds = tls_credentials(l, &s->ports);
		int bound = grpc_server_add_http2_port(s->workers[w].grpc, exact, creds);
		grpc_server_credentials_release(creds);
		if (bound != port)
			return fault_new(FAULT_CONFLICT, "cannot listen on %s", address);
	}
	accept_watch_tcp(s->acceptor, port);
	if (ret_port)
		*ret_port = port;
	return NULL;
}

void sds_server_start(struct sds_server *s)
{
	s->started = true;
	for (unsigned w = 0; w < s->o.workers; w++) {
		struct fault *f = worker_start(&s->workers[w]);
		invariant(!f); /* no thread at start: nothing can be served */
	}
	for (size_t i = 0; i < s->pending_count; i++)
		fault_ignore(
			accept_listen(s->acceptor, s->pending_fds[i]), "the same bound was checked when it was given");
	s->pending_count = 0;
}

static struct message *make_health(const void *arg)
{
	struct message *m = message_new(MAIL_HEALTH, 0);
	m->on = *(const bool *)arg;
	return m;
}

void sds_server_set_health(struct sds_server *s, bool serving)
{
	post(s, OUTLET_ALL_WORKERS, make_health, &serving);
}

/* --- ending --- */

static struct message *make_drain(const void *arg)
{
	struct message *m = message_new(MAIL_DRAIN, 0);
	m->grace_ms = *(const int64_t *)arg;
	return m;
}

void sds_server_drain(struct sds_server *s, int64_t grace_ms, void (*drained)(void *arg), void *arg)
{
	s->drained = drained;
	s->drained_arg = arg;
	accept_stop(s->acceptor);
	if (s->started)
		post(s, OUTLET_ALL_WORKERS, make_drain, &grace_ms);
	else
		wakeup_ring(s->wakeup);
}

void server_worker_stopped(struct sds_server *s)
{
	(void)mailbox_post(s->notices, &notice_new(NOTICE_STOPPED)->mail);
}

static void on_notice(void *arg)
{
	struct sds_server *s = arg;
	struct mail *m = mailbox_drain(s->notices, 0), *next;
	for (; m; m = next) {
		next = m->next;
		if (m->type == NOTICE_STOPPED)
			s->stopped++;
		else
			deal_take(s, container_of(m, struct notice, mail));
		m->free(m);
	}
	if (s->drained && (s->stopped == s->o.workers || !s->started)) {
		void (*drained)(void *arg2) = s->drained;
		s->drained = NULL;
		drained(s->drained_arg);
	}
}

void sds_server_free(struct sds_server *s)
{
	if (!s)
		return;
	accept_free(s->acceptor);
	for (size_t i = 0; i < s->pending_count; i++)
		(void)close(s->pending_fds[i]);
	for (unsigned w = 0; w < s->o.workers; w++)
		worker_done(&s->workers[w]);
	sds_meters_free(s);
	for (struct tls_listener *l = s->tls, *next; l; l = next) {
		next = tls_listener_next(l);
		tls_listener_free(l);
	}
	tls_ports_free(s->ports);
	reflection_free(s->reflection);
	grpc_server_credentials_release(s->plain);
	grpc_resource_quota_unref(s->memory);
	mailbox_free(s->notices);
	free(s->pulses);
	deals_free(s);
	wakeup_free(s->wakeup);
	free(s->workers);
	free(s->instance);
	free(s);
	grpc_shutdown_blocking();
}

struct sds_counts sds_server_counts(const struct sds_server *s)
{
	return (struct sds_counts){.connections = accept_count(s->acceptor),
		.streams = (uint64_t)meters_open_calls(s),
		.subscriptions = (uint64_t)meters_subscriptions(s)};
}
