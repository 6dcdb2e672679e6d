/* base/anchors.h - a set of CA certificates that verifiers trust: sorted by their DER's SHA-256, without duplicates,
 * immutable and shared. Thread: any. */
#ifndef BASE_ANCHORS_H
#define BASE_ANCHORS_H
#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/attr.h"
#include "base/credential.h"
struct anchors;
struct buf;
struct fault;

/** Most certificates in one set, and most bytes of its PEM. Envoy fails every handshake when the CA names that it must
 *  send pass 64 KiB, so the sum of the encoded subject names is bounded by that too. */
#define ANCHORS_MAX 512
/** Most certificates that are read, duplicates included, before the set is made. */
#define ANCHORS_READ_MAX 1024
#define ANCHORS_PEM_MAX ((size_t)1024 * 1024)
#define ANCHORS_NAMES_MAX ((size_t)65535 - 1024)

/** INVALID: empty, a certificate that is neither a CA nor self-signed, above the limits. References to the certificates
 *  are taken. */
MUST_USE struct fault *anchors_new(STACK_OF(X509) * certs, struct anchors **ret);
/** The union of several sets (at least one). */
MUST_USE struct fault *anchors_union(struct anchors *const *sets, size_t count, struct anchors **ret);
MUST_USE struct fault *anchors_from_pem(const void *pem, size_t len, struct anchors **ret);
struct anchors *anchors_ref(struct anchors *a);
void anchors_unref(struct anchors *a); /* NULL is fine */
void anchors_unrefp(struct anchors **a);
size_t anchors_count(const struct anchors *a);
const struct cert_info *anchors_info(const struct anchors *a, size_t i); /* borrowed */
X509 *anchors_cert(const struct anchors *a, size_t i);			 /* borrowed */
bool anchors_equal(const struct anchors *a, const struct anchors *b);
bool anchors_contain(const struct anchors *a, X509 *cert);
void anchors_pem(const struct anchors *a, struct buf *ret); /* appended */
/** Does this chain (leaf first) lead to one of the anchors at this wall time (ms)? purpose: X509_PURPOSE_SSL_SERVER,
 * _CLIENT or 0 for any. NULL when it does. INVALID names the certificate and the reason. */
MUST_USE struct fault *anchors_verify(const struct anchors *a, STACK_OF(X509) * chain, int purpose, int64_t at_ms);
#endif
