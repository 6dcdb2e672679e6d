#include "daemon/admin/http.h"
#include <errno.h>
#include <jansson.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/mem.h"
#include "base/io/json_memory.h"

enum { CONNECTIONS_MAX = 64, IDLE_TIMEOUT_S = 60 };
/* What telemetry serves takes no body, and anybody may connect. */
#define STRANGERS_BODY_MAX ((size_t)1024)

struct http_site {
	struct loop *loop;
	struct MHD_Daemon *daemon;
	uv_poll_t poll; /* on MHD's epoll descriptor */
	struct timer *timer;
	const struct http_route *routes;
	bool owner_only, quiesced;
	void *arg;
	bool connection_closed; /* during this turn */
	bool in_turn, turn_again;
	size_t pending;
};

struct http_exchange {
	struct http_site *http;
	struct MHD_Connection *connection;
	struct buf body;
	bool too_large, dispatched, suspended, replied;
	unsigned status;
	const char *content_type;
	struct buf reply;
	int reply_fd; /* -1: none; MHD's once it is queued */
	uint64_t reply_bytes;
	char peer[32];
};

/* MHD does the work that is due. At its connection limit it takes the listening socket out of its epoll set and puts it
 * back only in a later run, for which no event comes: so after a turn in which a connection closed there is one more.
 */
static void on_timer(void *arg);
static void turn(struct http_site *h)
{
	if (h->in_turn) {
		h->turn_again = true;
		return;
	}
	h->in_turn = true;
	do {
		h->connection_closed = h->turn_again = false;
		(void)MHD_run(h->daemon);
	} while (h->connection_closed || h->turn_again);
	h->in_turn = false;
	MHD_UNSIGNED_LONG_LONG ms;
	if (MHD_get_timeout(h->daemon, &ms) == MHD_YES)
		timer_start(h->timer, (int64_t)ms);
	else
		timer_stop(h->timer);
}

static void on_timer(void *arg)
{
	turn(arg);
}

static void on_poll(uv_poll_t *p, int status, int events)
{
	(void)status;
	(void)events;
	turn(p->data);
}

static void on_connection(
	void *arg, struct MHD_Connection *c, void **socket_context, enum MHD_ConnectionNotificationCode what)
{
	struct http_site *h = arg;
	(void)c;
	(void)socket_context;
	if (what == MHD_CONNECTION_NOTIFY_CLOSED)
		h->connection_closed = true;
}

static void on_completed(void *arg, struct MHD_Connection *c, void **context, enum MHD_RequestTerminationCode why)
{
	struct http_exchange *x = *context;
	(void)arg;
	(void)c;
	(void)why;
	if (!x)
		return;
	invariant(!x->suspended);
	buf_free(&x->body);
	buf_free(&x->reply);
	if (x->reply_fd >= 0)
		(void)close(x->reply_fd);
	free(x);
	*context = NULL;
}

static struct MHD_Response *make_response(struct http_exchange *x)
{
	if (x->reply_fd < 0)
		return MHD_create_response_from_buffer(
			x->reply.len, x->reply.data ? (void *)x->reply.data : (void *)"", MHD_RESPMEM_PERSISTENT);
	struct MHD_Response *r = MHD_create_response_from_fd64(x->reply_bytes, x->reply_fd);
	if (r)
		x->reply_fd = -1;
	return r;
}

static enum MHD_Result send_reply(struct http_exchange *x)
{
	struct MHD_Response *r = make_response(x);
	if (!r)
		return MHD_NO;
	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, x->content_type);
	(void)MHD_add_response_header(r, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
	enum MHD_Result rc = MHD_queue_response(x->connection, x->status, r);
	MHD_destroy_response(r);
	return rc;
}

/* Who is at the other end of a unix socket. False: a stranger on an owner's socket. */
static bool know_peer(struct http_exchange *x)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct ucred peer;
	socklen_t len = sizeof peer;
	(void)snprintf(x->peer, sizeof x->peer, "tcp");
	if (!info || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0 || peer.pid == 0)
		return !x->http->owner_only;
	(void)snprintf(x->peer, sizeof x->peer, "uid %u", (unsigned)peer.uid);
	return !x->http->owner_only || peer.uid == 0 || peer.uid == geteuid();
}

static void dispatch(struct http_exchange *x, const char *url, const char *method)
{
	struct http_site *h = x->http;
	const char *wanted = strcmp(method, MHD_HTTP_METHOD_HEAD) == 0 ? MHD_HTTP_METHOD_GET : method;
	bool path_known = false;
	h->pending++;
	if (!know_peer(x)) {
		http_reply_fault(
			x, fault_new(FAULT_DENIED, "the admin socket serves root and the server's own uid; you are %s",
				   x->peer));
		return;
	}
	if (h->quiesced) {
		http_reply_fault(x, fault_new(FAULT_UNAVAILABLE, "leafcast is stopping"));
		return;
	}
	if (x->too_large) {
		http_reply_fault(x, fault_new(FAULT_EXHAUSTED, "the request body is too large"));
		return;
	}
	for (const struct http_route *r = h->routes; r->method; r++) {
		if (strcmp(r->path, url) != 0)
			continue;
		path_known = true;
		if (strcmp(r->method, wanted) == 0) {
			r->handle(h->arg, x);
			return;
		}
	}
	http_reply_fault(x, path_known ? fault_new(FAULT_INVALID, "%s does not take %s", url, method)
				       : fault_new(FAULT_NOT_FOUND, "there is nothing at this path"));
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *c, const char *url, const char *method,
	const char *version, const char *data, size_t *data_len, void **context)
{
	struct http_exchange *x = *context;
	(void)version;
	if (!x) {
		x = mem_new(struct http_exchange);
		x->http = arg;
		x->connection = c;
		x->body.wipe = true;
		x->reply_fd = -1;
		*context = x;
		return MHD_YES;
	}
	if (*data_len) {
		if (x->body.len + *data_len > (x->http->owner_only ? HTTP_BODY_MAX : STRANGERS_BODY_MAX))
			x->too_large = true;
		else
			buf_add(&x->body, data, *data_len);
		*data_len = 0;
		return MHD_YES;
	}
	if (!x->dispatched) {
		x->dispatched = true;
		dispatch(x, url, method);
	}
	if (x->replied)
		return send_reply(x);
	x->suspended = true;
	MHD_suspend_connection(c);
	return MHD_YES;
}

struct fault *http_site_new(struct loop *l, int listen_fd, const struct http_route *routes, bool owner_only, void *arg,
	struct http_site **ret)
{
	struct http_site *h = mem_new(struct http_site);
	h->loop = l;
	h->routes = routes;
	h->owner_only = owner_only;
	h->arg = arg;
	h->daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request, h,
		MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_TIMEOUT_S, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
		NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
		(size_t)64 * 1024, MHD_OPTION_END);
	const union MHD_DaemonInfo *info = h->daemon ? MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!info) {
		(void)close(listen_fd);
		free(h);
		return fault_new(FAULT_INTERNAL, "the HTTP listener cannot be started");
	}
	invariant(uv_poll_init(loop_uv(l), &h->poll, info->epoll_fd) == 0);
	h->poll.data = h;
	h->timer = timer_new(l, on_timer, h);
	invariant(uv_poll_start(&h->poll, UV_READABLE, on_poll) == 0);
	turn(h);
	*ret = h;
	return NULL;
}

void http_quiesce(struct http_site *h)
{
	h->quiesced = true;
}

static void on_poll_closed(uv_handle_t *p)
{
	free(p->data);
}

void http_site_free(struct http_site *h)
{
	if (!h)
		return;
	invariant(h->pending == 0);
	turn(h); /* replies that were resumed but not sent */
	(void)uv_poll_stop(&h->poll);
	MHD_stop_daemon(h->daemon); /* closes the listening socket too */
	timer_free(h->timer);
	uv_close((uv_handle_t *)&h->poll, on_poll_closed);
}

size_t http_pending(const struct http_site *h)
{
	return h->pending;
}

const struct buf *http_body(const struct http_exchange *x)
{
	return &x->body;
}

const char *http_header(const struct http_exchange *x, const char *name)
{
	return MHD_lookup_connection_value(x->connection, MHD_HEADER_KIND, name);
}

const char *http_peer(const struct http_exchange *x)
{
	return x->peer;
}

void http_reply(struct http_exchange *x, unsigned status, const char *content_type, struct buf *body)
{
	invariant(!x->replied);
	x->replied = true;
	x->status = status;
	x->content_type = content_type;
	x->reply = *body;
	*body = (struct buf){NULL, 0, 0, body->wipe};
	x->http->pending--;
	if (x->suspended) {
		x->suspended = false;
		MHD_resume_connection(x->connection);
		turn(x->http);
	}
}

void http_reply_file(struct http_exchange *x, const char *content_type, int fd, uint64_t bytes)
{
	struct buf none = BUF_INIT;
	x->reply_fd = fd;
	x->reply_bytes = bytes;
	http_reply(x, MHD_HTTP_OK, content_type, &none);
}

static unsigned status_of(enum fault_code code)
{
	switch (code) {
	case FAULT_INVALID:
		return MHD_HTTP_BAD_REQUEST;
	case FAULT_DENIED:
		return MHD_HTTP_FORBIDDEN;
	case FAULT_NOT_FOUND:
		return MHD_HTTP_NOT_FOUND;
	case FAULT_CONFLICT:
		return MHD_HTTP_CONFLICT;
	case FAULT_EXHAUSTED:
		return MHD_HTTP_TOO_MANY_REQUESTS;
	case FAULT_UNAVAILABLE:
		return MHD_HTTP_SERVICE_UNAVAILABLE;
	case FAULT_TIMEOUT:
		return MHD_HTTP_GATEWAY_TIMEOUT;
	case FAULT_CORRUPT:
	case FAULT_INTERNAL:
		break;
	}
	return MHD_HTTP_INTERNAL_SERVER_ERROR;
}

void http_reply_fault(struct http_exchange *x, struct fault *f)
{
	json_t *o =
		json_pack("{s:{s:s, s:s}}", "error", "code", fault_code_name(fault_code(f)), "message", fault_text(f));
	char *text = o ? json_dumps(o, JSON_INDENT(2)) : NULL;
	struct buf b = BUF_INIT;
	buf_add_text(&b,
		text ? text : "{\"error\": {\"code\": \"INTERNAL\", \"message\": \"the message is not valid UTF-8\"}}");
	buf_add_text(&b, "\n");
	json_memory_free_text(text);
	json_decref(o);
	http_reply(x, status_of(fault_code(f)), "application/json", &b);
	fault_free(f);
}
