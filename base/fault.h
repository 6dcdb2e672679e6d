/* base/fault.h - why something could not be done.
 * A fallible function returns struct fault *: NULL is success. A fault holds a code that says what the caller can do,
 * a message for an operator, where it arose, its cause, and whether a retry may help. One owner. Thread: one at a time.
 * It never holds secret bytes. */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H
#include <stdbool.h>
#include <stdint.h>
#include "base/attr.h"

enum fault_code {
	FAULT_INVALID = 1, /* the input is wrong; mend it */
	FAULT_DENIED,	   /* not allowed to this caller */
	FAULT_NOT_FOUND,
	FAULT_CONFLICT,	   /* at odds with what exists */
	FAULT_EXHAUSTED,   /* a limit was reached */
	FAULT_UNAVAILABLE, /* somebody else does not answer */
	FAULT_TIMEOUT,
	FAULT_CORRUPT,	/* stored or received data is broken */
	FAULT_INTERNAL, /* a bug, or the system refused something it should not */
};

struct fault;

/** A new fault, owned by the caller: fault_free(). Not retryable unless said. */
#define fault_new(code, ...) fault_new_at(__FILE__, __LINE__, (code), __VA_ARGS__)
struct fault *fault_new_at(const char *file, int line, enum fault_code code, const char *fmt, ...) PRINTF_LIKE(4, 5);
/** Put context before a cause (owned by the result); keeps code and retry hint. */
#define fault_wrap(cause, ...) fault_wrap_at(__FILE__, __LINE__, (cause), __VA_ARGS__)
struct fault *fault_wrap_at(const char *file, int line, struct fault *cause, const char *fmt, ...) PRINTF_LIKE(4, 5);
/** From errno: code by its meaning, text "<context>: <strerror>". */
#define fault_errno(err, ...) fault_errno_at(__FILE__, __LINE__, (err), __VA_ARGS__)
struct fault *fault_errno_at(const char *file, int line, int err, const char *fmt, ...) PRINTF_LIKE(4, 5);
/** From OpenSSL's error queue, which is emptied; the text of its last error is appended. */
#define fault_openssl(code, ...) fault_openssl_at(__FILE__, __LINE__, (code), __VA_ARGS__)
struct fault *fault_openssl_at(const char *file, int line, enum fault_code code, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
/** Mark that a retry may help; after_ms: not sooner than that, -1 unknown. Returns f. */
struct fault *fault_set_retryable(struct fault *f, int64_t after_ms);

enum fault_code fault_code(const struct fault *f);
/** "INVALID", "DENIED", ... */
const char *fault_code_name(enum fault_code code);
bool fault_is_retryable(const struct fault *f);
/** In ms, -1 unknown. */
int64_t fault_retry_after_ms(const struct fault *f);
/** "outer: inner: innermost"; borrowed until the fault is freed or wrapped. */
const char *fault_text(const struct fault *f);
/** "file:line" of the innermost fault; borrowed likewise. */
const char *fault_where(const struct fault *f);
void fault_free(struct fault *f);
void fault_freep(struct fault **f);
/** Drop a fault on purpose; why is for the reader. */
void fault_ignore(struct fault *f, const char *why);

#define TRY(expr)                                                                                                      \
	do {                                                                                                           \
		struct fault *try_ = (expr);                                                                           \
		if (try_)                                                                                              \
			return try_;                                                                                   \
	} while (0)
#endif
