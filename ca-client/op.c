#include "ca-client/op.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/mem.h"
#include "base/table.h"

/* The last thing that happens to op. */
static void finish(struct ca_op *op, struct fault *f, struct ca_answer *a)
{
	struct ops *ops = op->ops;
	ca_issued_fn *issued = op->issued;
	ca_revoked_fn *revoked = op->revoked;
	void *arg = op->arg;
	DL_DELETE(ops->list, op);
	timer_free(op->timer);
	fault_free(op->ended);
	free(op);
	if (issued)
		issued(arg, f, a);
	else
		revoked(arg, f);
	if (!ops->list)
		ops->emptied(ops->arg);
}

static void abandon(struct ca_op *op)
{
	void (*fn)(void *work) = op->abandon;
	void *work = op->work;
	op->abandon = NULL;
	op->work = NULL;
	if (fn)
		fn(work);
}

static struct fault *too_late(void)
{
	return fault_set_retryable(fault_new(FAULT_TIMEOUT, "the authority did not answer in time"), -1);
}

int64_t op_left_ms(const struct ca_op *op)
{
	int64_t left = op->deadline_ms - clock_mono_ms(op->ops->clock);
	return left > 0 ? left : 0;
}

static void on_timer(void *arg)
{
	struct ca_op *op = arg;
	if (!op->ended && op_left_ms(op) > 0) {
		timer_start(op->timer, op_left_ms(op));
		return;
	}
	abandon(op);
	finish(op, op->ended ? TAKE(op->ended) : too_late(), NULL);
}

void op_complete(struct ca_op *op, struct fault *f, struct ca_answer *a)
{
	op->abandon = NULL;
	op->work = NULL;
	struct fault *first = TAKE(op->ended);
	if (!first && op_left_ms(op) == 0)
		first = too_late();
	if (first) {
		fault_free(f);
		ca_answer_free(a);
		finish(op, first, NULL);
	} else {
		finish(op, f, a);
	}
}

void op_end_later(struct ca_op *op, struct fault *why)
{
	if (op->ended) {
		fault_ignore(why, "the first reason stands");
		return;
	}
	op->ended = why;
	timer_start(op->timer, 0);
	abandon(op);
}

void op_cancel(struct ca_op *op)
{
	op_end_later(op, fault_new(FAULT_UNAVAILABLE, "cancelled"));
}

void ops_close(struct ops *ops)
{
	struct ca_op *op;
	DL_FOREACH (ops->list, op)
		op_end_later(op, fault_set_retryable(fault_new(FAULT_UNAVAILABLE, "the authority is closing"), -1));
}

static struct ca_op *op_new(struct ops *ops, int64_t deadline_ms, void *arg)
{
	struct ca_op *op = mem_new(struct ca_op);
	op->ops = ops;
	op->arg = arg;
	op->deadline_ms = deadline_ms;
	op->timer = timer_new(ops->loop, on_timer, op);
	DL_APPEND(ops->list, op);
	timer_start(op->timer, op_left_ms(op));
	return op;
}

struct ca_op *op_new_issue(struct ops *ops, int64_t deadline_ms, ca_issued_fn *done, void *arg)
{
	struct ca_op *op = op_new(ops, deadline_ms, arg);
	op->issued = done;
	return op;
}

struct ca_op *op_new_revoke(struct ops *ops, int64_t deadline_ms, ca_revoked_fn *done, void *arg)
{
	struct ca_op *op = op_new(ops, deadline_ms, arg);
	op->revoked = done;
	return op;
}
