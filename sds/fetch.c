/* sds/fetch.c - FetchSecrets: the current secrets of the names given, in one response. Names that are being issued are
 * waited for; unknown and denied ones are left out and delay nothing. */
#include <grpc/slice.h>
#include <openssl/sha.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "sds/internal.h"

/* Names in one request: each may be answered by a body of a megabyte. */
enum { FETCH_NAMES_MAX = 1000 };

struct fetch {
	struct node *node;
	struct interest **interests;
	size_t count;
	bool asked, late;
};

static void add_name(struct call *c, struct view name)
{
	struct fetch *f = c->user;
	if (!text_is_name(name.at, name.len))
		return;
	AUTO(mem_freep) char *text = mem_strndup(name.at, name.len);
	for (size_t i = 0; i < f->count; i++)
		if (strcmp(f->interests[i]->name, text) == 0)
			return;
	if (interest_would_be_new(c, text) && !owner_takes_new_name(c))
		return;
	f->interests[f->count++] = interest_new(c, f->node, NULL, text, false);
}

static struct fault *take_request(struct call *c, const struct request *r)
{
	struct fetch *f = c->user;
	bool secret;
	TRY(request_type_ok(r, false, &secret));
	if (r->has_node)
		TRY(request_node(r, c->worker->server->o.limits.node_bytes, &f->node));
	f->interests = mem_array(struct interest *, r->names_count);
	pace_charge(c, r->names_count);
	for (size_t i = 0; i < r->names_count; i++)
		add_name(c, r->names[i]);
	f->asked = true;
	return NULL;
}

static void on_message(struct call *c, const void *bytes, size_t len)
{
	struct request r;
	struct fetch *fetch = c->user;
	if (fetch->asked) {
		call_end(c, GRPC_STATUS_INVALID_ARGUMENT, "FetchSecrets takes one request");
		return;
	}
	size_t most = c->worker->server->o.limits.names_per_request;
	AUTO(fault_freep)
	struct fault *f = request_read(bytes, len, false, most < FETCH_NAMES_MAX ? most : FETCH_NAMES_MAX, &r);
	if (!f) {
		f = take_request(c, &r);
		request_done(&r);
	}
	if (f && fault_code(f) == FAULT_EXHAUSTED)
		limit_end(c, LIMIT_NAMES_PER_REQUEST, fault_text(f));
	else if (f)
		call_end(c, call_status_of(fault_code(f)), fault_text(f));
	else
		call_mark(c);
}

static void unref_version(void *arg)
{
	version_unref(arg);
}

/* One name: its version. Several: a digest over all of them, which changes when any does. */
static void version_info(struct version *const *versions, size_t count, char ret[33])
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	struct buf all = BUF_INIT;
	for (size_t i = 0; i < count; i++)
		buf_printf(&all, "%s\n", version_id(versions[i]));
	SHA256((const unsigned char *)buf_text(&all), all.len, digest);
	buf_free(&all);
	text_hex(digest, 16, ret);
	if (count == 1)
		(void)snprintf(ret, 33, "%s", version_id(versions[0]));
}

static void reply(struct call *c, struct version *const *versions, size_t count)
{
	grpc_slice *slices = mem_array(grpc_slice, 2 * count + 1);
	struct buf head = BUF_INIT;
	char version[33];
	size_t n = 0;
	version_info(versions, count, version);
	const struct frame f = {.type_url = FRAME_SECRET_TYPE_URL,
		.version = version,
		.nonce = "",
		.control_plane = c->worker->server->instance};
	frame_fetch_rest(&f, &head);
	for (size_t i = 0; i < count; i++) {
		size_t len;
		const unsigned char *body = version_body(versions[i], BODY_PLAIN, &len);
		frame_fetch_resource(entry_key_name(version_entry(versions[i])), len, &head);
		slices[n++] = grpc_slice_from_copied_buffer((const char *)head.data, head.len);
		slices[n++] = grpc_slice_new_with_user_data(
			(void *)(uintptr_t)body, len, unref_version, version_ref(versions[i]));
		buf_truncate(&head, 0);
	}
	if (head.len)
		slices[n++] = grpc_slice_from_copied_buffer((const char *)head.data, head.len);
	buf_free(&head);
	call_send(c, slices, n);
	free(slices);
	call_end(c, GRPC_STATUS_OK, "");
}

static void on_pump(struct call *c)
{
	struct fetch *f = c->user;
	struct version **versions = mem_array(struct version *, f->count);
	size_t count = 0, waiting = 0;
	for (size_t i = 0; i < f->count; i++) {
		enum answer a = interest_answer(f->interests[i], &versions[count]);
		if (a == ANSWER_VERSION && interest_node_takes(f->interests[i], versions[count]))
			count++;
		else if (a == ANSWER_PENDING)
			waiting++;
	}
	if (f->asked && (!waiting || f->late))
		reply(c, versions, count);
	free(versions);
}

static void on_half_close(struct call *c)
{
	struct fetch *f = c->user;
	if (!f->asked)
		call_end(c, GRPC_STATUS_INVALID_ARGUMENT, "FetchSecrets takes one request");
}

static void on_timeout(struct call *c)
{
	struct fetch *f = c->user;
	f->late = true;
	if (f->asked)
		call_mark(c);
	else
		call_end(c, GRPC_STATUS_DEADLINE_EXCEEDED, "no request came");
}

static void on_closed(struct call *c)
{
	struct fetch *f = c->user;
	c->user = NULL;
	for (size_t i = 0; i < f->count; i++)
		interest_leave(f->interests[i]);
	free(f->interests);
	node_unref(f->node);
	free(f);
}

static bool owes(struct call *c)
{
	const struct fetch *f = c->user;
	return f->asked;
}

static const struct call_ops fetch_ops = {.message = on_message,
	.half_close = on_half_close,
	.pump = on_pump,
	.timeout = on_timeout,
	.closed = on_closed,
	.policy_changed = call_mark,
	.owes = owes};

void fetch_open(struct call *c)
{
	c->user = mem_new(struct fetch);
	c->ops = &fetch_ops;
	call_set_timer(c, c->worker->server->o.limits.fetch_wait_ms);
}
