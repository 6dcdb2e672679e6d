/* base/io/unix_socket.h - a listening unix socket that appears complete or not at all: bound under a temporary name,
 * given its owner and mode, set to listen, then renamed into place. A lock file beside it (PATH.lock, kept for ever:
 * removing one is a race) keeps two servers from stealing it from each other; what a dead server left behind is
 * replaced. Not its duty: accepting, making folders. Blocking: at start and at the end. Thread: one at a time. */
#ifndef BASE_IO_UNIX_SOCKET_H
#define BASE_IO_UNIX_SOCKET_H
#include <sys/types.h>
#include "base/attr.h"
struct fault;
struct unix_socket;

/** Longest path, in bytes: sun_path holds 107, and the temporary name is 4 longer. */
#define UNIX_SOCKET_PATH_MAX 103

struct unix_socket_options {
	const char *path;
	mode_t mode;
	uid_t owner; /* (uid_t)-1: ours */
	gid_t group; /* (gid_t)-1: ours */
};

/** Faults: INVALID (path too long; a folder in which others can write), NOT_FOUND (no such folder), CONFLICT (another
 * server holds it; the path is something else than a socket), DENIED (owner or group cannot be given). The caller owns
 * *ret. */
MUST_USE struct fault *unix_socket_open(const struct unix_socket_options *o, struct unix_socket **ret);
/** The listening descriptor (non-blocking, close-on-exec): moves to the caller, once. */
int unix_socket_take_fd(struct unix_socket *s);
/** Removes the path, if it is still ours, and lets go of the lock. Closes the descriptor unless it was taken. NULL is
 * fine. */
void unix_socket_close(struct unix_socket *s);
#endif
