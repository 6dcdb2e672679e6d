/* daemon/admin/json_memory.c - jansson's allocator with wiping: orders and answers hold private keys. */
#include <openssl/crypto.h>
#include <stddef.h>
#include "base/mem.h"
#include "daemon/admin/internal.h"

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

void admin_wipe_json_memory(void)
{
	json_set_alloc_funcs(wiping_malloc, wiping_free);
}

void json_free_text(char *text)
{
	wiping_free(text);
}
