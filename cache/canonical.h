/* cache/canonical.h - values one after the other in a form that can be read in one way only: for hashing, and for the
 * associated data of sealed records. Each value is four bytes of length (big-endian) and its bytes. Pure. */
#ifndef CACHE_CANONICAL_H
#define CACHE_CANONICAL_H
#include <stddef.h>
#include <stdint.h>
struct buf;

/** Append one value of fewer than 2^32 - 1 bytes. */
void canonical_add(struct buf *b, const void *bytes, size_t len);
/** A text without its NUL; NULL differs from "". */
void canonical_add_text(struct buf *b, const char *text);
/** As eight bytes, big-endian. */
void canonical_add_int(struct buf *b, int64_t value);
#endif
