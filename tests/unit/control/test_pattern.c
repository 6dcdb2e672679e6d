/* Patterns against a table, and against a naive model on many small patterns and texts; and what would be slow for a
 * matcher that backtracks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/mem.h"
#include "control/pattern.h"
#include "control/policy.h"

static void test_table(void **state)
{
	(void)state;
	static const struct {
		const char *pattern, *text;
		char sep;
		bool matches;
	} cases[] = {
		{"web", "web", '/', true},
		{"web", "web2", '/', false},
		{"web", "we", '/', false},
		{"", "", '/', true},
		{"", "a", '/', false},
		{"*", "", '/', true},
		{"*", "anything", '/', true},
		{"*", "a/b", '/', false},
		{"**", "a/b/c", '/', true},
		{"**", "", '/', true},
		{"web-*", "web-1", '/', true},
		{"web-*", "web-", '/', true},
		{"web-*", "web-1/admin", '/', false},
		{"web-**", "web-1/admin", '/', true},
		{"*-cert", "web-cert", '/', true},
		{"*-cert", "web-cert-old", '/', false},
		{"a*b*c", "aXbYbZc", '/', true},
		{"a*b*c", "aXbY/Zc", '/', false},
		{"a*b**c", "aXbY/Zc", '/', true},
		{"a**b*c", "a/b/bXc", '/', true},
		{"***", "a/b", '/', true},
		{"a***b", "a/x/b", '/', true},
		{"spiffe://td.example/gw/*", "spiffe://td.example/gw/a", '/', true},
		{"spiffe://td.example/gw/*", "spiffe://td.example/gw/a/b", '/', false},
		{"spiffe://td.example/gw/*", "spiffe://td.example.evil/gw/a", '/', false},
		{"spiffe://*/gw", "spiffe://td.example/gw", '/', true},
		{"spiffe://*/gw", "spiffe://td.example/x/gw", '/', false},
		{"*.example", "a.example", '.', true},
		{"*.example", "a.b.example", '.', false},
		{"**.example", "a.b.example", '.', true},
		{"*.example", "a/b.example", '.', true},
		/* Nothing else is special. */
		{"a?c", "abc", '/', false},
		{"a?c", "a?c", '/', true},
		{"[ab]", "a", '/', false},
		{"a\\*", "a\\x", '/', true},
		{"a.c", "abc", '/', false},
		{"\xc3\xa9*", "\xc3\xa9t\xc3\xa9", '/', true},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		if (policy_match(cases[i].pattern, cases[i].text, cases[i].sep) != cases[i].matches)
			fail_msg("pattern \"%s\", text \"%s\"", cases[i].pattern, cases[i].text);
}

/* The definition, as plainly as it can be said. */
static bool naive(const char *pattern, const char *text)
{
	if (pattern[0] == '*' && pattern[1] == '*') {
		for (const char *t = text;; t++) {
			if (naive(pattern + 2, t))
				return true;
			if (!*t)
				return false;
		}
	}
	if (pattern[0] == '*') {
		for (const char *t = text;; t++) {
			if (naive(pattern + 1, t))
				return true;
			if (!*t || *t == '/')
				return false;
		}
	}
	if (!pattern[0])
		return !text[0];
	return text[0] == pattern[0] && naive(pattern + 1, text + 1);
}

/* The n-th word over an alphabet, shortest first. */
static void word(unsigned n, const char *alphabet, char *ret)
{
	unsigned base = (unsigned)strlen(alphabet);
	size_t len = 0;
	for (; n; n = (n - 1) / base)
		ret[len++] = alphabet[(n - 1) % base];
	ret[len] = 0;
}

static void test_against_model(void **state)
{
	(void)state;
	/* Every pattern of up to five and every text of up to four characters. */
	char pattern[8], text[8];
	unsigned matches = 0;
	for (unsigned p = 0; p < 1365; p++) {
		word(p, "ab/*", pattern);
		for (unsigned t = 0; t < 121; t++) {
			word(t, "ab/", text);
			bool found = policy_match(pattern, text, '/');
			matches += found;
			if (found != naive(pattern, text))
				fail_msg("pattern \"%s\", text \"%s\": %d", pattern, text, found);
		}
	}
	assert_true(matches > 5000);
}

static uint32_t draw(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* Longer ones, across the words of the bit set. */
static void test_against_model_at_random(void **state)
{
	(void)state;
	uint32_t seed = 7;
	unsigned matches = 0;
	for (int round = 0; round < 3000; round++) {
		char pattern[200] = "", text[400] = "";
		size_t p = 0, t = 0;
		for (unsigned pieces = 1 + draw(&seed) % 6; pieces; pieces--) {
			unsigned literal = draw(&seed) % 25;
			for (unsigned i = 0; i < literal; i++)
				pattern[p++] = text[t++] = "ab/"[draw(&seed) % 3];
			unsigned stars = draw(&seed) % 3;
			for (unsigned i = 0; i < stars; i++)
				pattern[p++] = '*';
			for (unsigned i = stars ? draw(&seed) % 4 : 0; i; i--)
				text[t++] = "ab/"[draw(&seed) % 3];
		}
		bool found = policy_match(pattern, text, '/');
		matches += found;
		if (found != naive(pattern, text))
			fail_msg("pattern \"%s\", text \"%s\": %d", pattern, text, found);
	}
	assert_in_range(matches, 500, 2900);
}

static void test_no_backtracking(void **state)
{
	(void)state;
	/* A matcher that backtracks would outlive the test's time limit by far. */
	char *pattern = mem_calloc(1, PATTERN_MAX + 1), *text = mem_calloc(1, 2049);
	for (size_t i = 0; i + 1 < PATTERN_MAX; i += 2)
		memcpy(pattern + i, i % 4 ? "a*" : "**", 2);
	memset(text, 'a', 2048);
	text[2047] = 'b';
	pattern[PATTERN_MAX - 1] = 'c';
	assert_false(policy_match(pattern, text, '/'));
	memset(pattern, '*', PATTERN_MAX);
	assert_true(policy_match(pattern, text, '/'));
	free(pattern);
	free(text);
}

static void test_too_long_matches_nothing(void **state)
{
	(void)state;
	char *pattern = mem_calloc(1, PATTERN_MAX + 2);
	memset(pattern, '*', PATTERN_MAX + 1);
	assert_false(policy_match(pattern, "a", '/'));
	free(pattern);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_table), cmocka_unit_test(test_against_model),
		cmocka_unit_test(test_against_model_at_random), cmocka_unit_test(test_no_backtracking),
		cmocka_unit_test(test_too_long_matches_nothing)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
