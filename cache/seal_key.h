/* cache/seal_key.h - the key that wraps the store's data keys, and where it lives: a file of 32 random bytes, raw or as
 * 64 hex digits and a newline (what is written here), or a systemd credential. Blocking. Thread: store, and start. */
#ifndef CACHE_SEAL_KEY_H
#define CACHE_SEAL_KEY_H
#include <stdbool.h>
#include <stddef.h>
#include "base/attr.h"
struct fault;
struct secret;

enum { SEAL_KEY_BYTES = 32, SEAL_KEY_TEXT_SIZE = 2 * SEAL_KEY_BYTES + 1 };

/** $CREDENTIALS_DIRECTORY/seal.key, else path. create: make path (0600) when there is neither; *ret_created tells.
 * Faults: NOT_FOUND; INVALID (content, owner, a mode that lets others read it); DENIED. The caller owns *ret. */
MUST_USE struct fault *seal_key_load(const char *path, bool create, bool *ret_created, struct secret **ret);
/** Does a credential count, whatever files there are? */
bool seal_key_is_credential(void);
/** This file and no other. Faults as above. */
MUST_USE struct fault *seal_key_read(const char *path, struct secret **ret);
/** The content of such a file; what: how it is named in the fault. INVALID. The caller owns *ret. */
MUST_USE struct fault *seal_key_parse(const char *what, const void *bytes, size_t len, struct secret **ret);
/** A random one. The caller owns *ret. */
MUST_USE struct fault *seal_key_make(struct secret **ret);
/** A new file, 0600, durable. CONFLICT: it is there. */
MUST_USE struct fault *seal_key_write(const char *path, const struct secret *key);
/** Its hex digits and a NUL, for the caller to cleanse. */
void seal_key_text(const struct secret *key, char ret[SEAL_KEY_TEXT_SIZE]);
#endif
