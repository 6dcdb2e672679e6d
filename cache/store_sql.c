#include "cache/store_sql.h"
#include <string.h>
#include "base/fault.h"
#include "base/mem.h"

struct fault *store_sql_fault(sqlite3 *db, const char *what)
{
	int rc = sqlite3_extended_errcode(db), err = sqlite3_system_errno(db);
	const char *text = sqlite3_errmsg(db);
	switch (rc & 0xff) {
	case SQLITE_FULL:
	case SQLITE_IOERR:
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
	case SQLITE_PERM:
	case SQLITE_NOMEM:
		return fault_set_retryable(fault_new(FAULT_UNAVAILABLE, "%s: %s (SQLite %d%s%s)", what, text, rc,
						   err ? ", " : "", err ? strerrordesc_np(err) : ""),
			-1);
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return fault_new(FAULT_CORRUPT, "%s: %s (SQLite %d)", what, text, rc);
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return fault_new(FAULT_CONFLICT, "%s: another process has it open (SQLite %d)", what, rc);
	default:
		return fault_new(FAULT_INTERNAL, "%s: %s (SQLite %d)", what, text, rc);
	}
}

struct fault *store_sql_run(sqlite3 *db, const char *sql)
{
	return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? NULL : store_sql_fault(db, "database");
}

static void finalizep(sqlite3_stmt **st)
{
	(void)sqlite3_finalize(*st); /* repeats the error of the last step, which was told */
	*st = NULL;
}

static struct fault *first_row(sqlite3 *db, const char *sql, sqlite3_stmt **ret)
{
	AUTO(finalizep) sqlite3_stmt *st = NULL;
	bool row;
	TRY(store_sql_prepare(db, sql, &st));
	TRY(store_sql_step(st, &row));
	if (!row)
		return fault_new(FAULT_NOT_FOUND, "no row of: %s", sql);
	*ret = TAKE(st);
	return NULL;
}

struct fault *store_sql_int(sqlite3 *db, const char *sql, int64_t *ret)
{
	AUTO(finalizep) sqlite3_stmt *st = NULL;
	TRY(first_row(db, sql, &st));
	*ret = sqlite3_column_int64(st, 0);
	return NULL;
}

struct fault *store_sql_text(sqlite3 *db, const char *sql, char **ret)
{
	AUTO(finalizep) sqlite3_stmt *st = NULL;
	TRY(first_row(db, sql, &st));
	const unsigned char *text = sqlite3_column_text(st, 0);
	*ret = mem_strdup(text ? (const char *)text : "");
	return NULL;
}

void store_sql_rollback(sqlite3 *db)
{
	if (!sqlite3_get_autocommit(db))
		(void)sqlite3_exec(
			db, "ROLLBACK", NULL, NULL, NULL); /* SQLite: cannot fail in a way that keeps it open */
}

struct fault *store_sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret)
{
	sqlite3_stmt *st = NULL;
	if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &st, NULL) != SQLITE_OK)
		return store_sql_fault(db, "database");
	*ret = st;
	return NULL;
}

static struct fault *bound(sqlite3_stmt *st, int rc)
{
	return rc == SQLITE_OK ? NULL : store_sql_fault(sqlite3_db_handle(st), "database");
}

struct fault *store_sql_bind_bytes(sqlite3_stmt *st, int at, const void *bytes, size_t len)
{
	return bound(st, sqlite3_bind_blob64(st, at, bytes, len, SQLITE_STATIC));
}

struct fault *store_sql_bind_text(sqlite3_stmt *st, int at, const char *text)
{
	return bound(st, text ? sqlite3_bind_text(st, at, text, -1, SQLITE_STATIC) : sqlite3_bind_null(st, at));
}

struct fault *store_sql_bind_int(sqlite3_stmt *st, int at, int64_t value)
{
	return bound(st, sqlite3_bind_int64(st, at, value));
}

struct fault *store_sql_step(sqlite3_stmt *st, bool *ret_row)
{
	int rc = sqlite3_step(st);
	if (rc != SQLITE_ROW && rc != SQLITE_DONE)
		return store_sql_fault(sqlite3_db_handle(st), "database");
	*ret_row = rc == SQLITE_ROW;
	return NULL;
}

void store_sql_reset(sqlite3_stmt *st)
{
	(void)sqlite3_reset(st); /* repeats the error of the last step, which was told */
	(void)sqlite3_clear_bindings(st);
}

struct fault *store_sql_finish(sqlite3_stmt *st)
{
	bool row = true;
	struct fault *f = NULL;
	while (!f && row)
		f = store_sql_step(st, &row);
	store_sql_reset(st);
	return f;
}
