#include "cache/store_folder.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/file.h"
#include "base/mem.h"

struct store_folder {
	char *path, *database, *seal_key;
	int folder_fd;
	dev_t device; /* of the database, as it was prepared */
	ino_t inode;
	ino_t log_inode; /* of its log, once it is open; 0: none was seen */
	int lock_fd;	 /* flock()ed while we live; holds MARK once a first start was completed */
};

static const char MARK[] = "A leafcast state lives here: its first start is complete.\n";

static void close_fdp(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

static struct fault *lock(struct store_folder *f)
{
	f->folder_fd = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (f->folder_fd < 0)
		return fault_errno(errno, "cannot open state folder %s", f->path);
	f->lock_fd = openat(f->folder_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
	if (f->lock_fd < 0)
		return fault_errno(errno, "cannot open %s/lock", f->path);
	if (flock(f->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return NULL;
	if (errno == EWOULDBLOCK)
		return fault_new(FAULT_CONFLICT,
			"state folder %s is in use by another leafcast; stop it, or give this one a folder of its own",
			f->path);
	return fault_errno(errno, "cannot lock %s/lock", f->path);
}

static bool exists(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0 || errno != ENOENT;
}

static struct fault *check_complete(const struct store_folder *f)
{
	if (exists(f->database))
		return NULL;
	bool marked = store_folder_is_marked(f);
	if (!marked && !exists(f->seal_key))
		return NULL;
	return fault_new(FAULT_INVALID,
		"state folder %s holds %s but no leafcast.db: refused, because a first start would make a new "
		"root that no client trusts. Put the database back from a backup (a leafcast.db.damaged-* here "
		"was found damaged), or move the whole folder away to start anew%s",
		f->path, marked ? "the mark of a completed first start" : "a seal key",
		marked ? "" : "; a seal key that was made beforehand belongs elsewhere (state.seal.file)");
}

struct fault *store_folder_open_for_restore(const char *path, struct store_folder **ret)
{
	AUTO(store_folder_closep) struct store_folder *f = mem_new(struct store_folder);
	f->folder_fd = f->lock_fd = -1;
	f->path = mem_strdup(path);
	f->database = mem_printf("%s/leafcast.db", path);
	f->seal_key = mem_printf("%s/seal.key", path);
	TRY(file_make_folder(path));
	TRY(file_check_private_folder(path));
	TRY(lock(f));
	(void)unlinkat(f->folder_fd, STORE_FOLDER_COPY, 0); /* a crash left it: whoever wrote it is gone */
	*ret = TAKE(f);
	return NULL;
}

struct fault *store_folder_open(const char *path, struct store_folder **ret)
{
	AUTO(store_folder_closep) struct store_folder *f = NULL;
	TRY(store_folder_open_for_restore(path, &f));
	TRY(check_complete(f));
	*ret = TAKE(f);
	return NULL;
}

const char *store_folder_path(const struct store_folder *f)
{
	return f->path;
}

const char *store_folder_database(const struct store_folder *f)
{
	return f->database;
}

const char *store_folder_seal_key(const struct store_folder *f)
{
	return f->seal_key;
}

bool store_folder_is_marked(const struct store_folder *f)
{
	struct stat st;
	return fstat(f->lock_fd, &st) == 0 && st.st_size > 0;
}

struct fault *store_folder_mark(struct store_folder *f)
{
	/* Any byte of it counts, so that a torn write does no harm. */
	if (pwrite(f->lock_fd, MARK, sizeof MARK - 1, 0) < 0 || fsync(f->lock_fd) < 0)
		return fault_errno(errno, "cannot mark state folder %s", f->path);
	return NULL;
}

struct fault *store_folder_prepare_database(struct store_folder *f)
{
	AUTO(close_fdp)
	int fd = openat(
		f->folder_fd, "leafcast.db", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
	struct stat st;
	if (fd < 0 || fstat(fd, &st) < 0)
		return fault_errno(errno, "cannot open %s", f->database);
	if (!S_ISREG(st.st_mode))
		return fault_new(FAULT_INVALID, "%s is not a regular file", f->database);
	if ((st.st_mode & 07777) != 0600 && fchmod(fd, 0600) < 0)
		return fault_errno(errno, "cannot make %s private", f->database);
	f->device = st.st_dev;
	f->inode = st.st_ino;
	/* The file must be there for good before a seal key is: see check_complete(). */
	return fsync(f->folder_fd) < 0 ? fault_errno(errno, "cannot sync folder %s", f->path) : NULL;
}

static bool is_in_place(const struct store_folder *f, const char *name, ino_t inode)
{
	struct stat st;
	return fstatat(f->folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_dev == f->device &&
	       st.st_ino == inode;
}

void store_folder_note_log(struct store_folder *f)
{
	struct stat st;
	f->log_inode = fstatat(f->folder_fd, "leafcast.db-wal", &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_ino : 0;
}

struct fault *store_folder_check_database(const struct store_folder *f)
{
	bool is_there = is_in_place(f, "leafcast.db", f->inode);
	if (is_there && (!f->log_inode || is_in_place(f, "leafcast.db-wal", f->log_inode)))
		return NULL;
	return fault_set_retryable(fault_new(FAULT_UNAVAILABLE,
					   "%s%s was removed or replaced while it is in use: nothing is written to it. "
					   "Take a copy of what is "
					   "still held (leafcast backup FILE), stop leafcast, and restore that",
					   f->database, is_there ? "-wal" : ""),
		-1);
}

/* One name for the database and its log, that nothing in the folder has yet. */
static void pick_name(const struct store_folder *f, int64_t now_ms, char *ret, size_t size)
{
	struct tm tm;
	char when[32];
	time_t s = (time_t)(now_ms / MS_PER_S);
	(void)strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", gmtime_r(&s, &tm));
	for (int i = 0; i < 1000; i++) {
		struct stat st;
		(void)snprintf(ret, size, i ? "leafcast.db.damaged-%s.%d" : "leafcast.db.damaged-%s", when, i);
		if (fstatat(f->folder_fd, ret, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return;
	}
}

struct fault *store_folder_set_aside(struct store_folder *f, const struct clock *clock, struct fault *why)
{
	/* The database goes first: without its log it would pass for a sound but older one. */
	static const char *const suffixes[] = {"", "-wal", "-journal"};
	char name[64];
	pick_name(f, clock_wall_ms(clock), name, sizeof name);
	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		AUTO(mem_freep) char *from = mem_printf("leafcast.db%s", suffixes[i]);
		AUTO(mem_freep) char *to = mem_printf("%s%s", name, suffixes[i]);
		if (renameat2(f->folder_fd, from, f->folder_fd, to, RENAME_NOREPLACE) == 0 || (i && errno == ENOENT))
			continue;
		return fault_wrap(why,
			"%s is damaged, and could not be set aside as %s (%s); nothing was changed in it", f->database,
			to, strerrordesc_np(errno));
	}
	(void)fsync(f->folder_fd);
	return fault_wrap(why,
		"%s is damaged and was set aside, unchanged, as %s. Put a backup in its place (0600), or move "
		"the whole folder away to start anew with a new root",
		f->database, name);
}

void store_folder_close(struct store_folder *f)
{
	if (!f)
		return;
	close_fdp(&f->lock_fd); /* with it goes the lock */
	close_fdp(&f->folder_fd);
	free(f->path);
	free(f->database);
	free(f->seal_key);
	free(f);
}

void store_folder_closep(struct store_folder **f)
{
	store_folder_close(*f);
	*f = NULL;
}
