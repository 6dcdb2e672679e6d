#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <stdlib.h>
#include "base/buf.h"

static void grows_and_ends_with_nul(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	assert_string_equal(buf_text(&b), "");
	for (int i = 0; i < 1000; i++)
		buf_printf(&b, "%03d,", i);
	assert_int_equal(b.len, 4000);
	assert_int_equal(strlen(buf_text(&b)), 4000);
	assert_memory_equal(b.data + 3996, "999,", 4);
	buf_truncate(&b, 4);
	assert_string_equal(buf_text(&b), "000,");
	buf_add_text(&b, "x");
	buf_add(&b, "", 0);
	buf_add(&b, "y\0z", 3);
	assert_int_equal(b.len, 8);
	memcpy(buf_extend(&b, 2), "!!", 2);
	assert_memory_equal(b.data, "000,xy\0z!!", 11);
	buf_free(&b);
	assert_int_equal(b.len, 0);
	buf_truncate(&b, 0);
	buf_add_text(&b, "again");
	assert_string_equal(buf_text(&b), "again");
	buf_free(&b);
}

static void gives_its_text_away(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	char *empty = buf_take_text(&b);
	assert_string_equal(empty, "");
	buf_add_text(&b, "mine");
	char *text = buf_take_text(&b);
	assert_string_equal(text, "mine");
	assert_null(b.data);
	assert_int_equal(b.len + b.cap, 0);
	free(empty);
	free(text);
}

static void wipes_what_it_cuts(void **state)
{
	(void)state;
	struct buf b = BUF_SECRET_INIT;
	buf_add_text(&b, "public:secret");
	buf_truncate(&b, 7);
	for (size_t i = 7; i < 13; i++)
		assert_int_equal(b.data[i], 0);
	assert_string_equal(buf_text(&b), "public:");
	buf_free(&b);
	assert_true(b.wipe); /* and goes on wiping */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows_and_ends_with_nul),
		cmocka_unit_test(gives_its_text_away),
		cmocka_unit_test(wipes_what_it_cuts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
