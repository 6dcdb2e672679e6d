#include "base/io/pulse.h"
#include <pthread.h>
#include <time.h>
#include "base/mem.h"

void pulse_begin(struct pulse *p)
{
	clockid_t clock;
	invariant(pthread_getcpuclockid(pthread_self(), &clock) == 0);
	atomic_store(&p->clock, (int)clock);
	pulse_turn(p);
}

void pulse_turn(struct pulse *p)
{
	atomic_fetch_add_explicit(&p->turns, 1, memory_order_release);
}

bool pulse_is_captive(struct pulse *p, struct pulse_sight *s, int64_t cpu_us)
{
	struct timespec t;
	uint64_t turns = atomic_load_explicit(&p->turns, memory_order_acquire);
	if (!turns || clock_gettime((clockid_t)atomic_load(&p->clock), &t) != 0)
		return false; /* it did not begin, or has ended */
	int64_t now_us = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
	bool captive = turns == s->turns && now_us - s->cpu_us >= cpu_us;
	if (captive || turns != s->turns)
		*s = (struct pulse_sight){turns, now_us};
	return captive;
}
