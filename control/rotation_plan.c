#include "control/rotation_plan.h"
#include <stddef.h>

/* Never sooner than this part of a life after the last renewal (design.md, section 4). */
#define MIN_AGE_PERCENT 10
/* And a pinned one no later than here: a pin must not let it end. */
#define PINNED_PERCENT 80

int64_t rotation_life_ms(int64_t not_before_ms, int64_t not_after_ms, int64_t received_at_ms)
{
	int64_t begin = not_before_ms > received_at_ms ? not_before_ms : received_at_ms;
	return not_after_ms > begin ? not_after_ms - begin : 0;
}

/* 0..999 from the version's hash: the leading hex digits are as good as random. */
static int64_t permille_of(const char *version_id)
{
	uint32_t x = 0;
	for (size_t i = 0; i < 8 && version_id[i]; i++) {
		char c = version_id[i];
		x = x << 4 | (uint32_t)(c >= 'a' ? c - 'a' + 10 : c - '0');
	}
	return x % 1000;
}

/* percent_x1000 / 100000 of life without overflow for lives of centuries. */
static int64_t part_of(int64_t life_ms, int64_t percent_x1000)
{
	return life_ms / 100000 * percent_x1000 + life_ms % 100000 * percent_x1000 / 100000;
}

static int64_t due_at(const struct rotation_facts *f)
{
	int64_t life = rotation_life_ms(f->not_before_ms, f->not_after_ms, f->received_at_ms);
	int64_t begin = f->not_before_ms > f->received_at_ms ? f->not_before_ms : f->received_at_ms;
	int64_t width = (int64_t)(f->renew_to_percent - f->renew_from_percent);
	int64_t at = (int64_t)f->renew_from_percent * 1000 + width * permille_of(f->version_id);
	if (f->pinned)
		at = PINNED_PERCENT * 1000;
	if (at < MIN_AGE_PERCENT * 1000)
		at = MIN_AGE_PERCENT * 1000;
	int64_t due = begin + part_of(life, at), soonest = begin + part_of(life, MIN_AGE_PERCENT * 1000);
	/* A pin is an operator's order: no node undoes it. */
	if (f->hasten_at_ms && !f->pinned && f->hasten_at_ms < due)
		due = f->hasten_at_ms > soonest ? f->hasten_at_ms : soonest;
	if (f->campaign_ms) {
		int64_t mine = f->campaign_ms + f->campaign_over_ms / 1000 * permille_of(f->version_id);
		due = mine < due ? mine : due;
	}
	return due;
}

struct rotation_plan rotation_plan(const struct rotation_facts *f, int64_t now_ms)
{
	struct rotation_plan plan = {ROTATION_IDLE, 0};
	if (!f->keep_fresh && !f->ordered)
		return plan;
	plan.at_ms = f->version_id && !f->ordered ? due_at(f) : now_ms;
	if (f->retry_at_ms > plan.at_ms)
		plan.at_ms = f->retry_at_ms;
	plan.action = plan.at_ms <= now_ms ? ROTATION_ISSUE : ROTATION_WAIT;
	return plan;
}

int64_t rotation_retry_cap_ms(int64_t remaining_ms)
{
	const int64_t least = 1000, most = 5 * 60 * 1000;
	int64_t cap = remaining_ms / 10;
	return cap < least ? least : cap > most ? most : cap;
}
