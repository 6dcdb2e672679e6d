/* ca-client/builtin_issue.c - the leaves under way. An op is what the caller sees: it ends with the signed leaf, at its
 * deadline, when it is cancelled or when the authority closes, whichever comes first. A signing is the job behind it:
 * it cannot be stopped, owns what it needs, and finds out on the loop whether anybody still waits. */
#include "base/anchors.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/job.h"
#include "base/io/loop.h"
#include "base/mem.h"
#include "base/table.h"
#include "ca-client/builtin_internal.h"
#include "ca-client/builtin_sign.h"

struct signing {
	struct builtin *owner;
	struct ca_op *op; /* NULL: nobody waits any more */
	struct hierarchy *hierarchy;
	struct leaf_order order;
	struct fault *fault;
	STACK_OF(X509) * chain;
};

struct ca_op {
	struct ca_op *prev, *next; /* builtin.ops */
	struct builtin *owner;
	ca_issued_fn *done;
	void *arg;
	struct signing *signing; /* NULL: none was begun */
	int64_t deadline_ms;	 /* monotonic */
	struct timer *timer;	 /* for the deadline; for the next turn when ended is set */
	struct fault *ended;	 /* why it ends without a leaf */
};

/* The op's end: exactly one of f and a. */
static void complete(struct ca_op *op, struct fault *f, struct ca_answer *a)
{
	DL_DELETE(op->owner->ops, op);
	if (op->signing)
		op->signing->op = NULL;
	timer_free(op->timer);
	ca_issued_fn *done = op->done;
	void *arg = op->arg;
	free(op);
	done(arg, f, a);
}

static void end_on_next_turn(struct ca_op *op, struct fault *why)
{
	if (op->ended) {
		fault_ignore(why, "the first reason stands");
		return;
	}
	op->ended = why;
	timer_start(op->timer, 0);
}

static bool is_late(const struct ca_op *op)
{
	return clock_mono_ms(op->owner->ca.env.clock) >= op->deadline_ms;
}

static struct fault *too_late(void)
{
	return fault_set_retryable(fault_new(FAULT_TIMEOUT, "no leaf was signed in time"), -1);
}

static void on_op_timer(void *arg)
{
	struct ca_op *op = arg;
	struct builtin *b = op->owner;
	if (op->ended)
		complete(op, TAKE(op->ended), NULL);
	else if (is_late(op))
		complete(op, too_late(), NULL);
	else
		timer_start(op->timer, op->deadline_ms - clock_mono_ms(b->ca.env.clock));
	builtin_finish_close(b);
}

static void sign(void *arg)
{
	struct signing *s = arg;
	s->fault = leaf_sign(s->hierarchy, &s->order, &s->chain);
}

static struct ca_answer *answer_of(struct signing *s)
{
	struct ca_answer *a = mem_new(struct ca_answer);
	a->chain = TAKE(s->chain);
	a->anchors = anchors_ref(s->hierarchy->anchors);
	return a;
}

static void on_signed(void *arg)
{
	struct signing *s = arg;
	struct builtin *b = s->owner;
	struct ca_op *op = s->op;
	b->jobs--;
	if (op && op->ended)
		op->signing = NULL; /* it ends on its own turn */
	else if (op && is_late(op))
		complete(op, too_late(), NULL);
	else if (op)
		complete(op, TAKE(s->fault), s->chain ? answer_of(s) : NULL);
	hierarchy_unref(s->hierarchy);
	leaf_order_done(&s->order);
	fault_free(s->fault);
	sk_X509_pop_free(s->chain, X509_free);
	free(s);
	builtin_finish_close(b);
}

static void begin_signing(struct builtin *b, struct ca_op *op, const struct ca_request *r)
{
	struct signing *s = mem_new(struct signing);
	s->owner = b;
	s->op = op;
	op->signing = s;
	s->hierarchy = hierarchy_ref(b->hierarchy);
	leaf_order_init(&s->order, r, clock_wall_ms(b->ca.env.clock));
	b->jobs++;
	jobs_run(b->ca.env.jobs, hierarchy_is_slow(b->hierarchy), sign, on_signed, s);
}

struct ca_op *builtin_issue(struct ca *ca, const struct ca_request *r, ca_issued_fn *done, void *arg)
{
	struct builtin *b = builtin_of(ca);
	struct ca_op *op = mem_new(struct ca_op);
	op->owner = b;
	op->done = done;
	op->arg = arg;
	op->deadline_ms = r->deadline_ms;
	op->timer = timer_new(ca->env.loop, on_op_timer, op);
	DL_APPEND(b->ops, op);
	if (b->closing || !b->hierarchy) {
		struct fault *f =
			fault_new(FAULT_UNAVAILABLE, "the authority is %s", b->closing ? "closing" : "not ready");
		end_on_next_turn(op, fault_set_retryable(f, -1));
		return op;
	}
	int64_t left = op->deadline_ms - clock_mono_ms(ca->env.clock);
	timer_start(op->timer, left);
	if (left > 0)
		begin_signing(b, op, r);
	return op;
}

void builtin_cancel(struct ca_op *op)
{
	end_on_next_turn(op, fault_new(FAULT_UNAVAILABLE, "cancelled"));
}

void builtin_end_issues(struct builtin *b)
{
	struct ca_op *op;
	DL_FOREACH (b->ops, op)
		end_on_next_turn(op, fault_new(FAULT_UNAVAILABLE, "the authority is closing"));
}
