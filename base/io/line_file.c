#include "base/io/line_file.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fault.h"
#include "base/io/file.h"

enum { STEP = 8192 };

static struct fault *check(int fd, const char *path, off_t *ret_size)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return fault_errno(errno, "cannot stat %s", path);
	if (!S_ISREG(st.st_mode))
		return fault_new(FAULT_INVALID, "%s is not a regular file", path);
	if (st.st_uid != geteuid())
		return fault_new(FAULT_INVALID, "%s belongs to uid %u; it must be uid %u's", path, (unsigned)st.st_uid,
			(unsigned)geteuid());
	if (st.st_mode & 022)
		return fault_new(FAULT_INVALID, "%s can be written by others (mode %04o); chmod 0600 %s", path,
			(unsigned)(st.st_mode & 07777), path);
	if (st.st_nlink != 1)
		return fault_new(FAULT_INVALID, "%s has %lu names; it must have one", path, (unsigned long)st.st_nlink);
	*ret_size = st.st_size;
	return NULL;
}

static struct fault *read_at(int fd, const char *path, off_t at, unsigned char *ret, size_t len)
{
	while (len) {
		ssize_t n = pread(fd, ret, len, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fault_errno(n < 0 ? errno : EIO, "cannot read %s", path);
		ret += n;
		at += n;
		len -= (size_t)n;
	}
	return NULL;
}

/* Its end, so much of it that two newlines are in it, or all: the last line, and what was cut off behind it. */
static struct fault *read_end(int fd, const char *path, off_t size, struct buf *ret)
{
	for (size_t want = STEP;; want *= 2) {
		size_t len = (off_t)want < size ? want : (size_t)size, newlines = 0;
		buf_truncate(ret, 0);
		TRY(read_at(fd, path, size - (off_t)len, buf_extend(ret, len), len));
		for (size_t i = 0; i < len; i++)
			newlines += ret->data[i] == '\n';
		if ((off_t)len == size || newlines >= 2)
			return NULL;
		if (want > 2 * LINE_FILE_LINE_MAX)
			return fault_new(FAULT_INVALID, "%s ends with what is no line of ours", path);
	}
}

static bool begins(const unsigned char *line, size_t len, const char *begin)
{
	size_t n = strlen(begin) < len ? strlen(begin) : len;
	return strncmp((const char *)line, begin, n) == 0;
}

static struct fault *take_last(int fd, const char *path, off_t size, const char *begin, struct buf *ret_last)
{
	struct buf end = BUF_INIT;
	struct fault *f = read_end(fd, path, size, &end);
	const unsigned char *newline = !f && end.len ? memrchr(end.data, '\n', end.len) : NULL;
	size_t whole = newline ? (size_t)(newline - end.data) + 1 : 0, cut = end.len - whole;
	const unsigned char *before = whole > 1 ? memrchr(end.data, '\n', whole - 1) : NULL;
	size_t last = before ? (size_t)(before - end.data) + 1 : 0;
	if (!f && ((whole && !begins(end.data + last, whole - last, begin)) ||
			  (cut && !begins(end.data + whole, cut, begin))))
		f = fault_new(FAULT_INVALID, "%s ends with what is no line of ours; it is left alone", path);
	if (!f && cut && ftruncate(fd, size - (off_t)cut) < 0)
		f = fault_errno(errno, "cannot cut %s", path);
	if (!f && whole)
		buf_add(ret_last, end.data + last, whole - last - 1);
	buf_free(&end);
	return f;
}

struct fault *line_file_open(const char *path, const char *begin, int *ret_fd, struct buf *ret_last)
{
	off_t size = 0;
	int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0600);
	if (fd < 0)
		return fault_errno(errno, "cannot open %s", path);
	struct fault *f = check(fd, path, &size);
	if (!f && size)
		f = take_last(fd, path, size, begin, ret_last);
	if (f)
		(void)close(fd);
	else
		*ret_fd = fd;
	return f;
}

struct fault *line_file_append(int fd, const char *path, const void *bytes, size_t len)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return fault_errno(errno, "cannot stat %s", path);
	struct fault *f = file_write_all(fd, path, bytes, len);
	if (!f && fdatasync(fd) < 0)
		f = fault_errno(errno, "cannot sync %s", path);
	if (f)
		(void)!ftruncate(fd, st.st_size); /* else the next one that opens it takes the rest away */
	return f;
}
