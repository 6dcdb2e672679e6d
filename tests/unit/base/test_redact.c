/* tests/unit/base/test_redact.c - what a command says, made fit for a log. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/buf.h"
#include "base/redact.h"

static void what_is_secret_is_cut(void **state)
{
	(void)state;
	static const struct {
		const char *text, *shown;
	} rows[] = {
		{"", ""},
		{"plain words", "plain words"},
		{"a\nb\nc\nd\ne\n", "b | c | d | e"},
		{"cannot open /etc/ssl/private/ca.key: denied", "cannot open /etc/ssl/private/ca.key: denied"},
		{"/usr/lib/x86_64-linux-gnu/engines-3", "/usr/lib/x86_64-linux-gnu/engines-3"},
		{"password=hunter2 was wrong", "password=[cut]"},
		{"Authorization: Bearer abc", "Authorization: [cut]"},
		{"got eyJhbGciOiJFUzI1NiIsImtpZCI6Imsx.e30.c2ln here", "got [cut] here"},
		{"key 0123456789abcdef0123456789abcdef", "key [cut]"},
		{"-----BEGIN PRIVATE KEY-----\nMIGH\n-----END PRIVATE KEY-----\nso", "[cut] | [cut] | [cut] | so"},
		{"with thevalue in", "with [cut] in"},
		{"\x1b[31mred", "\\x1b[31mred"},
	};
	static const char *const values[] = {NULL, "thevalue"};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = BUF_INIT;
		redact_add(rows[i].text, strlen(rows[i].text), &(struct redact_hidden){values, ARRAY_LEN(values)}, &b);
		assert_string_equal(buf_text(&b), rows[i].shown);
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_secret_is_cut)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
