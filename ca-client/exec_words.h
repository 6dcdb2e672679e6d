/* ca-client/exec_words.h - what an exec authority is told and what it may answer, as JSON. Pure. Thread: any. */
#ifndef CA_CLIENT_EXEC_WORDS_H
#define CA_CLIENT_EXEC_WORDS_H
#include <stddef.h>
#include "base/attr.h"
#include "ca-client/ca.h"
struct buf;
struct redact_hidden;
struct fault;

enum { EXEC_VERSION = 1, EXEC_ANSWER_MAX = 2 * 1024 * 1024 };

/** Appended; time_limit_ms: until the run is ended. */
void exec_write_issue(const char *authority, const struct ca_request *r, int64_t time_limit_ms, struct buf *ret);
void exec_write_trust(const char *authority, int64_t time_limit_ms, struct buf *ret);
void exec_write_revoke(const char *authority, const struct ca_revocation *r, int64_t time_limit_ms, struct buf *ret);

/** {chain, anchors?, request_id?, renew?}; the caller owns *ret. CORRUPT: anything else, and it says what; what {error}
 * means is said by its class: unavailable, throttled, denied, invalid. hide: what its message must not repeat. */
MUST_USE struct fault *exec_read_issue(
	const void *text, size_t len, const struct redact_hidden *hide, struct ca_answer **ret);
/** {anchors} */
MUST_USE struct fault *exec_read_trust(
	const void *text, size_t len, const struct redact_hidden *hide, struct anchors **ret);
/** {} */
MUST_USE struct fault *exec_read_revoke(const void *text, size_t len, const struct redact_hidden *hide);
/** The fault of {error}, or NULL where the text is something else. */
MUST_USE struct fault *exec_read_error(const void *text, size_t len, const struct redact_hidden *hide);
#endif
