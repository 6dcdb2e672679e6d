/* A file that claims to be a state and lacks its tables is at fault, not we. */
#include "cache/store_check.h"
#include <sqlite3.h>
#include "cache/store_schema.h"
#include "state.h"

static void test_without_tables(void **arg)
{
	(void)arg;
	static const char *const tables[] = {
		"", "CREATE TABLE meta(key, value);", "CREATE TABLE meta(other); CREATE TABLE version(put_at_ms);"};
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		char path[] = "/tmp/leafcast-test-XXXXXX";
		int fd = mkstemp(path);
		sqlite3 *db = NULL;
		struct store_content content;
		assert_true(fd >= 0);
		AUTO(mem_freep)
		char *sql = mem_printf("PRAGMA application_id=%d; PRAGMA user_version=%zu; CREATE TABLE t(x); %s",
			STORE_APPLICATION_ID, store_migrations()->count, tables[i]);
		assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
		assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
		assert_int_equal(sqlite3_close(db), SQLITE_OK);
		struct fault *f = store_check_file(path, &content);
		(void)unlink(path);
		(void)close(fd);
		assert_non_null(f);
		assert_true(fault_code(f) == FAULT_CORRUPT || fault_code(f) == FAULT_INVALID);
		fault_free(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_without_tables)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
