#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <stdlib.h>
#include "base/attr.h"
#include "base/mem.h"
#include "base/secret.h"
#include "certs.h"

static void copies_and_ends_with_nul(void **state)
{
	(void)state;
	AUTO(secret_freep) struct secret *s = NULL;
	char bytes[] = "hunter2";
	size_t len = 0;
	expect_ok(secret_new(bytes, 7, &s));
	memset(bytes, 'x', sizeof bytes);
	assert_string_equal((const char *)secret_bytes(s, &len), "hunter2");
	assert_int_equal(len, 7);
}

static void bounds_the_length(void **state)
{
	(void)state;
	struct secret *s = NULL;
	expect_fault(secret_new("x", 0, &s), FAULT_INVALID, "a secret of 0 bytes");
	expect_fault(secret_new("x", SECRET_MAX_LEN + 1, &s), FAULT_INVALID, "1 to 4194304 are accepted");
	assert_null(s);
}

/* Every size class at its edges, and mappings of their own. */
static void accounts_for_every_size(void **state)
{
	(void)state;
	static const size_t sizes[] = {1, 30, 64, 100, 1000, 4096, 32000, 65000, 65535, 65536, 70000, SECRET_MAX_LEN};
	struct secret *held[ARRAY_LEN(sizes)] = {NULL};
	unsigned char *bytes = mem_calloc(1, SECRET_MAX_LEN);
	memset(bytes, 0xa5, SECRET_MAX_LEN);
	size_t before = secret_usage().used_bytes, sum = 0;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		size_t at = secret_usage().used_bytes;
		expect_ok(secret_new(bytes, sizes[i], &held[i]));
		assert_true(secret_usage().used_bytes - at > sizes[i]);
		sum += secret_usage().used_bytes - at;
	}
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		const unsigned char *p = secret_bytes(held[i], NULL);
		assert_int_equal(p[0], 0xa5);
		assert_int_equal(p[sizes[i] - 1], 0xa5);
		assert_int_equal(p[sizes[i]], 0);
	}
	assert_int_equal(secret_usage().used_bytes, before + sum);
	struct secret_usage with = secret_usage();
	assert_true(with.locked_bytes + with.unlocked_bytes >= with.used_bytes);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		secret_free(held[i]);
	assert_int_equal(secret_usage().used_bytes, before);
	free(bytes);
}

static size_t mapped(void)
{
	struct secret_usage u = secret_usage();
	return u.locked_bytes + u.unlocked_bytes;
}

/* A server holds a few secrets of many sizes: together they take one mebibyte, not one each. */
static void sizes_share_an_arena(void **state)
{
	(void)state;
	struct secret *held[11] = {NULL};
	unsigned char *bytes = mem_calloc(1, 40000);
	size_t before = mapped();
	for (size_t i = 0; i < ARRAY_LEN(held); i++)
		expect_ok(secret_new(bytes, (size_t)34 << i, &held[i]));
	assert_true(mapped() - before <= (size_t)1024 * 1024);
	for (size_t i = 0; i < ARRAY_LEN(held); i++)
		secret_free(held[i]);
	free(bytes);
}

static void grows_by_arenas(void **state)
{
	(void)state;
	struct secret *held[60] = {NULL};
	unsigned char *bytes = mem_calloc(1, 60000);
	size_t before = mapped();
	for (size_t i = 0; i < ARRAY_LEN(held); i++) {
		memset(bytes, (int)i, 60000);
		expect_ok(secret_new(bytes, 60000, &held[i]));
	}
	size_t grown = mapped();
	assert_true(grown - before >= (size_t)3 * 1024 * 1024);
	for (size_t i = 0; i < ARRAY_LEN(held); i++) {
		assert_int_equal(secret_bytes(held[i], NULL)[0], i);
		assert_int_equal(secret_bytes(held[i], NULL)[59999], i);
		secret_freep(&held[i]);
	}
	for (size_t i = 0; i < ARRAY_LEN(held); i++) /* the same blocks again */
		expect_ok(secret_new(bytes, 60000, &held[i]));
	assert_int_equal(mapped(), grown);
	for (size_t i = 0; i < ARRAY_LEN(held); i++)
		secret_free(held[i]);
	free(bytes);
}

enum { THREADS = 4, ROUNDS = 500, HELD = 20 };

static void *come_and_go(void *arg)
{
	unsigned char bytes[5000];
	memset(bytes, *(int *)arg, sizeof bytes);
	for (size_t round = 0; round < ROUNDS; round++) {
		struct secret *held[HELD];
		for (size_t i = 0; i < HELD; i++)
			invariant(!secret_new(bytes, 1 + (round * 31 + i * 257) % sizeof bytes, &held[i]));
		for (size_t i = 0; i < HELD; i++) {
			size_t len;
			const unsigned char *p = secret_bytes(held[i], &len);
			invariant(p[0] == bytes[0] && p[len - 1] == bytes[0]);
			secret_free(held[i]);
		}
	}
	return NULL;
}

static void is_shared_by_threads(void **state)
{
	(void)state;
	pthread_t threads[THREADS];
	int marks[THREADS];
	size_t before = secret_usage().used_bytes;
	for (int i = 0; i < THREADS; i++) {
		marks[i] = 'a' + i;
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, &marks[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	assert_int_equal(secret_usage().used_bytes, before);
}

/* A large one has a mapping of its own: it leaves the very count that it entered. */
static void large_ones_leave_no_count_behind(void **state)
{
	(void)state;
	unsigned char *bytes = mem_calloc(1, SECRET_MAX_LEN);
	struct secret *large[8] = {NULL};
	struct secret_usage before = secret_usage();
	for (size_t i = 0; i < ARRAY_LEN(large); i++) /* some are locked, until the limit; the rest is not */
		expect_ok(secret_new(bytes, SECRET_MAX_LEN, &large[i]));
	for (size_t i = 0; i < ARRAY_LEN(large); i++) {
		struct secret_usage now = secret_usage();
		secret_freep(&large[i]);
		struct secret_usage after = secret_usage();
		assert_true(now.locked_bytes - after.locked_bytes == 0 || now.unlocked_bytes == after.unlocked_bytes);
	}
	assert_int_equal(secret_usage().locked_bytes, before.locked_bytes);
	assert_int_equal(secret_usage().unlocked_bytes, before.unlocked_bytes);
	free(bytes);
}

/* The block that was freed is the next one of its size; nothing of the old secret is in it. */
static void wipes_what_it_frees(void **state)
{
	(void)state;
	char bytes[200];
	struct secret *first = NULL, *second = NULL;
	memset(bytes, 'k', sizeof bytes);
	expect_ok(secret_new(bytes, sizeof bytes, &first));
	const unsigned char *place = secret_bytes(first, NULL);
	secret_free(first);
	expect_ok(secret_new("s", 1, &second)); /* of another class */
	secret_free(second);
	second = NULL;
	expect_ok(secret_new(bytes, 120, &second)); /* of the same one */
	assert_ptr_equal(secret_bytes(second, NULL), place);
	for (size_t i = 120; i < sizeof bytes; i++)
		assert_int_equal(place[i], 0);
	secret_free(second);
}

static struct fault *fill(void *arg, unsigned char *bytes, size_t len)
{
	memset(bytes, 'f', len);
	return *(bool *)arg ? fault_new(FAULT_UNAVAILABLE, "no entropy") : NULL;
}

static void is_filled_in_place(void **state)
{
	(void)state;
	struct secret *s = NULL;
	bool fails = false;
	size_t before = secret_usage().used_bytes;
	expect_ok(secret_new_filled(40, fill, &fails, &s));
	assert_int_equal(secret_bytes(s, NULL)[39], 'f');
	secret_freep(&s);
	assert_null(s);
	fails = true;
	expect_fault(secret_new_filled(40, fill, &fails, &s), FAULT_UNAVAILABLE, "no entropy");
	assert_null(s);
	assert_int_equal(secret_usage().used_bytes, before);
}

static void compares(void **state)
{
	(void)state;
	AUTO(secret_freep) struct secret *a = NULL, *b = NULL, *c = NULL, *d = NULL;
	expect_ok(secret_new("abc", 3, &a));
	expect_ok(secret_new("abc", 3, &b));
	expect_ok(secret_new("abd", 3, &c));
	expect_ok(secret_new("abcd", 4, &d));
	assert_true(secret_equal(a, b));
	assert_false(secret_equal(a, c));
	assert_false(secret_equal(a, d));
	secret_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_and_ends_with_nul),
		cmocka_unit_test(bounds_the_length),
		cmocka_unit_test(accounts_for_every_size),
		cmocka_unit_test(sizes_share_an_arena),
		cmocka_unit_test(grows_by_arenas),
		cmocka_unit_test(is_shared_by_threads),
		cmocka_unit_test(large_ones_leave_no_count_behind),
		cmocka_unit_test(wipes_what_it_frees),
		cmocka_unit_test(is_filled_in_place),
		cmocka_unit_test(compares),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
