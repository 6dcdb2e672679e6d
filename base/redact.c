#include "base/redact.h"
#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include "base/attr.h"
#include "base/buf.h"
#include "base/text.h"

#define CUT "[cut]"
enum { VALUE_MIN = 4, ENCODED_MIN = 16, ENCODED_LONG = 24, LETTERS_LONG = 32 };

/* What follows one of these and a separator is not read any further. */
static const char *const words[] = {
	"password", "passwd", "passphrase", "secret", "token", "api_key", "apikey", "authorization", "bearer", "pin"};

struct line {
	const char *at;
	size_t len;
};

static bool is_encoding(char c)
{
	return isalnum((unsigned char)c) || (c && strchr("+_=-.", c) != NULL);
}

/* No word and no part of a path, as far as one can tell. */
static bool looks_encoded(const char *at, size_t len)
{
	size_t digits = 0, upper = 0, lower = 0, hex = 0;
	for (size_t i = 0; i < len; i++) {
		digits += isdigit((unsigned char)at[i]) != 0;
		upper += isupper((unsigned char)at[i]) != 0;
		lower += islower((unsigned char)at[i]) != 0;
		hex += isxdigit((unsigned char)at[i]) != 0;
	}
	if (len < ENCODED_MIN)
		return false;
	if (upper && lower && (digits || len >= LETTERS_LONG))
		return true;
	return digits && (len >= ENCODED_LONG || hex == len);
}

/* The run of such characters and slashes at the beginning; *ret_encoded: a part of it is no word. */
static size_t run_length(struct line l, bool *ret_encoded)
{
	size_t len = 0, part = 0;
	*ret_encoded = false;
	for (; len < l.len && (is_encoding(l.at[len]) || l.at[len] == '/'); len++) {
		if (l.at[len] != '/')
			continue;
		*ret_encoded = *ret_encoded || looks_encoded(l.at + part, len - part);
		part = len + 1;
	}
	*ret_encoded = *ret_encoded || looks_encoded(l.at + part, len - part);
	return len;
}

static size_t value_length(struct line l, const char *const *values, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t len = values[i] ? strlen(values[i]) : 0;
		if (len >= VALUE_MIN && len <= l.len && strncmp(l.at, values[i], len) == 0)
			return len;
	}
	return 0;
}

/* "password=", "Token: ", "Bearer ": with the separator. */
static size_t word_length(struct line l)
{
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		size_t len = strlen(words[i]);
		if (len >= l.len || strncasecmp(l.at, words[i], len) != 0)
			continue;
		bool separated = false, bearer = strcmp(words[i], "bearer") == 0;
		for (; len < l.len && strchr(" \t\"'=:", l.at[len]); len++)
			separated = separated || l.at[len] == '=' || l.at[len] == ':' || bearer;
		if (separated)
			return len;
	}
	return 0;
}

static void add_line(struct line l, const char *const *values, size_t value_count, struct buf *ret)
{
	while (l.len) {
		bool encoded = false;
		size_t word = word_length(l), cut = value_length(l, values, value_count), run = run_length(l, &encoded);
		if (!cut && word) {
			text_add_escaped(ret, l.at, word);
			buf_add_text(ret, CUT);
			return;
		}
		if (!cut && encoded)
			cut = run;
		if (cut)
			buf_add_text(ret, CUT);
		else
			text_add_escaped(ret, l.at, 1); /* a value or a word may begin at the next */
		l.at += cut ? cut : 1;
		l.len -= cut ? cut : 1;
	}
}

static bool begins_with(struct line l, const char *text)
{
	return l.len >= strlen(text) && strncmp(l.at, text, strlen(text)) == 0;
}

/* The last lines that say something, oldest first. */
static size_t last_lines(const char *text, size_t len, struct line ret[REDACT_LINES])
{
	size_t count = 0;
	while (len && count < REDACT_LINES) {
		size_t end = len;
		while (len && text[len - 1] != '\n')
			len--;
		if (end > len) {
			memmove(&ret[1], &ret[0], count * sizeof ret[0]);
			ret[0] = (struct line){text + len, end - len};
			count++;
		}
		if (len)
			len--;
	}
	return count;
}

void redact_add(const void *text, size_t len, const struct redact_hidden *hide, struct buf *ret)
{
	struct line lines[REDACT_LINES];
	size_t count = last_lines(text, len, lines), start = ret->len;
	bool in_pem = false;
	for (size_t i = 0; i < count; i++) {
		struct buf one = BUF_SECRET_INIT;
		bool begins = begins_with(lines[i], "-----BEGIN"), ends = begins_with(lines[i], "-----END");
		in_pem = (in_pem || begins) && !ends;
		if (in_pem || ends)
			buf_add_text(&one, CUT);
		else
			add_line(lines[i], hide->values, hide->count, &one);
		if (ret->len - start + one.len <= REDACT_MAX) {
			buf_add_text(ret, ret->len > start ? " | " : "");
			buf_add(ret, one.data, one.len);
		}
		buf_free(&one);
	}
}
