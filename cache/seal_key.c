#include "cache/seal_key.h"
#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/io/file.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/text.h"

enum { KEY_FILE_MAX = 2 * SEAL_KEY_BYTES + 2 };

struct fault *seal_key_parse(const char *what, const void *bytes, size_t len, struct secret **ret)
{
	const unsigned char *p = bytes;
	if (len == SEAL_KEY_BYTES)
		return secret_new(p, len, ret);
	while (len && (p[len - 1] == '\n' || p[len - 1] == '\r'))
		len--;
	unsigned char key[SEAL_KEY_BYTES];
	bool good = len == 2 * SEAL_KEY_BYTES;
	for (size_t i = 0; good && i < len; i++)
		good = isxdigit(p[i]);
	if (!good)
		return fault_new(FAULT_INVALID,
			"%s is no seal key: it must hold %d bytes, raw, or their %d hex digits and a newline", what,
			SEAL_KEY_BYTES, 2 * SEAL_KEY_BYTES);
	for (size_t i = 0; i < SEAL_KEY_BYTES; i++)
		key[i] = (unsigned char)(OPENSSL_hexchar2int(p[2 * i]) << 4 | OPENSSL_hexchar2int(p[2 * i + 1]));
	struct fault *f = secret_new(key, sizeof key, ret);
	OPENSSL_cleanse(key, sizeof key);
	return f;
}

static struct fault *read_key(const char *path, mode_t forbidden, struct secret **ret)
{
	struct buf file = BUF_SECRET_INIT;
	struct fault *f = file_read_private(path, KEY_FILE_MAX, forbidden, &file);
	if (!f)
		f = seal_key_parse(path, file.data, file.len, ret);
	buf_free(&file);
	return f ? fault_wrap(f, "seal key") : NULL;
}

struct fault *seal_key_read(const char *path, struct secret **ret)
{
	return read_key(path, 0077, ret);
}

static struct fault *fill_random(void *arg, unsigned char *bytes, size_t len)
{
	(void)arg;
	return RAND_priv_bytes(bytes, (int)len) == 1 ? NULL : fault_openssl(FAULT_INTERNAL, "no random key");
}

struct fault *seal_key_make(struct secret **ret)
{
	return secret_new_filled(SEAL_KEY_BYTES, fill_random, NULL, ret);
}

void seal_key_text(const struct secret *key, char ret[SEAL_KEY_TEXT_SIZE])
{
	text_hex(secret_bytes(key, NULL), SEAL_KEY_BYTES, ret);
	ret[SEAL_KEY_TEXT_SIZE - 1] = 0;
}

struct fault *seal_key_write(const char *path, const struct secret *key)
{
	char text[SEAL_KEY_TEXT_SIZE + 1];
	seal_key_text(key, text);
	text[SEAL_KEY_TEXT_SIZE - 1] = '\n';
	struct fault *f = file_create(path, 0600, text, SEAL_KEY_TEXT_SIZE);
	OPENSSL_cleanse(text, sizeof text);
	return f;
}

static struct fault *create_key(const char *path)
{
	AUTO(secret_freep) struct secret *key = NULL;
	TRY(seal_key_make(&key));
	return seal_key_write(path, key);
}

/* *ret stays NULL when systemd handed none over. */
static struct fault *read_credential(struct secret **ret)
{
	const char *folder = secure_getenv("CREDENTIALS_DIRECTORY");
	if (!folder || !*folder)
		return NULL;
	AUTO(mem_freep) char *path = mem_printf("%s/seal.key", folder);
	/* systemd may open its copy to the service's user by an ACL, which shows as a group that can read. */
	struct fault *f = read_key(path, 0037, ret);
	if (!f || fault_code(f) != FAULT_NOT_FOUND)
		return f;
	fault_ignore(f, "other credentials were given, but no seal.key: the file counts");
	return NULL;
}

struct fault *seal_key_load(const char *path, bool create, bool *ret_created, struct secret **ret)
{
	struct secret *key = NULL;
	bool created = false;
	TRY(read_credential(&key));
	struct fault *f = key ? NULL : read_key(path, 0077, &key);
	if (f && create && fault_code(f) == FAULT_NOT_FOUND) {
		fault_free(f);
		TRY(create_key(path));
		created = true;
		f = read_key(path, 0077, &key);
	}
	if (f)
		return f;
	*ret_created = created;
	*ret = key;
	return NULL;
}

bool seal_key_is_credential(void)
{
	AUTO(secret_freep) struct secret *key = NULL;
	struct fault *f = read_credential(&key);
	bool is = f || key; /* one that cannot be read is one all the same */
	fault_free(f);
	return is;
}
