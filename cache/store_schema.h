/* cache/store_schema.h - what the database looks like, and how an older one becomes a current one: a table of forward
 * migrations, one per schema version, applied in one transaction. Thread: whoever has the connection. */
#ifndef CACHE_STORE_SCHEMA_H
#define CACHE_STORE_SCHEMA_H
#include <stdbool.h>
#include <sqlite3.h>
#include <stddef.h>
#include "base/attr.h"
struct fault;

/** "leaf": what file(1) and we know our database by (PRAGMA application_id). */
#define STORE_APPLICATION_ID 0x6c656166

/** Step i takes schema version i to i + 1. A released step is never changed. */
struct store_migrations {
	const char *const *steps;
	size_t count;
};
const struct store_migrations *store_migrations(void);

/** Is it ours to open? Reads only. *ret_is_empty: there is nothing in it yet. INVALID: another program's database, or a
 *  newer leafcast's. */
MUST_USE struct fault *store_schema_check(sqlite3 *db, const struct store_migrations *m, bool *ret_is_empty);
/** Bring the schema up to date, whole or not at all; in an empty database everything is made. */
MUST_USE struct fault *store_schema_update(sqlite3 *db, const struct store_migrations *m);
#endif
