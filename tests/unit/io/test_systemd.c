#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/fault.h"
#include "base/io/systemd.h"
#include "base/mem.h"

static int service_manager = -1;
static char folder[64];

static struct sockaddr_un address_of(const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	(void)snprintf(a.sun_path, sizeof a.sun_path, "%s/%s", folder, name);
	return a;
}

static int listen_for_notes(void **state)
{
	(void)state;
	(void)snprintf(folder, sizeof folder, "/tmp/leafcast-sd-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	struct sockaddr_un a = address_of("notify");
	service_manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return bind(service_manager, (struct sockaddr *)&a, sizeof a) || setenv("NOTIFY_SOCKET", a.sun_path, 1);
}

static int stop_listening(void **state)
{
	(void)state;
	(void)unsetenv("NOTIFY_SOCKET");
	(void)close(service_manager);
	(void)unlink(address_of("notify").sun_path);
	(void)unlink(address_of("listen").sun_path);
	return rmdir(folder);
}

static const char *read_note(void)
{
	static char note[256];
	ssize_t n = recv(service_manager, note, sizeof note - 1, 0);
	if (n < 0)
		return NULL;
	note[n] = 0;
	return note;
}

static void notifies(void **state)
{
	(void)state;
	systemd_notify("READY=1");
	assert_string_equal(read_note(), "READY=1");
	systemd_notify_reloading();
	const char *note = read_note();
	static const char prefix[] = "RELOADING=1\nMONOTONIC_USEC=";
	assert_int_equal(strncmp(note, prefix, sizeof prefix - 1), 0);
	assert_true(strtoll(note + sizeof prefix - 1, NULL, 10) > 0);
	(void)unsetenv("NOTIFY_SOCKET");
	systemd_notify("STOPPING=1");
	assert_null(read_note());
}

/* Descriptors are handed down from 3 on: in a process of its own, whose exit code tells the line that failed. */
#define MUST(expr)                                                                                                     \
	do {                                                                                                           \
		if (!(expr))                                                                                           \
			_exit(__LINE__ % 200 + 1);                                                                     \
	} while (0)

static void hand_down(const int *fds, int count, const char *names)
{
	char number[16];
	for (int i = 0; i < count; i++) /* first out of the way */
		MUST(fcntl(fds[i], F_DUPFD, 50 + i) == 50 + i);
	for (int i = 0; i < count; i++)
		MUST(dup2(50 + i, 3 + i) == 3 + i);
	(void)snprintf(number, sizeof number, "%ld", (long)getpid());
	MUST(setenv("LISTEN_PID", number, 1) == 0);
	(void)snprintf(number, sizeof number, "%d", count);
	MUST(setenv("LISTEN_FDS", number, 1) == 0);
	MUST((names ? setenv("LISTEN_FDNAMES", names, 1) : unsetenv("LISTEN_FDNAMES")) == 0);
}

static int listening_socket(void)
{
	struct sockaddr_un a = address_of("listen");
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	(void)unlink(a.sun_path);
	invariant(bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && listen(fd, 1) == 0);
	return fd;
}

static void take_two(const int *fds)
{
	struct systemd_socket s[SYSTEMD_SOCKETS_MAX];
	size_t count = 99;
	hand_down(fds, 2, "sds:admin");
	struct fault *f = systemd_sockets(s, &count);
	MUST(!f && count == 2);
	MUST(s[0].fd == 3 && strcmp(s[0].name, "sds") == 0 && strcmp(s[0].path, address_of("listen").sun_path) == 0);
	MUST(s[1].fd == 4 && strcmp(s[1].name, "admin") == 0 && s[1].path);
	for (size_t i = 0; i < count; i++) {
		free(s[i].name);
		free(s[i].path);
	}
	MUST(fcntl(3, F_GETFD) & FD_CLOEXEC);
	MUST(!getenv("LISTEN_FDS") && !getenv("LISTEN_PID") && !getenv("LISTEN_FDNAMES"));
	MUST(!(f = systemd_sockets(s, &count)) && count == 0); /* taken once */
}

static void refuse_a_pipe(const int *fds)
{
	struct systemd_socket s[SYSTEMD_SOCKETS_MAX];
	size_t count = 99;
	hand_down(fds, 2, NULL);
	struct fault *f = systemd_sockets(s, &count);
	MUST(f && fault_code(f) == FAULT_INVALID && count == 99);
	MUST(strcmp(fault_text(f), "socket 4 (unknown) from the service manager is no listening stream socket") == 0);
	fault_free(f);
}

static void refuse_many(const int *fds)
{
	struct systemd_socket s[SYSTEMD_SOCKETS_MAX];
	size_t count = 99;
	int many[SYSTEMD_SOCKETS_MAX + 1];
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = fds[0];
	hand_down(many, SYSTEMD_SOCKETS_MAX + 1, NULL);
	struct fault *f = systemd_sockets(s, &count);
	MUST(f && strcmp(fault_text(f), "17 sockets from the service manager; at most 16") == 0);
	fault_free(f);
}

static void take_none(const int *fds)
{
	struct systemd_socket s[SYSTEMD_SOCKETS_MAX];
	size_t count = 99;
	(void)fds;
	MUST(unsetenv("LISTEN_FDS") == 0 && !systemd_sockets(s, &count) && count == 0);
	/* Meant for another process. */
	MUST(setenv("LISTEN_FDS", "1", 1) == 0 && setenv("LISTEN_PID", "1", 1) == 0);
	count = 99;
	MUST(!systemd_sockets(s, &count) && count == 0);
}

static void in_a_child(void (*test)(const int *fds), const int *fds)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		test(fds);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void takes_sockets(void **state)
{
	(void)state;
	int listening = listening_socket(), pipes[2];
	assert_int_equal(pipe(pipes), 0);
	in_a_child(take_two, (const int[]){listening, listening});
	in_a_child(refuse_a_pipe, (const int[]){listening, pipes[0]});
	in_a_child(refuse_a_pipe, (const int[]){listening, service_manager});
	in_a_child(refuse_many, (const int[]){listening});
	in_a_child(take_none, NULL);
	(void)close(listening);
	(void)close(pipes[0]);
	(void)close(pipes[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(notifies, listen_for_notes, stop_listening),
		cmocka_unit_test_setup_teardown(takes_sockets, listen_for_notes, stop_listening),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
