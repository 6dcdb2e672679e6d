/* The acceptor with real unix sockets: who a peer is, how connections are dealt, how their end is noticed, and who is
 * kept out. */
#include "base/io/accept.h"
#include <errno.h>
#include <netinet/in.h>
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
#include "base/io/pulse.h"
#include "base/io/tcp_socket.h"
#include "base/mem.h"

enum { WORKERS = 2, CONNECTIONS_MAX = 4, ADDED_MAX = 16, DEADLINE_MS = 60000, CHUNK = 4096 };

struct added {
	unsigned worker;
	int fd;
};

struct fixture {
	struct acceptor *acceptor;
	struct sockaddr_un address;
	int pipe[2];	/* each connection that was dealt, as struct added */
	int refused[2]; /* each refusal, as enum accept_refusal */
	struct pulse pulses[WORKERS];
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

static int setup_with(void **state, size_t per_uid_max, int per_second)
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
		.pulses = f->pulses,
		.per_uid_max = per_uid_max,
		.per_uid_per_second = per_second};
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
	return setup_with(state, CONNECTIONS_MAX + 1, 1000);
}

static int setup_few_per_uid(void **state)
{
	return setup_with(state, CONNECTIONS_MAX - 1, 1000);
}

static int setup_few_per_second(void **state)
{
	return setup_with(state, CONNECTIONS_MAX + 1, 1);
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

static enum accept_refusal next_refusal(const struct fixture *f)
{
	enum accept_refusal why;
	struct pollfd p = {.fd = f->refused[0], .events = POLLIN};
	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	assert_int_equal(read(f->refused[0], &why, sizeof(why)), sizeof(why));
	return why;
}

/* The server hangs up on it at once, and says why. */
static enum accept_refusal refusal_of(const struct fixture *f, int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	char byte;
	assert_int_equal(poll(&p, 1, DEADLINE_MS), 1);
	assert_int_equal(read(fd, &byte, 1), 0);
	(void)close(fd);
	return next_refusal(f);
}

static void assert_refused(const struct fixture *f, int fd, enum accept_refusal expected)
{
	assert_int_equal(refusal_of(f, fd), expected);
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

static void test_limit_per_second(void **state)
{
	const struct fixture *f = *state;
	int clients[CONNECTIONS_MAX];
	struct added a[CONNECTIONS_MAX];
	int64_t end = clock_mono_ms(clock_system()) + DEADLINE_MS;
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		clients[i] = dial(f);
		a[i] = next_added(f);
	}
	enum accept_refusal why = ACCEPT_NO_ROOM;
	while (why == ACCEPT_NO_ROOM && clock_mono_ms(clock_system()) < end)
		why = refusal_of(f, dial(f));
	assert_int_equal(why, ACCEPT_TOO_FAST);
	for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
		(void)close(a[i].fd);
		(void)close(clients[i]);
	}
}

static bool is_hung_up(int client)
{
	struct pollfd p = {.fd = client, .events = POLLIN};
	return poll(&p, 1, 0) == 1 && (p.revents & POLLHUP);
}

static void test_keep_out(void **state)
{
	const struct fixture *f = *state;
	int clients[2] = {dial(f), dial(f)};
	struct added a[2] = {next_added(f), next_added(f)};
	struct evidence e;
	uint64_t serial;
	assert_true(accept_evidence(f->acceptor, a[0].fd, &e, &serial));
	accept_keep_out(f->acceptor, a[0].fd, serial, getuid(), "a test");
	assert_int_equal(next_refusal(f), ACCEPT_KEPT_OUT);
	assert_true(is_hung_up(clients[0]));
	assert_true(is_hung_up(clients[1])); /* of the same process */
	assert_refused(f, dial(f), ACCEPT_KEPT_OUT);
	for (size_t i = 0; i < 2; i++) {
		(void)close(a[i].fd);
		(void)close(clients[i]);
	}
}

/* A connection that has gone by the time that somebody complains: its uid is kept out, and nobody else is hung up on
 * who has its number. */
static void test_keep_out_who_has_gone(void **state)
{
	const struct fixture *f = *state;
	int client = dial(f);
	struct added a = next_added(f);
	struct evidence e;
	uint64_t serial;
	assert_true(accept_evidence(f->acceptor, a.fd, &e, &serial));
	accept_keep_out(f->acceptor, a.fd, serial + 1, getuid() + 1, "a test");
	assert_int_equal(next_refusal(f), ACCEPT_KEPT_OUT);
	assert_false(is_hung_up(client));
	int other = dial(f); /* another uid was meant */
	struct added b = next_added(f);
	(void)close(a.fd);
	(void)close(b.fd);
	(void)close(client);
	(void)close(other);
}

/* Streams opened and reset, as many as a socket takes. */
static void send_resets(int client)
{
	unsigned char frames[CHUNK], *at = frames;
	for (; (size_t)(at - frames) + 27 <= sizeof frames; at += 27)
		memcpy(at, "\0\0\5\1\4\0\0\0\1hello\0\0\4\3\0\0\0\0\1\0\0\0\x08", 27);
	(void)!send(client, frames, (size_t)(at - frames), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void send_anything(int client)
{
	static const unsigned char bytes[CHUNK] = {1};
	(void)!send(client, bytes, sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* The test plays a worker that reads on and on, and comes to nothing else; until the client is hung up on. */
static void read_on(struct pulse *worker, int client, int served, void (*send_more)(int client))
{
	unsigned char bytes[CHUNK];
	int64_t end = clock_mono_ms(clock_system()) + DEADLINE_MS;
	pulse_begin(worker);
	while (!is_hung_up(client) && clock_mono_ms(clock_system()) < end) {
		for (int i = 0; i < 32; i++)
			send_more(client);
		for (int i = 0; i < 16; i++)
			(void)!recv(served, bytes, sizeof bytes, MSG_DONTWAIT);
	}
	assert_true(is_hung_up(client));
}

static void be_captive(struct fixture *f, void (*send_more)(int client))
{
	int client = dial(f);
	struct added a = next_added(f);
	read_on(&f->pulses[a.worker], client, a.fd, send_more);
	assert_int_equal(next_refusal(f), ACCEPT_KEPT_OUT);
	assert_refused(f, dial(f), ACCEPT_KEPT_OUT);
	(void)close(a.fd);
	(void)close(client);
}

static void test_rapid_resets(void **state)
{
	be_captive(*state, send_resets);
}

static void test_endless_bytes(void **state)
{
	be_captive(*state, send_anything);
}

struct tcp_pair {
	int client, served;
	char *text; /* of the client, as gRPC would write it */
};

static struct tcp_pair dial_tcp(int listener, int port)
{
	struct sockaddr_in a = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	struct tcp_pair p = {.client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
	assert_int_equal(connect(p.client, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(getsockname(p.client, (struct sockaddr *)&a, &len), 0);
	p.text = mem_printf("ipv4:127.0.0.1:%d", ntohs(a.sin_port));
	p.served = accept(listener, NULL, NULL);
	assert_true(p.served >= 0);
	return p;
}

static void drop(struct tcp_pair *p)
{
	(void)close(p->client);
	(void)close(p->served);
	free(p->text);
}

/* On TCP whoever sends without end is cut off, twice, and others live; who is named is, too. */
static void test_tcp(void **state)
{
	struct fixture *f = *state;
	int listener = -1, port = 0;
	assert_null(tcp_socket_listen("127.0.0.1:0", &listener, &port));
	accept_watch_tcp(f->acceptor, port);
	struct tcp_pair other = dial_tcp(listener, port);
	for (int i = 0; i < 2; i++) {
		struct tcp_pair bad = dial_tcp(listener, port);
		read_on(&f->pulses[0], bad.client, bad.served, send_anything);
		assert_int_equal(next_refusal(f), ACCEPT_KEPT_OUT);
		assert_false(accept_cut_off_tcp(f->acceptor, bad.text));
		drop(&bad);
	}
	assert_false(is_hung_up(other.client));
	assert_false(accept_cut_off_tcp(f->acceptor, "ipv4:127.0.0.1:0"));
	assert_false(accept_cut_off_tcp(f->acceptor, "fd:3"));
	assert_true(accept_cut_off_tcp(f->acceptor, other.text));
	assert_true(is_hung_up(other.client));
	drop(&other);
	(void)close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_evidence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dealt_evenly, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limit_per_uid, setup_few_per_uid, teardown),
		cmocka_unit_test_setup_teardown(test_limit_per_second, setup_few_per_second, teardown),
		cmocka_unit_test_setup_teardown(test_keep_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keep_out_who_has_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rapid_resets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_endless_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tcp, setup, teardown)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
