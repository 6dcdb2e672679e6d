/* base/text.h - text from outside made safe to print, and checked. Thread: any. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H
#include <stdbool.h>
#include <stddef.h>

struct buf;

/** Longest name of a secret, in bytes. */
#define TEXT_NAME_MAX ((size_t)1024)

/** Valid UTF-8 (no surrogates, no overlong forms, at most U+10FFFF). */
bool text_is_utf8(const void *bytes, size_t len);
/** Each byte that is not UTF-8 becomes "?". For texts that "%.200s" may have cut within a character. */
void text_mend_utf8(char *text);
/** A secret's name: 1 to TEXT_NAME_MAX bytes of UTF-8 without NUL. */
bool text_is_name(const void *bytes, size_t len);
/** Append the text with control characters, bidi overrides, backslash and bytes that are not UTF-8 escaped (\n, \x1b,
 * \u202e). */
void text_add_escaped(struct buf *b, const void *bytes, size_t len);
/** The same as a new string; the caller owns it. */
char *text_escaped(const char *text);
/** Equal, where either may be NULL. */
bool text_same(const char *a, const char *b);
/** Lower-case hex; ret holds 2*len+1. */
void text_hex(const void *bytes, size_t len, char *ret);
/** The candidate nearest to word by edit distance, or NULL when none is near: for "did you mean". */
const char *text_nearest(const char *word, const char *const *candidates, size_t count);
/** A duration in ms as people write it: "10s", "1h30m", "2d"; ret at least 32 bytes. */
void text_duration(long long ms, char *ret, size_t size);
#endif
