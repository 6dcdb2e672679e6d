/* Frames: what is written, followed by a body, is read back by the generated messages; and byte for byte once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/buf.h"
#include "envoy/extensions/transport_sockets/tls/v3/secret.pb-c.h"
#include "envoy/service/discovery/v3/discovery.pb-c.h"
#include "proto/wire.h"
#include "sds/frame.h"

static const struct frame sotw = {.type_url = FRAME_SECRET_TYPE_URL,
				  .version = "0123abcd",
				  .nonce = "p-1",
				  .control_plane = "lc"},
			  delta = {.delta = true,
				  .type_url = FRAME_SECRET_TYPE_URL,
				  .version = "0123abcd",
				  .nonce = "p-1",
				  .control_plane = "lc"};

/* Secret.tls_certificate.certificate_chain.inline_bytes of len bytes. */
static void put_body(struct buf *b, size_t len)
{
	size_t source = wire_bytes_len(2, len);
	wire_put_head(b, 2, wire_bytes_len(1, source));
	wire_put_head(b, 1, source);
	wire_put_head(b, 2, len);
	memset(buf_extend(b, len), 'x', len);
}

static void assert_secret(const Google__Protobuf__Any *any, const char *name, size_t body_len)
{
	assert_string_equal(any->type_url, FRAME_SECRET_TYPE_URL);
	Envoy__Extensions__TransportSockets__Tls__V3__Secret *s =
		envoy__extensions__transport_sockets__tls__v3__secret__unpack(NULL, any->value.len, any->value.data);
	assert_non_null(s);
	assert_string_equal(s->name, name);
	assert_int_equal(s->type_case, ENVOY__EXTENSIONS__TRANSPORT_SOCKETS__TLS__V3__SECRET__TYPE_TLS_CERTIFICATE);
	assert_int_equal(s->tls_certificate->certificate_chain->inline_bytes.len, body_len);
	envoy__extensions__transport_sockets__tls__v3__secret__free_unpacked(s, NULL);
}

/* Lengths around each step of a varint, in all the places where one length holds another. */
static const size_t lengths[] = {0, 1, 20, 60, 63, 64, 80, 100, 110, 111, 112, 113, 114, 115, 116, 117, 118, 119, 120,
	121, 122, 123, 124, 125, 126, 127, 128, 129, 16200, 16280, 16300, 16320, 16340, 16360, 16375, 16380, 16383,
	16384, 16385, 1 << 20, (1 << 21) - 120, 1 << 21};

static void check_sotw(const char *name, size_t len)
{
	struct buf body = BUF_INIT, b = BUF_INIT;
	put_body(&body, len);
	frame_offer(&sotw, name, body.len, &b);
	buf_add(&b, body.data, body.len);
	Envoy__Service__Discovery__V3__DiscoveryResponse *r =
		envoy__service__discovery__v3__discovery_response__unpack(NULL, b.len, b.data);
	assert_non_null(r);
	assert_string_equal(r->version_info, "0123abcd");
	assert_string_equal(r->type_url, FRAME_SECRET_TYPE_URL);
	assert_string_equal(r->nonce, "p-1");
	assert_string_equal(r->control_plane->identifier, "lc");
	assert_int_equal(r->n_resources, 1);
	assert_secret(r->resources[0], name, len);
	envoy__service__discovery__v3__discovery_response__free_unpacked(r, NULL);
	buf_free(&body);
	buf_free(&b);
}

static void check_delta(const char *name, size_t len)
{
	struct buf body = BUF_INIT, b = BUF_INIT;
	put_body(&body, len);
	frame_offer(&delta, name, body.len, &b);
	buf_add(&b, body.data, body.len);
	Envoy__Service__Discovery__V3__DeltaDiscoveryResponse *r =
		envoy__service__discovery__v3__delta_discovery_response__unpack(NULL, b.len, b.data);
	assert_non_null(r);
	assert_string_equal(r->system_version_info, "0123abcd");
	assert_string_equal(r->type_url, FRAME_SECRET_TYPE_URL);
	assert_string_equal(r->nonce, "p-1");
	assert_string_equal(r->control_plane->identifier, "lc");
	assert_int_equal(r->n_removed_resources, 0);
	assert_int_equal(r->n_resources, 1);
	const Envoy__Service__Discovery__V3__Resource *resource = r->resources[0];
	assert_string_equal(resource->name, name);
	assert_string_equal(resource->version, "0123abcd");
	assert_null(resource->resource_name);
	assert_null(resource->ttl);
	assert_null(resource->cache_control);
	assert_int_equal(resource->n_aliases, 0);
	assert_secret(resource->resource, name, len);
	envoy__service__discovery__v3__delta_discovery_response__free_unpacked(r, NULL);
	buf_free(&body);
	buf_free(&b);
}

static void test_offers_of_all_lengths(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		check_sotw("default", lengths[i]);
		check_delta("default", lengths[i]);
	}
	char name[1025];
	for (size_t len = 1; len < sizeof name; len++) {
		memset(name, 'n', len);
		name[len] = 0;
		check_sotw(name, 700);
		check_delta(name, 700);
	}
	check_delta("spiffe://td/\xc3\xbc:|?x=%2f", 1);
}

static void test_bytes(void **state)
{
	(void)state;
	static const struct frame f = {.type_url = "T", .version = "V", .nonce = "N", .control_plane = "C"},
				  d = {.delta = true,
					  .type_url = "T",
					  .version = "V",
					  .nonce = "N",
					  .control_plane = "C"};
	static const char expected_sotw[] = "\x0a\x01V\x22\x01T\x2a\x01N\x32\x03\x0a\x01"
					    "C"
					    "\x12\x0d\x0a\x01T\x12\x08\x0a\x01"
					    "a";
	static const char expected_delta[] = "\x0a\x01V\x22\x01T\x2a\x01N\x3a\x03\x0a\x01"
					     "C"
					     "\x12\x15\x0a\x01V\x1a\x01"
					     "a\x12\x0d\x0a\x01T\x12\x08\x0a\x01"
					     "a";
	static const char expected_removed[] = "\x0a\x01V\x22\x01T\x2a\x01N\x3a\x03\x0a\x01"
					       "C\x32\x01"
					       "a";
	struct buf b = BUF_INIT;
	frame_offer(&f, "a", 5, &b);
	assert_int_equal(b.len, sizeof expected_sotw - 1);
	assert_memory_equal(b.data, expected_sotw, b.len);
	buf_truncate(&b, 0);
	frame_offer(&d, "a", 5, &b);
	assert_int_equal(b.len, sizeof expected_delta - 1);
	assert_memory_equal(b.data, expected_delta, b.len);
	buf_truncate(&b, 0);
	frame_removed(&d, "a", 1, &b);
	assert_int_equal(b.len, sizeof expected_removed - 1);
	assert_memory_equal(b.data, expected_removed, b.len);
	buf_free(&b);
}

static void test_removed(void **state)
{
	(void)state;
	static const char *const names[] = {"default", "", "*", "spiffe://td/\xc3\xbc"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		struct buf b = BUF_INIT;
		struct frame f = delta;
		f.version = ""; /* nothing has no version */
		frame_removed(&f, names[i], strlen(names[i]), &b);
		Envoy__Service__Discovery__V3__DeltaDiscoveryResponse *r =
			envoy__service__discovery__v3__delta_discovery_response__unpack(NULL, b.len, b.data);
		assert_non_null(r);
		assert_int_equal(r->n_resources, 0);
		assert_int_equal(r->n_removed_resources, 1);
		assert_string_equal(r->removed_resources[0], names[i]);
		assert_string_equal(r->nonce, "p-1");
		assert_string_equal(r->type_url, FRAME_SECRET_TYPE_URL);
		assert_string_equal(r->control_plane->identifier, "lc");
		envoy__service__discovery__v3__delta_discovery_response__free_unpacked(r, NULL);
		buf_free(&b);
	}
}

static void test_fetch(void **state)
{
	(void)state;
	struct buf b = BUF_INIT, body = BUF_INIT;
	struct frame f = sotw;
	f.nonce = f.control_plane = "";
	put_body(&body, 700);
	frame_fetch_rest(&f, &b);
	frame_fetch_resource("a", body.len, &b);
	buf_add(&b, body.data, body.len);
	frame_fetch_resource("b", body.len, &b);
	buf_add(&b, body.data, body.len);
	Envoy__Service__Discovery__V3__DiscoveryResponse *r =
		envoy__service__discovery__v3__discovery_response__unpack(NULL, b.len, b.data);
	assert_non_null(r);
	assert_string_equal(r->version_info, "0123abcd");
	assert_string_equal(r->nonce, "");
	assert_null(r->control_plane);
	assert_int_equal(r->n_resources, 2);
	assert_secret(r->resources[0], "a", 700);
	assert_secret(r->resources[1], "b", 700);
	envoy__service__discovery__v3__discovery_response__free_unpacked(r, NULL);
	buf_free(&b);
	buf_free(&body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offers_of_all_lengths),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_removed),
		cmocka_unit_test(test_fetch),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
