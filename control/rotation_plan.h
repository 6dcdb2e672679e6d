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
	/* the profile's window, in percent of the life */
	int renew_from_percent, renew_to_percent;
	/* an operator wants this version to stay: not before its last fifth of life */
	bool pinned;
	/* exact names always; templated ones while wanted within the last two lives */
	bool keep_fresh;
	/* the version no longer matches what the config asks for, or an operator ordered a rotation */
	bool ordered;
	/* a node refused this version and holds an older one that ends before the plan: not later than this; 0: none */
	int64_t hasten_at_ms;
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

struct rotation_plan rotation_plan(const struct rotation_facts *f, int64_t now_ms);
/** design.md, life: not_after - max(not_before, received_at); at least 0. */
int64_t rotation_life_ms(int64_t not_before_ms, int64_t not_after_ms, int64_t received_at_ms);
/** Longest wait between two tries while this much life is left: tries must fit before the end. */
int64_t rotation_retry_cap_ms(int64_t remaining_ms);
#endif
