/* tests/unit/pki.h - certificates for unit tests: a root, leaves under it. Aborts on any failure. */
#ifndef TESTS_UNIT_PKI_H
#define TESTS_UNIT_PKI_H
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdint.h>
struct anchors;
struct credential;

struct pki_ca {
	X509 *cert;
	EVP_PKEY *key;
};
/** A self-signed root (P-256), valid from yesterday for ten years. */
struct pki_ca pki_ca_new(const char *common_name);
void pki_ca_free(struct pki_ca *ca);
/** A P-256 leaf with this URI, valid from not_before_ms to not_after_ms (wall, whole seconds). The caller owns it. */
struct credential *pki_leaf(const struct pki_ca *ca, const char *uri, int64_t not_before_ms, int64_t not_after_ms);
/** A leaf under a root of its own, valid for an hour around now: one that an operator brings. The caller owns it. */
struct credential *pki_brought(void);
/** The set of these roots. The caller owns it. */
struct anchors *pki_anchors(const struct pki_ca *cas, size_t count);
#endif
