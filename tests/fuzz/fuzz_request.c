/* tests/fuzz/fuzz_request.c - the first byte says which message the others are. What is read lies within the message
 * and its bounds, agrees with protobuf-c where that can read it, and an engine takes it. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/attr.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/text.h"
#include "control/node.h"
#include "envoy/service/discovery/v3/discovery.pb-c.h"
#include "proto/wire.h"
#include "sds/engine.h"
#include "sds/request.h"

/* protobuf-c recurses into Node, without a bound. */
enum { NAMES_MAX = 50, REFERENCE_MAX = 2048 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_view(const uint8_t *data, size_t len, struct view v)
{
	const uint8_t *at = (const uint8_t *)v.at;
	invariant(!v.len || (at >= data && v.len <= len && at <= data + len - v.len));
}

static void check_views(const uint8_t *data, size_t len, const struct request *r)
{
	const struct view singles[] = {r->node, r->version_info, r->type_url, r->nonce, r->error_text};
	for (size_t i = 0; i < ARRAY_LEN(singles); i++)
		check_view(data, len, singles[i]);
	invariant(r->names_count <= NAMES_MAX && r->unsubscribe_count <= NAMES_MAX && r->initial_count <= NAMES_MAX);
	for (size_t i = 0; i < r->names_count; i++) {
		check_view(data, len, r->names[i]);
		invariant(text_is_utf8(r->names[i].at, r->names[i].len));
	}
	for (size_t i = 0; i < r->unsubscribe_count; i++)
		check_view(data, len, r->unsubscribe[i]);
	for (size_t i = 0; i < r->initial_count; i++) {
		check_view(data, len, r->initial[i].name);
		check_view(data, len, r->initial[i].version);
	}
}

/* protobuf-c cuts at NUL. */
static void check_text(struct view v, const char *reference)
{
	size_t len = strnlen(v.at, v.len);
	invariant(strlen(reference) == len && !strncmp(reference, v.at, len));
}

/* Of two, protobuf-c forgets the scalars of the first; the specification merges them. */
static bool is_single(const uint8_t *data, size_t len, uint32_t number)
{
	struct wire_reader w;
	struct wire_field f;
	size_t n = 0;
	wire_read(&w, data, len);
	while (wire_next(&w, &f))
		n += f.number == number;
	return n < 2;
}

static void check_error(const struct request *r, const Google__Rpc__Status *s, bool single)
{
	invariant(r->has_error == (s != NULL));
	if (!s || !single)
		return;
	invariant(r->error_code == s->code);
	check_text(r->error_text, s->message);
}

/* Names and locators are one list here, in the order of the message; only the counts are told apart there. */
static void compare_sotw(const struct request *r, const uint8_t *data, size_t len)
{
	Envoy__Service__Discovery__V3__DiscoveryRequest *q =
		envoy__service__discovery__v3__discovery_request__unpack(NULL, len, data);
	if (!q)
		return;
	invariant(r->has_node == (q->node != NULL));
	invariant(r->names_count == q->n_resource_names + q->n_resource_locators);
	for (size_t i = 0; !q->n_resource_locators && i < r->names_count; i++)
		check_text(r->names[i], q->resource_names[i]);
	check_text(r->version_info, q->version_info);
	check_text(r->type_url, q->type_url);
	check_text(r->nonce, q->response_nonce);
	check_error(r, q->error_detail, is_single(data, len, 6));
	envoy__service__discovery__v3__discovery_request__free_unpacked(q, NULL);
}

static void compare_delta(const struct request *r, const uint8_t *data, size_t len)
{
	Envoy__Service__Discovery__V3__DeltaDiscoveryRequest *q =
		envoy__service__discovery__v3__delta_discovery_request__unpack(NULL, len, data);
	if (!q)
		return;
	invariant(r->has_node == (q->node != NULL));
	invariant(r->names_count == q->n_resource_names_subscribe + q->n_resource_locators_subscribe);
	invariant(r->unsubscribe_count == q->n_resource_names_unsubscribe + q->n_resource_locators_unsubscribe);
	invariant(r->initial_count == q->n_initial_resource_versions);
	for (size_t i = 0; !q->n_resource_locators_subscribe && i < r->names_count; i++)
		check_text(r->names[i], q->resource_names_subscribe[i]);
	for (size_t i = 0; i < r->initial_count; i++) {
		check_text(r->initial[i].name, q->initial_resource_versions[i]->key);
		check_text(r->initial[i].version, q->initial_resource_versions[i]->value);
	}
	check_text(r->type_url, q->type_url);
	check_text(r->nonce, q->response_nonce);
	check_error(r, q->error_detail, is_single(data, len, 7));
	envoy__service__discovery__v3__delta_discovery_request__free_unpacked(q, NULL);
}

static void note(void *arg, struct engine_sub *s)
{
	size_t len;
	invariant(engine_sub_name(s, &len)[len] == 0);
	++*(size_t *)arg;
}

static void note_ack(void *arg, struct engine_sub *s, const char *version, int64_t push_to_ack_ms)
{
	(void)version;
	(void)push_to_ack_ms;
	note(arg, s);
}

static void note_nack(void *arg, struct engine_sub *s, const char *version, int code, const char *text, size_t text_len)
{
	(void)version;
	(void)code;
	AUTO(mem_freep) char *redacted = request_redact((struct view){text, text_len});
	invariant(strlen(redacted) <= 512);
	note(arg, s);
}

/* Twice, for the second meets a stream that has begun; every other name exists. */
static void feed(const struct request *r)
{
	size_t notes = 0, answers = 0;
	static const struct engine_limits limits = {.names = NAMES_MAX, .name_bytes = 1000, .resend_on_repeat_ms = 10};
	const struct engine_events events = {&notes, note, note, note_ack, note_nack};
	struct engine *e = engine_new(r->delta ? ENGINE_DELTA : ENGINE_SOTW, &limits, &events, "x");
	for (int64_t now_ms = 1; now_ms <= 2; now_ms++) {
		if (engine_request(e, r, now_ms).grpc_status)
			break;
		for (struct engine_sub *s; (s = engine_next(e)); answers++) {
			char nonce[ENGINE_NONCE_MAX];
			if (!engine_sub_is_possible(s) || answers % 2)
				(void)engine_absent(e, s, now_ms, nonce);
			else if (engine_wants(e, s, "v1"))
				engine_offered(e, s, "v1", now_ms, nonce);
		}
		invariant(answers <= 4 * NAMES_MAX);
	}
	engine_free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct request r;
	if (!len)
		return 0;
	bool delta = data[0] & 1, secret;
	const uint8_t *message = data + 1;
	size_t message_len = len - 1;
	struct fault *f = request_read(message, message_len, delta, NAMES_MAX, &r);
	if (f) {
		invariant(fault_code(f) == FAULT_INVALID || fault_code(f) == FAULT_EXHAUSTED);
		fault_free(f);
		return 0;
	}
	check_views(message, message_len, &r);
	fault_free(request_type_ok(&r, data[0] & 2, &secret));
	if (r.has_node) {
		struct node *n = NULL;
		f = request_node(&r, NODE_TEXT_MAX, &n);
		invariant((f != NULL) == (n == NULL));
		invariant(!n || (strlen(n->id) <= NODE_TEXT_MAX && text_is_utf8(n->id, strlen(n->id))));
		fault_free(f);
		node_unref(n);
	}
	if (message_len <= REFERENCE_MAX && delta)
		compare_delta(&r, message, message_len);
	else if (message_len <= REFERENCE_MAX)
		compare_sotw(&r, message, message_len);
	feed(&r);
	request_done(&r);
	return 0;
}
