/* base/table.h - uthash with a keyed hash, because peers pick many of our keys. Include this instead of <uthash.h>. */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H
#include <stddef.h>
#include <stdint.h>

/** SipHash-1-3 of the bytes under a key drawn once per process. Thread: any. */
uint64_t table_hash(const void *bytes, size_t len);

#define HASH_FUNCTION(keyptr, keylen, hashv) ((hashv) = (unsigned)table_hash((keyptr), (keylen)))
#include <uthash.h>
#include <utlist.h>
#endif
