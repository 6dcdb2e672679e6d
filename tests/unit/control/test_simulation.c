/* A fleet's year in seconds: the planner, the queue, the breaker and the back-off as they are, on a fake clock, with an
 * authority that goes away, throttles and comes back, and a clock that is set back and forth. What is written here anew
 * is the little that joins them (rotation.c, authorities.c do it around a real loop), and the world. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/attr.h"
#include "base/backoff.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/table.h"
#include "base/timers.h"
#include "control/admission.h"
#include "control/breaker.h"
#include "control/rotation_plan.h"

enum { IN_FLIGHT = 16, RATE = 20, HOURS_MAX = 24 * 400 };
#define DAY_MS MS_PER_DAY
#define TIMEOUT_MS (INT64_C(30) * MS_PER_S)
#define LONGEST_WAIT_MS (INT64_C(6) * MS_PER_HOUR)

/* What befalls the authority or the clock, from begin to end. */
enum trouble { OUTAGE, SILENCE, THROTTLE, CLOCK };
struct spell {
	enum trouble what;
	int64_t begin_ms, end_ms;
	int64_t amount; /* THROTTLE: requests a second; CLOCK: what is added to the wall clock, until the end */
};

struct fleet {
	size_t count;
	int64_t life_ms, backdate_ms, days;
	int from_percent, to_percent;
	const struct spell *spells;
	size_t spell_count;
	/* the world */
	int64_t mono_ms;
	struct timers timers;
	struct leaf *leaves;
	struct admission *admission;
	struct breaker breaker;
	struct timers_entry turn, watch;
	int64_t offset_ms;
	uint64_t random;
	int64_t second, in_second; /* the authority's own count */
	bool admitting;
	/* what is proved */
	size_t issued, asked, refused, over_rate, expired, early, running, running_most;
	int64_t least_left_ms;
	unsigned hours[HOURS_MAX]; /* issued in each */
};

struct leaf {
	struct fleet *fleet;
	struct timers_entry timer, answer;
	struct ticket ticket;
	struct backoff backoff;
	char id[33];
	bool has, busy, starved, fails, throttled;
	int64_t not_before_ms, not_after_ms, received_at_ms, retry_at_ms;
};

static uint64_t draw(struct fleet *f)
{
	f->random ^= f->random << 13;
	f->random ^= f->random >> 7;
	f->random ^= f->random << 17;
	return f->random;
}

static int64_t wall(const struct fleet *f)
{
	return INT64_C(1800000000000) + f->mono_ms + f->offset_ms;
}

static const struct spell *spell(const struct fleet *f, enum trouble what)
{
	for (size_t i = 0; i < f->spell_count; i++)
		if (f->spells[i].what == what && f->mono_ms >= f->spells[i].begin_ms &&
			f->mono_ms < f->spells[i].end_ms)
			return &f->spells[i];
	return NULL;
}

static void replan(struct leaf *l);

/* --- the queue, as in authorities.c --- */

static void admit(struct fleet *f)
{
	struct ticket *t;
	if (f->admitting)
		return;
	f->admitting = true;
	while (breaker_lets(&f->breaker, f->mono_ms) && (t = admission_next(f->admission, f->mono_ms))) {
		assert_true(breaker_begin(&f->breaker, f->mono_ms, &t->probe));
		t->go(t->arg, NULL);
	}
	f->admitting = false;
	int64_t at = breaker_lets(&f->breaker, f->mono_ms) ? admission_next_at_ms(f->admission, f->mono_ms) : -1;
	if (at >= 0)
		timers_set(&f->timers, &f->turn, at > f->mono_ms ? at : f->mono_ms + 1);
}

static void on_turn(struct timers_entry *t)
{
	admit(container_of(t, struct fleet, turn));
}

static void failed(struct leaf *l, bool silence, int64_t retry_after_ms)
{
	struct fleet *f = l->fleet;
	int64_t left = l->has ? l->not_after_ms - wall(f) : MS_PER_HOUR;
	l->busy = false;
	l->starved = silence;
	l->backoff.cap_ms = rotation_retry_cap_ms(left > 0 ? left : 0);
	l->retry_at_ms = wall(f) + backoff_next_ms(&l->backoff, retry_after_ms, draw(f));
	replan(l);
}

static void refuse_all(struct fleet *f)
{
	struct ticket *t;
	for (size_t n = admission_waiting(f->admission); n > 0 && (t = admission_refuse(f->admission)); n--)
		failed(t->arg, true, 0);
}

static void wake(struct fleet *f)
{
	for (size_t i = 0; i < f->count; i++) {
		struct leaf *l = &f->leaves[i];
		if (!l->starved)
			continue;
		l->starved = false;
		l->retry_at_ms = 0;
		replan(l);
	}
}

/* --- the authority --- */

static void issue(struct leaf *l)
{
	struct fleet *f = l->fleet;
	int64_t now = wall(f);
	l->has = true;
	l->busy = l->starved = false;
	l->retry_at_ms = 0;
	backoff_reset(&l->backoff);
	l->not_before_ms = now - f->backdate_ms;
	l->not_after_ms = l->not_before_ms + f->life_ms;
	l->received_at_ms = now;
	(void)snprintf(l->id, sizeof l->id, "%016llx%016llx", (unsigned long long)draw(f), (unsigned long long)draw(f));
	f->issued++;
	f->hours[f->mono_ms / MS_PER_HOUR]++;
}

static void on_answer(struct timers_entry *t)
{
	struct leaf *l = container_of(t, struct leaf, answer);
	struct fleet *f = l->fleet;
	f->running--;
	admission_release(f->admission);
	if (l->fails && !l->throttled) {
		if (breaker_failed(&f->breaker, l->ticket.probe, f->mono_ms, draw(f)))
			refuse_all(f);
		failed(l, true, 0);
	} else {
		bool was_open = breaker_succeeded(&f->breaker);
		if (l->throttled) {
			admission_pause(f->admission, f->mono_ms + MS_PER_S);
			failed(l, false, MS_PER_S);
		} else {
			issue(l);
			replan(l);
		}
		if (was_open)
			wake(f);
	}
	admit(f);
}

static void on_turn_of(void *arg, struct fault *fault)
{
	struct leaf *l = arg;
	struct fleet *f = l->fleet;
	const struct spell *throttle = spell(f, THROTTLE);
	(void)fault;
	f->asked++;
	f->running++;
	if (f->running > f->running_most)
		f->running_most = f->running;
	if (f->mono_ms / MS_PER_S != f->second) {
		f->second = f->mono_ms / MS_PER_S;
		f->in_second = 0;
	}
	f->in_second++;
	f->over_rate += f->in_second > 2 * RATE; /* a full bucket, and what comes in that second */
	l->throttled = throttle && f->in_second > throttle->amount;
	l->fails = spell(f, OUTAGE) || spell(f, SILENCE) || l->throttled;
	f->refused += l->fails;
	int64_t takes = spell(f, SILENCE) ? TIMEOUT_MS : 10 + (int64_t)(draw(f) % 50);
	timers_set(&f->timers, &l->answer, f->mono_ms + takes);
}

/* --- the executor, as in rotation.c --- */

static void replan(struct leaf *l)
{
	struct fleet *f = l->fleet;
	if (l->busy)
		return;
	const struct rotation_facts facts = {.version_id = l->has ? l->id : NULL,
		.not_before_ms = l->not_before_ms,
		.not_after_ms = l->not_after_ms,
		.received_at_ms = l->received_at_ms,
		.renew_from_percent = f->from_percent,
		.renew_to_percent = f->to_percent,
		.keep_fresh = true,
		.retry_at_ms = l->retry_at_ms};
	const struct rotation_plan p = rotation_plan(&facts, wall(f));
	if (p.action != ROTATION_ISSUE) {
		int64_t wait = p.at_ms - wall(f);
		timers_set(&f->timers, &l->timer, f->mono_ms + (wait < LONGEST_WAIT_MS ? wait : LONGEST_WAIT_MS));
		return;
	}
	if (l->has && f->offset_ms == 0 && wall(f) - l->received_at_ms < f->life_ms / 10)
		f->early++;
	if (!breaker_lets(&f->breaker, f->mono_ms)) {
		failed(l, true, 0);
		return;
	}
	l->busy = true;
	l->ticket = (struct ticket){.ends_ms = l->has ? l->not_after_ms : 0, .waiters = 1, .go = on_turn_of, .arg = l};
	admission_wait(f->admission, &l->ticket);
	admit(f);
}

static void on_timer(struct timers_entry *t)
{
	replan(container_of(t, struct leaf, timer));
}

/* --- each minute: who has nothing valid, and was the clock set? --- */

static void look(struct fleet *f)
{
	for (size_t i = 0; i < f->count; i++) {
		const struct leaf *l = &f->leaves[i];
		int64_t left = l->not_after_ms - wall(f);
		if (!l->has)
			continue;
		f->expired += left <= 0;
		if (left < f->least_left_ms)
			f->least_left_ms = left;
	}
}

static void on_watch(struct timers_entry *t)
{
	struct fleet *f = container_of(t, struct fleet, watch);
	const struct spell *clock = spell(f, CLOCK);
	int64_t offset = clock ? clock->amount : 0;
	if (offset != f->offset_ms) {
		f->offset_ms = offset;
		for (size_t i = 0; i < f->count; i++)
			replan(&f->leaves[i]);
	}
	look(f);
	timers_set(&f->timers, &f->watch, f->mono_ms + MS_PER_MIN * (f->life_ms > MS_PER_DAY ? 60 : 1));
}

static void run(struct fleet *f)
{
	f->random = 88172645463325252u;
	f->least_left_ms = INT64_MAX;
	f->second = -1;
	timers_init(&f->timers);
	breaker_init(&f->breaker);
	f->admission = admission_new(IN_FLIGHT, RATE);
	f->leaves = mem_array(struct leaf, f->count);
	f->turn.fire = on_turn;
	f->watch.fire = on_watch;
	timers_set(&f->timers, &f->watch, 0);
	for (size_t i = 0; i < f->count; i++) {
		struct leaf *l = &f->leaves[i];
		l->fleet = f;
		l->timer.fire = on_timer;
		l->answer.fire = on_answer;
		l->backoff.base_ms = MS_PER_S;
		replan(l);
	}
	for (int64_t next; (next = timers_next_ms(&f->timers)) < f->days * DAY_MS;) {
		f->mono_ms = next;
		timers_run(&f->timers, next);
	}
	for (size_t i = 0; i < f->count; i++)
		admission_leave(f->admission, &f->leaves[i].ticket);
	admission_free(f->admission);
	timers_done(&f->timers);
	free(f->leaves);
}

struct rates {
	double mean, most;
};

static struct rates hourly(const struct fleet *f, int64_t from_day, int64_t to_day)
{
	struct rates r = {0, 0};
	for (int64_t h = from_day * 24; h < to_day * 24; h++) {
		r.mean += f->hours[h];
		r.most = f->hours[h] > r.most ? f->hours[h] : r.most;
	}
	r.mean /= (double)((to_day - from_day) * 24);
	return r;
}

static void nothing_expires(const struct fleet *f)
{
	print_message("%zu issued, %zu asked, least life left %.1f %%, at most %zu at once\n", f->issued, f->asked,
		100.0 * (double)f->least_left_ms / (double)f->life_ms, f->running_most);
	assert_int_equal(f->expired, 0);
	assert_int_equal(f->early, 0);
	assert_int_equal(f->over_rate, 0);
	assert_true(f->running_most <= IN_FLIGHT);
}

/* Leaves of a day; the authority is away for 6 hours, silent for 2, throttles to a tenth; the clock is set. */
static void ninety_days(void **state)
{
	static const struct spell spells[] = {
		{OUTAGE, 10 * DAY_MS, 10 * DAY_MS + 6 * MS_PER_HOUR, 0},
		{SILENCE, 15 * DAY_MS, 15 * DAY_MS + 2 * MS_PER_HOUR, 0},
		{THROTTLE, 18 * DAY_MS, 20 * DAY_MS, 2},
		{CLOCK, 22 * DAY_MS, 23 * DAY_MS, 10 * MS_PER_MIN},
		{CLOCK, 24 * DAY_MS, 25 * DAY_MS, -10 * MS_PER_MIN},
		{OUTAGE, 26 * DAY_MS, 26 * DAY_MS + 6 * MS_PER_HOUR, 0},
	};
	struct fleet f = {.count = 10000,
		.life_ms = DAY_MS,
		.backdate_ms = 30000,
		.days = 90,
		.from_percent = 50,
		.to_percent = 70,
		.spells = spells,
		.spell_count = ARRAY_LEN(spells)};
	(void)state;
	run(&f);
	nothing_expires(&f);
	struct rates steady = hourly(&f, 60, 90);
	print_message("steady: %.0f an hour, at most %.0f\n", steady.mean, steady.most);
	assert_true(steady.most <= 2 * steady.mean);
	/* no more than needed: one for each, each 60 % of a life */
	assert_in_range(f.issued, 10000 * 90 * 10 / 7, 10000 * 90 * 10 / 5);
}

/* Cut off for a quarter of a life, right before the whole fleet is due. */
static void a_fleet_that_was_cut_off(void **state)
{
	static const struct spell spells[] = {{OUTAGE, 11 * MS_PER_HOUR, 17 * MS_PER_HOUR, 0}};
	struct fleet f = {.count = 10000,
		.life_ms = DAY_MS,
		.backdate_ms = 60000,
		.days = 3,
		.from_percent = 50,
		.to_percent = 70,
		.spells = spells,
		.spell_count = ARRAY_LEN(spells)};
	(void)state;
	run(&f);
	nothing_expires(&f);
	/* While it was away it was asked by probes alone. */
	assert_true(f.refused < 2000);
}

static void short_and_long_lives(void **state)
{
	struct fleet seconds = {.count = 20,
		.life_ms = 10 * MS_PER_S,
		.backdate_ms = 0,
		.days = 1,
		.from_percent = 50,
		.to_percent = 70};
	static const struct spell spells[] = {{OUTAGE, 100 * DAY_MS, 107 * DAY_MS, 0}};
	struct fleet years = {.count = 500,
		.life_ms = 90 * DAY_MS,
		.backdate_ms = MS_PER_HOUR,
		.days = 390,
		.from_percent = 50,
		.to_percent = 70,
		.spells = spells,
		.spell_count = ARRAY_LEN(spells)};
	(void)state;
	run(&seconds);
	nothing_expires(&seconds);
	run(&years);
	nothing_expires(&years);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(ninety_days), cmocka_unit_test(a_fleet_that_was_cut_off),
		cmocka_unit_test(short_and_long_lives)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
