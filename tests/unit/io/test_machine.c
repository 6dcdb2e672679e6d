/* tests/unit/io/test_machine.c - the least limit of the cgroups above a process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <uv.h>
#include "base/attr.h"
#include "base/fault.h"
#include "base/io/file.h"
#include "base/io/machine.h"
#include "base/mem.h"

enum { MAX_PATHS = 8 };
struct folder {
	char root[32];
	char *made[MAX_PATHS]; /* in the order of making */
	size_t count;
};

static void set_up(struct folder *d)
{
	*d = (struct folder){.root = "/tmp/leafcast-XXXXXX"};
	assert_non_null(mkdtemp(d->root));
}

static void tear_down(struct folder *d)
{
	while (d->count) {
		assert_int_equal(remove(d->made[--d->count]), 0);
		free(d->made[d->count]);
	}
	assert_int_equal(rmdir(d->root), 0);
}

static const char *path_in(struct folder *d, const char *name)
{
	assert_true(d->count < MAX_PATHS);
	return d->made[d->count++] = mem_printf("%s/%s", d->root, name);
}

static void put_folder(struct folder *d, const char *name)
{
	assert_int_equal(mkdir(path_in(d, name), 0700), 0);
}

static const char *put_file(struct folder *d, const char *name, const char *text)
{
	const char *path = path_in(d, name);
	assert_null(file_write(path, 0600, text, strlen(text)));
	return path;
}

static void test_least_of_all_above(void **state)
{
	struct folder d;
	(void)state;
	set_up(&d);
	put_folder(&d, "slice");
	put_folder(&d, "slice/service");
	put_file(&d, "slice/memory.max", "300000000\n");
	put_file(&d, "slice/service/memory.max", "max\n");
	const char *self = put_file(&d, "self", "4:memory:/other\n0::/slice/service\n");
	assert_int_equal(machine_cgroup_bytes(self, d.root), 300000000);
	put_file(&d, "memory.max", "200000000\n");
	assert_int_equal(machine_cgroup_bytes(self, d.root), 200000000);
	tear_down(&d);
}

/* In a container the path may be the host's, and not be there. */
static void test_group_that_is_not_there(void **state)
{
	struct folder d;
	(void)state;
	set_up(&d);
	put_file(&d, "memory.max", "100000000\n");
	assert_int_equal(machine_cgroup_bytes(put_file(&d, "self", "0::/a/b\n"), d.root), 100000000);
	assert_int_equal(machine_cgroup_bytes(put_file(&d, "root", "0::/"), d.root), 100000000);
	tear_down(&d);
}

static void test_no_limit(void **state)
{
	struct folder d;
	(void)state;
	set_up(&d);
	assert_true(machine_cgroup_bytes("/nowhere", d.root) == UINT64_MAX);
	put_file(&d, "memory.max", "max\n");
	assert_true(machine_cgroup_bytes(put_file(&d, "self", "0::/\n"), d.root) == UINT64_MAX);
	tear_down(&d);
}

static void test_this_machine(void **state)
{
	(void)state;
	assert_in_range(machine_memory_bytes(), 1 << 20, uv_get_total_memory());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_least_of_all_above),
		cmocka_unit_test(test_group_that_is_not_there),
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_this_machine),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
