/* sds/worker.c - one thread with its gRPC server and queue: sleeps in the queue, takes completions and messages, fires
 * timers, pumps what was marked, reports. Drain is a state of it (design: invariant 10). */
#include <grpc/grpc.h>
#include <malloc.h>
#include <string.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/identity.h"
#include "sds/internal.h"

enum { CALLS_ARMED = 64, MAILS_PER_TURN = 512, DEPARTED_TRIM = 1000 };
#define WORKER_STACK_BYTES ((size_t)1024 * 1024)
#define TRIM_QUIET_MS INT64_C(1000)

/* --- messages --- */

static void free_message(struct mail *mail)
{
	struct message *m = container_of(mail, struct message, mail);
	free(m->key);
	entry_key_unref(m->entry);
	version_unref(m->version);
	identity_unref(m->identity);
	policy_unref(m->policy);
	free(m->name);
	free(m);
}

struct message *message_new(enum worker_mail type, uint64_t seq)
{
	struct message *m = mem_new(struct message);
	m->mail.type = (int)type;
	m->mail.free = free_message;
	m->seq = seq;
	return m;
}

void message_set_key(struct message *m, const void *bytes, size_t len)
{
	m->key = mem_dup(bytes, len);
	m->mail.key = m->key;
	m->mail.key_len = len;
}

static void take_absent(struct worker *w, struct message *m)
{
	struct slot *s =
		m->reason == ABSENT_DENIED ? slot_for_denial(w, m->identity, m->name) : slot_for_entry(w, m->entry);
	if (m->reason != ABSENT_PENDING)
		(void)slot_set_absent(w, s, m->seq);
}

static void take_policy(struct worker *w, struct message *m)
{
	policy_unref(w->policy);
	w->policy = TAKE(m->policy);
	slots_forget_denials(w);
	struct call *c;
	DL_FOREACH (w->calls, c)
		if (c->method && c->method->kind == METHOD_STREAM && c->user)
			stream_policy_changed(c);
		else if (c->method && c->method->kind == METHOD_FETCH && c->user)
			call_mark(c);
}

static void end_call_at(struct worker *w, struct call *c, int64_t at_ms)
{
	timers_set(&w->timers, &c->timer, at_ms);
}

static void begin_drain(struct worker *w, int64_t grace_ms)
{
	if (w->state != WORKER_SERVING)
		return;
	w->state = WORKER_DRAINING;
	w->serving = false;
	health_changed(w);
	grpc_server_shutdown_and_notify(w->grpc, rpc_queue_raw(w->queue), &w->on_shutdown);
	size_t count = 0, n = 0;
	struct call *c;
	DL_COUNT(w->calls, c, count);
	/* Streams end one after the other over four fifths of the grace, so that a fleet comes back spread; the rest is
	 * for what is on its way. */
	DL_FOREACH (w->calls, c)
		end_call_at(w, c, w->now_ms + grace_ms * 4 / 5 * (int64_t)n++ / (int64_t)count);
	timers_set(&w->timers, &w->drain_timer, w->now_ms + grace_ms);
}

static void on_drain_timer(struct timers_entry *t)
{
	struct worker *w = container_of(t, struct worker, drain_timer);
	w->state = WORKER_CANCELLED;
	grpc_server_cancel_all_calls(w->grpc);
}

/* Every call has ended and the server is shut down: the last batch, and nobody rings any more (design: invariant 7). */
static void on_shutdown(struct rpc_op *op, bool ok)
{
	struct worker *w = container_of(op, struct worker, on_shutdown);
	(void)ok;
	w->state = WORKER_STOPPED;
}

static void finish_when_stopped(struct worker *w)
{
	if (w->state != WORKER_STOPPED || w->calls || w->armed || !w->mailbox)
		return;
	timers_clear(&w->timers, &w->drain_timer);
	mailbox_close(w->mailbox);
	outbox_forget(w);
	rpc_queue_shutdown(w->queue);
	server_worker_stopped(w->server);
	w->mailbox_closed = true;
}

static void take(struct worker *w, struct message *m)
{
	switch ((enum worker_mail)m->mail.type) {
	case MAIL_PUBLISH:
		(void)slot_publish(w, slot_for_entry(w, m->entry), TAKE(m->version), m->seq);
		break;
	case MAIL_ABSENT:
		take_absent(w, m);
		break;
	case MAIL_POLICY:
		take_policy(w, m);
		break;
	case MAIL_QUARANTINE:
		quarantine_set(w, m->identity, m->name, m->entry, m->version_id, m->on);
		break;
	case MAIL_TAKEN:
		w->batch_under_way = false;
		break;
	case MAIL_HEALTH:
		w->serving = m->on && w->state == WORKER_SERVING;
		health_changed(w);
		break;
	case MAIL_DRAIN:
		begin_drain(w, m->grace_ms);
		break;
	}
	if (m->seq > w->applied_seq)
		w->applied_seq = m->seq;
}

static void read_mailbox(struct worker *w)
{
	struct mail *list = mailbox_drain(w->mailbox, MAILS_PER_TURN), *next;
	for (; list; list = next) {
		next = list->next;
		take(w, container_of(list, struct message, mail));
		list->free(list);
	}
}

/* --- the loop --- */

/* After a mass departure the allocator keeps everything: give it back once it is quiet. */
static void give_back_memory(struct worker *w)
{
	if (w->departed < DEPARTED_TRIM)
		return;
	w->departed = 0;
	(void)malloc_trim(0);
}

static int64_t wait_ms(const struct worker *w)
{
	int64_t next = timers_next_ms(&w->timers);
	int64_t now = clock_mono_ms(w->server->o.clock);
	if (next == INT64_MAX)
		return w->departed >= DEPARTED_TRIM ? TRIM_QUIET_MS : -1;
	return next > now ? next - now : 0;
}

static void *run(void *arg)
{
	struct worker *w = arg;
	call_arm(w, CALLS_ARMED);
	for (;;) {
		struct rpc_op *op = NULL;
		bool ok = false;
		enum rpc_event e = rpc_queue_next(w->queue, wait_ms(w), &op, &ok);
		w->now_ms = clock_mono_ms(w->server->o.clock);
		if (e == RPC_EVENT_SHUTDOWN)
			return NULL;
		if (e == RPC_EVENT_OP)
			op->done(op, ok);
		else if (e == RPC_EVENT_BELL && !w->mailbox_closed)
			read_mailbox(w);
		else if (e == RPC_EVENT_TIMEOUT)
			give_back_memory(w);
		timers_run(&w->timers, w->now_ms);
		calls_pump(w);
		if (!w->mailbox_closed) {
			outbox_flush(w);
			finish_when_stopped(w);
		}
	}
}

void worker_init(struct worker *w, struct sds_server *s, unsigned number)
{
	w->server = s;
	w->number = number;
	w->queue = rpc_queue_new();
	w->mailbox = mailbox_new(rpc_queue_ring, w->queue);
	w->policy = policy_ref(s->o.policy);
	w->on_shutdown.done = on_shutdown;
	w->drain_timer.fire = on_drain_timer;
	w->serving = true;
	w->now_ms = clock_mono_ms(s->o.clock);
	timers_init(&w->timers);
	const struct rpc_server_options o = {.streams_per_connection = s->o.limits.streams_per_connection,
		.message_bytes = (int)s->o.limits.message_bytes};
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
	quarantines_free(w);
	timers_done(&w->timers);
	policy_unref(w->policy);
	grpc_server_destroy(w->grpc);
	mailbox_free(w->mailbox);
	rpc_queue_free(w->queue);
}
