#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"

static int ends[2];

static int open_pipe(void **state)
{
	(void)state;
	if (pipe(ends) < 0)
		return -1;
	log_set_fd(ends[1]);
	log_set_format(LOG_FORMAT_JSON);
	log_set_level(LOG_INFO);
	return 0;
}

static int close_pipe(void **state)
{
	(void)state;
	log_set_fd(2);
	(void)close(ends[0]);
	(void)close(ends[1]);
	return 0;
}

/* One line, without its end. */
static char *read_line(void)
{
	static char line[40000];
	ssize_t n = read(ends[0], line, sizeof line - 1);
	assert_true(n > 1);
	assert_int_equal(line[n - 1], '\n');
	line[n - 1] = 0;
	assert_null(strchr(line, '\n'));
	return line;
}

static json_t *read_json(void)
{
	json_error_t e;
	char *line = read_line();
	json_t *j = json_loads(line, JSON_REJECT_DUPLICATES, &e);
	if (!j)
		fail_msg("%s: %s", e.text, line);
	return j;
}

static const char *text_of(json_t *j, const char *key)
{
	const char *text = json_string_value(json_object_get(j, key));
	assert_non_null(text);
	return text;
}

static void is_one_line_of_json(void **state)
{
	(void)state;
	AUTO(fault_freep) struct fault *f = fault_new(FAULT_TIMEOUT, "said \"no\"\nand left");
	log_event(LOG_WARN, "test.happened",
		LS("name", "a\"b\\c\nd\x1b[31m\xe2\x80\xae"
			   "e"),
		LS("none", NULL), LI("count", -3), LB("yes", true), LB("no", false), LT("at", INT64_C(1000)), LF(f));
	json_t *j = read_json();
	assert_string_equal(text_of(j, "level"), "warn");
	assert_string_equal(text_of(j, "event"), "test.happened");
	assert_string_equal(text_of(j, "name"), "a\"b\\\\c\\nd\\x1b[31m\\u202ee");
	assert_true(json_is_null(json_object_get(j, "none")));
	assert_int_equal(json_integer_value(json_object_get(j, "count")), -3);
	assert_true(json_is_true(json_object_get(j, "yes")));
	assert_true(json_is_false(json_object_get(j, "no")));
	assert_string_equal(text_of(j, "at"), "1970-01-01T00:00:01.000Z");
	assert_string_equal(text_of(j, "error"), "said \"no\"\\nand left");
	assert_string_equal(text_of(j, "error_code"), "TIMEOUT");
	assert_non_null(strstr(text_of(j, "error_at"), "test_log.c:"));
	assert_int_equal(strlen(text_of(j, "time")), 24);
	json_decref(j);
}

/* Whatever bytes a peer sends as its name. */
static void any_bytes_stay_json(void **state)
{
	(void)state;
	char name[256];
	for (unsigned i = 0; i < 255; i++)
		name[i] = (char)(255 - i);
	name[255] = 0;
	log_event(LOG_INFO, "test.bytes", LS("name", name), LS("cut", "\xf0\x9f\x98"), LS("key", "\",\"level\":\"x"));
	json_t *j = read_json();
	assert_non_null(strstr(text_of(j, "name"), "\\xff\\xfe"));
	assert_string_equal(text_of(j, "cut"), "\\xf0\\x9f\\x98");
	assert_string_equal(text_of(j, "level"), "info");
	json_decref(j);
}

static void strings_are_bounded(void **state)
{
	(void)state;
	char *name = mem_calloc(1, 100001);
	memset(name, 'n', 100000);
	log_event(LOG_INFO, "test.long", LS("name", name));
	json_t *j = read_json();
	assert_int_equal(strlen(text_of(j, "name")), 4096);
	json_decref(j);
	free(name);
}

static void text_cannot_be_forged(void **state)
{
	(void)state;
	log_set_format(LOG_FORMAT_TEXT);
	log_event(LOG_ERROR, "test.text", LS("plain", "web"), LS("empty", ""), LS("name", "x\" event=\"y\n"),
		LB("b", true));
	char *line = read_line();
	assert_string_equal(line + 24, " error test.text plain=web empty=\"\" name=\"x\\\" event=\\\"y\\n\" b=yes");
}

static void is_json_where_there_is_no_terminal(void **state)
{
	(void)state;
	log_set_format(LOG_FORMAT_AUTO);
	log_event0(LOG_INFO, "test.auto");
	json_decref(read_json());
}

static void levels_hold_back(void **state)
{
	(void)state;
	enum log_level level = LOG_INFO;
	uint64_t debug = log_lines(LOG_DEBUG), warn = log_lines(LOG_WARN);
	log_event0(LOG_DEBUG, "test.not_shown");
	log_event0(LOG_WARN, "test.shown");
	json_t *j = read_json();
	assert_string_equal(text_of(j, "event"), "test.shown");
	json_decref(j);
	assert_int_equal(log_lines(LOG_DEBUG), debug);
	assert_int_equal(log_lines(LOG_WARN), warn + 1);
	assert_true(log_level_parse("debug", &level));
	assert_int_equal(level, LOG_DEBUG);
	assert_false(log_level_parse("verbose", &level));
	assert_int_equal(level, LOG_DEBUG);
	log_set_level(level);
	assert_int_equal(log_level(), LOG_DEBUG);
	assert_string_equal(log_level_name(LOG_WARN), "warn");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(is_one_line_of_json, open_pipe, close_pipe),
		cmocka_unit_test_setup_teardown(any_bytes_stay_json, open_pipe, close_pipe),
		cmocka_unit_test_setup_teardown(strings_are_bounded, open_pipe, close_pipe),
		cmocka_unit_test_setup_teardown(text_cannot_be_forged, open_pipe, close_pipe),
		cmocka_unit_test_setup_teardown(is_json_where_there_is_no_terminal, open_pipe, close_pipe),
		cmocka_unit_test_setup_teardown(levels_hold_back, open_pipe, close_pipe),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
