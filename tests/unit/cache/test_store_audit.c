/* The audit trail in the store: it is chained over restarts, and whatever somebody does to the file shows. */
#include "cache/store_audit.h"
#include <sqlite3.h>
#include "cache/store_db.h"
#include "state.h"

struct seen {
	bool done;
	struct audit_head head;
	size_t count;
	struct fault *verdict; /* of the whole trail */
};

static void on_page(void *arg, struct fault *f, const struct store_audit_page *p)
{
	struct seen *s = arg;
	struct audit_check c;
	assert_null(f);
	s->done = true;
	s->head = p->head;
	s->count = p->count;
	audit_check_begin(&c, &p->head);
	for (size_t i = 0; i < p->count && !s->verdict; i++)
		s->verdict = audit_check_record(&c, &p->records[i]);
	if (!s->verdict)
		s->verdict = audit_check_end(&c);
}

static struct seen look(struct state *s)
{
	struct seen seen = {.done = false};
	store_audit_read(s->store, 0, STORE_AUDIT_PAGE_MAX, on_page, &seen);
	while (!seen.done)
		(void)loop_turn(s->loop, true);
	return seen;
}

static void expect_whole(struct state *s, size_t records)
{
	struct seen seen = look(s);
	if (seen.verdict)
		fail_msg("%s", fault_text(seen.verdict));
	assert_int_equal(seen.count, records);
}

static void expect_broken(struct state *s, const char *what)
{
	struct seen seen = look(s);
	if (!seen.verdict)
		fail_msg("not found: %s", what);
	fault_free(seen.verdict);
}

static void record(struct state *s, const char *event)
{
	struct store_tx *tx = store_tx_new();
	store_tx_audit(tx, 1000, event, "{\"entry\":\"a\"}");
	store_tx_complete_first_start(tx);
	state_commit(s, tx);
}

static void edit(struct state *s, const char *sql)
{
	char path[128];
	sqlite3 *db = NULL;
	char *error = NULL;
	(void)snprintf(path, sizeof path, "%s/leafcast.db", s->folder);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
		fail_msg("%s: %s", sql, error);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static int setup(void **state)
{
	struct state *s = mem_new(struct state);
	state_init(s);
	state_open(s);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct state *s = *state;
	state_done(s);
	free(s);
	return 0;
}

static void test_over_restarts(void **state)
{
	struct state *s = *state;
	expect_whole(s, 0);
	for (size_t i = 1; i <= 6; i++) {
		record(s, "secret.issued");
		expect_whole(s, i);
		if (i % 2 == 0) {
			state_close(s);
			state_open(s);
			expect_whole(s, i);
		}
	}
}

/* A transaction that is taken back takes its records along, and leaves no hole in the chain: those in its batch go on.
 */
static void test_failed_transaction(void **state)
{
	static char name[4200000]; /* too long to be part of a sealed record's identity */
	struct state *s = *state;
	AUTO(secret_freep) struct secret *bytes = NULL;
	struct state_answer answers[9] = {{false, NULL}};
	memset(name, 'n', sizeof name - 1);
	assert_null(secret_new("x", 1, &bytes));
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		struct store_tx *tx = store_tx_new();
		store_tx_audit(tx, 1, "x", NULL);
		if (i % 3 == 1)
			store_tx_put_blob(tx, name, bytes);
		store_commit(s->store, tx, take_answer, &answers[i]);
	}
	while (store_pending(s->store))
		(void)loop_turn(s->loop, true);
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		assert_int_equal(answers[i].fault != NULL, i % 3 == 1);
		fault_free(answers[i].fault);
	}
	expect_whole(s, 6);
	state_complete(s);
	state_close(s);
	state_open(s);
	expect_whole(s, 6);
}

static void test_every_edit_of_the_file(void **state)
{
	static const char *const edits[] = {
		"UPDATE audit SET at_ms = at_ms + 1 WHERE seq = 2",
		"UPDATE audit SET event = 'x' WHERE seq = 1",
		"UPDATE audit SET detail = NULL WHERE seq = 3",
		"UPDATE audit SET hash = zeroblob(32) WHERE seq = 2",
		"UPDATE audit SET hash = NULL WHERE seq = 3",
		"DELETE FROM audit WHERE seq = 1",
		"DELETE FROM audit WHERE seq = 2",
		"DELETE FROM audit WHERE seq = 3",
		"DELETE FROM audit",
		"DELETE FROM blob WHERE name = 'audit/head'",
		"UPDATE blob SET sealed = zeroblob(80) WHERE name = 'audit/head'",
		"INSERT INTO audit SELECT 4, at_ms, event, detail, hash FROM audit WHERE seq = 3",
		"INSERT INTO audit SELECT 9223372036854775807, at_ms, event, detail, hash FROM audit WHERE seq = 3",
		"UPDATE audit SET seq = -seq WHERE seq < 3; UPDATE audit SET seq = 3 + seq WHERE seq < 0",
	};
	struct state *s = *state;
	for (size_t i = 0; i < ARRAY_LEN(edits); i++) {
		for (int n = 0; n < 3; n++)
			record(s, "secret.issued");
		expect_whole(s, 3);
		state_close(s);
		edit(s, edits[i]);
		state_open(s);
		expect_broken(s, edits[i]);
		record(s, "secret.issued"); /* it goes on, and what was found stays found */
		expect_broken(s, edits[i]);
		state_close(s);
		state_open(s);
		expect_broken(s, edits[i]);
		state_done(s);
		state_init(s);
		state_open(s);
	}
}

/* What was recorded before there was a chain is kept, and is not called a break. */
static void test_from_schema_1(void **state)
{
	struct state *s = *state;
	record(s, "old");
	state_close(s);
	edit(s, "UPDATE audit SET hash = NULL; DELETE FROM blob WHERE name = 'audit/head'");
	state_open(s);
	struct seen seen = look(s);
	assert_null(seen.verdict);
	assert_int_equal(seen.head.base_seq, 1);
	record(s, "new");
	expect_whole(s, 2);
}

static void test_oldest_leave(void **state)
{
	struct state *s = *state;
	struct store_db *db = NULL;
	struct audit_check c;
	struct store_audit_page page;
	state_close(s);
	const struct store_options o = {.folder = s->folder};
	struct fault *f = store_db_open(&o, clock_system(), &db);
	assert_null(f);
	db->audit_max = 5;
	for (int i = 0; i < 12; i++)
		assert_null(store_audit_add(db, i, "x", NULL));
	assert_null(store_audit_page(db, 0, 100, &page));
	assert_int_equal(page.count, 5);
	assert_int_equal(page.head.base_seq, 7);
	audit_check_begin(&c, &page.head);
	for (size_t i = 0; i < page.count; i++)
		assert_null(audit_check_record(&c, &page.records[i]));
	assert_null(audit_check_end(&c));
	store_audit_page_done(&page);
	assert_null(store_audit_save(db));
	store_db_close(db);
	state_open(s);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {T(test_over_restarts), T(test_failed_transaction),
		T(test_every_edit_of_the_file), T(test_from_schema_1), T(test_oldest_leave)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
