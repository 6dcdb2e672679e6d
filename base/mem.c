#include "base/mem.h"
#include <stdio.h>
#include <string.h>

static void out_of_memory(size_t size) __attribute__((noreturn));
static void out_of_memory(size_t size)
{
	(void)fprintf(stderr, "leafcast: out of memory (%zu bytes)\n", size);
	abort();
}

void *mem_calloc(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);
	if (!p)
		out_of_memory(size);
	return p;
}

void *mem_realloc(void *p, size_t size)
{
	void *q = realloc(p, size ? size : 1);
	if (!q)
		out_of_memory(size);
	return q;
}

void *mem_dup(const void *bytes, size_t len)
{
	void *p = mem_calloc(1, len);
	if (len)
		memcpy(p, bytes, len);
	return p;
}

char *mem_strndup(const char *s, size_t len)
{
	char *p = mem_calloc(1, len + 1);
	if (len)
		memcpy(p, s, len);
	return p;
}

char *mem_strdup(const char *s)
{
	return s ? mem_strndup(s, strlen(s)) : NULL;
}

void mem_freep(char **p)
{
	free(*p);
	*p = NULL;
}

char *mem_vprintf(const char *fmt, va_list ap)
{
	char *s = NULL;
	if (vasprintf(&s, fmt, ap) < 0 || !s)
		out_of_memory(0);
	return s;
}

char *mem_printf(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	char *s = mem_vprintf(fmt, ap);
	va_end(ap);
	return s;
}

void invariant_failed(const char *expr, const char *file, int line)
{
	(void)fprintf(stderr, "leafcast: invariant failed: %s (%s:%d)\n", expr, file, line);
	abort();
}
