/* sds/give_back.c - after many streams have left, their memory goes back to the system: the allocator would keep it. */
#include <malloc.h>
#include "base/mem.h"
#include "sds/internal.h"

/* A stream and its share of a connection weigh 10 to 40 KiB: what fewer leave behind is not worth the time. */
enum { DEPARTED_MANY = 100 };
/* gRPC tells nothing of the end of a connection: by then those of the departed have been closed. */
#define GIVE_BACK_AFTER_MS (INT64_C(5) * 1000)

static void on_timer(struct timers_entry *t)
{
	struct worker *w = container_of(t, struct worker, give_back_timer);
	w->departed = 0;
	(void)malloc_trim(0); /* about 30 ms per 100 MiB */
}

void give_back_init(struct worker *w)
{
	w->give_back_timer.fire = on_timer;
}

/* The timer is not moved by those who leave later: a steady coming and going must not put it off for ever. */
void give_back_note(struct worker *w)
{
	if (++w->departed == DEPARTED_MANY)
		timers_set(&w->timers, &w->give_back_timer, w->now_ms + GIVE_BACK_AFTER_MS);
}
