/* ca-client/exec_redact.h - what a command says about itself on stderr, made fit for a log: its last lines, with what
 * looks like a key, a token or a password cut out; in doubt it is cut. Pure. Thread: any. */
#ifndef CA_CLIENT_EXEC_REDACT_H
#define CA_CLIENT_EXEC_REDACT_H
#include <stddef.h>
struct buf;

enum { EXEC_REDACT_LINES = 4, EXEC_REDACT_MAX = 512 };

/** Texts that are cut wherever they stand; NULL ones and short ones are left out. */
struct exec_hidden {
	const char *const *values;
	size_t count;
};
/** Appended, on one line ("a | b"), escaped, at most about EXEC_REDACT_MAX bytes. Its time grows with the square of a
 * line's length: whoever calls bounds len. */
void exec_redact(const void *text, size_t len, const struct exec_hidden *hide, struct buf *ret);
#endif
