/* base/backoff.h - when to try again: exponential, full jitter, bounded. Pure. */
#ifndef BASE_BACKOFF_H
#define BASE_BACKOFF_H
#include <stdint.h>

struct backoff {
	int64_t base_ms; /* first ceiling */
	int64_t cap_ms;	 /* highest ceiling */
	unsigned failures;
};

/** Count a failure and draw the wait before the next try: uniform in [0, min(cap, base * 2^n)), but at least
 *  min_ms (a server's Retry-After; 0 for none) and at least a tenth of the ceiling, so that nobody spins.
 *  draw: 64 random bits. */
int64_t backoff_next_ms(struct backoff *b, int64_t min_ms, uint64_t draw);
/** The same for a wait that a server asked for (<= 0: it did not), heeded up to the cap: what is waited for may end. */
int64_t backoff_asked_ms(struct backoff *b, int64_t asked_ms, uint64_t draw);
void backoff_reset(struct backoff *b);
#endif
