#include "daemon/admin/base64.h"
#include <openssl/evp.h>
#include <string.h>
#include "base/fault.h"

/* OpenSSL's decoder skips blanks around the text, takes "-" for its end and "=" in the middle for an "A". */
static bool is_base64(const char *text, size_t len)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t letters = strspn(text, alphabet);
	return letters + 2 >= len && strspn(text + letters, "=") == len - letters;
}

struct fault *base64_decode(const char *text, struct buf *ret)
{
	size_t len = strlen(text), start = ret->len;
	if (len % 4 || len > INT32_MAX / 2)
		return fault_new(FAULT_INVALID, "not base64: its length is no multiple of 4");
	if (!len)
		return NULL;
	if (!is_base64(text, len))
		return fault_new(FAULT_INVALID, "not base64");
	int n = EVP_DecodeBlock(buf_extend(ret, len / 4 * 3), (const unsigned char *)text, (int)len);
	if (n < 0) {
		buf_truncate(ret, start);
		return fault_new(FAULT_INVALID, "not base64");
	}
	size_t padding = (size_t)(text[len - 1] == '=') + (size_t)(text[len - 2] == '=');
	buf_truncate(ret, start + (size_t)n - padding);
	return NULL;
}
