/* Entries: one form for equal ones, whatever it is read from; nothing else is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/text.h"
#include "cache/entry.h"

static void test_parts(void **arg)
{
	(void)arg;
	static const char *const attributes[] = {"uid=1000", "uri=spiffe://td/a,b"};
	AUTO(entry_key_unrefp) struct entry_key *plain = entry_key_new("web", NULL, 0);
	AUTO(entry_key_unrefp) struct entry_key *both = entry_key_new("web", attributes, 2);
	assert_string_equal(entry_key_name(plain), "web");
	assert_string_equal(entry_key_text(plain), "web");
	assert_int_equal(entry_key_attribute_count(plain), 0);
	assert_string_equal(entry_key_text(both), "web{uid=1000,uri=spiffe://td/a,b}");
	assert_int_equal(entry_key_attribute_count(both), 2);
	assert_string_equal(entry_key_attribute(both, 1), attributes[1]);
	assert_false(entry_key_equal(plain, both));
}

/* Texts that look alike when they are joined are different entries. */
static void test_joining_tells_apart(void **arg)
{
	(void)arg;
	static const char *const one[] = {"uid=1,gid=2"}, *const two[] = {"uid=1", "gid=2"},
				 *const swapped[] = {"gid=2", "uid=1"};
	struct entry_key *keys[] = {entry_key_new("a", one, 1), entry_key_new("a", two, 2),
		entry_key_new("a", swapped, 2), entry_key_new("a{uid=1,gid=2}", NULL, 0)};
	for (size_t i = 0; i < 4; i++)
		for (size_t j = 0; j < 4; j++)
			assert_int_equal(entry_key_equal(keys[i], keys[j]), i == j);
	for (size_t i = 0; i < 4; i++)
		entry_key_unref(keys[i]);
}

static void test_bytes_come_back(void **arg)
{
	(void)arg;
	static const char *const attributes[] = {"uid=0", "x="};
	for (size_t count = 0; count <= 2; count++) {
		AUTO(entry_key_unrefp) struct entry_key *k = entry_key_new("\xc3\xa4 \xe2\x82\xac", attributes, count);
		size_t len, again_len;
		const void *bytes = entry_key_bytes(k, &len);
		AUTO(entry_key_unrefp) struct entry_key *again = entry_key_from_bytes(bytes, len);
		assert_non_null(again);
		assert_true(entry_key_equal(k, again));
		assert_memory_equal(entry_key_bytes(again, &again_len), bytes, len);
		assert_int_equal(again_len, len);
		assert_string_equal(entry_key_text(k), entry_key_text(again));
	}
}

static void test_other_bytes_are_none(void **arg)
{
	(void)arg;
	char many[200], long_name[TEXT_NAME_MAX + 2];
	memset(many, 'a', sizeof many);
	for (size_t i = 1; i < sizeof many; i += 2)
		many[i] = 0;
	memset(long_name, 'a', sizeof long_name);
	long_name[sizeof long_name - 1] = 0;
	assert_null(entry_key_from_bytes(NULL, 0));
	assert_null(entry_key_from_bytes("", 1));
	assert_null(entry_key_from_bytes("a", 1));
	assert_null(entry_key_from_bytes("a\0b", 3));
	assert_null(entry_key_from_bytes("\0a", 3));
	assert_null(entry_key_from_bytes("\xff", 2));
	assert_null(entry_key_from_bytes(many, sizeof many));
	assert_null(entry_key_from_bytes(long_name, sizeof long_name));
	AUTO(entry_key_unrefp) struct entry_key *longest = entry_key_from_bytes(long_name + 1, sizeof long_name - 1);
	assert_non_null(longest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parts),
		cmocka_unit_test(test_joining_tells_apart),
		cmocka_unit_test(test_bytes_come_back),
		cmocka_unit_test(test_other_bytes_are_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
