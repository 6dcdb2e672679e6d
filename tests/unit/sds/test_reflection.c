/* Reflection over the embedded descriptors. Requests and answers go through the generated messages. */
#include "sds/reflection.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "grpc/reflection/v1/reflection.pb-c.h"
#include "grpc/reflection/v1alpha/reflection.pb-c.h"
#include "proto/descriptors.h"
#include "proto/wire.h"

typedef Grpc__Reflection__V1__ServerReflectionRequest request_message;
typedef Grpc__Reflection__V1__ServerReflectionResponse response_message;

enum { NOT_FOUND = 5, UNIMPLEMENTED = 12, FILES = 32 };
#define ASK(kind) GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_##kind
#define TOLD(kind) GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_##kind
#define TLS "envoy.extensions.transport_sockets.tls.v3."
#define TLS_FOLDER "envoy/extensions/transport_sockets/tls/v3/"

static const char *const services[] = {"envoy.service.secret.v3.SecretDiscoveryService", "grpc.health.v1.Health"};

static int make(void **state)
{
	size_t len;
	const unsigned char *set = descriptors_set(&len);
	*state = reflection_new(set, len, services, ARRAY_LEN(services));
	return 0;
}

static int drop(void **state)
{
	reflection_free(*state);
	return 0;
}

/* The caller frees *ret; NULL when the request was refused as INVALID. */
static response_message *answer_bytes(const struct reflection *r, const void *bytes, size_t len)
{
	struct buf b = BUF_INIT;
	AUTO(fault_freep) struct fault *f = reflection_answer(r, bytes, len, &b);
	if (f) {
		assert_int_equal(fault_code(f), FAULT_INVALID);
		assert_int_equal(b.len, 0);
		return NULL;
	}
	response_message *m = grpc__reflection__v1__server_reflection_response__unpack(NULL, b.len, b.data);
	assert_non_null(m);
	assert_int_equal(m->base.n_unknown_fields, 0);
	buf_free(&b);
	return m;
}

static void done(response_message *m)
{
	grpc__reflection__v1__server_reflection_response__free_unpacked(m, NULL);
}

static response_message *answer(const struct reflection *r, const request_message *q)
{
	uint8_t bytes[512];
	assert_true(grpc__reflection__v1__server_reflection_request__get_packed_size(q) <= sizeof bytes);
	return answer_bytes(r, bytes, grpc__reflection__v1__server_reflection_request__pack(q, bytes));
}

static response_message *ask(const struct reflection *r,
	Grpc__Reflection__V1__ServerReflectionRequest__MessageRequestCase kind, const char *text)
{
	request_message q = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
	q.message_request_case = kind;
	q.list_services = (char *)text; /* a union: all texts are one */
	return answer(r, &q);
}

/* The first text of that field, or the next one after *at. */
static bool next_text(const ProtobufCBinaryData *message, uint32_t number, size_t skip, char *ret, size_t size)
{
	struct wire_reader r;
	struct wire_field f;
	wire_read(&r, message->data, message->len);
	while (wire_next(&r, &f))
		if (f.number == number && f.type == WIRE_BYTES && !skip--) {
			assert_true(f.len < size);
			memcpy(ret, f.bytes, f.len);
			ret[f.len] = 0;
			return true;
		}
	assert_false(r.bad);
	return false;
}

/* The answer is this file and, after it, whatever it needs, each once. */
static void assert_file(const response_message *m, const char *name)
{
	char names[FILES][128], dependency[128];
	assert_int_equal(m->message_response_case, TOLD(FILE_DESCRIPTOR_RESPONSE));
	size_t count = m->file_descriptor_response->n_file_descriptor_proto;
	const ProtobufCBinaryData *files = m->file_descriptor_response->file_descriptor_proto;
	assert_in_range(count, 1, FILES);
	for (size_t i = 0; i < count; i++) {
		assert_true(next_text(&files[i], 1, 0, names[i], sizeof names[i]));
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(names[i], names[j]);
	}
	assert_string_equal(names[0], name);
	for (size_t i = 0; i < count; i++)
		for (size_t d = 0; next_text(&files[i], 3, d, dependency, sizeof dependency); d++) {
			size_t j = 0;
			while (j < count && strcmp(names[j], dependency) != 0)
				j++;
			assert_true(j < count);
		}
}

static void assert_error(const response_message *m, int code)
{
	assert_int_equal(m->message_response_case, TOLD(ERROR_RESPONSE));
	assert_int_equal(m->error_response->error_code, code);
	assert_true(strlen(m->error_response->error_message) > 0);
}

static void test_services(void **state)
{
	response_message *m = ask(*state, ASK(LIST_SERVICES), "");
	assert_int_equal(m->message_response_case, TOLD(LIST_SERVICES_RESPONSE));
	assert_int_equal(m->list_services_response->n_service, ARRAY_LEN(services));
	for (size_t i = 0; i < ARRAY_LEN(services); i++)
		assert_string_equal(m->list_services_response->service[i]->name, services[i]);
	done(m);
}

static void test_symbols(void **state)
{
	static const struct {
		const char *symbol, *file; /* NULL: there is none */
	} rows[] = {
		{"envoy.service.secret.v3.SecretDiscoveryService", "envoy/service/secret/v3/sds.proto"},
		{"envoy.service.secret.v3.SecretDiscoveryService.DeltaSecrets", "envoy/service/secret/v3/sds.proto"},
		{"envoy.service.discovery.v3.AggregatedDiscoveryService", "envoy/service/discovery/v3/ads.proto"},
		{"grpc.health.v1.Health.List", "grpc/health/v1/health.proto"},
		{"grpc.reflection.v1.ServerReflection", "grpc/reflection/v1/reflection.proto"},
		{"grpc.reflection.v1alpha.ServerReflection", "grpc/reflection/v1alpha/reflection.proto"},
		{TLS "Secret", TLS_FOLDER "secret.proto"},
		{"." TLS "Secret", TLS_FOLDER "secret.proto"},
		{TLS "Secret.name", TLS_FOLDER "secret.proto"},
		{TLS "Secret.type", TLS_FOLDER "secret.proto"}, /* a oneof */
		{TLS "SPIFFECertValidatorConfig.TrustDomain.trust_bundle",
			TLS_FOLDER "tls_spiffe_validator_config.proto"},
		{TLS "SubjectAltNameMatcher.SanType", TLS_FOLDER "common.proto"},
		{TLS "SubjectAltNameMatcher.EMAIL", TLS_FOLDER "common.proto"}, /* beside its enum, not in it */
		{TLS "SubjectAltNameMatcher.SanType.EMAIL", NULL},
		{"envoy.config.core.v3.Node.DynamicParametersEntry.value", "envoy/config/core/v3/base.proto"},
		{"google.protobuf.Any", "google/protobuf/any.proto"},
		{"google.protobuf.NULL_VALUE", "google/protobuf/struct.proto"}, /* of an enum without a message */
		{"google.protobuf.NullValue.NULL_VALUE", NULL},
		{"google.rpc.Status", "google/rpc/status.proto"},
		{"xds.core.v3.ContextParams", "xds/core/v3/context_params.proto"},
		{TLS "SdsSecretConfig", NULL},
		{TLS "Secret.nothing", NULL},
		{"envoy.service.secret.v3", NULL}, /* a package is no symbol */
		{"Secret", NULL},
		{".." TLS "Secret", NULL},
		{TLS "Secret.", NULL},
		{".", NULL},
		{"", NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		response_message *m = ask(*state, ASK(FILE_CONTAINING_SYMBOL), rows[i].symbol);
		if (rows[i].file)
			assert_file(m, rows[i].file);
		else
			assert_error(m, NOT_FOUND);
		done(m);
	}
}

/* Every file that there is, by its name; and the bytes are the embedded ones. */
static void test_files(void **state)
{
	size_t len, count = 0;
	const unsigned char *set = descriptors_set(&len);
	struct wire_reader r;
	struct wire_field f;
	wire_read(&r, set, len);
	for (; wire_next(&r, &f); count++) {
		ProtobufCBinaryData file = {f.len, (uint8_t *)(uintptr_t)f.bytes};
		char name[128];
		assert_true(next_text(&file, 1, 0, name, sizeof name));
		response_message *m = ask(*state, ASK(FILE_BY_FILENAME), name);
		assert_file(m, name);
		assert_int_equal(m->file_descriptor_response->file_descriptor_proto[0].len, f.len);
		assert_memory_equal(m->file_descriptor_response->file_descriptor_proto[0].data, f.bytes, f.len);
		done(m);
	}
	assert_false(r.bad);
	assert_true(count >= 18 + 4);
	static const char *const none[] = {"", "sds.proto", "envoy/service/secret/v3/sds.proto ", "/etc/passwd"};
	for (size_t i = 0; i < ARRAY_LEN(none); i++) {
		response_message *m = ask(*state, ASK(FILE_BY_FILENAME), none[i]);
		assert_error(m, NOT_FOUND);
		done(m);
	}
}

static void test_extensions(void **state)
{
	Grpc__Reflection__V1__ExtensionRequest extension = GRPC__REFLECTION__V1__EXTENSION_REQUEST__INIT;
	request_message q = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
	extension.containing_type = (char *)TLS "Secret";
	extension.extension_number = 100;
	q.message_request_case = ASK(FILE_CONTAINING_EXTENSION);
	q.file_containing_extension = &extension;
	response_message *m = answer(*state, &q);
	assert_error(m, NOT_FOUND);
	assert_int_equal(m->original_request->file_containing_extension->extension_number, 100);
	done(m);
	m = ask(*state, ASK(ALL_EXTENSION_NUMBERS_OF_TYPE), TLS "Secret");
	assert_error(m, NOT_FOUND);
	done(m);
}

static void test_echo(void **state)
{
	request_message q = GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__INIT;
	q.host = (char *)"sds.example";
	q.message_request_case = ASK(FILE_CONTAINING_SYMBOL);
	q.file_containing_symbol = (char *)"no.such.Thing";
	response_message *m = answer(*state, &q);
	assert_string_equal(m->valid_host, q.host);
	assert_string_equal(m->original_request->host, q.host);
	assert_string_equal(m->original_request->file_containing_symbol, q.file_containing_symbol);
	done(m);
	m = ask(*state, ASK(LIST_SERVICES), "*");
	assert_string_equal(m->valid_host, "");
	assert_string_equal(m->original_request->list_services, "*");
	done(m);
}

static void put_text(struct buf *b, uint32_t number, const char *text)
{
	wire_put_bytes(b, number, text, strlen(text));
}

static void test_odd_requests(void **state)
{
	struct buf b = BUF_INIT;
	response_message *m = answer_bytes(*state, NULL, 0);
	assert_error(m, UNIMPLEMENTED); /* nothing was asked */
	done(m);

	put_text(&b, 3, "no/such.proto"); /* of a oneof the last one counts */
	put_text(&b, 4, "google.rpc.Status");
	put_text(&b, 200, "a field of another day");
	m = answer_bytes(*state, b.data, b.len);
	assert_file(m, "google/rpc/status.proto");
	done(m);

	buf_truncate(&b, 0);
	wire_put_bytes(&b, 4, "google.rpc.Status\0x", 19);
	m = answer_bytes(*state, b.data, b.len);
	assert_error(m, NOT_FOUND);
	done(m);
	buf_truncate(&b, 0);
	wire_put_bytes(&b, 3, "google/rpc/status.proto\0", 24);
	m = answer_bytes(*state, b.data, b.len);
	assert_error(m, NOT_FOUND);
	done(m);
	buf_free(&b);
}

/* A number where a text is due is not that field. protobuf-c would refuse the echo of it. */
static void test_other_type(void **state)
{
	struct buf b = BUF_INIT;
	struct wire_reader r;
	struct wire_field f;
	assert_null(reflection_answer(*state, "\x38\x01", 2, &b));
	wire_read(&r, b.data, b.len);
	assert_true(wire_next(&r, &f) && f.number == 2 && f.len == 2);
	assert_true(wire_next(&r, &f) && f.number == 7); /* error_response */
	wire_read(&r, f.bytes, f.len);
	assert_true(wire_next(&r, &f) && f.number == 1 && f.value == UNIMPLEMENTED);
	buf_free(&b);
}

static void test_refused(void **state)
{
	static const char big[5000];
	struct buf b = BUF_INIT;
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = {
		{"\x22\x05", 2},	     /* cut */
		{"\x23", 1},		     /* a group */
		{"\x0a\x01\xff\x3a\x00", 5}, /* texts that are not UTF-8: the host */
		{"\x1a\x01\xff", 3},	     /* a file */
		{"\x22\x01\xff\x3a\x00", 5}, /* a symbol, though another question follows */
		{"\x2a\x03\x0a\x01\xff", 5}, /* the type in an extension */
		{"\x2a\x02\x0a\x01", 4},     /* an extension that is cut */
		{"\x32\x01\xff", 3},
		{"\x3a\x01\xff", 3},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_null(answer_bytes(*state, rows[i].bytes, rows[i].len));
	wire_put_bytes(&b, 4, big, 4093); /* 4,096 bytes in all */
	assert_int_equal(b.len, 4096);
	response_message *m = answer_bytes(*state, b.data, b.len);
	assert_error(m, NOT_FOUND);
	done(m);
	buf_truncate(&b, 0);
	wire_put_bytes(&b, 4, big, 4094);
	assert_null(answer_bytes(*state, b.data, b.len));
	buf_free(&b);
}

/* The answer is appended, and v1alpha reads it as v1 does. */
static void test_appended(void **state)
{
	struct buf b = BUF_INIT;
	buf_add_text(&b, "before");
	assert_null(reflection_answer(*state, "\x3a\x00", 2, &b));
	assert_memory_equal(b.data, "before", 6);
	Grpc__Reflection__V1alpha__ServerReflectionResponse *m =
		grpc__reflection__v1alpha__server_reflection_response__unpack(NULL, b.len - 6, b.data + 6);
	assert_non_null(m);
	assert_int_equal(m->list_services_response->n_service, ARRAY_LEN(services));
	grpc__reflection__v1alpha__server_reflection_response__free_unpacked(m, NULL);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_services),
		cmocka_unit_test(test_symbols),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_extensions),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_odd_requests),
		cmocka_unit_test(test_other_type),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_appended),
	};
	return cmocka_run_group_tests(tests, make, drop);
}
