#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include "base/io/json_memory.h"

static const char *watched;
static size_t watched_len, wiped;

/* Stands before OpenSSL's own: sees what is wiped while it is still there. */
void OPENSSL_cleanse(void *p, size_t len)
{
	volatile unsigned char *bytes = p;
	uintptr_t from = (uintptr_t)p, at = (uintptr_t)watched;
	if (watched && from <= at && at + watched_len <= from + len)
		wiped++;
	while (len--)
		*bytes++ = 0;
}

static void wipes_what_it_frees(void **state)
{
	(void)state;
	json_malloc_t allocate;
	json_free_t release;
	json_get_alloc_funcs(&allocate, &release);
	json_memory_wipe();
	json_t *j = json_pack("{s:s}", "key", "-----BEGIN PRIVATE KEY-----");
	char *text = json_dumps(j, JSON_COMPACT);
	assert_string_equal(text, "{\"key\":\"-----BEGIN PRIVATE KEY-----\"}");
	watched = text;
	watched_len = strlen(text);
	json_memory_free_text(text);
	assert_int_equal(wiped, 1);
	watched = json_string_value(json_object_get(j, "key"));
	watched_len = strlen(watched);
	json_decref(j);
	assert_int_equal(wiped, 2);
	watched = NULL;
	json_memory_free_text(NULL);
	json_set_alloc_funcs(allocate, release);
}

/* Memory for anything: aligned, zeroed sizes and all. */
static void gives_any_size(void **state)
{
	(void)state;
	json_malloc_t allocate, plain_allocate;
	json_free_t free_it, plain_release;
	json_get_alloc_funcs(&plain_allocate, &plain_release);
	json_memory_wipe();
	json_get_alloc_funcs(&allocate, &free_it);
	for (size_t size = 0; size < 2000; size += 37) {
		unsigned char *p = allocate(size);
		assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
		memset(p, 0xff, size);
		free_it(p);
	}
	json_set_alloc_funcs(plain_allocate, plain_release);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wipes_what_it_frees),
		cmocka_unit_test(gives_any_size),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
