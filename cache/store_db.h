/* cache/store_db.h - inside of the embedded store: the SQLite connection, its prepared statements and the open seal.
 * Opened and read on the control loop (store_sqlite.c, store_load.c), then written by the store's thread alone
 * (store_apply.c). */
#ifndef CACHE_STORE_DB_H
#define CACHE_STORE_DB_H
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/attr.h"
#include "cache/store.h"
struct clock;
struct fault;
struct mail;
struct secret;
struct store_blobs;
struct store_folder;
struct store_keys;

/** Oldest audit records leave when there are more. */
#define STORE_AUDIT_MAX INT64_C(1000000)

enum store_statement {
	STATEMENT_BEGIN,
	STATEMENT_COMMIT,
	STATEMENT_SAVEPOINT,
	STATEMENT_RELEASE,
	STATEMENT_ROLLBACK_TO,
	STATEMENT_PUT_VERSION,
	STATEMENT_DROP_VERSION,
	STATEMENT_DROP_ENTRY,
	STATEMENT_PUT_BLOB,
	STATEMENT_PUT_FACT,
	STATEMENT_DROP_FACT,
	STATEMENT_AUDIT,
	STATEMENT_TRIM_AUDIT,
	STATEMENT_AUDIT_HASH,
	STATEMENT_AUDIT_PAGE,
	STATEMENT_COMPLETE,
	STATEMENT_PUT_QUARANTINE,
	STATEMENT_DROP_QUARANTINE,
	STATEMENT_DROP_ENTRY_QUARANTINE,
	STATEMENT_VERSIONS,
	STATEMENT_VERSION,
	STATEMENT_RESEAL_VERSION,
	STATEMENT_BLOBS,
	STATEMENT_BLOB,
	STATEMENT_FACTS,
	STATEMENT_QUARANTINES,
	STATEMENT_USAGE,
	STATEMENTS,
};

struct store_db {
	sqlite3 *sql;
	struct store_folder *folder;
	sqlite3_stmt *statements[STATEMENTS];
	struct store_keys *keys;
	struct audit_head audit; /* of the trail, with what this transaction has added */
	int64_t audit_max;	 /* for tests; 0: STORE_AUDIT_MAX */
	bool is_complete;	 /* the first start is */
	bool scrub_due;		 /* the log may still hold what was dropped */
};

/** As store_open() says; thread-less. The caller owns *ret: store_db_close(). */
MUST_USE struct fault *store_db_open(const struct store_options *o, const struct clock *clock, struct store_db **ret);
/** NULL and half-opened ones are fine. */
void store_db_close(struct store_db *db);
void store_db_closep(struct store_db **db);

MUST_USE struct fault *store_db_load(struct store_db *db, const struct store_visitor *visitor);
/** Every blob into ret; one that cannot be read goes there as damaged. */
MUST_USE struct fault *store_db_load_blobs(struct store_db *db, struct store_blobs *ret);

/** One version as it stands in the database. NOT_FOUND, CORRUPT. The caller owns *ret. */
MUST_USE struct fault *store_db_read_version(
	struct store_db *db, struct entry_key *entry, const char *id, struct version **ret);
/** One blob as it stands in the database, or *ret = NULL. The caller owns it. */
MUST_USE struct fault *store_db_read_blob(struct store_db *db, const char *name, struct secret **ret);

/** One transaction for all of these (struct store_tx by mail.next). Each leaves with its fault, or NULL: it is durable.
 */
void store_db_apply(struct store_db *db, struct mail *batch);
/** Empty the log, so that what was dropped is gone from the disk. Tried again next time when it cannot be done. */
void store_db_scrub(struct store_db *db);

MUST_USE struct fault *store_db_usage(struct store_db *db, struct store_usage *ret);

/** The identity under which a version's key is sealed: every column but seq and put_at_ms. Records from before schema
 * version 3 have no description, and another identity for that. */
struct store_version_row {
	const void *entry;
	size_t entry_len;
	const char *id;
	int64_t kind;
	const char *authority, *profile; /* may be NULL */
	int64_t received_at_ms;
	const void *public; /* PEM: chain or anchors */
	size_t public_len;
	const void *description; /* description_write(); NULL: none */
	size_t description_len;
};
struct buf;
void store_version_identity(const struct store_version_row *r, struct buf *ret);
/** And of a blob. */
void store_blob_identity(const char *name, struct buf *ret);

/** One record as STORE_RECORD_COLUMNS select it; borrowed from the statement. */
#define STORE_RECORD_COLUMNS                                                                                           \
	"entry, id, kind, authority, profile, received_at_ms, public, seal_key, sealed, description, put_at_ms"
enum { STORE_RECORD_COLUMN_COUNT = 11 };
struct entry_key;
struct version;
struct store_record {
	struct store_version_row row;
	int64_t seal_id, put_at_ms;
	const void *sealed;
	size_t sealed_len;
};
void store_record_read(sqlite3_stmt *st, struct store_record *ret);
/** Its id for people, escaped and bounded, whatever stands there. The caller owns it. */
char *store_record_id_text(const struct store_record *r);
/** CORRUPT: the seal does not vouch for it, under an entry that names it. The caller owns *ret. */
MUST_USE struct fault *store_record_open(struct store_db *db, const struct store_record *r, struct version **ret);
/** Seal the same again under the newest data key, with its description. v: what store_record_open() gave. */
MUST_USE struct fault *store_record_reseal(struct store_db *db, int64_t seq, struct version *v);
MUST_USE struct fault *store_blob_unseal(
	struct store_db *db, const char *name, int64_t seal_id, const void *sealed, size_t len, struct secret **ret);
MUST_USE struct fault *store_blob_put(struct store_db *db, const char *name, const struct secret *bytes);
#endif
