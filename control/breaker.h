/* control/breaker.h - is an authority worth asking? Closed: yes. After some failures in a row it is open: nobody asks
 * until a jittered moment; then one probe decides (half-open). Pure. Monotonic times in ms.
 * Failures are those of the authority as a whole (it does not answer), not those of one request. */
#ifndef CONTROL_BREAKER_H
#define CONTROL_BREAKER_H
#include <stdbool.h>
#include <stdint.h>
#include "base/backoff.h"

/** Failures in a row that open it. */
enum { BREAKER_FAILURES = 3 };

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN };
const char *breaker_state_name(enum breaker_state s); /* "closed", "open", "half-open" */

struct breaker {
	unsigned failures; /* in a row */
	bool open;
	uint64_t probe;	      /* the one request of half-open that is under way; 0: none */
	uint64_t probes;      /* so many there were: each has its number */
	int64_t probe_at_ms;  /* while open: not sooner */
	struct backoff pause; /* between probes */
};

void breaker_init(struct breaker *b);
enum breaker_state breaker_state(const struct breaker *b, int64_t now_ms);
/** Would a request be let through now? */
bool breaker_lets(const struct breaker *b, int64_t now_ms);
/** A request begins: true if it may. Its end is told by exactly one of the three below, with what *ret_probe says: the
 * number of a probe, 0 for any other request. What began before it opened must not be taken for the probe. */
bool breaker_begin(struct breaker *b, int64_t now_ms, uint64_t *ret_probe);
/** Somebody knows better: the probe may go now. */
void breaker_hasten(struct breaker *b, int64_t now_ms);
/** True: it was open, and is closed now. */
bool breaker_succeeded(struct breaker *b);
/** draw: 64 random bits. True: it was closed, and is open now. */
bool breaker_failed(struct breaker *b, uint64_t probe, int64_t now_ms, uint64_t draw);
/** Neither: cancelled. */
void breaker_abandoned(struct breaker *b, uint64_t probe);
#endif
