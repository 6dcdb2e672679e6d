/* cache/seal.c - a sealed record: format byte, nonce (12 bytes), ciphertext, tag (16 bytes). The associated data is the
 * format byte and the record's identity. Nonces are random: one data key may seal 2^32 records before their repetition
 * is a matter of concern (NIST SP 800-38D, 8.3), which is a renewal every second for 136 years. */
#include "cache/seal.h"
#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/io/file.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/text.h"

enum { KEY_BYTES = 32, NONCE_BYTES = 12, TAG_BYTES = 16, FORMAT_AES_256_GCM = 1 };
enum { HEAD_BYTES = 1 + NONCE_BYTES, FRAME_BYTES = HEAD_BYTES + TAG_BYTES, KEY_FILE_MAX = 2 * KEY_BYTES + 2 };

struct seal {
	struct secret *key;
};

/* The identity under which a data key itself is sealed. */
static const char WRAPPED[] = "leafcast data key";

static void free_contextp(EVP_CIPHER_CTX **c)
{
	EVP_CIPHER_CTX_free(*c); /* cleanses its key schedule */
	*c = NULL;
}

/* A context that has taken in the format byte and the identity; direction: 1 encrypts. */
static struct fault *start(const struct secret *key, int direction, const unsigned char *head, const void *identity,
	size_t identity_len, EVP_CIPHER_CTX **ret)
{
	AUTO(free_contextp) EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	int n;
	if (identity_len > SEAL_IDENTITY_MAX)
		return fault_new(FAULT_INVALID, "the identity of a sealed record has %zu bytes", identity_len);
	if (!c || EVP_CipherInit_ex(c, EVP_aes_256_gcm(), NULL, secret_bytes(key, NULL), head + 1, direction) != 1 ||
		EVP_CipherUpdate(c, NULL, &n, head, 1) != 1 ||
		EVP_CipherUpdate(c, NULL, &n, identity, (int)identity_len) != 1)
		return fault_openssl(FAULT_INTERNAL, "AES-256-GCM cannot start");
	*ret = TAKE(c);
	return NULL;
}

static struct fault *encrypt(const struct secret *key, const void *identity, size_t identity_len, const void *bytes,
	size_t len, struct buf *ret)
{
	if (len == 0 || len > SECRET_MAX_LEN)
		return fault_new(FAULT_INVALID, "cannot seal %zu bytes", len);
	unsigned char head[HEAD_BYTES] = {FORMAT_AES_256_GCM};
	if (RAND_bytes(head + 1, NONCE_BYTES) != 1)
		return fault_openssl(FAULT_INTERNAL, "no random nonce");
	AUTO(free_contextp) EVP_CIPHER_CTX *c = NULL;
	TRY(start(key, 1, head, identity, identity_len, &c));
	size_t before = ret->len;
	buf_add(ret, head, sizeof head);
	unsigned char *out = buf_extend(ret, len + TAG_BYTES);
	int n, rest;
	if (EVP_EncryptUpdate(c, out, &n, bytes, (int)len) != 1 || EVP_EncryptFinal_ex(c, out + n, &rest) != 1 ||
		EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, out + len) != 1) {
		buf_truncate(ret, before);
		return fault_openssl(FAULT_INTERNAL, "AES-256-GCM cannot encrypt");
	}
	return NULL;
}

struct decryption {
	EVP_CIPHER_CTX *context;
	const unsigned char *bytes; /* ciphertext, then tag */
};

/* Straight into the secret's memory; a wrong tag wipes it (secret_new_filled()). */
static struct fault *decrypt_into(void *arg, unsigned char *out, size_t len)
{
	struct decryption *d = arg;
	unsigned char tag[TAG_BYTES];
	int n, rest;
	memcpy(tag, d->bytes + len, sizeof tag);
	if (EVP_DecryptUpdate(d->context, out, &n, d->bytes, (int)len) != 1 ||
		EVP_CIPHER_CTX_ctrl(d->context, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) != 1)
		return fault_openssl(FAULT_INTERNAL, "AES-256-GCM cannot decrypt");
	if (EVP_DecryptFinal_ex(d->context, out + n, &rest) != 1)
		return fault_new(FAULT_CORRUPT, "a sealed record was changed, or sealed under another key or name");
	return NULL;
}

static struct fault *decrypt(const struct secret *key, const void *identity, size_t identity_len, const void *sealed,
	size_t len, struct secret **ret)
{
	const unsigned char *head = sealed;
	if (len <= FRAME_BYTES || len - FRAME_BYTES > SECRET_MAX_LEN)
		return fault_new(FAULT_CORRUPT, "a sealed record of %zu bytes", len);
	if (head[0] != FORMAT_AES_256_GCM)
		return fault_new(FAULT_CORRUPT, "a sealed record of unknown format %u", head[0]);
	AUTO(free_contextp) EVP_CIPHER_CTX *c = NULL;
	TRY(start(key, 0, head, identity, identity_len, &c));
	struct decryption d = {c, head + HEAD_BYTES};
	return secret_new_filled(len - FRAME_BYTES, decrypt_into, &d, ret);
}

static struct fault *fill_random(void *arg, unsigned char *bytes, size_t len)
{
	(void)arg;
	return RAND_priv_bytes(bytes, (int)len) == 1 ? NULL : fault_openssl(FAULT_INTERNAL, "no random key");
}

static struct seal *make(struct secret *key)
{
	struct seal *s = mem_new(struct seal);
	s->key = key;
	return s;
}

struct fault *seal_new(const struct secret *kek, struct buf *ret_wrapped, struct seal **ret)
{
	AUTO(secret_freep) struct secret *key = NULL;
	TRY(secret_new_filled(KEY_BYTES, fill_random, NULL, &key));
	TRY(encrypt(kek, WRAPPED, sizeof WRAPPED, secret_bytes(key, NULL), KEY_BYTES, ret_wrapped));
	*ret = make(TAKE(key));
	return NULL;
}

struct fault *seal_open_data_key(const struct secret *kek, const void *wrapped, size_t len, struct seal **ret)
{
	AUTO(secret_freep) struct secret *key = NULL;
	struct fault *f = decrypt(kek, WRAPPED, sizeof WRAPPED, wrapped, len, &key);
	if (f)
		return fault_wrap(f, "the seal key does not open this state");
	size_t key_len;
	(void)secret_bytes(key, &key_len);
	if (key_len != KEY_BYTES)
		return fault_new(FAULT_CORRUPT, "a data key of %zu bytes", key_len);
	*ret = make(TAKE(key));
	return NULL;
}

struct fault *seal_encrypt(
	const struct seal *s, const void *identity, size_t identity_len, const void *bytes, size_t len, struct buf *ret)
{
	return encrypt(s->key, identity, identity_len, bytes, len, ret);
}

struct fault *seal_decrypt(const struct seal *s, const void *identity, size_t identity_len, const void *sealed,
	size_t len, struct secret **ret)
{
	return decrypt(s->key, identity, identity_len, sealed, len, ret);
}

void seal_free(struct seal *s)
{
	if (!s)
		return;
	secret_free(s->key);
	free(s);
}

void seal_freep(struct seal **s)
{
	seal_free(*s);
	*s = NULL;
}

/* --- the key file --- */

static struct fault *parse_key(const char *path, const struct buf *file, struct secret **ret)
{
	size_t len = file->len;
	if (len == KEY_BYTES)
		return secret_new(file->data, len, ret);
	while (len && (file->data[len - 1] == '\n' || file->data[len - 1] == '\r'))
		len--;
	unsigned char key[KEY_BYTES];
	bool good = len == 2 * KEY_BYTES;
	for (size_t i = 0; good && i < len; i++)
		good = isxdigit(file->data[i]);
	if (!good)
		return fault_new(FAULT_INVALID,
			"%s is no seal key: it must hold %d bytes, raw, or their %d hex digits and a newline", path,
			KEY_BYTES, 2 * KEY_BYTES);
	for (size_t i = 0; i < KEY_BYTES; i++)
		key[i] = (unsigned char)(OPENSSL_hexchar2int(file->data[2 * i]) << 4 |
					 OPENSSL_hexchar2int(file->data[2 * i + 1]));
	struct fault *f = secret_new(key, sizeof key, ret);
	OPENSSL_cleanse(key, sizeof key);
	return f;
}

static struct fault *read_key(const char *path, mode_t forbidden, struct secret **ret)
{
	struct buf file = BUF_SECRET_INIT;
	struct fault *f = file_read_private(path, KEY_FILE_MAX, forbidden, &file);
	if (!f)
		f = parse_key(path, &file, ret);
	buf_free(&file);
	return f ? fault_wrap(f, "seal key") : NULL;
}

static struct fault *create_key(const char *path)
{
	unsigned char key[KEY_BYTES];
	char text[2 * KEY_BYTES + 1];
	struct fault *f = fill_random(NULL, key, sizeof key);
	if (!f) {
		text_hex(key, sizeof key, text);
		text[sizeof text - 1] = '\n';
		f = file_create(path, 0600, text, sizeof text);
	}
	OPENSSL_cleanse(key, sizeof key);
	OPENSSL_cleanse(text, sizeof text);
	return f;
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
