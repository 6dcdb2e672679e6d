/* What a node NACKed outlives a restart, and a damaged row takes nothing else with it. Databases of every earlier
 * schema are opened with what they hold. */
#include "state.h"
#include "first_records.h"
#include <sqlite3.h>
#include "cache/store_schema.h"

struct kept {
	size_t count, damaged;
	struct store_quarantine last;
	char text[512];
};

static void see(void *arg, const struct store_quarantine *q)
{
	struct kept *k = arg;
	k->last = *q;
	k->count++;
	(void)snprintf(k->text, sizeof k->text, "%s|%s|%s|%s|%s|%s|%s|%s", q->identity, q->who, q->node,
		entry_key_text(q->entry), q->version, q->held, q->message,
		q->neighbour ? entry_key_text(q->neighbour) : "-");
}

static void see_any(void *arg, struct version *v)
{
	(void)arg, (void)v;
}

static void see_any_past(void *arg, const struct store_past *p)
{
	(void)arg, (void)p;
}

static void see_bad(void *arg, struct fault *f)
{
	((struct kept *)arg)->damaged++;
	fault_free(f);
}

static void see_number(void *arg, const char *key, int64_t value)
{
	(void)arg, (void)key, (void)value;
}

static struct kept reload(struct state *s)
{
	struct kept k = {0};
	const struct store_visitor v = {&k, see_any, see_any_past, see_bad, see_number, see};
	state_close(s);
	state_open(s);
	assert_null(store_load(s->store, &v));
	return k;
}

static const struct store_quarantine example = {.identity = "unix 1 1",
	.who = "uid 1",
	.node = "n\x1f' \xc3\xa9",
	.version = "0123456789abcdef0123456789abcdef",
	.held = "",
	.message = "no; DROP TABLE version",
	.code = 13,
	.since_ms = 77};

static void put(struct state *s, const struct store_quarantine *q)
{
	struct store_tx *tx = store_tx_new();
	store_tx_put_quarantine(tx, q);
	state_commit(s, tx);
}

static void test_kept_replaced_dropped(void **arg)
{
	struct state *s = *arg;
	struct store_quarantine q = example;
	struct entry_key *entry = entry_key_new("a", (const char *const[]){"uid=1"}, 1),
			 *other = entry_key_new("b", NULL, 0);
	q.entry = entry;
	state_open(s);
	state_complete(s);
	put(s, &q);
	struct kept k = reload(s);
	assert_int_equal(k.count, 1);
	assert_int_equal(k.last.since_ms, 77);
	assert_int_equal(k.last.code, 13);
	assert_string_equal(k.text, "unix 1 1|uid 1|n\x1f' \xc3\xa9|a{uid=1}|0123456789abcdef0123456789abcdef||"
				    "no; DROP TABLE version|-");

	q.held = "11111111111111111111111111111111";
	q.hastens = STORE_HASTENED;
	q.chance = STORE_CHANCE_WASTED;
	q.neighbour = other;
	put(s, &q);
	k = reload(s);
	assert_int_equal(k.count, 1);
	assert_int_equal(k.last.hastens, STORE_HASTENED);
	assert_int_equal(k.last.chance, STORE_CHANCE_WASTED);
	assert_non_null(strstr(k.text, "|b"));

	/* Each part of the key tells apart. */
	q.node = "n";
	put(s, &q);
	q.identity = "unix 2 2";
	put(s, &q);
	q.version = "22222222222222222222222222222222";
	put(s, &q);
	q.entry = other;
	put(s, &q);
	assert_int_equal(reload(s).count, 5);

	struct store_tx *tx = store_tx_new();
	store_tx_drop_quarantine(tx, &q);
	state_commit(s, tx);
	assert_int_equal(reload(s).count, 4);
	tx = store_tx_new();
	store_tx_drop_entry(tx, entry); /* takes them along */
	state_commit(s, tx);
	assert_int_equal(reload(s).count, 0);
	state_close(s);
	entry_key_unref(entry);
	entry_key_unref(other);
}

static void run_sql(struct state *s, const char *sql)
{
	AUTO(mem_freep) char *path = state_path(s, "leafcast.db");
	sqlite3 *db;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_damaged_rows(void **arg)
{
	struct state *s = *arg;
	static const char *const changes[] = {"entry = x''", "entry = x'6161'", "version = printf('%033d', 1)",
		"held = printf('%033d', 1)", "hastens = 3", "chance = -1", "message = printf('%05000d', 1)",
		"node = CAST(x'ff' AS TEXT)", "who = CAST(x'610062' AS TEXT)", "identity = printf('%070000d', 1)"};
	struct entry_key *entry = entry_key_new("a", NULL, 0);
	struct store_quarantine good = example, bad = example;
	good.entry = bad.entry = entry;
	bad.node = "bad";
	state_open(s);
	state_complete(s);
	put(s, &good);
	for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
		put(s, &bad);
		state_close(s);
		AUTO(mem_freep)
		char *sql = mem_printf("UPDATE quarantine SET %s WHERE node = 'bad'", changes[i]);
		run_sql(s, sql);
		state_open(s);
		struct kept k = reload(s);
		assert_int_equal(k.count, 1);
		assert_int_equal(k.damaged, 1);
		state_close(s);
		run_sql(s, "DELETE FROM quarantine WHERE since_ms = 77 AND node <> 'n\x1f'' \xc3\xa9'");
		state_open(s);
	}
	assert_int_equal(reload(s).count, 1);
	state_close(s);
	entry_key_unref(entry);
}

/* What each schema version added, taken away again: the file as an older leafcast left it. */
static const char *const UNDO[] = {NULL, "DROP TABLE quarantine; PRAGMA user_version=1",
	"ALTER TABLE version DROP COLUMN description; PRAGMA user_version=2",
	"ALTER TABLE audit DROP COLUMN hash; DELETE FROM blob WHERE name = 'audit/head'; PRAGMA user_version=3"};

static void test_from_every_earlier_version(void **arg)
{
	struct state *s = *arg;
	struct entry_key *entry = entry_key_new("a", NULL, 0);
	struct version *v = state_leaf(s, entry);
	struct state_seen seen;
	struct store_quarantine q = example;
	q.entry = entry;
	assert_int_equal(store_migrations()->count, ARRAY_LEN(UNDO)); /* a new version needs its line above */
	state_open(s);
	struct store_tx *tx = store_tx_new();
	store_tx_put_version(tx, v);
	store_tx_put_fact(tx, "fact", 5);
	store_tx_complete_first_start(tx);
	state_commit(s, tx);
	for (size_t from = ARRAY_LEN(UNDO) - 1; from >= 1; from--) {
		state_close(s);
		write_first_records(s, &v, 1);
		for (size_t i = ARRAY_LEN(UNDO) - 1; i >= from; i--)
			run_sql(s, UNDO[i]);
		state_open(s);
		state_load(s, &seen);
		assert_int_equal(seen.versions, 1);
		assert_string_equal(seen.id[0], version_id(v));
		assert_int_equal(seen.fact, 5);
		seen_free(&seen);
		put(s, &q);
		assert_int_equal(reload(s).count, 1);
	}
	state_close(s);
	version_unref(v);
	entry_key_unref(entry);
}

static int setup(void **arg)
{
	struct state *s = mem_new(struct state);
	state_init(s);
	*arg = s;
	return 0;
}

static int teardown(void **arg)
{
	state_done(*arg);
	free(*arg);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kept_replaced_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged_rows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_from_every_earlier_version, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
