#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include "base/attr.h"
#include "base/fault.h"

static void tells_code_text_and_place(void **state)
{
	(void)state;
	struct fault *f = fault_new(FAULT_DENIED, "no %s for %d", "entry", 7);
	assert_int_equal(fault_code(f), FAULT_DENIED);
	assert_string_equal(fault_text(f), "no entry for 7");
	assert_non_null(strstr(fault_where(f), "test_fault.c:"));
	assert_false(fault_is_retryable(f));
	assert_int_equal(fault_retry_after_ms(f), -1);
	fault_free(f);
	fault_free(NULL);
}

static void wrapping_keeps_what_matters(void **state)
{
	(void)state;
	struct fault *f = fault_set_retryable(fault_new(FAULT_EXHAUSTED, "inner"), 1500);
	char *where = strdup(fault_where(f));
	f = fault_wrap(f, "middle %d", 2);
	f = fault_wrap(f, "outer");
	assert_string_equal(fault_text(f), "outer: middle 2: inner");
	assert_string_equal(fault_where(f), where);
	assert_int_equal(fault_code(f), FAULT_EXHAUSTED);
	assert_true(fault_is_retryable(f));
	assert_int_equal(fault_retry_after_ms(f), 1500);
	free(where);
	fault_freep(&f);
	assert_null(f);
}

static void text_is_utf8_however_it_was_cut(void **state)
{
	(void)state;
	struct fault *f = fault_new(FAULT_INVALID, "\"%.2s\"", "a\xc3\xa9");
	assert_string_equal(fault_text(f), "\"a?\"");
	f = fault_wrap(f, "%.1s", "\xc3\xa9");
	assert_string_equal(fault_text(f), "?: \"a?\"");
	fault_free(f);
}

static void errno_has_a_code(void **state)
{
	(void)state;
	static const struct {
		int err;
		enum fault_code code;
	} rows[] = {{ENOENT, FAULT_NOT_FOUND}, {EACCES, FAULT_DENIED}, {EEXIST, FAULT_CONFLICT},
		{EADDRINUSE, FAULT_CONFLICT}, {ENOSPC, FAULT_EXHAUSTED}, {EMFILE, FAULT_EXHAUSTED},
		{ECONNREFUSED, FAULT_UNAVAILABLE}, {ETIMEDOUT, FAULT_TIMEOUT}, {EISDIR, FAULT_INVALID},
		{EBADF, FAULT_INTERNAL}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct fault *f = fault_errno(rows[i].err, "cannot open %s", "x");
		assert_int_equal(fault_code(f), rows[i].code);
		assert_int_equal(strncmp(fault_text(f), "cannot open x: ", 15), 0);
		assert_non_null(strstr(fault_text(f), strerror(rows[i].err)));
		fault_free(f);
	}
}

static void openssl_errors_are_taken_off_the_queue(void **state)
{
	(void)state;
	ERR_clear_error();
	ERR_raise(ERR_LIB_PEM, PEM_R_NO_START_LINE);
	ERR_raise(ERR_LIB_PEM, PEM_R_BAD_PASSWORD_READ);
	struct fault *f = fault_openssl(FAULT_CORRUPT, "key %d", 1);
	assert_string_equal(fault_text(f), "key 1: bad password read");
	assert_int_equal(ERR_peek_error(), 0);
	fault_free(f);
	f = fault_openssl(FAULT_CORRUPT, "key"); /* nothing there */
	assert_string_equal(fault_text(f), "key");
	fault_free(f);
}

static void codes_have_names(void **state)
{
	(void)state;
	static const char *const names[] = {"INVALID", "DENIED", "NOT_FOUND", "CONFLICT", "EXHAUSTED", "UNAVAILABLE",
		"TIMEOUT", "CORRUPT", "INTERNAL"};
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_string_equal(fault_code_name((enum fault_code)(i + 1)), names[i]);
	assert_string_equal(fault_code_name((enum fault_code)0), "UNKNOWN");
	assert_string_equal(fault_code_name((enum fault_code)10), "UNKNOWN");
}

static struct fault *third(bool fails)
{
	return fails ? fault_new(FAULT_TIMEOUT, "third") : NULL;
}

static struct fault *sequence(bool fails, int *ret_steps)
{
	++*ret_steps;
	TRY(third(fails));
	++*ret_steps;
	return NULL;
}

static void try_passes_on(void **state)
{
	(void)state;
	int steps = 0;
	struct fault *f = sequence(true, &steps);
	assert_int_equal(steps, 1);
	assert_string_equal(fault_text(f), "third");
	fault_ignore(f, "seen");
	assert_null(sequence(false, &steps));
	assert_int_equal(steps, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tells_code_text_and_place),
		cmocka_unit_test(wrapping_keeps_what_matters),
		cmocka_unit_test(text_is_utf8_however_it_was_cut),
		cmocka_unit_test(errno_has_a_code),
		cmocka_unit_test(openssl_errors_are_taken_off_the_queue),
		cmocka_unit_test(codes_have_names),
		cmocka_unit_test(try_passes_on),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
