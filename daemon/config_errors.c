#include "daemon/config_errors.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/config.h"

/* Longest text of one error, before escaping: a name of 1,024 bytes and what is said about it fit. */
#define ERROR_TEXT_MAX ((size_t)2048)

struct config_error {
	size_t line, column;
	char *text;
};

struct config_errors {
	char *path; /* escaped */
	struct config_error *list;
	size_t count; /* kept */
	size_t beyond;
};

struct config_errors *config_errors_new(const char *path)
{
	struct config_errors *e = mem_new(struct config_errors);
	e->path = text_escaped(path);
	return e;
}

/* In the order of the file; what has no place comes first, and equals stay as they came. */
static void insert(struct config_errors *e, struct config_error added)
{
	size_t at = e->count++;
	e->list = mem_realloc(e->list, e->count * sizeof(*e->list));
	for (; at > 0; at--) {
		const struct config_error *before = &e->list[at - 1];
		if (before->line < added.line || (before->line == added.line && before->column <= added.column))
			break;
		e->list[at] = *before;
	}
	e->list[at] = added;
}

void config_errors_add(struct config_errors *e, size_t line, size_t column, const char *fmt, ...)
{
	if (e->count == CONFIG_ERRORS_MAX) {
		e->beyond++;
		return;
	}
	char text[ERROR_TEXT_MAX];
	va_list ap;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	insert(e, (struct config_error){line, column, text_escaped(text)});
}

static void add_line(const struct config_errors *e, const struct config_error *error, struct buf *ret)
{
	buf_add_text(ret, e->path);
	if (error->line)
		buf_printf(ret, ":%zu:%zu", error->line, error->column);
	buf_printf(ret, ": %s", error->text);
}

void config_errors_text(const struct config_errors *e, struct buf *ret)
{
	for (size_t i = 0; e && i < e->count; i++) {
		add_line(e, &e->list[i], ret);
		buf_add_text(ret, "\n");
	}
	if (e && e->beyond)
		buf_printf(ret, "%s: and %zu more\n", e->path, e->beyond);
}

void config_errors_print(const struct config_errors *e, FILE *out)
{
	struct buf text = BUF_INIT;
	config_errors_text(e, &text);
	(void)fputs(buf_text(&text), out);
	buf_free(&text);
}

size_t config_errors_count(const struct config_errors *e)
{
	return e ? e->count + e->beyond : 0;
}

struct fault *config_errors_fault(const struct config_errors *e)
{
	size_t count = config_errors_count(e);
	if (count == 0)
		return NULL;
	struct buf first = BUF_INIT;
	add_line(e, &e->list[0], &first);
	struct fault *f = count == 1 ? fault_new(FAULT_INVALID, "%s", buf_text(&first))
				     : fault_new(FAULT_INVALID, "%s (and %zu more)", buf_text(&first), count - 1);
	buf_free(&first);
	return f;
}

void config_errors_free(struct config_errors *e)
{
	if (!e)
		return;
	for (size_t i = 0; i < e->count; i++)
		free(e->list[i].text);
	free(e->list);
	free(e->path);
	free(e);
}

void config_errors_freep(struct config_errors **e)
{
	config_errors_free(*e);
	*e = NULL;
}
