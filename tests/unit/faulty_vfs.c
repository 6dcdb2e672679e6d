#include "faulty_vfs.h"
#include <sqlite3.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/mem.h"

static struct {
	sqlite3_vfs vfs, *real;
	atomic_int what;
	atomic_long nth, count;
} faulty;

struct faulty_file {
	sqlite3_file base;
	sqlite3_file *real; /* behind this struct */
};

static sqlite3_file *real_of(sqlite3_file *f)
{
	return ((struct faulty_file *)f)->real;
}

/* What becomes of the next operation. SQLITE_OK: it is done. */
static int meet_fate(
	sqlite3_file *write_file, const void *bytes, int len, sqlite3_int64 at, int full_code, int error_code)
{
	long n = atomic_fetch_add(&faulty.count, 1) + 1, nth = atomic_load(&faulty.nth);
	int what = atomic_load(&faulty.what);
	if (what == FAULTY_NONE || n < nth || (what != FAULTY_FULL && n > nth))
		return SQLITE_OK;
	if (what == FAULTY_FULL)
		return full_code;
	if (what != FAULTY_EXIT && write_file)
		(void)write_file->pMethods->xWrite(write_file, bytes, len / 2, at);
	if (what == FAULTY_IOERR)
		return error_code;
	(void)syscall(SYS_exit_group, FAULTY_EXIT_CODE); /* a sanitizer's _exit() would linger for a second */
	return error_code;
}

static int file_close(sqlite3_file *f)
{
	return real_of(f)->pMethods->xClose(real_of(f));
}
static int file_read(sqlite3_file *f, void *to, int len, sqlite3_int64 at)
{
	return real_of(f)->pMethods->xRead(real_of(f), to, len, at);
}
static int file_write(sqlite3_file *f, const void *bytes, int len, sqlite3_int64 at)
{
	int rc = meet_fate(real_of(f), bytes, len, at, SQLITE_FULL, SQLITE_IOERR_WRITE);
	return rc ? rc : real_of(f)->pMethods->xWrite(real_of(f), bytes, len, at);
}
static int file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	int rc = meet_fate(NULL, NULL, 0, 0, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_TRUNCATE);
	return rc ? rc : real_of(f)->pMethods->xTruncate(real_of(f), size);
}
static int file_sync(sqlite3_file *f, int flags)
{
	int rc = meet_fate(NULL, NULL, 0, 0, SQLITE_IOERR_FSYNC, SQLITE_IOERR_FSYNC);
	return rc ? rc : real_of(f)->pMethods->xSync(real_of(f), flags);
}
static int file_size(sqlite3_file *f, sqlite3_int64 *ret)
{
	return real_of(f)->pMethods->xFileSize(real_of(f), ret);
}
static int file_lock(sqlite3_file *f, int level)
{
	return real_of(f)->pMethods->xLock(real_of(f), level);
}
static int file_unlock(sqlite3_file *f, int level)
{
	return real_of(f)->pMethods->xUnlock(real_of(f), level);
}
static int file_check_lock(sqlite3_file *f, int *ret)
{
	return real_of(f)->pMethods->xCheckReservedLock(real_of(f), ret);
}
static int file_control(sqlite3_file *f, int op, void *arg)
{
	return real_of(f)->pMethods->xFileControl(real_of(f), op, arg);
}
static int file_sector(sqlite3_file *f)
{
	return real_of(f)->pMethods->xSectorSize(real_of(f));
}
static int file_traits(sqlite3_file *f)
{
	return real_of(f)->pMethods->xDeviceCharacteristics(real_of(f));
}

/* Version 1: no shared memory and no mmap, neither of which an exclusive connection with a log needs. */
static const sqlite3_io_methods METHODS = {
	.iVersion = 1,
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_sync,
	.xFileSize = file_size,
	.xLock = file_lock,
	.xUnlock = file_unlock,
	.xCheckReservedLock = file_check_lock,
	.xFileControl = file_control,
	.xSectorSize = file_sector,
	.xDeviceCharacteristics = file_traits,
};

static int vfs_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
	struct faulty_file *file = (struct faulty_file *)f;
	(void)vfs;
	file->base.pMethods = NULL;
	file->real = (sqlite3_file *)(void *)((char *)f + sizeof *file);
	if (flags & SQLITE_OPEN_CREATE) {
		int rc = meet_fate(NULL, NULL, 0, 0, SQLITE_CANTOPEN, SQLITE_CANTOPEN);
		if (rc)
			return rc;
	}
	int rc = faulty.real->xOpen(faulty.real, name, file->real, flags, ret_flags);
	if (file->real->pMethods)
		file->base.pMethods = &METHODS;
	return rc;
}

static int vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
	(void)vfs;
	int rc = meet_fate(NULL, NULL, 0, 0, SQLITE_IOERR_DELETE, SQLITE_IOERR_DELETE);
	return rc ? rc : faulty.real->xDelete(faulty.real, name, sync_folder);
}

void faulty_vfs_register(void)
{
	faulty.real = sqlite3_vfs_find(NULL);
	faulty.vfs = *faulty.real; /* the rest of it works on the real one's own data, which is copied with it */
	faulty.vfs.pNext = NULL;
	faulty.vfs.zName = "faulty";
	faulty.vfs.szOsFile = (int)sizeof(struct faulty_file) + faulty.real->szOsFile;
	faulty.vfs.xOpen = vfs_open;
	faulty.vfs.xDelete = vfs_delete;
	invariant(sqlite3_vfs_register(&faulty.vfs, 1) == SQLITE_OK);
}

void faulty_vfs_arm(enum faulty what, long nth)
{
	atomic_store(&faulty.what, FAULTY_NONE);
	atomic_store(&faulty.count, 0);
	atomic_store(&faulty.nth, nth);
	atomic_store(&faulty.what, (int)what);
}

long faulty_vfs_count(void)
{
	return atomic_load(&faulty.count);
}
