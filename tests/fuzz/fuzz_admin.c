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
#include "base/text.h"
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

void control_audit_read(struct control *c, int64_t after, size_t limit,
	void (*done)(void *arg, struct fault *f, const struct store_audit_page *page), void *arg)
{
	(void)c;
	invariant(after >= 0 && limit <= STORE_AUDIT_PAGE_MAX);
	done(arg, NULL, &(struct store_audit_page){.head = {.base_seq = after}});
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

/* An order was given: then the body is an object whose keys we know, and its texts are what they should be. */
static void check_order(const struct http_exchange *x, const char *const *keys)
{
	json_t *o = json_loadb(buf_text(&x->body), x->body.len, 0, NULL);
	const char *key;
	json_t *value;
	invariant(x->orders == 1 && json_is_object(o));
	json_object_foreach(o, key, value)
	{
		bool known = false, is_text = !strcmp(key, "name") || !strcmp(key, "node") || !strcmp(key, "version");
		for (size_t i = 0; keys[i]; i++)
			known = known || !strcmp(key, keys[i]);
		invariant(known && (is_text || is_base64(o, key)));
	}
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
