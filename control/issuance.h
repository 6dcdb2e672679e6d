/* control/issuance.h - one leaf, from key to checked credential: a place at the authority, key generation in a
 * job, the request, the core's checks. One completion, on the loop. Not its duty: deciding when, storing, publishing.
 */
#ifndef CONTROL_ISSUANCE_H
#define CONTROL_ISSUANCE_H
#include <stdint.h>
#include "base/credential.h"
struct authority;
struct ca_hint;
struct control;
struct fault;
struct issuance;

/** When each step began, monotonic ms; 0: it did not. */
struct issuance_times {
	int64_t began_ms, placed_ms, asked_ms, answered_ms;
};

struct issuance_spec {
	enum key_type key_type;
	const struct san_set *sans; /* copied */
	int64_t lifetime_ms;
	int64_t served_not_after_ms; /* see check.h; 0: nothing is served */
	int64_t timeout_ms;	     /* for the request, once its turn has come */
	struct credential *current;  /* see ca.h; a reference is taken; or NULL */
	int64_t ends_ms;	     /* wall: whose turn comes first; see admission.h */
	size_t waiters;
	struct issuance_times *times; /* to be filled in; valid until done has run; or NULL */
};
/** f or c is set; both owned by the callee. hint: when the authority would like it to be renewed; borrowed. */
typedef void issuance_fn(void *arg, struct fault *f, struct credential *c, const struct ca_hint *hint);

/** done comes on a later turn, or from within another call of the authority; not from within this one. */
struct issuance *issuance_start(
	struct control *c, struct authority *a, const struct issuance_spec *s, issuance_fn *done, void *arg);
/** done does not run any more; what comes back is wiped. */
void issuance_cancel(struct issuance *i);
#endif
