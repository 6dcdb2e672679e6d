/* cache/entry.h - what a name means for one caller: the name plus exactly those proven attributes that its template
 * uses. Index, wanted, publish, store, rotation, quarantine and status work on entries. Immutable, shared. Thread: any.
 */
#ifndef CACHE_ENTRY_H
#define CACHE_ENTRY_H
#include <stdbool.h>
#include <stddef.h>

struct entry_key;

/** attributes: "uid=1000" texts in the template's order, each without NUL; count 0 for a name that is the same for all.
 * The caller owns the result. */
struct entry_key *entry_key_new(const char *name, const char *const *attributes, size_t count);
/** From the bytes of entry_key_bytes() (the store keeps them); NULL when they are none. */
struct entry_key *entry_key_from_bytes(const void *bytes, size_t len);
struct entry_key *entry_key_ref(struct entry_key *k);
void entry_key_unref(struct entry_key *k); /* NULL is fine */
void entry_key_unrefp(struct entry_key **k);
/** Canonical bytes, for hashing and storing: equal entries have equal bytes. Borrowed. */
const void *entry_key_bytes(const struct entry_key *k, size_t *ret_len);
const char *entry_key_name(const struct entry_key *k);
bool entry_key_equal(const struct entry_key *a, const struct entry_key *b);
size_t entry_key_attribute_count(const struct entry_key *k);
const char *entry_key_attribute(const struct entry_key *k, size_t i); /* "uid=1000" */
/** "default{uid=1000}" or just the name: for people; not escaped. Borrowed while the key lives. */
const char *entry_key_text(const struct entry_key *k);
#endif
