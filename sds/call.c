/* sds/call.c - an RPC's life. Memory goes when the close was seen and no op is under way (design: invariant 6). */
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>
#include <string.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/quiet.h"
#include "control/identity.h"
#include "sds/internal.h"

struct armed {
	struct rpc_op op;
	struct worker *worker;
	grpc_call *call;
	grpc_call_details details;
	grpc_metadata_array metadata;
};

/* How long a call that has ended may wait for its client to read the end of it. */
#define LINGER_MS (INT64_C(10) * 1000)
/* How often a call whose first request waits for its turn is looked at. */
#define TURN_MS (INT64_C(10) * 1000)
/* Calls pumped before the queue is looked at again. */
enum { PUMPS_PER_TURN = 256 };

static void read_next(struct call *c);

static void release(struct call *c)
{
	if (c->outstanding || !c->closed)
		return;
	struct worker *w = c->worker;
	timers_clear(&w->timers, &c->timer);
	if (c->marked)
		DL_DELETE2(w->marked, c, mark_prev, mark_next);
	DL_DELETE(w->calls, c);
	if (c->conn)
		conn_leave(w, c->conn);
	if (c->incoming)
		grpc_byte_buffer_destroy(c->incoming);
	grpc_call_unref(c->grpc);
	if (c->method && c->method->kind == METHOD_STREAM)
		give_back_note(w);
	free(c->status_text);
	free(c);
}

static void start(struct call *c, const grpc_op *ops, size_t count, struct rpc_op *op)
{
	c->outstanding++;
	rpc_start(c->grpc, ops, count, op);
}

/* --- the end --- */

static void on_status(struct rpc_op *op, bool ok)
{
	struct call *c = container_of(op, struct call, on_status);
	(void)ok;
	c->outstanding--;
	release(c);
}

static size_t add_initial(struct call *c, grpc_op *ops)
{
	if (c->initial_sent)
		return 0;
	c->initial_sent = true;
	ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
	return 1;
}

/* Until the client has closed or we end the call, its reads tell of a cancellation: one operation fewer per open
 * stream, which core would pass over whenever it looks for the tag of another one. */
static void watch_close(struct call *c)
{
	grpc_op op;
	if (c->close_watched)
		return;
	c->close_watched = true;
	memset(&op, 0, sizeof op);
	op.op = GRPC_OP_RECV_CLOSE_ON_SERVER;
	op.data.recv_close_on_server.cancelled = &c->cancelled;
	start(c, &op, 1, &c->on_close);
}

static void send_status(struct call *c)
{
	grpc_op ops[2];
	memset(ops, 0, sizeof ops);
	size_t n = add_initial(c, ops);
	grpc_slice text = grpc_slice_from_copied_string(c->status_text ? c->status_text : "");
	ops[n].op = GRPC_OP_SEND_STATUS_FROM_SERVER;
	ops[n].data.send_status_from_server.status = (grpc_status_code)c->status;
	ops[n].data.send_status_from_server.status_details = &text;
	start(c, ops, n + 1, &c->on_status);
	grpc_slice_unref(text);
	meters_end(c->worker->server, c->status);
}

static void finish(struct call *c)
{
	if (c->finished || !c->ops)
		return;
	c->finished = true;
	c->conn->streams--;
	c->conn->owner->streams--;
	pace_leave(c);
	meters_call(c->worker->server, c->method, -1);
	c->ops->closed(c);
}

void call_end(struct call *c, int grpc_status, const char *text)
{
	if (c->ending || c->closed)
		return;
	c->ending = true;
	c->status = grpc_status;
	c->status_text = mem_strdup(text);
	timers_set(&c->worker->timers, &c->timer, c->worker->now_ms + LINGER_MS);
	finish(c);
	watch_close(c);
	if (!c->sending)
		send_status(c);
}

void call_drain(struct call *c)
{
	struct worker *w = c->worker;
	if (w->now_ms < w->drain_end_ms && c->ops && c->ops->owes && c->ops->owes(c))
		timers_set(&w->timers, &c->timer, w->drain_end_ms);
	else
		call_end(c, GRPC_STATUS_UNAVAILABLE, "leafcast is stopping");
}

static void on_close(struct rpc_op *op, bool ok)
{
	struct call *c = container_of(op, struct call, on_close);
	(void)ok;
	c->outstanding--;
	c->closed = true;
	timers_clear(&c->worker->timers, &c->timer);
	if (c->cancelled && !c->was_sent && c->conn)
		owner_takes_reset(c);
	finish(c);
	release(c);
}

/* --- sending --- */

static void on_send(struct rpc_op *op, bool ok)
{
	struct call *c = container_of(op, struct call, on_send);
	c->outstanding--;
	c->sending = false;
	if (!c->closed && c->ending)
		send_status(c);
	else if (!c->closed && ok)
		call_mark(c);
	/* Also where the send failed: only a read, or the watch for the close that it leads to, tells of the end. */
	if (!c->closed && c->ops->one_at_a_time && !c->ending)
		read_next(c);
	release(c);
}

void call_send(struct call *c, grpc_slice *slices, size_t count)
{
	invariant(!c->sending);
	if (!c->closed && !c->ending) {
		grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(slices, count);
		grpc_op ops[2];
		memset(ops, 0, sizeof ops);
		size_t n = add_initial(c, ops);
		ops[n].op = GRPC_OP_SEND_MESSAGE;
		ops[n].data.send_message.send_message = buffer;
		c->sending = c->was_sent = true;
		start(c, ops, n + 1, &c->on_send);
		grpc_byte_buffer_destroy(buffer);
	}
	for (size_t i = 0; i < count; i++)
		grpc_slice_unref(slices[i]);
}

/* --- receiving --- */

/* gRPC takes messages of twice the size, and cuts off beyond: its own refusal cannot be counted. */
static void refuse_message(struct call *c, size_t len)
{
	AUTO(mem_freep)
	char *text = mem_printf("a request of %zu bytes; this server takes at most %zu", len,
		c->worker->server->o.limits.message_bytes);
	limit_end(c, LIMIT_MESSAGE_BYTES, text);
}

static void take_message(struct call *c)
{
	grpc_byte_buffer *buffer = TAKE(c->incoming);
	grpc_byte_buffer_reader reader;
	size_t len = grpc_byte_buffer_length(buffer);
	if (len > c->worker->server->o.limits.message_bytes) {
		grpc_byte_buffer_destroy(buffer);
		refuse_message(c, len);
		return;
	}
	if (!grpc_byte_buffer_reader_init(&reader, buffer)) {
		grpc_byte_buffer_destroy(buffer);
		call_end(c, GRPC_STATUS_INTERNAL, "the message cannot be read");
		return;
	}
	grpc_slice bytes = grpc_byte_buffer_reader_readall(&reader);
	grpc_byte_buffer_reader_destroy(&reader);
	grpc_byte_buffer_destroy(buffer);
	c->ops->message(c, GRPC_SLICE_START_PTR(bytes), GRPC_SLICE_LENGTH(bytes));
	grpc_slice_unref(bytes);
}

static void on_recv(struct rpc_op *op, bool ok)
{
	struct call *c = container_of(op, struct call, on_recv);
	c->outstanding--;
	c->reading = false;
	if (c->closed || c->ending) {
		release(c);
		return;
	}
	if (ok && c->incoming) {
		take_message(c);
		if (!c->ending && !c->ops->one_at_a_time)
			read_next(c);
	} else {
		c->half_closed = true;
		watch_close(c);
		c->ops->half_close(c);
	}
	release(c);
}

void call_read(struct call *c)
{
	grpc_op op;
	memset(&op, 0, sizeof op);
	op.op = GRPC_OP_RECV_MESSAGE;
	op.data.recv_message.recv_message = &c->incoming;
	c->reading = true;
	start(c, &op, 1, &c->on_recv);
}

static void read_next(struct call *c)
{
	if (c->reading || c->half_closed || c->waits)
		return;
	if (pace_allows(c))
		call_read(c);
	else
		watch_close(c); /* no read tells of a cancellation */
}

/* --- timers and marks --- */

static void on_timer(struct timers_entry *t)
{
	struct call *c = container_of(t, struct call, timer);
	if (c->ending)
		grpc_call_cancel(c->grpc, NULL);
	else if (c->worker->state != WORKER_SERVING)
		call_drain(c);
	else if (c->conn->is_old)
		age_end(c);
	else if (c->waits && !c->was_read) /* it is we who keep its first request waiting */
		call_set_timer(c, TURN_MS);
	else
		c->ops->timeout(c);
}

void call_set_timer(struct call *c, int64_t after_ms)
{
	if (c->ending || c->closed || c->worker->state != WORKER_SERVING || c->conn->is_old)
		return; /* it is set for the end, or past it */
	if (after_ms < 0)
		timers_clear(&c->worker->timers, &c->timer);
	else
		timers_set(&c->worker->timers, &c->timer, c->worker->now_ms + after_ms);
}

int64_t call_identity_left_ms(const struct call *c)
{
	int64_t end = identity_not_after_ms(c->conn->identity);
	if (end == INT64_MAX)
		return -1;
	int64_t left = end - clock_wall_ms(c->worker->server->o.clock);
	return left > 0 ? left : 0;
}

void call_mark(struct call *c)
{
	if (c->marked || c->closed || c->ending)
		return;
	c->marked = true;
	DL_APPEND2(c->worker->marked, c, mark_prev, mark_next);
}

bool calls_pump(struct worker *w)
{
	for (int n = 0; w->marked && n < PUMPS_PER_TURN; n++) {
		struct call *c = w->marked;
		DL_DELETE2(w->marked, c, mark_prev, mark_next);
		c->marked = false;
		/* While something is being sent the mark is not lost: the end of the send sets it again. */
		if (!c->closed && !c->ending && !c->sending)
			c->ops->pump(c);
	}
	return w->marked != NULL;
}

/* --- the beginning --- */

int call_status_of(enum fault_code code)
{
	switch (code) {
	case FAULT_INVALID:
		return GRPC_STATUS_INVALID_ARGUMENT;
	case FAULT_DENIED:
		return GRPC_STATUS_UNAUTHENTICATED;
	case FAULT_NOT_FOUND:
		return GRPC_STATUS_NOT_FOUND;
	case FAULT_EXHAUSTED:
		return GRPC_STATUS_RESOURCE_EXHAUSTED;
	case FAULT_UNAVAILABLE:
		return GRPC_STATUS_UNAVAILABLE;
	case FAULT_TIMEOUT:
		return GRPC_STATUS_DEADLINE_EXCEEDED;
	case FAULT_CONFLICT:
	case FAULT_CORRUPT:
	case FAULT_INTERNAL:
		break;
	}
	return GRPC_STATUS_INTERNAL;
}

static void open_method(struct call *c)
{
	switch (c->method->kind) {
	case METHOD_STREAM:
		stream_open(c);
		break;
	case METHOD_FETCH:
		fetch_open(c);
		break;
	case METHOD_HEALTH_CHECK:
	case METHOD_HEALTH_WATCH:
	case METHOD_HEALTH_LIST:
		health_open(c);
		break;
	case METHOD_REFLECTION:
		reflect_open(c);
		break;
	}
}

/* gRPC refuses more streams than SETTINGS permit once the client has acknowledged them, which a hostile one never does.
 * Twice: calls that ended at its side may not be over here yet. */
static bool has_room(struct call *c)
{
	struct conn *o = c->conn;
	if (o->is_old)
		call_end(c, GRPC_STATUS_UNAVAILABLE, "this connection is being closed");
	else if (o->over == LIMIT_CONNECTIONS_PER_IDENTITY)
		limit_end(
			c, LIMIT_CONNECTIONS_PER_IDENTITY, "more connections of one identity than this server permits");
	else if (o->over == LIMIT_CONNECTIONS)
		limit_end(c, LIMIT_CONNECTIONS, "more connections than this server permits");
	else if (o->calls > 2 * (size_t)c->worker->server->o.limits.streams_per_connection)
		limit_end(c, LIMIT_STREAMS_PER_CONNECTION, "more streams on one connection than this server permits");
	else if (!owner_allows_stream(o))
		limit_end(c, LIMIT_STREAMS_PER_IDENTITY,
			"more streams of one identity than this server permits, or than an equal share of this "
			"connection");
	else
		return true;
	return false;
}

/* Who may call at all, and what. False: the call ends at once. */
static bool admit(struct call *c, const struct method *m)
{
	struct worker *w = c->worker;
	if (!m) {
		call_end(c, GRPC_STATUS_UNIMPLEMENTED,
			"leafcast serves SecretDiscoveryService, type Secret of AggregatedDiscoveryService, "
			"grpc.health.v1.Health and grpc.reflection");
		return false;
	}
	if (w->state != WORKER_SERVING) {
		call_end(c, GRPC_STATUS_UNAVAILABLE, "leafcast is stopping");
		return false;
	}
	AUTO(fault_freep) struct fault *f = conn_enter(w, c->grpc, &c->conn);
	if (f) {
		uint64_t held_back = 0;
		if (quiet_passes(&w->unauthenticated, w->now_ms, &held_back))
			log_event(LOG_WARN, "call.unauthenticated", LI("held_back", held_back), LF(f));
		call_end(c, GRPC_STATUS_UNAUTHENTICATED, fault_text(f));
		return false;
	}
	return has_room(c);
}

static void begin(struct worker *w, grpc_call *grpc, const grpc_slice *path)
{
	struct call *c = mem_new(struct call);
	c->worker = w;
	c->grpc = grpc;
	c->id = ++w->last_call_id;
	c->since_ms = w->now_ms;
	c->on_recv.done = on_recv;
	c->on_send.done = on_send;
	c->on_close.done = on_close;
	c->on_status.done = on_status;
	c->timer.fire = on_timer;
	DL_APPEND(w->calls, c);
	const struct method *m = method_find((const char *)GRPC_SLICE_START_PTR(*path), GRPC_SLICE_LENGTH(*path));
	if (!admit(c, m))
		return;
	c->method = m;
	c->conn->streams++;
	c->conn->owner->streams++;
	meters_call(w->server, m, 1);
	open_method(c);
	read_next(c);
}

static void on_new_call(struct rpc_op *op, bool ok)
{
	struct armed *a = container_of(op, struct armed, op);
	struct worker *w = a->worker;
	w->armed--;
	if (ok) {
		if (w->state == WORKER_SERVING)
			call_arm(w, 1);
		begin(w, a->call, &a->details.method);
	}
	grpc_call_details_destroy(&a->details);
	grpc_metadata_array_destroy(&a->metadata);
	free(a);
}

void call_arm(struct worker *w, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct armed *a = mem_new(struct armed);
		a->op.done = on_new_call;
		a->worker = w;
		grpc_call_details_init(&a->details);
		grpc_metadata_array_init(&a->metadata);
		w->armed++;
		rpc_request_call(w->grpc, w->queue, &a->call, &a->details, &a->metadata, &a->op);
	}
}
