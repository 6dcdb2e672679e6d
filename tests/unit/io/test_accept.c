/* The acceptor with real unix sockets: who a peer is, how connections are dealt, and how their end is noticed. */
#include "base/io/accept.h"
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/clock.h"
#include "base/fault.h"

enum { WORKERS = 2, CONNECTIONS_MAX = 4, ADDED_MAX = 16, DEADLINE_MS = 15000 };

struct added {
	unsigned worker;
	int fd;
};

struct fixture {
	struct acceptor *acceptor;
	struct sockaddr_un address;
	int pipe[2];	/* each connection that was dealt, as struct added */
	int refused[2]; /* each refusal, as enum accept_refusal */
};

static void on_add(void *arg, unsigned worker, int fd)
{
	const struct fixture *f = arg;
	const struct added a = {worker, fd};
	assert_int_equal(write(f->pipe[1], &a, sizeof(a)), sizeof(a));
}

static void on_refused(void *arg, enum accept_refusal why)
{
	const struct fixture *f = arg;
	assert_int_equal(write(f->refused[1], &why, sizeof(why)), sizeof(why));
}

static int setup_with(void **state, size_t per_uid_max)
{
	struct fixture *f = calloc(1, sizeof(*f));
	assert_non_null(f);
	assert_int_equal(pipe(f->pipe), 0);
	assert_int_equal(pipe(f->refused), 0);
	const struct accept_options o = {.workers = WORKERS,
		.add = on_add,
		.refused = on_refused,
		.arg = f,
		.connections_max = CONNECTIONS_MAX,
		.per_uid_max = per_uid_max};
	assert_null(accept_new(&o, &f->acceptor));
	f->address.sun_family = AF_UNIX;
	/* Linux's abstract names: nothing to remove. */
	(void)snprintf(
		f->address.sun_path + 1, sizeof(f->address.sun_path) - 1, "leafcast-test-accept-%d", (int)getpid());
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&f->address, sizeof(f->address)), 0);
	assert_int_equal(listen(fd, 64), 0);
	assert_null(accept_listen(f->acceptor, fd));
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, CONNECTIONS_MAX + 1);
}

static int setup_few_per_uid(void **state)
{
	return setup_with(state, CONNECTIONS_MAX - 1);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	accept_free(f->acceptor);
	(void)close(f->refused[0]);
	(void)close(f->refused[1]);
	(void)close(f->pipe[0]);
	(void)close(f->pipe[1]);
	free(f);
	return 0;
}

static int dial(const struct fixture *f)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&f->address, sizeof(f->address)), 0);
	return fd;
}

static struct added next_added(const struct fixture *f)
{
	struct added a;
	struct pollfd p = {.fd = f->pipe[0], .events = POLLIN};
	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	assert_int_equal(read(f->pipe[0], &a, sizeof(a)), sizeof(a));
	return a;
}

/* The server hangs up on it at once, and says why. */
static void assert_refused(const struct fixture *f, int fd, enum accept_refusal expected)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	enum accept_refusal why;
	char byte;
	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	assert_int_equal(read(fd, &byte, 1), 0);
	(void)close(fd);
	assert_int_equal(read(f->refused[0], &why, sizeof(why)), sizeof(why));
	assert_int_equal(why, expected);
}

static void test_evidence(void **state)
{
	const struct fixture *f = *state;
	int client = dial(f);
	struct added a = next_added(f);
	struct evidence e;
	uint64_t serial;
	assert_true(accept_evidence(f->acceptor, a.fd, &e, &serial));
	assert_int_equal(e.kind, EVIDENCE_UNIX);
	assert_int_equal(e.uid, getuid());
	assert_int_equal(e.gid, getgid());
	assert_int_equal(e.pid, getpid());
	assert_false(accept_evidence(f->acceptor, client, &e, &serial));
	/* The same number for another socket proves nothing, whoever it belongs to. */
	int other = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(dup2(other, a.fd), a.fd);
	assert_false(accept_evidence(f->acceptor, a.fd, &e, &serial));
	(void)close(other);
	(void)close(a.fd);
	assert_false(accept_evidence(f->acceptor, a.fd, &e, &serial));
	(void)close(client);
}

static void test_dealt_evenly(void **state)
{
	const struct fixture *f = *state;
	int clients[CONNECTIONS_MAX];
	struct added a[CONNECTIONS_MAX];
	struct evidence e;
	uint64_t serials[CONNECTIONS_MAX];
	unsigned count[WORKERS] = {0};
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		clients[i] = dial(f);
		a[i] = next_added(f);
		count[a[i].worker]++;
		assert_true(accept_evidence(f->acceptor, a[i].fd, &e, &serials[i]));
		for (size_t j = 0; j < i; j++) {
			assert_int_not_equal(a[i].fd, a[j].fd);
			assert_true(serials[i] != serials[j]);
		}
	}
	assert_int_equal(count[0], CONNECTIONS_MAX / 2);
	assert_int_equal(count[1], CONNECTIONS_MAX / 2);
	assert_int_equal(accept_count(f->acceptor), CONNECTIONS_MAX);
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		(void)close(a[i].fd);
		(void)close(clients[i]);
	}
}

/* At the limit new ones are refused; those that have gone make room again. */
static void test_limit(void **state)
{
	const struct fixture *f = *state;
	int clients[CONNECTIONS_MAX];
	struct added a[CONNECTIONS_MAX];
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		clients[i] = dial(f);
		a[i] = next_added(f);
	}
	assert_refused(f, dial(f), ACCEPT_NO_ROOM);
	(void)close(a[1].fd); /* as gRPC does when its client has gone */
	(void)close(clients[1]);
	int64_t end = clock_mono_ms(clock_system()) + DEADLINE_MS;
	while (accept_count(f->acceptor) == CONNECTIONS_MAX && clock_mono_ms(clock_system()) < end)
		(void)poll(NULL, 0, 10);
	assert_int_equal(accept_count(f->acceptor), CONNECTIONS_MAX - 1);
	clients[1] = dial(f);
	struct added again = next_added(f);
	assert_int_equal(again.worker, a[1].worker);
	a[1] = again;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		(void)close(a[i].fd);
		(void)close(clients[i]);
	}
}

static void test_limit_per_uid(void **state)
{
	const struct fixture *f = *state;
	int clients[CONNECTIONS_MAX - 1];
	struct added a[CONNECTIONS_MAX - 1];
	for (size_t i = 0; i < CONNECTIONS_MAX - 1; i++) {
		clients[i] = dial(f);
		a[i] = next_added(f);
	}
	assert_refused(f, dial(f), ACCEPT_UID_HAS_TOO_MANY);
	assert_int_equal(accept_count(f->acceptor), CONNECTIONS_MAX - 1);
	for (size_t i = 0; i < CONNECTIONS_MAX - 1; i++) {
		(void)close(a[i].fd);
		(void)close(clients[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_evidence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dealt_evenly, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit_per_uid, setup_few_per_uid, teardown)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
