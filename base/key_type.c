#include "base/key_type.h"
#include <stddef.h>
#include <string.h>
#include "base/attr.h"

static const struct {
	enum key_type type;
	const char *name;
} key_types[] = {{KEY_ECDSA_P256, "ecdsa-p256"}, {KEY_ECDSA_P384, "ecdsa-p384"}, {KEY_RSA_2048, "rsa-2048"},
	{KEY_RSA_3072, "rsa-3072"}, {KEY_RSA_4096, "rsa-4096"}};

const char *key_type_name(enum key_type t)
{
	for (size_t i = 0; i < ARRAY_LEN(key_types); i++)
		if (key_types[i].type == t)
			return key_types[i].name;
	return NULL;
}

bool key_type_parse(const char *text, enum key_type *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(key_types); i++)
		if (strcmp(key_types[i].name, text) == 0) {
			*ret = key_types[i].type;
			return true;
		}
	return false;
}

bool key_type_is_slow(enum key_type t)
{
	return t == KEY_RSA_2048 || t == KEY_RSA_3072 || t == KEY_RSA_4096;
}
