/* cache/store_sqlite.c - opening the embedded store: the file is checked before anything is written to it, then the
 * schema is brought up to date, then the seal is opened, or made at a first start (store_keys.c).
 * The order of a first start (database, seal key, wrapped data key, content, mark of completion) is what tells an
 * unfinished one, which is begun anew, from a folder that lost its database, which is refused. */
#include "cache/store_db.h"
#include <string.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/file.h"
#include "base/mem.h"
#include "base/secret.h"
#include "cache/store_audit.h"
#include "cache/store_folder.h"
#include "cache/store_keys.h"
#include "cache/store_schema.h"
#include "cache/store_sql.h"

static const char *const SQL[STATEMENTS] = {
	[STATEMENT_BEGIN] = "BEGIN IMMEDIATE",
	[STATEMENT_COMMIT] = "COMMIT",
	[STATEMENT_SAVEPOINT] = "SAVEPOINT tx",
	[STATEMENT_RELEASE] = "RELEASE tx",
	[STATEMENT_ROLLBACK_TO] = "ROLLBACK TO tx",
	[STATEMENT_PUT_VERSION] = "INSERT OR REPLACE INTO version(entry, id, kind, authority, profile, received_at_ms, "
				  "put_at_ms, public, seal_key, sealed, description) "
				  "VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
	[STATEMENT_DROP_VERSION] = "DELETE FROM version WHERE entry = ?1 AND id = ?2",
	[STATEMENT_DROP_ENTRY] = "DELETE FROM version WHERE entry = ?1",
	[STATEMENT_PUT_BLOB] = "INSERT OR REPLACE INTO blob(name, seal_key, sealed) VALUES(?1, ?2, ?3)",
	[STATEMENT_PUT_FACT] = "INSERT OR REPLACE INTO fact(key, value) VALUES(?1, ?2)",
	[STATEMENT_DROP_FACT] = "DELETE FROM fact WHERE key = ?1",
	[STATEMENT_AUDIT] = "INSERT INTO audit(seq, at_ms, event, detail, hash) VALUES(?1, ?2, ?3, ?4, ?5)",
	[STATEMENT_TRIM_AUDIT] = "DELETE FROM audit WHERE seq <= ?1",
	[STATEMENT_AUDIT_HASH] = "SELECT hash FROM audit WHERE seq = ?1",
	[STATEMENT_AUDIT_PAGE] =
		"SELECT seq, at_ms, event, detail, hash FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2",
	[STATEMENT_COMPLETE] = "INSERT OR REPLACE INTO meta(key, value) VALUES('first_start_complete_at_ms', ?1)",
	[STATEMENT_PUT_QUARANTINE] =
		"INSERT OR REPLACE INTO quarantine(identity, node, entry, version, who, held, code, message, since_ms, "
		"hastens, chance, neighbour) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
	[STATEMENT_DROP_QUARANTINE] =
		"DELETE FROM quarantine WHERE identity = ?1 AND node = ?2 AND entry = ?3 AND version = ?4",
	[STATEMENT_DROP_ENTRY_QUARANTINE] = "DELETE FROM quarantine WHERE entry = ?1",
	[STATEMENT_VERSIONS] =
		"SELECT " STORE_RECORD_COLUMNS ", seq = (SELECT max(seq) FROM version x WHERE x.entry = version.entry) "
		"FROM version ORDER BY seq",
	[STATEMENT_VERSION] = "SELECT " STORE_RECORD_COLUMNS " FROM version WHERE entry = ?1 AND id = ?2",
	[STATEMENT_RESEAL_VERSION] = "UPDATE version SET seal_key = ?2, sealed = ?3, description = ?4 WHERE seq = ?1",
	[STATEMENT_BLOBS] = "SELECT name, seal_key, sealed FROM blob ORDER BY name",
	[STATEMENT_BLOB] = "SELECT name, seal_key, sealed FROM blob WHERE name = ?1",
	[STATEMENT_FACTS] = "SELECT key, value FROM fact ORDER BY key",
	[STATEMENT_QUARANTINES] = "SELECT identity, who, node, entry, version, held, code, message, since_ms, hastens, "
				  "chance, neighbour FROM quarantine ORDER BY since_ms",
	[STATEMENT_USAGE] = ("SELECT (SELECT count(*) FROM version), page_count * page_size FROM pragma_page_count, "
			     "pragma_page_size"),
};

/* Nothing here writes to the file. */
static struct fault *check_file(struct store_db *db)
{
	AUTO(mem_freep) char *verdict = NULL;
	int64_t application;
	TRY(store_sql_run(db->sql,
		"PRAGMA locking_mode=EXCLUSIVE; PRAGMA cell_size_check=ON; PRAGMA trusted_schema=OFF;"
		"PRAGMA temp_store=MEMORY; PRAGMA foreign_keys=ON"));
	TRY(store_sql_int(db->sql, "PRAGMA application_id", &application));
	if (application != 0 && application != STORE_APPLICATION_ID)
		return NULL; /* not ours: refused by store_schema_update(), untouched */
	TRY(store_sql_text(db->sql, "PRAGMA quick_check(1)", &verdict));
	if (strcmp(verdict, "ok") == 0)
		return NULL;
	const char *line = strchr(verdict, '\n'); /* after "*** in database main ***" */
	return fault_new(FAULT_CORRUPT, "integrity check: %s", line ? line + 1 : verdict);
}

static struct fault *use_log(struct store_db *db)
{
	AUTO(mem_freep) char *mode = NULL;
	int64_t wipes;
	TRY(store_sql_text(db->sql, "PRAGMA journal_mode=WAL", &mode));
	if (strcmp(mode, "wal") != 0)
		return fault_new(FAULT_INTERNAL, "no write-ahead log here (journal mode %s)", mode);
	TRY(store_sql_run(db->sql, "PRAGMA synchronous=FULL; PRAGMA secure_delete=ON"));
	TRY(store_sql_int(db->sql, "PRAGMA secure_delete", &wipes));
	return wipes == 1 ? NULL : fault_new(FAULT_INTERNAL, "this SQLite does not wipe what is deleted");
}

/* Whether the first start was completed is told by the database; the folder's mark catches one that was lost or
 * emptied. */
static struct fault *read_completion(struct store_db *db)
{
	int64_t rows;
	TRY(store_sql_int(db->sql, "SELECT count(*) FROM meta WHERE key = 'first_start_complete_at_ms'", &rows));
	db->is_complete = rows > 0;
	if (!db->is_complete && store_folder_is_marked(db->folder))
		return fault_new(
			FAULT_CORRUPT, "it lacks the end of the first start that was completed in this folder");
	return NULL;
}

static void close_connection(struct store_db *db)
{
	for (size_t i = 0; i < STATEMENTS; i++) {
		(void)sqlite3_finalize(db->statements[i]);
		db->statements[i] = NULL;
	}
	invariant(sqlite3_close(db->sql) == SQLITE_OK); /* no statement is left open */
	db->sql = NULL;
}

static struct fault *open_file(struct store_db *db)
{
	const char *path = store_folder_database(db->folder);
	bool was_empty;
	TRY(store_folder_prepare_database(db->folder));
	int rc = sqlite3_open_v2(
		path, &db->sql, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
	if (rc != SQLITE_OK)
		return store_sql_fault(db->sql, "cannot open");
	/* Until all is well, closing leaves file and log as they were found. */
	(void)sqlite3_db_config(db->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	(void)sqlite3_db_config(db->sql, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	TRY(check_file(db));
	TRY(store_schema_check(db->sql, store_migrations(), &was_empty));
	if (was_empty && store_folder_is_marked(db->folder))
		return fault_new(FAULT_CORRUPT, "it is empty, though a first start was completed in this folder");
	TRY(use_log(db));
	TRY(store_schema_update(db->sql, store_migrations()));
	return read_completion(db);
}

static struct fault *prepare(struct store_db *db)
{
	for (size_t i = 0; i < STATEMENTS; i++)
		TRY(store_sql_prepare(db->sql, SQL[i], &db->statements[i]));
	return NULL;
}

struct fault *store_db_open(const struct store_options *o, const struct clock *clock, struct store_db **ret)
{
	AUTO(store_db_closep) struct store_db *db = mem_new(struct store_db);
	TRY(store_folder_open(o->folder, &db->folder));
	struct fault *f = open_file(db);
	if (f && fault_code(f) == FAULT_CORRUPT) {
		close_connection(db);
		return store_folder_set_aside(db->folder, clock, f);
	}
	if (f)
		return fault_wrap(f, "%s", store_folder_database(db->folder));
	TRY(prepare(db));
	TRY(store_keys_open(db, o, clock));
	TRY(store_audit_open(db));
	if (db->is_complete && !store_folder_is_marked(db->folder))
		TRY(store_folder_mark(db->folder));
	store_folder_note_log(db->folder);
	(void)sqlite3_db_config(db->sql, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
	*ret = TAKE(db);
	return NULL;
}

void store_db_close(struct store_db *db)
{
	if (!db)
		return;
	close_connection(db);
	store_keys_close(db);
	store_folder_close(db->folder);
	free(db);
}

void store_db_closep(struct store_db **db)
{
	store_db_close(*db);
	*db = NULL;
}
