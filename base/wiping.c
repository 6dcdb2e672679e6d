#include "base/wiping.h"
#include <openssl/crypto.h>
#include <stdint.h>
#include <string.h>
#include "base/mem.h"

union header {
	size_t size;
	max_align_t align;
};

void *wiping_malloc(size_t size)
{
	invariant(size <= PTRDIFF_MAX - sizeof(union header));
	union header *h = mem_calloc(1, sizeof *h + size);
	h->size = size;
	return h + 1;
}

void *wiping_calloc(size_t count, size_t size)
{
	invariant(size == 0 || count <= PTRDIFF_MAX / size);
	return wiping_malloc(count * size);
}

void *wiping_realloc(void *p, size_t size)
{
	void *next = wiping_malloc(size);
	if (p) {
		size_t had = ((union header *)p - 1)->size;
		memcpy(next, p, had < size ? had : size);
		wiping_free(p);
	}
	return next;
}

char *wiping_strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	return memcpy(wiping_malloc(size), text, size);
}

void wiping_free(void *p)
{
	if (!p)
		return;
	union header *h = (union header *)p - 1;
	OPENSSL_cleanse(h, sizeof *h + h->size);
	free(h);
}
