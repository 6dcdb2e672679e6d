#include "base/io/file.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fault.h"
#include "base/mem.h"

static void close_fdp(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

static struct fault *open_regular(const char *path, size_t max, int *ret_fd, struct stat *ret_st)
{
	AUTO(close_fdp) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return fault_errno(errno, "cannot open %s", path);
	struct stat st;
	if (fstat(fd, &st) < 0)
		return fault_errno(errno, "cannot stat %s", path);
	if (!S_ISREG(st.st_mode))
		return fault_new(FAULT_INVALID, "%s is not a regular file", path);
	if ((size_t)st.st_size > max)
		return fault_new(
			FAULT_INVALID, "%s has %lld bytes; at most %zu are accepted", path, (long long)st.st_size, max);
	*ret_st = st;
	*ret_fd = fd;
	fd = -1;
	return NULL;
}

static struct fault *read_all(int fd, const char *path, size_t max, struct buf *ret)
{
	size_t start = ret->len;
	for (;;) {
		unsigned char *at = buf_extend(ret, 4096);
		ssize_t n = read(fd, at, 4096);
		int err = errno;
		buf_truncate(ret, ret->len - 4096 + (n > 0 ? (size_t)n : 0));
		if (n == 0)
			return NULL;
		if (n < 0 && err != EINTR) {
			buf_truncate(ret, start);
			return fault_errno(err, "cannot read %s", path);
		}
		if (ret->len - start > max) {
			buf_truncate(ret, start);
			return fault_new(FAULT_INVALID, "%s is longer than %zu bytes", path, max);
		}
	}
}

struct fault *file_read(const char *path, size_t max, struct buf *ret)
{
	AUTO(close_fdp) int fd = -1;
	struct stat st;
	TRY(open_regular(path, max, &fd, &st));
	return read_all(fd, path, max, ret);
}

struct fault *file_read_private(const char *path, size_t max, mode_t forbidden, struct buf *ret)
{
	AUTO(close_fdp) int fd = -1;
	struct stat st;
	TRY(open_regular(path, max, &fd, &st));
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return fault_new(FAULT_INVALID, "%s belongs to uid %u; it must be root's or uid %u's", path,
			(unsigned)st.st_uid, (unsigned)geteuid());
	if (st.st_mode & forbidden)
		return fault_new(FAULT_INVALID, "%s is open to others (mode %04o); chmod 0600 %s", path,
			(unsigned)(st.st_mode & 07777), path);
	return read_all(fd, path, max, ret);
}

struct fault *file_write_all(int fd, const char *path, const void *data, size_t len)
{
	const unsigned char *bytes = data;
	while (len) {
		ssize_t n = write(fd, bytes, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fault_errno(n < 0 ? errno : EIO, "cannot write %s", path);
		bytes += n;
		len -= (size_t)n;
	}
	return NULL;
}

static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	if (!slash)
		return mem_strdup(".");
	return slash == path ? mem_strdup("/") : mem_strndup(path, (size_t)(slash - path));
}

static struct fault *sync_folder(const char *path)
{
	AUTO(mem_freep) char *folder = folder_of(path);
	AUTO(close_fdp) int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return fault_errno(errno, "cannot sync folder %s", folder);
	return NULL;
}

static struct fault *place(const char *path, mode_t mode, const void *bytes, size_t len, bool replace)
{
	AUTO(mem_freep) char *temporary = mem_printf("%s.%ld.new", path, (long)getpid());
	(void)unlink(temporary);
	AUTO(close_fdp) int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode & 0600);
	if (fd < 0)
		return fault_errno(errno, "cannot create %s", temporary);
	struct fault *f = file_write_all(fd, temporary, bytes, len);
	if (!f && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
		f = fault_errno(errno, "cannot write %s", temporary);
	if (!f && replace && rename(temporary, path) < 0)
		f = fault_errno(errno, "cannot rename %s to %s", temporary, path);
	if (!f && !replace && link(temporary, path) < 0)
		f = fault_errno(errno, "cannot create %s", path);
	if (f || !replace)
		(void)unlink(temporary);
	return f ? f : sync_folder(path);
}

/* Without a name until it is whole: a crash leaves nothing behind, which matters where it holds a key. false: not on
 * this file system, and nothing was done. */
static bool create_unnamed(const char *path, mode_t mode, const void *bytes, size_t len, struct fault **ret)
{
	AUTO(mem_freep) char *folder = folder_of(path);
	AUTO(close_fdp) int fd = open(folder, O_WRONLY | O_TMPFILE | O_CLOEXEC, mode & 0600);
	if (fd < 0)
		return false;
	AUTO(mem_freep) char *link = mem_printf("/proc/self/fd/%d", fd);
	struct fault *f = file_write_all(fd, path, bytes, len);
	if (!f && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
		f = fault_errno(errno, "cannot write %s", path);
	if (!f && linkat(AT_FDCWD, link, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0) {
		if (errno == ENOENT && access(link, F_OK) < 0)
			return false; /* no /proc */
		f = fault_errno(errno, "cannot create %s", path);
	}
	*ret = f ? f : sync_folder(path);
	return true;
}

struct fault *file_write(const char *path, mode_t mode, const void *bytes, size_t len)
{
	return place(path, mode, bytes, len, true);
}

struct fault *file_create(const char *path, mode_t mode, const void *bytes, size_t len)
{
	struct fault *f = NULL;
	return create_unnamed(path, mode, bytes, len, &f) ? f : place(path, mode, bytes, len, false);
}

struct fault *file_rename(const char *from, const char *to)
{
	if (rename(from, to) < 0)
		return fault_errno(errno, "cannot rename %s to %s", from, to);
	return sync_folder(to);
}

struct fault *file_make_folder(const char *path)
{
	AUTO(mem_freep) char *p = mem_strdup(path);
	if (!*path)
		return fault_new(FAULT_INVALID, "a folder without a name");
	for (char *slash = p;;) {
		slash = strchr(slash + 1, '/');
		if (slash)
			*slash = 0;
		if (mkdir(p, 0700) < 0 && errno != EEXIST)
			return fault_errno(errno, "cannot make folder %s", p);
		if (!slash)
			break;
		*slash = '/';
	}
	struct stat st;
	if (stat(path, &st) < 0)
		return fault_errno(errno, "cannot stat %s", path);
	return S_ISDIR(st.st_mode) ? NULL : fault_new(FAULT_INVALID, "%s is not a folder", path);
}

struct fault *file_check_private_folder(const char *path)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return fault_errno(errno, "cannot stat %s", path);
	if (!S_ISDIR(st.st_mode))
		return fault_new(FAULT_INVALID, "%s is not a folder", path);
	if (st.st_uid != 0 && st.st_uid != geteuid())
		return fault_new(FAULT_INVALID, "folder %s belongs to uid %u; it must be root's or uid %u's", path,
			(unsigned)st.st_uid, (unsigned)geteuid());
	if (st.st_mode & 022)
		return fault_new(FAULT_INVALID, "folder %s can be written by others (mode %04o); chmod go-w %s", path,
			(unsigned)(st.st_mode & 07777), path);
	return NULL;
}
