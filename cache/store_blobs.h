/* cache/store_blobs.h - the blobs of the store as the control loop knows them: what was read at the start and what was
 * committed since, so that an authority that a reload brings reads its state without waiting for the disk.
 * Thread: control. */
#ifndef CACHE_STORE_BLOBS_H
#define CACHE_STORE_BLOBS_H
#include "base/attr.h"
struct fault;
struct secret;
struct store_blobs;

struct store_blobs *store_blobs_new(void);
/** Takes bytes; replaces what had this name. */
void store_blobs_put(struct store_blobs *b, const char *name, struct secret *bytes);
/** Takes the fault: what stands in the store under this name cannot be read, until it is replaced. */
void store_blobs_put_damaged(struct store_blobs *b, const char *name, struct fault *why);
/** A copy, owned by the caller, or *ret = NULL when there is none. CORRUPT: damaged. */
MUST_USE struct fault *store_blobs_get(const struct store_blobs *b, const char *name, struct secret **ret);
void store_blobs_free(struct store_blobs *b); /* wipes; NULL is fine */
#endif
