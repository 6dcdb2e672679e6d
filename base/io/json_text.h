/* base/io/json_text.h - JSON for eyes and files of others: whatever its texts hold, what is written is printable ASCII
 * and line feeds. Pure; any thread. */
#ifndef BASE_IO_JSON_TEXT_H
#define BASE_IO_JSON_TEXT_H
#include <jansson.h>
#include <stddef.h>
/** Flags as json_dumps() takes them. The caller owns it; NULL: no JSON (NULL, or nested without end). */
char *json_text(const json_t *o, size_t flags);
#endif
