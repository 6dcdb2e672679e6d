/* base/io/accept.h - one thread that accepts on unix sockets, takes SO_PEERCRED, and deals each connection to the
 * worker that has the fewest. What was proven is kept under the descriptor's number and inode, so that a number that
 * was used again is never taken for the connection that had it before. Thread: control makes and ends it;
 * accept_evidence() any. */
#ifndef BASE_IO_ACCEPT_H
#define BASE_IO_ACCEPT_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/attr.h"
#include "base/io/evidence.h"
struct acceptor;
struct fault;
struct pulse;

enum accept_refusal {
	ACCEPT_NO_ROOM,		 /* for anybody, or for a uid that has its share; or no descriptor is left */
	ACCEPT_UID_HAS_TOO_MANY, /* per_uid_max */
	ACCEPT_TOO_FAST,	 /* per_uid_per_second */
	ACCEPT_KEPT_OUT,	 /* what it did kept a worker from everybody else (accept_watch.c) */
	ACCEPT_REFUSALS
};
struct accept_options {
	unsigned workers;
	/** Serve fd (taken) on this worker. Thread: the acceptor's. */
	void (*add)(void *arg, unsigned worker, int fd);
	/** A connection was hung up on, and that was logged (with its uid, and not too often). Thread: the acceptor's,
	 * or the one that called accept_keep_out(). */
	void (*refused)(void *arg, enum accept_refusal why);
	void *arg;
	struct pulse *pulses;	/* one a worker, borrowed; NULL: none is watched */
	size_t connections_max; /* lowered to what the limit of open files leaves room for */
	size_t per_uid_max;
	int per_uid_per_second; /* new ones; many times as many at once */
};

/** Starts the thread; it listens on nothing yet. The caller owns *ret. */
MUST_USE struct fault *accept_new(const struct accept_options *o, struct acceptor **ret);
/** Accept on this listening unix socket too. Takes fd. */
MUST_USE struct fault *accept_listen(struct acceptor *a, int fd);
/** The evidence of the connection that has this descriptor now; ret_serial is unique to the connection. False: unknown,
 * or the descriptor is another file by now. */
bool accept_evidence(struct acceptor *a, int fd, struct evidence *ret, uint64_t *ret_serial);
/** This connection does harm: hang up on it and the others of its process, say so with this reason, and let its uid
 * open no other one for a while, longer each time. What its uid's other processes have stays. Thread: any. */
void accept_keep_out(struct acceptor *a, int fd, uint64_t serial, uid_t uid, const char *reason);
/** gRPC listens on this TCP port: cut off whoever keeps a worker captive there. At most 16 are looked after. */
void accept_watch_tcp(struct acceptor *a, int port);
/** Reset the connection on such a port that came from this address, as grpc_call_get_peer() writes it. False: it has
 * gone. Looks at all descriptors of the process. Thread: any. */
bool accept_cut_off_tcp(struct acceptor *a, const char *peer);
/** Open connections, at most 1 s ago. */
size_t accept_count(struct acceptor *a);
/** No more connections: closes the listening sockets and ends the thread. What was proven is kept until accept_free().
 */
void accept_stop(struct acceptor *a);
void accept_free(struct acceptor *a); /* stops first; NULL is fine */
#endif
