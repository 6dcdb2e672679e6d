/* base/buf.h - a growable byte buffer. A buffer that may hold secrets is made with wipe = true: every block that it
 * leaves is cleansed. Thread: one at a time. Sizes from outside are bounded before they come here. */
#ifndef BASE_BUF_H
#define BASE_BUF_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/attr.h"

struct buf {
	unsigned char *data; /* NUL-terminated beyond len, so that text can be printed; NULL while empty */
	size_t len;
	size_t cap;
	bool wipe;
};
#define BUF_INIT                                                                                                       \
	{                                                                                                              \
		NULL, 0, 0, false                                                                                      \
	}
#define BUF_SECRET_INIT                                                                                                \
	{                                                                                                              \
		NULL, 0, 0, true                                                                                       \
	}

void buf_add(struct buf *b, const void *bytes, size_t len);
void buf_add_text(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/** len more bytes, uninitialised, to be filled by the caller. */
unsigned char *buf_extend(struct buf *b, size_t len);
/** Cut back to len (<= b->len), wiping the tail where asked. */
void buf_truncate(struct buf *b, size_t len);
/** "" while empty. Borrowed until the next change. */
const char *buf_text(const struct buf *b);
/** Gives the memory to the caller (free()) and leaves the buffer empty. Not for wiping buffers. */
char *buf_take_text(struct buf *b);
void buf_free(struct buf *b); /* leaves it empty and usable */
#endif
