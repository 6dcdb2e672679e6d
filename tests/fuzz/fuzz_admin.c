/* tests/fuzz/fuzz_admin.c - bodies of orders on the admin socket: the first byte is the route, the others are the body.
 * HTTP and the control loop are stood in for; what they are handed is checked: each request is answered once, never
 * with an internal error, in JSON; an order reaches the control loop only with a possible name and what the body says.
 */
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
static void check_order(const struct http_exchange *x, const char *keys[])
{
	json_t *o = json_loadb(buf_text(&x->body), x->body.len, 0, NULL);
	const char *key;
	json_t *value;
	invariant(x->orders == 1 && json_is_object(o));
	json_object_foreach(o, key, value)
	{
		bool known = false;
		for (size_t i = 0; keys[i]; i++)
			known = known || !strcmp(key, keys[i]);
		invariant(known && (!strcmp(key, "name") || !strcmp(key, "node") || is_base64(o, key)));
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static void (*const routes[])(void *admin, struct http_exchange *x) = {
		route_put, route_delete, route_rotate, route_get, route_subscribers, route_log_level, route_retry};
	static const char *put_keys[] = {"name", "cert", "key", "bundle", "password", NULL},
			  *name_keys[] = {"name", NULL}, *retry_keys[] = {"name", "node", NULL};
	struct http_exchange x = {.body = BUF_SECRET_INIT};
	struct admin a = {.o = {.clock = clock_system()}};
	if (!len)
		return 0;
	unsigned route = data[0] % ARRAY_LEN(routes);
	buf_add(&x.body, data + 1, len - 1);
	current = &x;
	routes[route](&a, &x);
	invariant(x.replies == 1 && x.orders <= 1);
	if (x.orders)
		check_order(&x, route == 0 ? put_keys : routes[route] == route_retry ? retry_keys : name_keys);
	buf_free(&x.body);
	return 0;
}
