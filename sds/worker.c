/* sds/worker.c - one thread with its gRPC server and queue: sleeps in the queue, takes completions and messages, fires
 * timers, pumps what was marked, reports. */
#include <grpc/grpc.h>
#include <string.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "sds/internal.h"

enum { CALLS_ARMED = 64 };
/* gRPC waits by a clock that stands still while the machine is suspended, our timers do not: soon after it they are
 * looked at. */
#define SLEEP_MOST_MS (INT64_C(5) * MS_PER_S)
#define WORKER_STACK_BYTES ((size_t)1024 * 1024)

static int64_t wait_ms(const struct worker *w, bool more)
{
	int64_t at = timers_next_ms(&w->timers), due = outbox_due_ms(w);
	int64_t now = clock_mono_ms(w->server->o.clock);
	if (more)
		return 0;
	if (due < at)
		at = due;
	if (at == INT64_MAX)
		return -1;
	return at <= now ? 0 : at - now < SLEEP_MOST_MS ? at - now : SLEEP_MOST_MS;
}

static void *run(void *arg)
{
	struct worker *w = arg;
	bool more = false;
	char name[16];
	(void)snprintf(name, sizeof name, "worker-%u", w->number % 1000);
	(void)pthread_setname_np(pthread_self(), name);
	call_arm(w, CALLS_ARMED);
	pulse_begin(w->pulse);
	for (;;) {
		struct rpc_op *op = NULL;
		bool ok = false;
		enum rpc_event e = rpc_queue_next(w->queue, wait_ms(w, more), &op, &ok);
		w->now_ms = clock_mono_ms(w->server->o.clock);
		pulse_turn(w->pulse);
		if (e == RPC_EVENT_SHUTDOWN)
			return NULL;
		if (e == RPC_EVENT_OP)
			op->done(op, ok);
		else if (e == RPC_EVENT_BELL)
			messages_read(w);
		timers_run(&w->timers, w->now_ms);
		more = calls_pump(w);
		outbox_flush(w);
		owners_tell(w);
		drain_finish(w);
	}
}

void worker_init(struct worker *w, struct sds_server *s, unsigned number)
{
	w->server = s;
	w->number = number;
	w->pulse = &s->pulses[number];
	w->queue = rpc_queue_new();
	w->mailbox = mailbox_new(rpc_queue_ring, w->queue);
	w->policy = policy_ref(s->o.policy);
	drain_init(w);
	give_back_init(w);
	w->serving = true;
	w->now_ms = clock_mono_ms(s->o.clock);
	timers_init(&w->timers);
	const struct rpc_server_options o = {.streams_per_connection = s->o.limits.streams_per_connection,
		.message_bytes = (int)(2 * s->o.limits.message_bytes),
		.memory = s->memory,
		.age_ms = s->o.limits.connection_age_ms,
		.cut_off_ms = age_cut_off_ms(&s->o.limits),
		.idle_ms = s->o.limits.connection_idle_ms};
	w->grpc = rpc_server_new(&o, w->queue);
}

struct fault *worker_start(struct worker *w)
{
	pthread_attr_t attr;
	grpc_server_start(w->grpc);
	invariant(pthread_attr_init(&attr) == 0);
	invariant(pthread_attr_setstacksize(&attr, WORKER_STACK_BYTES) == 0);
	int err = pthread_create(&w->thread, &attr, run, w);
	(void)pthread_attr_destroy(&attr);
	w->thread_started = err == 0;
	return err ? fault_errno(err, "worker thread %u", w->number) : NULL;
}

static void discard_queue(struct worker *w)
{
	struct rpc_op *op;
	bool ok;
	grpc_server_shutdown_and_notify(w->grpc, rpc_queue_raw(w->queue), &w->on_shutdown);
	mailbox_close(w->mailbox);
	rpc_queue_shutdown(w->queue);
	while (rpc_queue_next(w->queue, -1, &op, &ok) != RPC_EVENT_SHUTDOWN)
		;
}

void worker_done(struct worker *w)
{
	if (w->thread_started)
		(void)pthread_join(w->thread, NULL);
	else
		discard_queue(w);
	invariant(!w->calls);
	slots_free(w);
	owners_free(w);
	quarantines_free(w);
	timers_done(&w->timers);
	policy_unref(w->policy);
	grpc_server_destroy(w->grpc);
	mailbox_free(w->mailbox);
	rpc_queue_free(w->queue);
}
