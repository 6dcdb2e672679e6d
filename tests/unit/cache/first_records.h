/* tests/unit/cache/first_records.h - a store's records as the first release wrote them: without a description, sealed
 * under another identity. For a store that is closed. */
#ifndef TESTS_UNIT_CACHE_FIRST_RECORDS_H
#define TESTS_UNIT_CACHE_FIRST_RECORDS_H
#include <sqlite3.h>
#include "cache/canonical.h"
#include "cache/seal.h"
#include "cache/seal_key.h"
#include "state.h"

static inline struct seal *open_seal(struct state *s, sqlite3 *db)
{
	AUTO(mem_freep) char *path = state_path(s, "seal.key");
	AUTO(secret_freep) struct secret *kek = NULL;
	struct seal *seal = NULL;
	sqlite3_stmt *st;
	bool created;
	assert_null(seal_key_load(path, false, &created, &kek));
	assert_int_equal(sqlite3_prepare_v2(db, "SELECT wrapped FROM seal_key", -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_null(
		seal_open_data_key(kek, sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0), NULL, &seal));
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	return seal;
}

/* As the first release wrote it. */
static inline void write_first_record(
	sqlite3 *db, const struct seal *seal, const struct version *v, const void *key, size_t len)
{
	struct buf identity = BUF_INIT, sealed = BUF_INIT;
	size_t entry_len, public_len;
	const void *entry = entry_key_bytes(version_entry(v), &entry_len);
	const void *public = version_public_pem(v, &public_len);
	sqlite3_stmt *st;
	canonical_add_text(&identity, "leafcast version record 1");
	canonical_add(&identity, entry, entry_len);
	canonical_add_text(&identity, version_id(v));
	canonical_add_int(&identity, version_kind(v));
	canonical_add_text(&identity, version_authority(v));
	canonical_add_text(&identity, version_profile(v));
	canonical_add_int(&identity, version_received_at_ms(v));
	canonical_add(&identity, public, public_len);
	assert_null(seal_encrypt(seal, identity.data, identity.len, key, len, &sealed));
	assert_int_equal(sqlite3_prepare_v2(db,
				 "UPDATE version SET description = NULL, sealed = ?1 WHERE entry = ?2 AND id = ?3", -1,
				 &st, NULL),
		SQLITE_OK);
	assert_int_equal(sqlite3_bind_blob(st, 1, sealed.data, (int)sealed.len, SQLITE_STATIC), SQLITE_OK);
	assert_int_equal(sqlite3_bind_blob(st, 2, entry, (int)entry_len, SQLITE_STATIC), SQLITE_OK);
	assert_int_equal(sqlite3_bind_text(st, 3, version_id(v), -1, SQLITE_STATIC), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_DONE);
	assert_int_equal(sqlite3_changes(db), 1);
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	buf_free(&identity);
	buf_free(&sealed);
}

/* These, which the store holds, in place of what it holds of them. */
static inline void write_first_records(struct state *s, struct version *const *versions, size_t count)
{
	AUTO(mem_freep) char *path = state_path(s, "leafcast.db");
	sqlite3 *db;
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix"), SQLITE_OK);
	AUTO(seal_freep) struct seal *seal = open_seal(s, db);
	for (size_t i = 0; i < count; i++) {
		size_t len;
		const void *key = version_key_pem(versions[i], &len);
		if (key)
			write_first_record(db, seal, versions[i], key, len);
		else /* what is sealed of a bundle is its id */
			write_first_record(db, seal, versions[i], version_id(versions[i]), 32);
	}
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}
#endif
