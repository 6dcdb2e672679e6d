#include "cache/entry.h"
#include <string.h>
#include "base/attr.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/ref.h"
#include "base/text.h"

/* bytes: the name, then each attribute, each ended by NUL: neither can hold one. */
struct entry_key {
	struct ref ref;
	char *text;
	size_t count; /* of attributes */
	size_t len;
	char bytes[];
};

static char *describe(const char *name, const char *const *attributes, size_t count)
{
	struct buf b = BUF_INIT;
	buf_add_text(&b, name);
	for (size_t i = 0; i < count; i++)
		buf_printf(&b, "%s%s", i ? "," : "{", attributes[i]);
	if (count)
		buf_add_text(&b, "}");
	return buf_take_text(&b);
}

struct entry_key *entry_key_new(const char *name, const char *const *attributes, size_t count)
{
	size_t len = strlen(name) + 1;
	for (size_t i = 0; i < count; i++)
		len += strlen(attributes[i]) + 1;
	struct entry_key *k = mem_calloc(1, sizeof *k + len);
	ref_init(&k->ref);
	k->text = describe(name, attributes, count);
	k->count = count;
	k->len = len;
	char *at = k->bytes;
	memcpy(at, name, strlen(name) + 1);
	at += strlen(name) + 1;
	for (size_t i = 0; i < count; i++) {
		memcpy(at, attributes[i], strlen(attributes[i]) + 1);
		at += strlen(attributes[i]) + 1;
	}
	return k;
}

enum { ATTRIBUTES_MAX = 32 };

struct entry_key *entry_key_from_bytes(const void *bytes, size_t len)
{
	const char *at = bytes;
	const char *parts[ATTRIBUTES_MAX + 1];
	size_t count = 0;
	if (!len || at[len - 1] != 0 || !text_is_name(at, strlen(at)))
		return NULL;
	for (const char *end = at + len; at < end; at += strlen(at) + 1) {
		if (count == ARRAY_LEN(parts))
			return NULL;
		parts[count++] = at;
	}
	return entry_key_new(parts[0], parts + 1, count - 1);
}

struct entry_key *entry_key_ref(struct entry_key *k)
{
	ref_up(&k->ref);
	return k;
}

void entry_key_unref(struct entry_key *k)
{
	if (!k || !ref_down(&k->ref))
		return;
	free(k->text);
	free(k);
}

void entry_key_unrefp(struct entry_key **k)
{
	entry_key_unref(*k);
	*k = NULL;
}

const void *entry_key_bytes(const struct entry_key *k, size_t *ret_len)
{
	*ret_len = k->len;
	return k->bytes;
}

const char *entry_key_name(const struct entry_key *k)
{
	return k->bytes;
}

bool entry_key_equal(const struct entry_key *a, const struct entry_key *b)
{
	return a == b || (a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0);
}

size_t entry_key_attribute_count(const struct entry_key *k)
{
	return k->count;
}

const char *entry_key_attribute(const struct entry_key *k, size_t i)
{
	invariant(i < k->count);
	const char *at = k->bytes;
	for (size_t n = 0; n <= i; n++)
		at += strlen(at) + 1;
	return at;
}

const char *entry_key_text(const struct entry_key *k)
{
	return k->text;
}
