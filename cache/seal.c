/* cache/seal.c - a sealed record: format byte, nonce (12 bytes), ciphertext, tag (16 bytes). The associated data is the
 * format byte and the record's identity. Nonces are random: one data key may seal 2^32 records before their repetition
 * is a matter of concern (NIST SP 800-38D, 8.3), which is a renewal every second for 136 years. */
#include "cache/seal.h"
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/secret.h"

enum { KEY_BYTES = 32, NONCE_BYTES = 12, TAG_BYTES = 16, FORMAT_AES_256_GCM = 1 };
enum { HEAD_BYTES = 1 + NONCE_BYTES, FRAME_BYTES = HEAD_BYTES + TAG_BYTES };
_Static_assert(SEAL_WRAPPED_BYTES == FRAME_BYTES + KEY_BYTES, "one sealed record of a data key");

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

struct fault *seal_wrap(const struct seal *s, const struct secret *kek, struct buf *ret)
{
	return encrypt(kek, WRAPPED, sizeof WRAPPED, secret_bytes(s->key, NULL), KEY_BYTES, ret);
}

/* The first that opens; the fault of the first where none does. */
static struct fault *unwrap(
	const struct secret *kek, const unsigned char *wrapped, size_t len, size_t *ret_which, struct secret **ret)
{
	AUTO(fault_freep) struct fault *first = NULL;
	if (len == 0 || len % SEAL_WRAPPED_BYTES)
		return fault_new(FAULT_CORRUPT, "a wrapped data key of %zu bytes", len);
	for (size_t i = 0; i < len / SEAL_WRAPPED_BYTES; i++) {
		struct fault *f = decrypt(
			kek, WRAPPED, sizeof WRAPPED, wrapped + i * SEAL_WRAPPED_BYTES, SEAL_WRAPPED_BYTES, ret);
		if (!f) {
			*ret_which = i;
			return NULL;
		}
		if (first)
			fault_free(f);
		else
			first = f;
	}
	return TAKE(first);
}

struct fault *seal_open_data_key(
	const struct secret *kek, const void *wrapped, size_t len, size_t *ret_which, struct seal **ret)
{
	AUTO(secret_freep) struct secret *key = NULL;
	size_t which = 0;
	struct fault *f = unwrap(kek, wrapped, len, &which, &key);
	if (f)
		return fault_wrap(f, "the seal key does not open this state");
	if (ret_which)
		*ret_which = which;
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
