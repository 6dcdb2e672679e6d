/* base/wiping.h - an allocator that cleanses what it frees, for libraries that buffer tokens and keys and let us choose
 * their allocator. Aborts when memory is out, as base/mem. Thread: any. */
#ifndef BASE_WIPING_H
#define BASE_WIPING_H
#include <stddef.h>
void *wiping_malloc(size_t size);
void *wiping_calloc(size_t count, size_t size);
void *wiping_realloc(void *p, size_t size);
char *wiping_strdup(const char *text);
void wiping_free(void *p); /* of one of these alone; NULL is fine */
#endif
