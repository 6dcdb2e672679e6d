/* base/io/accept_internal.h - inside of the acceptor: shared by the files accept*.c alone. */
#ifndef BASE_IO_ACCEPT_INTERNAL_H
#define BASE_IO_ACCEPT_INTERNAL_H
#include <pthread.h>
#include <sys/types.h>
#include "base/bucket.h"
#include "base/io/accept.h"
#include "base/io/pulse.h"
#include "base/io/tcp_peers.h"
#include "base/quiet.h"
#include "base/table.h"

enum { ACCEPT_LISTENERS_MAX = 16, ACCEPT_TCP_FLOODERS_MAX = 16, ACCEPT_PEEK_BYTES = 64 * 1024 };

struct connection {
	UT_hash_handle hh; /* by fd */
	int fd;
	ino_t inode;
	unsigned worker;
	uint64_t serial;
	struct evidence evidence;
	int unread;	 /* bytes that waited when it was looked at last */
	unsigned sights; /* how often they were fewer than before, and never none */
};

/* A uid: how many connections it has, and what is held against it. Goes when there is neither. */
struct owner {
	UT_hash_handle hh;
	uid_t uid;
	size_t count;
	struct bucket opened; /* connections */
	int64_t barred_until; /* monotonic ms */
	unsigned bars;	      /* in a row; 0: nothing is held against it */
};

struct acceptor {
	struct accept_options o;
	pthread_t thread;
	int wake;			/* eventfd: a listener was added, or stop */
	int lowest_fd, next_fd, end_fd; /* the rolling range that connections are moved to */
	pthread_mutex_t lock;		/* guards all below */
	int listeners[ACCEPT_LISTENERS_MAX];
	size_t listener_count;
	struct connection *connections;
	struct owner *owners;
	size_t owner_count; /* those that have connections */
	size_t *load;	    /* connections per worker */
	uint64_t serial;
	int64_t swept; /* monotonic ms */
	bool stopping, joined;
	int tcp_ports[ACCEPT_LISTENERS_MAX];
	size_t tcp_port_count;
	struct quiet barred;
	unsigned char *peeked; /* what a peer sent, for a look */
	/* The acceptor's thread alone: */
	struct quiet exhausted, refused[ACCEPT_REFUSALS];
	struct pulse_sight *sights; /* by worker */
	bool *captives;		    /* likewise: was it, at the last look? */
	bool captive;		    /* was any? */
	int64_t watched;	    /* monotonic ms */
	struct tcp_sight *tcp_sights;
	struct tcp_flooder {
		union tcp_address host;		 /* port 0 */
		int64_t until;			 /* monotonic ms */
	} tcp_flooders[ACCEPT_TCP_FLOODERS_MAX]; /* the newest ones, in turn */
	size_t tcp_flooder_count;
};

/** Is it still what its descriptor is? Nobody else takes numbers of the range that connections are moved to. Called
 * with the lock. */
bool accept_is_open(const struct connection *c);
/** Found or made. Called with the lock. */
struct owner *accept_owner(struct acceptor *a, uid_t uid);
/** Hang up on c, where there is one, and on all of its process; say so; keep the uid out. Called with the lock. */
void accept_bar(struct acceptor *a, uid_t uid, struct connection *c, const char *reason, int64_t now);

/** Look after the workers if it is time; ms until the next time, -1: nothing to look after. Called with the lock. */
int64_t accept_watch(struct acceptor *a, int64_t now);
/** A worker is captive: is it a client on TCP? Cut it off. Called with the lock. */
void accept_tcp_look(struct acceptor *a);
void accept_tcp_forget(struct acceptor *a); /* what was seen; no worker is captive */
/** May this uid connect now? Counts as a try. Called with the lock. */
bool accept_may_open(const struct acceptor *a, struct owner *o, int64_t now, enum accept_refusal *ret_why);
/** Nothing is held against it any more. */
bool accept_is_clean(const struct owner *o, int64_t now);
#endif
