/* sds/drain.c - a worker's way out (design: invariant 10): health says so, GOAWAY, calls end one after the other over
 * the grace, what is left is cancelled; when nothing is left the mailbox closes, and only then the queue. */
#include <grpc/grpc.h>
#include "base/mem.h"
#include "sds/internal.h"

static void on_drain_timer(struct timers_entry *t)
{
	struct worker *w = container_of(t, struct worker, drain_timer);
	grpc_server_cancel_all_calls(w->grpc);
}

static void on_shutdown(struct rpc_op *op, bool ok)
{
	struct worker *w = container_of(op, struct worker, on_shutdown);
	(void)ok;
	w->state = WORKER_SHUT_DOWN;
}

void drain_init(struct worker *w)
{
	w->on_shutdown.done = on_shutdown;
	w->drain_timer.fire = on_drain_timer;
}

/* Calls end over four fifths of the grace, so that a fleet comes back spread; who is owed an answer waits to the end of
 * that; the rest of the grace is for what is on its way. */
static void schedule_ends(struct worker *w, int64_t grace_ms)
{
	int64_t count = 0, n = 0;
	struct call *c;
	w->drain_end_ms = w->now_ms + grace_ms / 5 * 4;
	DL_COUNT(w->calls, c, count);
	DL_FOREACH (w->calls, c) {
		n++;
		if (!c->ending && !c->closed)
			timers_set(&w->timers, &c->timer, w->now_ms + (w->drain_end_ms - w->now_ms) * n / count);
	}
	timers_set(&w->timers, &w->drain_timer, w->now_ms + grace_ms);
}

void drain_begin(struct worker *w, int64_t grace_ms)
{
	if (w->state != WORKER_SERVING)
		return;
	w->state = WORKER_DRAINING;
	w->serving = false;
	health_changed(w);
	rpc_server_shutdown(w->grpc, w->queue, &w->on_shutdown);
	schedule_ends(w, grace_ms);
}

/* A ring after the queue's shutdown would abort the process: nobody rings once the mailbox is closed (invariant 7). */
void drain_finish(struct worker *w)
{
	if (w->state != WORKER_SHUT_DOWN || w->calls || w->armed)
		return;
	w->state = WORKER_STOPPED;
	timers_clear(&w->timers, &w->drain_timer);
	mailbox_close(w->mailbox);
	outbox_end(w);
	rpc_queue_shutdown(w->queue);
	server_worker_stopped(w->server);
}
