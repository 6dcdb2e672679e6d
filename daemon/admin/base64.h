/* daemon/admin/base64.h - bytes as text in JSON, by OpenSSL. */
#ifndef DAEMON_ADMIN_BASE64_H
#define DAEMON_ADMIN_BASE64_H
#include "base/attr.h"
#include "base/buf.h"
struct fault;
/** Append the decoded bytes. INVALID: not base64 (RFC 4648 4, padded, nothing around it or between). */
MUST_USE struct fault *base64_decode(const char *text, struct buf *ret);
#endif
