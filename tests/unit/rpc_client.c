#include "rpc_client.h"
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <string.h>
#include "base/io/rpc.h"
#include "base/mem.h"
#include "base/table.h"

struct message {
	struct message *prev, *next;
	struct buf bytes;
};

struct rpc_client {
	struct rpc_queue *queue;
	grpc_channel *channel;
};

struct rpc_stream {
	struct rpc_client *client;
	grpc_call *call;
	struct rpc_op on_start, on_status, on_receive, on_send;
	unsigned outstanding;
	grpc_metadata_array initial, trailing;
	grpc_byte_buffer *incoming;
	grpc_status_code status;
	grpc_slice status_text;
	char *text;
	bool ended, reading, sending, half_closing, half_closed;
	struct message *received, *to_send;
};

static grpc_arg int_arg(const char *key, int value)
{
	grpc_arg a = {.type = GRPC_ARG_INTEGER, .key = (char *)(uintptr_t)key};
	a.value.integer = value;
	return a;
}

static struct rpc_client *open_with(const char *target, grpc_channel_credentials *credentials, int compression)
{
	struct rpc_client *c = mem_new(struct rpc_client);
	c->queue = rpc_queue_new();
	grpc_arg name = {.type = GRPC_ARG_STRING, .key = (char *)(uintptr_t)GRPC_SSL_TARGET_NAME_OVERRIDE_ARG};
	name.value.string = (char *)(uintptr_t) "localhost";
	grpc_arg list[] = {int_arg(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
		int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, -1),
		int_arg(GRPC_ARG_HTTP2_BDP_PROBE, 0), /* windows stay at 64 KiB */
		int_arg(GRPC_COMPRESSION_CHANNEL_DEFAULT_ALGORITHM, compression), name};
	const grpc_channel_args args = {ARRAY_LEN(list), list};
	c->channel = grpc_channel_create(target, credentials, &args);
	grpc_channel_credentials_release(credentials);
	return c;
}

struct rpc_client *rpc_client_open(const char *target)
{
	grpc_init();
	return open_with(target, grpc_insecure_credentials_create(), GRPC_COMPRESS_NONE);
}

struct rpc_client *rpc_client_open_gzip(const char *target)
{
	grpc_init();
	return open_with(target, grpc_insecure_credentials_create(), GRPC_COMPRESS_GZIP);
}

struct rpc_client *rpc_client_open_tls(const char *target, const struct rpc_client_tls *tls)
{
	grpc_ssl_pem_key_cert_pair pair = {tls->key, tls->chain};
	grpc_init();
	return open_with(target, grpc_ssl_credentials_create(tls->roots, tls->chain ? &pair : NULL, NULL, NULL),
		GRPC_COMPRESS_NONE);
}

void rpc_client_turn(struct rpc_client *c, int wait_ms)
{
	struct rpc_op *op;
	bool ok;
	while (rpc_queue_next(c->queue, wait_ms, &op, &ok) == RPC_EVENT_OP) {
		op->done(op, ok);
		wait_ms = 0;
	}
}

void rpc_client_close(struct rpc_client *c)
{
	struct rpc_op *op;
	bool ok;
	grpc_channel_destroy(c->channel);
	rpc_queue_shutdown(c->queue);
	while (rpc_queue_next(c->queue, -1, &op, &ok) != RPC_EVENT_SHUTDOWN)
		;
	rpc_queue_free(c->queue);
	free(c);
	grpc_shutdown_blocking();
}

static void start(struct rpc_stream *s, const grpc_op *ops, size_t count, struct rpc_op *op)
{
	s->outstanding++;
	rpc_start(s->call, ops, count, op);
}

static void receive(struct rpc_stream *s)
{
	grpc_op op;
	memset(&op, 0, sizeof op);
	op.op = GRPC_OP_RECV_MESSAGE;
	op.data.recv_message.recv_message = &s->incoming;
	start(s, &op, 1, &s->on_receive);
}

static void on_receive(struct rpc_op *op, bool ok)
{
	struct rpc_stream *s = container_of(op, struct rpc_stream, on_receive);
	grpc_byte_buffer_reader reader;
	s->outstanding--;
	if (!ok || !s->incoming)
		return;
	invariant(grpc_byte_buffer_reader_init(&reader, s->incoming));
	grpc_slice bytes = grpc_byte_buffer_reader_readall(&reader);
	struct message *m = mem_new(struct message);
	buf_add(&m->bytes, GRPC_SLICE_START_PTR(bytes), GRPC_SLICE_LENGTH(bytes));
	DL_APPEND(s->received, m);
	grpc_slice_unref(bytes);
	grpc_byte_buffer_reader_destroy(&reader);
	grpc_byte_buffer_destroy(s->incoming);
	s->incoming = NULL;
	if (s->reading)
		receive(s);
}

static void send_next(struct rpc_stream *s)
{
	grpc_op op;
	memset(&op, 0, sizeof op);
	if (s->sending || s->half_closed)
		return;
	struct message *m = s->to_send;
	if (m) {
		DL_DELETE(s->to_send, m);
		grpc_slice slice = grpc_slice_from_copied_buffer((const char *)m->bytes.data, m->bytes.len);
		grpc_byte_buffer *b = grpc_raw_byte_buffer_create(&slice, 1);
		op.op = GRPC_OP_SEND_MESSAGE;
		op.data.send_message.send_message = b;
		s->sending = true;
		start(s, &op, 1, &s->on_send);
		grpc_byte_buffer_destroy(b);
		grpc_slice_unref(slice);
		buf_free(&m->bytes);
		free(m);
	} else if (s->half_closing) {
		op.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
		s->half_closed = true;
		start(s, &op, 1, &s->on_send);
	}
}

static void on_send(struct rpc_op *op, bool ok)
{
	struct rpc_stream *s = container_of(op, struct rpc_stream, on_send);
	(void)ok;
	s->outstanding--;
	s->sending = false;
	send_next(s);
}

static void on_start(struct rpc_op *op, bool ok)
{
	struct rpc_stream *s = container_of(op, struct rpc_stream, on_start);
	(void)ok;
	s->outstanding--;
}

static void on_status(struct rpc_op *op, bool ok)
{
	struct rpc_stream *s = container_of(op, struct rpc_stream, on_status);
	(void)ok;
	s->outstanding--;
	s->ended = true;
	s->text = mem_strndup((const char *)GRPC_SLICE_START_PTR(s->status_text), GRPC_SLICE_LENGTH(s->status_text));
	grpc_slice_unref(s->status_text);
}

struct rpc_stream *rpc_stream_open(struct rpc_client *c, const char *method)
{
	struct rpc_stream *s = mem_new(struct rpc_stream);
	grpc_slice path = grpc_slice_from_copied_string(method);
	s->client = c;
	s->reading = true;
	s->call = grpc_channel_create_call(
		c->channel, NULL, 0, rpc_queue_raw(c->queue), path, NULL, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
	grpc_slice_unref(path);
	s->on_start.done = on_start;
	s->on_status.done = on_status;
	s->on_receive.done = on_receive;
	s->on_send.done = on_send;
	grpc_metadata_array_init(&s->initial);
	grpc_metadata_array_init(&s->trailing);
	grpc_op ops[2];
	memset(ops, 0, sizeof ops);
	ops[0].op = GRPC_OP_SEND_INITIAL_METADATA;
	ops[1].op = GRPC_OP_RECV_INITIAL_METADATA;
	ops[1].data.recv_initial_metadata.recv_initial_metadata = &s->initial;
	start(s, ops, 2, &s->on_start);
	memset(ops, 0, sizeof ops);
	ops[0].op = GRPC_OP_RECV_STATUS_ON_CLIENT;
	ops[0].data.recv_status_on_client.trailing_metadata = &s->trailing;
	ops[0].data.recv_status_on_client.status = &s->status;
	ops[0].data.recv_status_on_client.status_details = &s->status_text;
	start(s, ops, 1, &s->on_status);
	receive(s);
	return s;
}

void rpc_stream_send(struct rpc_stream *s, const void *bytes, size_t len)
{
	struct message *m = mem_new(struct message);
	buf_add(&m->bytes, bytes, len);
	DL_APPEND(s->to_send, m);
	send_next(s);
}

void rpc_stream_half_close(struct rpc_stream *s)
{
	s->half_closing = true;
	send_next(s);
}

void rpc_stream_cancel(struct rpc_stream *s)
{
	grpc_call_cancel(s->call, NULL);
}

void rpc_stream_stop_reading(struct rpc_stream *s)
{
	s->reading = false;
}

void rpc_stream_resume_reading(struct rpc_stream *s)
{
	s->reading = true;
	receive(s);
}

bool rpc_stream_take(struct rpc_stream *s, struct buf *ret)
{
	struct message *m = s->received;
	if (!m)
		return false;
	DL_DELETE(s->received, m);
	buf_free(ret);
	*ret = m->bytes;
	free(m);
	return true;
}

bool rpc_stream_ended(const struct rpc_stream *s)
{
	return s->ended && s->outstanding == 0;
}

int rpc_stream_status(const struct rpc_stream *s)
{
	return (int)s->status;
}

const char *rpc_stream_status_text(const struct rpc_stream *s)
{
	return s->text;
}

char *rpc_stream_server_pem(const struct rpc_stream *s)
{
	grpc_auth_context *ctx = grpc_call_auth_context(s->call);
	grpc_auth_property_iterator it =
		grpc_auth_context_find_properties_by_name(ctx, GRPC_X509_PEM_CERT_PROPERTY_NAME);
	const grpc_auth_property *p = grpc_auth_property_iterator_next(&it);
	char *pem = p ? mem_strndup(p->value, p->value_length) : NULL;
	grpc_auth_context_release(ctx);
	return pem;
}

static void free_messages(struct message *list)
{
	struct message *m, *next;
	DL_FOREACH_SAFE (list, m, next) {
		buf_free(&m->bytes);
		free(m);
	}
}

void rpc_stream_free(struct rpc_stream *s)
{
	if (!s)
		return;
	if (!s->ended)
		grpc_call_cancel(s->call, NULL);
	while (s->outstanding)
		rpc_client_turn(s->client, 10);
	grpc_metadata_array_destroy(&s->initial);
	grpc_metadata_array_destroy(&s->trailing);
	grpc_call_unref(s->call);
	free_messages(s->received);
	free_messages(s->to_send);
	free(s->text);
	free(s);
}
