/* cache/canonical.h - values one after the other in a form that can be read in one way only: for hashing, for the
 * associated data of sealed records, and for what is stored beside them. Each value is four bytes of length
 * (big-endian) and its bytes. Pure. */
#ifndef CACHE_CANONICAL_H
#define CACHE_CANONICAL_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
struct buf;

/** Append one value of fewer than 2^32 - 1 bytes. */
void canonical_add(struct buf *b, const void *bytes, size_t len);
/** A text without its NUL; NULL differs from "". */
void canonical_add_text(struct buf *b, const char *text);
/** As eight bytes, big-endian. */
void canonical_add_int(struct buf *b, int64_t value);

/** What is left to read. After a value of another form has_failed stays set, and every further read gives nothing. */
struct canonical_reader {
	const unsigned char *at;
	size_t left;
	bool has_failed;
};
/** A text without NUL, owned by the caller; NULL where it was NULL, or on failure. */
char *canonical_read_text(struct canonical_reader *r);
int64_t canonical_read_int(struct canonical_reader *r); /* 0 on failure */
/** Everything was read, and nothing failed. */
bool canonical_is_read(const struct canonical_reader *r);
#endif
