/* control/authority_kept.h - what a driver keeps in the store, by key: sealed blobs, read once and lent. Not its duty:
 * what is in them. Thread: control. */
#ifndef CONTROL_AUTHORITY_KEPT_H
#define CONTROL_AUTHORITY_KEPT_H
#include "base/attr.h"
struct fault;
struct kept;
struct secret;
struct store;

/** As ca_env.load(); list is the authority's, NULL at first. */
MUST_USE struct fault *kept_load(
	struct kept **list, struct store *store, const char *authority, const char *key, const struct secret **ret);
/** As ca_env.save(). */
void kept_save(struct kept **list, struct store *store, const char *authority, const char *key,
	const struct secret *bytes, void (*done)(void *done_arg, struct fault *f), void *done_arg);
void kept_free(struct kept **list);
#endif
