#include "base/io/rpc.h"
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <limits.h>
#include <stdlib.h>
#include "base/attr.h"
#include "base/mem.h"

#if defined(__SANITIZE_THREAD__)
#define HAS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_TSAN 1
#endif
#endif
#ifdef HAS_TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define tsan_acquire(addr) __tsan_acquire(addr)
#define tsan_release(addr) __tsan_release(addr)
#else
#define tsan_acquire(addr) ((void)(addr))
#define tsan_release(addr) ((void)(addr))
#endif

struct rpc_queue {
	grpc_completion_queue *cq;
	grpc_channel *lame;
	grpc_call *bell;
	struct rpc_op bell_op;
};

/* On unix sockets core keeps a read buffer per connection while it waits, as large as the largest burst it has read: a
 * node of 30 KB in a later stream's first request leaves 30 KB behind for good. The experiment tcp_read_chunks (on by
 * default in 1.51) ignores the arguments that bound this buffer; without it they hold: see READ_CHUNK_BYTES. */
void rpc_set_environment(void)
{
	(void)setenv("GRPC_EXPERIMENTS", "-tcp_read_chunks", 1);
}

struct rpc_queue *rpc_queue_new(void)
{
	struct rpc_queue *q = mem_new(struct rpc_queue);
	q->cq = grpc_completion_queue_create_for_next(NULL);
	q->lame = grpc_lame_client_channel_create("bell", GRPC_STATUS_UNAVAILABLE, "bell");
	q->bell = grpc_channel_create_call(q->lame, NULL, 0, q->cq, grpc_slice_from_static_string("/bell"), NULL,
		gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
	invariant(q->cq && q->lame && q->bell);
	return q;
}

grpc_completion_queue *rpc_queue_raw(struct rpc_queue *q)
{
	return q->cq;
}

enum rpc_event rpc_queue_next(struct rpc_queue *q, int64_t wait_ms, struct rpc_op **ret_op, bool *ret_ok)
{
	gpr_timespec deadline =
		wait_ms < 0 ? gpr_inf_future(GPR_CLOCK_MONOTONIC)
			    : gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(wait_ms, GPR_TIMESPAN));
	grpc_event e = grpc_completion_queue_next(q->cq, deadline, NULL);
	if (e.type == GRPC_QUEUE_TIMEOUT)
		return RPC_EVENT_TIMEOUT;
	if (e.type == GRPC_QUEUE_SHUTDOWN)
		return RPC_EVENT_SHUTDOWN;
	tsan_acquire(e.tag);
	if (e.tag == &q->bell_op)
		return RPC_EVENT_BELL;
	*ret_op = e.tag;
	*ret_ok = e.success != 0;
	return RPC_EVENT_OP;
}

/* An empty batch completes at once and touches only the queue, so any thread may start one. */
void rpc_queue_ring(void *queue)
{
	struct rpc_queue *q = queue;
	tsan_release(&q->bell_op);
	invariant(grpc_call_start_batch(q->bell, NULL, 0, &q->bell_op, NULL) == GRPC_CALL_OK);
}

void rpc_queue_shutdown(struct rpc_queue *q)
{
	grpc_completion_queue_shutdown(q->cq);
}

void rpc_queue_free(struct rpc_queue *q)
{
	if (!q)
		return;
	grpc_call_unref(q->bell);
	grpc_channel_destroy(q->lame);
	grpc_completion_queue_destroy(q->cq);
	free(q);
}

void rpc_start(grpc_call *call, const grpc_op *ops, size_t count, struct rpc_op *op)
{
	tsan_release(op);
	grpc_call_error e = grpc_call_start_batch(call, ops, count, op, NULL);
	invariant(e == GRPC_CALL_OK);
}

void rpc_request_call(grpc_server *s, struct rpc_queue *q, grpc_call **call, grpc_call_details *details,
	grpc_metadata_array *metadata, struct rpc_op *op)
{
	tsan_release(op);
	grpc_call_error e = grpc_server_request_call(s, call, details, metadata, q->cq, q->cq, op);
	invariant(e == GRPC_CALL_OK);
}

/* ACKs are some hundred bytes and come one at a time; a 30 KB node takes eight reads, 3 % more CPU per opened stream.
 */
enum { READ_CHUNK_BYTES = 4096 };

static grpc_arg int_arg(const char *key, int value)
{
	grpc_arg a;
	a.type = GRPC_ARG_INTEGER;
	a.key = (char *)(uintptr_t)key;
	a.value.integer = value;
	return a;
}

grpc_resource_quota *rpc_memory_new(size_t bytes)
{
	grpc_resource_quota *q = grpc_resource_quota_create("leafcast");
	grpc_resource_quota_resize(q, bytes);
	return q;
}

static grpc_arg memory_arg(grpc_resource_quota *q)
{
	grpc_arg a;
	a.type = GRPC_ARG_POINTER;
	a.key = (char *)(uintptr_t)GRPC_ARG_RESOURCE_QUOTA;
	a.value.pointer.p = q;
	a.value.pointer.vtable = grpc_resource_quota_arg_vtable();
	return a;
}

/* Silent connections end by keepalive (it needs permit_without_calls: core ignores its handshake timeout on connections
 * from a descriptor). Envoy pings every 10 s where told to, so pings are never held against a client. BDP probes cost a
 * third of the CPU per push and serve only large transfers. No compression (a call that uses it is UNIMPLEMENTED), so
 * its filters, and channelz, which nobody can ask here, weigh nothing. Every worker binds the TCP port: SO_REUSEPORT
 * stays on. */
grpc_server *rpc_server_new(const struct rpc_server_options *o, struct rpc_queue *q)
{
	grpc_arg list[] = {
		int_arg(GRPC_ARG_KEEPALIVE_TIME_MS, 30000),
		int_arg(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 20000),
		int_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
		int_arg(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1000),
		int_arg(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0),
		int_arg(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0),
		int_arg(GRPC_ARG_HTTP2_BDP_PROBE, 0),
		int_arg(GRPC_ARG_MAX_CONCURRENT_STREAMS, o->streams_per_connection),
		int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, o->message_bytes),
		int_arg(GRPC_ARG_TCP_READ_CHUNK_SIZE, READ_CHUNK_BYTES),
		int_arg(GRPC_ARG_TCP_MAX_READ_CHUNK_SIZE, READ_CHUNK_BYTES),
		int_arg(GRPC_ARG_ALLOW_REUSEPORT, 1),
		int_arg(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1),
		int_arg(GRPC_ARG_ENABLE_PER_MESSAGE_COMPRESSION, 0),
		int_arg(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0),
		int_arg(GRPC_ARG_ENABLE_CHANNELZ, 0),
		memory_arg(o->memory),
		int_arg(GRPC_ARG_MAX_CONNECTION_AGE_MS, o->age_ms ? (int)o->age_ms : INT_MAX),
		int_arg(GRPC_ARG_MAX_CONNECTION_IDLE_MS, o->idle_ms ? (int)o->idle_ms : INT_MAX),
		int_arg(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, o->age_ms ? (int)o->cut_off_ms : INT_MAX),
	};
	const grpc_channel_args args = {ARRAY_LEN(list), list};
	grpc_server *s = grpc_server_create(&args, NULL);
	invariant(s);
	grpc_server_register_completion_queue(s, q->cq, NULL);
	return s;
}

void rpc_server_shutdown(grpc_server *s, struct rpc_queue *q, struct rpc_op *op)
{
	tsan_release(op);
	grpc_server_shutdown_and_notify(s, q->cq, op);
}
