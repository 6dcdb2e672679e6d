#include "base/material.h"
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include <string.h>
#include "base/anchors.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/gate.h"
#include "base/mem.h"

/* PKCS#12 and PBKDF2 take as long as the file says: refuse absurd counts. A tenth of a second each. */
#define ITERATIONS_MAX 2000000L
enum { CERTS_MAX = 1024 };

static const char *label(const struct material_part *p)
{
	return p->label ? p->label : "input";
}

static struct fault *check_size(const struct material_part *p)
{
	if (!p->bytes || !p->len)
		return fault_new(FAULT_INVALID, "%s: empty", label(p));
	if (p->len > MATERIAL_MAX)
		return fault_new(
			FAULT_INVALID, "%s: %zu bytes; at most %zu are accepted", label(p), p->len, MATERIAL_MAX);
	return NULL;
}

static bool is_pem(const struct material_part *p)
{
	return memmem(p->bytes, p->len, "-----BEGIN ", 11) != NULL;
}

static bool at_end_of_pem(void)
{
	unsigned long e = ERR_peek_last_error();
	bool end = ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
	if (end)
		ERR_clear_error();
	return end;
}

static void push(STACK_OF(X509) * certs, X509 *c)
{
	invariant(sk_X509_push(certs, c) > 0);
}

static struct fault *pem_certs(const struct material_part *p, STACK_OF(X509) * certs)
{
	BIO *b = BIO_new_mem_buf(p->bytes, (int)p->len);
	X509 *c;
	struct fault *f = NULL;
	invariant(b);
	ERR_clear_error();
	while (!f && (c = PEM_read_bio_X509_AUX(b, NULL, NULL, NULL))) {
		push(certs, c);
		if (sk_X509_num(certs) > CERTS_MAX)
			f = fault_new(FAULT_INVALID, "%s: more than %d certificates", label(p), CERTS_MAX);
	}
	BIO_free(b);
	if (!f && !at_end_of_pem())
		f = fault_openssl(FAULT_INVALID, "%s: a CERTIFICATE block cannot be read (number %d)", label(p),
			sk_X509_num(certs) + 1);
	return f;
}

static struct fault *der_certs(const struct material_part *p, STACK_OF(X509) * certs)
{
	const unsigned char *at = p->bytes, *end = at + p->len;
	while (at < end && sk_X509_num(certs) <= CERTS_MAX) {
		X509 *c = d2i_X509(NULL, &at, (long)(end - at));
		if (!c)
			return fault_openssl(
				FAULT_INVALID, "%s: neither PEM nor DER certificates, nor PKCS#12", label(p));
		push(certs, c);
	}
	return NULL;
}

static struct fault *read_certs(const struct material_part *p, STACK_OF(X509) * certs)
{
	TRY(is_pem(p) ? pem_certs(p, certs) : der_certs(p, certs));
	if (sk_X509_num(certs) == 0)
		return fault_new(FAULT_INVALID, "%s: no certificate in it", label(p));
	return NULL;
}

/* --- keys --- */

static int give_password(char *buf, int size, int writing, void *arg)
{
	const char *password = arg;
	(void)writing;
	if (!password)
		return 0;
	size_t len = strlen(password);
	if (len > (size_t)size)
		return 0;
	memcpy(buf, password, len);
	return (int)len;
}

static bool is_encrypted(const struct material_part *p)
{
	return memmem(p->bytes, p->len, "ENCRYPTED", 9) != NULL;
}

static struct fault *read_key(const struct material_part *p, const char *password, EVP_PKEY **ret)
{
	EVP_PKEY *key = NULL;
	TRY(check_size(p));
	ERR_clear_error();
	if (is_pem(p)) {
		if (is_encrypted(p) && !password)
			return fault_new(FAULT_INVALID, "%s: the key is encrypted; give its password (--password-file)",
				label(p));
		BIO *b = BIO_new_mem_buf(p->bytes, (int)p->len);
		invariant(b);
		key = PEM_read_bio_PrivateKey(b, NULL, give_password, (void *)(uintptr_t)password);
		BIO_free(b);
		if (!key)
			return fault_openssl(FAULT_INVALID,
				is_encrypted(p) ? "%s: the password does not open the key" : "%s: no private key in it",
				label(p));
	} else {
		const unsigned char *at = p->bytes;
		key = d2i_AutoPrivateKey(NULL, &at, (long)p->len);
		if (!key)
			return fault_openssl(FAULT_INVALID, "%s: neither a PEM nor a DER private key", label(p));
	}
	*ret = key;
	return NULL;
}

/* --- PKCS#12 --- */

static PKCS12 *as_pkcs12(const struct material_part *p)
{
	const unsigned char *at = p->bytes;
	PKCS12 *p12 = is_pem(p) ? NULL : d2i_PKCS12(NULL, &at, (long)p->len);
	ERR_clear_error();
	return p12;
}

static struct fault *open_pkcs12(
	PKCS12 *p12, const struct material_part *p, const char *password, STACK_OF(X509) * certs, EVP_PKEY **ret_key)
{
	STACK_OF(X509) *others = NULL;
	X509 *leaf = NULL;
	const ASN1_INTEGER *iterations = NULL;
	if (PKCS12_mac_present(p12)) {
		PKCS12_get0_mac(NULL, NULL, NULL, &iterations, p12);
		if (iterations && ASN1_INTEGER_get(iterations) > ITERATIONS_MAX)
			return fault_new(FAULT_INVALID, "%s: its MAC takes %ld iterations; at most %ld", label(p),
				ASN1_INTEGER_get(iterations), ITERATIONS_MAX);
		bool opens = PKCS12_verify_mac(p12, password ? password : "", -1) == 1 ||
			     (!password && PKCS12_verify_mac(p12, NULL, 0) == 1);
		if (!opens)
			return fault_openssl(FAULT_INVALID,
				password ? "%s: the password does not open this PKCS#12 file"
					 : "%s: this PKCS#12 file needs a password (--password-file)",
				label(p));
	}
	if (PKCS12_parse(p12, password ? password : "", ret_key, &leaf, &others) != 1)
		return fault_openssl(FAULT_INVALID, "%s: the PKCS#12 file cannot be read", label(p));
	if (leaf)
		push(certs, leaf);
	while (others && sk_X509_num(others) > 0)
		push(certs, sk_X509_shift(others));
	sk_X509_free(others);
	if (!*ret_key)
		return fault_new(FAULT_INVALID, "%s: the PKCS#12 file holds no private key", label(p));
	return NULL;
}

static struct fault *collect(const struct material_part *cert, const struct material_part *key, const char *password,
	STACK_OF(X509) * certs, EVP_PKEY **ret_key)
{
	PKCS12 *p12 = as_pkcs12(cert);
	if (p12) {
		struct fault *f =
			key->len ? fault_new(FAULT_INVALID, "%s: a PKCS#12 file brings its own key", label(cert))
				 : open_pkcs12(p12, cert, password, certs, ret_key);
		PKCS12_free(p12);
		return f;
	}
	TRY(read_certs(cert, certs));
	if (!key->len && is_pem(cert) && memmem(cert->bytes, cert->len, "PRIVATE KEY-----", 16))
		return read_key(cert, password, ret_key);
	if (!key->len)
		return fault_new(FAULT_INVALID, "%s: a certificate needs its private key (--key)", label(cert));
	return read_key(key, password, ret_key);
}

struct fault *material_read_credential(const struct material_part *cert, const struct material_part *key,
	const char *password, struct credential **ret)
{
	AUTO(credential_unrefp) struct credential *c = NULL;
	EVP_PKEY *pkey = NULL;
	TRY(check_size(cert));
	STACK_OF(X509) *certs = sk_X509_new_null();
	invariant(certs);
	struct fault *f = collect(cert, key, password, certs, &pkey);
	if (!f)
		f = credential_new(certs, pkey, &c);
	if (!f)
		f = gate_check_credential(c);
	sk_X509_pop_free(certs, X509_free);
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	if (f)
		return f;
	*ret = TAKE(c);
	return NULL;
}

struct fault *material_read_anchors(const struct material_part *bundle, struct anchors **ret)
{
	TRY(check_size(bundle));
	STACK_OF(X509) *certs = sk_X509_new_null();
	invariant(certs);
	struct fault *f = read_certs(bundle, certs);
	if (!f)
		f = anchors_new(certs, ret);
	sk_X509_pop_free(certs, X509_free);
	ERR_clear_error();
	return f;
}
