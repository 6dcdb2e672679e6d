/* control/pattern.c - a pattern as a nondeterministic automaton: a state is a place in the pattern, the set of states
 * that are possible is a bit set, and each byte of the text moves the set on. There is nothing to backtrack, so no
 * pattern and no text makes it slow. */
#include "control/pattern.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"
#include "control/policy.h"

enum { WORD_BITS = 64 };
#define WORDS (PATTERN_MAX / WORD_BITS + 1)

struct states {
	uint64_t bits[WORDS];
	size_t words; /* in use */
};

/* A run of two stars and more crosses separators. */
static size_t star_run(const char *text, size_t len, size_t at)
{
	size_t n = 0;
	while (at + n < len && text[at + n] == '*')
		n++;
	return n;
}

/* To be at a star is to be behind it too: it may stand for nothing. */
static void enter(struct states *s, const char *text, size_t len, size_t at)
{
	s->bits[at / WORD_BITS] |= UINT64_C(1) << at % WORD_BITS;
	size_t run = star_run(text, len, at);
	if (run) {
		at += run;
		s->bits[at / WORD_BITS] |= UINT64_C(1) << at % WORD_BITS;
	}
}

static bool move(const struct states *from, struct states *to, const char *text, size_t len, char c, char sep)
{
	bool any = false;
	memset(to->bits, 0, to->words * sizeof(to->bits[0]));
	for (size_t w = 0; w < from->words; w++) {
		for (uint64_t left = from->bits[w]; left; left &= left - 1) {
			size_t at = w * WORD_BITS + (size_t)__builtin_ctzll(left);
			size_t run = star_run(text, len, at);
			if (run ? c == sep && run == 1 : at == len || text[at] != c)
				continue;
			enter(to, text, len, run ? at : at + 1);
			any = true;
		}
	}
	return any;
}

static bool run(const char *pattern, size_t pattern_len, const char *text, size_t len, char sep)
{
	struct states a, b, *now = &a, *next = &b;
	a.words = b.words = pattern_len / WORD_BITS + 1;
	memset(a.bits, 0, a.words * sizeof(a.bits[0]));
	enter(now, pattern, pattern_len, 0);
	for (size_t i = 0; i < len; i++) {
		if (!move(now, next, pattern, pattern_len, text[i], sep))
			return false;
		struct states *swap = now;
		now = next;
		next = swap;
	}
	return now->bits[pattern_len / WORD_BITS] >> pattern_len % WORD_BITS & 1;
}

void pattern_init(struct pattern *p, const char *text, char sep)
{
	p->len = strlen(text);
	invariant(p->len <= PATTERN_MAX);
	p->text = mem_strdup(text);
	p->prefix = strcspn(text, "*");
	p->sep = sep;
}

void pattern_done(struct pattern *p)
{
	free(p->text);
	p->text = NULL;
}

bool pattern_matches(const struct pattern *p, const char *text, size_t len)
{
	if (len < p->prefix || strncmp(text, p->text, p->prefix) != 0)
		return false;
	if (p->prefix == p->len)
		return len == p->len;
	return run(p->text + p->prefix, p->len - p->prefix, text + p->prefix, len - p->prefix, p->sep);
}

bool policy_match(const char *pattern, const char *text, char sep)
{
	struct pattern p = {(char *)(uintptr_t)pattern, strlen(pattern), strcspn(pattern, "*"), sep};
	return p.len <= PATTERN_MAX && pattern_matches(&p, text, strlen(text));
}
