/* The schema: made whole or not at all, brought forward from every earlier version, never back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "cache/store_schema.h"
#include "cache/store_sql.h"

static int setup(void **arg)
{
	return sqlite3_open(":memory:", (sqlite3 **)arg);
}

static int teardown(void **arg)
{
	return sqlite3_close(*arg);
}

static void update(sqlite3 *db, const struct store_migrations *m)
{
	struct fault *f = store_schema_update(db, m);
	if (f)
		fail_msg("%s", fault_text(f));
}

static int64_t number(sqlite3 *db, const char *sql)
{
	int64_t n = -1;
	struct fault *f = store_sql_int(db, sql, &n);
	if (f)
		fail_msg("%s", fault_text(f));
	return n;
}

static char *whole_schema(sqlite3 *db)
{
	char *text = NULL;
	struct fault *f = store_sql_text(db,
		"SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY "
		"name)",
		&text);
	assert_null(f);
	return text;
}

static void test_ours_is_made(void **arg)
{
	sqlite3 *db = *arg;
	bool empty = false;
	assert_null(store_schema_check(db, store_migrations(), &empty));
	assert_true(empty);
	update(db, store_migrations());
	assert_null(store_schema_check(db, store_migrations(), &empty));
	assert_false(empty);
	assert_int_equal(number(db, "PRAGMA user_version"), store_migrations()->count);
	assert_int_equal(number(db, "PRAGMA application_id"), STORE_APPLICATION_ID);
	update(db, store_migrations()); /* and then left alone */
}

/* From each earlier version the same schema comes out. */
static void test_from_every_earlier_version(void **arg)
{
	sqlite3 *fresh = *arg;
	update(fresh, store_migrations());
	AUTO(mem_freep) char *expected = whole_schema(fresh);
	for (size_t from = 1; from < store_migrations()->count; from++) {
		const struct store_migrations then = {store_migrations()->steps, from};
		sqlite3 *db;
		assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
		update(db, &then);
		update(db, store_migrations());
		AUTO(mem_freep) char *found = whole_schema(db);
		assert_string_equal(found, expected);
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
	}
}

static const char *const STEPS[] = {
	"CREATE TABLE t(a INTEGER); INSERT INTO t VALUES(1)",
	"ALTER TABLE t ADD COLUMN b INTEGER DEFAULT 5; UPDATE t SET a = a + 1",
	"CREATE TABLE u(c); INSERT INTO u SELECT a + b FROM t",
};

static void test_steps_in_order_with_content(void **arg)
{
	sqlite3 *db = *arg;
	const struct store_migrations one = {STEPS, 1}, three = {STEPS, 3};
	update(db, &one);
	assert_int_equal(number(db, "PRAGMA user_version"), 1);
	update(db, &three);
	assert_int_equal(number(db, "PRAGMA user_version"), 3);
	assert_int_equal(number(db, "SELECT c FROM u"), 7);
}

static void test_a_failing_step_leaves_nothing(void **arg)
{
	sqlite3 *db = *arg;
	const char *const broken[] = {STEPS[0], STEPS[1], "CREATE TABLE u(c); SELECT nothing FROM nowhere"};
	const struct store_migrations one = {broken, 1}, three = {broken, 3};
	update(db, &one);
	struct fault *f = store_schema_update(db, &three);
	assert_non_null(f);
	assert_non_null(strstr(fault_text(f), "schema version 3"));
	fault_free(f);
	assert_int_equal(number(db, "PRAGMA user_version"), 1);
	assert_int_equal(number(db, "SELECT a FROM t"), 1);
	assert_int_equal(number(db, "SELECT count(*) FROM sqlite_schema"), 1);
	assert_int_equal(sqlite3_get_autocommit(db), 1);
}

static void expect_refused(sqlite3 *db, const char *words)
{
	bool empty;
	struct fault *f = store_schema_check(db, store_migrations(), &empty);
	assert_non_null(f);
	assert_int_equal(fault_code(f), FAULT_INVALID);
	assert_non_null(strstr(fault_text(f), words));
	fault_free(f);
}

static void test_refusals(void **arg)
{
	sqlite3 *db = *arg;
	assert_null(store_sql_run(db, "PRAGMA user_version=1"));
	expect_refused(db, "another program's");
	assert_null(store_sql_run(db, "PRAGMA user_version=0; CREATE TABLE t(a)"));
	expect_refused(db, "another program's");
	assert_null(store_sql_run(db, "DROP TABLE t; PRAGMA application_id=9"));
	expect_refused(db, "application id 9");
	assert_null(store_sql_run(db, "PRAGMA application_id=0"));
	update(db, store_migrations());
	assert_null(store_sql_run(db, "PRAGMA user_version=1000"));
	expect_refused(db, "its schema version is 1000");
	assert_null(store_sql_run(db, "PRAGMA user_version=-1"));
	expect_refused(db, "its schema version is -1");
}

/* What runs when a table is read or written is not ours. */
static void test_programs_are_refused(void **arg)
{
	sqlite3 *db = *arg;
	static const char *const rows[][2] = {{"CREATE VIEW v AS SELECT 1", "DROP VIEW v"},
		{"CREATE TRIGGER t AFTER INSERT ON audit BEGIN DELETE FROM audit; END", "DROP TRIGGER t"}};
	bool empty;
	update(db, store_migrations());
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_null(store_sql_run(db, rows[i][0]));
		struct fault *f = store_schema_check(db, store_migrations(), &empty);
		assert_non_null(f);
		assert_int_equal(fault_code(f), FAULT_INVALID);
		fault_free(f);
		assert_null(store_sql_run(db, rows[i][1]));
		assert_null(store_schema_check(db, store_migrations(), &empty));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ours_is_made, setup, teardown),
		cmocka_unit_test_setup_teardown(test_from_every_earlier_version, setup, teardown),
		cmocka_unit_test_setup_teardown(test_steps_in_order_with_content, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_failing_step_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_programs_are_refused, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
