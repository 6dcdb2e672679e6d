/* cache/store_load.c - reading back what the store holds. Every record is judged as if a stranger had written it:
 * sizes, the seal over all of it, the gate that any version passes, and at last its id. Thread: control, before the
 * first write. */
#include "cache/store_db.h"
#include <string.h>
#include "base/anchors.h"
#include "base/buf.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/text.h"
#include "cache/entry.h"
#include "cache/seal.h"
#include "cache/store_blobs.h"
#include "cache/store_folder.h"
#include "cache/store_sql.h"

struct record {
	struct store_version_row row; /* borrowed from the statement */
	int64_t put_at_ms, seal_id;
	const void *sealed;
	size_t sealed_len;
	bool is_current;
};

static const char *text_column(sqlite3_stmt *st, int at)
{
	return (const char *)sqlite3_column_text(st, at);
}

static const void *bytes_column(sqlite3_stmt *st, int at, size_t *ret_len)
{
	const void *bytes = sqlite3_column_blob(st, at);
	*ret_len = (size_t)sqlite3_column_bytes(st, at);
	return bytes;
}

static void read_record(sqlite3_stmt *st, struct record *ret)
{
	struct store_version_row *r = &ret->row;
	r->entry = bytes_column(st, 0, &r->entry_len);
	r->id = text_column(st, 1);
	r->kind = sqlite3_column_int64(st, 2);
	r->authority = text_column(st, 3);
	r->profile = text_column(st, 4);
	r->received_at_ms = sqlite3_column_int64(st, 5);
	ret->put_at_ms = sqlite3_column_int64(st, 6);
	r->public = bytes_column(st, 7, &r->public_len);
	ret->seal_id = sqlite3_column_int64(st, 8);
	ret->sealed = bytes_column(st, 9, &ret->sealed_len);
	ret->is_current = sqlite3_column_int64(st, 10) != 0;
}

static struct fault *unseal(struct store_db *db, int64_t seal_id, const struct buf *identity, const void *sealed,
	size_t len, struct secret **ret)
{
	if (seal_id != db->seal_id)
		return fault_new(FAULT_CORRUPT, "it is sealed under an unknown data key");
	if (identity->len > SEAL_IDENTITY_MAX)
		return fault_new(FAULT_CORRUPT, "it is too large");
	return seal_decrypt(db->seal, identity->data, identity->len, sealed, len, ret);
}

static struct fault *unseal_version(struct store_db *db, const struct record *r, struct secret **ret)
{
	struct buf identity = BUF_INIT;
	store_version_identity(&r->row, &identity);
	struct fault *f = unseal(db, r->seal_id, &identity, r->sealed, r->sealed_len, ret);
	buf_free(&identity);
	return f;
}

static struct fault *make_certificate(struct entry_key *entry, const struct store_version_row *row,
	const struct version_origin *origin, const struct secret *key, struct version **ret)
{
	AUTO(credential_unrefp) struct credential *c = NULL;
	TRY(credential_from_pem(row->public, row->public_len, key, &c));
	return version_new_certificate(entry, c, origin, ret);
}

static struct fault *make_bundle(struct entry_key *entry, const struct store_version_row *row,
	const struct version_origin *origin, struct version **ret)
{
	AUTO(anchors_unrefp) struct anchors *a = NULL;
	TRY(anchors_from_pem(row->public, row->public_len, &a));
	return version_new_bundle(entry, a, origin, ret);
}

static struct fault *make_version(
	struct store_db *db, struct entry_key *entry, const struct record *r, struct version **ret)
{
	AUTO(secret_freep) struct secret *key = NULL;
	AUTO(version_unrefp) struct version *v = NULL;
	const struct version_origin origin = {r->row.authority, r->row.profile, r->row.received_at_ms};
	TRY(unseal_version(db, r, &key));
	if (r->row.kind == SECRET_TLS_CERTIFICATE)
		TRY(make_certificate(entry, &r->row, &origin, key, &v));
	else if (r->row.kind == SECRET_VALIDATION_CONTEXT)
		TRY(make_bundle(entry, &r->row, &origin, &v));
	else
		return fault_new(FAULT_CORRUPT, "it is of unknown kind %lld", (long long)r->row.kind);
	if (strcmp(version_id(v), r->row.id) != 0)
		return fault_new(FAULT_CORRUPT, "its content is now named %s", version_id(v));
	*ret = TAKE(v);
	return NULL;
}

static struct fault *read_version(struct store_db *db, const struct record *r, struct version **ret)
{
	AUTO(entry_key_unrefp) struct entry_key *entry = entry_key_from_bytes(r->row.entry, r->row.entry_len);
	if (!entry)
		return fault_new(FAULT_CORRUPT, "record of version %s: its entry cannot be read", r->row.id);
	struct fault *f = make_version(db, entry, r, ret);
	if (!f)
		return NULL;
	AUTO(mem_freep) char *name = text_escaped(entry_key_text(entry));
	return fault_wrap(f, "record of \"%s\", version %s", name, r->row.id);
}

static struct fault *load_versions(struct store_db *db, const struct store_visitor *visitor)
{
	sqlite3_stmt *st = db->statements[STATEMENT_VERSIONS];
	for (;;) {
		bool row;
		struct record r;
		AUTO(version_unrefp) struct version *v = NULL;
		TRY(store_sql_step(st, &row));
		if (!row)
			return NULL;
		read_record(st, &r);
		struct fault *f = read_version(db, &r, &v);
		if (f)
			visitor->damaged(visitor->arg, f);
		else
			visitor->version(visitor->arg, v, r.is_current, r.put_at_ms);
	}
}

static struct fault *load_facts(struct store_db *db, const struct store_visitor *visitor)
{
	sqlite3_stmt *st = db->statements[STATEMENT_FACTS];
	for (;;) {
		bool row;
		TRY(store_sql_step(st, &row));
		if (!row)
			return NULL;
		visitor->fact(visitor->arg, text_column(st, 0), sqlite3_column_int64(st, 1));
	}
}

/* A row that breaks a bound of ours was not written by us, or is damaged. */
static bool text_fits(const char *text, sqlite3_stmt *st, int at, size_t max)
{
	size_t len = (size_t)sqlite3_column_bytes(st, at);
	return text && len <= max && !memchr(text, 0, len) && text_is_utf8(text, len);
}

static struct fault *read_quarantine(sqlite3_stmt *st, const struct store_visitor *visitor)
{
	size_t entry_len, neighbour_len;
	struct store_quarantine q = {.identity = text_column(st, 0),
		.who = text_column(st, 1),
		.node = text_column(st, 2),
		.version = text_column(st, 4),
		.held = text_column(st, 5),
		.code = sqlite3_column_int64(st, 6),
		.message = text_column(st, 7),
		.since_ms = sqlite3_column_int64(st, 8)};
	const void *entry = bytes_column(st, 3, &entry_len), *neighbour = bytes_column(st, 11, &neighbour_len);
	int64_t hastens = sqlite3_column_int64(st, 9), chance = sqlite3_column_int64(st, 10);
	if (!text_fits(q.identity, st, 0, STORE_IDENTITY_MAX) || !text_fits(q.who, st, 1, STORE_IDENTITY_MAX) ||
		!text_fits(q.node, st, 2, STORE_MESSAGE_MAX) || !text_fits(q.version, st, 4, STORE_VERSION_ID_MAX) ||
		!text_fits(q.held, st, 5, STORE_VERSION_ID_MAX) || !text_fits(q.message, st, 7, STORE_MESSAGE_MAX) ||
		hastens < STORE_HASTENS_NOT || hastens > STORE_HASTENED || chance < STORE_CHANCE_NONE ||
		chance > STORE_CHANCE_WASTED)
		return fault_new(FAULT_CORRUPT, "a record of the quarantine cannot be read");
	q.hastens = (enum store_hastens)hastens;
	q.chance = (enum store_chance)chance;
	AUTO(entry_key_unrefp) struct entry_key *key = entry_key_from_bytes(entry, entry_len);
	AUTO(entry_key_unrefp)
	struct entry_key *other = neighbour_len ? entry_key_from_bytes(neighbour, neighbour_len) : NULL;
	if (!key)
		return fault_new(FAULT_CORRUPT, "a record of the quarantine: its entry cannot be read");
	q.entry = key;
	q.neighbour = other;
	visitor->quarantine(visitor->arg, &q);
	return NULL;
}

static struct fault *load_quarantines(struct store_db *db, const struct store_visitor *visitor)
{
	sqlite3_stmt *st = db->statements[STATEMENT_QUARANTINES];
	for (;;) {
		bool row;
		TRY(store_sql_step(st, &row));
		if (!row)
			return NULL;
		struct fault *f = read_quarantine(st, visitor);
		if (f)
			visitor->damaged(visitor->arg, f);
	}
}

struct fault *store_db_load(struct store_db *db, const struct store_visitor *visitor)
{
	struct fault *f = load_versions(db, visitor);
	store_sql_reset(db->statements[STATEMENT_VERSIONS]);
	if (!f && visitor->quarantine)
		f = load_quarantines(db, visitor);
	store_sql_reset(db->statements[STATEMENT_QUARANTINES]);
	if (!f)
		f = load_facts(db, visitor);
	store_sql_reset(db->statements[STATEMENT_FACTS]);
	return f ? fault_wrap(f, "%s", store_folder_database(db->folder)) : NULL;
}

static struct fault *unseal_blob(struct store_db *db, const char *name, sqlite3_stmt *st, struct secret **ret)
{
	struct buf identity = BUF_INIT;
	size_t len;
	const void *sealed = bytes_column(st, 2, &len);
	store_blob_identity(name, &identity);
	struct fault *f = unseal(db, sqlite3_column_int64(st, 1), &identity, sealed, len, ret);
	buf_free(&identity);
	return f;
}

static struct fault *load_blobs(struct store_db *db, struct store_blobs *ret)
{
	sqlite3_stmt *st = db->statements[STATEMENT_BLOBS];
	for (;;) {
		bool row;
		struct secret *bytes = NULL;
		TRY(store_sql_step(st, &row));
		if (!row)
			return NULL;
		const char *name = text_column(st, 0);
		struct fault *f = unseal_blob(db, name, st, &bytes);
		if (f)
			store_blobs_put_damaged(
				ret, name, fault_wrap(f, "%s: blob \"%s\"", store_folder_database(db->folder), name));
		else
			store_blobs_put(ret, name, bytes);
	}
}

struct fault *store_db_load_blobs(struct store_db *db, struct store_blobs *ret)
{
	struct fault *f = load_blobs(db, ret);
	store_sql_reset(db->statements[STATEMENT_BLOBS]);
	return f ? fault_wrap(f, "%s", store_folder_database(db->folder)) : NULL;
}
