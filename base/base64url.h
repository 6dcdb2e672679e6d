/* base/base64url.h - base64url without padding (RFC 7515, appendix C). Thread: any. */
#ifndef BASE_BASE64URL_H
#define BASE_BASE64URL_H
#include <stdbool.h>
#include <stddef.h>
struct buf;

/** Append. */
void base64url_add(struct buf *b, const void *bytes, size_t len);
/** Append what text means; false, and nothing appended, where it is not base64url. Leaves no copy behind; ret wipes
 * where it was made to. len: bounded by the caller. */
bool base64url_read(struct buf *ret, const char *text, size_t len);
#endif
