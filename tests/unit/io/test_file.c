#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/io/file.h"
#include "base/mem.h"
#include "certs.h"

static char folder[64];
static mode_t old_mask;

static int make_folder(void **state)
{
	(void)state;
	old_mask = umask(022);
	(void)snprintf(folder, sizeof folder, "/tmp/leafcast-file-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int remove_folder(void **state)
{
	(void)state;
	(void)umask(old_mask);
	return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* In the folder; valid until the fourth next call. */
static const char *in_folder(const char *name)
{
	static char paths[4][128];
	static unsigned next;
	char *path = paths[next++ % 4];
	(void)snprintf(path, sizeof paths[0], "%s/%s", folder, name);
	return path;
}

static mode_t mode_of(const char *path)
{
	struct stat st;
	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

static void reads_back_what_it_wrote(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	const char *path = in_folder("a");
	unsigned char *bytes = mem_calloc(1, 10000);
	memset(bytes, 7, 10000);
	expect_ok(file_write(path, 0640, "old", 3));
	assert_int_equal(mode_of(path), 0640);
	expect_ok(file_write(path, 0600, bytes, 10000));
	assert_int_equal(mode_of(path), 0600);
	buf_add_text(&b, "before");
	expect_ok(file_read(path, 10000, &b));
	assert_int_equal(b.len, 10006);
	assert_memory_equal(b.data, "before", 6);
	assert_memory_equal(b.data + 6, bytes, 10000);
	buf_truncate(&b, 0);
	expect_ok(file_write(path, 0600, "", 0));
	expect_ok(file_read(path, 10000, &b));
	assert_int_equal(b.len, 0);
	buf_free(&b);
	free(bytes);
}

static void bounds_what_it_reads(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	const char *path = in_folder("a");
	expect_ok(file_write(path, 0600, "12345", 5));
	expect_fault(file_read(path, 4, &b), FAULT_INVALID, "has 5 bytes; at most 4 are accepted");
	expect_ok(file_read(path, 5, &b));
	/* A file whose size says nothing. */
	buf_truncate(&b, 2);
	expect_fault(file_read("/proc/self/status", 10, &b), FAULT_INVALID, "is longer than 10 bytes");
	assert_string_equal(buf_text(&b), "12");
	buf_free(&b);
}

static void reads_regular_files_only(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
	expect_fault(file_read(in_folder("fifo"), 10, &b), FAULT_INVALID, "is not a regular file");
	expect_fault(file_read(folder, 10, &b), FAULT_INVALID, "is not a regular file");
	expect_fault(file_read("/dev/zero", 10, &b), FAULT_INVALID, "/dev/zero is not a regular file");
	expect_fault(file_read(in_folder("none"), 10, &b), FAULT_NOT_FOUND, "No such file");
	buf_free(&b);
}

static void keys_are_private(void **state)
{
	(void)state;
	struct buf b = BUF_SECRET_INIT;
	const char *path = in_folder("key");
	expect_ok(file_write(path, 0600, "key", 3));
	expect_ok(file_read_private(path, 10, 0077, &b));
	assert_int_equal(chmod(path, 0640), 0);
	expect_fault(
		file_read_private(path, 10, 0077, &b), FAULT_INVALID, "is open to others (mode 0640); chmod 0600 ");
	expect_ok(file_read_private(path, 10, 0027, &b)); /* the group may read */
	assert_string_equal(buf_text(&b), "keykey");
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 12345, 0), 0);
		expect_fault(file_read_private(path, 10, 0077, &b), FAULT_INVALID,
			"belongs to uid 12345; it must be root's");
	}
	buf_free(&b);
}

static void creates_but_does_not_replace(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	const char *path = in_folder("once");
	expect_ok(file_create(path, 0600, "first", 5));
	expect_fault(file_create(path, 0600, "second", 6), FAULT_CONFLICT, "cannot create ");
	expect_ok(file_read(path, 10, &b));
	assert_string_equal(buf_text(&b), "first");
	/* A link is replaced, not followed. */
	assert_int_equal(symlink("once", in_folder("link")), 0);
	expect_fault(file_create(in_folder("link"), 0600, "x", 1), FAULT_CONFLICT, "cannot create ");
	expect_ok(file_write(in_folder("link"), 0600, "third", 5));
	buf_truncate(&b, 0);
	expect_ok(file_read(path, 10, &b));
	assert_string_equal(buf_text(&b), "first");
	buf_free(&b);
}

static int count_files(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)path;
	(void)st;
	(void)ftw;
	return type == FTW_F ? 1 : 0; /* the first one ends the walk */
}

static void leaves_nothing_behind_on_failure(void **state)
{
	(void)state;
	assert_int_equal(mkdir(in_folder("taken"), 0700), 0);
	expect_fault(file_write(in_folder("taken"), 0600, "x", 1), FAULT_INVALID, "cannot rename ");
	expect_fault(file_create(in_folder("taken"), 0600, "x", 1), FAULT_CONFLICT, "cannot create ");
	expect_fault(file_write(in_folder("none/x"), 0600, "x", 1), FAULT_NOT_FOUND, "cannot create ");
	assert_int_equal(nftw(folder, count_files, 8, FTW_PHYS), 0);
}

static void makes_folders(void **state)
{
	(void)state;
	(void)umask(0);
	expect_ok(file_make_folder(in_folder("a/b//c/")));
	assert_int_equal(mode_of(in_folder("a")), 0700);
	assert_int_equal(mode_of(in_folder("a/b/c")), 0700);
	assert_int_equal(chmod(in_folder("a/b"), 0755), 0);
	expect_ok(file_make_folder(in_folder("a/b")));
	assert_int_equal(mode_of(in_folder("a/b")), 0755);
	(void)umask(022);
	expect_ok(file_write(in_folder("file"), 0600, "x", 1));
	expect_fault(file_make_folder(in_folder("file")), FAULT_INVALID, "is not a folder");
	expect_fault(file_make_folder(in_folder("file/x")), FAULT_INVALID, "cannot make folder ");
	expect_fault(file_make_folder(""), FAULT_INVALID, "a folder without a name");
}

static void judges_folders(void **state)
{
	(void)state;
	const char *path = in_folder("a");
	assert_int_equal(mkdir(path, 0700), 0);
	expect_ok(file_check_private_folder(path));
	assert_int_equal(chmod(path, 0755), 0);
	expect_ok(file_check_private_folder(path));
	assert_int_equal(chmod(path, 0775), 0);
	expect_fault(file_check_private_folder(path), FAULT_INVALID, "can be written by others (mode 0775)");
	assert_int_equal(chmod(path, 01777), 0);
	expect_fault(file_check_private_folder(path), FAULT_INVALID, "can be written by others (mode 1777)");
	expect_fault(file_check_private_folder(in_folder("none")), FAULT_NOT_FOUND, "cannot stat ");
	expect_ok(file_write(in_folder("file"), 0600, "x", 1));
	expect_fault(file_check_private_folder(in_folder("file")), FAULT_INVALID, "is not a folder");
	if (geteuid() == 0) {
		assert_int_equal(chmod(path, 0700), 0);
		assert_int_equal(chown(path, 12345, 0), 0);
		expect_fault(file_check_private_folder(path), FAULT_INVALID, "belongs to uid 12345");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads_back_what_it_wrote, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(bounds_what_it_reads, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(reads_regular_files_only, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(keys_are_private, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(creates_but_does_not_replace, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(leaves_nothing_behind_on_failure, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(makes_folders, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(judges_folders, make_folder, remove_folder),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
