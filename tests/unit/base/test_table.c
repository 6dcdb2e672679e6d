#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include "base/attr.h"
#include "base/mem.h"
#include "base/table.h"

/* SipHash-1-3 under an unknown key: what can be said is that it is one function, and that it spreads. */
static void is_one_function_of_all_bytes(void **state)
{
	(void)state;
	unsigned char bytes[65];
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)i;
	for (size_t len = 0; len < sizeof bytes; len++) {
		uint64_t h = table_hash(bytes, len);
		assert_true(h == table_hash(bytes, len));
		assert_true(h != table_hash(bytes, len + 1)); /* the length counts */
		for (size_t i = 0; i < len; i++) {
			bytes[i] ^= 0x80;
			assert_true(h != table_hash(bytes, len));
			bytes[i] ^= 0x80;
		}
	}
}

static void does_not_need_alignment(void **state)
{
	(void)state;
	char raw[64];
	uint64_t h = table_hash("spiffe://td.example/ns/a", 24);
	for (size_t i = 0; i < 8; i++) {
		memcpy(raw + i, "spiffe://td.example/ns/a", 24);
		assert_true(table_hash(raw + i, 24) == h);
	}
}

static void spreads(void **state)
{
	(void)state;
	unsigned buckets[64] = {0};
	for (uint32_t i = 0; i < 64000; i++)
		buckets[table_hash(&i, sizeof i) & 63]++;
	for (size_t i = 0; i < ARRAY_LEN(buckets); i++)
		assert_in_range(buckets[i], 800, 1200);
}

struct item {
	uint32_t key;
	UT_hash_handle hh;
};

static void tables_find_what_was_put(void **state)
{
	(void)state;
	struct item *table = NULL, *found, *next;
	for (uint32_t i = 0; i < 1000; i++) {
		struct item *it = mem_new(struct item);
		it->key = i * 2654435761u;
		HASH_ADD(hh, table, key, sizeof it->key, it);
	}
	for (uint32_t i = 0; i < 1000; i++) {
		uint32_t key = i * 2654435761u;
		HASH_FIND(hh, table, &key, sizeof key, found);
		assert_non_null(found);
	}
	uint32_t none = 7;
	HASH_FIND(hh, table, &none, sizeof none, found);
	assert_null(found);
	HASH_ITER (hh, table, found, next) {
		HASH_DEL(table, found);
		free(found);
	}
}

static void *hash_here(void *arg)
{
	*(uint64_t *)arg = table_hash("x", 1);
	return NULL;
}

static void all_threads_share_the_key(void **state)
{
	(void)state;
	pthread_t t[4];
	uint64_t h[4];
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&t[i], NULL, hash_here, &h[i]), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	for (size_t i = 0; i < 4; i++)
		assert_true(h[i] == table_hash("x", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_threads_share_the_key), /* first: they race for drawing it */
		cmocka_unit_test(is_one_function_of_all_bytes),
		cmocka_unit_test(does_not_need_alignment),
		cmocka_unit_test(spreads),
		cmocka_unit_test(tables_find_what_was_put),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
