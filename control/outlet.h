/* control/outlet.h - what control tells the workers, as a struct of functions that the serving side hands down (control
 * sees no socket). Each call posts one message to each worker named and returns; messages to a worker arrive in order,
 * and seq grows with every call (design: invariants 1, 2, 3). Thread: control. */
#ifndef CONTROL_OUTLET_H
#define CONTROL_OUTLET_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
struct entry_key;
struct identity;
struct policy;
struct version;

#define OUTLET_ALL_WORKERS (-1)

/** A version that was NACKed, and by whom. All of it is borrowed for the call. */
enum { OUTLET_OLDER_MAX = 4 };
struct outlet_quarantine {
	const char *identity; /* identity_key() */
	const char *node_id;
	const struct entry_key *entry;
	const char *version_id;
	/** true: do not offer this version of the entry to this node under this identity while it holds an older valid
	 *  one. false: that is over. */
	bool on;
	/** off: it may also be offered anew on a stream that NACKed it. */
	bool forgive;
	/** on: the versions before this one, of which a stream may hold one, newest first. */
	struct outlet_older {
		char id[33];
		int64_t not_after_ms;
	} older[OUTLET_OLDER_MAX];
	size_t older_count;
	/** on: the content of the version before, to be offered to whoever held it; or NULL. */
	struct version *fallback;
};

enum absent_reason {
	ABSENT_UNKNOWN, /* no such secret */
	ABSENT_DENIED,
	ABSENT_DELETED, /* it existed: delta streams that hold it hear removed_resources once */
	ABSENT_PENDING, /* forgotten for want of anybody who holds it: who asks waits, and it is issued anew */
};

struct outlet {
	void *arg;
	/** v is the entry's current version from now on. A reference is taken per worker. */
	void (*publish)(void *arg, const struct entry_key *entry, struct version *v, uint64_t seq);
	/** The entry has nothing to serve (UNKNOWN, DELETED, PENDING: to all or to one worker), or this name is denied
	 * to this identity (DENIED; then identity and name say whose, entry may be NULL). */
	void (*absent)(void *arg, int worker, const struct entry_key *entry, const struct identity *identity,
		const char *name, enum absent_reason reason, uint64_t seq);
	/** Evaluate with this snapshot from now on; known denials are forgotten, waiting subscriptions are asked anew.
	 */
	void (*policy)(void *arg, struct policy *p, uint64_t seq);
	void (*quarantine)(void *arg, const struct outlet_quarantine *q, uint64_t seq);
	/** This version of the entry, which another one has replaced, is never to be offered again, whoever held it:
	 * its key must not be used. Every worker forgets its content. */
	void (*revoked)(void *arg, const struct entry_key *entry, const char *version_id, uint64_t seq);
	/** The worker's batch was read: it may post the next one. */
	void (*taken)(void *arg, unsigned worker);
	unsigned workers;
};
#endif
