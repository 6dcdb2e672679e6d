#include "base/io/loop.h"
#include <pthread.h>
#include <stdio.h>
#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"

/* A machine that slept for less lost nothing. */
#define SLEPT_LEAST_MS MS_PER_S

struct loop {
	uv_loop_t uv;
	pthread_t owner;
	const struct clock *clock;
	bool single;	  /* in loop_turn(): a timer that fired ends it */
	int64_t ahead_ms; /* the clock's monotonic time less libuv's, as seen last */
};

/* libuv's is read anew: it is that of the turn's begin otherwise. */
static int64_t ahead_ms(const struct loop *l)
{
	return clock_mono_ms(l->clock) - (int64_t)(uv_hrtime() / 1000000);
}

struct fault *loop_new(const struct clock *clock, struct loop **ret)
{
	struct loop *l = mem_new(struct loop);
	int rc = uv_loop_init(&l->uv);
	if (rc) {
		free(l);
		return fault_new(FAULT_EXHAUSTED, "event loop: %s", uv_strerror(rc));
	}
	l->owner = pthread_self();
	l->clock = clock;
	l->ahead_ms = ahead_ms(l);
	*ret = l;
	return NULL;
}

void loop_run(struct loop *l)
{
	loop_assert(l);
	uv_run(&l->uv, UV_RUN_DEFAULT);
}

bool loop_turn(struct loop *l, bool may_block)
{
	loop_assert(l);
	l->single = may_block;
	bool active = uv_run(&l->uv, may_block ? UV_RUN_ONCE : UV_RUN_NOWAIT) != 0;
	l->single = false;
	return active;
}

void loop_stop(struct loop *l)
{
	uv_stop(&l->uv);
}

uv_loop_t *loop_uv(struct loop *l)
{
	return &l->uv;
}

const struct clock *loop_clock(const struct loop *l)
{
	return l->clock;
}

void loop_assert(const struct loop *l)
{
	invariant(pthread_equal(l->owner, pthread_self()));
}

static void name_open_handle(uv_handle_t *h, void *arg)
{
	(void)arg;
	(void)fprintf(stderr, "leafcast: handle left open: %s\n", uv_handle_type_name(uv_handle_get_type(h)));
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	uv_run(&l->uv, UV_RUN_NOWAIT); /* the last close callbacks */
	int rc = uv_loop_close(&l->uv);
	if (rc)
		uv_walk(&l->uv, name_open_handle, NULL);
	invariant(rc == 0);
	free(l);
}

struct timer {
	uv_timer_t uv;
	timer_fn *fn;
	void *arg;
};

static void on_timer(uv_timer_t *uv)
{
	struct timer *t = uv->data;
	/* libuv runs timers first and then waits all the same: one turn would fire a timer and sleep until the next. */
	if (container_of(uv->loop, struct loop, uv)->single)
		uv_stop(uv->loop);
	t->fn(t->arg);
}

struct timer *timer_new(struct loop *l, timer_fn *fn, void *arg)
{
	loop_assert(l);
	struct timer *t = mem_new(struct timer);
	t->fn = fn;
	t->arg = arg;
	invariant(uv_timer_init(&l->uv, &t->uv) == 0);
	t->uv.data = t;
	return t;
}

void timer_start(struct timer *t, int64_t after_ms)
{
	uv_update_time(t->uv.loop);
	invariant(uv_timer_start(&t->uv, on_timer, after_ms < 0 ? 0 : (uint64_t)after_ms, 0) == 0);
}

void timer_stop(struct timer *t)
{
	(void)uv_timer_stop(&t->uv);
}

/* Every UV_TIMER of the loop is a struct timer: nobody else makes any. */
static void bring_forward(uv_handle_t *h, void *arg)
{
	const int64_t slept = *(const int64_t *)arg;
	if (uv_handle_get_type(h) != UV_TIMER || !uv_is_active(h))
		return;
	uv_timer_t *uv = (uv_timer_t *)h;
	int64_t left = (int64_t)uv_timer_get_due_in(uv) - slept;
	invariant(uv_timer_start(uv, on_timer, left > 0 ? (uint64_t)left : 0, 0) == 0);
}

int64_t loop_catch_up(struct loop *l)
{
	loop_assert(l);
	int64_t now = ahead_ms(l), slept = now - l->ahead_ms;
	if (slept < SLEPT_LEAST_MS && slept > -SLEPT_LEAST_MS)
		return 0; /* rounding, and what passes between two readings; not forgotten: naps add up */
	l->ahead_ms = now;
	if (slept < 0)
		return 0;
	uv_update_time(&l->uv);
	uv_walk(&l->uv, bring_forward, &slept);
	return slept;
}

static void on_timer_closed(uv_handle_t *h)
{
	free(h->data);
}

void timer_free(struct timer *t)
{
	if (!t)
		return;
	(void)uv_timer_stop(&t->uv);
	uv_close((uv_handle_t *)&t->uv, on_timer_closed);
}
