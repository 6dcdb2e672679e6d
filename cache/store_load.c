/* cache/store_load.c - reading back what the store holds. Every record is judged as if a stranger had written it:
 * sizes, and the seal over all of it. What the seal vouches for was judged when it was put, so no certificate and no
 * key is parsed: opening 10,000 records takes a tenth of a second, parsing them took nine. A record without a
 * description (schema version 1) is parsed, passes the gate again, and must have its id. Thread: control, before the
 * first write. */
#include "cache/store_db.h"
#include <string.h>
#include "base/anchors.h"
#include "base/buf.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/text.h"
#include "cache/description.h"
#include "cache/entry.h"
#include "cache/seal.h"
#include "cache/store_blobs.h"
#include "cache/store_folder.h"
#include "cache/store_keys.h"
#include "cache/store_sql.h"

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

void store_record_read(sqlite3_stmt *st, struct store_record *ret)
{
	struct store_version_row *r = &ret->row;
	r->entry = bytes_column(st, 0, &r->entry_len);
	r->id = text_column(st, 1);
	r->kind = sqlite3_column_int64(st, 2);
	r->authority = text_column(st, 3);
	r->profile = text_column(st, 4);
	r->received_at_ms = sqlite3_column_int64(st, 5);
	r->public = bytes_column(st, 6, &r->public_len);
	ret->seal_id = sqlite3_column_int64(st, 7);
	ret->sealed = bytes_column(st, 8, &ret->sealed_len);
	r->description = bytes_column(st, 9, &r->description_len);
	ret->put_at_ms = sqlite3_column_int64(st, 10);
}

static struct fault *unseal(struct store_db *db, int64_t seal_id, const struct buf *identity, const void *sealed,
	size_t len, struct secret **ret)
{
	const struct seal *seal = store_keys_find(db->keys, seal_id);
	if (!seal)
		return fault_new(FAULT_CORRUPT, "it is sealed under an unknown data key");
	if (identity->len > SEAL_IDENTITY_MAX)
		return fault_new(FAULT_CORRUPT, "it is too large");
	return seal_decrypt(seal, identity->data, identity->len, sealed, len, ret);
}

static struct fault *unseal_version(struct store_db *db, const struct store_record *r, struct secret **ret)
{
	struct buf identity = BUF_INIT;
	store_version_identity(&r->row, &identity);
	struct fault *f = unseal(db, r->seal_id, &identity, r->sealed, r->sealed_len, ret);
	buf_free(&identity);
	return f;
}

/* --- without a description: by what the certificates say --- */

static struct fault *parse_certificate(
	struct entry_key *entry, const struct store_record *r, const struct secret *key, struct version **ret)
{
	AUTO(credential_unrefp) struct credential *c = NULL;
	const struct version_origin origin = {r->row.authority, r->row.profile, r->row.received_at_ms};
	TRY(credential_from_pem(r->row.public, r->row.public_len, key, &c));
	return version_new_certificate(entry, c, &origin, ret);
}

static struct fault *parse_bundle(struct entry_key *entry, const struct store_record *r, struct version **ret)
{
	AUTO(anchors_unrefp) struct anchors *a = NULL;
	const struct version_origin origin = {r->row.authority, r->row.profile, r->row.received_at_ms};
	TRY(anchors_from_pem(r->row.public, r->row.public_len, &a));
	return version_new_bundle(entry, a, &origin, ret);
}

static struct fault *parse(
	struct entry_key *entry, const struct store_record *r, const struct secret *key, struct version **ret)
{
	AUTO(version_unrefp) struct version *v = NULL;
	if (r->row.kind == SECRET_TLS_CERTIFICATE)
		TRY(parse_certificate(entry, r, key, &v));
	else
		TRY(parse_bundle(entry, r, &v));
	if (strcmp(version_id(v), r->row.id) != 0)
		return fault_new(FAULT_CORRUPT, "its content is now named %s", version_id(v));
	*ret = TAKE(v);
	return NULL;
}

/* --- with one --- */

static struct fault *take(
	struct entry_key *entry, const struct store_record *r, const struct secret *key, struct version **ret)
{
	struct description d = {NULL, 0};
	TRY(description_read(r->row.description, r->row.description_len, &d));
	const struct version_record record = {.id = r->row.id,
		.kind = (enum secret_kind)r->row.kind,
		.origin = {r->row.authority, r->row.profile, r->row.received_at_ms},
		.description = &d,
		.public = r->row.public,
		.public_len = r->row.public_len,
		.key = key};
	struct fault *f = version_from_record(entry, &record, ret);
	description_free(&d);
	return f;
}

static struct fault *make_version(
	struct store_db *db, struct entry_key *entry, const struct store_record *r, struct version **ret)
{
	AUTO(secret_freep) struct secret *key = NULL;
	TRY(unseal_version(db, r, &key));
	if (r->row.kind != SECRET_TLS_CERTIFICATE && r->row.kind != SECRET_VALIDATION_CONTEXT)
		return fault_new(FAULT_CORRUPT, "it is of unknown kind %lld", (long long)r->row.kind);
	return r->row.description ? take(entry, r, key, ret) : parse(entry, r, key, ret);
}

/* As it stands there, in so far as it can be one: for messages. The caller owns it. */
char *store_record_id_text(const struct store_record *r)
{
	AUTO(mem_freep) char *id = r->row.id ? mem_strndup(r->row.id, strnlen(r->row.id, STORE_VERSION_ID_MAX)) : NULL;
	return text_escaped(id ? id : "-");
}

struct fault *store_record_open(struct store_db *db, const struct store_record *r, struct version **ret)
{
	AUTO(entry_key_unrefp) struct entry_key *entry = entry_key_from_bytes(r->row.entry, r->row.entry_len);
	AUTO(mem_freep) char *id = store_record_id_text(r);
	if (!entry || !r->row.id)
		return fault_new(
			FAULT_CORRUPT, "record of version %s: its %s cannot be read", id, entry ? "id" : "entry");
	struct fault *f = make_version(db, entry, r, ret);
	if (!f)
		return NULL;
	AUTO(mem_freep) char *name = text_escaped(entry_key_text(entry));
	return fault_wrap(f, "record of \"%s\", version %s", name, id);
}

static void show(const struct store_visitor *visitor, struct version *v, bool is_current)
{
	const struct store_past past = {.version = v,
		.entry = version_entry(v),
		.id = version_id(v),
		.kind = version_kind(v),
		.origin = {version_authority(v), version_profile(v), version_received_at_ms(v)},
		.not_after_ms = version_not_after_ms(v)};
	if (is_current)
		visitor->version(visitor->arg, v);
	else
		visitor->past(visitor->arg, &past);
}

struct fault *store_db_read_version(struct store_db *db, struct entry_key *entry, const char *id, struct version **ret)
{
	sqlite3_stmt *st = db->statements[STATEMENT_VERSION];
	size_t len;
	bool row = false;
	const void *bytes = entry_key_bytes(entry, &len);
	struct fault *f = store_sql_bind_bytes(st, 1, bytes, len);
	if (!f)
		f = store_sql_bind_text(st, 2, id);
	if (!f)
		f = store_sql_step(st, &row);
	if (!f && !row)
		f = fault_new(FAULT_NOT_FOUND, "the store has no version %s of this secret", id);
	if (!f) {
		struct store_record r;
		store_record_read(st, &r);
		f = store_record_open(db, &r, ret);
	}
	store_sql_reset(st);
	return f;
}

static struct fault *load_versions(struct store_db *db, const struct store_visitor *visitor)
{
	sqlite3_stmt *st = db->statements[STATEMENT_VERSIONS];
	for (;;) {
		bool row;
		struct store_record r;
		AUTO(version_unrefp) struct version *v = NULL;
		TRY(store_sql_step(st, &row));
		if (!row)
			return NULL;
		store_record_read(st, &r);
		struct fault *f = store_record_open(db, &r, &v);
		if (f)
			visitor->damaged(visitor->arg, f);
		else
			show(visitor, v, sqlite3_column_int64(st, STORE_RECORD_COLUMN_COUNT) != 0);
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
		const char *key = text_column(st, 0);
		if (key)
			visitor->fact(visitor->arg, key, sqlite3_column_int64(st, 1));
		else
			visitor->damaged(visitor->arg, fault_new(FAULT_CORRUPT, "a fact has no key"));
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

struct fault *store_blob_unseal(
	struct store_db *db, const char *name, int64_t seal_id, const void *sealed, size_t len, struct secret **ret)
{
	struct buf identity = BUF_INIT;
	store_blob_identity(name, &identity);
	struct fault *f = unseal(db, seal_id, &identity, sealed, len, ret);
	buf_free(&identity);
	return f;
}

static struct fault *unseal_blob_row(struct store_db *db, const char *name, sqlite3_stmt *st, struct secret **ret)
{
	size_t len;
	const void *sealed = bytes_column(st, 2, &len);
	return store_blob_unseal(db, name, sqlite3_column_int64(st, 1), sealed, len, ret);
}

struct fault *store_db_read_blob(struct store_db *db, const char *name, struct secret **ret)
{
	sqlite3_stmt *st = db->statements[STATEMENT_BLOB];
	bool row = false;
	*ret = NULL;
	struct fault *f = store_sql_bind_text(st, 1, name);
	if (!f)
		f = store_sql_step(st, &row);
	if (!f && row)
		f = unseal_blob_row(db, name, st, ret);
	store_sql_reset(st);
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
		if (!name) { /* not even somebody who could be told of it */
			log_event(LOG_ERROR, "store.record_damaged", LS("error", "a blob has no name"));
			continue;
		}
		struct fault *f = unseal_blob_row(db, name, st, &bytes);
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
