#include "control/breaker.h"

#define PAUSE_BASE_MS 4000
#define PAUSE_MOST_MS 60000

const char *breaker_state_name(enum breaker_state s)
{
	static const char *const names[] = {"closed", "open", "half-open"};
	return names[s];
}

void breaker_init(struct breaker *b)
{
	*b = (struct breaker){.pause = {.base_ms = PAUSE_BASE_MS, .cap_ms = PAUSE_MOST_MS}};
}

enum breaker_state breaker_state(const struct breaker *b, int64_t now_ms)
{
	return !b->open ? BREAKER_CLOSED : now_ms < b->probe_at_ms ? BREAKER_OPEN : BREAKER_HALF_OPEN;
}

bool breaker_lets(const struct breaker *b, int64_t now_ms)
{
	return !b->open || (now_ms >= b->probe_at_ms && !b->probe);
}

bool breaker_begin(struct breaker *b, int64_t now_ms, uint64_t *ret_probe)
{
	if (!breaker_lets(b, now_ms))
		return false;
	b->probe = b->open ? ++b->probes : 0;
	*ret_probe = b->probe;
	return true;
}

void breaker_hasten(struct breaker *b, int64_t now_ms)
{
	if (b->open && b->probe_at_ms > now_ms)
		b->probe_at_ms = now_ms;
}

bool breaker_succeeded(struct breaker *b)
{
	bool was_open = b->open;
	b->failures = 0;
	b->open = false;
	b->probe = 0;
	backoff_reset(&b->pause);
	return was_open;
}

/* Requests that were under way when it opened fail after it: they say nothing new, and do not move the probe. */
bool breaker_failed(struct breaker *b, uint64_t probe, int64_t now_ms, uint64_t draw)
{
	bool was_open = b->open;
	b->failures++;
	if (b->failures < BREAKER_FAILURES || (was_open && (!probe || probe != b->probe)))
		return false;
	b->open = true;
	b->probe = 0;
	b->probe_at_ms = now_ms + backoff_next_ms(&b->pause, 0, draw);
	return !was_open;
}

void breaker_abandoned(struct breaker *b, uint64_t probe)
{
	if (probe == b->probe)
		b->probe = 0;
}
