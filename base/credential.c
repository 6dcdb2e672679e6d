#include "base/credential.h"
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <string.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/pem.h"
#include "base/ref.h"
#include "base/secret.h"

struct credential {
	struct ref ref;
	STACK_OF(X509) * chain;
	struct secret *key_pem;
	struct cert_info info;
};

/* --- the order of a chain --- */

static bool is_self_signed(X509 *cert)
{
	bool yes = X509_self_signed(cert, 1) == 1;
	ERR_clear_error();
	return yes;
}

/* By name and key identifier, and by the signature itself: two CAs may share a name. */
static bool is_issuer(X509 *issuer, X509 *of)
{
	EVP_PKEY *key = X509_get0_pubkey(issuer);
	bool yes = X509_check_issued(issuer, of) == X509_V_OK && key && X509_verify(of, key) == 1;
	ERR_clear_error();
	return yes;
}

static bool contains(STACK_OF(X509) * certs, X509 *cert)
{
	for (int i = 0; i < sk_X509_num(certs); i++)
		if (X509_cmp(sk_X509_value(certs, i), cert) == 0)
			return true;
	return false;
}

static void push(STACK_OF(X509) * chain, X509 *c)
{
	invariant(X509_up_ref(c) == 1 && sk_X509_push(chain, c) > 0);
}

static X509 *find_leaf(STACK_OF(X509) * certs, EVP_PKEY *key)
{
	for (int i = 0; i < sk_X509_num(certs); i++) {
		EVP_PKEY *public_key = X509_get0_pubkey(sk_X509_value(certs, i));
		if (public_key && EVP_PKEY_eq(public_key, key) == 1)
			return sk_X509_value(certs, i);
	}
	ERR_clear_error();
	return NULL;
}

/* Not a root: where a cross-signed certificate and the root itself are both there, the cross-signed one is wanted. */
static X509 *find_intermediate(STACK_OF(X509) * certs, STACK_OF(X509) * taken, X509 *of)
{
	for (int i = 0; i < sk_X509_num(certs); i++) {
		X509 *c = sk_X509_value(certs, i);
		if (!contains(taken, c) && is_issuer(c, of) && !is_self_signed(c))
			return c;
	}
	return NULL;
}

static bool is_root_of(X509 *cert, STACK_OF(X509) * chain)
{
	if (!is_self_signed(cert))
		return false;
	for (int i = 0; i < sk_X509_num(chain); i++)
		if (is_issuer(cert, sk_X509_value(chain, i)))
			return true;
	return false;
}

/* They are somebody's mistake, and stricter peers than Envoy would stumble over them. */
static struct fault *refuse_stranger(X509 *cert, X509 *leaf)
{
	struct cert_info stranger, of_key;
	TRY(cert_info_read(cert, &stranger));
	struct fault *f = cert_info_read(leaf, &of_key);
	if (!f) {
		f = is_issuer(leaf, cert) ? fault_new(FAULT_INVALID,
						    "the private key belongs to the CA certificate \"%.200s\", not to "
						    "\"%.200s\", which that CA issued",
						    of_key.subject, stranger.subject)
					  : fault_new(FAULT_INVALID,
						    "certificate \"%.200s\" does not belong to the "
						    "chain of the leaf",
						    stranger.subject);
		cert_info_free(&of_key);
	}
	cert_info_free(&stranger);
	return f;
}

static struct fault *order_chain(STACK_OF(X509) * certs, EVP_PKEY *key, STACK_OF(X509) * ret)
{
	X509 *leaf = find_leaf(certs, key);
	int count = sk_X509_num(certs);
	if (!leaf)
		return count == 1 ? fault_new(FAULT_INVALID, "the private key does not belong to the certificate")
				  : fault_new(FAULT_INVALID, "the private key belongs to none of the %d certificates",
					    count);
	push(ret, leaf);
	for (X509 *last = leaf; last && !is_self_signed(last);) {
		last = find_intermediate(certs, ret, last);
		if (last)
			push(ret, last);
	}
	for (int i = 0; i < count; i++) {
		X509 *c = sk_X509_value(certs, i);
		if (!contains(ret, c) && !is_root_of(c, ret))
			return refuse_stranger(c, leaf);
	}
	return NULL;
}

/* --- the whole --- */

struct fault *credential_new(STACK_OF(X509) * chain, EVP_PKEY *key, struct credential **ret)
{
	if (!chain || sk_X509_num(chain) == 0)
		return fault_new(FAULT_INVALID, "there is no certificate");
	if (sk_X509_num(chain) > CREDENTIAL_CHAIN_MAX)
		return fault_new(FAULT_INVALID, "a chain of %d certificates; at most %d", sk_X509_num(chain),
			CREDENTIAL_CHAIN_MAX);
	if (!key)
		return fault_new(FAULT_INVALID, "there is no private key");
	AUTO(credential_unrefp) struct credential *c = mem_new(struct credential);
	ref_init(&c->ref);
	c->chain = sk_X509_new_null();
	invariant(c->chain);
	TRY(order_chain(chain, key, c->chain));
	TRY(cert_info_read(credential_leaf(c), &c->info));
	TRY(pem_write_key(key, &c->key_pem));
	*ret = TAKE(c);
	return NULL;
}

struct credential *credential_ref(struct credential *c)
{
	ref_up(&c->ref);
	return c;
}

void credential_unref(struct credential *c)
{
	if (!c || !ref_down(&c->ref))
		return;
	sk_X509_pop_free(c->chain, X509_free);
	secret_free(c->key_pem);
	cert_info_free(&c->info);
	free(c);
}

void credential_unrefp(struct credential **c)
{
	credential_unref(*c);
	*c = NULL;
}

const struct cert_info *credential_info(const struct credential *c)
{
	return &c->info;
}

X509 *credential_leaf(const struct credential *c)
{
	return sk_X509_value(c->chain, 0);
}

STACK_OF(X509) * credential_chain(const struct credential *c)
{
	return c->chain;
}

EVP_PKEY *credential_public_key(const struct credential *c)
{
	return X509_get0_pubkey(credential_leaf(c));
}

void credential_chain_pem(const struct credential *c, struct buf *ret)
{
	for (int i = 0; i < sk_X509_num(c->chain); i++)
		pem_add_cert(sk_X509_value(c->chain, i), ret);
}

struct fault *credential_key_pem(const struct credential *c, struct secret **ret)
{
	size_t len;
	const unsigned char *bytes = secret_bytes(c->key_pem, &len);
	return secret_new(bytes, len, ret);
}

static struct fault *from_pem(
	const void *chain, size_t chain_len, const struct secret *key, STACK_OF(X509) * certs, struct credential **ret)
{
	EVP_PKEY *private_key = NULL;
	size_t len, count;
	const unsigned char *bytes = secret_bytes(key, &len);
	TRY(pem_read_certs(chain, chain_len, CREDENTIAL_CHAIN_MAX, certs));
	TRY(pem_read_keys(bytes, len, NULL, &private_key, 1, &count));
	struct fault *f = credential_new(certs, private_key, ret);
	EVP_PKEY_free(private_key);
	return f;
}

struct fault *credential_from_pem(
	const void *chain, size_t chain_len, const struct secret *key, struct credential **ret)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	invariant(certs);
	struct fault *f = from_pem(chain, chain_len, key, certs, ret);
	sk_X509_pop_free(certs, X509_free);
	if (!f || fault_code(f) == FAULT_EXHAUSTED)
		return f;
	AUTO(fault_freep) struct fault *cause = f;
	return fault_new(FAULT_CORRUPT, "stored credential: %s", fault_text(cause));
}
