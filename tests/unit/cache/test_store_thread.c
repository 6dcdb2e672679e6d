/* Commits: what is handed over is there after a restart, in order, whole; many at once; closing finishes all. */
#include "state.h"

static int setup(void **arg)
{
	struct state *s = mem_new(struct state);
	state_init(s);
	state_open(s);
	*arg = s;
	return 0;
}

static int teardown(void **arg)
{
	state_done(*arg);
	free(*arg);
	return 0;
}

static void reopen(struct state *s)
{
	state_close(s);
	state_open(s);
}

static void test_everything_outlives_a_restart(void **arg)
{
	struct state *s = *arg;
	static const char *const attributes[] = {"uid=1000"};
	AUTO(entry_key_unrefp) struct entry_key *leaf_entry = entry_key_new("default", attributes, 1);
	AUTO(entry_key_unrefp) struct entry_key *bundle_entry = entry_key_new("ROOTCA", NULL, 0);
	AUTO(version_unrefp) struct version *leaf = state_leaf(s, leaf_entry);
	AUTO(version_unrefp) struct version *bundle = state_bundle(s, bundle_entry);
	AUTO(secret_freep) struct secret *blob = NULL, *back = NULL;
	assert_null(secret_new("ca key", 6, &blob));
	assert_true(s->first_start);
	struct store_tx *tx = store_tx_new();
	store_tx_put_version(tx, leaf);
	store_tx_put_version(tx, bundle);
	store_tx_put_blob(tx, "authority/lab", blob);
	store_tx_put_fact(tx, "fact", INT64_MIN);
	store_tx_audit(tx, 1, "secret.issued", "{}");
	store_tx_complete_first_start(tx);
	state_commit(s, tx);
	assert_int_equal(store_usage(s->store).versions, 2);
	assert_true(store_usage(s->store).database_bytes > 0 && store_usage(s->store).log_bytes > 0);
	reopen(s);

	struct state_seen seen;
	assert_false(s->first_start);
	state_load(s, &seen);
	assert_int_equal(seen.versions, 2);
	assert_int_equal(seen.current, 2);
	assert_int_equal(seen.damaged, 0);
	assert_true(seen.facts == 1 && seen.fact == INT64_MIN);
	struct version *put[] = {leaf, bundle};
	for (size_t i = 0; i < 2; i++) {
		struct version *got = seen.version[i];
		size_t len, got_len;
		const unsigned char *body = version_body(put[i], BODY_PLAIN, &len);
		assert_string_equal(version_id(got), version_id(put[i]));
		assert_true(entry_key_equal(version_entry(got), version_entry(put[i])));
		assert_memory_equal(version_body(got, BODY_PLAIN, &got_len), body, len);
		assert_int_equal(got_len, len);
		assert_string_equal(version_authority(got), "builtin");
		assert_int_equal(version_received_at_ms(got), version_received_at_ms(put[i]));
		assert_int_equal(version_life_ms(got), version_life_ms(put[i]));
	}
	assert_string_equal(version_profile(seen.version[0]), "workload");
	assert_null(version_profile(seen.version[1]));
	assert_null(store_load_blob(s->store, "authority/lab", &back));
	assert_true(secret_equal(back, blob));
	seen_free(&seen);
}

static void test_order_decides_which_is_current(void **arg)
{
	struct state *s = *arg;
	AUTO(entry_key_unrefp) struct entry_key *entry = entry_key_new("a", NULL, 0);
	AUTO(version_unrefp) struct version *first = state_leaf(s, entry);
	AUTO(version_unrefp) struct version *second = state_leaf(s, entry);
	struct version *puts[] = {first, second, first};
	for (size_t i = 0; i < ARRAY_LEN(puts); i++) {
		struct store_tx *tx = store_tx_new();
		store_tx_put_version(tx, puts[i]);
		store_commit(s->store, tx, NULL, NULL);
	}
	state_complete(s);
	reopen(s);
	struct state_seen seen;
	state_load(s, &seen);
	assert_int_equal(seen.versions, 2);
	assert_string_equal(seen.id[0], version_id(second));
	assert_false(seen.is_current[0]);
	assert_string_equal(seen.id[1], version_id(first));
	assert_true(seen.is_current[1]);
	seen_free(&seen);
}

static void test_drops(void **arg)
{
	struct state *s = *arg;
	AUTO(entry_key_unrefp) struct entry_key *a = entry_key_new("a", NULL, 0);
	AUTO(entry_key_unrefp) struct entry_key *b = entry_key_new("b", NULL, 0);
	AUTO(version_unrefp) struct version *a1 = state_leaf(s, a);
	AUTO(version_unrefp) struct version *a2 = state_leaf(s, a);
	AUTO(version_unrefp) struct version *b1 = state_leaf(s, b);
	struct store_tx *tx = store_tx_new();
	store_tx_put_version(tx, a1);
	store_tx_put_version(tx, a2);
	store_tx_put_version(tx, b1);
	state_commit(s, tx);
	tx = store_tx_new();
	store_tx_drop_version(tx, a, version_id(a2));
	store_tx_drop_version(tx, a, "00000000000000000000000000000000"); /* none: no fault */
	store_tx_drop_entry(tx, b);
	state_commit(s, tx);
	state_complete(s);
	reopen(s);
	struct state_seen seen;
	state_load(s, &seen);
	assert_int_equal(seen.versions, 1);
	assert_string_equal(seen.id[0], version_id(a1));
	assert_true(seen.is_current[0]);
	seen_free(&seen);
}

static void test_blobs_are_replaced_and_known_at_once(void **arg)
{
	struct state *s = *arg;
	AUTO(secret_freep) struct secret *one = NULL, *two = NULL, *back = NULL, *none = NULL;
	assert_null(secret_new("one", 3, &one));
	assert_null(secret_new("two", 3, &two));
	struct store_tx *tx = store_tx_new();
	store_tx_put_blob(tx, "b", one);
	store_tx_put_blob(tx, "b", two);
	state_commit(s, tx);
	assert_null(store_load_blob(s->store, "b", &back));
	assert_true(secret_equal(back, two));
	none = one;
	assert_null(store_load_blob(s->store, "c", &none));
	assert_null(none);
}

struct order {
	int next;
	struct store *store;
};
struct numbered {
	struct order *order;
	int number;
};

static void expect_next(void *arg, struct fault *f)
{
	struct numbered *n = arg;
	assert_null(f);
	assert_int_equal(n->order->next++, n->number);
	if (n->number == 0) { /* from within: comes after all that were handed over before */
		struct store_tx *tx = store_tx_new();
		store_tx_put_fact(tx, "fact", 7);
		static struct numbered last;
		last = (struct numbered){n->order, 1000};
		store_commit(n->order->store, tx, expect_next, &last);
	}
}

static void test_answers_come_in_commit_order_and_close_waits(void **arg)
{
	struct state *s = *arg;
	struct order order = {0, s->store};
	struct numbered numbered[1000];
	state_complete(s);
	for (int i = 0; i < 1000; i++) {
		struct store_tx *tx = store_tx_new();
		numbered[i] = (struct numbered){&order, i};
		store_tx_put_fact(tx, "fact", i);
		store_commit(s->store, tx, expect_next, &numbered[i]);
	}
	assert_int_equal(store_pending(s->store), 1000);
	while (order.next == 0)
		(void)loop_turn(s->loop, true);
	state_close(s); /* with hundreds under way */
	assert_int_equal(order.next, 1001);
	state_open(s);
	struct state_seen seen;
	state_load(s, &seen);
	assert_int_equal(seen.fact, 7);
	seen_free(&seen);
}

static void test_empty_transactions_and_unused_ones(void **arg)
{
	struct state *s = *arg;
	struct store_tx *unused = store_tx_new();
	store_tx_put_fact(unused, "fact", 1);
	store_tx_free(unused);
	store_tx_free(NULL);
	state_commit(s, store_tx_new());
	assert_int_equal(store_pending(s->store), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_everything_outlives_a_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_order_decides_which_is_current, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drops, setup, teardown),
		cmocka_unit_test_setup_teardown(test_blobs_are_replaced_and_known_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_answers_come_in_commit_order_and_close_waits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_empty_transactions_and_unused_ones, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
