/* base/credential.h - a leaf certificate with its issuers and its private key, immutable and shared.
 * Normalised: leaf first, issuers in order, a root (self-signed issuer) dropped, key as PKCS#8. A self-signed leaf that
 * stands alone is kept. The key is held as a struct secret, not as an OpenSSL object: those would fill OpenSSL's small
 * secure heap, which is meant for keys in work. Thread: any. */
#ifndef BASE_CREDENTIAL_H
#define BASE_CREDENTIAL_H
#include <openssl/evp.h>
#include <openssl/x509.h>
#include "base/attr.h"
#include "base/cert_info.h"
#include "base/key_type.h"
struct buf;
struct credential;
struct fault;
struct secret;

/** Most certificates in the chain that is handed in. */
enum { CREDENTIAL_CHAIN_MAX = 16 };

/** chain: leaf and issuers in any order; key: its private key. References to the certificates are taken, the key is
 *  copied. INVALID: no certificate, no key, key and leaf do not match, certificates that do not belong to the chain.
 *  EXHAUSTED: no memory for the key. On success the caller owns a reference. */
MUST_USE struct fault *credential_new(STACK_OF(X509) * chain, EVP_PKEY *key, struct credential **ret);
struct credential *credential_ref(struct credential *c);
void credential_unref(struct credential *c); /* NULL is fine */
void credential_unrefp(struct credential **c);
/** Borrowed while the credential lives. */
const struct cert_info *credential_info(const struct credential *c);
X509 *credential_leaf(const struct credential *c);
STACK_OF(X509) * credential_chain(const struct credential *c); /* leaf first */
EVP_PKEY *credential_public_key(const struct credential *c);
/** Append PEM: leaf first, each block with a final newline. */
void credential_chain_pem(const struct credential *c, struct buf *ret);
/** PKCS#8 PEM as a secret that the caller owns. */
MUST_USE struct fault *credential_key_pem(const struct credential *c, struct secret **ret);
/** From what credential_chain_pem() and credential_key_pem() wrote; anything else is CORRUPT. */
MUST_USE struct fault *credential_from_pem(
	const void *chain, size_t chain_len, const struct secret *key, struct credential **ret);
#endif
