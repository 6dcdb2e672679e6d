/* cache/store_apply.c - writing: a batch of transactions as one transaction of the database. A fault of one
 * transaction's own (its bytes, its keys) takes back that one; a fault of the disk fails the whole batch, retryably.
 * Thread: store. */
#include "cache/store_db.h"
#include <string.h>
#include <sys/stat.h>
#include "base/buf.h"
#include "base/crash_point.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "cache/canonical.h"
#include "cache/description.h"
#include "cache/entry.h"
#include "cache/seal.h"
#include "cache/store_audit.h"
#include "cache/store_folder.h"
#include "cache/store_keys.h"
#include "cache/store_sql.h"
#include "cache/store_tx.h"
#include "cache/version.h"

void store_version_identity(const struct store_version_row *r, struct buf *ret)
{
	canonical_add_text(ret, r->description ? "leafcast version record 2" : "leafcast version record 1");
	canonical_add(ret, r->entry, r->entry_len);
	canonical_add_text(ret, r->id);
	canonical_add_int(ret, r->kind);
	canonical_add_text(ret, r->authority);
	canonical_add_text(ret, r->profile);
	canonical_add_int(ret, r->received_at_ms);
	canonical_add(ret, r->public, r->public_len);
	if (r->description)
		canonical_add(ret, r->description, r->description_len);
}

void store_blob_identity(const char *name, struct buf *ret)
{
	canonical_add_text(ret, "leafcast blob record 1");
	canonical_add_text(ret, name);
}

/* A bundle has nothing to hide, but its record must be as hard to forge: what is sealed is its id. */
static struct fault *seal_version(
	struct store_db *db, const struct version *v, const struct store_version_row *row, struct buf *ret)
{
	struct buf identity = BUF_INIT;
	size_t len;
	const void *bytes = version_key_pem(v, &len);
	if (!bytes) {
		bytes = row->id;
		len = strlen(row->id);
	}
	store_version_identity(row, &identity);
	struct fault *f = seal_encrypt(store_keys_newest(db->keys), identity.data, identity.len, bytes, len, ret);
	buf_free(&identity);
	return f;
}

static struct fault *insert_version(
	struct store_db *db, const struct store_version_row *r, const struct buf *sealed, int64_t put_at_ms)
{
	sqlite3_stmt *st = db->statements[STATEMENT_PUT_VERSION];
	TRY(store_sql_bind_bytes(st, 1, r->entry, r->entry_len));
	TRY(store_sql_bind_text(st, 2, r->id));
	TRY(store_sql_bind_int(st, 3, r->kind));
	TRY(store_sql_bind_text(st, 4, r->authority));
	TRY(store_sql_bind_text(st, 5, r->profile));
	TRY(store_sql_bind_int(st, 6, r->received_at_ms));
	TRY(store_sql_bind_int(st, 7, put_at_ms));
	TRY(store_sql_bind_bytes(st, 8, r->public, r->public_len));
	TRY(store_sql_bind_int(st, 9, store_keys_newest_id(db->keys)));
	TRY(store_sql_bind_bytes(st, 10, sealed->data, sealed->len));
	TRY(store_sql_bind_bytes(st, 11, r->description, r->description_len));
	return store_sql_finish(st);
}

/* As it is stored; description: what row then borrows from. */
static void describe(const struct version *v, struct buf *description, struct store_version_row *ret)
{
	description_write(version_description(v), description);
	*ret = (struct store_version_row){
		.id = version_id(v),
		.kind = version_kind(v),
		.authority = version_authority(v),
		.profile = version_profile(v),
		.received_at_ms = version_received_at_ms(v),
		.description = description->data,
		.description_len = description->len,
	};
	ret->public = version_public_pem(v, &ret->public_len);
	ret->entry = entry_key_bytes(version_entry(v), &ret->entry_len);
}

static struct fault *put_version(struct store_db *db, struct version *v, int64_t put_at_ms)
{
	struct buf description = BUF_INIT, sealed = BUF_INIT;
	struct store_version_row row;
	describe(v, &description, &row);
	struct fault *f = seal_version(db, v, &row, &sealed);
	if (!f)
		f = insert_version(db, &row, &sealed, put_at_ms);
	store_sql_reset(db->statements[STATEMENT_PUT_VERSION]); /* it borrows the buffers */
	buf_free(&description);
	buf_free(&sealed);
	return f;
}

static struct fault *update_version(
	struct store_db *db, int64_t seq, const struct store_version_row *r, const struct buf *sealed)
{
	sqlite3_stmt *st = db->statements[STATEMENT_RESEAL_VERSION];
	TRY(store_sql_bind_int(st, 1, seq));
	TRY(store_sql_bind_int(st, 2, store_keys_newest_id(db->keys)));
	TRY(store_sql_bind_bytes(st, 3, sealed->data, sealed->len));
	TRY(store_sql_bind_bytes(st, 4, r->description, r->description_len));
	return store_sql_finish(st);
}

struct fault *store_record_reseal(struct store_db *db, int64_t seq, struct version *v)
{
	struct buf description = BUF_INIT, sealed = BUF_INIT;
	struct store_version_row row;
	db->scrub_due = true; /* what was sealed under the former key */
	describe(v, &description, &row);
	struct fault *f = seal_version(db, v, &row, &sealed);
	if (!f)
		f = update_version(db, seq, &row, &sealed);
	store_sql_reset(db->statements[STATEMENT_RESEAL_VERSION]);
	buf_free(&description);
	buf_free(&sealed);
	return f;
}

static struct fault *drop(struct store_db *db, enum store_statement which, const struct store_op *op)
{
	sqlite3_stmt *st = db->statements[which];
	size_t len;
	const void *bytes = entry_key_bytes(op->entry, &len);
	db->scrub_due = true;
	TRY(store_sql_bind_bytes(st, 1, bytes, len));
	if (which == STATEMENT_DROP_VERSION)
		TRY(store_sql_bind_text(st, 2, op->text));
	return store_sql_finish(st);
}

static struct fault *drop_entry(struct store_db *db, const struct store_op *op)
{
	TRY(drop(db, STATEMENT_DROP_ENTRY_QUARANTINE, op));
	return drop(db, STATEMENT_DROP_ENTRY, op);
}

static struct fault *bind_quarantine_key(sqlite3_stmt *st, const struct store_quarantine *q)
{
	size_t len;
	const void *entry = entry_key_bytes(q->entry, &len);
	TRY(store_sql_bind_text(st, 1, q->identity));
	TRY(store_sql_bind_text(st, 2, q->node));
	TRY(store_sql_bind_bytes(st, 3, entry, len));
	return store_sql_bind_text(st, 4, q->version);
}

static struct fault *put_quarantine(struct store_db *db, const struct store_quarantine *q)
{
	sqlite3_stmt *st = db->statements[STATEMENT_PUT_QUARANTINE];
	TRY(bind_quarantine_key(st, q));
	TRY(store_sql_bind_text(st, 5, q->who));
	TRY(store_sql_bind_text(st, 6, q->held));
	TRY(store_sql_bind_int(st, 7, q->code));
	TRY(store_sql_bind_text(st, 8, q->message));
	TRY(store_sql_bind_int(st, 9, q->since_ms));
	TRY(store_sql_bind_int(st, 10, q->hastens));
	TRY(store_sql_bind_int(st, 11, q->chance));
	if (q->neighbour) {
		size_t len;
		const void *neighbour = entry_key_bytes(q->neighbour, &len);
		TRY(store_sql_bind_bytes(st, 12, neighbour, len));
	}
	return store_sql_finish(st);
}

static struct fault *drop_quarantine(struct store_db *db, const struct store_quarantine *q)
{
	sqlite3_stmt *st = db->statements[STATEMENT_DROP_QUARANTINE];
	TRY(bind_quarantine_key(st, q));
	return store_sql_finish(st);
}

static struct fault *insert_blob(struct store_db *db, const char *name, const struct buf *sealed)
{
	sqlite3_stmt *st = db->statements[STATEMENT_PUT_BLOB];
	TRY(store_sql_bind_text(st, 1, name));
	TRY(store_sql_bind_int(st, 2, store_keys_newest_id(db->keys)));
	TRY(store_sql_bind_bytes(st, 3, sealed->data, sealed->len));
	return store_sql_finish(st);
}

struct fault *store_blob_put(struct store_db *db, const char *name, const struct secret *secret)
{
	struct buf identity = BUF_INIT, sealed = BUF_INIT;
	size_t len;
	const unsigned char *bytes = secret_bytes(secret, &len);
	db->scrub_due = true; /* the bytes that it replaces */
	store_blob_identity(name, &identity);
	struct fault *f = seal_encrypt(store_keys_newest(db->keys), identity.data, identity.len, bytes, len, &sealed);
	if (!f)
		f = insert_blob(db, name, &sealed);
	store_sql_reset(db->statements[STATEMENT_PUT_BLOB]);
	buf_free(&identity);
	buf_free(&sealed);
	return f;
}

static struct fault *put_fact(struct store_db *db, const struct store_op *op)
{
	sqlite3_stmt *st = db->statements[STATEMENT_PUT_FACT];
	TRY(store_sql_bind_text(st, 1, op->text));
	TRY(store_sql_bind_int(st, 2, op->number));
	return store_sql_finish(st);
}

static struct fault *drop_fact(struct store_db *db, const struct store_op *op)
{
	sqlite3_stmt *st = db->statements[STATEMENT_DROP_FACT];
	TRY(store_sql_bind_text(st, 1, op->text));
	return store_sql_finish(st);
}

static struct fault *complete(struct store_db *db, int64_t now_ms)
{
	sqlite3_stmt *st = db->statements[STATEMENT_COMPLETE];
	TRY(store_sql_bind_int(st, 1, now_ms));
	return store_sql_finish(st);
}

static struct fault *apply_op(struct store_db *db, const struct store_tx *tx, const struct store_op *op)
{
	switch (op->type) {
	case STORE_PUT_VERSION:
		return put_version(db, op->version, tx->put_at_ms);
	case STORE_DROP_VERSION:
		return drop(db, STATEMENT_DROP_VERSION, op);
	case STORE_DROP_ENTRY:
		return drop_entry(db, op);
	case STORE_PUT_BLOB:
		return store_blob_put(db, op->text, op->bytes);
	case STORE_PUT_FACT:
		return put_fact(db, op);
	case STORE_DROP_FACT:
		return drop_fact(db, op);
	case STORE_AUDIT:
		return store_audit_add(db, op->number, op->text, op->detail);
	case STORE_COMPLETE_FIRST_START:
		return complete(db, tx->put_at_ms);
	case STORE_PUT_QUARANTINE:
		return put_quarantine(db, op->quarantine);
	case STORE_DROP_QUARANTINE:
		return drop_quarantine(db, op->quarantine);
	}
	return fault_new(FAULT_INTERNAL, "store operation %d", (int)op->type);
}

static struct fault *run(struct store_db *db, enum store_statement which)
{
	return store_sql_finish(db->statements[which]);
}

/* The fault of the disk, which fails the batch; a fault of tx's own stays in tx, and nothing of tx is left. */
static struct fault *apply_tx(struct store_db *db, struct store_tx *tx)
{
	const struct audit_head before = db->audit;
	struct fault *f = NULL;
	TRY(run(db, STATEMENT_SAVEPOINT));
	for (size_t i = 0; i < tx->count && !f; i++)
		f = apply_op(db, tx, &tx->ops[i]);
	if (!f)
		return run(db, STATEMENT_RELEASE);
	if (fault_code(f) == FAULT_UNAVAILABLE || fault_code(f) == FAULT_CORRUPT || sqlite3_get_autocommit(db->sql))
		return f;
	tx->fault = f;
	db->audit = before;
	TRY(run(db, STATEMENT_ROLLBACK_TO));
	return run(db, STATEMENT_RELEASE);
}

static struct store_tx *next_tx(struct mail *m)
{
	return m ? container_of(m, struct store_tx, mail) : NULL;
}

static struct fault *apply_all(struct store_db *db, struct mail *batch)
{
	const int64_t audited = db->audit.seq;
	TRY(run(db, STATEMENT_BEGIN));
	for (struct store_tx *tx = next_tx(batch); tx; tx = next_tx(tx->mail.next))
		if (!tx->fault)
			TRY(apply_tx(db, tx));
	if (db->audit.seq != audited)
		TRY(store_audit_save(db));
	crash_point("store.filled");
	TRY(run(db, STATEMENT_COMMIT));
	crash_point("store.committed");
	return NULL;
}

static void fail_all(struct mail *batch, struct fault *why)
{
	for (struct store_tx *tx = next_tx(batch); tx; tx = next_tx(tx->mail.next)) {
		if (tx->fault)
			continue;
		tx->fault = fault_new(fault_code(why), "store: %s", fault_text(why));
		if (fault_is_retryable(why))
			tx->fault = fault_set_retryable(tx->fault, fault_retry_after_ms(why));
	}
	fault_ignore(why, "every transaction of the batch has a copy");
}

static bool completes_first_start(struct mail *batch)
{
	for (struct store_tx *tx = next_tx(batch); tx; tx = next_tx(tx->mail.next))
		for (size_t i = 0; i < tx->count && !tx->fault; i++)
			if (tx->ops[i].type == STORE_COMPLETE_FIRST_START)
				return true;
	return false;
}

void store_db_apply(struct store_db *db, struct mail *batch)
{
	const struct audit_head before = db->audit;
	struct fault *f = store_folder_check_database(db->folder);
	if (!f)
		f = apply_all(db, batch);
	if (f) {
		db->audit = before;
		/* A COMMIT whose sync failed may still be found done after a crash right then: the version after the
		 * last published one, whole, and put again by whoever was told that it failed. */
		store_sql_rollback(db->sql);
		fail_all(batch, f);
		return;
	}
	if (db->is_complete || !completes_first_start(batch))
		return;
	db->is_complete = true;
	crash_point("start.completed");
	f = store_folder_mark(db->folder);
	if (f)
		log_event(LOG_WARN, "store.folder_not_marked", LF(f));
	fault_ignore(f, "the next start does it; the database alone tells what counts");
}

void store_db_scrub(struct store_db *db)
{
	if (db->scrub_due &&
		sqlite3_wal_checkpoint_v2(db->sql, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) == SQLITE_OK)
		db->scrub_due = false;
}

struct fault *store_db_usage(struct store_db *db, struct store_usage *ret)
{
	sqlite3_stmt *st = db->statements[STATEMENT_USAGE];
	AUTO(mem_freep) char *log = mem_printf("%s-wal", store_folder_database(db->folder));
	struct stat log_stat;
	bool row;
	struct fault *f = store_sql_step(st, &row);
	if (!f && row)
		*ret = (struct store_usage){
			.versions = sqlite3_column_int64(st, 0),
			.database_bytes = sqlite3_column_int64(st, 1),
			.log_bytes = stat(log, &log_stat) == 0 ? (int64_t)log_stat.st_size : 0,
		};
	store_sql_reset(st);
	return f;
}
