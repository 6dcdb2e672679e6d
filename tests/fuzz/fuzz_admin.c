/* tests/fuzz/fuzz_admin.c - bodies of orders on the admin socket: the first byte is the route, the others are the body.
 * HTTP and the control loop are stood in for (a function of control/control.h that a route calls anew wants its
 * stand-in here); what they are handed is checked: each request is answered once, never with an internal error, in
 * JSON; an order reaches the control loop only with a possible name and what the body says. */
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "base/anchors.h"
#include "base/clock.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/gate.h"
#include "base/io/job.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/text.h"
#include "cache/seal_key.h"
#include "cache/store.h"
#include "control/control.h"
#include "control/node.h"
#include "daemon/admin/internal.h"
#include "sds/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* -- HTTP -- */

struct http_exchange {
	struct buf body;
	unsigned replies, status, orders;
	bool flag; /* what the order was handed: compromised, force, for nobody, a key of the operator's */
	enum ca_reason reason;
};

const struct buf *http_body(const struct http_exchange *x)
{
	return &x->body;
}

const char *http_peer(const struct http_exchange *x)
{
	(void)x;
	return "uid 0";
}

void http_reply(struct http_exchange *x, unsigned status, const char *content_type, struct buf *body)
{
	json_t *o = json_loadb(buf_text(body), body->len, JSON_REJECT_DUPLICATES, NULL);
	invariant(!strcmp(content_type, "application/json") && json_is_object(o));
	json_decref(o);
	x->replies++;
	x->status = status;
	buf_free(body);
}

void http_reply_fault(struct http_exchange *x, struct fault *f)
{
	const char *text = fault_text(f);
	invariant(fault_code(f) != FAULT_INTERNAL && fault_code(f) != FAULT_CORRUPT);
	invariant(text_is_utf8(text, strlen(text)));
	x->replies++;
	x->status = 400;
	fault_free(f);
}

void http_reply_file(struct http_exchange *x, const char *content_type, int fd, uint64_t len)
{
	invariant(!strcmp(content_type, "application/vnd.sqlite3") && fd == -1 && !len);
	x->replies++;
	x->status = 200;
}

/* -- the control loop -- */

void jobs_run(struct jobs *j, bool slow, job_work_fn *work, job_done_fn *done, void *arg)
{
	(void)j;
	invariant(slow);
	work(arg);
	done(arg);
}

static struct http_exchange *current;

static void order(const char *name, const char *by)
{
	invariant(text_is_name(name, strlen(name)) && !strcmp(by, "uid 0"));
	current->orders++;
}

void control_put_certificate(
	struct control *c, const char *name, struct credential *cred, const char *by, control_done_fn *done, void *arg)
{
	(void)c;
	order(name, by);
	struct fault *f = gate_check_credential(cred);
	invariant(!f);
	done(arg, NULL);
}

void control_put_bundle(
	struct control *c, const char *name, struct anchors *a, const char *by, control_done_fn *done, void *arg)
{
	(void)c;
	order(name, by);
	invariant(anchors_count(a) > 0);
	done(arg, NULL);
}

void control_delete(
	struct control *c, const char *name, const char *by, size_t *ret_subscribers, control_done_fn *done, void *arg)
{
	(void)c;
	order(name, by);
	*ret_subscribers = 1;
	done(arg, strlen(name) % 2 ? NULL : fault_new(FAULT_NOT_FOUND, "there is no \"%s\"", name));
}

void control_rotate(struct control *c, const char *name, const char *by, control_done_fn *done, void *arg)
{
	(void)c;
	order(name, by);
	done(arg, strlen(name) % 2 ? NULL : fault_new(FAULT_INVALID, "nothing to rotate in \"%s\"", name));
}

void control_audit(struct control *c, const char *event, const char *name, const char *version, const char *by,
	const char *detail, control_done_fn *done, void *arg)
{
	(void)c, (void)event, (void)name, (void)version, (void)detail;
	invariant(!strcmp(by, "uid 0"));
	if (done)
		done(arg, NULL);
}

void control_retry(struct control *c, const char *name, const char *node, const char *by, size_t *ret_count,
	control_done_fn *done, void *arg)
{
	(void)c;
	order(name, by);
	invariant(!node || (strlen(node) <= NODE_TEXT_MAX && text_is_utf8(node, strlen(node))));
	*ret_count = 1;
	done(arg, strlen(name) % 2 ? NULL : fault_new(FAULT_NOT_FOUND, "nothing of \"%s\" is held back", name));
}

void control_rollback(
	struct control *c, const char *name, const char *version, const char *by, control_done_fn *done, void *arg)
{
	(void)c;
	order(name, by);
	invariant(!version || (strlen(version) >= 4 && strlen(version) <= 32 && !strpbrk(version, "/{}\" ")));
	done(arg, version ? fault_new(FAULT_NOT_FOUND, "there is no version %s of %s", version, name) : NULL);
}

void control_pin(struct control *c, const char *name, bool on, const char *by, control_done_fn *done, void *arg)
{
	(void)c;
	order(name, by);
	done(arg, on ? NULL : fault_new(FAULT_CONFLICT, "%s is not pinned", name));
}

void control_each_version(
	struct control *c, const char *name, void (*fn)(void *arg, const struct control_version *v), void *arg)
{
	(void)c;
	order(name, "uid 0");
	fn(arg, &(struct control_version){.entry = name, .id = "0123", .not_after_ms = 1000});
}

/* Of orders about an authority, or about the state as a whole. */
static void order_about(const char *authority, const char *by)
{
	invariant(!authority || text_is_name(authority, strlen(authority)));
	invariant(!strcmp(by, "uid 0"));
	current->orders++;
}

static struct fault *unless_odd(const char *authority)
{
	return !authority || strlen(authority) % 2 ? NULL
						   : fault_new(FAULT_NOT_FOUND, "there is no authority %s", authority);
}

void control_rotate_all(
	struct control *c, const char *authority, int64_t over_ms, const char *by, control_done_fn *done, void *arg)
{
	(void)c;
	order_about(authority, by);
	invariant(over_ms >= 0 && over_ms <= CONTROL_OVER_MAX_MS && over_ms % 1000 == 0);
	done(arg, unless_odd(authority));
}

void control_trust_rotate(struct control *c, const char *authority, int64_t over_ms, bool compromised, const char *by,
	control_done_fn *done, void *arg)
{
	(void)c;
	order_about(authority, by);
	invariant(over_ms >= 0 && over_ms <= CONTROL_OVER_MAX_MS && over_ms % 1000 == 0);
	current->flag = compromised;
	done(arg, unless_odd(authority));
}

void control_trust_proceed(
	struct control *c, const char *authority, const char *node, const char *by, control_passed_fn *done, void *arg)
{
	struct fault *f = unless_odd(authority);
	(void)c;
	order_about(authority, by);
	invariant(!node || (strlen(node) <= NODE_TEXT_MAX && text_is_utf8(node, strlen(node))));
	current->flag = !node;
	done(arg, f, f ? NULL : node);
}

void control_trust_pause(
	struct control *c, const char *authority, bool on, const char *by, control_done_fn *done, void *arg)
{
	(void)c;
	order_about(authority, by);
	done(arg, on ? unless_odd(authority) : fault_new(FAULT_CONFLICT, "trust of %s is not paused", authority));
}

void control_trust_remove(
	struct control *c, const char *authority, bool force, const char *by, control_removed_fn *done, void *arg)
{
	(void)c;
	order_about(authority, by);
	current->flag = force;
	done(arg, unless_odd(authority), 1);
}

void control_trust_ban(struct control *c, const char *authority, const char *sha256, bool force, const char *by,
	control_done_fn *done, void *arg)
{
	(void)c;
	invariant(sha256);
	order_about(authority, by);
	current->flag = force;
	done(arg, unless_odd(authority));
}

void control_trust_restore(
	struct control *c, const char *authority, const char *sha256, const char *by, control_done_fn *done, void *arg)
{
	(void)c;
	order_about(authority, by);
	current->flag = !sha256;
	done(arg, unless_odd(authority));
}

void control_revoke(
	struct control *c, const char *name, enum ca_reason reason, const char *by, control_revoked_fn *done, void *arg)
{
	struct fault *f = strlen(name) % 2 ? NULL : fault_new(FAULT_NOT_FOUND, "there is no \"%s\"", name);
	(void)c;
	order(name, by);
	current->reason = reason;
	done(arg, f, f ? NULL : "as told");
}

void control_rehearse(struct control *c, const char *authority, const char *secret, const char *by,
	control_rehearsed_fn *done, void *arg)
{
	struct fault *failure = fault_new(FAULT_DENIED, "%s does not want to", authority);
	(void)c;
	order(authority, by);
	invariant(!secret || text_is_name(secret, strlen(secret)));
	done(arg, NULL,
		&(struct control_rehearsal){.authority = authority,
			.profile = "p",
			.entry = secret ? secret : "-",
			.failure = failure,
			.answer_ms = -1,
			.check_ms = -1});
	fault_free(failure);
}

void control_rotate_seal(
	struct control *c, const struct secret *given, const char *by, control_rotated_fn *done, void *arg)
{
	size_t len = SEAL_KEY_BYTES;
	(void)c;
	order_about(NULL, by);
	if (given)
		(void)secret_bytes(given, &len);
	invariant(len == SEAL_KEY_BYTES);
	current->flag = given;
	done(arg, NULL, &(struct store_rotation){.waits = given});
}

void control_backup(struct control *c, const char *by, control_copied_fn *done, void *arg)
{
	(void)c;
	order_about(NULL, by);
	done(arg, NULL, -1, 0);
}

void control_audit_read(struct control *c, int64_t after, size_t limit,
	void (*done)(void *arg, struct fault *f, const struct store_audit_page *page), void *arg)
{
	(void)c;
	invariant(after >= 0 && limit <= STORE_AUDIT_PAGE_MAX);
	done(arg, NULL, &(struct store_audit_page){.head = {.base_seq = after}});
}

size_t control_memory_only(const struct control *c)
{
	(void)c;
	return 1;
}

struct fault *control_get(struct control *c, const char *name, struct version **ret)
{
	(void)c;
	(void)ret;
	return fault_new(FAULT_NOT_FOUND, "there is no \"%s\"", name);
}

void control_each_subscriber(
	struct control *c, const char *entry, void (*fn)(void *arg, const struct control_subscriber *s), void *arg)
{
	(void)c;
	fn(arg, &(struct control_subscriber){.identity = "uid 1",
			.node = entry,
			.acked_version = "",
			.nacked_version = "",
			.nack_text = ""});
}

/* -- bodies -- */

/* Is the value of this key, where it is a text, base64 and nothing else? */
static bool is_base64(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));
	size_t len = text ? strlen(text) : 0, letters = 0;
	for (; letters < len; letters++) {
		char c = text[letters];
		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' ||
			    c == '/'))
			break;
	}
	return len % 4 == 0 && len - letters <= 2 &&
	       (letters == len || !strcmp(text + letters, "=") || !strcmp(text + letters, "=="));
}

static const char *const reasons[] = {[CA_REASON_UNSPECIFIED] = "unspecified",
	[CA_REASON_KEY_COMPROMISE] = "key-compromise",
	[CA_REASON_AFFILIATION_CHANGED] = "affiliation-changed",
	[CA_REASON_SUPERSEDED] = "superseded",
	[CA_REASON_CESSATION_OF_OPERATION] = "cessation-of-operation"};

static bool is_one_of(const char *key, const char *const *keys)
{
	for (; *keys; keys++)
		if (!strcmp(key, *keys))
			return true;
	return false;
}

/* The value of a key is what such a key should be: a flag that is no boolean must not pass for one that is not set. */
static bool is_proper(const json_t *o, const char *key, const json_t *value)
{
	static const char *const texts[] = {"name", "node", "version", "authority", "secret", "reason", "sha256", NULL};
	static const char *const flags[] = {"compromised", "force", "all", NULL};
	if (is_one_of(key, flags))
		return json_is_boolean(value);
	if (!strcmp(key, "over_s"))
		return json_is_integer(value);
	return is_one_of(key, texts) ? json_is_string(value) : is_base64(o, key);
}

/* An order was given: then the body is an object whose keys we know, and its values are what they should be. */
static void check_order(const struct http_exchange *x, const char *const *keys)
{
	json_t *o = json_loadb(buf_text(&x->body), x->body.len, 0, NULL);
	const char *key;
	json_t *value;
	bool flag = false, is_seal = keys[0] && !strcmp(keys[0], "key");
	invariant(x->orders == 1 && json_is_object(o));
	json_object_foreach(o, key, value)
	{
		invariant(is_one_of(key, keys) && (is_seal || is_proper(o, key, value)));
		flag = flag || json_is_true(value) || (is_seal && json_is_string(value));
	}
	invariant(x->flag == flag);
	const char *reason = json_string_value(json_object_get(o, "reason"));
	invariant(!reason || !strcmp(reason, reasons[x->reason]));
	json_decref(o);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	json_memory_wipe();
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	return 0;
}

/* New ones at the end: seeds name them by their place. */
static const struct {
	void (*handle)(void *admin, struct http_exchange *x);
	const char *keys[6];
} routes[] = {
	{route_put, {"name", "cert", "key", "bundle", "password"}},
	{route_delete, {"name"}},
	{route_rotate, {"name"}},
	{route_get, {"name"}},
	{route_subscribers, {"entry"}},
	{route_log_level, {"level"}},
	{route_retry, {"name", "node"}},
	{route_audit, {"after", "limit"}},
	{route_versions, {"name"}},
	{route_rollback, {"name", "version"}},
	{route_pin, {"name"}},
	{route_unpin, {"name"}},
	{route_rotate_all, {"authority", "over_s"}},
	{route_revoke, {"name", "reason"}},
	{route_trust_rotate, {"authority", "over_s", "compromised"}},
	{route_trust_proceed, {"authority", "node", "all"}},
	{route_trust_pause, {"authority"}},
	{route_trust_resume, {"authority"}},
	{route_trust_remove, {"authority", "sha256", "force"}},
	{route_authority_test, {"name", "secret"}},
	{route_seal_rotate, {"key"}},
	{route_backup, {NULL}},
	{route_trust_restore, {"authority", "sha256", "force"}},
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct http_exchange x = {.body = BUF_SECRET_INIT};
	struct admin a = {.o = {.clock = clock_system()}};
	if (!len)
		return 0;
	unsigned route = data[0] % ARRAY_LEN(routes);
	buf_add(&x.body, data + 1, len - 1);
	current = &x;
	routes[route].handle(&a, &x);
	invariant(x.replies == 1 && x.orders <= 1);
	if (x.orders)
		check_order(&x, routes[route].keys);
	buf_free(&x.body);
	return 0;
}
