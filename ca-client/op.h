/* ca-client/op.h - what the caller of an issue or a revocation holds, for drivers that ask somebody else: its one
 * completion, never from within a call, at the latest at its deadline. The work behind it belongs to the driver, which
 * is told when nobody waits for it any more. Thread: control. */
#ifndef CA_CLIENT_OP_H
#define CA_CLIENT_OP_H
#include <stdbool.h>
#include <stdint.h>
#include "ca-client/ca.h"
struct timer;

/** Part of a driver. */
struct ops {
	struct loop *loop;
	const struct clock *clock;
	struct ca_op *list; /* DL */
	/** The last one of the list is gone: a closing driver may end. May free the driver. */
	void (*emptied)(void *arg);
	void *arg;
};

struct ca_op {
	struct ca_op *prev, *next; /* ops.list */
	struct ops *ops;
	ca_issued_fn *issued; /* one of these two */
	ca_revoked_fn *revoked;
	void *arg;
	int64_t deadline_ms; /* monotonic */
	struct timer *timer; /* for the deadline; for the next turn when ended is set */
	struct fault *ended; /* why it ends without an answer */
	/** Set by the driver, with the work behind it: nobody waits any more, op is about to go. */
	void (*abandon)(void *work);
	void *work;
};

struct ca_op *op_new_issue(struct ops *ops, int64_t deadline_ms, ca_issued_fn *done, void *arg);
struct ca_op *op_new_revoke(struct ops *ops, int64_t deadline_ms, ca_revoked_fn *done, void *arg);
/** How long it may still take, in ms; 0: nothing more. */
int64_t op_left_ms(const struct ca_op *op);
/** The end, now, from a callback of the loop; the driver has let go of op before. f and a are taken over: one of the
 * two for an issue; for a revocation a is NULL, and so is f where it went well. An op that is late, cancelled or closed
 * ends as that. */
void op_complete(struct ca_op *op, struct fault *f, struct ca_answer *a);
/** The end on the next turn; why is taken over, the first reason stands. The work is told to end at once. */
void op_end_later(struct ca_op *op, struct fault *why);
void op_cancel(struct ca_op *op);
/** All of them, as closing. */
void ops_close(struct ops *ops);
#endif
