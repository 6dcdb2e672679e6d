/* The messages of grpc.health.v1, against the generated ones. */
#include "sds/health_reply.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "grpc/health/v1/health.pb-c.h"
#include "proto/wire.h"

enum { SERVICE_MAX = 20 };

static void test_request(void **state)
{
	(void)state;
	static const char *const names[] = {"", "a", "grpc.health.v1.Healt", "\xc3\xa9"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		Grpc__Health__V1__HealthCheckRequest q = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
		AUTO(mem_freep) char *service = NULL;
		uint8_t bytes[64];
		q.service = (char *)(uintptr_t)names[i];
		size_t len = grpc__health__v1__health_check_request__pack(&q, bytes);
		assert_null(health_decode_request(bytes, len, SERVICE_MAX, &service));
		assert_string_equal(service, names[i]);
	}
}

static void test_odd_request(void **state)
{
	(void)state;
	AUTO(mem_freep) char *service = NULL;
	static const char bytes[] = "\x0a\x01"
				    "a\x08\x07\x12\x00\x0a\x01"
				    "b"; /* twice, the last counts; others are passed over */
	assert_null(health_decode_request(bytes, sizeof bytes - 1, SERVICE_MAX, &service));
	assert_string_equal(service, "b");
}

static void test_refused(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = {
		{"\x0a\x02x", 3},		       /* cut */
		{"\x0b", 1},			       /* a group */
		{"\x0a\x03x\0y", 5},		       /* NUL */
		{"\x0a\x01\xff", 3},		       /* no UTF-8 */
		{"\x0a\x15grpc.health.v1.Health", 23}, /* one byte too long */
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char untouched, *service = &untouched;
		AUTO(fault_freep)
		struct fault *f = health_decode_request(rows[i].bytes, rows[i].len, SERVICE_MAX, &service);
		assert_non_null(f);
		assert_int_equal(fault_code(f), FAULT_INVALID);
		assert_ptr_equal(service, &untouched);
	}
}

static void test_status(void **state)
{
	(void)state;
	static const struct {
		enum health_status status;
		Grpc__Health__V1__HealthCheckResponse__ServingStatus expected;
	} rows[] = {
#define ROW(name) {HEALTH_##name, GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__##name}
		ROW(UNKNOWN),
		ROW(SERVING),
		ROW(NOT_SERVING),
		ROW(SERVICE_UNKNOWN),
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = BUF_INIT;
		health_encode_status(rows[i].status, &b);
		Grpc__Health__V1__HealthCheckResponse *m =
			grpc__health__v1__health_check_response__unpack(NULL, b.len, (const uint8_t *)buf_text(&b));
		assert_non_null(m);
		assert_int_equal(m->status, rows[i].expected);
		grpc__health__v1__health_check_response__free_unpacked(m, NULL);
		buf_free(&b);
	}
}

static void test_list(void **state)
{
	(void)state;
	static const char *const services[] = {"", "a.B", "c.D"};
	static const enum health_status each[] = {HEALTH_SERVING, HEALTH_NOT_SERVING};
	for (size_t i = 0; i < ARRAY_LEN(each); i++) {
		struct buf b = BUF_INIT;
		health_encode_list(services, ARRAY_LEN(services), each[i], &b);
		Grpc__Health__V1__HealthListResponse *m =
			grpc__health__v1__health_list_response__unpack(NULL, b.len, b.data);
		assert_non_null(m);
		assert_int_equal(m->n_statuses, ARRAY_LEN(services));
		for (size_t j = 0; j < ARRAY_LEN(services); j++) {
			assert_string_equal(m->statuses[j]->key, services[j]);
			assert_int_equal(m->statuses[j]->value->status, each[i]);
		}
		grpc__health__v1__health_list_response__free_unpacked(m, NULL);
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_odd_request),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_list),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
