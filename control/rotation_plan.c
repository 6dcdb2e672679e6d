#include "control/rotation_plan.h"
#include <stddef.h>

/* Wall and monotonic time may part by so much before the wall clock was set. */
#define PARTED_MS 2000
/* What became due in a sleep is not spread over more than this part of the life that is left. */
#define WAKING_PART 20
/* Nor what moves to another authority over more than this. */
#define MOVING_PART 10
/* What an authority suggests may lie outside of the profile's window: then it is the nearest such part of that. */
#define NEAREST_PART 10

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

struct span {
	int64_t from, to;
};

static struct span cut(struct span a, struct span b)
{
	return (struct span){a.from > b.from ? a.from : b.from, a.to < b.to ? a.to : b.to};
}

/* The profile's window, as wall times. */
static struct span window_of(const struct rotation_facts *f, int64_t begin, int64_t life)
{
	const struct span sound = {begin + part_of(life, ROTATION_SOONEST_PERCENT * 1000),
		begin + part_of(life, ROTATION_LATEST_PERCENT * 1000)};
	int from = f->renew_from_percent, to = f->renew_to_percent;
	if (f->renew_before_from_ms) {
		const struct span asked = {
			begin + life - f->renew_before_from_ms, begin + life - f->renew_before_to_ms};
		const struct span fits = cut(asked, sound);
		if (fits.from < fits.to)
			return fits;
		from = ROTATION_FROM_PERCENT; /* an authority gave a life that is too short for it */
		to = ROTATION_TO_PERCENT;
	}
	return (struct span){begin + part_of(life, (int64_t)from * 1000), begin + part_of(life, (int64_t)to * 1000)};
}

static struct span narrow(struct span window, struct span hint)
{
	const int64_t part = (window.to - window.from) / NEAREST_PART;
	const struct span both = cut(window, hint);
	if (hint.from >= hint.to)
		return window;
	if (both.from < both.to)
		return both;
	return hint.to <= window.from ? (struct span){window.from, window.from + part}
				      : (struct span){window.to - part, window.to};
}

/* part permille of the span. */
static int64_t drawn(struct span s, int64_t permille)
{
	int64_t width = s.to - s.from;
	return s.from + width / 1000 * permille + width % 1000 * permille / 1000;
}

static int64_t due_at(const struct rotation_facts *f)
{
	int64_t life = rotation_life_ms(f->not_before_ms, f->not_after_ms, f->received_at_ms);
	int64_t begin = f->not_before_ms > f->received_at_ms ? f->not_before_ms : f->received_at_ms;
	const struct span hint = {f->hint_from_ms, f->hint_to_ms};
	int64_t due = drawn(narrow(window_of(f, begin, life), hint), permille_of(f->version_id));
	int64_t soonest = begin + part_of(life, ROTATION_SOONEST_PERCENT * 1000);
	if (f->pinned) /* but a pin must not let it end */
		due = begin + part_of(life, ROTATION_LATEST_PERCENT * 1000);
	if (due < soonest)
		due = soonest;
	/* A pin is an operator's order: no node undoes it. */
	if (f->hasten_at_ms && !f->pinned && f->hasten_at_ms < due)
		due = f->hasten_at_ms > soonest ? f->hasten_at_ms : soonest;
	if (f->moved_ms && !f->pinned) {
		int64_t left = (f->not_after_ms - f->moved_ms) / MOVING_PART, over = f->moved_over_ms;
		over = left < over ? left : over;
		int64_t mine = f->moved_ms + (over > 0 ? over * permille_of(f->version_id) / 1000 : 0);
		due = mine < due ? mine : due;
	}
	if (f->campaign_ms) {
		int64_t mine = f->campaign_ms + f->campaign_over_ms / 1000 * permille_of(f->version_id);
		due = mine < due ? mine : due;
	}
	return due;
}

/* What has little left, or nothing, hardly waits: there is no end to be missed by it. */
static int64_t spread_waking(const struct rotation_facts *f, int64_t due)
{
	int64_t most = (f->not_after_ms - f->woke_ms) / WAKING_PART;
	if (due < f->asleep_ms || due >= f->woke_ms || most <= 0)
		return due;
	return f->woke_ms + (most < f->woke_over_ms ? most : f->woke_over_ms) * permille_of(f->version_id) / 1000;
}

/* By how much the wall clock was set back since it was received. */
static int64_t set_back_ms(const struct rotation_facts *f, int64_t now_ms)
{
	int64_t parted = f->aged_ms - (now_ms - f->received_at_ms);
	return parted > PARTED_MS ? parted : 0;
}

struct rotation_plan rotation_plan(const struct rotation_facts *f, int64_t now_ms)
{
	struct rotation_plan plan = {ROTATION_IDLE, 0};
	if (!f->keep_fresh && !f->ordered)
		return plan;
	plan.at_ms = f->version_id && !f->ordered ? spread_waking(f, due_at(f)) - set_back_ms(f, now_ms) : now_ms;
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
