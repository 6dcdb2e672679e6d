#include "control/clock_guard.h"
#include <stddef.h>
#include "base/clock.h"
#include "base/duration.h"
#include "base/mem.h"

/* What two readings may differ by, and NTP may slew between two looks. */
#define STEP_MS (INT64_C(2) * MS_PER_S)

static bool is_apart(int64_t a, int64_t b)
{
	return a - b > STEP_MS || b - a > STEP_MS;
}

void clock_guard_init(struct clock_guard *g, int64_t wall_ms, int64_t mono_ms)
{
	g->agreed_ms = g->last_ms = wall_ms - mono_ms;
	g->since_ms = mono_ms;
}

int64_t clock_guard_look(struct clock_guard *g, int64_t wall_ms, int64_t mono_ms)
{
	int64_t offset = wall_ms - mono_ms, jump = offset - g->last_ms;
	bool jumped = is_apart(offset, g->last_ms);
	if (jumped)
		g->since_ms = mono_ms;
	g->last_ms = offset;
	if (!is_apart(offset, g->agreed_ms) || mono_ms - g->since_ms >= CLOCK_SETTLE_MS)
		g->agreed_ms = offset;
	return jumped ? jump : 0;
}

static bool is_impossible(const struct clock_facts *f, int64_t wall_ms)
{
	return wall_ms < f->built_ms || wall_ms < f->newest_ms - f->tolerance_ms;
}

enum clock_verdict clock_guard_judge(const struct clock_guard *g, const struct clock_facts *f)
{
	int64_t moved = f->wall_ms - f->mono_ms - g->agreed_ms;
	if (is_impossible(f, f->wall_ms))
		return f->wall_ms < f->built_ms ? CLOCK_BEFORE_BUILD : CLOCK_BEFORE_FACT;
	if (!f->alone || !is_apart(moved, 0))
		return CLOCK_AGREES;
	/* The time that it had before cannot have been right: at boot, until NTP answers. */
	if (is_impossible(f, g->agreed_ms + f->mono_ms))
		return CLOCK_AGREES;
	return moved > f->tolerance_ms ? CLOCK_SET_AHEAD : moved < -f->tolerance_ms ? CLOCK_SET_BACK : CLOCK_AGREES;
}

char *clock_verdict_text(enum clock_verdict v, const struct clock_guard *g, const struct clock_facts *f)
{
	char now[32], then[32], by[48];
	int64_t moved = f->wall_ms - f->mono_ms - g->agreed_ms;
	clock_format(f->wall_ms, now, sizeof now);
	(void)duration_text(((moved < 0 ? -moved : moved) + MS_PER_S / 2) / MS_PER_S * MS_PER_S, by, sizeof by);
	switch (v) {
	case CLOCK_BEFORE_BUILD:
		clock_format(f->built_ms, then, sizeof then);
		return mem_printf("the clock says %s, and this leafcast was built at %s", now, then);
	case CLOCK_BEFORE_FACT:
		clock_format(f->newest_ms, then, sizeof then);
		return mem_printf("the clock says %s, and a certificate was received at %s", now, then);
	case CLOCK_SET_AHEAD:
		return mem_printf("the clock was set ahead by %s, to %s", by, now);
	case CLOCK_SET_BACK:
		return mem_printf("the clock was set back by %s, to %s", by, now);
	case CLOCK_AGREES:
		break;
	}
	return mem_printf("the clock agrees");
}
