#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <stdlib.h>
#include "base/attr.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/text.h"

static void knows_utf8(void **state)
{
	(void)state;
	static const char *const good[] = {"", "a", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf",
		"\xee\x80\x80", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "gr\xc3\xbc\xc3\x9f"};
	static const char *const bad[] = {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80",
		"\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xfe", "\xc2",
		"\xe2\x82", "\xf0\x9f\x98", "a\xc2z", "\xe2\x28\xa1"};
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(text_is_utf8(good[i], strlen(good[i])));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(text_is_utf8(bad[i], strlen(bad[i])));
	assert_true(text_is_utf8("a\0b", 3));
}

static void knows_names(void **state)
{
	(void)state;
	char name[TEXT_NAME_MAX + 1];
	memset(name, 'n', sizeof name);
	assert_true(text_is_name(name, TEXT_NAME_MAX));
	assert_false(text_is_name(name, TEXT_NAME_MAX + 1));
	assert_false(text_is_name("", 0));
	assert_false(text_is_name("a\0b", 3));
	assert_false(text_is_name("a\xff", 2));
	assert_true(text_is_name("spiffe://a/b|c:d", 16));
}

static void escapes_what_deceives(void **state)
{
	(void)state;
	static const char *const rows[][2] = {{"", ""},
		{"web \"a\" = gr\xc3\xbc\xc3\x9f", "web \"a\" = gr\xc3\xbc\xc3\x9f"}, {"a\nb\tc\rd", "a\\nb\\tc\\x0dd"},
		{"\x1b[2J\x7f", "\\x1b[2J\\x7f"}, {"a\\n", "a\\\\n"}, {"\xc2\x85", "\\x85"}, {"\xc2\xad", "\\xad"},
		{"\xff\xc3", "\\xff\\xc3"},
		{"\xe2\x80\xae"
		 "exe",
			"\\u202eexe"},
		{"\xe2\x80\x8f", "\\u200f"}, {"\xe2\x81\xa6", "\\u2066"}, {"\xd8\x9c", "\\u061c"},
		{"\xef\xbb\xbf", "\\ufeff"}, {"\xe2\x80\xa8", "\\u2028"}, {"\xf3\xa0\x81\x81", "\\U000e0041"},
		{"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80"}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO(mem_freep) char *out = text_escaped(rows[i][0]);
		assert_string_equal(out, rows[i][1]);
	}
	struct buf b = BUF_INIT;
	text_add_escaped(&b, "a\0b", 3);
	assert_string_equal(buf_text(&b), "a\\x00b");
	buf_free(&b);
}

static void writes_hex(void **state)
{
	(void)state;
	char hex[9] = "????????";
	text_hex("\x00\x0f\xa5\xff", 4, hex);
	assert_string_equal(hex, "000fa5ff");
	text_hex("", 0, hex);
	assert_string_equal(hex, "");
}

static void hints_at_the_nearest(void **state)
{
	(void)state;
	static const char *const words[] = {"listen", "policy", "profiles", "secrets"};
	char long_word[200];
	memset(long_word, 'a', sizeof long_word);
	long_word[199] = 0;
	assert_string_equal(text_nearest("polcy", words, 4), "policy");
	assert_string_equal(text_nearest("Secrets", words, 4), "secrets");
	assert_null(text_nearest("authorities", words, 4));
	assert_null(text_nearest("x", words, 4));
	assert_null(text_nearest(long_word, words, 4));
	assert_null(text_nearest("policy", words, 0));
}

static void writes_durations(void **state)
{
	(void)state;
	static const struct {
		long long ms;
		const char *text;
	} rows[] = {{0, "0ms"}, {999, "999ms"}, {1000, "1s"}, {119999, "119s"}, {120000, "2m0s"}, {5430000, "90m30s"},
		{7200000, "2h0m"}, {172799000, "47h59m"}, {172800000, "2d0h"}, {-1500, "-1s"},
		{INT64_MAX, "106751991167d7h"}, {INT64_MIN, "-106751991167d7h"}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char out[32];
		text_duration(rows[i].ms, out, sizeof out);
		assert_string_equal(out, rows[i].text);
	}
}

static void mends_what_was_cut(void **state)
{
	(void)state;
	static const struct {
		const char *text, *mended;
	} rows[] = {{"", ""}, {"plain \n", "plain \n"}, {"\xc3\xa9", "\xc3\xa9"}, {"a\xc3", "a?"},
		{"\xf0\x9f\x98", "???"}, {"\xe9t\xc3\xa9\xff", "?t\xc3\xa9?"}};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char text[16];
		(void)snprintf(text, sizeof text, "%s", rows[i].text);
		text_mend_utf8(text);
		assert_string_equal(text, rows[i].mended);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(knows_utf8),
		cmocka_unit_test(mends_what_was_cut),
		cmocka_unit_test(knows_names),
		cmocka_unit_test(escapes_what_deceives),
		cmocka_unit_test(writes_hex),
		cmocka_unit_test(hints_at_the_nearest),
		cmocka_unit_test(writes_durations),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
