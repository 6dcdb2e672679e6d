/* base/redact.h - what a command says about itself on stderr, made fit for a log: its last lines, with what
 * looks like a key, a token or a password cut out; in doubt it is cut. Pure. Thread: any. */
#ifndef BASE_REDACT_H
#define BASE_REDACT_H
#include <stddef.h>
struct buf;

enum { REDACT_LINES = 4, REDACT_MAX = 512 };

/** Texts that are cut wherever they stand; NULL ones and short ones are left out. */
struct redact_hidden {
	const char *const *values;
	size_t count;
};
/** Appended, on one line ("a | b"), escaped, at most about REDACT_MAX bytes. Its time grows with the square of a
 * line's length: whoever calls bounds len. */
void redact_add(const void *text, size_t len, const struct redact_hidden *hide, struct buf *ret);
#endif
