#include "tests/bench/subscriber.h"
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/mem.h"
#include "tests/bench/message.h"

enum op_kind { OP_METADATA, OP_RECEIVED, OP_SENT, OP_ENDED, OP_COUNT };

/* A tag is the address of one of these. */
struct op {
	enum op_kind kind;
	struct subscriber *owner;
};

struct subscriber {
	struct crowd *crowd;
	struct subscriber **slot;
	const char *name;
	grpc_call *call;
	grpc_byte_buffer *received;
	struct buf ack; /* the newest that could not be sent yet */
	struct op ops[OP_COUNT];
	grpc_metadata_array initial;
	grpc_metadata_array trailing;
	grpc_status_code status;
	grpc_slice details;
	unsigned pending; /* ops not completed: freed when this is 0 */
	bool waiting;
	bool sending;
};

int64_t subscriber_now(void)
{
	struct timespec t;
	invariant(clock_gettime(CLOCK_MONOTONIC, &t) == 0);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void start(struct subscriber *s, const grpc_op *ops, size_t count, enum op_kind kind)
{
	s->ops[kind] = (struct op){kind, s};
	invariant(grpc_call_start_batch(s->call, ops, count, &s->ops[kind], NULL) == GRPC_CALL_OK);
	s->pending++;
}

static void send_bytes(struct subscriber *s, const struct buf *bytes, bool first)
{
	grpc_slice slice = grpc_slice_from_copied_buffer((const char *)bytes->data, bytes->len);
	grpc_byte_buffer *message = grpc_raw_byte_buffer_create(&slice, 1);
	grpc_slice_unref(slice);
	grpc_op ops[2] = {{.op = GRPC_OP_SEND_MESSAGE, .data.send_message.send_message = message},
		{.op = GRPC_OP_SEND_INITIAL_METADATA, .flags = GRPC_INITIAL_METADATA_WAIT_FOR_READY}};
	s->sending = true;
	s->crowd->sending++;
	start(s, ops, first ? 2 : 1, OP_SENT);
	grpc_byte_buffer_destroy(message);
}

static void receive(struct subscriber *s)
{
	grpc_op op = {.op = GRPC_OP_RECV_MESSAGE, .data.recv_message.recv_message = &s->received};
	start(s, &op, 1, OP_RECEIVED);
}

void subscriber_await(struct subscriber *s, const char *name)
{
	if (s->waiting || strcmp(s->name, name) != 0)
		return;
	s->waiting = true;
	s->crowd->waiting++;
}

static void stop_waiting(struct subscriber *s)
{
	s->waiting = false;
	s->crowd->waiting--;
}

void subscriber_open(struct crowd *c, grpc_channel *channel, size_t client, const char *name, struct subscriber **slot)
{
	struct subscriber *s = mem_new(struct subscriber);
	*slot = s;
	s->slot = slot;
	s->crowd = c;
	s->name = name;
	c->live++;
	subscriber_await(s, name);
	const char *method = c->delta ? "/envoy.service.secret.v3.SecretDiscoveryService/DeltaSecrets"
				      : "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets";
	s->call = grpc_channel_create_call(channel, NULL, GRPC_PROPAGATE_DEFAULTS, c->queue,
		grpc_slice_from_static_string(method), NULL, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
	struct buf request = BUF_INIT;
	message_add_first(c->delta, &c->node, client, name, &request);
	send_bytes(s, &request, true);
	buf_free(&request);
	grpc_metadata_array_init(&s->initial);
	grpc_metadata_array_init(&s->trailing);
	grpc_op metadata = {
		.op = GRPC_OP_RECV_INITIAL_METADATA, .data.recv_initial_metadata.recv_initial_metadata = &s->initial};
	start(s, &metadata, 1, OP_METADATA);
	receive(s);
	grpc_op status = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
	status.data.recv_status_on_client.trailing_metadata = &s->trailing;
	status.data.recv_status_on_client.status = &s->status;
	status.data.recv_status_on_client.status_details = &s->details;
	start(s, &status, 1, OP_ENDED);
}

void subscriber_cancel(struct subscriber *s)
{
	(void)grpc_call_cancel(s->call, NULL);
}

static void on_answer(struct subscriber *s, const uint8_t *bytes, size_t len)
{
	struct crowd *c = s->crowd;
	struct buf ack = BUF_INIT;
	if (!message_add_ack(c->delta, s->name, bytes, len, &ack)) {
		(void)fprintf(stderr, "bench_load: an answer that does not hold %s alone\n", s->name);
		exit(1);
	}
	c->answer_bytes = len;
	if (!s->waiting) {
		c->extra++;
	} else {
		stop_waiting(s);
		if (c->delays)
			c->delays[c->delay_count++] = subscriber_now() - c->measured_from;
	}
	if (s->sending) {
		buf_free(&s->ack);
		s->ack = ack;
		return;
	}
	send_bytes(s, &ack, false);
	buf_free(&ack);
}

static void on_received(struct subscriber *s)
{
	if (!s->received)
		return; /* the stream has ended */
	grpc_byte_buffer_reader reader;
	invariant(grpc_byte_buffer_reader_init(&reader, s->received));
	grpc_slice slice = grpc_byte_buffer_reader_readall(&reader);
	grpc_byte_buffer_reader_destroy(&reader);
	grpc_byte_buffer_destroy(s->received);
	s->received = NULL;
	if (!s->crowd->closing) {
		on_answer(s, GRPC_SLICE_START_PTR(slice), GRPC_SLICE_LENGTH(slice));
		receive(s);
	}
	grpc_slice_unref(slice);
}

static void on_sent(struct subscriber *s)
{
	s->sending = false;
	s->crowd->sending--;
	if (s->ack.len && !s->crowd->closing) {
		send_bytes(s, &s->ack, false);
		buf_free(&s->ack);
	}
}

static void on_ended(struct subscriber *s)
{
	if (s->waiting)
		stop_waiting(s);
	if (s->crowd->closing || s->crowd->failed++ >= 5)
		return; /* as was wanted, or said often enough */
	(void)fprintf(stderr, "bench_load: a stream of %s ended: status %d, %.*s\n", s->name, (int)s->status,
		(int)GRPC_SLICE_LENGTH(s->details), (const char *)GRPC_SLICE_START_PTR(s->details));
}

static void subscriber_free(struct subscriber *s)
{
	*s->slot = NULL;
	s->crowd->live--;
	grpc_metadata_array_destroy(&s->initial);
	grpc_metadata_array_destroy(&s->trailing);
	grpc_slice_unref(s->details);
	grpc_call_unref(s->call);
	buf_free(&s->ack);
	free(s);
}

void subscriber_on_tag(void *tag)
{
	struct op *op = tag;
	struct subscriber *s = op->owner;
	s->pending--;
	if (op->kind == OP_RECEIVED)
		on_received(s);
	else if (op->kind == OP_SENT)
		on_sent(s);
	else if (op->kind == OP_ENDED)
		on_ended(s);
	if (!s->pending)
		subscriber_free(s);
}
