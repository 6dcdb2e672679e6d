/* ca-client/builtin_cert.h - what the embedded authority's certificates have in common: serial, validity, extensions,
 * signature. Pure; in jobs. */
#ifndef CA_CLIENT_BUILTIN_CERT_H
#define CA_CLIENT_BUILTIN_CERT_H
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdint.h>
#include "base/attr.h"
struct fault;

/** Version 3, a random positive serial of 128 bits, the public key, issuer's subject as issuer (cert itself: a root).
 */
MUST_USE struct fault *builtin_cert_begin(X509 *cert, X509 *issuer, EVP_PKEY *key);
/** Wall times in ms, cut to whole seconds. */
MUST_USE struct fault *builtin_cert_set_validity(X509 *cert, int64_t from_ms, int64_t to_ms);
/** One extension as openssl.cnf writes it. */
MUST_USE struct fault *builtin_cert_add(X509 *cert, int nid, const char *value);
/** subjectKeyIdentifier, and authorityKeyIdentifier unless cert is its own issuer. */
MUST_USE struct fault *builtin_cert_add_key_ids(X509 *cert, X509 *issuer);
/** With the digest that fits the issuer's key. */
MUST_USE struct fault *builtin_cert_sign(X509 *cert, EVP_PKEY *issuer_key);
#endif
