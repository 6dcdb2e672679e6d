/* tests/unit/io/test_line_file.c - a file that only grows: what is refused, what a crash left, what a full disk leaves.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "base/fault.h"
#include "base/io/file.h"
#include "base/io/line_file.h"
#include "base/mem.h"

static char folder[64], path[80], other[80];

static int make_folder(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof folder, "/tmp/leafcast-lines-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(path, sizeof path, "%s/lines", folder);
	(void)snprintf(other, sizeof other, "%s/other", folder);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	(void)unlink(path);
	(void)unlink(other);
	return rmdir(folder);
}

static void put(const char *text)
{
	(void)unlink(path);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	(void)close(fd);
}

static void assert_holds(const char *text)
{
	struct buf b = BUF_INIT;
	struct fault *f = file_read(path, 8 * 1024 * 1024, &b);
	assert_null(f);
	assert_string_equal(buf_text(&b), text);
	buf_free(&b);
}

static void append(const char *last, const char *lines)
{
	struct buf b = BUF_INIT;
	int fd = -1;
	struct fault *f = line_file_open(path, "{\"a\":", &fd, &b);
	if (f)
		fail_msg("%s", fault_text(f));
	assert_string_equal(buf_text(&b), last);
	assert_null(line_file_append(fd, path, lines, strlen(lines)));
	(void)close(fd);
	buf_free(&b);
}

static void refused(const char *words)
{
	struct buf b = BUF_INIT;
	int fd = -1;
	AUTO(fault_freep) struct fault *f = line_file_open(path, "{\"a\":", &fd, &b);
	assert_non_null(f);
	if (!strstr(fault_text(f), words))
		fail_msg("%s", fault_text(f));
	assert_int_equal(fd, -1);
	buf_free(&b);
}

static void it_grows(void **state)
{
	struct stat st;
	(void)state;
	append("", "{\"a\":1}\n");
	append("{\"a\":1}", "{\"a\":2}\n{\"a\":3}\n");
	append("{\"a\":3}", "");
	assert_holds("{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(rename(path, other), 0); /* as logrotate does */
	append("", "{\"a\":4}\n");
	assert_holds("{\"a\":4}\n");
}

static void what_was_cut_off_goes(void **state)
{
	(void)state;
	put("{\"a\":1}\n{\"a\":2");
	append("{\"a\":1}", "{\"a\":2}\n");
	assert_holds("{\"a\":1}\n{\"a\":2}\n");
	put("{\"");
	append("", "{\"a\":1}\n");
	assert_holds("{\"a\":1}\n");
}

static void a_long_line_is_found(void **state)
{
	(void)state;
	for (size_t len = 8000; len < 40000; len += 1597) {
		AUTO(mem_freep) char *xs = mem_calloc(1, len + 1);
		memset(xs, 'x', len);
		AUTO(mem_freep) char *line = mem_printf("{\"a\":%s}", xs);
		AUTO(mem_freep) char *text = mem_printf("{\"a\":1}\n%s\n{\"a\":%s", line, xs);
		AUTO(mem_freep) char *whole = mem_printf("{\"a\":1}\n%s\n{\"a\":2}\n", line);
		put(text);
		append(line, "{\"a\":2}\n");
		assert_holds(whole);
	}
}

static void what_is_not_ours_is_left_alone(void **state)
{
	(void)state;
	put("root:x:0:0\n");
	refused("no line of ours");
	put("{\"a\":1}\nelse");
	refused("no line of ours");
	assert_holds("{\"a\":1}\nelse");
	put("\n");
	refused("no line of ours");
	put("");
	assert_int_equal(chmod(path, 0620), 0);
	refused("written by others");
	put("");
	assert_int_equal(link(path, other), 0);
	refused("2 names");
	assert_int_equal(unlink(other), 0);
	put("");
	assert_int_equal(rename(path, other), 0);
	assert_int_equal(symlink(other, path), 0);
	refused("cannot open");
	(void)unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	refused("not a regular file");
	(void)unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	refused("cannot open");
	assert_int_equal(rmdir(path), 0);
}

/* A disk that takes half of it keeps none of it. */
static void whole_or_not_at_all(void **state)
{
	struct rlimit before, small;
	struct buf b = BUF_INIT;
	int fd = -1;
	(void)state;
	put("{\"a\":1}\n");
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = 12;
	assert_null(line_file_open(path, "{\"a\":", &fd, &b));
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	struct fault *f = line_file_append(fd, path, "{\"a\":2}\n", 8);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_non_null(f);
	fault_free(f);
	(void)close(fd);
	buf_free(&b);
	assert_holds("{\"a\":1}\n");
	append("{\"a\":1}", "{\"a\":2}\n");
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
	const struct CMUnitTest tests[] = {
		IN_FOLDER(it_grows),
		IN_FOLDER(what_was_cut_off_goes),
		IN_FOLDER(a_long_line_is_found),
		IN_FOLDER(what_is_not_ours_is_left_alone),
		IN_FOLDER(whole_or_not_at_all),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
