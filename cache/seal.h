/* cache/seal.h - encrypts records at rest: AES-256-GCM under a data key, a random nonce per record, the record's
 * identity as associated data. The data key is wrapped by the key file's key (seal_key.h); it lives in a struct secret.
 * Thread: store, and start. */
#ifndef CACHE_SEAL_H
#define CACHE_SEAL_H
#include <stddef.h>
#include "base/attr.h"
struct buf;
struct fault;
struct seal;
struct secret;

/** Most bytes of a record's identity: all that is stored in the clear beside what is sealed. */
#define SEAL_IDENTITY_MAX ((size_t)4 * 1024 * 1024)
/** Of a wrapped data key. */
enum { SEAL_WRAPPED_BYTES = 61 };

/** A fresh data key; what must be stored of it (wrapped) is appended to ret_wrapped. The caller owns *ret: seal_free().
 */
MUST_USE struct fault *seal_new(const struct secret *kek, struct buf *ret_wrapped, struct seal **ret);
/** The same data key, wrapped by another key too: appended to ret, SEAL_WRAPPED_BYTES. */
MUST_USE struct fault *seal_wrap(const struct seal *s, const struct secret *kek, struct buf *ret);
/** Unwrap. wrapped: one record or several in a row, each wrapped by another key; *ret_which (may be NULL) tells which
 * this key opened. CORRUPT: none, or a damaged record. The caller owns *ret. */
MUST_USE struct fault *seal_open_data_key(
	const struct secret *kek, const void *wrapped, size_t len, size_t *ret_which, struct seal **ret);
/** Append the sealed record of these 1 to SECRET_MAX_LEN bytes to ret. INVALID: sizes out of bounds. */
MUST_USE struct fault *seal_encrypt(const struct seal *s, const void *identity, size_t identity_len, const void *bytes,
	size_t len, struct buf *ret);
/** CORRUPT when anything was changed, or the record belongs elsewhere. The caller owns *ret. */
MUST_USE struct fault *seal_decrypt(const struct seal *s, const void *identity, size_t identity_len, const void *sealed,
	size_t len, struct secret **ret);
void seal_free(struct seal *s); /* wipes the key; NULL is fine */
void seal_freep(struct seal **s);
#endif
