/* cache/store_reseal.h - inside of the embedded store: the task that seals records anew, a few at a time: under a new
 * data key (rotation), or with the description that an older leafcast did not write. */
#ifndef CACHE_STORE_RESEAL_H
#define CACHE_STORE_RESEAL_H
#include <stdbool.h>
struct fault;
struct secret;
struct store_db;
struct store_rotation;
struct store_task;

/** Does the start find records to seal anew, or keys to settle? Reads only. */
bool store_needs_reseal(struct store_db *db);
/** rotates: with a new key first, given (taken) or NULL. done may be NULL: then the log says how it went. */
struct store_task *store_reseal_new(bool rotates, struct secret *given,
	void (*done)(void *arg, struct fault *f, const struct store_rotation *r), void *arg);
#endif
