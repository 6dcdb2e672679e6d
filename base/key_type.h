/* base/key_type.h - the kinds of keys that leaves are made with, as the config names them. Thread: any. */
#ifndef BASE_KEY_TYPE_H
#define BASE_KEY_TYPE_H
#include <stdbool.h>

enum key_type { KEY_ECDSA_P256 = 1, KEY_ECDSA_P384, KEY_RSA_2048, KEY_RSA_3072, KEY_RSA_4096 };
/** "ecdsa-p256", ...; NULL for an unknown number. */
const char *key_type_name(enum key_type t);
/** False for an unknown name. */
bool key_type_parse(const char *text, enum key_type *ret);
bool key_type_is_slow(enum key_type t); /* RSA: its generation is a slow job */
#endif
