/* control/rotation_plan.h - when a leaf is renewed, from facts alone. Pure: the executor (rotation.c) does one step and
 * asks again. Facts are stored, states are computed; the draw within the window is seeded by the version's hash, so a
 * restart or a replica plans the same. All times are wall times in ms. */
#ifndef CONTROL_ROTATION_PLAN_H
#define CONTROL_ROTATION_PLAN_H
#include <stdbool.h>
#include <stdint.h>

struct rotation_facts {
	/* of the version served now; version_id NULL: there is none */
	const char *version_id;
	int64_t not_before_ms, not_after_ms, received_at_ms;
	/* the profile's window: in percent of the life; or in absolute terms, so long before its end, from > to; both
	 * 0: in percent */
	int renew_from_percent, renew_to_percent;
	int64_t renew_before_from_ms, renew_before_to_ms;
	/* what the authority would like (wall): the profile's window is narrowed by it, never widened; both 0: nothing
	 */
	int64_t hint_from_ms, hint_to_ms;
	/* how long it has been held by a clock that nobody sets: where wall time says less, that one was set back */
	int64_t aged_ms;
	/* the machine slept in between, or its clock was set ahead (wall): what became due in it is spread over so
	 * long, for others woke up with it; 0: no */
	int64_t asleep_ms, woke_ms, woke_over_ms;
	/* an operator wants this version to stay: not before its last fifth of life */
	bool pinned;
	/* exact names always; templated ones while wanted within the last two lives */
	bool keep_fresh;
	/* the version no longer matches what the config asks for, or an operator ordered a rotation */
	bool ordered;
	/* a node refused this version and holds an older one that ends before the plan: not later than this; 0: none */
	int64_t hasten_at_ms;
	/* its profile has another authority since then (wall): it moves there, drawn over so long; 0: no */
	int64_t moved_ms, moved_over_ms;
	/* an operator ordered new keys for many (wall), spread over that time: drawn from the hash as well; 0: no */
	int64_t campaign_ms, campaign_over_ms;
	/* after a failure: not sooner than this; 0 when the last try succeeded */
	int64_t retry_at_ms;
};

enum rotation_action {
	ROTATION_IDLE,	/* nothing to do until something is wanted */
	ROTATION_WAIT,	/* issue at at_ms */
	ROTATION_ISSUE, /* now */
};

struct rotation_plan {
	enum rotation_action action;
	int64_t at_ms; /* ROTATION_WAIT, ROTATION_ISSUE: when it is or was due */
};

/** A window in percent that stands in where an absolute one does not fit into the life that was given. */
enum { ROTATION_FROM_PERCENT = 50, ROTATION_TO_PERCENT = 70 };
/** No window begins or ends outside of these parts of a life: never sooner after the last renewal, and never so late
 * that tries do not fit before the end. */
enum { ROTATION_SOONEST_PERCENT = 10, ROTATION_LATEST_PERCENT = 80 };

struct rotation_plan rotation_plan(const struct rotation_facts *f, int64_t now_ms);
/** design.md, life: not_after - max(not_before, received_at); at least 0. */
int64_t rotation_life_ms(int64_t not_before_ms, int64_t not_after_ms, int64_t received_at_ms);
/** Longest wait between two tries while this much life is left: tries must fit before the end. */
int64_t rotation_retry_cap_ms(int64_t remaining_ms);
#endif
