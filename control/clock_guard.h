/* control/clock_guard.h - is the wall clock to be believed? Certificates are judged by it, and it can be wrong at boot
 * and set at any time, in both directions. Pure. Nothing is issued while it contradicts what is known (design.md,
 * section 7); what is valid is served all the same. All times in ms. */
#ifndef CONTROL_CLOCK_GUARD_H
#define CONTROL_CLOCK_GUARD_H
#include <stdbool.h>
#include <stdint.h>

/** As long as wall and monotonic time must run in step after the wall clock was set, until it is believed: twice the
 * shortest interval in which NTP asks, and by then a clock that was set by mistake is set back. */
#define CLOCK_SETTLE_MS (INT64_C(2) * 60 * 1000)

struct clock_guard {
	int64_t agreed_ms; /* wall less monotonic, when they last agreed */
	int64_t last_ms;   /* as it was seen last */
	int64_t since_ms;  /* monotonic: it has been so since */
};

enum clock_verdict { CLOCK_AGREES, CLOCK_BEFORE_BUILD, CLOCK_BEFORE_FACT, CLOCK_SET_AHEAD, CLOCK_SET_BACK };

/** What it is judged by. */
struct clock_facts {
	int64_t wall_ms, mono_ms;
	int64_t built_ms;     /* of this program; 0: not known */
	int64_t newest_ms;    /* wall: the newest certificate that was received; 0: none */
	int64_t tolerance_ms; /* what an authority backdates by: a clock that is wrong by less harms nobody */
	bool alone;	      /* it is our clock that dates the certificate: no authority's clock is a second witness */
};

void clock_guard_init(struct clock_guard *g, int64_t wall_ms, int64_t mono_ms);
/** Look at both clocks, every second or so. By how much the wall clock was set since the last look; 0: it was not. */
int64_t clock_guard_look(struct clock_guard *g, int64_t wall_ms, int64_t mono_ms);
enum clock_verdict clock_guard_judge(const struct clock_guard *g, const struct clock_facts *f);
/** What is wrong, in words for an operator: "the clock was set ahead by ...". The caller owns it. */
char *clock_verdict_text(enum clock_verdict v, const struct clock_guard *g, const struct clock_facts *f);
#endif
