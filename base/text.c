#include "base/text.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"

/* Length of the well-formed UTF-8 sequence at p (Unicode 15, table 3-7), 0 when there is none; *ret_cp is its code
 * point. */
static size_t sequence(const unsigned char *p, size_t left, uint32_t *ret_cp)
{
	static const struct {
		unsigned char mask, lead;
		size_t len;
		uint32_t min;
	} kinds[] = {{0x80, 0x00, 1, 0}, {0xe0, 0xc0, 2, 0x80}, {0xf0, 0xe0, 3, 0x800}, {0xf8, 0xf0, 4, 0x10000}};
	for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
		if ((p[0] & kinds[k].mask) != kinds[k].lead)
			continue;
		uint32_t cp = p[0] & (unsigned char)~kinds[k].mask;
		if (kinds[k].len > left)
			return 0;
		for (size_t i = 1; i < kinds[k].len; i++) {
			if ((p[i] & 0xc0) != 0x80)
				return 0;
			cp = cp << 6 | (p[i] & 0x3f);
		}
		if (cp < kinds[k].min || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
			return 0;
		*ret_cp = cp;
		return kinds[k].len;
	}
	return 0;
}

bool text_same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

bool text_is_utf8(const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	uint32_t cp;
	for (size_t i = 0, n; i < len; i += n) {
		n = sequence(p + i, len - i, &cp);
		if (!n)
			return false;
	}
	return true;
}

void text_mend_utf8(char *text)
{
	uint32_t cp;
	for (size_t left = strlen(text), n; left; left -= n, text += n) {
		n = sequence((const unsigned char *)text, left, &cp);
		if (n)
			continue;
		*text = '?';
		n = 1;
	}
}

bool text_is_name(const void *bytes, size_t len)
{
	return len >= 1 && len <= TEXT_NAME_MAX && !memchr(bytes, 0, len) && text_is_utf8(bytes, len);
}

/* Characters that could make a terminal or a reader see something else than what is there. */
static bool is_deceptive(uint32_t cp)
{
	static const struct {
		uint32_t from, to;
	} ranges[] = {{0x00, 0x1f}, {'\\', '\\'}, {0x7f, 0x9f}, {0xad, 0xad}, {0x61c, 0x61c}, {0x180e, 0x180e},
		{0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb},
		{0xe0000, 0xe007f}};
	for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
		if (cp >= ranges[i].from && cp <= ranges[i].to)
			return true;
	return false;
}

static void add_code_point(struct buf *b, const unsigned char *p, size_t n, uint32_t cp)
{
	if (!is_deceptive(cp))
		buf_add(b, p, n);
	else if (cp == '\\')
		buf_add_text(b, "\\\\");
	else if (cp == '\n')
		buf_add_text(b, "\\n");
	else if (cp == '\t')
		buf_add_text(b, "\\t");
	else if (cp < 0x100)
		buf_printf(b, "\\x%02x", (unsigned)cp);
	else
		buf_printf(b, cp > 0xffff ? "\\U%08x" : "\\u%04x", (unsigned)cp);
}

void text_add_escaped(struct buf *b, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	for (size_t i = 0; i < len;) {
		uint32_t cp;
		size_t n = sequence(p + i, len - i, &cp);
		if (n) {
			add_code_point(b, p + i, n, cp);
			i += n;
		} else {
			buf_printf(b, "\\x%02x", p[i]);
			i++;
		}
	}
}

char *text_escaped(const char *text)
{
	struct buf b = BUF_INIT;
	text_add_escaped(&b, text, strlen(text));
	return buf_take_text(&b);
}

void text_hex(const void *bytes, size_t len, char *ret)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *p = bytes;
	for (size_t i = 0; i < len; i++) {
		ret[2 * i] = digits[p[i] >> 4];
		ret[2 * i + 1] = digits[p[i] & 15];
	}
	ret[2 * len] = 0;
}

#define NEAREST_MAX 48
static size_t distance(const char *a, const char *b)
{
	size_t la = strlen(a), lb = strlen(b), row[NEAREST_MAX + 1];
	if (la > NEAREST_MAX || lb > NEAREST_MAX)
		return SIZE_MAX;
	for (size_t j = 0; j <= lb; j++)
		row[j] = j;
	for (size_t i = 1; i <= la; i++) {
		size_t diagonal = row[0];
		row[0] = i;
		for (size_t j = 1; j <= lb; j++) {
			size_t best = diagonal + (a[i - 1] != b[j - 1]);
			diagonal = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[lb];
}

const char *text_nearest(const char *word, const char *const *candidates, size_t count)
{
	const char *best = NULL;
	size_t best_distance = strlen(word) / 3 + 2; /* beyond that a hint would mislead */
	for (size_t i = 0; i < count; i++) {
		size_t d = distance(word, candidates[i]);
		if (d < best_distance) {
			best_distance = d;
			best = candidates[i];
		}
	}
	return best;
}

void text_duration(long long ms, char *ret, size_t size)
{
	const char *sign = ms < 0 ? "-" : "";
	unsigned long long t = ms < 0 ? 0ULL - (unsigned long long)ms : (unsigned long long)ms;
	unsigned long long s = t / 1000;
	if (t < 1000)
		(void)snprintf(ret, size, "%s%llums", sign, t);
	else if (s < 120)
		(void)snprintf(ret, size, "%s%llus", sign, s);
	else if (s < 2 * 3600)
		(void)snprintf(ret, size, "%s%llum%llus", sign, s / 60, s % 60);
	else if (s < 2 * 86400)
		(void)snprintf(ret, size, "%s%lluh%llum", sign, s / 3600, s % 3600 / 60);
	else
		(void)snprintf(ret, size, "%s%llud%lluh", sign, s / 86400, s % 86400 / 3600);
}
