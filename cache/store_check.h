/* cache/store_check.h - a state as a file: is it whole, and does this seal key open it? And put back as the state of a
 * folder that has none. Blocking; for commands, without a server. */
#ifndef CACHE_STORE_CHECK_H
#define CACHE_STORE_CHECK_H
#include <stdint.h>
#include "base/attr.h"
struct fault;
struct secret;

struct store_content {
	int64_t versions, entries;
	int64_t last_put_ms; /* wall; 0: nothing was ever put */
};
/** Reads only, and leaves nothing beside it. CORRUPT: damaged, or cut; INVALID: no state, one that a newer leafcast
 * wrote, or one of a first start that did not come to its end. */
MUST_USE struct fault *store_check_file(const char *path, struct store_content *ret);

/** CORRUPT: this seal key does not open it. Of a file that passed store_check_file(). */
MUST_USE struct fault *store_check_key(const char *path, const struct secret *kek);

struct store_restore_options {
	const char *folder;
	const char *seal_file; /* where the seal key lives; NULL: seal.key in the folder */
	const char *seal_from; /* a copy of it to be put there; NULL: it is there, or a credential */
};
/** Faults: CONFLICT (a leafcast uses the folder; it holds something; another seal key is in its place already);
 * CORRUPT, INVALID (as above; the seal key does not open it); NOT_FOUND (no seal key). The folder then is as it was,
 * but for what store_restore() itself will clear away. */
MUST_USE struct fault *store_restore(
	const char *from, const struct store_restore_options *o, struct store_content *ret);
#endif
