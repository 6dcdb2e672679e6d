#include "base/io/tcp_socket.h"
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/fault.h"
#include "base/mem.h"

/* getaddrinfo() takes 70000 for 4464. */
static bool is_port(const char *text)
{
	size_t digits = strspn(text, "0123456789");
	return digits >= 1 && digits <= 5 && !text[digits] && strtol(text, NULL, 10) <= 65535;
}

static struct fault *resolve(const char *address, struct addrinfo **ret)
{
	const char *colon = strrchr(address, ':');
	bool bracketed = colon && address[0] == '[' && colon > address + 1 && colon[-1] == ']';
	/* Without brackets "::1:9902" might be an address without a port. */
	if (!colon || !is_port(colon + 1) || (!bracketed && memchr(address, ':', (size_t)(colon - address))))
		return fault_new(
			FAULT_INVALID, "%s is no address:port; an example: 127.0.0.1:9902, [::1]:9902", address);
	AUTO(mem_freep)
	char *host = bracketed ? mem_strndup(address + 1, (size_t)(colon - address - 2))
			       : mem_strndup(address, (size_t)(colon - address));
	const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
		.ai_socktype = SOCK_STREAM,
		.ai_family = AF_UNSPEC};
	int rc = getaddrinfo(host, colon + 1, &hints, ret);
	return rc ? fault_new(
			    FAULT_INVALID, "%s: %s; an example: 127.0.0.1:9902, [::1]:9902", address, gai_strerror(rc))
		  : NULL;
}

static int port_of(int fd)
{
	struct sockaddr_storage a;
	socklen_t len = sizeof a;
	if (getsockname(fd, (struct sockaddr *)&a, &len) < 0)
		return 0;
	if (a.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
	return ntohs(((struct sockaddr_in *)&a)->sin_port);
}

struct fault *tcp_socket_listen(const char *address, int *ret_fd, int *ret_port)
{
	struct addrinfo *a = NULL;
	TRY(resolve(address, &a));
	int on = 1, err = 0;
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0 ||
		bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, 128) < 0)
		err = errno;
	freeaddrinfo(a);
	if (err) {
		if (fd >= 0)
			(void)close(fd);
		return fault_errno(err, "cannot listen on %s", address);
	}
	if (ret_port)
		*ret_port = port_of(fd);
	*ret_fd = fd;
	return NULL;
}
