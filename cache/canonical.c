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
