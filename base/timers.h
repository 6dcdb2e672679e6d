/* base/timers.h - many one-shot timers on one thread: a binary heap over timers that live in their owners. Pure: the
 * owner asks how long it may sleep, and runs what is due. Ties fire in the order in which they were set. */
#ifndef BASE_TIMERS_H
#define BASE_TIMERS_H
#include <stddef.h>
#include <stdint.h>

struct timers_entry {
	int64_t at_ms; /* monotonic */
	uint64_t order;
	size_t place; /* in the heap, from 1; 0: not set */
	void (*fire)(struct timers_entry *t);
};
struct timers {
	struct timers_entry **heap; /* heap[1..count] */
	size_t count, cap;
	uint64_t order;
	int64_t running_at_ms; /* what timers_run() runs; INT64_MIN outside of it */
};

void timers_init(struct timers *t);
void timers_done(struct timers *t); /* nothing fires any more */
/** Fire once at at_ms; moves one that is set already. */
void timers_set(struct timers *t, struct timers_entry *e, int64_t at_ms);
void timers_clear(struct timers *t, struct timers_entry *e); /* fine when it is not set */
/** When the earliest is due, INT64_MAX when none is set. */
int64_t timers_next_ms(const struct timers *t);
/** Fire all that are due at now_ms. A timer that is set meanwhile fires in a later call. */
void timers_run(struct timers *t, int64_t now_ms);
#endif
