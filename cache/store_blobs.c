#include "cache/store_blobs.h"
#include <string.h>
#include "base/fault.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/table.h"

struct blob {
	UT_hash_handle hh; /* key: name */
	char *name;
	struct secret *bytes; /* NULL: damaged */
	struct fault *damage;
};

struct store_blobs {
	struct blob *by_name;
};

struct store_blobs *store_blobs_new(void)
{
	return mem_new(struct store_blobs);
}

static struct blob *find(const struct store_blobs *b, const char *name)
{
	struct blob *found;
	HASH_FIND_STR(b->by_name, name, found);
	return found;
}

static void set(struct store_blobs *b, const char *name, struct secret *bytes, struct fault *damage)
{
	struct blob *blob = find(b, name);
	if (!blob) {
		blob = mem_new(struct blob);
		blob->name = mem_strdup(name);
		HASH_ADD_KEYPTR(hh, b->by_name, blob->name, strlen(blob->name), blob);
	}
	secret_free(blob->bytes);
	fault_free(blob->damage);
	blob->bytes = bytes;
	blob->damage = damage;
}

void store_blobs_put(struct store_blobs *b, const char *name, struct secret *bytes)
{
	set(b, name, bytes, NULL);
}

void store_blobs_put_damaged(struct store_blobs *b, const char *name, struct fault *why)
{
	set(b, name, NULL, why);
}

struct fault *store_blobs_get(const struct store_blobs *b, const char *name, struct secret **ret)
{
	const struct blob *blob = find(b, name);
	size_t len;
	if (blob && blob->damage)
		return fault_new(fault_code(blob->damage), "%s", fault_text(blob->damage));
	if (blob) {
		const unsigned char *bytes = secret_bytes(blob->bytes, &len);
		return secret_new(bytes, len, ret);
	}
	*ret = NULL;
	return NULL;
}

void store_blobs_free(struct store_blobs *b)
{
	struct blob *blob, *tmp;
	if (!b)
		return;
	HASH_ITER (hh, b->by_name, blob, tmp) {
		HASH_DELETE(hh, b->by_name, blob);
		secret_free(blob->bytes);
		fault_free(blob->damage);
		free(blob->name);
		free(blob);
	}
	free(b);
}
