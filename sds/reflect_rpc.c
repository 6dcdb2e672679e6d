/* sds/reflect_rpc.c - grpc.reflection v1 and v1alpha (the same fields in two packages): one answer per request, in
 * order. */
#include <grpc/slice.h>
#include "base/buf.h"
#include "sds/internal.h"
#include "sds/reflection.h"

/* A client that is done closes; one that only holds the stream is let go. */
#define IDLE_MS (INT64_C(10) * 60 * 1000)

static void on_message(struct call *c, const void *bytes, size_t len)
{
	struct buf b = BUF_INIT;
	AUTO(fault_freep) struct fault *f = reflection_answer(c->worker->server->reflection, bytes, len, &b);
	if (f) {
		call_end(c, call_status_of(fault_code(f)), fault_text(f));
	} else {
		grpc_slice slice = grpc_slice_from_copied_buffer(buf_text(&b), b.len);
		call_send(c, &slice, 1);
		call_set_timer(c, IDLE_MS);
	}
	buf_free(&b);
}

static void on_half_close(struct call *c)
{
	call_end(c, GRPC_STATUS_OK, "");
}

static void on_pump(struct call *c)
{
	(void)c;
}

static void on_timeout(struct call *c)
{
	call_end(c, GRPC_STATUS_OK, "");
}

static void on_closed(struct call *c)
{
	(void)c;
}

static const struct call_ops reflect_ops = {.message = on_message,
	.half_close = on_half_close,
	.pump = on_pump,
	.timeout = on_timeout,
	.closed = on_closed,
	.one_at_a_time = true};

void reflect_open(struct call *c)
{
	c->ops = &reflect_ops;
	call_set_timer(c, IDLE_MS);
}
