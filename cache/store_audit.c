#include "cache/store_audit.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "cache/seal.h"
#include "cache/store_db.h"
#include "cache/store_keys.h"
#include "cache/store_sql.h"

#define HEAD_BLOB "audit/head"

/* --- the head --- */

static void write_head(const struct audit_head *h, struct buf *ret)
{
	char base[AUDIT_HASH_HEX], last[AUDIT_HASH_HEX];
	audit_hash_hex(&h->base_hash, base);
	audit_hash_hex(&h->hash, last);
	buf_printf(ret, "1 %" PRId64 " %s %" PRId64 " %s %" PRId64, h->base_seq, base, h->seq, last, h->broken_at);
}

static bool read_head(const char *text, struct audit_head *ret)
{
	char base[AUDIT_HASH_HEX], last[AUDIT_HASH_HEX];
	return sscanf(text, "1 %" SCNd64 " %64s %" SCNd64 " %64s %" SCNd64, &ret->base_seq, base, &ret->seq, last,
		       &ret->broken_at) == 5 &&
	       audit_hash_parse(base, &ret->base_hash) && audit_hash_parse(last, &ret->hash);
}

struct fault *store_audit_save(struct store_db *db)
{
	struct buf text = BUF_INIT, identity = BUF_INIT, sealed = BUF_INIT;
	sqlite3_stmt *st = db->statements[STATEMENT_PUT_BLOB];
	write_head(&db->audit, &text);
	store_blob_identity(HEAD_BLOB, &identity);
	struct fault *f =
		seal_encrypt(store_keys_newest(db->keys), identity.data, identity.len, text.data, text.len, &sealed);
	if (!f)
		f = store_sql_bind_text(st, 1, HEAD_BLOB);
	if (!f)
		f = store_sql_bind_int(st, 2, store_keys_newest_id(db->keys));
	if (!f)
		f = store_sql_bind_bytes(st, 3, sealed.data, sealed.len);
	if (!f)
		f = store_sql_finish(st);
	store_sql_reset(st);
	buf_free(&text);
	buf_free(&identity);
	buf_free(&sealed);
	return f;
}

static struct fault *load_head(struct store_db *db, bool *ret_found)
{
	AUTO(secret_freep) struct secret *bytes = NULL;
	TRY(store_db_read_blob(db, HEAD_BLOB, &bytes));
	*ret_found = bytes != NULL;
	if (bytes && !read_head((const char *)secret_bytes(bytes, NULL), &db->audit))
		return fault_new(FAULT_CORRUPT, "its content is unknown");
	return NULL;
}

/* --- records --- */

/* Numbers beyond are not ours: the trail would have no next one. */
#define SEQ_MAX (INT64_MAX / 2)

/* The hash of a record, or all zeros where it has none (written before there was a chain). False: no such record. */
static struct fault *find_hash(struct store_db *db, int64_t seq, bool *ret_found, struct audit_hash *ret)
{
	sqlite3_stmt *st = db->statements[STATEMENT_AUDIT_HASH];
	memset(ret, 0, sizeof *ret);
	struct fault *f = store_sql_bind_int(st, 1, seq);
	if (!f)
		f = store_sql_step(st, ret_found);
	if (!f && *ret_found && sqlite3_column_bytes(st, 0) == AUDIT_HASH_LEN)
		memcpy(ret->bytes, sqlite3_column_blob(st, 0), AUDIT_HASH_LEN);
	store_sql_reset(st);
	return f;
}

/* Whether the records in the table end as the head says. */
static struct fault *ends_with_head(struct store_db *db, int64_t newest, bool *ret)
{
	struct audit_hash hash;
	bool found;
	if (db->audit.seq == db->audit.base_seq) { /* it says that there is none */
		*ret = newest <= db->audit.base_seq;
		return NULL;
	}
	TRY(find_hash(db, db->audit.seq, &found, &hash));
	*ret = found && newest == db->audit.seq && audit_hash_equal(&hash, &db->audit.hash);
	return NULL;
}

/* After a break: what stands there is kept, unchained, and the head says so. */
static void begin_after(struct store_db *db, int64_t newest, int64_t broken_at)
{
	int64_t last = newest > db->audit.seq ? newest : db->audit.seq;
	db->audit = (struct audit_head){.base_seq = last, .seq = last, .broken_at = broken_at};
}

struct fault *store_audit_open(struct store_db *db)
{
	int64_t newest, chained;
	bool found = false, holds = false;
	AUTO(mem_freep) char *sql = mem_printf("SELECT ifnull(max(seq), 0) FROM audit WHERE seq <= %" PRId64, SEQ_MAX);
	TRY(store_sql_int(db->sql, sql, &newest));
	TRY(store_sql_int(
		db->sql, "SELECT count(*) FROM (SELECT 1 FROM audit WHERE hash IS NOT NULL LIMIT 1)", &chained));
	struct fault *f = load_head(db, &found);
	if (f && fault_code(f) != FAULT_CORRUPT)
		return f;
	if (!f && !found && !chained) { /* new, or from before there was a chain */
		begin_after(db, newest, 0);
		return NULL;
	}
	if (!f && found)
		TRY(ends_with_head(db, newest, &holds));
	if (holds)
		return NULL;
	if (!f)
		f = found ? fault_new(FAULT_CORRUPT, "it does not end with record %" PRId64 " as that was written",
				    db->audit.seq)
			  : fault_new(FAULT_CORRUPT, "its sealed head is gone");
	int64_t at = db->audit.broken_at ? db->audit.broken_at : found ? db->audit.seq : newest;
	log_event(LOG_ERROR, "audit.broken", LI("seq", at), LF(f));
	fault_ignore(f, "told, and kept in the head; it must not keep certificates from being renewed");
	begin_after(db, newest, at ? at : 1);
	return NULL;
}

static struct fault *trim(struct store_db *db)
{
	int64_t base = db->audit.seq - (db->audit_max ? db->audit_max : STORE_AUDIT_MAX);
	sqlite3_stmt *st = db->statements[STATEMENT_TRIM_AUDIT];
	bool found;
	if (base <= 0)
		return NULL;
	if (base > db->audit.base_seq) {
		TRY(find_hash(db, base, &found, &db->audit.base_hash));
		db->audit.base_seq = base;
	}
	TRY(store_sql_bind_int(st, 1, base));
	return store_sql_finish(st);
}

struct fault *store_audit_add(struct store_db *db, int64_t at_ms, const char *event, const char *detail)
{
	sqlite3_stmt *st = db->statements[STATEMENT_AUDIT];
	const struct audit_record r = {db->audit.seq + 1, at_ms, event, detail, {{0}}};
	const struct audit_hash hash = audit_chain_next(&db->audit.hash, &r);
	TRY(store_sql_bind_int(st, 1, r.seq));
	TRY(store_sql_bind_int(st, 2, at_ms));
	TRY(store_sql_bind_text(st, 3, event));
	TRY(store_sql_bind_text(st, 4, detail));
	TRY(store_sql_bind_bytes(st, 5, hash.bytes, sizeof hash.bytes));
	TRY(store_sql_finish(st));
	db->audit.seq = r.seq;
	db->audit.hash = hash;
	return trim(db);
}

static void read_record(sqlite3_stmt *st, struct audit_record *r)
{
	*r = (struct audit_record){.seq = sqlite3_column_int64(st, 0), .at_ms = sqlite3_column_int64(st, 1)};
	const char *event = (const char *)sqlite3_column_text(st, 2);
	r->event = mem_strdup(event ? event : "");
	r->detail = mem_strdup((const char *)sqlite3_column_text(st, 3));
	if (sqlite3_column_bytes(st, 4) == AUDIT_HASH_LEN)
		memcpy(r->hash.bytes, sqlite3_column_blob(st, 4), AUDIT_HASH_LEN);
}

struct fault *store_audit_page(struct store_db *db, int64_t after, size_t limit, struct store_audit_page *ret)
{
	sqlite3_stmt *st = db->statements[STATEMENT_AUDIT_PAGE];
	bool row = false;
	*ret = (struct store_audit_page){
		.head = db->audit, .records = mem_array(struct audit_record, limit ? limit : 1)};
	struct fault *f = store_sql_bind_int(st, 1, after);
	if (!f)
		f = store_sql_bind_int(st, 2, (int64_t)limit);
	while (!f && !(f = store_sql_step(st, &row)) && row)
		read_record(st, &ret->records[ret->count++]);
	store_sql_reset(st);
	if (f)
		store_audit_page_done(ret);
	return f;
}

void store_audit_page_done(struct store_audit_page *p)
{
	for (size_t i = 0; i < p->count; i++) {
		free((void *)(uintptr_t)p->records[i].event);
		free((void *)(uintptr_t)p->records[i].detail);
	}
	free(p->records);
	*p = (struct store_audit_page){.count = 0};
}
