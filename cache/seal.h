/* cache/seal.h - encrypts records at rest: AES-256-GCM under a data key, a random nonce per record, the record's identity as
 * associated data. The data key is wrapped by the key file's key; it lives in a struct secret. Thread: store, and start. */
#ifndef CACHE_SEAL_H
#define CACHE_SEAL_H
#include <stdbool.h>
#include <stddef.h>
#include "base/attr.h"
struct buf;
struct fault;
struct seal;
struct secret;

/** Bytes of a key file: 32 random bytes, raw, or their 64 hex digits and a newline (what we write). */
/** Read the key-encrypting key: $CREDENTIALS_DIRECTORY/seal.key, else path. create: make path (0600) when it is missing.
 *  *ret_created tells. Faults: NOT_FOUND, INVALID (length, mode readable by others, owner), DENIED. The caller owns *ret. */
MUST_USE struct fault *seal_key_load(const char *path, bool create, bool *ret_created, struct secret **ret);
/** A fresh data key, wrapped: append what must be stored. */
MUST_USE struct fault *seal_new(const struct secret *kek, struct buf *ret_wrapped, struct seal **ret);
/** Unwrap. CORRUPT: wrong key file or damaged record. */
MUST_USE struct fault *seal_open_data_key(const struct secret *kek, const void *wrapped, size_t len, struct seal **ret);
MUST_USE struct fault *seal_encrypt(const struct seal *s, const void *identity, size_t identity_len, const void *bytes, size_t len, struct buf *ret);
/** CORRUPT when anything was changed, or the record belongs elsewhere. The caller owns *ret. */
MUST_USE struct fault *seal_decrypt(const struct seal *s, const void *identity, size_t identity_len, const void *sealed, size_t len, struct secret **ret);
void seal_free(struct seal *s);
void seal_freep(struct seal **s);
#endif
