/* cache/store.h - what outlives a restart, behind an interface that a cluster can implement later: versions (keys
 * sealed), blobs of authorities (CA keys, sealed), schedule facts, an audit trail. Embedded: one SQLite file
 * (store_sqlite.c), 0600, with a thread of its own: commands in order, one transaction per drained batch. Opening and
 * loading are synchronous and happen before the threads start; writes are asynchronous: build a transaction, hand it
 * over, hear on the control loop when it is durable. */
#ifndef CACHE_STORE_H
#define CACHE_STORE_H
#include <stdbool.h>
#include <stdint.h>
#include "base/attr.h"
#include "base/audit_chain.h"
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

/** Open or create; completions come on the loop, whose clock is clock or agrees with it. Faults: CONFLICT (another
 * process holds the folder); CORRUPT (a damaged file, which is set aside unchanged under a name that the fault tells; a
 * seal key that does not open this state); INVALID (a folder with a seal key but no database: refused rather than given
 * a new root; another program's database or that of a newer leafcast; a folder or key file that others can reach);
 * NOT_FOUND (the seal key of an existing state); UNAVAILABLE, retryable (disk full, I/O error). *ret_first_start: no
 * complete state was found; what an unfinished first start had left is gone. The caller owns *ret: store_close(). */
MUST_USE struct fault *store_open(const struct store_options *o, struct loop *loop, const struct clock *clock,
	bool *ret_first_start, struct store **ret);

/** A version that is no entry's current one. Borrowed. */
struct store_past {
	struct version *version;
	const struct entry_key *entry;
	const char *id;
	enum secret_kind kind;
	struct version_origin origin;
	int64_t not_after_ms;
};
/** Records in the order they were put (putting one again moves it to the end): version gets the latest of each entry
 * (borrowed: take a reference to keep it), past the others. What the seal vouches for is taken as it is; a record that
 * it does not vouch for is told as a fault that names its entry, and passed over: it stays where it is until its entry
 * is dropped. Facts come last. Nothing may have been committed yet. */
struct store_quarantine;
struct store_visitor {
	void *arg;
	void (*version)(void *arg, struct version *v);
	void (*past)(void *arg, const struct store_past *p);
	void (*damaged)(void *arg, struct fault *f); /* owned by the callee */
	void (*fact)(void *arg, const char *key, int64_t value);
	/** Oldest first, after the versions; borrowed for the call. NULL: not wanted. */
	void (*quarantine)(void *arg, const struct store_quarantine *q);
};
/** A version that a node NACKed (design.md, quarantine). The first four are its key. */
struct store_quarantine {
	const char *identity;	 /* identity_key() */
	const char *node;	 /* node.id, a claim */
	struct entry_key *entry; /* borrowed */
	const char *version;
	const char *who;     /* the identity for people */
	const char *held;    /* what the node held instead, "" nothing */
	const char *message; /* redacted */
	int64_t code, since_ms;
	enum store_hastens {
		STORE_HASTENS_NOT, /* what it holds outlasts the planned renewal */
		STORE_HASTENS,	   /* a renewal is brought forward for it */
		STORE_HASTENED	   /* one was, for what it holds: not again */
	} hastens;
	enum store_chance {
		STORE_CHANCE_NONE,   /* held back */
		STORE_CHANCE_GIVEN,  /* offered once more, for its neighbour had recovered: not held back now */
		STORE_CHANCE_WASTED, /* NACKed again: held back */
	} chance;
	struct entry_key *neighbour; /* borrowed: what the same node was refusing at that time, or NULL */
};
/** Bounds of what is written and read: longer texts are not ours. */
#define STORE_IDENTITY_MAX ((size_t)64 * 1024)
#define STORE_MESSAGE_MAX ((size_t)4096)
#define STORE_VERSION_ID_MAX ((size_t)32)
MUST_USE struct fault *store_load(struct store *s, const struct store_visitor *visitor);
/** A sealed blob by name, or *ret = NULL when there is none: as read at the start, or as a commit that was told since
 * left it. CORRUPT: it stands there but cannot be read, which is not the same as none. The caller owns *ret. */
MUST_USE struct fault *store_load_blob(struct store *s, const char *name, struct secret **ret);

/** Part of the audit trail. */
struct store_audit_page {
	struct audit_head head; /* as of now */
	struct audit_record *records;
	size_t count;
};
enum { STORE_AUDIT_PAGE_MAX = 1000 };
/** Records after number `after` (0: from the first that is kept), oldest first, at most limit
 * (<= STORE_AUDIT_PAGE_MAX), as committed before this call. done(arg, fault or NULL, page) runs on the loop; the fault
 * is the callee's, the page is borrowed for the call. Not after store_close(). */
void store_audit_read(struct store *s, int64_t after, size_t limit,
	void (*done)(void *arg, struct fault *f, const struct store_audit_page *page), void *arg);

/** A version of this entry, current or past, as committed before this call. Exactly one of f and v is set: f
 * (NOT_FOUND, CORRUPT) is the callee's, v is borrowed for the call. Not after store_close(). */
void store_read_version(struct store *s, struct entry_key *entry, const char *id,
	void (*done)(void *arg, struct fault *f, struct version *v), void *arg);

/** A transaction, filled on the control loop. References are taken, bytes copied. */
struct store_tx *store_tx_new(void);
void store_tx_put_version(struct store_tx *tx, struct version *v); /* becomes its entry's current one */
/** Forget this version, key included (secure_delete). */
void store_tx_drop_version(struct store_tx *tx, struct entry_key *entry, const char *version_id);
void store_tx_drop_entry(struct store_tx *tx, struct entry_key *entry);
void store_tx_put_blob(struct store_tx *tx, const char *name, const struct secret *bytes);
void store_tx_put_fact(struct store_tx *tx, const char *key, int64_t value);
void store_tx_drop_fact(struct store_tx *tx, const char *key);
/** One with the same key is replaced. */
void store_tx_put_quarantine(struct store_tx *tx, const struct store_quarantine *q);
/** By its key; an entry that is dropped takes its quarantines along. */
void store_tx_drop_quarantine(struct store_tx *tx, const struct store_quarantine *q);
/** event: a stable name; detail: compact JSON with sorted keys, without secrets. */
void store_tx_audit(struct store_tx *tx, int64_t at_ms, const char *event, const char *detail);
/** Marks the first start complete. */
void store_tx_complete_first_start(struct store_tx *tx);
bool store_tx_is_empty(const struct store_tx *tx);
void store_tx_free(struct store_tx *tx); /* one that was not committed */

/** Takes tx. done(arg, fault or NULL) runs on the loop, in commit order, once it is durable; done owns the fault. A
 * fault means that nothing of it was written. UNAVAILABLE, retryable: disk full or I/O error; EXHAUSTED, retryable: no
 * secret memory. done may be NULL: then a fault is logged. Not after store_close(). */
void store_commit(struct store *s, struct store_tx *tx, void (*done)(void *arg, struct fault *f), void *arg);
/** Commits and tasks (below) whose done has not run. */
unsigned store_pending(const struct store *s);
/** As of the last batch that was told to the loop, or of the start. */
struct store_usage {
	int64_t versions;
	int64_t database_bytes;
	int64_t log_bytes; /* the write-ahead log beside it */
};
struct store_usage store_usage(const struct store *s);
/** --- the whole of it, in steps between the commits; done runs on the loop and owns its fault --- */

/** Begin what a crash or an older leafcast left to do (records to be sealed anew), in the background, with lines in the
 * log. After store_load(). */
void store_begin_upkeep(struct store *s);
/** A new data key for every record, wrapped by a new seal key: given (copied), or NULL: the key file's, where another
 * one was put in its place, else one that is made and replaces the file. Whatever ends it early, the state opens with
 * the seal key in place, and the next start goes on. */
struct store_rotation {
	int64_t records; /* sealed anew */
	int64_t damaged; /* left alone: the seal does not vouch for them */
	bool waits;	 /* for a restart with the given key; until then the former one opens the state too */
};
void store_rotate_seal(struct store *s, const struct secret *given,
	void (*done)(void *arg, struct fault *f, const struct store_rotation *r), void *arg);
/** One at a time. A consistent copy, as a file without a name: fd is the callee's, at its beginning. What is sealed in
 * it opens with the seal key of now; the seal key is not in it. */
void store_backup(struct store *s, void (*done)(void *arg, struct fault *f, int fd, int64_t bytes), void *arg);
/** Every version that is stored, by entry, oldest first; what the seal does not vouch for has damage, and of the rest
 * only what could be read. Borrowed for the call. */
struct description;
struct store_listed {
	struct entry_key *entry; /* NULL: unreadable */
	const char *id;
	enum secret_kind kind;
	struct version_origin origin;
	int64_t put_at_ms;
	const struct description *description; /* NULL: damaged */
	const char *damage;		       /* or NULL */
};
struct store_inventory {
	const struct store_listed *versions;
	size_t count;
};
void store_list(
	struct store *s, void (*done)(void *arg, struct fault *f, const struct store_inventory *list), void *arg);
/** End those under way: UNAVAILABLE. None may begin after it. */
void store_stop_tasks(struct store *s);

/** Finish what was handed over, end the thread, close the file; closed(arg) on the loop, then s is gone. */
void store_close(struct store *s, void (*closed)(void *arg), void *arg);
#endif
