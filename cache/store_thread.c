/* cache/store_thread.c - struct store: the control loop's side, and the thread that owns the connection once the first
 * transaction was handed over. A transaction travels as its own message: to the thread's mailbox, and back to the
 * loop's. */
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/io/thread.h"
#include "base/io/wakeup.h"
#include "base/log.h"
#include "base/mem.h"
#include "cache/entry.h"
#include "cache/store_audit.h"
#include "cache/store_blobs.h"
#include "cache/store_db.h"
#include "cache/store_keys.h"
#include "cache/store_reseal.h"
#include "cache/store_task.h"
#include "cache/store_tx.h"

/* Transactions in one commit, and commits between two looks at the log when there is no pause. */
enum { BATCH_MAX = 256, SCRUB_EVERY = 64 };

struct store {
	struct loop *loop;
	const struct clock *clock;
	struct thread *thread;
	struct wakeup *wakeup;
	struct mailbox *finished; /* to the loop */
	unsigned pending;
	unsigned tasks; /* that have not ended */
	bool touched;	/* something was committed: the connection is the thread's */
	bool closing;
	struct store_blobs *blobs;
	struct store_usage usage;
	struct mail close_mail;
	struct mail stop_mail;
	bool stopping;
	void (*closed)(void *arg);
	void *closed_arg;
	struct store_db *db; /* the thread's, once touched */
	unsigned unscrubbed; /* the thread's, as all below */
	struct store_task *running;
	struct mail tick; /* to itself: there is a step to do */
	bool ticking;
};

/* --- on the thread --- */

/* A question to the database, asked and answered by the same message. */
struct read {
	struct mail mail;
	void (*run)(struct store_db *db, struct read *r); /* on the thread */
	void (*tell)(struct read *r);			  /* on the loop */
	struct fault *fault;				  /* the answer, or that */
	/* a page of the audit trail */
	int64_t after;
	size_t limit;
	struct store_audit_page page;
	void (*page_done)(void *arg, struct fault *f, const struct store_audit_page *page);
	/* a version */
	struct entry_key *entry;
	char *id;
	struct version *version;
	void (*version_done)(void *arg, struct fault *f, struct version *v);
	void *arg;
};

static void answer(struct store *s, struct read *r)
{
	r->run(s->db, r);
	invariant(mailbox_post(s->finished, &r->mail));
}

static void write_batch(struct store *s, struct mail *batch)
{
	struct store_usage usage = {0};
	store_db_apply(s->db, batch);
	fault_ignore(store_db_usage(s->db, &usage), "figures alone: the next batch brings them");
	while (batch) {
		struct store_tx *tx = container_of(batch, struct store_tx, mail);
		batch = batch->next;
		tx->usage = usage;
		invariant(mailbox_post(s->finished, &tx->mail));
	}
	/* After the answers, and when there is time: it takes two more syncs. */
	if (thread_backlog(s->thread) == 0 || ++s->unscrubbed >= SCRUB_EVERY) {
		s->unscrubbed = 0;
		store_db_scrub(s->db);
	}
}

/* --- tasks: one step of each, then whatever was handed over meanwhile --- */

static void step_tasks(struct store *s, bool stopping)
{
	struct store_task **at = &s->running;
	while (*at) {
		struct store_task *t = *at;
		if (!t->step(t, s->db, stopping)) {
			invariant(!stopping);
			at = &t->next;
			continue;
		}
		*at = t->next;
		invariant(mailbox_post(s->finished, &t->mail));
	}
	if (!s->running || s->ticking)
		return;
	s->ticking = true;
	invariant(thread_post(s->thread, &s->tick));
}

static void begin_task(struct store *s, struct store_task *t)
{
	struct store_task **end = &s->running;
	while (*end)
		end = &(*end)->next;
	t->next = NULL;
	*end = t;
}

/* Takes the transactions at the head of *batch; NULL: another kind of message stands there. */
static struct mail *take_transactions(struct mail **batch)
{
	struct mail *first = *batch, **m = batch;
	if (first->type != STORE_MAIL_TX)
		return NULL;
	while (*m && (*m)->type == STORE_MAIL_TX)
		m = &(*m)->next;
	struct mail *rest = *m;
	*m = NULL;
	first = *batch;
	*batch = rest;
	return first;
}

static void end_thread(struct store *s)
{
	step_tasks(s, true);
	store_db_close(s->db);
	s->db = NULL;
	invariant(mailbox_post(s->finished, &s->close_mail));
}

static bool on_batch(void *arg, struct mail *batch)
{
	struct store *s = arg;
	while (batch) {
		struct mail *transactions = take_transactions(&batch);
		if (transactions) {
			write_batch(s, transactions);
			continue;
		}
		struct mail *m = batch;
		batch = m->next;
		if (m->type == STORE_MAIL_READ)
			answer(s, container_of(m, struct read, mail));
		else if (m->type == STORE_MAIL_TASK)
			begin_task(s, container_of(m, struct store_task, mail));
		else if (m->type == STORE_MAIL_TICK)
			s->ticking = false;
		else if (m->type == STORE_MAIL_STOP)
			step_tasks(s, true);
		else { /* nothing but a tick can follow */
			end_thread(s);
			return false;
		}
	}
	step_tasks(s, false);
	return true;
}

/* --- on the loop --- */

static void keep_blobs(struct store *s, struct store_tx *tx)
{
	for (size_t i = 0; i < tx->count; i++)
		if (tx->ops[i].type == STORE_PUT_BLOB)
			store_blobs_put(s->blobs, tx->ops[i].text, TAKE(tx->ops[i].bytes));
}

static void finish(struct store *s, struct store_tx *tx)
{
	struct fault *f = TAKE(tx->fault);
	s->pending--;
	if (!f) {
		s->usage = tx->usage;
		keep_blobs(s, tx);
	}
	if (tx->done) {
		tx->done(tx->arg, f);
	} else if (f) {
		log_event(LOG_ERROR, "store.not_written", LF(f));
		fault_free(f);
	}
	store_tx_free(tx);
}

static void free_read(struct mail *m)
{
	struct read *r = container_of(m, struct read, mail);
	store_audit_page_done(&r->page);
	version_unref(r->version);
	entry_key_unref(r->entry);
	free(r->id);
	fault_free(r->fault);
	free(r);
}

static void finish_read(struct store *s, struct read *r)
{
	s->pending--;
	r->tell(r);
	free_read(&r->mail);
}

static void finish_task(struct store *s, struct store_task *t)
{
	s->tasks--;
	t->ended(t);
}

static void finish_close(struct store *s)
{
	void (*closed)(void *arg) = s->closed;
	void *arg = s->closed_arg;
	thread_join(s->thread);
	mailbox_free(s->finished);
	wakeup_free(s->wakeup);
	store_blobs_free(s->blobs);
	free(s);
	closed(arg);
}

static void on_finished(void *arg)
{
	struct store *s = arg;
	struct mail *m = mailbox_drain(s->finished, 0);
	while (m) {
		struct mail *next = m->next;
		if (m->type == STORE_MAIL_CLOSE) {
			finish_close(s); /* always the last */
			return;
		}
		if (m->type == STORE_MAIL_READ)
			finish_read(s, container_of(m, struct read, mail));
		else if (m->type == STORE_MAIL_TASK)
			finish_task(s, container_of(m, struct store_task, mail));
		else
			finish(s, container_of(m, struct store_tx, mail));
		m = next;
	}
}

static void keep_mail(struct mail *m)
{
	(void)m; /* part of struct store */
}

struct fault *store_open(const struct store_options *o, struct loop *loop, const struct clock *clock,
	bool *ret_first_start, struct store **ret)
{
	AUTO(store_db_closep) struct store_db *db = NULL;
	loop_assert(loop);
	TRY(store_db_open(o, clock, &db));
	struct store *s = mem_new(struct store);
	s->loop = loop;
	s->clock = clock;
	s->close_mail = (struct mail){.free = keep_mail, .type = STORE_MAIL_CLOSE};
	s->stop_mail = (struct mail){.free = keep_mail, .type = STORE_MAIL_STOP};
	s->tick = (struct mail){.free = keep_mail, .type = STORE_MAIL_TICK};
	s->blobs = store_blobs_new();
	struct fault *f = store_db_load_blobs(db, s->blobs);
	if (!f)
		f = store_db_usage(db, &s->usage);
	if (!f)
		f = thread_start("store", BATCH_MAX, on_batch, s, &s->thread);
	if (f) {
		store_blobs_free(s->blobs);
		free(s);
		return f;
	}
	s->wakeup = wakeup_new(loop, on_finished, s);
	s->finished = mailbox_new(wakeup_ring, s->wakeup);
	*ret_first_start = !db->is_complete;
	s->db = TAKE(db); /* seen by the thread with the first message */
	*ret = s;
	return NULL;
}

struct fault *store_load(struct store *s, const struct store_visitor *visitor)
{
	loop_assert(s->loop);
	invariant(!s->touched);
	return store_db_load(s->db, visitor);
}

struct fault *store_load_blob(struct store *s, const char *name, struct secret **ret)
{
	loop_assert(s->loop);
	return store_blobs_get(s->blobs, name, ret);
}

void store_commit(struct store *s, struct store_tx *tx, void (*done)(void *arg, struct fault *f), void *arg)
{
	loop_assert(s->loop);
	invariant(!s->closing);
	tx->done = done;
	tx->arg = arg;
	tx->put_at_ms = clock_wall_ms(s->clock);
	s->touched = true;
	s->pending++;
	invariant(thread_post(s->thread, &tx->mail));
}

static struct read *new_read(
	struct store *s, void (*run)(struct store_db *db, struct read *r), void (*tell)(struct read *r))
{
	loop_assert(s->loop);
	invariant(!s->closing);
	struct read *r = mem_new(struct read);
	r->mail = (struct mail){.free = free_read, .type = STORE_MAIL_READ};
	r->run = run;
	r->tell = tell;
	return r;
}

static void post_read(struct store *s, struct read *r)
{
	s->touched = true;
	s->pending++;
	invariant(thread_post(s->thread, &r->mail));
}

static void run_page(struct store_db *db, struct read *r)
{
	r->fault = store_audit_page(db, r->after, r->limit, &r->page);
}

static void tell_page(struct read *r)
{
	struct fault *f = TAKE(r->fault);
	r->page_done(r->arg, f, f ? NULL : &r->page);
}

void store_audit_read(struct store *s, int64_t after, size_t limit,
	void (*done)(void *arg, struct fault *f, const struct store_audit_page *page), void *arg)
{
	invariant(limit <= STORE_AUDIT_PAGE_MAX);
	struct read *r = new_read(s, run_page, tell_page);
	r->after = after;
	r->limit = limit;
	r->page_done = done;
	r->arg = arg;
	post_read(s, r);
}

static void run_version(struct store_db *db, struct read *r)
{
	r->fault = store_db_read_version(db, r->entry, r->id, &r->version);
}

static void tell_version(struct read *r)
{
	r->version_done(r->arg, TAKE(r->fault), r->version);
}

void store_read_version(struct store *s, struct entry_key *entry, const char *id,
	void (*done)(void *arg, struct fault *f, struct version *v), void *arg)
{
	struct read *r = new_read(s, run_version, tell_version);
	r->entry = entry_key_ref(entry);
	r->id = mem_strdup(id);
	r->version_done = done;
	r->arg = arg;
	post_read(s, r);
}

static void free_task(struct mail *m)
{
	(void)m; /* the thread outlives every task */
}

void store_run(struct store *s, struct store_task *t)
{
	loop_assert(s->loop);
	invariant(!s->closing);
	t->mail = (struct mail){.free = free_task, .type = STORE_MAIL_TASK};
	s->touched = true;
	s->tasks++;
	invariant(thread_post(s->thread, &t->mail));
}

struct fault *store_task_stopped(void)
{
	return fault_new(FAULT_UNAVAILABLE, "leafcast is stopping");
}

void store_begin_upkeep(struct store *s)
{
	loop_assert(s->loop);
	if (!s->touched && store_needs_reseal(s->db))
		store_run(s, store_reseal_new(false, NULL, NULL, NULL));
}

void store_stop_tasks(struct store *s)
{
	loop_assert(s->loop);
	if (s->stopping || s->closing)
		return;
	s->stopping = true;
	s->touched = true;
	invariant(thread_post(s->thread, &s->stop_mail));
}

unsigned store_pending(const struct store *s)
{
	return s->pending + s->tasks;
}

struct store_usage store_usage(const struct store *s)
{
	return s->usage;
}

void store_close(struct store *s, void (*closed)(void *arg), void *arg)
{
	loop_assert(s->loop);
	invariant(!s->closing);
	s->closing = true;
	s->touched = true;
	s->closed = closed;
	s->closed_arg = arg;
	invariant(thread_post(s->thread, &s->close_mail));
}
