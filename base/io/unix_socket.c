#include "base/io/unix_socket.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/fault.h"
#include "base/io/file.h"
#include "base/mem.h"

enum { BACKLOG = 4096 /* the kernel cuts it at net.core.somaxconn */ };

struct unix_socket {
	char *path;
	int fd;	  /* -1: taken */
	int lock; /* flock()ed as long as we live */
	dev_t device;
	ino_t inode; /* of the node at path; 0: none made yet */
};

static struct fault *check_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	AUTO(mem_freep)
	char *folder = !slash	       ? mem_strdup(".")
		       : slash == path ? mem_strdup("/")
				       : mem_strndup(path, (size_t)(slash - path));
	return file_check_private_folder(folder);
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un a;
	memset(&a, 0, sizeof a);
	a.sun_family = AF_UNIX;
	size_t len = strlen(path);
	invariant(len < sizeof a.sun_path);
	memcpy(a.sun_path, path, len);
	return a;
}

/* flock() and not fcntl(): the latter would be lost as soon as any descriptor of the file is closed. */
static struct fault *take_lock(struct unix_socket *s)
{
	AUTO(mem_freep) char *path = mem_printf("%s.lock", s->path);
	s->lock = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (s->lock < 0)
		return fault_errno(errno, "lock file %s", path);
	if (flock(s->lock, LOCK_EX | LOCK_NB) == 0)
		return NULL;
	if (errno == EWOULDBLOCK)
		return fault_new(FAULT_CONFLICT, "%s is served by another leafcast (it holds %s)", s->path, path);
	return fault_errno(errno, "lock file %s", path);
}

/* Under the lock no leafcast serves the path; something else may. */
static struct fault *check_free(const char *path)
{
	struct stat st;
	if (lstat(path, &st) < 0)
		return errno == ENOENT ? NULL : fault_errno(errno, "%s", path);
	if (!S_ISSOCK(st.st_mode))
		return fault_new(FAULT_CONFLICT, "%s exists and is no socket: remove it, or choose another path", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fault_errno(errno, "unix socket");
	struct sockaddr_un a = address_of(path);
	int err = connect(fd, (struct sockaddr *)&a, sizeof a) < 0 ? errno : 0;
	(void)close(fd);
	if (err == 0 || err == EAGAIN)
		return fault_new(FAULT_CONFLICT, "%s is served by another program", path);
	return NULL;
}

/* The node gets the mode of the descriptor (less the umask), so it is never open to more than its owner before chmod().
 */
static int bind_private(int fd, const struct sockaddr_un *a)
{
	if (fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)a, sizeof *a) < 0)
		return errno;
	return 0;
}

static struct fault *adorn(const char *at, const struct unix_socket_options *o)
{
	if (lchown(at, o->owner, o->group) < 0)
		return fault_errno(errno, "cannot give %s to owner %ld, group %ld", o->path, (long)(int)o->owner,
			(long)(int)o->group);
	if (chmod(at, o->mode) < 0)
		return fault_errno(errno, "mode of %s", o->path);
	return NULL;
}

static struct fault *appear(struct unix_socket *s, const char *at)
{
	struct stat st;
	if (listen(s->fd, BACKLOG) < 0 || lstat(at, &st) < 0 || rename(at, s->path) < 0)
		return fault_errno(errno, "cannot listen on %s", s->path);
	s->device = st.st_dev;
	s->inode = st.st_ino;
	return NULL;
}

static struct fault *make_node(struct unix_socket *s, const struct unix_socket_options *o)
{
	AUTO(mem_freep) char *at = mem_printf("%s.new", s->path);
	if (unlink(at) < 0 && errno != ENOENT)
		return fault_errno(errno, "cannot replace %s", at);
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		return fault_errno(errno, "unix socket");
	struct sockaddr_un a = address_of(at);
	int err = bind_private(s->fd, &a);
	if (err)
		return fault_errno(err, "cannot bind %s", at);
	struct fault *f = adorn(at, o);
	if (!f)
		f = appear(s, at);
	if (f)
		(void)unlink(at);
	return f;
}

struct fault *unix_socket_open(const struct unix_socket_options *o, struct unix_socket **ret)
{
	if (!o->path[0] || strlen(o->path) > UNIX_SOCKET_PATH_MAX)
		return fault_new(
			FAULT_INVALID, "socket path %s: 1 to %d bytes are possible", o->path, UNIX_SOCKET_PATH_MAX);
	TRY(check_folder(o->path));
	struct unix_socket *s = mem_new(struct unix_socket);
	s->path = mem_strdup(o->path);
	s->fd = s->lock = -1;
	struct fault *f = take_lock(s);
	if (!f)
		f = check_free(s->path);
	if (!f)
		f = make_node(s, o);
	if (f) {
		unix_socket_close(s);
		return f;
	}
	*ret = s;
	return NULL;
}

int unix_socket_take_fd(struct unix_socket *s)
{
	int fd = s->fd;
	invariant(fd >= 0);
	s->fd = -1;
	return fd;
}

static void remove_own(const struct unix_socket *s)
{
	struct stat st;
	if (s->inode && lstat(s->path, &st) == 0 && st.st_ino == s->inode && st.st_dev == s->device)
		(void)unlink(s->path);
}

void unix_socket_close(struct unix_socket *s)
{
	if (!s)
		return;
	remove_own(s);
	if (s->fd >= 0)
		(void)close(s->fd);
	if (s->lock >= 0)
		(void)close(s->lock);
	free(s->path);
	free(s);
}
