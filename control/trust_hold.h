/* control/trust_hold.h - do the verifiers hold an anchor already, so that a leaf under it may be served? From facts
 * alone: design.md, flow B. Pure. All times are wall times in ms. */
#ifndef CONTROL_TRUST_HOLD_H
#define CONTROL_TRUST_HOLD_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One node's subscription to one bundle that should hold the anchor. */
struct trust_verifier {
	const char *node, *identity, *bundle; /* for messages; not looked at */
	bool connected;
	bool holds;	  /* ACKed a version of the bundle with the anchor */
	bool refused;	  /* its last answer was a NACK */
	bool passed;	  /* an operator waits for it no longer */
	int64_t since_ms; /* connected: since when; not connected: when it was last seen */
	int64_t acked_ms; /* its last ACK; for messages; 0: none known */
};

struct trust_hold_facts {
	const struct trust_verifier *verifiers;
	size_t count;
	int64_t shown_ms;     /* since when the anchor is known */
	int64_t soak_ms;      /* so long the absent are waited for */
	int64_t leaf_life_ms; /* who was not seen for so long has no say */
	int64_t settled_ms;   /* not before: after a restart proxies come back */
};

enum trust_wait {
	TRUST_WAIT_NONE,    /* it holds the anchor, has no say any more, or is passed over */
	TRUST_WAIT_SILENT,  /* connected, did not answer yet */
	TRUST_WAIT_REFUSED, /* connected, NACKed */
	TRUST_WAIT_AWAY,    /* not connected; until the soak time has passed */
};
const char *trust_wait_name(enum trust_wait w); /* "silent", "refused", "away" */

struct trust_hold {
	bool ready;
	size_t waited_for; /* verifiers; 0 and not ready: settling after a restart */
};
enum trust_wait trust_wait_of(const struct trust_hold_facts *f, const struct trust_verifier *v, int64_t now_ms);
struct trust_hold trust_hold(const struct trust_hold_facts *f, int64_t now_ms);
/** From when on a leaf goes ahead whoever lacks its anchor: when the one in use reaches its last fifth. */
int64_t trust_patience_ends_ms(int64_t not_after_ms, int64_t life_ms);
#endif
