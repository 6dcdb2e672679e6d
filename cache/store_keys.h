/* cache/store_keys.h - inside of the embedded store: its data keys. Records name the one that sealed them, the newest
 * seals; more than one is there while a rotation is under way. Each is stored wrapped by the seal key, or by several
 * while one takes over from another; the first wrapping is the one to come. Thread: whoever has the connection. */
#ifndef CACHE_STORE_KEYS_H
#define CACHE_STORE_KEYS_H
#include <stdbool.h>
#include <stdint.h>
#include "base/attr.h"
struct clock;
struct fault;
struct seal;
struct secret;
struct store_db;
struct store_keys;
struct store_options;

/** Open them into db, or make the first at a first start. As store_open() says. Brings a replacement of the key file to
 * its end that a crash cut short. */
MUST_USE struct fault *store_keys_open(struct store_db *db, const struct store_options *o, const struct clock *clock);
void store_keys_close(struct store_db *db);
const struct seal *store_keys_find(const struct store_keys *k, int64_t id); /* NULL: unknown */
const struct seal *store_keys_newest(const struct store_keys *k);
int64_t store_keys_newest_id(const struct store_keys *k);

/** A new data key, from now on the newest, and a new seal key: given, or (NULL) the key file's where it was replaced
 * already, or else one that is made and replaces the file. The former seal key goes on opening the state until
 * store_keys_settle(). INVALID: the seal key is a credential, which we cannot replace, and none was given. */
MUST_USE struct fault *store_keys_rotate(struct store_db *db, const struct secret *given, int64_t now_ms);
/** Forget data keys that no record is left of, and wrappings by former seal keys once the key in place is the newest.
 *  *ret_waits: it is not, so that the next start needs the former or the new one. */
MUST_USE struct fault *store_keys_settle(struct store_db *db, bool *ret_waits);
/** Something was left unsettled, as far as the start can tell. */
bool store_keys_are_unsettled(const struct store_keys *k);
#endif
