/* Texts that are base64, and texts that OpenSSL's own decoder takes for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/attr.h"
#include "certs.h"
#include "daemon/admin/base64.h"

static void decodes(void **state)
{
	(void)state;
	static const struct {
		const char *text, *bytes;
	} rows[] = {{"", ""}, {"QQ==", "A"}, {"QUI=", "AB"}, {"QUJD", "ABC"}, {"QUJDRA==", "ABCD"},
		{"+/+/", "\xfb\xff\xbf"}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = BUF_INIT;
		buf_add_text(&b, "x");
		expect_ok(base64_decode(rows[i].text, &b));
		assert_int_equal(b.len, 1 + strlen(rows[i].bytes));
		assert_memory_equal(b.data + 1, rows[i].bytes, b.len - 1);
		buf_free(&b);
	}
}

static void refuses(void **state)
{
	(void)state;
	static const char *const rows[] = {"QQ", "QQ=", "QQ==\n\n\n\n", "    QQ==", "\tQUJ",
		"QQ==QQ==", "Q=Q=", "Q===", "====", "QUJD----", "QU-D", "QU_D", "QU D", "QQ==\n   "};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = BUF_INIT;
		expect_fault(base64_decode(rows[i], &b), FAULT_INVALID, "not base64");
		assert_int_equal(b.len, 0);
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes),
		cmocka_unit_test(refuses),
	};
	return cmocka_run_group_tests(tests, NULL, certs_free);
}
