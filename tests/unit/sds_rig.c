#include "sds_rig.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include "base/anchors.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/io/unix_socket.h"
#include "base/io/wakeup.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/table.h"
#include "cache/entry.h"
#include "cache/version.h"
#include "control/definitions.h"
#include "control/identity.h"
#include "control/node.h"
#include "control/policy.h"

struct rig_secret {
	UT_hash_handle hh;
	char *name;
	struct entry_key *entry;
	struct version *version; /* NULL: being issued */
	struct outlet_older older[OUTLET_OLDER_MAX];
	size_t older_count;
};

/* --- policy --- */

static void allow(struct rule_def *rule, const char *const *may)
{
	size_t n = 0;
	while (may[n])
		n++;
	rule->may = mem_array(char *, n);
	for (; rule->may_count < n; rule->may_count++)
		rule->may[rule->may_count] = mem_strdup(may[rule->may_count]);
}

static struct policy *make_policy(struct rig *r, const char *const *may)
{
	struct definitions *d = mem_new(struct definitions);
	d->rules = mem_array(struct rule_def, 2);
	d->rule_count = 2;
	d->rules[0].who = WHO_UID;
	d->rules[0].uid = getuid();
	d->rules[1].who = WHO_URI;
	d->rules[1].uri = mem_strdup("spiffe://rig/**");
	for (size_t i = 0; i < d->rule_count; i++)
		allow(&d->rules[i], may);
	struct policy *p = policy_new(d, ++r->policy_generation);
	definitions_free(d);
	return p;
}

void rig_set_policy(struct rig *r, const char *const *may)
{
	policy_unref(r->policy);
	r->policy = make_policy(r, may);
	r->out->policy(r->out->arg, r->policy, ++r->seq);
}

/* --- secrets --- */

static struct rig_secret *find(struct rig *r, const char *name)
{
	struct rig_secret *s = NULL;
	HASH_FIND_STR(r->secrets, name, s);
	return s;
}

void rig_issue(struct rig *r, const char *name)
{
	struct rig_secret *s = mem_new(struct rig_secret);
	s->name = mem_strdup(name);
	s->entry = entry_key_new(name, NULL, 0);
	HASH_ADD_KEYPTR(hh, r->secrets, s->name, strlen(s->name), s);
}

static X509 *make_root(void)
{
	static long serial;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	assert_true(key && x && X509_set_version(x, 2));
	assert_true(ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial));
	assert_true(X509_gmtime_adj(X509_getm_notBefore(x), -60) && X509_gmtime_adj(X509_getm_notAfter(x), 3600));
	X509_NAME *name = X509_get_subject_name(x);
	assert_true(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)"rig", -1, -1, 0));
	assert_true(X509_set_issuer_name(x, name) && X509_set_pubkey(x, key));
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
	assert_true(e && X509_add_ext(x, e, -1));
	X509_EXTENSION_free(e);
	e = X509V3_EXT_conf_nid(NULL, NULL, NID_key_usage, "critical,keyCertSign,cRLSign");
	assert_true(e && X509_add_ext(x, e, -1));
	X509_EXTENSION_free(e);
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	EVP_PKEY_free(key);
	return x;
}

struct version *rig_make_version(const struct entry_key *entry, int certificates)
{
	struct anchors *a = NULL;
	struct version *v = NULL;
	STACK_OF(X509) *roots = sk_X509_new_null();
	for (int i = 0; i < certificates; i++)
		assert_int_equal(sk_X509_push(roots, make_root()), i + 1);
	assert_null(anchors_new(roots, &a));
	sk_X509_pop_free(roots, X509_free);
	const struct version_origin o = {.authority = "rig", .received_at_ms = clock_wall_ms(clock_system())};
	assert_null(version_new_bundle(entry, a, &o, &v));
	anchors_unref(a);
	return v;
}

static struct rig_secret *publish(struct rig *r, const char *name, int certificates)
{
	struct rig_secret *s = find(r, name);
	if (!s) {
		rig_issue(r, name);
		s = find(r, name);
	}
	if (s->version) {
		memmove(&s->older[1], &s->older[0], (OUTLET_OLDER_MAX - 1) * sizeof s->older[0]);
		(void)snprintf(s->older[0].id, sizeof s->older[0].id, "%s", version_id(s->version));
		s->older[0].not_after_ms = version_not_after_ms(s->version);
		s->older_count += s->older_count < OUTLET_OLDER_MAX;
	}
	version_unref(s->version);
	s->version = rig_make_version(s->entry, certificates);
	r->out->publish(r->out->arg, s->entry, s->version, ++r->seq);
	return s;
}

void rig_publish(struct rig *r, const char *name, char *ret_id)
{
	const struct rig_secret *s = publish(r, name, 1);
	if (ret_id)
		memcpy(ret_id, version_id(s->version), 33);
}

void rig_publish_large(struct rig *r, const char *name)
{
	(void)publish(r, name, 250);
}

static void forget(struct rig *r, struct rig_secret *s)
{
	HASH_DEL(r->secrets, s);
	version_unref(s->version);
	entry_key_unref(s->entry);
	free(s->name);
	free(s);
}

void rig_delete(struct rig *r, const char *name)
{
	struct rig_secret *s = find(r, name);
	assert_non_null(s);
	r->out->absent(r->out->arg, OUTLET_ALL_WORKERS, s->entry, NULL, name, ABSENT_DELETED, ++r->seq);
	forget(r, s);
}

void rig_quarantine(
	struct rig *r, const char *node_id, const char *name, const char *version_id_, bool on, bool forgive)
{
	struct identity *me = identity_new_unix(getuid(), getgid(), getpid());
	struct rig_secret *s = find(r, name);
	assert_non_null(s);
	struct outlet_quarantine q = {.identity = identity_key(me),
		.node_id = node_id,
		.entry = s->entry,
		.version_id = version_id_,
		.on = on,
		.forgive = forgive,
		.older_count = s->older_count};
	memcpy(q.older, s->older, sizeof q.older);
	r->out->quarantine(r->out->arg, &q, ++r->seq);
	identity_unref(me);
}

void rig_revoke(struct rig *r, const char *name, const char *version_id_)
{
	struct rig_secret *s = find(r, name);
	assert_non_null(s);
	r->out->revoked(r->out->arg, s->entry, version_id_, ++r->seq);
}

/* --- control --- */

static void keep(struct rig *r, unsigned worker, const struct report *from)
{
	r->reports = mem_realloc(r->reports, (r->report_count + 1) * sizeof *r->reports);
	struct rig_report *to = &r->reports[r->report_count++];
	memset(to, 0, sizeof *to);
	to->worker = worker;
	to->what = from->what;
	to->stream = from->stream;
	to->has_answer = from->has_answer;
	to->delta = from->delta;
	(void)snprintf(to->name, sizeof to->name, "%s", from->name);
	(void)snprintf(to->acked, sizeof to->acked, "%s", from->acked_version);
	(void)snprintf(to->nacked, sizeof to->nacked, "%s", from->nacked_version);
	(void)snprintf(to->held, sizeof to->held, "%s", from->held_version);
	(void)snprintf(to->nack_text, sizeof to->nack_text, "%s", from->nack_text ? from->nack_text : "");
}

static void answer(struct rig *r, unsigned worker, const struct report *q)
{
	struct rig_secret *s = find(r, q->name);
	if (!policy_decide(r->policy, q->identity, q->name).allowed) {
		r->out->absent(r->out->arg, (int)worker, NULL, q->identity, q->name, ABSENT_DENIED, ++r->seq);
	} else if (q->has_answer || (s && !s->version)) {
		return;
	} else if (s) {
		r->out->publish(r->out->arg, s->entry, s->version, ++r->seq);
	} else {
		r->out->absent(r->out->arg, (int)worker, q->entry, NULL, q->name, ABSENT_UNKNOWN, ++r->seq);
	}
}

static void read_batch(struct rig *r, struct report_batch *b)
{
	r->batches++;
	assert_true(b->count <= 1024);
	for (size_t i = 0; i < b->count; i++) {
		keep(r, b->worker, &b->reports[i]);
		if ((b->reports[i].what & REPORT_WANTED) && !r->mute)
			answer(r, b->worker, &b->reports[i]);
	}
	assert_true(b->applied_seq >= r->applied[b->worker]);
	r->applied[b->worker] = b->applied_seq;
	assert_false(r->stopped[b->worker]); /* nothing follows the last batch */
	r->stopped[b->worker] = b->stopped;
	if (b->stopped)
		return;
	if (r->hold_taken)
		r->untaken[b->worker]++;
	else
		r->out->taken(r->out->arg, b->worker);
}

void rig_release_taken(struct rig *r)
{
	r->hold_taken = false;
	for (unsigned w = 0; w < r->out->workers; w++)
		for (; r->untaken[w]; r->untaken[w]--)
			r->out->taken(r->out->arg, w);
}

static void on_reports(void *arg)
{
	struct rig *r = arg;
	struct mail *m = mailbox_drain(r->mailbox, 0), *next;
	for (; m; m = next) {
		struct report_batch *b = container_of(m, struct report_batch, mail);
		next = m->next;
		read_batch(r, b);
		report_batch_free(b);
	}
}

bool rig_counted_limit(struct rig *r, const char *limit)
{
	AUTO(buf_free) struct buf text = BUF_INIT;
	AUTO(mem_freep) char *sample = mem_printf("leafcast_limit_reached_total{limit=\"%s\"} ", limit);
	metrics_render(r->metrics, METRICS_TEXT, &text);
	const char *at = strstr(buf_text(&text), sample);
	assert_non_null(at);
	return strtoul(at + strlen(sample), NULL, 10) > 0;
}

/* --- life --- */

static void listen_there(struct rig *r)
{
	struct unix_socket_options o = {.path = r->path, .mode = 0600, .owner = (uid_t)-1, .group = (gid_t)-1};
	assert_null(unix_socket_open(&o, &r->socket));
	assert_null(sds_server_listen_unix(r->server, unix_socket_take_fd(r->socket)));
}

static void on_tick(void *arg)
{
	(void)arg;
}

static int64_t now_wall_ms(void *arg)
{
	struct rig *r = arg;
	return clock_wall_ms(clock_system()) + atomic_load(&r->ahead_ms);
}

static int64_t now_mono_ms(void *arg)
{
	struct rig *r = arg;
	return clock_mono_ms(clock_system()) + atomic_load(&r->ahead_ms);
}

struct sds_limits rig_limits(void)
{
	return (struct sds_limits){.connections = 1000,
		.connections_per_identity = 900,
		.streams_per_connection = 1024,
		.streams_per_identity = 100000,
		.names_per_stream = 100,
		.names_per_request = 200,
		.streams_per_second = 1000,
		.requests_per_second = 4000,
		.streams_per_second_per_identity = 10000,
		.requests_per_second_per_identity = 40000,
		.connections_per_second = 400,
		.resets_per_second = 500,
		.new_names_per_connection = 10000,
		.new_names_per_identity = 50000,
		.unanswered_reoffer_ms = 300000,
		.unanswered_close_ms = 900000,
		.message_bytes = 4 << 20,
		.node_bytes = 256,
		.memory_bytes = RIG_MEMORY_BYTES,
		.fetch_wait_ms = 300};
}

static struct rig *make(unsigned workers, const char *const *may, const struct sds_limits *l, int64_t repush_ms)
{
	struct rig *r = mem_new(struct rig);
	memcpy(r->folder, "/tmp/leafcast-XXXXXX", sizeof "/tmp/leafcast-XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	r->path = mem_printf("%s/s", r->folder);
	r->target = mem_printf("unix:%s", r->path);
	r->clock = (struct clock){now_wall_ms, now_mono_ms, r};
	assert_null(loop_new(clock_system(), &r->loop));
	r->tick = timer_new(r->loop, on_tick, NULL);
	r->metrics = metrics_new();
	r->wakeup = wakeup_new(r->loop, on_reports, r);
	r->mailbox = mailbox_new(wakeup_ring, r->wakeup);
	r->inbox.mailbox = r->mailbox;
	r->policy = make_policy(r, may);
	const struct sds_options o = {.workers = workers,
		.limits = *l,
		.repush_ms = repush_ms,
		.instance = "rig",
		.loop = r->loop,
		.clock = &r->clock,
		.metrics = r->metrics,
		.inbox = &r->inbox,
		.policy = r->policy};
	assert_null(sds_server_new(&o, &r->server));
	r->out = sds_server_outlet(r->server);
	listen_there(r);
	return r;
}

struct rig *rig_make(unsigned workers, const char *const *may)
{
	return rig_make_repushing(workers, may, 0);
}

struct rig *rig_make_limited(unsigned workers, const char *const *may, const struct sds_limits *l)
{
	return make(workers, may, l, 0);
}

struct rig *rig_make_repushing(unsigned workers, const char *const *may, int64_t repush_ms)
{
	const struct sds_limits l = rig_limits();
	return make(workers, may, &l, repush_ms);
}

void rig_start(struct rig *r)
{
	sds_server_start(r->server);
}

struct rig *rig_new(unsigned workers, const char *const *may)
{
	struct rig *r = rig_make(workers, may);
	rig_start(r);
	return r;
}

static void on_drained(void *arg)
{
	((struct rig *)arg)->drained = true;
}

void rig_drain(struct rig *r, int64_t grace_ms)
{
	sds_server_drain(r->server, grace_ms, on_drained, r);
}

static bool is_drained(void *arg)
{
	return ((struct rig *)arg)->drained;
}

void rig_free(struct rig *r)
{
	if (!r->drained) {
		rig_drain(r, 0);
		rig_until(r, NULL, is_drained, r);
	}
	assert_int_equal(sds_server_counts(r->server).streams, 0);
	sds_server_free(r->server);
	mailbox_free(r->mailbox);
	wakeup_free(r->wakeup);
	while (r->secrets)
		forget(r, r->secrets);
	policy_unref(r->policy);
	timer_free(r->tick);
	loop_free(r->loop);
	metrics_free(r->metrics);
	unix_socket_close(r->socket);
	AUTO(mem_freep) char *lock = mem_printf("%s.lock", r->path);
	(void)unlink(lock);
	assert_int_equal(rmdir(r->folder), 0);
	free(r->path);
	free(r->target);
	free(r->reports);
	free(r);
}

/* --- waiting --- */

void rig_turn(struct rig *r, struct rpc_client *c)
{
	if (c) {
		(void)loop_turn(r->loop, false);
		rpc_client_turn(c, 1);
	} else {
		timer_start(r->tick, 10);
		(void)loop_turn(r->loop, true);
	}
}

void rig_until(struct rig *r, struct rpc_client *c, bool (*cond)(void *arg), void *arg)
{
	int64_t end = clock_mono_ms(clock_system()) + RIG_DEADLINE_MS;
	while (!cond(arg)) {
		assert_true(clock_mono_ms(clock_system()) < end);
		rig_turn(r, c);
	}
}

static bool is_settled(void *arg)
{
	const struct rig *r = arg;
	for (unsigned w = 0; w < r->out->workers; w++)
		if (r->applied[w] < r->seq)
			return false;
	return true;
}

/* A broadcast goes last, so that every worker has something to report. */
void rig_settle(struct rig *r)
{
	r->out->policy(r->out->arg, r->policy, ++r->seq);
	rig_until(r, NULL, is_settled, r);
}

void rig_skip(struct rig *r, int64_t ms)
{
	atomic_fetch_add(&r->ahead_ms, ms);
	rig_settle(r);
}

const struct rig_report *rig_find_report(const struct rig *r, size_t from, const char *name, unsigned what)
{
	for (size_t i = from; i < r->report_count; i++)
		if (strcmp(r->reports[i].name, name) == 0 && (r->reports[i].what & what) == what)
			return &r->reports[i];
	return NULL;
}

struct report_wait {
	const struct rig *r;
	size_t from;
	const char *name;
	unsigned what;
};

static bool has_report(void *arg)
{
	const struct report_wait *w = arg;
	return rig_find_report(w->r, w->from, w->name, w->what) != NULL;
}

const struct rig_report *rig_wait_report(
	struct rig *r, struct rpc_client *c, size_t from, const char *name, unsigned what)
{
	struct report_wait w = {r, from, name, what};
	rig_until(r, c, has_report, &w);
	return rig_find_report(r, from, name, what);
}

/* --- clients --- */

struct rpc_client *rig_dial(struct rig *r)
{
	return rpc_client_open(r->target);
}

void rig_ask(struct rpc_stream *s, const struct xds_ask *a)
{
	AUTO(buf_free) struct buf b = BUF_INIT;
	xds_write(a, &b);
	rpc_stream_send(s, b.data, b.len);
}

struct receive_wait {
	struct rpc_stream *s;
	struct buf bytes;
	bool got;
};

static bool has_message(void *arg)
{
	struct receive_wait *w = arg;
	w->got = w->got || rpc_stream_take(w->s, &w->bytes);
	return w->got || rpc_stream_ended(w->s);
}

void rig_receive(struct rig *r, struct rpc_client *c, struct rpc_stream *s, bool delta, struct xds_answer *ret)
{
	struct receive_wait w = {.s = s};
	rig_until(r, c, has_message, &w);
	if (!w.got)
		print_error("ended: %d %s\n", rpc_stream_status(s), rpc_stream_status_text(s));
	assert_true(w.got);
	assert_true(xds_read(&w.bytes, delta, ret));
	buf_free(&w.bytes);
}

static bool has_ended(void *arg)
{
	return rpc_stream_ended(arg);
}

int rig_wait_end(struct rig *r, struct rpc_client *c, struct rpc_stream *s)
{
	rig_until(r, c, has_ended, s);
	return rpc_stream_status(s);
}

/* A second stream of the same connection asks for a name that nobody has: when its answer is here, whatever the worker
 * sent before on this connection is here, too. */
bool rig_is_silent(struct rig *r, struct rpc_client *c, struct rpc_stream *s)
{
	static unsigned fences;
	AUTO(buf_free) struct buf bytes = BUF_INIT;
	char name[32];
	struct xds_answer a;
	rig_settle(r);
	struct rpc_stream *fence = rpc_stream_open(c, RIG_DELTA_SECRETS);
	(void)snprintf(name, sizeof name, "fence-%u", ++fences);
	rig_ask(fence, &(struct xds_ask){.delta = true, .node_id = "fence", .names = {name}});
	rig_receive(r, c, fence, true, &a);
	assert_int_equal(a.removed_count, 1);
	rpc_stream_free(fence);
	return !rpc_stream_take(s, &bytes) && !rpc_stream_ended(s);
}
