/* What a server says, as it is shown: the server need not be ours. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/mem.h"
#include "daemon/cli/internal.h"

static void numbers(void **state)
{
	(void)state;
	static const struct {
		const char *text;
		long long number;
	} rows[] = {{"{\"n\": 5}", 5}, {"{\"n\": -5}", -5}, {"{}", 0}, {"{\"n\": \"5\"}", 0}, {"{\"n\": null}", 0},
		{"{\"n\": 9223372036854775807}", 1000000000000}, {"{\"n\": -9223372036854775808}", -1000000000000}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *o = json_loads(rows[i].text, 0, NULL);
		assert_non_null(o);
		assert_int_equal(number_of(o, "n"), rows[i].number);
		json_decref(o);
	}
}

static void texts(void **state)
{
	(void)state;
	static const char *const rows[][2] = {{"{\"t\": \"plain\"}", "plain"}, {"{}", "-"}, {"{\"t\": 5}", "-"},
		{"{\"t\": \"\\u001b[2J\\r\\n\"}", "\\x1b[2J\\x0d\\n"}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		json_t *o = json_loads(rows[i][0], 0, NULL);
		AUTO(mem_freep) char *shown = safe_or_dash(o, "t");
		assert_string_equal(shown, rows[i][1]);
		json_decref(o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(texts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
