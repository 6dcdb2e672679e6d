/* base/secret.h - bytes that must never reach a log, a core file or swap.
 * Blocks come from a few large arenas: MADV_DONTDUMP always, mlock()ed while the limit allows (then a gauge says so),
 * wiped on free. One owner; immutable once made, so many threads may read. Thread: any; the arena's free list is
 * guarded by an atomic spin flag, held for a few instructions. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H
#include <stdbool.h>
#include <stddef.h>
#include "base/attr.h"
struct fault;
struct secret;
/** Largest secret accepted, in bytes: a body of 1 MiB of PEM and its framing fits. */
#define SECRET_MAX_LEN ((size_t)4 * 1024 * 1024)
/** Copy len bytes into a new secret; the caller still owns, and wipes, bytes.
 *  On success the caller owns *ret: secret_free(). On a fault it is untouched.
 *  Faults: INVALID (len is 0 or above SECRET_MAX_LEN); EXHAUSTED, retryable. */
MUST_USE struct fault *secret_new(const void *bytes, size_t len, struct secret **ret);
/** As secret_new(), but fill writes all len bytes straight into the secret's memory, so no copy is left elsewhere. A
 * fault of fill is passed on; what it wrote is wiped. */
typedef struct fault *secret_fill_fn(void *arg, unsigned char *bytes, size_t len);
MUST_USE struct fault *secret_new_filled(size_t len, secret_fill_fn *fill, void *arg, struct secret **ret);
/** Borrowed until secret_free(). NUL-terminated beyond *ret_len, for text such as PEM. ret_len may be NULL. */
const unsigned char *secret_bytes(const struct secret *s, size_t *ret_len);
/** Time depends on the lengths alone. */
bool secret_equal(const struct secret *a, const struct secret *b);
void secret_free(struct secret *s);   /* wipes; NULL is fine */
void secret_freep(struct secret **s); /* for AUTO() */

/** What the arenas hold now, in bytes: locked in memory, not locked (the limit was reached), and in use. */
struct secret_usage {
	size_t locked_bytes;
	size_t unlocked_bytes;
	size_t used_bytes;
};
struct secret_usage secret_usage(void);
#endif
