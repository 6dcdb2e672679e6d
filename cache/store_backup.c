/* cache/store_backup.c - the task that copies the database while it is written: SQLite's backup carries over what is
 * committed meanwhile, since both go through one connection. The copy loses its name before anybody reads it, so that a
 * crash leaves at most one file, which the next backup replaces. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/crash_point.h"
#include "base/fault.h"
#include "base/mem.h"
#include "cache/store_db.h"
#include "cache/store_folder.h"
#include "cache/store_sql.h"
#include "cache/store_task.h"

/* 1 MiB: some milliseconds, which is what a commit may have to wait. */
enum { PAGES_PER_STEP = 256 };

struct backup {
	struct store_task task;
	char *path;
	sqlite3 *copy;
	sqlite3_backup *run;
	int fd;
	int64_t bytes;
	void (*done)(void *arg, struct fault *f, int fd, int64_t bytes);
	void *arg;
};

/* 0600 before anything is in it. */
static struct fault *create(const char *path)
{
	(void)unlink(path);
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fault_errno(errno, "cannot create %s", path);
	(void)close(fd);
	return NULL;
}

static struct fault *begin(struct backup *b, struct store_db *db)
{
	b->path = mem_printf("%s/" STORE_FOLDER_COPY, store_folder_path(db->folder));
	TRY(create(b->path));
	if (sqlite3_open_v2(b->path, &b->copy, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
		    NULL) != SQLITE_OK)
		return store_sql_fault(b->copy, "cannot open the copy");
	TRY(store_sql_run(b->copy, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF"));
	b->run = sqlite3_backup_init(b->copy, "main", db->sql, "main");
	return b->run ? NULL : store_sql_fault(b->copy, "cannot begin the copy");
}

static struct fault *copy_some(struct backup *b, bool *ret_whole)
{
	int rc = sqlite3_backup_step(b->run, PAGES_PER_STEP);
	*ret_whole = rc == SQLITE_DONE;
	if (rc == SQLITE_OK || rc == SQLITE_DONE)
		return NULL;
	(void)sqlite3_backup_finish(b->run); /* says the same again, through the copy */
	b->run = NULL;
	return store_sql_fault(b->copy, "cannot copy the database");
}

static void end_copy(struct backup *b)
{
	if (b->run)
		(void)sqlite3_backup_finish(b->run);
	(void)sqlite3_close(b->copy);
	b->run = NULL;
	b->copy = NULL;
}

static struct fault *open_whole(struct backup *b)
{
	struct stat st;
	end_copy(b);
	b->fd = open(b->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (b->fd < 0 || fstat(b->fd, &st) < 0)
		return fault_errno(errno, "cannot open %s", b->path);
	b->bytes = st.st_size;
	return NULL;
}

static struct fault *advance(struct backup *b, struct store_db *db, bool *ret_whole)
{
	if (!b->run)
		TRY(begin(b, db));
	TRY(copy_some(b, ret_whole));
	crash_point("backup.copied");
	return *ret_whole ? open_whole(b) : NULL;
}

static bool step(struct store_task *t, struct store_db *db, bool stopping)
{
	struct backup *b = container_of(t, struct backup, task);
	bool whole = false;
	t->fault = stopping ? store_task_stopped() : advance(b, db, &whole);
	if (!t->fault && !whole)
		return false;
	end_copy(b);
	if (b->path)
		(void)unlink(b->path);
	if (t->fault && b->fd >= 0) {
		(void)close(b->fd);
		b->fd = -1;
	}
	return true;
}

static void ended(struct store_task *t)
{
	struct backup *b = container_of(t, struct backup, task);
	b->done(b->arg, t->fault, b->fd, b->bytes);
	free(b->path);
	free(b);
}

void store_backup(struct store *s, void (*done)(void *arg, struct fault *f, int fd, int64_t bytes), void *arg)
{
	struct backup *b = mem_new(struct backup);
	b->task.step = step;
	b->task.ended = ended;
	b->fd = -1;
	b->done = done;
	b->arg = arg;
	store_run(s, &b->task);
}
