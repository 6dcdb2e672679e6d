/* Opening: which states of a folder are taken, which are refused and how; what is never overwritten. */
#include "state.h"
#include <sqlite3.h>
#include <signal.h>
#include <sys/wait.h>
#include <dirent.h>
#include "cache/store_schema.h"

static int setup(void **arg)
{
	struct state *s = mem_new(struct state);
	state_init(s);
	*arg = s;
	return unsetenv("CREDENTIALS_DIRECTORY");
}

static int teardown(void **arg)
{
	state_done(*arg);
	free(*arg);
	return unsetenv("CREDENTIALS_DIRECTORY");
}

/* A completed first start with one version of "a", closed again. */
static void make_complete(struct state *s)
{
	AUTO(entry_key_unrefp) struct entry_key *entry = entry_key_new("a", NULL, 0);
	AUTO(version_unrefp) struct version *v = state_leaf(s, entry);
	struct store_tx *tx = store_tx_new();
	state_open(s);
	store_tx_put_version(tx, v);
	store_tx_complete_first_start(tx);
	state_commit(s, tx);
	state_close(s);
}

static size_t count_versions(struct state *s)
{
	struct state_seen seen;
	state_load(s, &seen);
	size_t n = seen.versions;
	assert_int_equal(seen.damaged, 0);
	seen_free(&seen);
	return n;
}

static void expect_intact(struct state *s)
{
	state_open(s);
	assert_false(s->first_start);
	assert_int_equal(count_versions(s), 1);
	state_close(s);
}

static void expect_mode(struct state *s, const char *name, mode_t mode)
{
	AUTO(mem_freep) char *path = state_path(s, name);
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

static void run_sql(struct state *s, const char *sql)
{
	AUTO(mem_freep) char *path = state_path(s, "leafcast.db");
	sqlite3 *db;
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s", sqlite3_errmsg(db));
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void delete_file(struct state *s, const char *name)
{
	AUTO(mem_freep) char *path = state_path(s, name);
	assert_int_equal(unlink(path), 0);
}

static void rename_file(struct state *s, const char *from, const char *to)
{
	AUTO(mem_freep) char *from_path = state_path(s, from);
	AUTO(mem_freep) char *to_path = state_path(s, to);
	assert_int_equal(rename(from_path, to_path), 0);
}

static bool file_exists(struct state *s, const char *name)
{
	AUTO(mem_freep) char *path = state_path(s, name);
	return access(path, F_OK) == 0;
}

static void write_at(struct state *s, const char *name, off_t at, const void *bytes, size_t len)
{
	AUTO(mem_freep) char *path = state_path(s, name);
	int fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, at), (ssize_t)len);
	assert_int_equal(close(fd), 0);
}

/* --- what is made --- */

static void test_a_first_start_makes_private_files(void **arg)
{
	struct state *s = *arg;
	mode_t before = umask(0);
	state_open(s);
	assert_true(s->first_start);
	expect_mode(s, ".", 0700);
	expect_mode(s, "leafcast.db", 0600);
	expect_mode(s, "leafcast.db-wal", 0600);
	expect_mode(s, "seal.key", 0600);
	expect_mode(s, "lock", 0600);
	assert_false(file_exists(s, "leafcast.db-shm"));
	umask(before);
}

static void test_a_lax_database_is_made_private(void **arg)
{
	struct state *s = *arg;
	AUTO(mem_freep) char *path = state_path(s, "leafcast.db");
	make_complete(s);
	assert_int_equal(chmod(path, 0644), 0);
	state_open(s);
	expect_mode(s, "leafcast.db", 0600);
	expect_mode(s, "leafcast.db-wal", 0600);
}

static void test_settings_of_the_database(void **arg)
{
	struct state *s = *arg;
	AUTO(mem_freep) char *path = state_path(s, "leafcast.db");
	make_complete(s);
	struct buf file = BUF_INIT;
	assert_null(file_read(path, 1 << 20, &file));
	assert_memory_equal(file.data, "SQLite format 3", 16);
	assert_memory_equal(file.data + 68, "leaf", 4); /* the application id */
	assert_int_equal(file.data[18], 2);		/* WAL */
	buf_free(&file);
}

/* --- first starts that did not come to their end are begun anew --- */

static void finish_first_start(struct state *s)
{
	state_open(s);
	assert_true(s->first_start);
	assert_int_equal(count_versions(s), 0);
	state_complete(s);
	state_close(s);
	state_open(s);
	assert_false(s->first_start);
}

static void test_unfinished_with_content(void **arg)
{
	struct state *s = *arg;
	AUTO(entry_key_unrefp) struct entry_key *entry = entry_key_new("a", NULL, 0);
	AUTO(version_unrefp) struct version *v = state_leaf(s, entry);
	AUTO(secret_freep) struct secret *blob = NULL, *back = NULL;
	assert_null(secret_new("ca key", 6, &blob));
	state_open(s);
	struct store_tx *tx = store_tx_new();
	store_tx_put_version(tx, v);
	store_tx_put_blob(tx, "authority/lab", blob);
	store_tx_put_fact(tx, "fact", 1);
	state_commit(s, tx);
	state_close(s);
	state_open(s);
	assert_true(s->first_start);
	assert_null(store_load_blob(s->store, "authority/lab", &back));
	assert_null(back);
	state_close(s);
	finish_first_start(s);
}

static void test_unfinished_with_another_key(void **arg)
{
	struct state *s = *arg;
	state_open(s);
	state_close(s);
	delete_file(s, "seal.key");
	finish_first_start(s);
}

static void test_unfinished_before_the_key(void **arg)
{
	struct state *s = *arg;
	AUTO(mem_freep) char *path = state_path(s, "leafcast.db");
	assert_int_equal(mkdir(s->folder, 0700), 0);
	int fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0 && close(fd) == 0);
	finish_first_start(s);
}

static void test_unfinished_before_the_data_key(void **arg)
{
	struct state *s = *arg;
	state_open(s);
	state_close(s);
	run_sql(s, "DELETE FROM seal_key");
	finish_first_start(s);
}

/* --- refusals --- */

static void test_a_key_without_a_database(void **arg)
{
	struct state *s = *arg;
	make_complete(s);
	rename_file(s, "leafcast.db", "elsewhere");
	rename_file(s, "lock", "lock.away");
	state_refused(s, NULL, FAULT_INVALID, "holds a seal key but no leafcast.db");
	state_refused(s, NULL, FAULT_INVALID, "holds a seal key but no leafcast.db"); /* refusing made nothing */
	assert_false(file_exists(s, "leafcast.db"));
	rename_file(s, "elsewhere", "leafcast.db");
	expect_intact(s);
}

static void test_a_mark_without_a_database(void **arg)
{
	struct state *s = *arg;
	AUTO(mem_freep) char *key = mem_printf("%s/the.key", s->parent);
	AUTO(mem_freep) char *path = state_path(s, "leafcast.db");
	assert_null(state_open_with(s, key));
	assert_true(s->first_start);
	assert_false(file_exists(s, "seal.key"));
	state_complete(s);
	state_close(s);
	rename_file(s, "leafcast.db", "elsewhere");
	state_refused(s, key, FAULT_INVALID, "the mark of a completed first start but no leafcast.db");
	int fd = open(path, O_CREAT | O_WRONLY, 0600); /* and one that lost all its content */
	assert_true(fd >= 0 && close(fd) == 0);
	state_refused(s, key, FAULT_CORRUPT, "it is empty, though");
	rename_file(s, "elsewhere", "leafcast.db");
	assert_null(state_open_with(s, key));
	assert_false(s->first_start);
}

static void test_the_seal_key(void **arg)
{
	struct state *s = *arg;
	make_complete(s);
	rename_file(s, "seal.key", "key.away");
	state_refused(s, NULL, FAULT_NOT_FOUND, "its seal key is not there");
	assert_false(file_exists(s, "seal.key"));
	AUTO(mem_freep) char *path = state_path(s, "seal.key");
	assert_null(file_create(path, 0600, "0123456789abcdef0123456789abcdef", 32));
	state_refused(s, NULL, FAULT_CORRUPT, "the seal key does not open this state");
	assert_true(file_exists(s, "leafcast.db")); /* which is not damaged: it stays where it is */
	rename_file(s, "key.away", "seal.key");
	expect_intact(s);
	assert_int_equal(chmod(path, 0640), 0);
	state_refused(s, NULL, FAULT_INVALID, "is open to others");
}

static void test_a_key_file_of_its_own(void **arg)
{
	struct state *s = *arg;
	AUTO(mem_freep) char *nowhere = mem_printf("%s/nowhere/the.key", s->parent);
	AUTO(mem_freep) char *path = mem_printf("%s/the.key", s->parent);
	state_refused(s, nowhere, FAULT_NOT_FOUND, "cannot create");
	assert_null(state_open_with(s, path)); /* what the refusal left is an unfinished first start */
	assert_true(s->first_start);
	assert_int_equal(access(path, R_OK), 0);
	state_complete(s);
	state_close(s);
	state_refused(s, nowhere, FAULT_NOT_FOUND, "its seal key is not there");
	state_refused(s, NULL, FAULT_NOT_FOUND, "its seal key is not there");
	assert_null(state_open_with(s, path));
	assert_false(s->first_start);
}

static void test_a_credential_opens_it(void **arg)
{
	struct state *s = *arg;
	make_complete(s);
	AUTO(mem_freep) char *folder = mem_printf("%s/credentials", s->parent);
	AUTO(mem_freep) char *credential = mem_printf("%s/seal.key", folder);
	AUTO(mem_freep) char *path = state_path(s, "seal.key");
	assert_int_equal(mkdir(folder, 0700), 0);
	assert_int_equal(rename(path, credential), 0);
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", folder, 1), 0);
	expect_intact(s);
	assert_false(file_exists(s, "seal.key"));
}

static void test_a_damaged_database_is_set_aside(void **arg)
{
	struct state *s = *arg;
	AUTO(mem_freep) char *path = state_path(s, "leafcast.db");
	struct buf before = BUF_INIT, after = BUF_INIT;
	char garbage[300], aside[300] = "";
	make_complete(s);
	memset(garbage, 0xa5, sizeof garbage);
	write_at(s, "leafcast.db", 4096, garbage, sizeof garbage); /* the head of the second page */
	assert_null(file_read(path, 1 << 20, &before));
	state_refused(s, NULL, FAULT_CORRUPT, "is damaged and was set aside, unchanged, as leafcast.db.damaged-");
	assert_false(file_exists(s, "leafcast.db"));
	state_refused(s, NULL, FAULT_INVALID, "no leafcast.db");
	DIR *d = opendir(s->folder);
	for (struct dirent *e; (e = readdir(d));)
		if (strncmp(e->d_name, "leafcast.db.damaged-", 20) == 0 && !strstr(e->d_name, "-wal"))
			(void)snprintf(aside, sizeof aside, "%s", e->d_name);
	closedir(d);
	AUTO(mem_freep) char *aside_path = state_path(s, aside);
	assert_null(file_read(aside_path, 1 << 20, &after));
	assert_true(before.len == after.len && memcmp(before.data, after.data, before.len) == 0);
	buf_free(&before);
	buf_free(&after);
}

static void test_a_file_that_is_no_database(void **arg)
{
	struct state *s = *arg;
	AUTO(mem_freep) char *path = state_path(s, "leafcast.db");
	char text[5000];
	make_complete(s);
	memset(text, 'x', sizeof text);
	for (int i = 0; i < 3; i++) { /* none of which is overwritten by the next */
		assert_null(file_write(path, 0600, text, sizeof text - (size_t)i));
		state_refused(s, NULL, FAULT_CORRUPT, "set aside");
	}
	int found = 0;
	DIR *d = opendir(s->folder);
	for (struct dirent *e; (e = readdir(d));)
		found += strncmp(e->d_name, "leafcast.db.damaged-", 20) == 0;
	closedir(d);
	assert_int_equal(found, 3);
}

/* The log goes with its database: beside a backup it would be taken for the backup's. */
static void test_the_log_is_set_aside_too(void **arg)
{
	struct state *s = *arg;
	AUTO(mem_freep) char *path = state_path(s, "leafcast.db");
	char text[5000], log[] = "log";
	make_complete(s);
	memset(text, 'x', sizeof text);
	assert_null(file_write(path, 0600, text, sizeof text));
	AUTO(mem_freep) char *log_path = state_path(s, "leafcast.db-wal");
	assert_null(file_write(log_path, 0600, log, sizeof log));
	state_refused(s, NULL, FAULT_CORRUPT, "set aside");
	assert_false(file_exists(s, "leafcast.db-wal"));
}

static void test_a_foreign_database_is_left_alone(void **arg)
{
	struct state *s = *arg;
	AUTO(mem_freep) char *path = state_path(s, "leafcast.db");
	struct buf before = BUF_INIT, after = BUF_INIT;
	assert_int_equal(mkdir(s->folder, 0700), 0);
	run_sql(s, "CREATE TABLE t(a); INSERT INTO t VALUES(1)");
	assert_null(file_read(path, 1 << 20, &before));
	state_refused(s, NULL, FAULT_INVALID, "another program's database");
	run_sql(s, "PRAGMA application_id=5");
	state_refused(s, NULL, FAULT_INVALID, "another program's database (application id 5)");
	run_sql(s, "PRAGMA application_id=0");
	assert_null(file_read(path, 1 << 20, &after));
	assert_int_equal(before.len, after.len);
	assert_false(file_exists(s, "seal.key"));
	buf_free(&before);
	buf_free(&after);
}

static void test_a_newer_schema(void **arg)
{
	struct state *s = *arg;
	make_complete(s);
	char sql[64];
	(void)snprintf(sql, sizeof sql, "PRAGMA user_version=%zu", store_migrations()->count + 1);
	run_sql(s, sql);
	state_refused(s, NULL, FAULT_INVALID, "a newer one wrote it");
	(void)snprintf(sql, sizeof sql, "PRAGMA user_version=%zu", store_migrations()->count);
	run_sql(s, sql);
	expect_intact(s);
}

static void test_a_folder_that_others_can_write(void **arg)
{
	struct state *s = *arg;
	assert_int_equal(mkdir(s->folder, 0700), 0);
	assert_int_equal(chmod(s->folder, 0770), 0);
	state_refused(s, NULL, FAULT_INVALID, "can be written by others");
	assert_false(file_exists(s, "lock"));
}

static void test_no_regular_file(void **arg)
{
	struct state *s = *arg;
	AUTO(mem_freep) char *path = state_path(s, "leafcast.db");
	make_complete(s);
	rename_file(s, "leafcast.db", "elsewhere");
	assert_int_equal(symlink("elsewhere", path), 0);
	struct fault *f = state_open_with(s, NULL);
	assert_non_null(f);
	fault_free(f);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	state_refused(s, NULL, FAULT_INVALID, "is not a regular file");
}

/* --- two on one folder --- */

static void test_a_second_one_in_this_process(void **arg)
{
	struct state *s = *arg;
	struct state second = *s;
	state_open(s);
	state_refused(&second, NULL, FAULT_CONFLICT, "is in use by another leafcast");
}

static void test_a_second_process(void **arg)
{
	struct state *s = *arg;
	int ready[2], go[2];
	char byte;
	assert_true(pipe(ready) == 0 && pipe(go) == 0);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct loop *loop = NULL;
		struct store *store = NULL;
		bool first;
		const struct store_options o = {.folder = s->folder};
		if (loop_new(clock_system(), &loop) || store_open(&o, loop, clock_system(), &first, &store))
			_exit(1);
		(void)!write(ready[1], "r", 1);
		(void)!read(go[0], &byte, 1);
		(void)raise(SIGKILL); /* without closing: the lock ends with the process */
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	state_refused(s, NULL, FAULT_CONFLICT, "is in use by another leafcast");
	assert_int_equal(write(go[1], "g", 1), 1);
	int status;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	state_open(s);
	close(ready[0]), close(ready[1]), close(go[0]), close(go[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_first_start_makes_private_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_lax_database_is_made_private, setup, teardown),
		cmocka_unit_test_setup_teardown(test_settings_of_the_database, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unfinished_with_content, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unfinished_with_another_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unfinished_before_the_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unfinished_before_the_data_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_key_without_a_database, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_mark_without_a_database, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_seal_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_key_file_of_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_credential_opens_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_damaged_database_is_set_aside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_file_that_is_no_database, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_log_is_set_aside_too, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_foreign_database_is_left_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_newer_schema, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_folder_that_others_can_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_regular_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_second_one_in_this_process, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_second_process, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
