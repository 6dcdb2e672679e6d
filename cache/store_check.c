#include "cache/store_check.h"
#include <sqlite3.h>
#include <string.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "cache/seal.h"
#include "cache/store_schema.h"
#include "cache/store_sql.h"

static void close_sqlp(sqlite3 **db)
{
	(void)sqlite3_close(*db);
	*db = NULL;
}

/* "file:" and the path, so that none of its characters means anything to SQLite. immutable: no log, no lock. */
static char *uri_of(const char *path)
{
	struct buf b = BUF_INIT;
	buf_add_text(&b, "file:");
	if (*path != '/')
		buf_add_text(&b, "./");
	for (const unsigned char *p = (const unsigned char *)path; *p; p++)
		if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
			strchr("/._-", *p))
			buf_add(&b, p, 1);
		else
			buf_printf(&b, "%%%02x", *p);
	buf_add_text(&b, "?immutable=1");
	return buf_take_text(&b);
}

static struct fault *check_schema(sqlite3 *db)
{
	bool is_empty;
	int64_t complete;
	TRY(store_schema_check(db, store_migrations(), &is_empty));
	if (is_empty)
		return fault_new(FAULT_INVALID, "it is empty");
	TRY(store_sql_int(db, "SELECT count(*) FROM meta WHERE key = 'first_start_complete_at_ms'", &complete));
	return complete ? NULL : fault_new(FAULT_INVALID, "it is of a first start that did not come to its end");
}

static struct fault *check(sqlite3 *db, struct store_content *ret)
{
	AUTO(mem_freep) char *verdict = NULL;
	TRY(store_sql_run(db, "PRAGMA cell_size_check=ON; PRAGMA trusted_schema=OFF"));
	TRY(store_sql_text(db, "PRAGMA integrity_check(1)", &verdict));
	if (strcmp(verdict, "ok") != 0)
		return fault_new(FAULT_CORRUPT, "integrity check: %s", verdict);
	TRY(check_schema(db));
	TRY(store_sql_int(db, "SELECT count(*) FROM version", &ret->versions));
	TRY(store_sql_int(db, "SELECT count(DISTINCT entry) FROM version", &ret->entries));
	return store_sql_int(db, "SELECT ifnull(max(put_at_ms), 0) FROM version", &ret->last_put_ms);
}

static struct fault *open_file(const char *path, sqlite3 **ret)
{
	AUTO(close_sqlp) sqlite3 *db = NULL;
	AUTO(mem_freep) char *uri = uri_of(path);
	if (sqlite3_open_v2(uri, &db,
		    SQLITE_OPEN_READONLY | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
		    NULL) != SQLITE_OK)
		return store_sql_fault(db, "cannot open");
	*ret = TAKE(db);
	return NULL;
}

/* A table or column that is not there shows as an error of ours; here it is the file's. */
static struct fault *blame_file(struct fault *f)
{
	if (!f || fault_code(f) != FAULT_INTERNAL)
		return f;
	struct fault *its = fault_new(FAULT_CORRUPT, "its tables are not as leafcast makes them: %s", fault_text(f));
	fault_free(f);
	return its;
}

struct fault *store_check_file(const char *path, struct store_content *ret)
{
	AUTO(close_sqlp) sqlite3 *db = NULL;
	struct store_content content;
	struct fault *f = open_file(path, &db);
	if (!f)
		f = blame_file(check(db, &content));
	if (f)
		return fault_wrap(f, "%s", path);
	*ret = content;
	return NULL;
}

static struct fault *check_key(sqlite3 *db, const struct secret *kek)
{
	AUTO(seal_freep) struct seal *seal = NULL;
	sqlite3_stmt *st = NULL;
	bool row;
	TRY(store_sql_prepare(db, "SELECT wrapped FROM seal_key ORDER BY id DESC LIMIT 1", &st));
	struct fault *f = store_sql_step(st, &row);
	if (!f && !row)
		f = fault_new(FAULT_CORRUPT, "it holds no data key");
	if (!f)
		f = seal_open_data_key(
			kek, sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0), NULL, &seal);
	(void)sqlite3_finalize(st);
	return f;
}

struct fault *store_check_key(const char *path, const struct secret *kek)
{
	AUTO(close_sqlp) sqlite3 *db = NULL;
	TRY(open_file(path, &db));
	return blame_file(check_key(db, kek));
}
