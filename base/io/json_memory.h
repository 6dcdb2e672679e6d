/* base/io/json_memory.h - jansson's allocator with wiping: orders and answers hold private keys. */
#ifndef BASE_IO_JSON_MEMORY_H
#define BASE_IO_JSON_MEMORY_H
/** Once, before anything else of jansson is used. */
void json_memory_wipe(void);
/** Releases what json_dumps() returned; NULL is fine. */
void json_memory_free_text(char *text);
#endif
