/* cache/store.h - what outlives a restart, behind an interface that a cluster can implement later: versions (keys sealed),
 * blobs of authorities (CA keys, sealed), schedule facts, an audit trail. Embedded: one SQLite file (store_sqlite.c), 0600,
 * with a thread of its own: commands in order, one transaction per drained batch.
 * Opening and loading are synchronous and happen before the threads start; writes are asynchronous: build a transaction,
 * hand it over, hear on the control loop when it is durable. */
#ifndef CACHE_STORE_H
#define CACHE_STORE_H
#include <stdbool.h>
#include <stdint.h>
#include "base/attr.h"
#include "cache/version.h"
struct clock;
struct entry_key;
struct fault;
struct loop;
struct secret;
struct store;
struct store_tx;

struct store_options {
	const char *folder;    /* made 0700 when missing; refused when others can write in it */
	const char *seal_file; /* NULL: seal.key in the folder, created at first start */
};

/** Open or create; completions come on the loop. Faults: CONFLICT (another process holds it), CORRUPT (damaged file, wrong
 *  seal key: nothing is overwritten), INVALID (a folder with a seal key but no database: refused rather than given a new
 *  root; schema of a newer leafcast). *ret_first_start: no complete state was found; an unfinished first start was begun anew.
 *  The caller owns *ret. */
MUST_USE struct fault *store_open(
	const struct store_options *o, struct loop *loop, const struct clock *clock, bool *ret_first_start, struct store **ret);

/** Versions in the order they were put; is_current: the entry's latest. v is borrowed: take a reference to keep it.
 *  A record that cannot be read back (bit flips) is reported as a fault with its entry in the text, and skipped by returning to the caller. */
struct store_visitor {
	void *arg;
	void (*version)(void *arg, struct version *v, bool is_current, int64_t put_at_ms);
	void (*damaged)(void *arg, struct fault *f);                                     /* owned by the callee */
	void (*fact)(void *arg, const char *key, int64_t value);
};
MUST_USE struct fault *store_load(struct store *s, const struct store_visitor *visitor);
/** A sealed blob by name, or *ret = NULL. Synchronous, before the threads start. The caller owns *ret. */
MUST_USE struct fault *store_load_blob(struct store *s, const char *name, struct secret **ret);

/** A transaction, filled on the control loop. References are taken, bytes copied. */
struct store_tx *store_tx_new(void);
void store_tx_put_version(struct store_tx *tx, struct version *v); /* becomes its entry's current one */
/** Forget this version, key included (secure_delete). */
void store_tx_drop_version(struct store_tx *tx, const struct entry_key *entry, const char *version_id);
void store_tx_drop_entry(struct store_tx *tx, const struct entry_key *entry);
void store_tx_put_blob(struct store_tx *tx, const char *name, const struct secret *bytes);
void store_tx_put_fact(struct store_tx *tx, const char *key, int64_t value);
/** event: a stable name; detail: JSON text without secrets. */
void store_tx_audit(struct store_tx *tx, int64_t at_ms, const char *event, const char *detail);
/** Marks the first start complete. */
void store_tx_complete_first_start(struct store_tx *tx);
void store_tx_free(struct store_tx *tx); /* one that was not committed */

/** Takes tx. done(arg, fault or NULL) runs on the loop, in commit order, once it is durable; UNAVAILABLE retryable: disk full
 *  or I/O error (nothing of it was written). done may be NULL. */
void store_commit(struct store *s, struct store_tx *tx, void (*done)(void *arg, struct fault *f), void *arg);
/** Commits whose done has not run. */
unsigned store_pending(const struct store *s);
/** Finish what was handed over, end the thread, close the file; closed(arg) on the loop, then s is gone. */
void store_close(struct store *s, void (*closed)(void *arg), void *arg);
#endif
