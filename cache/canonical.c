#include "cache/canonical.h"
#include <string.h>
#include "base/buf.h"
#include "base/mem.h"

static void add_length(struct buf *b, uint32_t len)
{
	const unsigned char prefix[4] = {
		(unsigned char)(len >> 24), (unsigned char)(len >> 16), (unsigned char)(len >> 8), (unsigned char)len};
	buf_add(b, prefix, sizeof prefix);
}

void canonical_add(struct buf *b, const void *bytes, size_t len)
{
	invariant(len < UINT32_MAX);
	add_length(b, (uint32_t)len);
	buf_add(b, bytes, len);
}

void canonical_add_text(struct buf *b, const char *text)
{
	if (text)
		canonical_add(b, text, strlen(text));
	else
		add_length(b, UINT32_MAX);
}

void canonical_add_int(struct buf *b, int64_t value)
{
	unsigned char bytes[8];
	for (int i = 0; i < 8; i++)
		bytes[i] = (unsigned char)((uint64_t)value >> (56 - 8 * i));
	canonical_add(b, bytes, sizeof bytes);
}

/* --- reading --- */

static const unsigned char *fail(struct canonical_reader *r)
{
	r->has_failed = true;
	r->left = 0;
	return NULL;
}

/* NULL on failure, and for a NULL text, which is no failure. */
static const unsigned char *take(struct canonical_reader *r, size_t *ret_len)
{
	uint32_t len;
	*ret_len = 0;
	if (r->left < 4)
		return fail(r);
	len = (uint32_t)r->at[0] << 24 | (uint32_t)r->at[1] << 16 | (uint32_t)r->at[2] << 8 | r->at[3];
	r->at += 4;
	r->left -= 4;
	if (len == UINT32_MAX)
		return NULL;
	if (len > r->left)
		return fail(r);
	const unsigned char *value = r->at;
	r->at += len;
	r->left -= len;
	*ret_len = len;
	return value;
}

char *canonical_read_text(struct canonical_reader *r)
{
	size_t len;
	const unsigned char *bytes = take(r, &len);
	if (!bytes)
		return NULL;
	if (memchr(bytes, 0, len)) {
		(void)fail(r);
		return NULL;
	}
	return mem_strndup((const char *)bytes, len);
}

int64_t canonical_read_int(struct canonical_reader *r)
{
	size_t len;
	uint64_t value = 0;
	const unsigned char *bytes = take(r, &len);
	if (!bytes || len != sizeof value) {
		(void)fail(r);
		return 0;
	}
	for (size_t i = 0; i < sizeof value; i++)
		value = value << 8 | bytes[i];
	return (int64_t)value;
}

bool canonical_is_read(const struct canonical_reader *r)
{
	return !r->has_failed && r->left == 0;
}
