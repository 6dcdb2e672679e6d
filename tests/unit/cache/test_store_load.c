/* Reading back: a record that was changed in any column is told as damaged, and takes nothing else with it. */
#include "state.h"
#include <sqlite3.h>
#include "first_records.h"

struct damage {
	struct state state;
	struct entry_key *a, *b;
	struct version *a1, *a2, *b1;
};

static int setup(void **arg)
{
	struct damage *d = mem_new(struct damage);
	struct state *s = &d->state;
	AUTO(secret_freep) struct secret *blob = NULL;
	state_init(s);
	d->a = entry_key_new("a", NULL, 0);
	d->b = entry_key_new("b", NULL, 0);
	d->a1 = state_leaf(s, d->a);
	d->a2 = state_leaf(s, d->a);
	d->b1 = state_bundle(s, d->b);
	state_open(s);
	struct store_tx *tx = store_tx_new();
	store_tx_put_version(tx, d->a1);
	store_tx_put_version(tx, d->a2);
	store_tx_put_version(tx, d->b1);
	assert_null(secret_new("ca key", 6, &blob));
	store_tx_put_blob(tx, "one", blob);
	store_tx_put_blob(tx, "two", blob);
	store_tx_complete_first_start(tx);
	state_commit(s, tx);
	state_close(s);
	*arg = d;
	return 0;
}

static int teardown(void **arg)
{
	struct damage *d = *arg;
	version_unref(d->a1);
	version_unref(d->a2);
	version_unref(d->b1);
	entry_key_unref(d->a);
	entry_key_unref(d->b);
	state_done(&d->state);
	free(d);
	return 0;
}

static void run_sql(struct state *s, const char *sql)
{
	AUTO(mem_freep) char *path = state_path(s, "leafcast.db");
	sqlite3 *db;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_true(sqlite3_total_changes(db) > 0);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* One change, and the words that tell of it. "a1", "a2", "b1" stand first in seq. */
static const struct {
	const char *sql, *words;
} CHANGES[] = {
	{"UPDATE version SET sealed = zeroblob(length(sealed)) WHERE seq = 1", "unknown format 0"},
	{"UPDATE version SET sealed = CAST(substr(sealed, 1, length(sealed) - 1) || x'00' AS BLOB) WHERE seq = 1",
		"was changed"},
	{"UPDATE version SET sealed = substr(sealed, 1, 40) WHERE seq = 1", "was changed"},
	{"UPDATE version SET sealed = x'' WHERE seq = 1", "a sealed record of 0 bytes"},
	{"UPDATE version SET sealed = (SELECT sealed FROM version WHERE seq = 2) WHERE seq = 1", "was changed"},
	{"UPDATE version SET received_at_ms = received_at_ms + 1 WHERE seq = 1", "was changed"},
	{"UPDATE version SET authority = 'other' WHERE seq = 1", "was changed"},
	{"UPDATE version SET authority = NULL WHERE seq = 1", "was changed"},
	{"UPDATE version SET profile = '' WHERE seq = 1", "was changed"},
	{"UPDATE version SET kind = 2 WHERE seq = 1", "was changed"},
	{"UPDATE version SET kind = 9 WHERE seq = 1", "was changed"},
	{"UPDATE version SET id = '00000000000000000000000000000000' WHERE seq = 1", "was changed"},
	{"UPDATE version SET id = '' WHERE seq = 1", "was changed"},
	{"UPDATE version SET id = CAST(x'ff0a' AS TEXT) WHERE seq = 1", "version \\xff\\n: "},
	{"UPDATE version SET id = printf('%05000d', 1) WHERE seq = 1", "version 00000000000000000000000000000000: "},
	{"UPDATE version SET entry = CAST('c' || x'00' AS BLOB) WHERE seq = 1", "record of \"c\""},
	{"UPDATE version SET entry = x'61' WHERE seq = 1", "its entry cannot be read"},
	{"UPDATE version SET entry = x'' WHERE seq = 1", "its entry cannot be read"},
	{"UPDATE version SET public = (SELECT public FROM version WHERE seq = 2) WHERE seq = 1", "was changed"},
	{"UPDATE version SET public = x'' WHERE seq = 1", "was changed"},
	{"UPDATE version SET public = zeroblob(5000000) WHERE seq = 1", "it is too large"},
	{"UPDATE version SET description = (SELECT description FROM version WHERE seq = 2) WHERE seq = 1",
		"was changed"},
	{"UPDATE version SET description = NULL WHERE seq = 1", "was changed"},
	{"UPDATE version SET description = x'' WHERE seq = 3", "was changed"},
	{"UPDATE version SET seal_key = 7 WHERE seq = 1", "unknown data key"},
	{"UPDATE version SET public = (SELECT public FROM version WHERE seq = 1) WHERE seq = 3", "was changed"},
	{"UPDATE version SET sealed = (SELECT sealed FROM version WHERE seq = 1) WHERE seq = 3", "was changed"},
	{"UPDATE version SET received_at_ms = 1 WHERE seq = 3", "was changed"},
};

static void expect_one_damaged(struct state *s, const char *sql, const char *words)
{
	struct state_seen seen;
	state_load(s, &seen);
	if (seen.damaged != 1 || !strstr(seen.fault[0], words) || !strstr(seen.fault[0], "record of "))
		fail_msg("%s: %zu damaged: %s", sql, seen.damaged, seen.damaged ? seen.fault[0] : "");
	assert_int_equal(seen.versions, 2);
	seen_free(&seen);
}

static void test_changed_records(void **arg)
{
	struct damage *d = *arg;
	struct state *s = &d->state;
	AUTO(mem_freep) char *path = state_path(s, "leafcast.db");
	struct buf sound = BUF_INIT;
	assert_null(file_read(path, 1 << 20, &sound));
	for (size_t i = 0; i < ARRAY_LEN(CHANGES); i++) {
		run_sql(s, CHANGES[i].sql);
		for (int start = 0; start < 2; start++) { /* it stays where it is */
			state_open(s);
			expect_one_damaged(s, CHANGES[i].sql, CHANGES[i].words);
			state_close(s);
		}
		assert_null(file_write(path, 0600, sound.data, sound.len));
	}
	buf_free(&sound);
}

static void test_a_dropped_entry_takes_its_damaged_records_along(void **arg)
{
	struct damage *d = *arg;
	struct state *s = &d->state;
	struct state_seen seen;
	run_sql(s, "UPDATE version SET received_at_ms = 1 WHERE seq = 2");
	state_open(s);
	struct store_tx *tx = store_tx_new();
	store_tx_drop_entry(tx, d->a);
	state_commit(s, tx);
	state_close(s);
	state_open(s);
	state_load(s, &seen);
	assert_true(seen.damaged == 0 && seen.versions == 1);
	seen_free(&seen);
}

static void test_a_version_put_anew_heals_its_record(void **arg)
{
	struct damage *d = *arg;
	struct state *s = &d->state;
	struct state_seen seen;
	run_sql(s, "UPDATE version SET received_at_ms = 1 WHERE seq = 2");
	state_open(s);
	struct store_tx *tx = store_tx_new();
	store_tx_put_version(tx, d->a2);
	state_commit(s, tx);
	state_close(s);
	state_open(s);
	state_load(s, &seen);
	assert_true(seen.damaged == 0 && seen.versions == 3);
	seen_free(&seen);
}

/* --- records from before schema version 3, which had no description --- */

static void test_records_without_a_description(void **arg)
{
	struct damage *d = *arg;
	struct state *s = &d->state;
	struct version *const put[] = {d->a1, d->a2, d->b1};
	struct state_seen seen;
	write_first_records(s, put, ARRAY_LEN(put));
	state_open(s);
	state_load(s, &seen);
	if (seen.damaged)
		fail_msg("%s", seen.fault[0]);
	assert_int_equal(seen.versions, 3);
	for (size_t i = 0; i < ARRAY_LEN(put); i++)
		assert_string_equal(seen.id[i], version_id(put[i]));
	assert_string_equal(version_leaf(seen.version[1])->sha256, version_leaf(d->a2)->sha256);
	seen_free(&seen);
	state_close(s);
	run_sql(s, "UPDATE version SET received_at_ms = 1 WHERE seq = 1");
	state_open(s);
	expect_one_damaged(s, "received_at_ms of a first record", "was changed");
}

/* A damaged blob is not the same as none: an authority that took it for none would make a new root. */
static void test_damaged_blobs(void **arg)
{
	static const char *const changes[] = {
		"UPDATE blob SET sealed = zeroblob(length(sealed)) WHERE name = 'one'",
		"UPDATE blob SET sealed = x'' WHERE name = 'one'",
		"UPDATE blob SET seal_key = 2 WHERE name = 'one'",
		"UPDATE blob SET sealed = (SELECT sealed FROM blob WHERE name = 'two') WHERE name = 'one'",
	};
	struct damage *d = *arg;
	struct state *s = &d->state;
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		AUTO(secret_freep) struct secret *one = NULL, *two = NULL;
		run_sql(s, changes[i]);
		state_open(s);
		struct fault *f = store_load_blob(s->store, "one", &one);
		assert_true(f && fault_code(f) == FAULT_CORRUPT && strstr(fault_text(f), "blob \"one\""));
		assert_null(one);
		fault_free(f);
		assert_null(store_load_blob(s->store, "two", &two));
		assert_non_null(two);
		state_close(s);
	}
	AUTO(secret_freep) struct secret *fresh = NULL, *back = NULL;
	assert_null(secret_new("new", 3, &fresh));
	state_open(s);
	struct store_tx *tx = store_tx_new();
	store_tx_put_blob(tx, "one", fresh);
	state_commit(s, tx);
	assert_null(store_load_blob(s->store, "one", &back));
	assert_true(secret_equal(fresh, back));
}

/* A backup may come from anywhere: its file need not have our constraints. */
static void test_tables_of_a_stranger(void **arg)
{
	struct damage *d = *arg;
	struct state *s = &d->state;
	struct state_seen seen;
	AUTO(secret_freep) struct secret *one = NULL, *two = NULL;
	run_sql(s, "PRAGMA writable_schema=ON;"
		   "UPDATE sqlite_schema SET sql = replace(replace(sql, ' NOT NULL', ''), ' STRICT', '')"
		   " WHERE name IN ('version', 'blob', 'audit')");
	run_sql(s, "DROP TABLE fact; CREATE TABLE fact(key, value);"
		   "INSERT INTO fact VALUES(NULL, 1); INSERT INTO fact VALUES('fact', 'x')");
	run_sql(s, "UPDATE blob SET name = NULL WHERE name = 'one'");
	run_sql(s, "UPDATE version SET id = NULL WHERE seq = 1; UPDATE version SET public = NULL WHERE seq = 2;"
		   "INSERT INTO version(entry) VALUES(NULL)");
	state_open(s);
	state_load(s, &seen);
	assert_int_equal(seen.versions, 1);
	assert_int_equal(seen.damaged, 4); /* one of them is the fact */
	assert_int_equal(seen.facts, 1);
	assert_int_equal(seen.fact, 0);
	assert_null(store_load_blob(s->store, "one", &one));
	assert_null(store_load_blob(s->store, "two", &two));
	assert_null(one);
	assert_non_null(two);
	seen_free(&seen);
	state_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_changed_records, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_dropped_entry_takes_its_damaged_records_along, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_version_put_anew_heals_its_record, setup, teardown),
		cmocka_unit_test_setup_teardown(test_records_without_a_description, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged_blobs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tables_of_a_stranger, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
