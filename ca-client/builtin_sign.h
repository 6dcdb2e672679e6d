/* ca-client/builtin_sign.h - one leaf, signed under a hierarchy. Blocking, pure: in a job. */
#ifndef CA_CLIENT_BUILTIN_SIGN_H
#define CA_CLIENT_BUILTIN_SIGN_H
#include <openssl/x509.h>
#include <stdint.h>
#include "base/attr.h"
#include "base/san.h"
struct ca_request;
struct fault;
struct hierarchy;

/* What the job needs: its own copies, because the request may be gone before it has run. */
struct leaf_order {
	X509_REQ *csr;
	struct san_set sans;
	int64_t lifetime_ms, now_ms; /* now: wall */
};
void leaf_order_init(struct leaf_order *l, const struct ca_request *r, int64_t now_ms);
void leaf_order_done(struct leaf_order *l);
/** The signed leaf and its issuers, leaf first; the caller owns *ret. The leaf never outlives any of them. INVALID: the
 *  lifetime is out of bounds, no names, the CSR is not signed by its key. UNAVAILABLE, retryable: the CA has ended, or
 * is not valid yet by our clock. */
MUST_USE struct fault *leaf_sign(const struct hierarchy *h, const struct leaf_order *l, STACK_OF(X509) * *ret);
#endif
