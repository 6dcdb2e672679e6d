#include "base/base64url.h"
#include <openssl/evp.h>
#include <string.h>
#include "base/buf.h"

void base64url_add(struct buf *b, const void *bytes, size_t len)
{
	size_t room = 4 * ((len + 2) / 3) + 1, start = b->len;
	unsigned char *at = buf_extend(b, room);
	size_t n = (size_t)EVP_EncodeBlock(at, bytes, (int)len);
	while (n && at[n - 1] == '=')
		n--;
	for (size_t i = 0; i < n; i++)
		at[i] = at[i] == '+' ? '-' : at[i] == '/' ? '_' : at[i];
	buf_truncate(b, start + n);
}

static bool is_letter(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

bool base64url_read(struct buf *ret, const char *text, size_t len)
{
	struct buf padded = BUF_SECRET_INIT;
	size_t start = ret->len, all = (len + 3) / 4 * 4;
	if (len % 4 == 1)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!is_letter(text[i]))
			return false;
	if (!len)
		return true;
	unsigned char *at = buf_extend(&padded, all);
	for (size_t i = 0; i < all; i++)
		at[i] = i >= len ? '=' : (unsigned char)(text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i]);
	int n = EVP_DecodeBlock(buf_extend(ret, all / 4 * 3), at, (int)all);
	buf_free(&padded);
	buf_truncate(ret, n < 0 ? start : start + (size_t)n - (all - len));
	return n >= 0;
}
