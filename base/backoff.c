#include "base/backoff.h"

int64_t backoff_next_ms(struct backoff *b, int64_t min_ms, uint64_t draw)
{
	int64_t ceiling = b->base_ms;
	for (unsigned i = 0; i < b->failures && ceiling < b->cap_ms; i++)
		ceiling = ceiling > b->cap_ms / 2 ? b->cap_ms : 2 * ceiling;
	if (ceiling > b->cap_ms)
		ceiling = b->cap_ms;
	if (ceiling < 1)
		ceiling = 1;
	b->failures++;
	int64_t wait = (int64_t)(draw % (uint64_t)ceiling);
	int64_t least = ceiling / 10;
	if (wait < least)
		wait = least;
	return wait < min_ms ? min_ms : wait;
}

int64_t backoff_asked_ms(struct backoff *b, int64_t asked_ms, uint64_t draw)
{
	return backoff_next_ms(b, asked_ms < b->cap_ms ? asked_ms : b->cap_ms, draw);
}

void backoff_reset(struct backoff *b)
{
	b->failures = 0;
}
