/* base64url: every length there and back, and what it refuses. */
#include "base/base64url.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/buf.h"

static void there_and_back(void **state)
{
	(void)state;
	static const char *const known[] = {"", "_w", "__4", "__79", "__79_A"};
	const unsigned char bytes[] = {0xff, 0xfe, 0xfd, 0xfc};
	for (size_t len = 0; len <= sizeof bytes; len++) {
		struct buf text = BUF_INIT, back = BUF_INIT;
		buf_add_text(&back, "x");
		base64url_add(&text, bytes, len);
		assert_string_equal(buf_text(&text), known[len]);
		assert_true(base64url_read(&back, buf_text(&text), text.len));
		assert_int_equal(back.len, 1 + len);
		assert_int_equal(back.data[0], 'x');
		for (size_t i = 0; i < len; i++)
			assert_int_equal(back.data[1 + i], bytes[i]);
		buf_free(&text);
		buf_free(&back);
	}
}

static void what_is_none(void **state)
{
	(void)state;
	static const char *const bad[] = {"A", "AAAAA", "AA==", "+A", "/A", "A A", "AA\n", "\xc3\xa4"};
	struct buf b = BUF_INIT;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(base64url_read(&b, bad[i], strlen(bad[i])));
	assert_false(base64url_read(&b, "AA\0A", 4));
	assert_int_equal(b.len, 0);
	assert_true(base64url_read(&b, "AAAA", 2)); /* of the text, that much */
	assert_int_equal(b.len, 1);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(there_and_back), cmocka_unit_test(what_is_none)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
