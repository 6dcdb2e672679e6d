/* base/io/systemd.h - readiness notification and socket activation, where the service manager offers them.
 * Thread: control. */
#ifndef BASE_IO_SYSTEMD_H
#define BASE_IO_SYSTEMD_H
#include <stddef.h>
#include "base/attr.h"
struct fault;

/** "READY=1", "STOPPING=1", "RELOADING=1", "STATUS=..."; nothing without $NOTIFY_SOCKET. */
void systemd_notify(const char *state);
/** RELOADING=1 with the time stamp that it needs. */
void systemd_notify_reloading(void);

struct systemd_socket {
	int fd;	    /* listening, close-on-exec; the caller's to close */
	char *name; /* FileDescriptorName=, "unknown" without one */
	char *path; /* of a unix socket, NULL for others */
};
enum { SYSTEMD_SOCKETS_MAX = 16 };
/** Sockets that were handed down; the variables that tell of them are cleared. INVALID: one that does not listen, or is
 * no stream socket; more than SYSTEMD_SOCKETS_MAX. The caller owns names and paths. */
MUST_USE struct fault *systemd_sockets(struct systemd_socket ret[SYSTEMD_SOCKETS_MAX], size_t *ret_count);
#endif
