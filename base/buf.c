#include "base/buf.h"
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/mem.h"

static void grow(struct buf *b, size_t more)
{
	invariant(more < SIZE_MAX / 4 && b->len < SIZE_MAX / 4);
	size_t need = b->len + more + 1;
	if (need <= b->cap)
		return;
	size_t cap = b->cap ? b->cap * 2 : 64;
	if (cap < need)
		cap = need;
	if (!b->wipe) {
		b->data = mem_realloc(b->data, cap);
	} else {
		unsigned char *data = mem_calloc(1, cap);
		if (b->data) {
			memcpy(data, b->data, b->len);
			OPENSSL_cleanse(b->data, b->cap);
			free(b->data);
		}
		b->data = data;
	}
	b->cap = cap;
}

unsigned char *buf_extend(struct buf *b, size_t len)
{
	grow(b, len);
	unsigned char *at = b->data + b->len;
	b->len += len;
	b->data[b->len] = 0;
	return at;
}

void buf_add(struct buf *b, const void *bytes, size_t len)
{
	unsigned char *at = buf_extend(b, len);
	if (len)
		memcpy(at, bytes, len);
}

void buf_add_text(struct buf *b, const char *text)
{
	buf_add(b, text, strlen(text));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	invariant(n >= 0);
	grow(b, (size_t)n);
	va_start(ap, fmt);
	(void)vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

void buf_truncate(struct buf *b, size_t len)
{
	invariant(len <= b->len);
	if (!b->data)
		return;
	if (b->wipe)
		OPENSSL_cleanse(b->data + len, b->len - len);
	b->len = len;
	b->data[len] = 0;
}

const char *buf_text(const struct buf *b)
{
	return b->data ? (const char *)b->data : "";
}

char *buf_take_text(struct buf *b)
{
	invariant(!b->wipe);
	char *text = b->data ? (char *)b->data : mem_strdup("");
	b->data = NULL;
	b->len = b->cap = 0;
	return text;
}

void buf_free(struct buf *b)
{
	if (b->data) {
		if (b->wipe)
			OPENSSL_cleanse(b->data, b->cap);
		free(b->data);
	}
	b->data = NULL;
	b->len = b->cap = 0;
}
