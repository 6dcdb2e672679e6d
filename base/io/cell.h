/* base/io/cell.h - one immutable, reference-counted value that one thread replaces and others read. Thread: any. */
#ifndef BASE_IO_CELL_H
#define BASE_IO_CELL_H
#include <stdint.h>
struct cell;
/** ref and unref count the values' references. The caller owns the result; it is empty. */
struct cell *cell_new(void *(*ref)(void *value), void (*unref)(void *value));
/** Takes the reference of value and drops that of the former one. */
void cell_set(struct cell *c, void *value);
/** A reference of the value now, or NULL while it is empty. */
void *cell_get(struct cell *c);
/** The same, but NULL also when *seen (0 at first) says that the reader had this value before; then updates *seen. */
void *cell_get_newer(struct cell *c, uint64_t *seen);
void cell_free(struct cell *c); /* NULL is fine */
#endif
