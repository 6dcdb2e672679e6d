/* daemon/cli/table.c - columns for people, times as they say them, JSON for machines. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/io/json_text.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/cli/internal.h"

enum { COLUMNS_MAX = 16 };
struct table {
	size_t columns, rows, cap;
	char **cells; /* rows of columns; the first row holds the heads */
};

struct table *table_new(const char *const *heads, size_t columns)
{
	invariant(columns <= COLUMNS_MAX);
	struct table *t = mem_new(struct table);
	t->columns = columns;
	table_add(t, heads);
	return t;
}

void table_add(struct table *t, const char *const *cells)
{
	if (t->rows == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 16;
		t->cells = mem_realloc(t->cells, t->cap * t->columns * sizeof *t->cells);
	}
	for (size_t i = 0; i < t->columns; i++)
		t->cells[t->rows * t->columns + i] = text_escaped(cells[i] ? cells[i] : "-");
	t->rows++;
}

/* Characters, not bytes: continuation bytes of UTF-8 take no place. */
static size_t width_of(const char *s)
{
	size_t n = 0;
	for (; *s; s++)
		n += (*s & 0xc0) != 0x80;
	return n;
}

void table_print(struct table *t)
{
	size_t widths[COLUMNS_MAX] = {0};
	if (t->rows < 2)
		return;
	for (size_t i = 0; i < t->rows * t->columns; i++) {
		size_t w = width_of(t->cells[i]);
		if (w > widths[i % t->columns])
			widths[i % t->columns] = w;
	}
	for (size_t r = 0; r < t->rows; r++)
		for (size_t k = 0; k < t->columns; k++) {
			const char *cell = t->cells[r * t->columns + k];
			bool last = k + 1 == t->columns;
			(void)printf(
				"%s%*s%s", cell, last ? 0 : (int)(widths[k] - width_of(cell)), "", last ? "\n" : "  ");
		}
}

void table_free(struct table *t)
{
	for (size_t i = 0; i < t->rows * t->columns; i++)
		free(t->cells[i]);
	free(t->cells);
	free(t);
}

struct fault *print_json(const json_t *o, size_t flags)
{
	AUTO(mem_freep) char *text = json_text(o, flags);
	if (!text)
		return fault_new(FAULT_CORRUPT, "the answer is nested too deep to be printed");
	return puts(text) == EOF ? fault_errno(errno, "cannot write") : NULL;
}

const char *text_or_dash(const json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));
	return text ? text : "-";
}

char *safe_or_dash(const json_t *o, const char *key)
{
	return text_escaped(text_or_dash(o, key));
}

long long number_of(const json_t *o, const char *key)
{
	static const json_int_t most = INT64_C(1000000000000);
	json_int_t n = json_integer_value(json_object_get(o, key));
	return n > most ? most : n < -most ? -most : n;
}

/* "2026-11-24T12:00:00.123Z" as ms; false when it is not of that form. */
static bool parse_time(const char *text, int64_t *ret)
{
	struct tm tm;
	int ms = 0;
	memset(&tm, 0, sizeof tm);
	const char *rest = text ? strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	if (!rest || sscanf(rest, ".%3dZ", &ms) != 1)
		return false;
	*ret = (int64_t)timegm(&tm) * 1000 + ms;
	return true;
}

char *relative_time(const json_t *o, const char *key, const char *now)
{
	int64_t at, then;
	char span[32];
	if (!parse_time(json_string_value(json_object_get(o, key)), &at) || !parse_time(now, &then))
		return mem_strdup("-");
	text_duration(at > then ? at - then : then - at, span, sizeof span);
	return at >= then ? mem_printf("in %s", span) : mem_printf("%s ago", span);
}
