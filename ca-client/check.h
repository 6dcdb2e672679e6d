/* ca-client/check.h - the core's checks of every answer of every authority, before anybody is told of it. Pure. */
#ifndef CA_CLIENT_CHECK_H
#define CA_CLIENT_CHECK_H
#include <openssl/evp.h>
#include <stdint.h>
#include "base/attr.h"
#include "base/credential.h"
#include "ca-client/ca.h"

struct check_expectation {
	EVP_PKEY *key;		    /* ours */
	const struct san_set *sans; /* exactly these */
	struct anchors *anchors; /* known of the authority; those of the answer count too when the authority serves them
				    itself */
	int64_t now_ms;		 /* wall */
	int64_t clock_skew_ms;	 /* tolerated: a notBefore up to this far in the future passes */
	int64_t served_not_after_ms; /* of what is served now: an answer that ends sooner than that is refused; 0 when
					none */
};
/** The answer as a credential that the caller owns: our public key, the exact SANs, CA:FALSE, digitalSignature and the
 *  server and client usages where the extensions are present, validity, chain to a known anchor, base/gate.h.
 *  CORRUPT ("rejected answer: ...") names the first check that failed, expected and found, in words for an operator. */
MUST_USE struct fault *check_answer(
	const struct ca_answer *a, const struct check_expectation *e, struct credential **ret);
#endif
