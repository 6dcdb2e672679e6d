/* base/credential.h - a leaf certificate with its issuers and its private key, immutable and shared; and what there is
 * to know about one certificate. Normalised: leaf first, issuers in order, a root (self-signed issuer) dropped, key as
 * PKCS#8. A self-signed leaf that stands alone is kept. Thread: any. */
#ifndef BASE_CREDENTIAL_H
#define BASE_CREDENTIAL_H
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/attr.h"
#include "base/san.h"
struct buf;
struct credential;
struct fault;
struct secret;

enum key_type { KEY_ECDSA_P256 = 1, KEY_ECDSA_P384, KEY_RSA_2048, KEY_RSA_3072, KEY_RSA_4096 };
/** "ecdsa-p256", ..., as in the config; NULL for an unknown number. */
const char *key_type_name(enum key_type t);
/** False for an unknown name. */
bool key_type_parse(const char *text, enum key_type *ret);
bool key_type_is_slow(enum key_type t); /* RSA: its generation is a slow job */

/** What one certificate says. Values only; cert_info_free() releases. */
struct cert_info {
	char *subject; /* RFC 2253 */
	char *issuer;
	char *serial;	       /* lower-case hex, no colons */
	char *sha256;	       /* of the DER, lower-case hex */
	char *key;	       /* "ecdsa-p256", "rsa-2048", "ed25519", ... */
	int64_t not_before_ms; /* wall */
	int64_t not_after_ms;
	bool is_ca;
	struct san_set sans; /* unknown types left out */
};
MUST_USE struct fault *cert_info_read(X509 *cert, struct cert_info *ret);
void cert_info_free(struct cert_info *i);

/** chain: leaf and issuers in any order, at most 16 certificates; key: its private key. References are taken, the
 * caller keeps its own. INVALID: no certificate, no key, key and leaf do not match, issuers that do not belong to the
 * chain. On success the caller owns a reference. */
MUST_USE struct fault *credential_new(STACK_OF(X509) * chain, EVP_PKEY *key, struct credential **ret);
struct credential *credential_ref(struct credential *c);
void credential_unref(struct credential *c); /* NULL is fine */
void credential_unrefp(struct credential **c);
/** Borrowed while the credential lives. */
const struct cert_info *credential_info(const struct credential *c);
X509 *credential_leaf(const struct credential *c);
STACK_OF(X509) * credential_chain(const struct credential *c); /* leaf first */
EVP_PKEY *credential_key(const struct credential *c);
/** Append PEM: leaf first, each block with a final newline. */
void credential_chain_pem(const struct credential *c, struct buf *ret);
/** PKCS#8 PEM as a secret that the caller owns. */
MUST_USE struct fault *credential_key_pem(const struct credential *c, struct secret **ret);
/** From what credential_chain_pem() and credential_key_pem() wrote. */
MUST_USE struct fault *credential_from_pem(
	const void *chain, size_t chain_len, const struct secret *key, struct credential **ret);
#endif
