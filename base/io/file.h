/* base/io/file.h - bounded file reads and durable private writes. Blocking: at start, in the CLI, or in a job. */
#ifndef BASE_IO_FILE_H
#define BASE_IO_FILE_H
#include <stddef.h>
#include <sys/types.h>
#include "base/attr.h"
#include "base/buf.h"
struct fault;

/** Read a whole regular file of at most max bytes, appended to *ret (wiped buffers stay wiped).
 *  Faults: NOT_FOUND, DENIED, INVALID (not a regular file, too large). */
MUST_USE struct fault *file_read(const char *path, size_t max, struct buf *ret);
/** As file_read(), for a file that holds a key: INVALID unless it belongs to root or our own uid and its mode has none
 * of the bits of forbidden (0077: nobody else may even read it). The file that was judged is the one that is read. */
MUST_USE struct fault *file_read_private(const char *path, size_t max, mode_t forbidden, struct buf *ret);
/** Replace path by these bytes: temporary file beside it with this mode, fsync, rename, fsync of the folder. */
MUST_USE struct fault *file_write(const char *path, mode_t mode, const void *bytes, size_t len);
/** As file_write(), but CONFLICT when path exists. */
MUST_USE struct fault *file_create(const char *path, mode_t mode, const void *bytes, size_t len);
/** Write them all, whatever write(2) takes at once; nothing is synced. path: for the message. */
MUST_USE struct fault *file_write_all(int fd, const char *path, const void *bytes, size_t len);
/** Rename within one folder, replacing what is there, and sync the folder. */
MUST_USE struct fault *file_rename(const char *from, const char *to);
/** Make the folder and what is missing above it, 0700 each. An existing folder is left as it is. */
MUST_USE struct fault *file_make_folder(const char *path);
/** INVALID when others than root and our own uid can write in the folder itself. */
MUST_USE struct fault *file_check_private_folder(const char *path);
#endif
