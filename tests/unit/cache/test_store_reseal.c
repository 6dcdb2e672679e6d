/* The seal's rotation: every record is sealed anew under a new data key and a new seal key, while the store goes on;
 * cut short at any moment the state opens with the seal key in place, and the next start ends what was begun. */
#include "state.h"
#include <sqlite3.h>
#include <sys/wait.h>
#include "cache/seal_key.h"
#include "faulty_vfs.h"
#include "first_records.h"

enum { VERSIONS = 150 }; /* more than two steps */

struct sealed {
	struct state state;
	struct entry_key *entries[VERSIONS];
	struct version *versions[VERSIONS];
};

static void put_all(struct sealed *k)
{
	AUTO(secret_freep) struct secret *blob = NULL;
	struct store_tx *tx = store_tx_new();
	for (size_t i = 0; i < VERSIONS; i++)
		store_tx_put_version(tx, k->versions[i]);
	assert_null(secret_new("the key of a CA", 15, &blob));
	store_tx_put_blob(tx, "authority/lab", blob);
	store_tx_complete_first_start(tx);
	state_commit(&k->state, tx);
}

static int setup(void **arg)
{
	struct sealed *k = mem_new(struct sealed);
	struct state *s = &k->state;
	state_init(s);
	for (size_t i = 0; i < VERSIONS; i++) {
		char name[16];
		(void)snprintf(name, sizeof name, "s%zu", i);
		k->entries[i] = entry_key_new(name, NULL, 0);
		k->versions[i] = i % 10 ? state_leaf(s, k->entries[i]) : state_bundle(s, k->entries[i]);
	}
	state_open(s);
	put_all(k);
	*arg = k;
	return 0;
}

static int teardown(void **arg)
{
	struct sealed *k = *arg;
	faulty_vfs_arm(FAULTY_NONE, 0);
	for (size_t i = 0; i < VERSIONS; i++) {
		version_unref(k->versions[i]);
		entry_key_unref(k->entries[i]);
	}
	state_done(&k->state);
	free(k);
	return 0;
}

/* All that was put, and nothing damaged. */
static void expect_all(struct sealed *k)
{
	struct state *s = &k->state;
	AUTO(secret_freep) struct secret *blob = NULL;
	struct state_seen seen;
	assert_false(s->first_start);
	state_load(s, &seen);
	if (seen.damaged)
		fail_msg("%s", seen.fault[0]);
	assert_int_equal(seen.current, VERSIONS);
	seen_free(&seen);
	assert_null(store_load_blob(s->store, "authority/lab", &blob));
	assert_memory_equal(secret_bytes(blob, NULL), "the key of a CA", 15);
}

struct told {
	bool done;
	struct fault *fault;
	struct store_rotation result;
};

static void tell(void *arg, struct fault *f, const struct store_rotation *r)
{
	struct told *t = arg;
	*t = (struct told){true, f, *r};
}

static struct told rotate(struct state *s, const struct secret *given)
{
	struct told t = {.done = false};
	store_rotate_seal(s->store, given, tell, &t);
	while (!t.done)
		(void)loop_turn(s->loop, true);
	return t;
}

static void rotate_well(struct state *s, const struct secret *given, bool waits)
{
	struct told t = rotate(s, given);
	if (t.fault)
		fail_msg("%s", fault_text(t.fault));
	assert_int_equal(t.result.records, VERSIONS + 1);
	assert_int_equal(t.result.damaged, 0);
	assert_int_equal(t.result.waits, waits);
}

static int64_t number(struct state *s, const char *sql)
{
	AUTO(mem_freep) char *path = state_path(s, "leafcast.db");
	sqlite3 *db;
	sqlite3_stmt *st;
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix"), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	int64_t n = sqlite3_column_int64(st, 0);
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	return n;
}

/* One data key, wrapped once, under which everything is sealed. For a store that is closed. */
static void expect_settled(struct state *s, int64_t id)
{
	AUTO(mem_freep) char *next = state_path(s, "seal.key.new");
	assert_int_equal(number(s, "SELECT count(*) FROM seal_key"), 1);
	assert_int_equal(number(s, "SELECT length(wrapped) FROM seal_key"), SEAL_WRAPPED_BYTES);
	assert_int_equal(number(s, "SELECT max(seal_key) FROM version"), id);
	assert_int_equal(number(s, "SELECT min(seal_key) FROM version"), id);
	assert_int_equal(number(s, "SELECT seal_key FROM blob"), id);
	assert_int_not_equal(access(next, F_OK), 0);
}

static struct buf read_whole(struct state *s, const char *name)
{
	AUTO(mem_freep) char *path = state_path(s, name);
	struct buf b = BUF_INIT;
	assert_null(file_read(path, 1 << 22, &b));
	return b;
}

static void put_key(struct state *s, const struct buf *key)
{
	AUTO(mem_freep) char *path = state_path(s, "seal.key");
	assert_null(file_write(path, 0600, key->data, key->len));
}

static void test_rotated(void **arg)
{
	struct sealed *k = *arg;
	struct state *s = &k->state;
	struct buf former = read_whole(s, "seal.key");
	for (int64_t id = 2; id < 4; id++) {
		rotate_well(s, NULL, false);
		state_close(s);
		expect_settled(s, id);
		state_open(s);
		expect_all(k);
		put_all(k); /* it goes on, under the new key */
		assert_int_equal(store_pending(s->store), 0);
	}
	state_close(s);
	put_key(s, &former); /* the former key is worth nothing any more */
	state_refused(s, NULL, FAULT_CORRUPT, "does not open this state");
	buf_free(&former);
}

/* What was sealed under the former data key is in no file any more. */
static void test_former_records_are_gone(void **arg)
{
	struct sealed *k = *arg;
	struct state *s = &k->state;
	state_close(s);
	struct buf before = read_whole(s, "leafcast.db");
	sqlite3 *db;
	sqlite3_stmt *st;
	unsigned char sealed[64];
	AUTO(mem_freep) char *path = state_path(s, "leafcast.db");
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix"), SQLITE_OK);
	assert_int_equal(
		sqlite3_prepare_v2(db, "SELECT sealed FROM version LIMIT 1 OFFSET 71", -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	assert_true(sqlite3_column_bytes(st, 0) > (int)sizeof sealed);
	memcpy(sealed, sqlite3_column_blob(st, 0), sizeof sealed);
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_non_null(memmem(before.data, before.len, sealed, sizeof sealed));
	state_open(s);
	rotate_well(s, NULL, false);
	struct buf after = read_whole(s, "leafcast.db"), log = read_whole(s, "leafcast.db-wal");
	assert_null(memmem(after.data, after.len, sealed, sizeof sealed));
	assert_true(!log.len || !memmem(log.data, log.len, sealed, sizeof sealed));
	buf_free(&before);
	buf_free(&after);
	buf_free(&log);
}

/* A key that the operator puts in place himself: until he does, both open the state. */
static void test_given_key(void **arg)
{
	struct sealed *k = *arg;
	struct state *s = &k->state;
	AUTO(secret_freep) struct secret *given = NULL;
	AUTO(mem_freep) char *path = state_path(s, "given.key"), *place = state_path(s, "seal.key");
	struct buf former = read_whole(s, "seal.key");
	assert_null(seal_key_make(&given));
	assert_null(seal_key_write(path, given));
	rotate_well(s, given, true);
	state_close(s);
	state_open(s); /* with the former */
	expect_all(k);
	store_begin_upkeep(s->store);
	while (store_pending(s->store))
		(void)loop_turn(s->loop, true);
	state_close(s);
	assert_int_equal(number(s, "SELECT length(wrapped) FROM seal_key"), 2 * SEAL_WRAPPED_BYTES);
	assert_int_equal(rename(path, place), 0);
	state_open(s);
	expect_all(k);
	store_begin_upkeep(s->store);
	while (store_pending(s->store))
		(void)loop_turn(s->loop, true);
	state_close(s);
	expect_settled(s, 2);
	put_key(s, &former);
	state_refused(s, NULL, FAULT_CORRUPT, "does not open this state");
	buf_free(&former);
}

/* The operator replaced the file first, and then gave the order. */
static void test_key_in_place(void **arg)
{
	struct sealed *k = *arg;
	struct state *s = &k->state;
	AUTO(mem_freep) char *place = state_path(s, "seal.key");
	AUTO(secret_freep) struct secret *next = NULL;
	assert_int_equal(remove(place), 0);
	assert_null(seal_key_make(&next));
	assert_null(seal_key_write(place, next));
	rotate_well(s, NULL, false);
	state_close(s);
	expect_settled(s, 2);
	state_open(s);
	expect_all(k);
}

struct overtaking {
	const struct told *rotation;
	bool done, was_first;
};

static void note_order(void *arg, struct fault *f)
{
	struct overtaking *o = arg;
	assert_null(f);
	o->was_first = !o->rotation->done;
	o->done = true;
}

/* A commit that was handed over later than the rotation is done before it: it waits for a step at most. How the two
 * threads run is luck, so there are tries. */
static void test_commits_go_on(void **arg)
{
	struct sealed *k = *arg;
	struct state *s = &k->state;
	bool seen = false;
	for (int i = 0; i < 50 && !seen; i++) {
		struct told t = {.done = false};
		struct overtaking o = {.rotation = &t};
		struct store_tx *tx = store_tx_new();
		store_tx_put_fact(tx, "fact", i);
		store_rotate_seal(s->store, NULL, tell, &t);
		store_commit(s->store, tx, note_order, &o);
		while (!t.done || !o.done)
			(void)loop_turn(s->loop, true);
		assert_null(t.fault);
		seen = o.was_first;
	}
	assert_true(seen);
}

static void test_a_damaged_record_is_left_alone(void **arg)
{
	struct sealed *k = *arg;
	struct state *s = &k->state;
	AUTO(mem_freep) char *path = state_path(s, "leafcast.db");
	sqlite3 *db;
	state_close(s);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, "unix"), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "UPDATE version SET received_at_ms = 1 WHERE seq = 77", NULL, NULL, NULL), 0);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	state_open(s);
	struct told t = rotate(s, NULL);
	assert_null(t.fault);
	assert_int_equal(t.result.damaged, 1);
	assert_int_equal(t.result.records, VERSIONS);
	state_close(s);
	assert_int_equal(number(s, "SELECT count(*) FROM version WHERE seal_key = 1"), 1);
}

/* Of an older leafcast: described in the background. */
static void test_first_records_are_renewed(void **arg)
{
	struct sealed *k = *arg;
	struct state *s = &k->state;
	state_close(s);
	write_first_records(s, k->versions, VERSIONS);
	state_open(s);
	expect_all(k);
	store_begin_upkeep(s->store);
	while (store_pending(s->store))
		(void)loop_turn(s->loop, true);
	state_close(s);
	assert_int_equal(number(s, "SELECT count(*) FROM version WHERE description IS NULL"), 0);
	assert_int_equal(number(s, "SELECT seq FROM version ORDER BY seq LIMIT 1"), 1);
	state_open(s);
	expect_all(k);
	store_begin_upkeep(s->store);
	assert_int_equal(store_pending(s->store), 0); /* nothing is left to do */
}

static void test_stopped(void **arg)
{
	struct sealed *k = *arg;
	struct state *s = &k->state;
	bool seen = false;
	for (int i = 0; i < 50 && !seen; i++) {
		struct told t = {.done = false};
		store_rotate_seal(s->store, NULL, tell, &t);
		store_stop_tasks(s->store);
		while (!t.done)
			(void)loop_turn(s->loop, true);
		seen = t.fault != NULL; /* it may have been faster */
		assert_true(!t.fault || fault_code(t.fault) == FAULT_UNAVAILABLE);
		fault_free(t.fault);
		state_close(s);
		state_open(s);
		expect_all(k);
	}
	assert_true(seen);
}

/* --- cut short at every operation that changes the disk --- */

static int rotate_in_a_child(struct sealed *k, enum faulty what, long nth)
{
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct state *s = &k->state;
		loop_free(s->loop);
		if (loop_new(clock_system(), &s->loop) || state_open_with(s, NULL))
			_exit(1);
		faulty_vfs_arm(what, nth);
		struct told t = rotate(s, NULL);
		_exit(t.fault ? 2 : 0);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_death_at_each_operation(void **arg)
{
	struct sealed *k = *arg;
	struct state *s = &k->state;
	long nth = 1;
	for (int code = FAULTY_EXIT_CODE; code != 0; nth++) {
		state_close(s);
		code = rotate_in_a_child(k, FAULTY_TORN, nth);
		assert_true(code == 0 || code == FAULTY_EXIT_CODE);
		state_open(s);
		expect_all(k);
		store_begin_upkeep(s->store);
		while (store_pending(s->store))
			(void)loop_turn(s->loop, true);
		state_close(s);
		assert_int_equal(number(s, "SELECT count(*) FROM seal_key"), 1);
		assert_int_equal(
			number(s, "SELECT count(*) FROM version WHERE seal_key <> (SELECT id FROM seal_key)"), 0);
		assert_int_equal(number(s, "SELECT length(wrapped) FROM seal_key"), SEAL_WRAPPED_BYTES);
		state_open(s);
		expect_all(k);
	}
	assert_true(nth > 20);
}

static void test_full_disk(void **arg)
{
	struct sealed *k = *arg;
	struct state *s = &k->state;
	for (long nth = 1; nth < 40; nth += 3) {
		faulty_vfs_arm(FAULTY_FULL, nth);
		struct told t = rotate(s, NULL);
		faulty_vfs_arm(FAULTY_NONE, 0);
		if (t.fault)
			assert_int_equal(fault_code(t.fault), FAULT_UNAVAILABLE);
		fault_free(t.fault);
		state_close(s);
		state_open(s);
		expect_all(k);
	}
	rotate_well(s, NULL, false);
}

/* --- a copy while it is written --- */

struct copy {
	bool done;
	struct fault *fault;
	int fd;
	int64_t bytes;
};

static void take_copy(void *arg, struct fault *f, int fd, int64_t bytes)
{
	*(struct copy *)arg = (struct copy){true, f, fd, bytes};
}

static void test_backup(void **arg)
{
	struct sealed *k = *arg;
	struct state *s = &k->state;
	struct copy c = {.done = false};
	AUTO(mem_freep) char *temporary = state_path(s, "backup.tmp");
	store_backup(s->store, take_copy, &c);
	for (int64_t i = 1; !c.done; i++) {
		struct store_tx *tx = store_tx_new();
		store_tx_put_fact(tx, "fact", i);
		state_commit(s, tx);
	}
	if (c.fault)
		fail_msg("%s", fault_text(c.fault));
	assert_int_not_equal(access(temporary, F_OK), 0);
	struct stat st;
	assert_int_equal(fstat(c.fd, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_size, c.bytes);
	struct buf bytes = BUF_INIT;
	assert_int_equal(pread(c.fd, buf_extend(&bytes, (size_t)c.bytes), (size_t)c.bytes, 0), c.bytes);
	assert_int_equal(close(c.fd), 0);
	/* In place of the database it is a whole state. */
	state_close(s);
	AUTO(mem_freep) char *path = state_path(s, "leafcast.db");
	assert_null(file_write(path, 0600, bytes.data, bytes.len));
	state_open(s);
	expect_all(k);
	buf_free(&bytes);
}

static void test_backup_onto_a_full_disk(void **arg)
{
	struct sealed *k = *arg;
	struct state *s = &k->state;
	AUTO(mem_freep) char *temporary = state_path(s, "backup.tmp");
	for (long nth = 1; nth < 20; nth += 5) {
		struct copy c = {.done = false};
		faulty_vfs_arm(FAULTY_FULL, nth);
		store_backup(s->store, take_copy, &c);
		while (!c.done)
			(void)loop_turn(s->loop, true);
		faulty_vfs_arm(FAULTY_NONE, 0);
		assert_true(c.fault && fault_code(c.fault) == FAULT_UNAVAILABLE);
		fault_free(c.fault);
		assert_int_equal(c.fd, -1);
		assert_int_not_equal(access(temporary, F_OK), 0);
		struct store_tx *tx = store_tx_new();
		store_tx_put_fact(tx, "fact", nth);
		state_commit(s, tx);
	}
}

int main(void)
{
	faulty_vfs_register();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rotated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_former_records_are_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_given_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_key_in_place, setup, teardown),
		cmocka_unit_test_setup_teardown(test_commits_go_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_damaged_record_is_left_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_first_records_are_renewed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stopped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_death_at_each_operation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_backup, setup, teardown),
		cmocka_unit_test_setup_teardown(test_backup_onto_a_full_disk, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
