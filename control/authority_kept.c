#include "control/authority_kept.h"
#include <string.h>
#include "base/fault.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/table.h"
#include "cache/store.h"

struct kept {
	struct kept *next;
	char *key;
	struct secret *bytes;
};

static char *blob_name(const char *authority, const char *key)
{
	return mem_printf("authority/%s/%s", authority, key);
}

static struct kept *find(struct kept **list, const char *key)
{
	struct kept *k;
	LL_FOREACH (*list, k)
		if (strcmp(k->key, key) == 0)
			return k;
	k = mem_new(struct kept);
	k->key = mem_strdup(key);
	LL_PREPEND(*list, k);
	return k;
}

struct fault *kept_load(
	struct kept **list, struct store *store, const char *authority, const char *key, const struct secret **ret)
{
	struct kept *k = find(list, key);
	if (!k->bytes) {
		AUTO(mem_freep) char *name = blob_name(authority, key);
		TRY(store_load_blob(store, name, &k->bytes));
	}
	*ret = k->bytes;
	return NULL;
}

void kept_save(struct kept **list, struct store *store, const char *authority, const char *key,
	const struct secret *bytes, void (*done)(void *done_arg, struct fault *f), void *done_arg)
{
	struct kept *k = find(list, key);
	size_t len;
	const unsigned char *p = secret_bytes(bytes, &len);
	struct secret *copy = NULL;
	struct fault *f = secret_new(p, len, &copy);
	if (!f) {
		secret_free(k->bytes);
		k->bytes = copy;
	}
	fault_ignore(f, "the store has it all the same; load() reads it from there");
	AUTO(mem_freep) char *name = blob_name(authority, key);
	struct store_tx *tx = store_tx_new();
	store_tx_put_blob(tx, name, bytes);
	store_commit(store, tx, done, done_arg);
}

void kept_free(struct kept **list)
{
	struct kept *k, *next;
	LL_FOREACH_SAFE (*list, k, next) {
		secret_free(k->bytes);
		free(k->key);
		free(k);
	}
	*list = NULL;
}
