/* base/mem.h - allocation that does not fail: it aborts the process when memory is out.
 * For sizes that are constant or were bounded first (a size that a peer, file or CA chose is checked before it comes
 * here). Thread: any. */
#ifndef BASE_MEM_H
#define BASE_MEM_H
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

/** Zeroed memory; the caller owns it: free(). */
void *mem_calloc(size_t count, size_t size);
void *mem_realloc(void *p, size_t size);
/** A copy of s, or NULL for NULL. The caller owns it. */
char *mem_strdup(const char *s);
/** A NUL-terminated copy of len bytes. The caller owns it. */
char *mem_strndup(const char *s, size_t len);
void *mem_dup(const void *bytes, size_t len);
/** free(*p) for AUTO() on char pointers. */
void mem_freep(char **p);
/** A formatted string; the caller owns it. */
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
char *mem_vprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

#define mem_new(T) ((T *)mem_calloc(1, sizeof(T)))
#define mem_array(T, n) ((T *)mem_calloc((n), sizeof(T)))

/** Holds in release builds too: a broken invariant is a bug of ours, never input. Aborts with a line on stderr. */
#define invariant(expr) ((expr) ? (void)0 : invariant_failed(#expr, __FILE__, __LINE__))
void invariant_failed(const char *expr, const char *file, int line) __attribute__((noreturn));
#endif
