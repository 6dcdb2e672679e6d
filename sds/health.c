/* sds/health.c - grpc.health.v1: per service, as readiness and drain have it. Check of an unknown service is NOT_FOUND,
 * Watch says SERVICE_UNKNOWN and stays open. */
#include <grpc/slice.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"
#include "sds/health_reply.h"
#include "sds/internal.h"

/* Longest name of a service in a request. */
enum { SERVICE_MAX = 256 };

const char *const health_services[HEALTH_SERVICE_COUNT] = {"", "envoy.service.secret.v3.SecretDiscoveryService",
	"envoy.service.discovery.v3.AggregatedDiscoveryService", "grpc.health.v1.Health",
	"grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"};

struct health {
	char *service; /* NULL until asked */
	bool watch;
	enum health_status told; /* by a Watch; UNKNOWN: nothing yet */
};

static bool is_known(const char *service)
{
	for (size_t i = 0; i < HEALTH_SERVICE_COUNT; i++)
		if (strcmp(health_services[i], service) == 0)
			return true;
	return false;
}

static void send_buf(struct call *c, struct buf *b)
{
	grpc_slice slice = grpc_slice_from_copied_buffer(buf_text(b), b->len);
	buf_free(b);
	call_send(c, &slice, 1);
}

static enum health_status status_of(const struct call *c, const char *service)
{
	if (!is_known(service))
		return HEALTH_SERVICE_UNKNOWN;
	return c->worker->serving ? HEALTH_SERVING : HEALTH_NOT_SERVING;
}

static void answer_check(struct call *c, const char *service)
{
	struct buf b = BUF_INIT;
	if (!is_known(service)) {
		call_end(c, GRPC_STATUS_NOT_FOUND, "unknown service");
		return;
	}
	health_encode_status(status_of(c, service), &b);
	send_buf(c, &b);
	call_end(c, GRPC_STATUS_OK, "");
}

static void answer_list(struct call *c)
{
	struct buf b = BUF_INIT;
	health_encode_list(
		health_services, HEALTH_SERVICE_COUNT, c->worker->serving ? HEALTH_SERVING : HEALTH_NOT_SERVING, &b);
	send_buf(c, &b);
	call_end(c, GRPC_STATUS_OK, "");
}

static void on_message(struct call *c, const void *bytes, size_t len)
{
	struct health *h = c->user;
	if (h->service) {
		call_end(c, GRPC_STATUS_INVALID_ARGUMENT, "one request is expected");
		return;
	}
	AUTO(fault_freep) struct fault *f = NULL;
	if (c->method->kind == METHOD_HEALTH_LIST)
		h->service = mem_strdup("");
	else
		f = health_decode_request(bytes, len, SERVICE_MAX, &h->service);
	if (f)
		call_end(c, call_status_of(fault_code(f)), fault_text(f));
	else if (c->method->kind == METHOD_HEALTH_CHECK)
		answer_check(c, h->service);
	else if (c->method->kind == METHOD_HEALTH_LIST)
		answer_list(c);
	else
		call_mark(c);
}

static void on_half_close(struct call *c)
{
	const struct health *h = c->user;
	if (!h->service)
		call_end(c, GRPC_STATUS_INVALID_ARGUMENT, "a request is expected");
}

/* Watch: the status now, and each change of it. */
static void on_pump(struct call *c)
{
	struct health *h = c->user;
	if (!h->watch || !h->service)
		return;
	enum health_status now = status_of(c, h->service);
	if (now == h->told)
		return;
	struct buf b = BUF_INIT;
	h->told = now;
	health_encode_status(now, &b);
	send_buf(c, &b);
}

static void on_timeout(struct call *c)
{
	const struct health *h = c->user;
	if (!h->service)
		call_end(c, GRPC_STATUS_DEADLINE_EXCEEDED, "no request came");
}

static void on_closed(struct call *c)
{
	struct health *h = c->user;
	c->user = NULL;
	free(h->service);
	free(h);
}

static const struct call_ops health_ops = {.message = on_message,
	.half_close = on_half_close,
	.pump = on_pump,
	.timeout = on_timeout,
	.closed = on_closed};

void health_open(struct call *c)
{
	struct health *h = mem_new(struct health);
	h->watch = c->method->kind == METHOD_HEALTH_WATCH;
	c->user = h;
	c->ops = &health_ops;
	call_set_timer(c, c->worker->server->o.limits.fetch_wait_ms);
}

void health_changed(struct worker *w)
{
	struct call *c;
	DL_FOREACH (w->calls, c)
		if (c->method && c->method->kind == METHOD_HEALTH_WATCH)
			call_mark(c);
}
