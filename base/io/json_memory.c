#include "base/io/json_memory.h"
#include <jansson.h>
#include <openssl/crypto.h>
#include <stddef.h>
#include "base/mem.h"

union header {
	size_t size;
	max_align_t align;
};

static void *wiping_malloc(size_t size)
{
	union header *h = mem_calloc(1, sizeof *h + size);
	h->size = size;
	return h + 1;
}

static void wiping_free(void *p)
{
	if (!p)
		return;
	union header *h = (union header *)p - 1;
	OPENSSL_cleanse(h, sizeof *h + h->size);
	free(h);
}

void json_memory_wipe(void)
{
	json_set_alloc_funcs(wiping_malloc, wiping_free);
}

void json_memory_free_text(char *text)
{
	json_malloc_t allocate;
	json_free_t release;
	json_get_alloc_funcs(&allocate, &release);
	release(text);
}
