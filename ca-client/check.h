/* ca-client/check.h - the core's checks of every answer of every authority, before anybody is told of it. Pure.
 * Thread: any. */
#ifndef CA_CLIENT_CHECK_H
#define CA_CLIENT_CHECK_H
#include <openssl/evp.h>
#include <stdint.h>
#include "base/attr.h"
#include "base/credential.h"
#include "ca-client/ca.h"

struct check_expectation {
	EVP_PKEY *key;		    /* ours, private part included */
	const struct san_set *sans; /* exactly these */
	/* Known of the authority. Those of the answer count only while none are known (NULL): a driver that learns new
	 * ones says so by on_trust before it answers. */
	struct anchors *anchors;
	int64_t now_ms;	       /* wall */
	int64_t clock_skew_ms; /* tolerated: a notBefore up to this far in the future passes */
	int64_t lifetime_ms;   /* what was asked for; 0: nothing */
	/* Of what is served now, 0 when nothing is: an answer that ends sooner than this, and sooner than what was
	 * asked for, is refused. */
	int64_t served_not_after_ms;
};
/** The answer as a credential that the caller owns: our public key, the exact SANs, CA:FALSE, digitalSignature and the
 *  server and client usages where the extensions are present, validity, chain to a known anchor as server and as
 * client, base/gate.h. CORRUPT ("rejected answer (certificate sha256 ...): ...") names the first check that failed,
 * expected and found, in words for an operator. EXHAUSTED: no memory for the key. */
MUST_USE struct fault *check_answer(
	const struct ca_answer *a, const struct check_expectation *e, struct credential **ret);
#endif
