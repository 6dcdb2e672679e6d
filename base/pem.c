#include "base/pem.h"
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/pkcs8.h"
#include "base/secret.h"
#include "base/text.h"

struct block {
	int number; /* from 1 */
	char *name; /* what stands behind BEGIN */
	char *header;
	unsigned char *der;
	long len;
};
typedef struct fault *block_fn(void *arg, struct block *b);

static bool at_end(void)
{
	unsigned long e = ERR_peek_last_error();
	return ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
}

/* Blocks pass OpenSSL's secure heap where the program has one: any of them may be a key. */
static struct fault *each_block(const void *pem, size_t len, block_fn *on_block, void *arg)
{
	if (len > INT_MAX)
		return fault_new(FAULT_INVALID, "%zu bytes of PEM", len);
	BIO *bio = BIO_new_mem_buf(len ? pem : "", (int)len); /* an empty file may have no bytes at all */
	struct fault *f = NULL;
	invariant(bio);
	for (struct block b = {.number = 1}; !f; b.number++) {
		ERR_clear_error();
		if (PEM_read_bio_ex(
			    bio, &b.name, &b.header, &b.der, &b.len, PEM_FLAG_SECURE | PEM_FLAG_EAY_COMPATIBLE) != 1) {
			if (!at_end())
				f = fault_openssl(FAULT_INVALID, "PEM block %d is broken", b.number);
			break;
		}
		f = on_block(arg, &b);
		OPENSSL_secure_free(b.name);
		OPENSSL_secure_free(b.header);
		OPENSSL_secure_clear_free(b.der, (size_t)b.len);
	}
	ERR_clear_error();
	BIO_free(bio);
	return f;
}

/* The first block's name, for "it holds ... instead". */
static void remember(char **first, const struct block *b)
{
	if (!*first)
		*first = text_escaped(b->name);
}

static struct fault *nothing_found(const char *wanted, const char *first)
{
	return first ? fault_new(FAULT_INVALID, "no %s in it, but a %.64s block", wanted, first)
		     : fault_new(FAULT_INVALID, "no %s in it", wanted);
}

/* --- certificates --- */

struct cert_list {
	STACK_OF(X509) * certs;
	int left;
	char *first;
};

/* "TRUSTED CERTIFICATE" carries marks of what it is good for, which nothing passes on to Envoy. A mark that narrows
 * trust must not be lost in silence. */
static struct fault *drop_marks(X509 *c, const struct block *b)
{
	if (X509_get0_reject_objects(c))
		return fault_new(FAULT_INVALID, "PEM block %d: a certificate that is marked as rejected for some uses",
			b->number);
	X509_trust_clear(c);
	return NULL;
}

static struct fault *on_cert_block(void *arg, struct block *b)
{
	struct cert_list *l = arg;
	const unsigned char *at = b->der;
	X509 *c = NULL;
	bool trusted = strcmp(b->name, PEM_STRING_X509_TRUSTED) == 0;
	remember(&l->first, b);
	if (!trusted && strcmp(b->name, PEM_STRING_X509) != 0 && strcmp(b->name, PEM_STRING_X509_OLD) != 0)
		return NULL;
	if (*b->header)
		return fault_new(FAULT_INVALID, "PEM block %d: a certificate with headers", b->number);
	c = trusted ? d2i_X509_AUX(NULL, &at, b->len) : d2i_X509(NULL, &at, b->len);
	if (!c)
		return fault_openssl(FAULT_INVALID, "PEM block %d is no certificate", b->number);
	struct fault *f = drop_marks(c, b);
	if (!f && l->left-- == 0)
		f = fault_new(FAULT_INVALID, "too many certificates");
	if (f) {
		X509_free(c);
		return f;
	}
	invariant(sk_X509_push(l->certs, c) > 0);
	return NULL;
}

struct fault *pem_read_certs(const void *pem, size_t len, int max, STACK_OF(X509) * ret)
{
	struct cert_list l = {ret, max, NULL};
	struct fault *f = each_block(pem, len, on_cert_block, &l);
	if (!f && l.left == max)
		f = nothing_found("certificate", l.first);
	free(l.first);
	return f;
}

void pem_add_cert(X509 *cert, struct buf *ret)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *bytes;
	invariant(b && PEM_write_bio_X509(b, cert) == 1);
	long len = BIO_get_mem_data(b, &bytes);
	buf_add(ret, bytes, (size_t)len);
	BIO_free(b);
}

/* --- keys --- */

struct key_list {
	EVP_PKEY **keys;
	size_t count, max;
	const char *password;
	char *first;
};

static int give_password(char *buf, int size, int writing, void *arg)
{
	const char *password = arg;
	size_t len = strlen(password);
	(void)writing;
	if (len > (size_t)size)
		return -1;
	memcpy(buf, password, len);
	return (int)len;
}

/* RFC 1421's encryption inside of PEM (Proc-Type, DEK-Info), still written by "openssl rsa -aes256 -traditional". */
static struct fault *open_headers(struct block *b, const char *password)
{
	EVP_CIPHER_INFO cipher;
	if (!*b->header)
		return NULL;
	if (PEM_get_EVP_CIPHER_INFO(b->header, &cipher) != 1)
		return fault_openssl(FAULT_INVALID, "PEM block %d: its headers make no sense", b->number);
	if (!cipher.cipher)
		return NULL;
	if (!password)
		return fault_new(FAULT_INVALID, "the private key is encrypted, and no password was given");
	if (PEM_do_header(&cipher, b->der, &b->len, give_password, (void *)(uintptr_t)password) != 1)
		return fault_openssl(FAULT_INVALID, "the password does not open the private key");
	return NULL;
}

static bool is_key_name(const char *name)
{
	size_t len = strlen(name), tail = strlen(PEM_STRING_PKCS8INF); /* "PRIVATE KEY" */
	return len >= tail && strcmp(name + len - tail, PEM_STRING_PKCS8INF) == 0;
}

static struct fault *on_key_block(void *arg, struct block *b)
{
	struct key_list *l = arg;
	remember(&l->first, b);
	if (!is_key_name(b->name))
		return NULL;
	if (l->count == l->max)
		return fault_new(FAULT_INVALID, "more than %zu private key%s in it", l->max, l->max == 1 ? "" : "s");
	/* A wrong password of this old kind shows as a key that cannot be read: there is no checksum. */
	bool sealed = *b->header;
	TRY(open_headers(b, l->password));
	struct fault *f = pkcs8_read_key(b->der, (size_t)b->len, l->password, &l->keys[l->count]);
	if (f && sealed) {
		fault_free(f);
		return fault_new(FAULT_INVALID, "the password does not open the private key");
	}
	if (!f)
		l->count++;
	return f;
}

struct fault *pem_read_keys(
	const void *pem, size_t len, const char *password, EVP_PKEY **ret, size_t max, size_t *ret_count)
{
	struct key_list l = {.keys = mem_array(EVP_PKEY *, max), .max = max, .password = password};
	struct fault *f = each_block(pem, len, on_key_block, &l);
	if (!f && l.count == 0)
		f = nothing_found("private key", l.first);
	free(l.first);
	if (f) {
		while (l.count)
			EVP_PKEY_free(l.keys[--l.count]);
	} else {
		for (size_t i = 0; i < l.count; i++)
			ret[i] = l.keys[i];
		*ret_count = l.count;
	}
	free(l.keys);
	return f;
}

struct fault *pem_write_key(EVP_PKEY *key, struct secret **ret)
{
	BIO *b = BIO_new(BIO_s_secmem());
	char *bytes;
	struct fault *f = NULL;
	if (!b || PEM_write_bio_PKCS8PrivateKey(b, key, NULL, NULL, 0, NULL, NULL) != 1)
		f = fault_openssl(FAULT_EXHAUSTED, "private key as PEM");
	long len = f ? 0 : BIO_get_mem_data(b, &bytes);
	if (!f)
		f = secret_new(bytes, (size_t)len, ret);
	BIO_free(b);
	return f;
}
