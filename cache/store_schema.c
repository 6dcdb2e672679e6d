#include "cache/store_schema.h"
#include <inttypes.h>
#include "base/crash_point.h"
#include "base/fault.h"
#include "base/mem.h"
#include "cache/store_sql.h"

/* seal_key: data keys wrapped by the key file's key; a record names the one that sealed it, so that a new one can take
 * over record by record. version.public is PEM in the clear; version.sealed (the private key) has all other columns but
 * seq and put_at_ms for its identity, so none of them can be changed or swapped unnoticed. */
static const char VERSION_1[] = "CREATE TABLE meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
				"CREATE TABLE seal_key(id INTEGER PRIMARY KEY, wrapped BLOB NOT NULL,"
				" created_at_ms INTEGER NOT NULL) STRICT;"
				"CREATE TABLE version(seq INTEGER PRIMARY KEY, entry BLOB NOT NULL, id TEXT NOT NULL,"
				" kind INTEGER NOT NULL, authority TEXT, profile TEXT, received_at_ms INTEGER NOT NULL,"
				" put_at_ms INTEGER NOT NULL, public BLOB NOT NULL,"
				" seal_key INTEGER NOT NULL REFERENCES seal_key(id), sealed BLOB NOT NULL,"
				" UNIQUE(entry, id)) STRICT;"
				"CREATE TABLE blob(name TEXT PRIMARY KEY,"
				" seal_key INTEGER NOT NULL REFERENCES seal_key(id), sealed BLOB NOT NULL) STRICT;"
				"CREATE TABLE fact(key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
				"CREATE TABLE audit(seq INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL,"
				" event TEXT NOT NULL, detail TEXT) STRICT;";

/* quarantine: what a node NACKed, and what an operator should know of it. Nothing in it is secret (message is
 * redacted), and nothing in it grants anything: a forged row can at most hold a version back. hastens, chance: enum
 * values of store.h. */
static const char VERSION_2[] = "CREATE TABLE quarantine(identity TEXT NOT NULL, who TEXT NOT NULL, node TEXT NOT NULL,"
				" entry BLOB NOT NULL, version TEXT NOT NULL, held TEXT NOT NULL,"
				" code INTEGER NOT NULL, message TEXT NOT NULL, since_ms INTEGER NOT NULL,"
				" hastens INTEGER NOT NULL, chance INTEGER NOT NULL, neighbour BLOB,"
				" PRIMARY KEY(identity, node, entry, version)) STRICT, WITHOUT ROWID;";
/* description: what the certificates in public say (cache/description.h), so that a start need not parse them. Records
 * from before have none until they are written again. */
static const char VERSION_3[] = "ALTER TABLE version ADD COLUMN description BLOB;";

/* audit.hash: base/audit_chain.h; NULL in records from before there was a chain. */
static const char VERSION_4[] = "ALTER TABLE audit ADD COLUMN hash BLOB;";

static const char *const STEPS[] = {VERSION_1, VERSION_2, VERSION_3, VERSION_4};
static const struct store_migrations MIGRATIONS = {STEPS, ARRAY_LEN(STEPS)};

const struct store_migrations *store_migrations(void)
{
	return &MIGRATIONS;
}

static struct fault *apply(sqlite3 *db, const struct store_migrations *m, size_t from)
{
	for (size_t i = from; i < m->count; i++) {
		struct fault *f = store_sql_run(db, m->steps[i]);
		if (f)
			return fault_wrap(f, "schema version %zu", i + 1);
	}
	AUTO(mem_freep)
	char *mark = mem_printf("PRAGMA application_id=%d; PRAGMA user_version=%zu", STORE_APPLICATION_ID, m->count);
	return store_sql_run(db, mark);
}

struct fault *store_schema_check(sqlite3 *db, const struct store_migrations *m, bool *ret_is_empty)
{
	int64_t application, version, tables, programs;
	TRY(store_sql_int(db, "PRAGMA application_id", &application));
	TRY(store_sql_int(db, "PRAGMA user_version", &version));
	TRY(store_sql_int(db, "SELECT count(*) FROM sqlite_schema", &tables));
	bool is_empty = application == 0 && version == 0 && tables == 0;
	if (!is_empty && application != STORE_APPLICATION_ID)
		return fault_new(
			FAULT_INVALID, "it is another program's database (application id %" PRId64 ")", application);
	if (version < 0 || (size_t)version > m->count)
		return fault_new(FAULT_INVALID,
			"its schema version is %" PRId64 ", and this leafcast knows up to %zu: a newer one wrote it",
			version, m->count);
	/* Views, triggers and virtual tables run what a stranger wrote, without an end where he likes. */
	TRY(store_sql_int(db, "SELECT count(*) FROM sqlite_schema WHERE type NOT IN ('table', 'index') OR rootpage = 0",
		&programs));
	if (programs)
		return fault_new(FAULT_INVALID, "it holds views, triggers or virtual tables, and leafcast makes none");
	*ret_is_empty = is_empty;
	return NULL;
}

struct fault *store_schema_update(sqlite3 *db, const struct store_migrations *m)
{
	int64_t version;
	TRY(store_sql_int(db, "PRAGMA user_version", &version));
	if ((size_t)version == m->count)
		return NULL;
	TRY(store_sql_run(db, "BEGIN IMMEDIATE"));
	struct fault *f = apply(db, m, (size_t)version);
	crash_point("migrate.filled");
	if (!f)
		f = store_sql_run(db, "COMMIT");
	crash_point("migrate.committed");
	if (f)
		store_sql_rollback(db);
	return f;
}
