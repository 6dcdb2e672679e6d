#include "base/io/tcp_peers.h"
#include <dirent.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/mem.h"

/* IPv4 looks like IPv6 on sockets that take both. */
static void unmap(union tcp_address *a)
{
	if (a->any.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr))
		return;
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = a->v6.sin6_port};
	memcpy(&v4.sin_addr, a->v6.sin6_addr.s6_addr + 12, sizeof v4.sin_addr);
	memset(a, 0, sizeof *a);
	a->v4 = v4;
}

static int64_t read_from(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof info;
	int unread = 0;
	memset(&info, 0, sizeof info);
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 || ioctl(fd, FIONREAD, &unread) < 0)
		return 0;
	return (int64_t)info.tcpi_bytes_received - unread;
}

static bool look(int fd, struct tcp_peer *ret)
{
	socklen_t remote = sizeof ret->remote, local = sizeof ret->local;
	memset(ret, 0, sizeof *ret);
	ret->fd = fd;
	if (getpeername(fd, &ret->remote.any, &remote) < 0)
		return false;
	if (ret->remote.any.sa_family != AF_INET && ret->remote.any.sa_family != AF_INET6)
		return false;
	unmap(&ret->remote);
	ret->read = read_from(fd);
	return getsockname(fd, &ret->local.any, &local) == 0;
}

void tcp_peers_each(bool (*fn)(void *arg, const struct tcp_peer *p), void *arg)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *e;
	struct tcp_peer p;
	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.' && look((int)strtol(e->d_name, NULL, 10), &p) && fn(arg, &p))
			break;
	if (dir)
		(void)closedir(dir);
}

int tcp_peer_local_port(const struct tcp_peer *p)
{
	return ntohs(p->local.any.sa_family == AF_INET ? p->local.v4.sin_port : p->local.v6.sin6_port);
}

char *tcp_peer_text(const struct tcp_peer *p)
{
	char host[NI_MAXHOST], port[NI_MAXSERV];
	bool v6 = p->remote.any.sa_family == AF_INET6;
	if (getnameinfo(&p->remote.any, v6 ? sizeof p->remote.v6 : sizeof p->remote.v4, host, sizeof host, port,
		    sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
		return mem_strdup("");
	return v6 ? mem_printf("ipv6:%%5B%s%%5D:%s", host, port) : mem_printf("ipv4:%s:%s", host, port);
}

/* Another file may have got its number meanwhile: so we look again, at a descriptor of our own. */
bool tcp_peer_reset(const struct tcp_peer *p)
{
	static const struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct tcp_peer again;
	int fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 0);
	bool done = fd >= 0 && look(fd, &again) && memcmp(&again.remote, &p->remote, sizeof p->remote) == 0 &&
		    memcmp(&again.local, &p->local, sizeof p->local) == 0 && connect(fd, &none, sizeof none) == 0;
	if (fd >= 0)
		(void)close(fd);
	return done;
}
