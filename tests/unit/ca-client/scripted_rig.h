/* tests/unit/ca-client/scripted_rig.h - a driver on a real loop against a scripted server: rules say what is answered
 * to which request, the latest rule first; what came is kept for the tests to count. Whoever includes it says before
 * which driver: RIG_OPTIONS (a type), RIG_NEW (a function), RIG_DONE (likewise), and defines the four hooks below. */
#ifndef TESTS_UNIT_CA_CLIENT_SCRIPTED_RIG_H
#define TESTS_UNIT_CA_CLIENT_SCRIPTED_RIG_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <dirent.h>
#include <sys/stat.h>
#include "base/anchors.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/io/file.h"
#include "base/io/http.h"
#include "base/io/job.h"
#include "base/io/json_memory.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pem.h"
#include "base/secret.h"
#include "ca-client/ca.h"
#include "certs.h"
#include "http_server.h"
#include "rig_until.h"

enum { RULES_MAX = 40, SEEN_MAX = 400, ANY = -1 };

struct rule {
	const char *what; /* "POST /v1/pki/sign/mesh" */
	const char *with; /* in the head of the request; NULL: whatever is there */
	int left;	  /* how often it holds; ANY: always */
	enum http_act act;
	struct buf reply;
};
struct seen {
	char *what, *head, *body, *client; /* client: of its certificate; "-": none */
};
struct got {
	int times;
	struct fault *fault;
	struct ca_answer *answer;
};
struct rig {
	struct clock clock; /* the driver's: the system's, moved on by later_ms */
	int64_t later_ms;
	struct loop *loop;
	struct jobs *jobs;
	struct http *http;
	struct http_server *server;
	struct ca *ca;
	char folder[64];
	RIG_OPTIONS o;
	X509 *root, *issuer, *leaf, *root2, *issuer2, *leaf2;
	X509_REQ *csr;
	struct san_set sans;
	struct credential *current, *tls; /* the leaf that is renewed, the server's; where the driver has them */
	struct anchors *clients;
	bool renews;	      /* rig_ask() is for a renewal of current */
	pthread_mutex_t lock; /* rules and seen */
	struct rule rules[RULES_MAX];
	size_t rule_count;
	struct seen seen[SEEN_MAX];
	size_t seen_count;
	/* what was told */
	int ready, closed, trust_changes;
	struct fault *ready_fault;
	/* the store of one record */
	struct secret *kept;
	char *kept_key;
	int saves;
	bool save_waits;			       /* until the driver is closed */
	void (*save_done)(void *arg, struct fault *f); /* NULL: none is under way */
	void *save_arg;
	struct timer *save_turn;
	int log_read, log_write;
	struct timer *watchdog;
};

static void rig_server(struct rig *r, struct http_server_options *o); /* its certificate */
static void rig_defaults(struct rig *r);			      /* rules */
static void rig_options(struct rig *r);				      /* r->o, and files that it names */
static void rig_forget(struct rig *r);				      /* at the end */

/* --- the server's side --- */

static enum http_act rig_serve(void *arg, const struct http_seen *s, struct buf *reply)
{
	struct rig *r = arg;
	enum http_act act = HTTP_ACT_REPLY;
	char *what = mem_printf("%s %s", s->method, s->path);
	(void)pthread_mutex_lock(&r->lock);
	if (r->seen_count < SEEN_MAX)
		r->seen[r->seen_count++] = (struct seen){mem_strdup(what), mem_strdup(s->head), mem_strdup(s->body),
			mem_strdup(s->client_uri ? s->client_uri : "-")};
	size_t i = r->rule_count;
	while (i-- > 0) {
		struct rule *rule = &r->rules[i];
		if (rule->left == 0 || strcmp(rule->what, what) != 0 || (rule->with && !strstr(s->head, rule->with)))
			continue;
		if (rule->left > 0)
			rule->left--;
		buf_add(reply, rule->reply.data, rule->reply.len);
		act = rule->act;
		break;
	}
	if (i == (size_t)-1)
		http_server_reply(reply, 404, "application/json", "{\"errors\":[\"no handler for route\"]}");
	(void)pthread_mutex_unlock(&r->lock);
	free(what);
	return act;
}

static struct rule *rig_rule(struct rig *r, const char *what, int times)
{
	assert_true(r->rule_count < RULES_MAX);
	struct rule *rule = &r->rules[r->rule_count++];
	*rule = (struct rule){.what = what, .left = times};
	return rule;
}

/* From now on, and before all other rules, so often: this status and JSON. */
static inline void rig_on(struct rig *r, const char *what, int times, int status, const char *json)
{
	(void)pthread_mutex_lock(&r->lock);
	http_server_reply(&rig_rule(r, what, times)->reply, status, "application/json", json);
	(void)pthread_mutex_unlock(&r->lock);
}

/* Likewise, always, where the head of the request holds a text. */
static inline void rig_on_with(struct rig *r, const char *what, const char *with, int status, const char *json)
{
	(void)pthread_mutex_lock(&r->lock);
	struct rule *rule = rig_rule(r, what, ANY);
	rule->with = with;
	http_server_reply(&rule->reply, status, "application/json", json);
	(void)pthread_mutex_unlock(&r->lock);
}

/* Likewise: these bytes, or nothing at all. */
static inline void rig_on_raw(struct rig *r, const char *what, int times, enum http_act act, const char *bytes)
{
	(void)pthread_mutex_lock(&r->lock);
	struct rule *rule = rig_rule(r, what, times);
	rule->act = act;
	buf_add_text(&rule->reply, bytes);
	(void)pthread_mutex_unlock(&r->lock);
}

/* How many requests were this one. */
static inline int rig_count(struct rig *r, const char *what)
{
	int count = 0;
	(void)pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->seen_count; i++)
		count += strcmp(r->seen[i].what, what) == 0;
	(void)pthread_mutex_unlock(&r->lock);
	return count;
}

/* Does the last of these requests hold the text, in its head or body? */
static inline bool rig_sent(struct rig *r, const char *what, const char *text)
{
	bool found = false;
	(void)pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->seen_count; i++)
		if (strcmp(r->seen[i].what, what) == 0)
			found = strstr(r->seen[i].head, text) || strstr(r->seen[i].body, text);
	(void)pthread_mutex_unlock(&r->lock);
	return found;
}

/* Who the last of these requests was from. */
static inline const char *rig_client(struct rig *r, const char *what)
{
	const char *found = NULL;
	(void)pthread_mutex_lock(&r->lock);
	for (size_t i = 0; i < r->seen_count; i++)
		if (strcmp(r->seen[i].what, what) == 0)
			found = r->seen[i].client;
	(void)pthread_mutex_unlock(&r->lock);
	return found;
}

static inline void rig_add_json_pem(struct buf *b, X509 *cert)
{
	struct buf pem = BUF_INIT;
	pem_add_cert(cert, &pem);
	buf_add_text(b, "\"");
	for (size_t i = 0; i < pem.len; i++)
		buf_printf(b, pem.data[i] == '\n' ? "\\n" : "%c", pem.data[i]);
	buf_add_text(b, "\"");
	buf_free(&pem);
}

/* --- the driver's side --- */

static inline void rig_write(struct rig *r, const char *name, const char *text)
{
	AUTO(mem_freep) char *path = mem_printf("%s/%s", r->folder, name);
	expect_ok(file_write(path, 0600, text, strlen(text)));
}

static inline char *rig_path(struct rig *r, const char *name)
{
	return mem_printf("%s/%s", r->folder, name);
}

static int64_t rig_wall(void *arg)
{
	return clock_wall_ms(clock_system()) + ((struct rig *)arg)->later_ms;
}

static int64_t rig_mono(void *arg)
{
	return clock_mono_ms(clock_system()) + ((struct rig *)arg)->later_ms;
}

static void rig_on_trust(void *arg)
{
	((struct rig *)arg)->trust_changes++;
}

static struct fault *rig_load(void *arg, const char *key, const struct secret **ret)
{
	struct rig *r = arg;
	*ret = r->kept && strcmp(r->kept_key, key) == 0 ? r->kept : NULL;
	return NULL;
}

static void rig_save(void *arg, const char *key, const struct secret *bytes,
	void (*done)(void *done_arg, struct fault *f), void *done_arg)
{
	struct rig *r = arg;
	size_t len;
	const unsigned char *p = secret_bytes(bytes, &len);
	secret_free(TAKE(r->kept));
	free(r->kept_key);
	expect_ok(secret_new(p, len, &r->kept));
	r->kept_key = mem_strdup(key);
	r->saves++;
	assert_null(r->save_done);
	r->save_done = done;
	r->save_arg = done_arg;
	if (!r->save_waits)
		timer_start(r->save_turn, 0);
}

static void rig_on_saved(void *arg)
{
	struct rig *r = arg;
	void (*done)(void *done_arg, struct fault *f) = TAKE(r->save_done);
	done(r->save_arg, NULL);
}

static inline void rig_new(struct rig *r)
{
	const struct ca_env env = {.loop = r->loop,
		.jobs = r->jobs,
		.http = r->http,
		.clock = &r->clock,
		.authority = "corp",
		.arg = r,
		.load = rig_load,
		.save = rig_save,
		.on_trust = rig_on_trust};
	assert_null(r->ca);
	expect_ok(RIG_NEW(&r->o, &env, &r->ca));
}

static inline void rig_on_ready(void *arg, struct fault *f)
{
	struct rig *r = arg;
	r->ready++;
	fault_free(r->ready_fault);
	r->ready_fault = f;
}

static inline void rig_begin(struct rig *r)
{
	int before = r->ready;
	ca_start(r->ca, rig_on_ready, r);
	assert_int_equal(r->ready, before); /* never from within the call */
}

/* Starts, and waits for the answer. */
static inline void rig_start(struct rig *r)
{
	int before = r->ready;
	if (!r->ca)
		rig_new(r);
	rig_begin(r);
	rig_until(r, r->ready > before);
}

static inline void rig_start_well(struct rig *r)
{
	rig_start(r);
	expect_ok(TAKE(r->ready_fault));
}

static inline void rig_on_closed(void *arg)
{
	((struct rig *)arg)->closed++;
}

static inline void rig_stop(struct rig *r)
{
	int before = r->closed;
	ca_close(r->ca, rig_on_closed, r);
	assert_int_equal(r->closed, before);
	if (r->save_done)
		timer_start(r->save_turn, 0);
	rig_until(r, r->closed > before);
	assert_int_equal(r->closed, before + 1);
	r->ca = NULL;
}

static inline void rig_on_issued(void *arg, struct fault *f, struct ca_answer *a)
{
	struct got *g = arg;
	g->times++;
	g->fault = f;
	g->answer = a;
	assert_true((f == NULL) != (a == NULL));
}

static inline struct ca_op *rig_ask(struct rig *r, struct got *g, int64_t patience_ms)
{
	*g = (struct got){0, NULL, NULL};
	const struct ca_request request = {.csr = r->csr,
		.sans = &r->sans,
		.current = r->renews ? r->current : NULL,
		.key_type = KEY_ECDSA_P256,
		.lifetime_ms = MS_PER_HOUR,
		.deadline_ms = clock_mono_ms(&r->clock) + patience_ms};
	struct ca_op *op = ca_issue(r->ca, &request, rig_on_issued, g);
	assert_int_equal(g->times, 0);
	return op;
}

static inline struct got rig_issue(struct rig *r)
{
	struct got g;
	(void)rig_ask(r, &g, RIG_PATIENCE_MS);
	rig_until(r, g.times);
	assert_int_equal(g.times, 1);
	return g;
}

static inline void rig_issue_well(struct rig *r)
{
	struct got g = rig_issue(r);
	expect_ok(g.fault);
	ca_answer_free(g.answer);
}

static inline void rig_issue_fails(struct rig *r, enum fault_code code, const char *words)
{
	struct got g = rig_issue(r);
	expect_fault(g.fault, code, words);
}

/* How often does the log since the last look hold this text? Empties it. */
static inline int rig_logged(struct rig *r, const char *text)
{
	static char lines[65536];
	int count = 0;
	(void)!write(r->log_write, "\n", 1); /* so that a read cannot block */
	ssize_t n = read(r->log_read, lines, sizeof lines - 1);
	assert_true(n > 0);
	lines[n] = 0;
	for (const char *at = lines; (at = strstr(at, text)) != NULL; at++)
		count++;
	return count;
}

static inline int rig_open(void **state)
{
	struct rig *r = mem_new(struct rig);
	int ends[2];
	json_memory_wipe();
	r->clock = (struct clock){rig_wall, rig_mono, r};
	assert_int_equal(pthread_mutex_init(&r->lock, NULL), 0);
	(void)snprintf(r->folder, sizeof r->folder, "/tmp/leafcast-rig-XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	expect_ok(loop_new(clock_system(), &r->loop));
	r->jobs = jobs_new(r->loop);
	r->http = http_new(r->loop);
	r->watchdog = timer_new(r->loop, rig_watchdog, r);
	r->save_turn = timer_new(r->loop, rig_on_saved, r);
	r->root = certs_root(CERTS_ROOT, "root one");
	r->issuer = certs_issuer(r->root, CERTS_ROOT, CERTS_ISSUER, "issuer one");
	r->leaf = certs_leaf(r->issuer, CERTS_ISSUER, CERTS_LEAF);
	r->root2 = certs_root(CERTS_STRANGER, "root two");
	r->issuer2 = certs_issuer(r->root2, CERTS_STRANGER, CERTS_ISSUER, "issuer two");
	r->leaf2 = certs_leaf(r->issuer2, CERTS_ISSUER, CERTS_LEAF);
	r->csr = X509_REQ_new();
	invariant(X509_REQ_set_pubkey(r->csr, certs_key(CERTS_LEAF)) == 1);
	invariant(X509_REQ_sign(r->csr, certs_key(CERTS_LEAF), EVP_sha256()) > 0);
	expect_ok(san_set_add(&r->sans, SAN_DNS, "web.example"));
	expect_ok(san_set_add(&r->sans, SAN_URI, "spiffe://td/a,b"));
	expect_ok(san_set_add(&r->sans, SAN_IP, "192.0.2.1"));
	expect_ok(san_set_add(&r->sans, SAN_EMAIL, "ops@example.org"));
	struct http_server_options o = {.fn = rig_serve, .arg = r};
	rig_server(r, &o);
	r->server = http_server_new(&o);
	rig_defaults(r);
	rig_options(r);
	assert_int_equal(pipe(ends), 0);
	r->log_read = ends[0];
	r->log_write = ends[1];
	log_set_fd(r->log_write);
	log_set_format(LOG_FORMAT_JSON);
	log_set_level(LOG_DEBUG);
	*state = r;
	return 0;
}

static inline void rig_remove_folder(struct rig *r)
{
	DIR *d = opendir(r->folder);
	invariant(d);
	for (struct dirent *e; (e = readdir(d));)
		(void)unlinkat(dirfd(d), e->d_name, 0);
	(void)closedir(d);
	(void)rmdir(r->folder);
}

static inline int rig_close(void **state)
{
	struct rig *r = *state;
	if (r->ca)
		rig_stop(r);
	assert_int_equal(http_running(r->http), 0);
	assert_int_equal(jobs_pending(r->jobs), 0);
	http_server_free(r->server);
	http_free(r->http);
	jobs_free(r->jobs);
	timer_free(r->watchdog);
	timer_free(r->save_turn);
	while (loop_turn(r->loop, false))
		;
	loop_free(r->loop); /* aborts when a handle is open */
	X509 *certs[] = {r->root, r->issuer, r->leaf, r->root2, r->issuer2, r->leaf2};
	for (size_t i = 0; i < ARRAY_LEN(certs); i++)
		X509_free(certs[i]);
	X509_REQ_free(r->csr);
	san_set_free(&r->sans);
	for (size_t i = 0; i < r->rule_count; i++)
		buf_free(&r->rules[i].reply);
	for (size_t i = 0; i < r->seen_count; i++) {
		free(r->seen[i].what);
		free(r->seen[i].head);
		free(r->seen[i].body);
		free(r->seen[i].client);
	}
	fault_free(r->ready_fault);
	secret_free(r->kept);
	free(r->kept_key);
	rig_forget(r);
	RIG_DONE(&r->o);
	rig_remove_folder(r);
	(void)pthread_mutex_destroy(&r->lock);
	log_set_fd(2);
	(void)close(r->log_read);
	(void)close(r->log_write);
	free(r);
	return 0;
}
#define rig_test(fn) cmocka_unit_test_setup_teardown(fn, rig_open, rig_close)
#endif
