/* control/issuance.h - one leaf, from key to checked credential: key generation in a job, the authority, the core's
 * checks. One completion, on the loop. Not its duty: deciding when, storing, publishing. */
#ifndef CONTROL_ISSUANCE_H
#define CONTROL_ISSUANCE_H
#include <stdint.h>
#include "base/credential.h"
struct authority;
struct control;
struct fault;
struct issuance;

struct issuance_spec {
	enum key_type key_type;
	const struct san_set *sans; /* copied */
	int64_t lifetime_ms;
	int64_t served_not_after_ms; /* see check.h; 0: nothing is served */
	int64_t timeout_ms;
};
/** f or c is set; both owned by the callee. */
typedef void issuance_fn(void *arg, struct fault *f, struct credential *c);

struct issuance *issuance_start(
	struct control *c, struct authority *a, const struct issuance_spec *s, issuance_fn *done, void *arg);
/** done does not run any more; what comes back is wiped. */
void issuance_cancel(struct issuance *i);
#endif
