#include "daemon/admin/base64.h"
#include <openssl/evp.h>
#include <string.h>
#include "base/fault.h"

struct fault *base64_decode(const char *text, struct buf *ret)
{
	size_t len = strlen(text), start = ret->len;
	if (len % 4 || len > INT32_MAX / 2)
		return fault_new(FAULT_INVALID, "not base64: its length is no multiple of 4");
	if (!len)
		return NULL;
	int n = EVP_DecodeBlock(buf_extend(ret, len / 4 * 3), (const unsigned char *)text, (int)len);
	if (n < 0) {
		buf_truncate(ret, start);
		return fault_new(FAULT_INVALID, "not base64");
	}
	size_t padding = (size_t)(text[len - 1] == '=') + (size_t)(text[len - 2] == '=');
	buf_truncate(ret, start + (size_t)n - padding);
	return NULL;
}
