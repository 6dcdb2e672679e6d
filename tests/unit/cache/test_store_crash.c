/* The process dies, or the disk fails, at every single operation that changes the disk: what was there before, or what
 * was there after, and never anything else. */
#include "state.h"
#include <sys/resource.h>
#include <sys/wait.h>
#include <signal.h>
#include "faulty_vfs.h"

/* What a transaction leaves: two versions, a fact and a blob that belong together. */
struct content {
	struct entry_key *a, *b;
	struct version *a1, *a2, *b1;
	struct secret *one, *two;
};

struct crash {
	struct state state;
	struct content c;
};

static int setup(void **arg)
{
	struct crash *k = mem_new(struct crash);
	struct content *c = &k->c;
	state_init(&k->state);
	c->a = entry_key_new("a", NULL, 0);
	c->b = entry_key_new("b", NULL, 0);
	c->a1 = state_leaf(&k->state, c->a);
	c->a2 = state_leaf(&k->state, c->a);
	c->b1 = state_bundle(&k->state, c->b);
	assert_null(secret_new("one", 3, &c->one));
	assert_null(secret_new("two", 3, &c->two));
	*arg = k;
	return 0;
}

static int teardown(void **arg)
{
	struct crash *k = *arg;
	struct content *c = &k->c;
	faulty_vfs_arm(FAULTY_NONE, 0);
	version_unref(c->a1);
	version_unref(c->a2);
	version_unref(c->b1);
	entry_key_unref(c->a);
	entry_key_unref(c->b);
	secret_free(c->one);
	secret_free(c->two);
	state_done(&k->state);
	free(k);
	return 0;
}

static struct store_tx *first_tx(const struct content *c)
{
	struct store_tx *tx = store_tx_new();
	store_tx_put_version(tx, c->a1);
	store_tx_put_version(tx, c->b1);
	store_tx_put_blob(tx, "blob", c->one);
	store_tx_put_fact(tx, "fact", 1);
	store_tx_complete_first_start(tx);
	return tx;
}

static struct store_tx *second_tx(const struct content *c)
{
	struct store_tx *tx = store_tx_new();
	store_tx_put_version(tx, c->a2);
	store_tx_drop_version(tx, c->a, version_id(c->a1));
	store_tx_drop_entry(tx, c->b);
	store_tx_put_blob(tx, "blob", c->two);
	store_tx_put_fact(tx, "fact", 2);
	return tx;
}

static void expect_blob(struct state *s, const struct secret *expected)
{
	AUTO(secret_freep) struct secret *blob = NULL;
	assert_null(store_load_blob(s->store, "blob", &blob));
	assert_true(blob && secret_equal(blob, expected));
}

/* 0: nothing, 1: the first transaction, 2: both. Anything else fails the test. */
static int read_state(struct crash *k)
{
	struct state *s = &k->state;
	const struct content *c = &k->c;
	struct state_seen seen;
	state_load(s, &seen);
	assert_int_equal(seen.damaged, 0);
	int result = (int)seen.fact;
	if (result == 0) {
		AUTO(secret_freep) struct secret *blob = NULL;
		assert_null(store_load_blob(s->store, "blob", &blob));
		assert_true(seen.versions == 0 && seen.facts == 0 && !blob);
	} else if (result == 1) {
		assert_int_equal(seen.versions, 2);
		assert_string_equal(seen.id[0], version_id(c->a1));
		assert_string_equal(seen.id[1], version_id(c->b1));
		expect_blob(s, c->one);
	} else {
		assert_int_equal(seen.fact, 2);
		assert_int_equal(seen.versions, 1);
		assert_string_equal(seen.id[0], version_id(c->a2));
		expect_blob(s, c->two);
	}
	seen_free(&seen);
	return result;
}

static void remove_folder(struct state *s)
{
	(void)nftw(s->folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* Open, commit both, close: in a child that is armed. Its exit code; how many were told to be durable comes through
 * *told. */
static int run_child(struct crash *k, enum faulty what, long nth, bool with_first, int *told)
{
	int answers[2];
	assert_int_equal(pipe(answers), 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct state *s = &k->state;
		loop_free(s->loop); /* the parent's */
		faulty_vfs_arm(what, nth);
		if (loop_new(clock_system(), &s->loop) || state_open_with(s, NULL))
			_exit(1);
		for (int i = with_first ? 0 : 1; i < 2; i++) {
			struct fault *f = state_try(s, i ? second_tx(&k->c) : first_tx(&k->c));
			if (f || write(answers[1], "x", 1) != 1)
				_exit(2);
		}
		state_close(s);
		_exit(0);
	}
	close(answers[1]);
	char byte;
	for (*told = 0; read(answers[0], &byte, 1) == 1;)
		++*told;
	close(answers[0]);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void die_at_each_operation_of_a_first_start(struct crash *k, enum faulty what)
{
	struct state *s = &k->state;
	long nth = 1;
	int seen[3] = {0, 0, 0};
	for (;; nth++) {
		int told;
		int code = run_child(k, what, nth, true, &told);
		state_open(s); /* never refused, whatever it left */
		int found = read_state(k);
		assert_true(found >= told);
		assert_int_equal(s->first_start, found == 0);
		seen[found]++;
		state_close(s);
		remove_folder(s);
		if (code == 0)
			break;
		assert_int_equal(code, FAULTY_EXIT_CODE);
	}
	assert_true(nth > 20 && seen[0] > 5 && seen[1] > 1 && seen[2] > 1);
}

static void test_death_in_a_first_start(void **arg)
{
	die_at_each_operation_of_a_first_start(*arg, FAULTY_EXIT);
}

static void test_torn_write_in_a_first_start(void **arg)
{
	die_at_each_operation_of_a_first_start(*arg, FAULTY_TORN);
}

static void test_death_in_a_later_start(void **arg)
{
	struct crash *k = *arg;
	struct state *s = &k->state;
	int seen[3] = {0, 0, 0};
	for (long nth = 1;; nth++) {
		int told;
		state_open(s);
		state_commit(s, first_tx(&k->c));
		state_close(s);
		int code = run_child(k, FAULTY_TORN, nth, false, &told);
		state_open(s);
		assert_false(s->first_start);
		int found = read_state(k);
		assert_true(found >= 1 + told);
		seen[found]++;
		state_close(s);
		remove_folder(s);
		if (code == 0)
			break;
		assert_int_equal(code, FAULTY_EXIT_CODE);
	}
	assert_true(seen[1] > 1 && seen[2] > 1);
}

/* --- killed from outside, at any moment --- */

static void write_pairs(struct state *s, int answers)
{
	for (int64_t i = 1; i < 100000; i++) {
		struct store_tx *tx = store_tx_new();
		char text[24];
		AUTO(secret_freep) struct secret *blob = NULL;
		(void)snprintf(text, sizeof text, "%lld", (long long)i);
		store_tx_put_fact(tx, "fact", i);
		if (secret_new(text, strlen(text), &blob))
			_exit(3);
		store_tx_put_blob(tx, "blob", blob);
		if (i == 1)
			store_tx_complete_first_start(tx);
		if (state_try(s, tx) || write(answers, &i, sizeof i) != sizeof i)
			_exit(4);
	}
}

static void test_killed(void **arg)
{
	struct crash *k = *arg;
	struct state *s = &k->state;
	for (int round = 1; round <= 10; round++) {
		int answers[2];
		assert_int_equal(pipe(answers), 0);
		pid_t child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			loop_free(s->loop);
			if (loop_new(clock_system(), &s->loop) || state_open_with(s, NULL))
				_exit(1);
			write_pairs(s, answers[1]);
			_exit(2);
		}
		close(answers[1]);
		int64_t told = 0, next;
		for (int i = 0; i < 7 * round && read(answers[0], &next, sizeof next) == sizeof next; i++)
			told = next;
		assert_int_equal(kill(child, SIGKILL), 0);
		while (read(answers[0], &next, sizeof next) == sizeof next)
			told = next;
		close(answers[0]);
		int status;
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status) && told >= 7 * round);
		state_open(s);
		struct state_seen seen;
		size_t len;
		AUTO(secret_freep) struct secret *blob = NULL;
		state_load(s, &seen);
		assert_true(seen.fact == told || seen.fact == told + 1);
		assert_null(store_load_blob(s->store, "blob", &blob));
		assert_int_equal(strtoll((const char *)secret_bytes(blob, &len), NULL, 10), seen.fact);
		seen_free(&seen);
		state_close(s);
		remove_folder(s);
	}
}

/* --- a log that did not survive whole --- */

/* Leaves a log with one more version and a fact that belong together, without closing. */
static void leave_a_log(struct crash *k)
{
	struct state *s = &k->state;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct store_tx *tx = store_tx_new();
		loop_free(s->loop);
		store_tx_put_version(tx, k->c.a2);
		store_tx_put_fact(tx, "fact", 3);
		if (loop_new(clock_system(), &s->loop) || state_open_with(s, NULL) || state_try(s, tx))
			_exit(1);
		(void)kill(getpid(), SIGKILL);
	}
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
}

struct log_files {
	char *database, *log;
	struct buf database_bytes, log_bytes;
};

/* With these bytes for a log: 1 or 3, by the fact; the versions that belong to it, and no other. */
static int open_with_log(struct crash *k, const struct log_files *files, size_t log_len)
{
	struct state *s = &k->state;
	struct state_seen seen;
	assert_null(file_write(files->database, 0600, files->database_bytes.data, files->database_bytes.len));
	assert_null(file_write(files->log, 0600, files->log_bytes.data, log_len));
	state_open(s);
	assert_false(s->first_start);
	state_load(s, &seen);
	int fact = (int)seen.fact;
	assert_int_equal(seen.damaged, 0);
	assert_true((fact == 1 && seen.versions == 2) || (fact == 3 && seen.versions == 3));
	seen_free(&seen);
	state_close(s);
	return fact;
}

static void test_torn_and_flipped_logs(void **arg)
{
	struct crash *k = *arg;
	struct state *s = &k->state;
	struct log_files files = {.database = state_path(s, "leafcast.db"), .log = state_path(s, "leafcast.db-wal")};
	int seen[4] = {0};
	state_open(s);
	state_commit(s, first_tx(&k->c));
	state_close(s);
	leave_a_log(k);
	assert_null(file_read(files.database, 1 << 20, &files.database_bytes));
	assert_null(file_read(files.log, 1 << 20, &files.log_bytes));
	assert_int_equal(open_with_log(k, &files, files.log_bytes.len), 3);
	for (size_t len = 0; len < files.log_bytes.len; len += 101)
		seen[open_with_log(k, &files, len)]++;
	assert_true(seen[1] > 20);
	for (size_t at = 0; at < files.log_bytes.len; at += 97) {
		files.log_bytes.data[at] ^= 4;
		seen[open_with_log(k, &files, files.log_bytes.len)]++;
		files.log_bytes.data[at] ^= 4;
	}
	buf_free(&files.database_bytes);
	buf_free(&files.log_bytes);
	free(files.database);
	free(files.log);
}

/* --- the disk fails --- */

static void expect_retryable(struct fault *f)
{
	if (!f)
		fail_msg("the disk failed, and nobody said so");
	if (fault_code(f) != FAULT_UNAVAILABLE || !fault_is_retryable(f))
		fail_msg("%s %s", fault_code_name(fault_code(f)), fault_text(f));
	fault_free(f);
}

/* Full at the nth operation, and until it is emptied again: the transaction fails, or was done; then it can be written.
 */
static void test_full_disk(void **arg)
{
	struct crash *k = *arg;
	struct state *s = &k->state;
	bool failed = true;
	for (long nth = 1; failed; nth++) {
		state_open(s);
		state_commit(s, first_tx(&k->c));
		faulty_vfs_arm(FAULTY_FULL, nth);
		struct fault *f = state_try(s, second_tx(&k->c));
		failed = f != NULL;
		if (f) {
			expect_retryable(f);
			expect_retryable(state_try(s, second_tx(&k->c))); /* and again, for as long as it lasts */
			expect_blob(s, k->c.one);
		}
		faulty_vfs_arm(FAULTY_NONE, 0);
		if (failed) {
			state_close(s);
			state_open(s);
			assert_int_equal(read_state(k), 1); /* nothing of it was written */
			state_commit(s, second_tx(&k->c));
		}
		state_close(s);
		state_open(s);
		assert_int_equal(read_state(k), 2);
		state_close(s);
		remove_folder(s);
	}
}

static void test_full_disk_without_a_restart(void **arg)
{
	struct crash *k = *arg;
	struct state *s = &k->state;
	state_open(s);
	state_commit(s, first_tx(&k->c));
	faulty_vfs_arm(FAULTY_FULL, 1);
	for (int i = 0; i < 20; i++)
		expect_retryable(state_try(s, second_tx(&k->c)));
	faulty_vfs_arm(FAULTY_NONE, 0);
	state_commit(s, second_tx(&k->c));
	expect_blob(s, k->c.two);
	state_close(s);
	state_open(s);
	assert_int_equal(read_state(k), 2);
}

static void test_one_error_at_each_operation(void **arg)
{
	struct crash *k = *arg;
	struct state *s = &k->state;
	bool failed = true;
	for (long nth = 1; failed; nth++) {
		state_open(s);
		state_commit(s, first_tx(&k->c));
		faulty_vfs_arm(FAULTY_IOERR, nth);
		struct fault *f = state_try(s, second_tx(&k->c));
		failed = f != NULL;
		if (f) {
			expect_retryable(f);
			state_commit(s, second_tx(&k->c)); /* the next try */
		}
		faulty_vfs_arm(FAULTY_NONE, 0);
		state_close(s);
		state_open(s);
		assert_int_equal(read_state(k), 2);
		state_close(s);
		remove_folder(s);
	}
}

static void test_errors_while_opening(void **arg)
{
	struct crash *k = *arg;
	struct state *s = &k->state;
	bool failed = true;
	long nth = 1;
	for (; failed; nth++) {
		faulty_vfs_arm(FAULTY_FULL, nth);
		struct fault *f = state_open_with(s, NULL);
		failed = f != NULL;
		if (f)
			expect_retryable(f);
		faulty_vfs_arm(FAULTY_NONE, 0);
		if (failed)
			state_open(s);
		assert_true(s->first_start);
		state_commit(s, first_tx(&k->c));
		assert_int_equal(store_usage(s->store).versions, 2);
		state_close(s);
		remove_folder(s);
	}
	assert_true(nth > 5);
}

/* Deleted or replaced under our feet: what we wrote into it would be gone with us. */
static void test_a_file_that_went_away(void **arg)
{
	struct crash *k = *arg;
	struct state *s = &k->state;
	AUTO(mem_freep) char *path = state_path(s, "leafcast.db"), *away = state_path(s, "away");
	state_open(s);
	state_commit(s, first_tx(&k->c));
	assert_int_equal(rename(path, away), 0);
	struct fault *f = state_try(s, second_tx(&k->c));
	assert_true(f && strstr(fault_text(f), "was removed or replaced"));
	expect_retryable(f);
	assert_null(file_write(path, 0600, "another", 7));
	expect_retryable(state_try(s, second_tx(&k->c)));
	assert_int_equal(rename(away, path), 0);
	expect_blob(s, k->c.one);
	state_commit(s, second_tx(&k->c)); /* back in its place */
	state_close(s);
	state_open(s);
	assert_int_equal(read_state(k), 2);
}

/* A real limit of the system in place of ours. */
static void test_file_size_limit(void **arg)
{
	struct crash *k = *arg;
	struct state *s = &k->state;
	struct rlimit before, tight;
	struct store_tx *tx;
	unsigned char bytes[20000];
	AUTO(secret_freep) struct secret *large = NULL;
	memset(bytes, 1, sizeof bytes);
	assert_null(secret_new(bytes, sizeof bytes, &large));
	state_open(s);
	state_commit(s, first_tx(&k->c));
	assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	tight = before;
	tight.rlim_cur = 16384; /* the blob alone needs more in the log */
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	tx = second_tx(&k->c);
	store_tx_put_blob(tx, "large", large);
	struct fault *f = state_try(s, tx);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	expect_retryable(f);
	expect_blob(s, k->c.one);
	state_commit(s, second_tx(&k->c));
	state_close(s);
	state_open(s);
	assert_int_equal(read_state(k), 2);
}

int main(void)
{
	faulty_vfs_register();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_death_in_a_first_start, setup, teardown),
		cmocka_unit_test_setup_teardown(test_torn_write_in_a_first_start, setup, teardown),
		cmocka_unit_test_setup_teardown(test_death_in_a_later_start, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_torn_and_flipped_logs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_disk_without_a_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_error_at_each_operation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors_while_opening, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_file_that_went_away, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file_size_limit, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
