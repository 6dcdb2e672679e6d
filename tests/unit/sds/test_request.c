/* Requests read from bytes: every field, hostile shapes, bounds, and which type is meant. */
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
#include "base/fault.h"
#include "base/mem.h"
#include "proto/wire.h"
#include "sds/frame.h"
#include "sds/request.h"

#define MAX 100

static void put_message(struct buf *b, uint32_t number, struct buf *message)
{
	wire_put_bytes(b, number, message->data, message->len);
	buf_free(message);
}

static void assert_view(struct view v, const char *expected)
{
	assert_int_equal(v.len, strlen(expected));
	assert_memory_equal(v.at, expected, v.len);
}

static void read_ok(struct buf *b, bool delta, struct request *ret)
{
	struct fault *f = request_read(b->data, b->len, delta, MAX, ret);
	if (f)
		fail_msg("%s", fault_text(f));
	/* Views are into the message. */
	if (ret->names_count && ret->names[0].len)
		assert_true((const unsigned char *)ret->names[0].at > b->data &&
			    (const unsigned char *)ret->names[0].at < b->data + b->len);
}

static void assert_refused(const void *bytes, size_t len, bool delta, enum fault_code code, const char *text)
{
	struct request untouched, r;
	memset(&untouched, 0x5a, sizeof untouched);
	memcpy(&r, &untouched, sizeof r);
	AUTO(fault_freep) struct fault *f = request_read(bytes, len, delta, MAX, &r);
	assert_non_null(f);
	assert_int_equal(fault_code(f), code);
	if (!strstr(fault_text(f), text))
		fail_msg("%s: expected %s", fault_text(f), text);
	assert_memory_equal(&r, &untouched, sizeof r);
}

static struct buf status(int code, const char *message)
{
	struct buf b = BUF_INIT, any = BUF_INIT;
	wire_put_number(&b, 1, (uint64_t)(int64_t)code);
	wire_put_text(&b, 2, message);
	wire_put_text(&any, 1, "type.googleapis.com/x");
	put_message(&b, 3, &any);
	return b;
}

static struct buf pair(const char *key, const char *value)
{
	struct buf b = BUF_INIT;
	wire_put_text(&b, 1, key);
	wire_put_text(&b, 2, value);
	return b;
}

static void test_sotw(void **state)
{
	(void)state;
	struct buf b = BUF_INIT, error = status(-7, "no good"), locator = pair("located", "its parameters");
	struct request r;
	wire_put_text(&b, 1, "v1");
	wire_put_text(&b, 2, "node's bytes");
	wire_put_text(&b, 3, "a");
	wire_put_bytes(&b, 3, "", 0);
	wire_put_bytes(&b, 3, "n\0l", 3);
	wire_put_text(&b, 4, FRAME_SECRET_TYPE_URL);
	wire_put_text(&b, 5, "nonce");
	put_message(&b, 6, &error);
	put_message(&b, 7, &locator);
	wire_put_text(&b, 3, "spiffe://td/\xc3\xbc:|?x=%2f");
	read_ok(&b, false, &r);
	assert_false(r.delta);
	assert_view(r.version_info, "v1");
	assert_true(r.has_node);
	assert_view(r.node, "node's bytes");
	assert_int_equal(r.names_count, 5);
	assert_view(r.names[0], "a");
	assert_view(r.names[1], "");
	assert_int_equal(r.names[2].len, 3);
	assert_view(r.names[3], "located");
	assert_view(r.names[4], "spiffe://td/\xc3\xbc:|?x=%2f");
	assert_view(r.type_url, FRAME_SECRET_TYPE_URL);
	assert_view(r.nonce, "nonce");
	assert_true(r.has_error);
	assert_int_equal(r.error_code, -7);
	assert_view(r.error_text, "no good");
	assert_int_equal(r.unsubscribe_count + r.initial_count, 0);
	request_done(&r);
	request_done(&r);
	buf_free(&b);
}

static void test_delta(void **state)
{
	(void)state;
	struct buf b = BUF_INIT, error = status(13, ""), first = pair("a", "v1"), second = pair("b", ""),
		   locator = pair("c", ""), other = pair("d", "");
	struct request r;
	wire_put_text(&b, 1, "node's bytes");
	wire_put_text(&b, 2, FRAME_SECRET_TYPE_URL);
	wire_put_text(&b, 3, "a");
	wire_put_text(&b, 4, "z");
	put_message(&b, 5, &first);
	put_message(&b, 5, &second);
	wire_put_text(&b, 6, "nonce");
	put_message(&b, 7, &error);
	put_message(&b, 8, &locator);
	put_message(&b, 9, &other);
	read_ok(&b, true, &r);
	assert_true(r.delta);
	assert_true(r.has_node);
	assert_int_equal(r.names_count, 2);
	assert_view(r.names[1], "c");
	assert_int_equal(r.unsubscribe_count, 2);
	assert_view(r.unsubscribe[0], "z");
	assert_view(r.unsubscribe[1], "d");
	assert_int_equal(r.initial_count, 2);
	assert_view(r.initial[0].name, "a");
	assert_view(r.initial[0].version, "v1");
	assert_view(r.initial[1].version, "");
	assert_view(r.nonce, "nonce");
	assert_true(r.has_error);
	assert_int_equal(r.error_code, 13);
	assert_view(r.error_text, "");
	assert_view(r.version_info, "");
	request_done(&r);
	buf_free(&b);
}

static void test_empty(void **state)
{
	(void)state;
	struct request r;
	for (int delta = 0; delta < 2; delta++) {
		assert_null(request_read(NULL, 0, delta, MAX, &r));
		assert_false(r.has_node || r.has_error || r.names_count);
		assert_view(r.nonce, "");
		request_done(&r);
	}
}

static void test_last_of_a_singular_field_wins(void **state)
{
	(void)state;
	struct buf b = BUF_INIT, error = status(1, "x"), last = status(2, "y");
	struct request r;
	wire_put_text(&b, 1, "v1");
	wire_put_text(&b, 1, "v2");
	wire_put_text(&b, 2, "node");
	wire_put_text(&b, 2, "edon");
	wire_put_text(&b, 5, "n1");
	wire_put_bytes(&b, 5, "", 0);
	put_message(&b, 6, &error);
	put_message(&b, 6, &last);
	read_ok(&b, false, &r);
	assert_view(r.version_info, "v2");
	assert_view(r.node, "edon");
	assert_view(r.nonce, "");
	assert_int_equal(r.error_code, 2);
	assert_view(r.error_text, "y");
	request_done(&r);
	buf_free(&b);
}

static void test_unknown_fields_and_wire_types(void **state)
{
	(void)state;
	static const char fixed32[] = "\x1d"
				      "abcd",
			  fixed64[] = "\x19"
				      "abcdefgh"; /* field 3, not bytes */
	struct buf b = BUF_INIT;
	struct request r;
	wire_put_number(&b, 3, 7);
	wire_put_number(&b, 6, 7);
	buf_add(&b, fixed32, sizeof fixed32 - 1);
	buf_add(&b, fixed64, sizeof fixed64 - 1);
	wire_put_text(&b, 3, "a");
	wire_put_text(&b, 99, "\xff\xff");
	wire_put_number(&b, (1u << 29) - 1, UINT64_MAX);
	read_ok(&b, false, &r);
	assert_int_equal(r.names_count, 1);
	assert_false(r.has_error);
	request_done(&r);
	buf_free(&b);
}

static void test_malformed(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t len;
		const char *text;
	} rows[] = {
		{"\x1a", 1, "the request"}, /* a name without its length */
		{"\x1a\x05"
		 "abcd",
			6, "the request"},					     /* longer than what is there */
		{"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "the request"}, /* 2^64-1 */
		{"\x1a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11, "the request"}, /* more than 64 bits */
		{"\x00\x00", 2, "the request"},					     /* field 0 */
		{"\x1b\x1c", 2, "the request"},					     /* a group */
		{"\x1e\x00", 2, "the request"},					     /* no such wire type */
		{"\x80", 1, "the request"}, {"\x32\x01\x12", 3, "error_detail"},
		{"\x3a\x02\x0a\x05", 4, "resource_names"}, /* a locator */
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_refused(rows[i].bytes, rows[i].len, false, FAULT_INVALID, rows[i].text);
	assert_refused("\x2a\x02\x0a\x05", 4, true, FAULT_INVALID, "initial_resource_versions");
	assert_refused("\x42\x02\x0a\x05", 4, true, FAULT_INVALID, "resource_names_subscribe");
	/* what was read before is freed */
	assert_refused("\x1a\x01"
		       "a"
		       "\x22\x01"
		       "b"
		       "\x2a\x00\x1a",
		9, true, FAULT_INVALID, "the request");
}

static void test_not_utf8(void **state)
{
	(void)state;
	static const struct {
		bool delta;
		uint32_t number;
		const char *text;
	} rows[] = {{false, 1, "version_info"}, {false, 3, "resource_names"}, {false, 4, "type_url"},
		{false, 5, "response_nonce"}, {true, 2, "type_url"}, {true, 3, "resource_names_subscribe"},
		{true, 4, "resource_names_unsubscribe"}, {true, 6, "response_nonce"}};
	static const char *const bad[] = {"\xff", "a\xc3", "\xed\xa0\x80", "\xc0\x80", "\xf4\x90\x80\x80"};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		for (size_t k = 0; k < ARRAY_LEN(bad); k++) {
			struct buf b = BUF_INIT;
			wire_put_text(&b, rows[i].number, bad[k]);
			assert_refused(b.data, b.len, rows[i].delta, FAULT_INVALID, rows[i].text);
			buf_free(&b);
		}
	}
	struct buf b = BUF_INIT, locator = pair("\xff", ""), entry = pair("a", "\xff");
	put_message(&b, 8, &locator);
	assert_refused(b.data, b.len, true, FAULT_INVALID, "resource_names_subscribe");
	buf_truncate(&b, 0);
	put_message(&b, 5, &entry);
	assert_refused(b.data, b.len, true, FAULT_INVALID, "initial_resource_versions");
	buf_free(&b);
}

/* Envoy cuts its message after 4,096 bytes, amid a character if need be. */
static void test_error_text_need_not_be_utf8(void **state)
{
	(void)state;
	struct buf b = BUF_INIT, error = status(13, "no \xc3...(truncated)");
	struct request r;
	put_message(&b, 6, &error);
	read_ok(&b, false, &r);
	assert_true(r.has_error);
	assert_view(r.error_text, "no \xc3...(truncated)");
	request_done(&r);
	buf_free(&b);
}

static void test_bounds(void **state)
{
	(void)state;
	static const struct {
		bool delta;
		uint32_t number;
		const char *text;
	} rows[] = {{false, 3, "more than 100 elements in resource_names"}, {false, 7, "resource_names"},
		{true, 3, "resource_names_subscribe"}, {true, 4, "resource_names_unsubscribe"},
		{true, 5, "initial_resource_versions"}, {true, 8, "resource_names_subscribe"},
		{true, 9, "resource_names_unsubscribe"}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = BUF_INIT;
		struct request r;
		for (int k = 0; k < MAX; k++)
			wire_put_bytes(&b, rows[i].number, "", 0);
		read_ok(&b, rows[i].delta, &r);
		assert_int_equal(r.names_count + r.unsubscribe_count + r.initial_count, MAX);
		request_done(&r);
		wire_put_bytes(&b, rows[i].number, "", 0);
		assert_refused(b.data, b.len, rows[i].delta, FAULT_EXHAUSTED, rows[i].text);
		/* 100,000 of them cost no more */
		for (int k = 0; k < 100000; k++)
			wire_put_bytes(&b, rows[i].number, "", 0);
		assert_refused(b.data, b.len, rows[i].delta, FAULT_EXHAUSTED, rows[i].text);
		buf_free(&b);
	}
	/* names and locators are one list */
	struct buf b = BUF_INIT;
	for (int k = 0; k < MAX; k++)
		wire_put_bytes(&b, k & 1 ? 7 : 3, "", 0);
	wire_put_bytes(&b, 3, "", 0);
	assert_refused(b.data, b.len, false, FAULT_EXHAUSTED, "resource_names");
	buf_free(&b);
}

static void test_every_prefix(void **state)
{
	(void)state;
	struct buf b = BUF_INIT, error = status(13, "no good"), first = pair("a", "v1"), locator = pair("c", "");
	wire_put_text(&b, 3, "a");
	put_message(&b, 5, &first);
	put_message(&b, 7, &error);
	put_message(&b, 8, &locator);
	for (size_t len = 0; len <= b.len; len++) {
		void *exact = mem_dup(b.data, len); /* for a sanitizer to see an overrun */
		struct request r;
		AUTO(fault_freep) struct fault *f = request_read(exact, len, true, MAX, &r);
		if (!f)
			request_done(&r);
		free(exact);
	}
	buf_free(&b);
}

static void test_type(void **state)
{
	(void)state;
	static const struct {
		const char *type_url;
		bool ads, ok, secret;
	} rows[] = {
		{FRAME_SECRET_TYPE_URL, false, true, true},
		{FRAME_SECRET_TYPE_URL, true, true, true},
		{"", false, true, true},
		{"", true, false, false},
		{"type.googleapis.com/envoy.config.cluster.v3.Cluster", false, false, false},
		{"type.googleapis.com/envoy.config.cluster.v3.Cluster", true, true, false},
		{FRAME_SECRET_TYPE_URL "x", false, false, false},
		{FRAME_SECRET_TYPE_URL "x", true, true, false},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct request r = {.type_url = {rows[i].type_url, strlen(rows[i].type_url)}};
		bool secret = false;
		AUTO(fault_freep) struct fault *f = request_type_ok(&r, rows[i].ads, &secret);
		assert_int_equal(f == NULL, rows[i].ok);
		assert_int_equal(secret, rows[i].secret);
		if (f)
			assert_int_equal(fault_code(f), FAULT_INVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sotw),
		cmocka_unit_test(test_delta),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_last_of_a_singular_field_wins),
		cmocka_unit_test(test_unknown_fields_and_wire_types),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_not_utf8),
		cmocka_unit_test(test_error_text_need_not_be_utf8),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_every_prefix),
		cmocka_unit_test(test_type),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
