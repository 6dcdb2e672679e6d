/* Values in the bodies of orders: one of another type than is meant is refused, and never taken for one that is not
 * there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"
#include "certs.h"
#include "control/node.h"
#include "daemon/admin/internal.h"

static json_t *object(const char *text)
{
	json_t *o = json_loads(text, 0, NULL);
	assert_non_null(o);
	return o;
}

static struct fault *read_object(const char *text, const char *keys)
{
	struct buf body = BUF_INIT;
	json_t *o = NULL;
	buf_add_text(&body, text);
	struct fault *f = admin_object(&body, keys, &o);
	assert_int_equal(f == NULL, o != NULL);
	json_decref(o);
	buf_free(&body);
	return f;
}

static void keys(void **state)
{
	(void)state;
	static const struct {
		const char *body, *keys;
	} known[] = {{"{}", ""}, {"{}", "name"}, {"{\"name\": 1}", "name"}, {"{\"key\": 1}", "name,key"}},
	  unknown[] = {{"{\"\": 1}", ""}, {"{\"\": 1}", "name"}, {"{\"name,key\": 1}", "name,key"},
		  {"{\"nam\": 1}", "name"}, {"{\",\": 1}", ""}, {"{\"name\": 1}", ""}};
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		expect_ok(read_object(known[i].body, known[i].keys));
	for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
		expect_fault(read_object(unknown[i].body, unknown[i].keys), FAULT_INVALID, "unknown key");
	expect_fault(read_object("[]", "name"), FAULT_INVALID, "not a JSON object");
	expect_fault(read_object("{\"name\": 1, \"name\": 2}", "name"), FAULT_INVALID, "not a JSON object");
}

static void flags(void **state)
{
	(void)state;
	static const struct {
		const char *body;
		bool is_on;
	} rows[] = {{"{}", false}, {"{\"force\": false}", false}, {"{\"force\": true}", true}};
	static const char *const odd[] = {"{\"force\": \"true\"}", "{\"force\": 1}", "{\"force\": 0}",
		"{\"force\": null}", "{\"force\": [true]}", "{\"force\": {}}"};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		bool on = !rows[i].is_on;
		json_t *o = object(rows[i].body);
		expect_ok(admin_flag(o, "force", &on));
		assert_int_equal(on, rows[i].is_on);
		json_decref(o);
	}
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		bool on;
		json_t *o = object(odd[i]);
		expect_fault(admin_flag(o, "force", &on), FAULT_INVALID, "neither true nor false");
		json_decref(o);
	}
}

static void spans(void **state)
{
	(void)state;
	static const char *const odd[] = {"{}", "{\"over_s\": -1}", "{\"over_s\": 2592001}", "{\"over_s\": \"60\"}",
		"{\"over_s\": 1.5}", "{\"over_s\": 9223372036854775807}", "{\"over_s\": null}"};
	int64_t ms = -1;
	json_t *o = object("{\"over_s\": 2592000}");
	expect_ok(admin_over(o, &ms));
	assert_int_equal(ms, INT64_C(2592000000));
	json_decref(o);
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		o = object(odd[i]);
		expect_fault(admin_over(o, &ms), FAULT_INVALID, "from 0 to 30 days");
		json_decref(o);
	}
}

/* A body with one text of so many bytes. */
static json_t *with_text(const char *key, size_t len)
{
	AUTO(mem_freep) char *text = mem_calloc(1, len + 1);
	memset(text, 'x', len);
	return json_pack("{s:s}", key, text);
}

static void names(void **state)
{
	(void)state;
	const char *name = NULL;
	json_t *o = with_text("authority", TEXT_NAME_MAX);
	expect_ok(admin_name(o, "authority", &name));
	assert_int_equal(strlen(name), TEXT_NAME_MAX);
	json_decref(o);
	static const size_t lengths[] = {0, TEXT_NAME_MAX + 1};
	for (size_t i = 0; i < ARRAY_LEN(lengths); i++) {
		o = with_text("authority", lengths[i]);
		expect_fault(admin_name(o, "authority", &name), FAULT_INVALID, "\"authority\" is no name");
		json_decref(o);
	}
}

static void nodes(void **state)
{
	(void)state;
	const char *node = "";
	json_t *o = object("{}");
	expect_ok(admin_node(o, &node));
	assert_null(node);
	json_decref(o);
	o = with_text("node", NODE_TEXT_MAX);
	expect_ok(admin_node(o, &node));
	assert_int_equal(strlen(node), NODE_TEXT_MAX);
	json_decref(o);
	o = with_text("node", NODE_TEXT_MAX + 1);
	expect_fault(admin_node(o, &node), FAULT_INVALID, "at most 1024 bytes");
	json_decref(o);
	o = object("{\"node\": null}");
	expect_fault(admin_node(o, &node), FAULT_INVALID, "\"node\"");
	json_decref(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys),
		cmocka_unit_test(flags),
		cmocka_unit_test(spans),
		cmocka_unit_test(names),
		cmocka_unit_test(nodes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
