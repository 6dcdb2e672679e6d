/* base/io/loop.h - the control loop: libuv's loop, the thread that owns it, and one-shot timers whose handles live as
 * long as their owner. Thread: control, except where said. */
#ifndef BASE_IO_LOOP_H
#define BASE_IO_LOOP_H
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>
#include "base/attr.h"
struct clock;
struct fault;
struct loop;

/** A loop owned by the calling thread. The caller owns *ret: loop_free(). clock is borrowed for the loop's life. */
MUST_USE struct fault *loop_new(const struct clock *clock, struct loop **ret);
/** Run until loop_stop() or until nothing is left to wait for. */
void loop_run(struct loop *l);
/** One turn, for tests: what is due now, or when may_block the next thing to happen. True while handles are active. */
bool loop_turn(struct loop *l, bool may_block);
void loop_stop(struct loop *l);
uv_loop_t *loop_uv(struct loop *l);
const struct clock *loop_clock(const struct loop *l);
/** Timers wait by CLOCK_MONOTONIC, which stands still while the machine is suspended; the loop's clock does not. How
 * long it slept since the last call, in ms (0: no second): every timer is now that much nearer, and what is overdue
 * fires on the next turn. To be called at least every few seconds. */
int64_t loop_catch_up(struct loop *l);
/** Aborts unless called on the loop's thread. */
void loop_assert(const struct loop *l);
/** Closes the loop; aborts when a handle was left open (its kind is named on stderr). */
void loop_free(struct loop *l);

/** A one-shot timer. timer_start() again moves it. */
struct timer;
typedef void timer_fn(void *arg);
struct timer *timer_new(struct loop *l, timer_fn *fn, void *arg);
/** Fire once in after_ms (>= 0) from now. */
void timer_start(struct timer *t, int64_t after_ms);
void timer_stop(struct timer *t);
/** Closes the handle; fn does not run any more. NULL is fine. */
void timer_free(struct timer *t);
#endif
