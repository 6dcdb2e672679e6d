/* What is kept of a Node, of a big and of a broken one. */
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
#include "control/node.h"
#include "proto/wire.h"
#include "sds/request.h"

static void put_message(struct buf *b, uint32_t number, struct buf *message)
{
	wire_put_bytes(b, number, message->data, message->len);
	buf_free(message);
}

static struct buf build(uint64_t major, uint64_t minor, uint64_t patch)
{
	struct buf semantic = BUF_INIT, b = BUF_INIT;
	wire_put_number(&semantic, 1, major);
	wire_put_number(&semantic, 2, minor);
	wire_put_number(&semantic, 3, patch);
	wire_put_number(&semantic, 4, 99);
	put_message(&b, 1, &semantic);
	wire_put_text(&b, 2, "metadata, not looked into");
	return b;
}

static struct node *node_of(struct buf *b)
{
	struct node *n = NULL;
	const struct request r = {.has_node = true, .node = {(const char *)b->data, b->len}};
	struct fault *f = request_node(&r, 256, &n);
	if (f)
		fail_msg("%s", fault_text(f));
	buf_free(b);
	return n;
}

static void test_kept_fields(void **state)
{
	(void)state;
	struct buf b = BUF_INIT, version = build(1, 40, 3);
	wire_put_text(&b, 1, "envoy-1");
	wire_put_text(&b, 2, "edge");
	wire_put_text(&b, 3, "metadata");
	wire_put_text(&b, 6, "envoy");
	put_message(&b, 8, &version);
	wire_put_text(&b, 10, "feature");
	struct node *n = node_of(&b);
	assert_string_equal(n->id, "envoy-1");
	assert_string_equal(n->cluster, "edge");
	assert_string_equal(n->user_agent, "envoy");
	assert_int_equal(n->version_major, 1);
	assert_int_equal(n->version_minor, 40);
	assert_int_equal(n->version_patch, 3);
	assert_ptr_equal(node_ref(n), n);
	node_unref(n);
	assert_string_equal(n->id, "envoy-1");
	node_unref(n);
	node_unref(NULL);
}

static void test_nothing(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	struct node *n = node_of(&b);
	assert_string_equal(n->id, "");
	assert_string_equal(n->cluster, "");
	assert_int_equal(n->version_major, 0);
	node_unref(n);
}

static void test_last_one_wins(void **state)
{
	(void)state;
	struct buf b = BUF_INIT, old = build(1, 2, 3), new = build(1, 40, 0);
	wire_put_text(&b, 1, "first");
	wire_put_text(&b, 1, "second");
	put_message(&b, 8, &old);
	put_message(&b, 8, &new);
	wire_put_number(&b, 1, 7); /* not a string: unknown */
	struct node *n = node_of(&b);
	assert_string_equal(n->id, "second");
	assert_int_equal(n->version_minor, 40);
	node_unref(n);
}

static void test_long_texts_are_cut_at_characters(void **state)
{
	(void)state;
	struct buf b = BUF_INIT, id = BUF_INIT;
	for (int i = 0; i < 200; i++)
		buf_add_text(&id, "\xe2\x82\xac"); /* three bytes; 256 is not a multiple */
	wire_put_text(&b, 1, buf_text(&id));
	wire_put_bytes(&b, 2, "a\0b", 3);
	struct node *n = node_of(&b);
	assert_int_equal(strlen(n->id), 255);
	assert_memory_equal(n->id, id.data, 255);
	assert_string_equal(n->cluster, "a");
	node_unref(n);
	buf_free(&id);
}

/* As Envoy sends it, only larger: extensions are most of it. */
static void test_a_node_of_two_mebibytes(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	for (int i = 0; i < 20000; i++) {
		struct buf extension = BUF_INIT;
		wire_put_text(&extension, 1, "envoy.filters.network.some_extension_with_a_long_name");
		wire_put_text(&extension, 2, "envoy.filters.network");
		wire_put_text(&extension, 6, "envoy.extensions.filters.network.some.v3.Some");
		wire_put_number(&extension, 1234, 5);
		put_message(&b, 9, &extension);
	}
	assert_true(b.len > 2u << 20);
	wire_put_text(&b, 1, "envoy-1");
	struct node *n = node_of(&b);
	assert_string_equal(n->id, "envoy-1");
	node_unref(n);
}

static void test_broken(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t len;
		const char *text;
	} rows[] = {
		{"\x0a\x05"
		 "ab",
			4, "malformed protobuf in node"},
		{"\x0a\x01\xff", 3, "node.id is not UTF-8"},
		{"\x12\x01\xff", 3, "node.cluster is not UTF-8"},
		{"\x32\x01\xff", 3, "node.user_agent_name is not UTF-8"},
		{"\x42\x01\x0a", 3, "malformed protobuf in node.user_agent_build_version"},
		{"\x42\x03\x0a\x01\x08", 5, "malformed protobuf in node.user_agent_build_version.version"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct node *n = NULL;
		const struct request r = {.has_node = true, .node = {rows[i].bytes, rows[i].len}};
		AUTO(fault_freep) struct fault *f = request_node(&r, 256, &n);
		assert_non_null(f);
		assert_int_equal(fault_code(f), FAULT_INVALID);
		assert_string_equal(fault_text(f), rows[i].text);
		assert_null(n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kept_fields),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_last_one_wins),
		cmocka_unit_test(test_long_texts_are_cut_at_characters),
		cmocka_unit_test(test_a_node_of_two_mebibytes),
		cmocka_unit_test(test_broken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
