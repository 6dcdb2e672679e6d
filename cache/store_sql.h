/* cache/store_sql.h - SQLite's answers as faults, and the few calls that every part of the store makes.
 * Codes: UNAVAILABLE, retryable (disk full, I/O error, read-only, memory); CORRUPT (a damaged file); CONFLICT (somebody
 * else has it open); INTERNAL (a bug of ours). Thread: whoever has the connection. */
#ifndef CACHE_STORE_SQL_H
#define CACHE_STORE_SQL_H
#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/attr.h"
struct fault;

/** The connection's last error. */
struct fault *store_sql_fault(sqlite3 *db, const char *what);
/** Statements of ours, without parameters; rows are passed over. */
MUST_USE struct fault *store_sql_run(sqlite3 *db, const char *sql);
/** The first column of the first row. NOT_FOUND: no row. */
MUST_USE struct fault *store_sql_int(sqlite3 *db, const char *sql, int64_t *ret);
/** The same as text; the caller owns *ret. */
MUST_USE struct fault *store_sql_text(sqlite3 *db, const char *sql, char **ret);
/** Ends a transaction that failed, if SQLite has not done so itself. */
void store_sql_rollback(sqlite3 *db);

MUST_USE struct fault *store_sql_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret);
/** Parameters from 1. Bytes and texts are borrowed until the statement is reset; text may be NULL. */
MUST_USE struct fault *store_sql_bind_bytes(sqlite3_stmt *st, int at, const void *bytes, size_t len);
MUST_USE struct fault *store_sql_bind_text(sqlite3_stmt *st, int at, const char *text);
MUST_USE struct fault *store_sql_bind_int(sqlite3_stmt *st, int at, int64_t value);
/** Run to the end, then reset and forget the parameters, whatever came. */
MUST_USE struct fault *store_sql_finish(sqlite3_stmt *st);
/** The next row? False: the end was reached. The caller resets. */
MUST_USE struct fault *store_sql_step(sqlite3_stmt *st, bool *ret_row);
void store_sql_reset(sqlite3_stmt *st);
#endif
