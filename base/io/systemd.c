#include "base/io/systemd.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <time.h>
#include "base/fault.h"
#include "base/mem.h"

void systemd_notify(const char *state)
{
	(void)sd_notify(0, state);
}

void systemd_notify_reloading(void)
{
	struct timespec t;
	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)t.tv_sec * 1000000 + t.tv_nsec / 1000);
}

static char *unix_path_of(int fd)
{
	struct sockaddr_un a;
	socklen_t len = sizeof a;
	memset(&a, 0, sizeof a);
	if (getsockname(fd, (struct sockaddr *)&a, &len) < 0 || a.sun_family != AF_UNIX || a.sun_path[0] != '/')
		return NULL;
	return mem_strndup(a.sun_path, strnlen(a.sun_path, sizeof a.sun_path));
}

struct fault *systemd_sockets(struct systemd_socket ret[SYSTEMD_SOCKETS_MAX], size_t *ret_count)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names);
	size_t count = 0;
	if (n < 0)
		return fault_errno(-n, "sockets from the service manager");
	struct systemd_socket found[SYSTEMD_SOCKETS_MAX];
	struct fault *f = NULL;
	if (n > SYSTEMD_SOCKETS_MAX)
		f = fault_new(FAULT_INVALID, "%d sockets from the service manager; at most %d", n, SYSTEMD_SOCKETS_MAX);
	for (int i = 0; i < n && !f; i++) {
		int fd = SD_LISTEN_FDS_START + i;
		if (sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1) <= 0)
			f = fault_new(FAULT_INVALID,
				"socket %d (%s) from the service manager is no listening stream socket", fd, names[i]);
		else
			found[count++] = (struct systemd_socket){fd, mem_strdup(names[i]), unix_path_of(fd)};
	}
	if (!f) {
		memcpy(ret, found, count * sizeof *found);
		*ret_count = count;
	}
	for (size_t i = 0; f && i < count; i++) {
		free(found[i].name);
		free(found[i].path);
	}
	for (int i = 0; i < n && names; i++)
		free(names[i]);
	free(names);
	return f;
}
