/* sds/stream.c - an xDS stream: requests into the engine, the engine's subscriptions to the index, answers to the wire.
 */
#include <grpc/slice.h>
#include <string.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "sds/internal.h"

/* A stream that was opened and says nothing holds a place that others may want. */
#define FIRST_REQUEST_MS (INT64_C(60) * 1000)

/* Envoy #47309: over ADS a second user of a name repeats the last request word by word and waits. */
#define REPEAT_MS (INT64_C(1) * 1000)

/* Something may be kept from a client for long: meanwhile it is looked at so often. */
#define LOOK_MS (INT64_C(60) * 1000)

struct stream {
	struct call *call;
	struct engine *engine;
	struct engine_events events;
	struct engine_limits limits;
	struct node *node;
	struct repush repush;
	int64_t look_at_ms; /* when something that was kept from it may have to be offered; INT64_MAX: nothing is */
	int64_t silent_since_ms; /* nothing was answered since this offer, which was made anew; 0: no */
	int64_t end_at_ms;	 /* of the identity, or of the wait after a half-close; INT64_MAX: none */
};

/* --- the engine's events --- */

static void take_interest(struct stream *s, struct engine_sub *sub, const char *name)
{
	engine_sub_set_user(sub, interest_new(s->call, s->node, sub, name, engine_mode(s->engine) == ENGINE_DELTA));
}

static void on_subscribed(void *arg, struct engine_sub *sub)
{
	struct stream *s = arg;
	size_t len;
	const char *name = engine_sub_name(sub, &len);
	pace_charge(s->call, 1);
	if (!engine_sub_is_possible(sub)) { /* nothing to ask control for */
		meters_impossible(s->call->worker->server);
		return;
	}
	if (!interest_would_be_new(s->call, name) || owner_takes_new_name(s->call))
		take_interest(s, sub, name);
}

/* Without one, because there were too many new names: when it comes up again there may be room. */
static struct interest *interest_of(struct stream *s, struct engine_sub *sub)
{
	const char *name = engine_sub_name(sub, NULL);
	if (!engine_sub_user(sub) && engine_sub_is_possible(sub) && owner_has_new_names(s->call->conn) &&
		(!interest_would_be_new(s->call, name) || owner_takes_new_name(s->call)))
		take_interest(s, sub, name);
	return engine_sub_user(sub);
}

static void on_unsubscribed(void *arg, struct engine_sub *sub)
{
	struct interest *i = engine_sub_user(sub);
	(void)arg;
	if (i)
		interest_leave(i);
}

static void on_acked(void *arg, struct engine_sub *sub, const char *version, int64_t push_to_ack_ms)
{
	struct stream *s = arg;
	struct interest *i = engine_sub_user(sub);
	if (!i)
		return;
	(void)snprintf(i->acked, sizeof i->acked, "%s", version);
	if (i->offered && strcmp(version_id(i->offered), version) == 0) {
		version_unref(i->held);
		i->held = TAKE(i->offered);
	}
	i->push_to_ack_ms = push_to_ack_ms;
	meters_ack(s->call->worker->server, push_to_ack_ms);
	outbox_note(s->call->worker, i, REPORT_ACKED);
}

/* The one of this version that control was not told of yet. A refusal of one version must not hide that of another:
 * a NACK may bring the last ACKed content back at once, and that may be refused as well. */
static struct nack *nack_of(struct interest *i, const char *version)
{
	struct nack *n;
	size_t count = 0;
	LL_FOREACH (i->nacks, n) {
		if (strcmp(n->version, version) == 0)
			return n;
		count++;
	}
	if (count < ENGINE_NACKED_MAX) {
		n = mem_new(struct nack);
	} else {
		n = i->nacks;
		LL_DELETE(i->nacks, n);
	}
	(void)snprintf(n->version, sizeof n->version, "%s", version);
	LL_APPEND(i->nacks, n);
	return n;
}

static void on_nacked(
	void *arg, struct engine_sub *sub, const char *version, int code, const char *text, size_t text_len)
{
	struct stream *s = arg;
	struct interest *i = engine_sub_user(sub);
	if (!i)
		return;
	version_unrefp(&i->offered);
	struct nack *n = nack_of(i, version);
	free(n->text);
	n->text = request_redact((struct view){text, text_len});
	n->code = code;
	meters_nack(s->call->worker->server);
	outbox_note(s->call->worker, i, REPORT_NACKED);
}

/* --- requests --- */

static struct fault *take_node(struct stream *s, const struct request *r)
{
	struct node *n = NULL;
	if (s->node)
		return NULL; /* a later node changes nothing: it is a claim, and the first one stands */
	if (!r->has_node)
		return fault_new(FAULT_INVALID, "the first request of a stream must carry a node (node.id)");
	size_t max = s->call->worker->server->o.limits.node_bytes;
	TRY(request_node(r, max, &n));
	if (strlen(n->id) == max || strlen(n->cluster) == max)
		limit_hit(s->call, LIMIT_NODE_BYTES); /* it was cut: nodes that differ beyond are one to us */
	s->node = conn_intern_node(s->call->conn, n);
	int64_t left = call_identity_left_ms(s->call);
	s->end_at_ms = left < 0 ? INT64_MAX : s->call->worker->now_ms + left;
	return NULL;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* An offer that the client never answers must not hold a place in the window for ever: it is made anew. A client that
 * answers nothing, perhaps because it does not read, is let go. */
static int64_t patience_ends_ms(const struct stream *s)
{
	const struct sds_limits *l = &s->call->worker->server->o.limits;
	int64_t oldest = engine_oldest_offer_ms(s->engine);
	int64_t again = oldest == INT64_MAX ? INT64_MAX : oldest + l->unanswered_reoffer_ms;
	return s->silent_since_ms ? earlier(again, s->silent_since_ms + l->unanswered_close_ms) : again;
}

/* False: the stream ended. */
static bool lose_patience(struct stream *s)
{
	struct call *c = s->call;
	const struct sds_limits *l = &c->worker->server->o.limits;
	int64_t now = c->worker->now_ms, oldest = engine_oldest_offer_ms(s->engine);
	if (s->silent_since_ms && now - s->silent_since_ms >= l->unanswered_close_ms) {
		limit_hit(c, LIMIT_UNANSWERED_CLOSE);
		call_end(c, GRPC_STATUS_DEADLINE_EXCEEDED,
			"nothing of what was sent was answered for long (limits.unanswered_close)");
		return false;
	}
	if (engine_reoffer(s->engine, now - l->unanswered_reoffer_ms + 1)) {
		limit_hit(c, LIMIT_UNANSWERED_REOFFER);
		if (!s->silent_since_ms)
			s->silent_since_ms = oldest;
	}
	return true;
}

/* One timer serves the engine's own wishes and the stream's end. One that is set for an earlier time is left alone: it
 * fires for nothing, which is cheaper than to move it with each answer. */
static void arm_timer(struct stream *s)
{
	struct call *c = s->call;
	int64_t at = earlier(
		earlier(s->end_at_ms, s->look_at_ms), earlier(engine_wake_at_ms(s->engine), patience_ends_ms(s)));
	at = earlier(at, s->repush.at_ms);
	if (at == INT64_MAX || (c->timer.place && c->timer.at_ms <= at))
		return;
	if (s->node || c->half_closed)
		call_set_timer(c, at > c->worker->now_ms ? at - c->worker->now_ms : 0);
}

static struct fault *take_request(struct stream *s, const struct request *r)
{
	struct call *c = s->call;
	bool secret;
	TRY(take_node(s, r));
	TRY(request_type_ok(r, c->method->ads, &secret));
	if (!secret)
		return NULL; /* another type of an ADS stream: open, unanswered */
	if (r->nonce.len)
		s->silent_since_ms = 0;
	struct engine_close end = engine_request(s->engine, r, c->worker->now_ms);
	if (end.grpc_status)
		limit_end(c, LIMIT_NAMES_PER_STREAM, end.text);
	else
		call_mark(c);
	return NULL;
}

static void on_message(struct call *c, const void *bytes, size_t len)
{
	struct stream *s = c->user;
	struct request r;
	AUTO(fault_freep)
	struct fault *f = request_read(
		bytes, len, c->method->mode == ENGINE_DELTA, c->worker->server->o.limits.names_per_request, &r);
	if (!f) {
		f = take_request(s, &r);
		request_done(&r);
	}
	if (f && fault_code(f) == FAULT_EXHAUSTED)
		limit_end(c, LIMIT_NAMES_PER_REQUEST, fault_text(f));
	else if (f)
		call_end(c, call_status_of(fault_code(f)), fault_text(f));
}

/* --- answers --- */

static void unref_version(void *arg)
{
	version_unref(arg);
}

/* The head is small and ours; the body is shared by all streams, and its reference falls when the transport is done. */
static void send_version(struct stream *s, struct engine_sub *sub, struct version *v)
{
	struct buf head = BUF_INIT;
	char nonce[ENGINE_NONCE_MAX];
	size_t len;
	const unsigned char *body = version_body(v, BODY_PLAIN, &len);
	struct interest *i = engine_sub_user(sub);
	engine_offered(s->engine, sub, version_id(v), s->call->worker->now_ms, nonce);
	version_unref(i->offered);
	i->offered = s->call->half_closed ? NULL : version_ref(v);
	const struct frame f = {.delta = engine_mode(s->engine) == ENGINE_DELTA,
		.type_url = FRAME_SECRET_TYPE_URL,
		.version = version_id(v),
		.nonce = nonce,
		.control_plane = s->call->worker->server->instance};
	frame_offer(&f, engine_sub_name(sub, NULL), len, &head);
	grpc_slice slices[2] = {grpc_slice_from_copied_buffer((const char *)head.data, head.len),
		grpc_slice_new_with_user_data((void *)(uintptr_t)body, len, unref_version, version_ref(v))};
	buf_free(&head);
	call_send(s->call, slices, 2);
	meters_push(s->call->worker->server);
}

static void send_removed(struct stream *s, struct engine_sub *sub, const char *nonce)
{
	struct buf whole = BUF_INIT;
	size_t len;
	const char *name = engine_sub_name(sub, &len);
	const struct frame f = {.delta = true,
		.type_url = FRAME_SECRET_TYPE_URL,
		.version = "",
		.nonce = nonce,
		.control_plane = s->call->worker->server->instance};
	frame_removed(&f, name, len, &whole);
	grpc_slice slice = grpc_slice_from_copied_buffer((const char *)whole.data, whole.len);
	buf_free(&whole);
	call_send(s->call, &slice, 1);
}

/* The wall clock may be set while we wait. */
static void look_again(struct stream *s, int64_t wait_ms)
{
	int64_t at = s->call->worker->now_ms + (wait_ms < LOOK_MS ? wait_ms : LOOK_MS);
	s->look_at_ms = earlier(s->look_at_ms, at);
}

/* While it holds an older valid version, that one is offered once more: it heals what Envoy keeps of the bad one, and
 * answers a new stream. When that one ends, the version is offered after all, once: an Envoy with an expired
 * certificate has nothing to lose. */
static void offer(struct stream *s, struct engine_sub *sub, struct version *v)
{
	struct worker *w = s->call->worker;
	struct interest *i = engine_sub_user(sub);
	int64_t now = clock_wall_ms(w->server->o.clock);
	const struct sparing spared = quarantine_judge(w, i, v);
	if (spared.until_ms) {
		i->spared_until_ms = spared.until_ms;
		look_again(s, spared.until_ms - now);
		if (!spared.instead)
			engine_held(s->engine, sub);
		else if (engine_wants(s->engine, sub, version_id(spared.instead)))
			send_version(s, sub, spared.instead);
		return;
	}
	if (i->spared_until_ms && now >= i->spared_until_ms) {
		i->spared_until_ms = 0;
		engine_forgive(s->engine, sub, version_id(v));
	}
	if (engine_wants(s->engine, sub, version_id(v)))
		send_version(s, sub, v);
}

static void answer(struct stream *s, struct engine_sub *sub)
{
	struct interest *i = interest_of(s, sub);
	struct version *v = NULL;
	char nonce[ENGINE_NONCE_MAX];
	switch (i ? interest_answer(i, &v) : ANSWER_ABSENT) {
	case ANSWER_VERSION:
		if (interest_node_takes(i, v))
			offer(s, sub, v);
		else
			engine_held(s->engine, sub);
		break;
	case ANSWER_ABSENT:
		if (!engine_absent(s->engine, sub, s->call->worker->now_ms, nonce))
			break;
		if (i)
			version_unrefp(&i->held); /* an on-demand user drops it */
		send_removed(s, sub, nonce);
		break;
	case ANSWER_PENDING:
		engine_pending(s->engine, sub);
		break;
	}
}

static void on_pump(struct call *c)
{
	struct stream *s = c->user;
	struct engine_sub *sub;
	while (!c->sending && (sub = engine_next(s->engine)))
		answer(s, sub);
	if (c->half_closed && !c->sending && engine_is_done(s->engine))
		call_end(c, GRPC_STATUS_OK, "");
	else
		arm_timer(s);
}

static void on_half_close(struct call *c)
{
	struct stream *s = c->user;
	engine_half_close(s->engine);
	int64_t at = c->worker->now_ms + c->worker->server->o.limits.fetch_wait_ms;
	if (at < s->end_at_ms)
		s->end_at_ms = at;
	arm_timer(s); /* not only when it is pumped: what is being sent may be stuck */
	call_mark(c);
}

static void mark_spared(void *arg, struct engine_sub *sub)
{
	const struct interest *i = engine_sub_user(sub);
	if (i && i->spared_until_ms)
		engine_mark(arg, sub);
}

static void look(struct stream *s)
{
	if (s->call->worker->now_ms < s->look_at_ms)
		return;
	s->look_at_ms = INT64_MAX;
	engine_each(s->engine, mark_spared, s->engine);
}

static void on_timeout(struct call *c)
{
	struct stream *s = c->user;
	if (!s->node && !c->half_closed) {
		call_end(c, GRPC_STATUS_DEADLINE_EXCEEDED, "no request came within 60 s");
	} else if (c->worker->now_ms < s->end_at_ms) {
		engine_wake(s->engine, c->worker->now_ms);
		look(s);
		repush_run(&s->repush, c, s->engine);
		if (lose_patience(s)) {
			arm_timer(s); /* what is being sent may be stuck: then it is not pumped */
			call_mark(c);
		}
	} else if (c->half_closed) {
		call_end(c, GRPC_STATUS_OK, "");
	} else {
		call_end(c, GRPC_STATUS_UNAUTHENTICATED, "the client certificate of this connection has expired");
	}
}

void stream_interest_changed(struct interest *i)
{
	if (i->sub)
		engine_mark(engine_sub_engine(i->sub), i->sub);
	call_mark(i->call);
}

static void mark_sub(void *arg, struct engine_sub *sub)
{
	engine_mark(arg, sub);
}

static void on_policy_changed(struct call *c)
{
	struct stream *s = c->user;
	engine_each(s->engine, mark_sub, s->engine);
	call_mark(c);
}

static void count_owed(void *arg, struct engine_sub *sub)
{
	size_t *owed = arg;
	struct version *v;
	struct interest *i = engine_sub_user(sub);
	if (i && interest_answer(i, &v) == ANSWER_PENDING)
		(*owed)++;
}

static bool owes(struct call *c)
{
	const struct stream *s = c->user;
	size_t owed = 0;
	engine_each(s->engine, count_owed, &owed);
	return owed || c->sending;
}

static void on_closed(struct call *c)
{
	struct stream *s = c->user;
	c->user = NULL;
	engine_free(s->engine);
	node_unref(s->node);
	free(s);
}

static const struct call_ops stream_ops = {.message = on_message,
	.half_close = on_half_close,
	.pump = on_pump,
	.timeout = on_timeout,
	.closed = on_closed,
	.policy_changed = on_policy_changed,
	.owes = owes};

void stream_open(struct call *c)
{
	struct stream *s = mem_new(struct stream);
	char prefix[21];
	c->user = s;
	c->ops = &stream_ops;
	s->call = c;
	s->end_at_ms = s->look_at_ms = INT64_MAX;
	s->events = (struct engine_events){s, on_subscribed, on_unsubscribed, on_acked, on_nacked};
	s->limits = (struct engine_limits){
		.names = c->worker->server->o.limits.names_per_stream, .resend_on_repeat_ms = REPEAT_MS};
	const uint64_t unique[2] = {c->worker->number, c->id};
	(void)snprintf(prefix, sizeof prefix, "%llx", (unsigned long long)(table_hash(unique, sizeof unique) >> 16));
	s->engine = engine_new(c->method->mode, &s->limits, &s->events, prefix);
	repush_begin(&s->repush, c, s->engine);
	call_set_timer(c, FIRST_REQUEST_MS);
}
