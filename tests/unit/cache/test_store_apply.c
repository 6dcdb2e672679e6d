/* Writing: one transaction's own fault takes back that one alone; no key is on the disk in the clear, nor at all once
 * it was dropped; the audit trail is bounded. */
#include "state.h"
#include <sqlite3.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include "base/pem.h"
#include "cache/store_db.h"

static int setup(void **arg)
{
	struct state *s = mem_new(struct state);
	state_init(s);
	state_open(s);
	state_complete(s);
	*arg = s;
	return 0;
}

static int teardown(void **arg)
{
	state_done(*arg);
	free(*arg);
	return 0;
}

/* A name that is too long to be part of a sealed record's identity. */
static struct store_tx *wrong_tx(struct version *v)
{
	static char name[4200000];
	AUTO(secret_freep) struct secret *bytes = NULL;
	struct store_tx *tx = store_tx_new();
	memset(name, 'n', sizeof name - 1);
	assert_null(secret_new("x", 1, &bytes));
	store_tx_put_version(tx, v);
	store_tx_put_fact(tx, "fact", 13);
	store_tx_put_blob(tx, name, bytes);
	return tx;
}

static void test_a_fault_of_its_own(void **arg)
{
	struct state *s = *arg;
	AUTO(entry_key_unrefp) struct entry_key *a = entry_key_new("a", NULL, 0), *b = entry_key_new("b", NULL, 0);
	AUTO(version_unrefp) struct version *va = state_leaf(s, a), *vb = state_leaf(s, b);
	struct state_answer answers[9] = {{false, NULL}};
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) { /* handed over at once: most share a batch */
		struct store_tx *tx = i % 3 == 1 ? wrong_tx(vb) : store_tx_new();
		store_tx_put_version(tx, va);
		store_tx_put_fact(tx, "fact", (int64_t)i);
		store_commit(s->store, tx, take_answer, &answers[i]);
	}
	while (store_pending(s->store))
		(void)loop_turn(s->loop, true);
	for (size_t i = 0; i < ARRAY_LEN(answers); i++) {
		assert_true(answers[i].told);
		assert_int_equal(answers[i].fault != NULL, i % 3 == 1);
		if (answers[i].fault)
			assert_false(fault_is_retryable(answers[i].fault));
		fault_free(answers[i].fault);
	}
	state_close(s);
	state_open(s);
	struct state_seen seen;
	state_load(s, &seen);
	assert_int_equal(seen.versions, 1); /* nothing of the wrong ones */
	assert_true(entry_key_equal(version_entry(seen.version[0]), a));
	assert_int_equal(seen.fact, 8);
	seen_free(&seen);
}

/* --- what is on the disk --- */

static bool on_disk(struct state *s, const void *bytes, size_t len)
{
	static const char *const names[] = {"leafcast.db", "leafcast.db-wal"};
	bool found = false;
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		AUTO(mem_freep) char *path = state_path(s, names[i]);
		struct buf file = BUF_INIT;
		struct fault *f = file_read(path, 16 << 20, &file);
		if (f && fault_code(f) != FAULT_NOT_FOUND)
			fail_msg("%s", fault_text(f));
		fault_free(f);
		found = found || (file.len && memmem(file.data, file.len, bytes, len));
		buf_free(&file);
	}
	return found;
}

/* Of the key: its scalar, its DER, and every line of its PEM but the first and last. */
static void expect_no_key(struct state *s, struct version *v)
{
	EVP_PKEY *key = NULL;
	BIGNUM *scalar = NULL;
	unsigned char raw[32], *der = NULL;
	size_t pem_len, count;
	const void *text = version_key_pem(v, &pem_len);
	assert_null(pem_read_keys(text, pem_len, NULL, &key, 1, &count));
	assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_PRIV_KEY, &scalar), 1);
	assert_int_equal(BN_bn2binpad(scalar, raw, sizeof raw), (int)sizeof raw);
	BN_clear_free(scalar);
	assert_false(on_disk(s, raw, 16));
	assert_false(on_disk(s, raw + 16, 16));
	int len = i2d_PrivateKey(key, &der);
	assert_true(len > 0);
	assert_false(on_disk(s, der, (size_t)len));
	OPENSSL_free(der);
	EVP_PKEY_free(key);
	const char *line = strchr((const char *)text, '\n') + 1;
	size_t lines = 0;
	for (; *line != '-'; line = strchr(line, '\n') + 1, lines++)
		assert_false(on_disk(s, line, strcspn(line, "\n") < 40 ? strcspn(line, "\n") : 40));
	assert_int_equal(lines, 3);
	assert_false(on_disk(s, "PRIVATE KEY", 11));
}

static void test_no_key_in_the_clear(void **arg)
{
	struct state *s = *arg;
	AUTO(entry_key_unrefp) struct entry_key *a = entry_key_new("a", NULL, 0);
	AUTO(version_unrefp) struct version *v = state_leaf(s, a);
	AUTO(secret_freep) struct secret *blob = NULL;
	size_t chain_len;
	const unsigned char *chain = version_public_pem(v, &chain_len);
	struct store_tx *tx = store_tx_new();
	assert_true(chain_len > 40);
	assert_null(secret_new("the key of a CA", 15, &blob));
	store_tx_put_version(tx, v);
	store_tx_put_blob(tx, "authority/lab", blob);
	state_commit(s, tx);
	for (int closed = 0; closed < 2; closed++) {
		assert_true(on_disk(s, chain, 40)); /* what is public is found, so we look at the right files */
		expect_no_key(s, v);
		assert_false(on_disk(s, "the key of a CA", 15));
		if (!closed)
			state_close(s);
	}
}

static void read_sealed(struct state *s, const char *sql, struct buf *ret)
{
	AUTO(mem_freep) char *path = state_path(s, "leafcast.db");
	sqlite3 *db;
	sqlite3_stmt *st;
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	buf_add(ret, sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0));
	assert_int_equal(sqlite3_finalize(st), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void test_dropped_keys_are_gone(void **arg)
{
	struct state *s = *arg;
	AUTO(entry_key_unrefp) struct entry_key *a = entry_key_new("a", NULL, 0), *b = entry_key_new("b", NULL, 0);
	AUTO(version_unrefp) struct version *va = state_leaf(s, a), *vb = state_leaf(s, b);
	AUTO(secret_freep) struct secret *old = NULL, *new = NULL;
	struct buf sealed[3] = {BUF_INIT, BUF_INIT, BUF_INIT};
	struct store_tx *tx = store_tx_new();
	assert_null(secret_new("old key of a CA", 15, &old));
	assert_null(secret_new("new key of a CA", 15, &new));
	store_tx_put_version(tx, va);
	store_tx_put_version(tx, vb);
	store_tx_put_blob(tx, "authority/lab", old);
	state_commit(s, tx);
	state_close(s);
	read_sealed(s, "SELECT sealed FROM version ORDER BY seq LIMIT 1", &sealed[0]);
	read_sealed(s, "SELECT sealed FROM version ORDER BY seq DESC LIMIT 1", &sealed[1]);
	read_sealed(s, "SELECT sealed FROM blob", &sealed[2]);
	state_open(s);
	for (size_t i = 0; i < ARRAY_LEN(sealed); i++)
		assert_true(on_disk(s, sealed[i].data + 13, 16));
	tx = store_tx_new();
	store_tx_drop_version(tx, a, version_id(va));
	store_tx_drop_entry(tx, b);
	store_tx_put_blob(tx, "authority/lab", new);
	state_commit(s, tx);
	state_commit(s, store_tx_new()); /* the thread has looked at the log in between */
	for (size_t i = 0; i < ARRAY_LEN(sealed); i++) {
		assert_false(on_disk(s, sealed[i].data + 13, 16));
		buf_free(&sealed[i]);
	}
}

static void test_the_audit_trail_is_bounded(void **arg)
{
	struct state *s = *arg;
	AUTO(mem_freep) char *path = state_path(s, "leafcast.db");
	struct store_tx *tx = store_tx_new();
	store_tx_audit(tx, 1, "first", NULL);
	store_tx_audit(tx, 2, "second", "{}");
	state_commit(s, tx);
	state_close(s);
	sqlite3 *db;
	char sql[100];
	(void)snprintf(
		sql, sizeof sql, "UPDATE audit SET seq = %lld WHERE event = 'second'", (long long)STORE_AUDIT_MAX);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(
		sqlite3_exec(db, "UPDATE sqlite_sequence SET seq = (SELECT max(seq) FROM audit)", NULL, NULL, NULL),
		SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	state_open(s);
	tx = store_tx_new();
	store_tx_audit(tx, 3, "third", NULL);
	state_commit(s, tx);
	state_close(s);
	struct buf events = BUF_INIT;
	read_sealed(s, "SELECT group_concat(event) FROM (SELECT event FROM audit ORDER BY seq)", &events);
	assert_string_equal(buf_text(&events), "second,third");
	buf_free(&events);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_fault_of_its_own, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_key_in_the_clear, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dropped_keys_are_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_the_audit_trail_is_bounded, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
