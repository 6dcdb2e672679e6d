/* TCP connections of this process: each is seen with what waits in it, one is reset, the others live. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/fault.h"
#include "base/io/tcp_peers.h"
#include "base/io/tcp_socket.h"
#include "base/mem.h"

struct pair {
	int client, accepted, client_port;
};

static union {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
} address;

static int port_of(int fd)
{
	socklen_t len = sizeof address;
	assert_int_equal(getsockname(fd, &address.any, &len), 0);
	return ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
}

static void dial(int family, int port, struct pair *ret)
{
	memset(&address, 0, sizeof address);
	address.any.sa_family = (sa_family_t)family;
	if (family == AF_INET) {
		address.v4.sin_port = htons((uint16_t)port);
		address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	} else {
		address.v6.sin6_port = htons((uint16_t)port);
		address.v6.sin6_addr = in6addr_loopback;
	}
	ret->client = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(
		connect(ret->client, &address.any, family == AF_INET ? sizeof address.v4 : sizeof address.v6), 0);
	ret->client_port = port_of(ret->client);
}

static int listen_on(const char *where, int *ret_port)
{
	int fd = -1;
	struct fault *f = tcp_socket_listen(where, &fd, ret_port);
	assert_null(f);
	return fd;
}

/* Connecting has completed, so accepting need not wait. */
static void make(int listener, int family, int port, struct pair *ret)
{
	dial(family, port, ret);
	ret->accepted = accept(listener, NULL, NULL);
	assert_true(ret->accepted >= 0);
}

static void drop(struct pair *p)
{
	(void)close(p->client);
	(void)close(p->accepted);
}

struct wanted {
	const char *text;
	int local_port;
	struct tcp_peer found;
	size_t count;
};

static bool take(void *arg, const struct tcp_peer *p)
{
	struct wanted *w = arg;
	AUTO(mem_freep) char *text = tcp_peer_text(p);
	if (tcp_peer_local_port(p) == w->local_port && strcmp(text, w->text) == 0) {
		w->found = *p;
		w->count++;
	}
	return false;
}

static struct tcp_peer find(const char *text, int local_port)
{
	struct wanted w = {.text = text, .local_port = local_port};
	tcp_peers_each(take, &w);
	assert_int_equal(w.count, 1);
	return w.found;
}

static void check(const char *where, int family, const char *form)
{
	int port = 0, listener = listen_on(where, &port);
	struct pair one, other;
	char c;
	make(listener, family, port, &one);
	make(listener, family, port, &other);
	assert_int_equal(send(one.client, "unread", 6, 0), 6);
	assert_int_equal(recv(one.accepted, &c, 1, MSG_PEEK), 1);
	AUTO(mem_freep) char *text = mem_printf(form, one.client_port);
	struct tcp_peer p = find(text, port);
	assert_int_equal(p.fd, one.accepted);
	assert_int_equal(p.read, 0);
	assert_int_equal(recv(one.accepted, &c, 1, 0), 1);
	p = find(text, port);
	assert_int_equal(p.read, 1);
	assert_true(tcp_peer_reset(&p));
	assert_int_equal(recv(one.accepted, &c, 1, 0), -1); /* what was unread is gone */
	assert_int_equal(recv(one.client, &c, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	assert_false(tcp_peer_reset(&p));
	assert_int_equal(send(other.client, "x", 1, 0), 1);
	assert_int_equal(recv(other.accepted, &c, 1, 0), 1);
	drop(&one);
	drop(&other);
	(void)close(listener);
}

static void test_ipv4(void **state)
{
	(void)state;
	check("127.0.0.1:0", AF_INET, "ipv4:127.0.0.1:%d");
}

/* A machine without IPv6 has nothing to check. */
static void check_if_there(const char *where, int family, const char *form)
{
	int fd = -1;
	struct fault *f = tcp_socket_listen(where, &fd, NULL);
	if (!f) {
		(void)close(fd);
		check(where, family, form);
	}
	fault_free(f);
}

static void test_ipv6(void **state)
{
	(void)state;
	check_if_there("[::1]:0", AF_INET6, "ipv6:%%5B::1%%5D:%d");
}

static void test_ipv4_on_a_socket_for_both(void **state)
{
	(void)state;
	check_if_there("[::]:0", AF_INET, "ipv4:127.0.0.1:%d");
}

static void test_a_number_that_is_another_connection_by_now(void **state)
{
	(void)state;
	int port = 0, listener = listen_on("127.0.0.1:0", &port);
	struct pair one, other;
	char c;
	make(listener, AF_INET, port, &one);
	make(listener, AF_INET, port, &other);
	AUTO(mem_freep) char *text = mem_printf("ipv4:127.0.0.1:%d", one.client_port);
	struct tcp_peer p = find(text, port);
	assert_int_equal(dup2(other.accepted, one.accepted), one.accepted);
	assert_false(tcp_peer_reset(&p));
	assert_int_equal(send(other.client, "x", 1, 0), 1);
	assert_int_equal(recv(other.accepted, &c, 1, 0), 1);
	drop(&one);
	drop(&other);
	(void)close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ipv4),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_ipv4_on_a_socket_for_both),
		cmocka_unit_test(test_a_number_that_is_another_connection_by_now),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
