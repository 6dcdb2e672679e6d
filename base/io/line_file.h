/* base/io/line_file.h - a file of lines that only grows, each of them begun alike: opened for each write, so that
 * whoever renames it away gets a new one in its place. Blocking: in a job. Not its duty: what the lines say. Thread:
 * any, one at a time for one path. */
#ifndef BASE_IO_LINE_FILE_H
#define BASE_IO_LINE_FILE_H
#include "base/attr.h"
#include "base/buf.h"
struct fault;

/** Longest line, in bytes. */
#define LINE_FILE_LINE_MAX ((size_t)1024 * 1024)

/** Open for line_file_append(); made with mode 0600 where it is missing (never through a link). *ret_last: its last
 * whole line without the newline, empty where there is none; a line that was cut off behind it (a crash, a full disk)
 * is taken away, where it begins as ours do. INVALID: no regular file, another user's, one with several names, one that
 * others can write, or one that ends with what is no line of ours (it is left alone). UNAVAILABLE and others: by errno.
 * *ret_fd: the caller's. */
MUST_USE struct fault *line_file_open(const char *path, const char *begin, int *ret_fd, struct buf *ret_last);
/** Whole or not at all, as far as the disk lets us, and durable. bytes: whole lines. */
MUST_USE struct fault *line_file_append(int fd, const char *path, const void *bytes, size_t len);
#endif
