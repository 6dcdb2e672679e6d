/* control/clock_hold.c - nothing is issued while the clock contradicts what is known (clock_guard.c says when): who
 * would be issued waits, the log says so and why, and everything is planned anew when the clock agrees. An operator's
 * order is not held: he may know better. */
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "ca-client/builtin.h"
#include "control/internal.h"

/* How often it is said again. */
#define SAY_AGAIN_MS MS_PER_MIN

static bool is_alone(const struct authority *a)
{
	return a && ca_capabilities(authority_ca((struct authority *)(uintptr_t)a)) & CA_OUR_CLOCK;
}

static struct clock_facts facts_of(const struct control *c, const struct authority *a, int64_t lifetime_ms)
{
	return (struct clock_facts){.wall_ms = control_now_ms(c),
		.mono_ms = control_mono_ms(c),
		.built_ms = c->o.built_ms,
		.newest_ms = c->newest_ms,
		.tolerance_ms = builtin_backdate_ms(lifetime_ms),
		.alone = is_alone(a)};
}

/* Once when it begins, then each minute. */
static void say(struct control *c, const char *why, int64_t mono_ms)
{
	if (c->clock_said_ms && mono_ms - c->clock_said_ms < SAY_AGAIN_MS)
		return;
	c->clock_said_ms = mono_ms;
	log_event(LOG_ERROR, "clock.doubted", LS("why", why),
		LS("effect",
			"what is valid is served, nothing is issued until the clock agrees; `leafcast rotate` is not "
			"held"));
}

bool clock_holds(struct entry *e, const struct authority *a, int64_t lifetime_ms)
{
	struct control *c = e->control;
	const struct clock_facts f = facts_of(c, a, lifetime_ms);
	enum clock_verdict v = clock_guard_judge(&c->clock_guard, &f);
	int64_t ordered_ms, over_ms;
	campaign_facts(e, &ordered_ms, &over_ms);
	if (v == CLOCK_AGREES || e->ordered || ordered_ms || entry_is_revoked(e))
		return false;
	AUTO(mem_freep) char *why = clock_verdict_text(v, &c->clock_guard, &f);
	AUTO(fault_freep)
	struct fault *fault = fault_new(FAULT_UNAVAILABLE, "%s: nothing is issued until it agrees", why);
	entry_set_error(e, fault);
	c->clock_held++;
	say(c, why, f.mono_ms);
	return true;
}

char *clock_holds_start(struct control *c)
{
	const struct clock_facts f = facts_of(c, NULL, MS_PER_HOUR);
	if (f.wall_ms >= f.built_ms)
		return NULL;
	char *why = clock_verdict_text(CLOCK_BEFORE_BUILD, &c->clock_guard, &f);
	c->clock_held++;
	say(c, why, f.mono_ms);
	return why;
}

static int64_t newest(const struct control *c)
{
	int64_t at = 0;
	for (const struct entry *e = c->entries; e; e = e->hh.next)
		if (e->current && version_authority(e->current) && version_leaf(e->current) &&
			version_received_at_ms(e->current) > at)
			at = version_received_at_ms(e->current);
	return at;
}

void clock_begin(struct control *c)
{
	clock_guard_init(&c->clock_guard, control_now_ms(c), control_mono_ms(c));
	c->newest_ms = newest(c);
}

void clock_received(struct control *c, const struct version *v)
{
	if (version_authority(v) && version_leaf(v) && version_received_at_ms(v) > c->newest_ms)
		c->newest_ms = version_received_at_ms(v);
}

void clock_watch(struct control *c)
{
	int64_t slept = loop_catch_up(c->o.loop), now = control_now_ms(c);
	int64_t jump = clock_guard_look(&c->clock_guard, now, control_mono_ms(c));
	bool was_held = c->clock_held > 0;
	c->newest_ms = newest(c);
	if (slept)
		log_event(LOG_WARN, "clock.slept", LI("for_ms", slept));
	if (jump)
		log_event(LOG_WARN, "clock.jumped", LI("by_ms", jump));
	if (slept || jump > 0) {
		c->asleep_ms = now - (slept > jump ? slept : jump);
		c->woke_ms = now;
	}
	c->clock_held = 0; /* who is still held says so when it is planned anew */
	if (slept || jump || was_held)
		rotation_replan_all(c);
	if (was_held && !c->clock_held) {
		c->clock_said_ms = 0;
		log_event(LOG_INFO, "clock.agrees", LS("effect", "what is due is issued"));
	}
}

int64_t clock_received_mono_ms(const struct control *c, const struct version *v)
{
	int64_t age = control_now_ms(c) - version_received_at_ms(v);
	return control_mono_ms(c) - (age > 0 ? age : 0);
}
