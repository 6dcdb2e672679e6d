#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/attr.h"
#include "base/io/tcp_socket.h"
#include "certs.h"

static void listens_on_a_port_of_its_own(void **state)
{
	(void)state;
	int fd = -1, second = -1, port = 0;
	char same[32];
	expect_ok(tcp_socket_listen("127.0.0.1:0", &fd, &port));
	assert_in_range(port, 1, 65535);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&a, sizeof a), 0);
	(void)snprintf(same, sizeof same, "127.0.0.1:%d", port);
	expect_fault(tcp_socket_listen(same, &second, NULL), FAULT_CONFLICT, "cannot listen on 127.0.0.1:");
	assert_int_equal(second, -1);
	(void)close(client);
	(void)close(fd);
}

static void refuses_other_addresses(void **state)
{
	(void)state;
	static const char *const rows[] = {"", ":", "9902", "127.0.0.1", "127.0.0.1:", ":9902", "localhost:9902",
		"127.0.0.1:http", "127.0.0.1:70000", "127.0.0.1:-1", "127.0.0.1:+1", "127.0.0.1: 1", "127.0.0.1:99x",
		"::1:9902", "[::1]", "[::1:9902", "[]:9902", "127.0.0.256:1"};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int fd = -1, port = -1;
		expect_fault(tcp_socket_listen(rows[i], &fd, &port), FAULT_INVALID,
			"an example: 127.0.0.1:9902, [::1]:9902");
		assert_int_equal(fd, -1);
		assert_int_equal(port, -1);
	}
}

static void knows_ipv6(void **state)
{
	(void)state;
	int fd = -1, port = 0;
	struct fault *f = tcp_socket_listen("[::1]:0", &fd, &port);
	if (f) { /* a machine without IPv6: it is the system that refuses, not we */
		assert_int_not_equal(fault_code(f), FAULT_INVALID);
		fault_free(f);
		return;
	}
	assert_in_range(port, 1, 65535);
	(void)close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listens_on_a_port_of_its_own),
		cmocka_unit_test(refuses_other_addresses),
		cmocka_unit_test(knows_ipv6),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
