/* tests/unit/io/test_unix_socket.c - who may take a socket's path, and how it looks from the first moment on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/fault.h"
#include "base/io/unix_socket.h"
#include "base/mem.h"

struct place {
	char folder[32];
	char *path;
};

static int set_up(void **state)
{
	struct place *p = mem_new(struct place);
	memcpy(p->folder, "/tmp/leafcast-XXXXXX", sizeof "/tmp/leafcast-XXXXXX");
	assert_non_null(mkdtemp(p->folder));
	p->path = mem_printf("%s/sds.sock", p->folder);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct place *p = *state;
	static const char *const left[] = {"", ".new", ".lock"};
	for (size_t i = 0; i < ARRAY_LEN(left); i++) {
		AUTO(mem_freep) char *path = mem_printf("%s%s", p->path, left[i]);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(p->folder), 0);
	free(p->path);
	free(p);
	return 0;
}

static struct unix_socket_options options(const struct place *p)
{
	return (struct unix_socket_options){.path = p->path, .mode = 0640, .owner = (uid_t)-1, .group = (gid_t)-1};
}

static void assert_refused(const struct unix_socket_options *o, enum fault_code code)
{
	struct unix_socket *s = NULL;
	struct fault *f = unix_socket_open(o, &s);
	assert_non_null(f);
	assert_int_equal(fault_code(f), code);
	assert_null(s);
	fault_free(f);
}

static struct unix_socket *open_it(const struct place *p)
{
	struct unix_socket_options o = options(p);
	struct unix_socket *s = NULL;
	assert_null(unix_socket_open(&o, &s));
	return s;
}

static int dial(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	memcpy(a.sun_path, path, strlen(path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	int rc = connect(fd, (struct sockaddr *)&a, sizeof a);
	(void)close(fd);
	return rc;
}

static void test_serves_with_its_mode(void **state)
{
	const struct place *p = *state;
	struct unix_socket *s = open_it(p);
	struct stat st;
	assert_int_equal(lstat(p->path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(dial(p->path), 0);
	AUTO(mem_freep) char *temporary = mem_printf("%s.new", p->path);
	assert_int_equal(lstat(temporary, &st), -1);
	int fd = unix_socket_take_fd(s);
	unix_socket_close(s);
	assert_int_equal(lstat(p->path, &st), -1);
	assert_int_equal(close(fd), 0); /* it was ours, and open */
}

static void test_second_server_is_refused(void **state)
{
	const struct place *p = *state;
	struct unix_socket *s = open_it(p);
	struct unix_socket_options o = options(p);
	assert_refused(&o, FAULT_CONFLICT);
	assert_int_equal(dial(p->path), 0); /* and the first goes on */
	unix_socket_close(s);
	unix_socket_close(open_it(p));
}

static void test_stale_socket_is_replaced(void **state)
{
	const struct place *p = *state;
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	memcpy(a.sun_path, p->path, strlen(p->path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	(void)close(fd);
	assert_int_equal(dial(p->path), -1);
	struct unix_socket *s = open_it(p);
	assert_int_equal(dial(p->path), 0);
	unix_socket_close(s);
}

static void test_other_program_is_left_alone(void **state)
{
	const struct place *p = *state;
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	memcpy(a.sun_path, p->path, strlen(p->path) + 1);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(listen(fd, 8), 0);
	struct unix_socket_options o = options(p);
	assert_refused(&o, FAULT_CONFLICT);
	assert_int_equal(dial(p->path), 0);
	(void)close(fd);
}

static void test_file_in_the_way_is_kept(void **state)
{
	const struct place *p = *state;
	int fd = open(p->path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	struct unix_socket_options o = options(p);
	assert_refused(&o, FAULT_CONFLICT);
	assert_int_equal(access(p->path, F_OK), 0);
}

static void test_folder_open_to_others_is_refused(void **state)
{
	const struct place *p = *state;
	assert_int_equal(chmod(p->folder, 0777), 0);
	struct unix_socket_options o = options(p);
	assert_refused(&o, FAULT_INVALID);
	assert_int_equal(access(p->path, F_OK), -1);
}

static void test_path_too_long_is_refused(void **state)
{
	const struct place *p = *state;
	char path[256];
	memset(path, 'x', sizeof path);
	memcpy(path, p->folder, strlen(p->folder));
	path[strlen(p->folder)] = '/';
	path[UNIX_SOCKET_PATH_MAX + 1] = 0;
	struct unix_socket_options o = options(p);
	o.path = path;
	assert_refused(&o, FAULT_INVALID);
}

static void test_close_leaves_a_successor(void **state)
{
	const struct place *p = *state;
	struct unix_socket *s = open_it(p);
	assert_int_equal(unlink(p->path), 0);
	int fd = open(p->path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	unix_socket_close(s);
	assert_int_equal(access(p->path, F_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_serves_with_its_mode, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_second_server_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stale_socket_is_replaced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_other_program_is_left_alone, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_file_in_the_way_is_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_folder_open_to_others_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_path_too_long_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_close_leaves_a_successor, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
