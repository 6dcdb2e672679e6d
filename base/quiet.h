/* base/quiet.h - how often something that a peer can cause is said: once per interval, with the number of times that it
 * was not. Pure; the owner's thread. */
#ifndef BASE_QUIET_H
#define BASE_QUIET_H
#include <stdbool.h>
#include <stdint.h>

#define QUIET_MS (INT64_C(10) * 1000)

struct quiet {
	int64_t next_ms; /* monotonic; 0: never said */
	uint64_t held_back;
};

/** Say it now? Then *ret_held_back is how often it was not said since the last time. */
static inline bool quiet_passes(struct quiet *q, int64_t now_ms, uint64_t *ret_held_back)
{
	if (q->next_ms && now_ms < q->next_ms) {
		q->held_back++;
		return false;
	}
	q->next_ms = now_ms + QUIET_MS;
	*ret_held_back = q->held_back;
	q->held_back = 0;
	return true;
}
#endif
