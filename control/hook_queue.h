/* control/hook_queue.h - what waits to be told to one hook: bounded, oldest first, one place for each entry and event,
 * so that a fleet that rotates again and again is told once each, as it is now. Pure; the owner's thread. */
#ifndef CONTROL_HOOK_QUEUE_H
#define CONTROL_HOOK_QUEUE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
struct hook_facts;
struct hook_item;

/** Most that wait; what is too much is dropped and counted. */
enum { HOOK_QUEUE_MAX = 16384 };

struct hook_queue {
	struct hook_item *table, *list;
	size_t count;
	size_t max;	 /* for tests; 0: HOOK_QUEUE_MAX */
	uint64_t missed; /* dropped, until somebody takes note and sets it back */
};

/** Takes f. What waits for the same entry and event becomes f, in its place, with one event more. A version that is
 * served ends what waits of the entry beside: a failure that is over, a life that is long again. False: it was dropped.
 */
bool hook_queue_put(struct hook_queue *q, struct hook_facts *f);
/** The oldest, the caller's; NULL: none waits. */
struct hook_facts *hook_queue_take(struct hook_queue *q);
/** How many were dropped. */
size_t hook_queue_clear(struct hook_queue *q);
#endif
