#include "base/material.h"
#include <openssl/err.h>
#include <string.h>
#include "base/anchors.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/gate.h"
#include "base/mem.h"
#include "base/pem.h"
#include "base/pkcs12.h"
#include "base/pkcs8.h"

static const char *label(const struct material_part *p)
{
	return p->label ? p->label : "input";
}

static struct fault *named(struct fault *f, const struct material_part *p)
{
	return f ? fault_wrap(f, "%s", label(p)) : NULL;
}

static struct fault *check_size(const struct material_part *p)
{
	if (!p->bytes || !p->len)
		return fault_new(FAULT_INVALID, "it is empty");
	if (p->len > MATERIAL_MAX)
		return fault_new(FAULT_INVALID, "%zu bytes; at most %zu are accepted", p->len, MATERIAL_MAX);
	return NULL;
}

static bool is_pem(const struct material_part *p)
{
	return memmem(p->bytes, p->len, "-----BEGIN ", 11) != NULL;
}

/* One certificate, or several one behind the other. */
static struct fault *read_der_certs(const struct material_part *p, int max, STACK_OF(X509) * certs)
{
	const unsigned char *at = p->bytes, *end = at + p->len;
	while (at < end) {
		X509 *c = d2i_X509(NULL, &at, (long)(end - at));
		ERR_clear_error();
		if (!c && sk_X509_num(certs))
			return fault_new(FAULT_INVALID, "%zu bytes that cannot be read behind certificate %d",
				(size_t)(end - at), sk_X509_num(certs));
		if (!c)
			return fault_new(FAULT_INVALID, "neither PEM nor DER certificates nor PKCS#12");
		if (sk_X509_num(certs) == max) {
			X509_free(c);
			return fault_new(FAULT_INVALID, "too many certificates");
		}
		invariant(sk_X509_push(certs, c) > 0);
	}
	return NULL;
}

static struct fault *read_certs(const struct material_part *p, int max, STACK_OF(X509) * certs)
{
	TRY(check_size(p));
	return is_pem(p) ? pem_read_certs(p->bytes, p->len, max, certs) : read_der_certs(p, max, certs);
}

static struct fault *read_key(const struct material_part *p, const char *password, EVP_PKEY **ret)
{
	size_t count;
	TRY(check_size(p));
	return is_pem(p) ? pem_read_keys(p->bytes, p->len, password, ret, 1, &count)
			 : pkcs8_read_key(p->bytes, p->len, password, ret);
}

/* The certificate's part is a PKCS#12 file: everything is in it. */
static struct fault *read_pkcs12(const PKCS12 *p12, const struct material_part *key, const char *password,
	STACK_OF(X509) * certs, EVP_PKEY **ret_key)
{
	if (key->len)
		return fault_new(
			FAULT_INVALID, "a PKCS#12 file brings its own key; leave the key (%s) out", label(key));
	return pkcs12_open(p12, password, CREDENTIAL_CHAIN_MAX, certs, ret_key);
}

/* Nothing but the certificate was given: its PEM may hold the key too. */
static struct fault *read_key_beside(const struct material_part *cert, const char *password, EVP_PKEY **ret_key)
{
	if (!is_pem(cert) || !memmem(cert->bytes, cert->len, "PRIVATE KEY-----", 16))
		return fault_new(FAULT_INVALID, "a certificate needs its private key, and none was given");
	return read_key(cert, password, ret_key);
}

static struct fault *collect(const struct material_part *cert, const struct material_part *key, const char *password,
	STACK_OF(X509) * certs, EVP_PKEY **ret_key)
{
	PKCS12 *p12 = is_pem(cert) ? NULL : pkcs12_decode(cert->bytes, cert->len);
	if (p12) {
		struct fault *f = read_pkcs12(p12, key, password, certs, ret_key);
		PKCS12_free(p12);
		return named(f, cert);
	}
	TRY(named(read_certs(cert, CREDENTIAL_CHAIN_MAX, certs), cert));
	return key->len ? named(read_key(key, password, ret_key), key)
			: named(read_key_beside(cert, password, ret_key), cert);
}

struct fault *material_read_credential(const struct material_part *cert, const struct material_part *key,
	const char *password, struct credential **ret)
{
	AUTO(credential_unrefp) struct credential *c = NULL;
	EVP_PKEY *private_key = NULL;
	TRY(named(check_size(cert), cert));
	STACK_OF(X509) *certs = sk_X509_new_null();
	invariant(certs);
	struct fault *f = collect(cert, key, password, certs, &private_key);
	if (!f)
		f = credential_new(certs, private_key, &c);
	if (!f)
		f = pkcs8_check_pair(private_key);
	if (!f)
		f = gate_check_credential(c);
	sk_X509_pop_free(certs, X509_free);
	EVP_PKEY_free(private_key);
	TRY(f);
	*ret = TAKE(c);
	return NULL;
}

static struct fault *read_bundle(const struct material_part *p, STACK_OF(X509) * certs)
{
	static const char crl[] = "-----BEGIN X509 CRL-----";
	TRY(check_size(p));
	PKCS12 *p12 = is_pem(p) ? NULL : pkcs12_decode(p->bytes, p->len);
	PKCS12_free(p12);
	if (p12)
		return fault_new(FAULT_INVALID, "a PKCS#12 file; a bundle is PEM or DER certificates");
	if (memmem(p->bytes, p->len, crl, sizeof crl - 1))
		return fault_new(FAULT_INVALID, "a revocation list is in it, which a bundle does not carry: who it "
						"revokes would be let in");
	return read_certs(p, ANCHORS_READ_MAX, certs);
}

struct fault *material_read_anchors(const struct material_part *bundle, struct anchors **ret)
{
	AUTO(anchors_unrefp) struct anchors *a = NULL;
	STACK_OF(X509) *certs = sk_X509_new_null();
	invariant(certs);
	struct fault *f = read_bundle(bundle, certs);
	if (!f)
		f = anchors_new(certs, &a);
	if (!f)
		f = gate_check_anchors(a);
	sk_X509_pop_free(certs, X509_free);
	TRY(named(f, bundle));
	*ret = TAKE(a);
	return NULL;
}
