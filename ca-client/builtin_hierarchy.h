/* ca-client/builtin_hierarchy.h - the embedded authority's CA certificates and keys: a root and an issuing CA, or one
 * that the operator gave. Immutable, shared by reference: signing jobs keep theirs while a renewed one takes over.
 * Blocking, pure: in jobs. Not its duty: when (builtin.c). */
#ifndef CA_CLIENT_BUILTIN_HIERARCHY_H
#define CA_CLIENT_BUILTIN_HIERARCHY_H
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/attr.h"
#include "base/san.h"
#include "base/secret.h"
#include "ca-client/builtin.h"
struct anchors;
struct fault;
struct hierarchy;

/** The name under which it is kept. */
#define HIERARCHY_KEY "hierarchy"

/** renewed_from NULL: a new root and issuing CA; otherwise a new issuing CA under the same root. now_ms: wall. */
MUST_USE struct fault *hierarchy_make(const struct builtin_options *o, const char *authority,
	const struct hierarchy *renewed_from, int64_t now_ms, struct hierarchy **ret);
/** The operator's CA: certificate (with its issuers, if any) and key. INVALID says what is wrong with which file. */
MUST_USE struct fault *hierarchy_from_files(const struct builtin_options *o, struct hierarchy **ret);
/** For the store, and back: PEM of everything. */
MUST_USE struct fault *hierarchy_encode(const struct hierarchy *h, struct secret **ret);
MUST_USE struct fault *hierarchy_decode(const struct secret *bytes, struct hierarchy **ret);
struct hierarchy *hierarchy_ref(struct hierarchy *h);
void hierarchy_unref(struct hierarchy *h); /* NULL is fine */

struct anchors *hierarchy_anchors(const struct hierarchy *h); /* borrowed */
int64_t hierarchy_not_after_ms(const struct hierarchy *h);    /* of the issuing CA */
int64_t hierarchy_renew_at_ms(const struct hierarchy *h);     /* wall; INT64_MAX: the operator's own, never */
bool hierarchy_is_slow(const struct hierarchy *h);	      /* signing takes long: RSA */

/* One leaf to sign. */
struct hierarchy_leaf {
	X509_REQ *csr;
	struct san_set sans;
	int64_t lifetime_ms, now_ms;
};
/** Takes a reference of the CSR and copies the names. */
void hierarchy_leaf_init(struct hierarchy_leaf *l, const struct ca_request *r, int64_t now_ms);
void hierarchy_leaf_done(struct hierarchy_leaf *l);
/** The signed leaf and its issuers, leaf first. The leaf never outlives its issuer. INVALID: the lifetime is out of
 * bounds, the CSR is not signed by its key. The caller owns *ret. */
MUST_USE struct fault *hierarchy_sign(const struct hierarchy *h, const struct hierarchy_leaf *l, STACK_OF(X509) * *ret);
#endif
