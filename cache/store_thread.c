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
#include "cache/store_audit.h"
#include "cache/store_blobs.h"
#include "cache/store_db.h"
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
	bool touched; /* something was committed: the connection is the thread's */
	bool closing;
	struct store_blobs *blobs;
	struct store_usage usage;
	struct mail close_mail;
	void (*closed)(void *arg);
	void *closed_arg;
	struct store_db *db; /* the thread's, once touched */
	unsigned unscrubbed; /* the thread's */
};

/* --- on the thread --- */

/* Cuts the list after the last transaction; true: what follows is the end. */
static bool split_close(struct mail **batch)
{
	for (struct mail **m = batch; *m; m = &(*m)->next)
		if ((*m)->type == STORE_MAIL_CLOSE) {
			*m = NULL; /* nothing is handed over after it */
			return true;
		}
	return false;
}

/* One page of the audit trail, asked for and answered by the same message. */
struct audit_read {
	struct mail mail;
	int64_t after;
	size_t limit;
	struct store_audit_page page;
	struct fault *fault;
	void (*done)(void *arg, struct fault *f, const struct store_audit_page *page);
	void *arg;
};

/* Cuts the reads out of a batch, in order. */
static struct mail *take_reads(struct mail **batch)
{
	struct mail *reads = NULL, **end = &reads;
	for (struct mail **m = batch; *m;) {
		if ((*m)->type != STORE_MAIL_AUDIT) {
			m = &(*m)->next;
			continue;
		}
		*end = *m;
		*m = (*m)->next;
		end = &(*end)->next;
		*end = NULL;
	}
	return reads;
}

static void answer_reads(struct store *s, struct mail *reads)
{
	while (reads) {
		struct audit_read *r = container_of(reads, struct audit_read, mail);
		reads = reads->next;
		r->fault = store_audit_page(s->db, r->after, r->limit, &r->page);
		invariant(mailbox_post(s->finished, &r->mail));
	}
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

static bool on_batch(void *arg, struct mail *batch)
{
	struct store *s = arg;
	bool ends = split_close(&batch);
	struct mail *reads = take_reads(&batch);
	if (batch)
		write_batch(s, batch);
	answer_reads(s, reads);
	if (!ends)
		return true;
	store_db_close(s->db);
	s->db = NULL;
	invariant(mailbox_post(s->finished, &s->close_mail));
	return false;
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
	struct audit_read *r = container_of(m, struct audit_read, mail);
	store_audit_page_done(&r->page);
	fault_free(r->fault);
	free(r);
}

static void finish_read(struct store *s, struct audit_read *r)
{
	struct fault *f = TAKE(r->fault);
	s->pending--;
	r->done(r->arg, f, f ? NULL : &r->page);
	free_read(&r->mail);
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
		if (m->type == STORE_MAIL_AUDIT)
			finish_read(s, container_of(m, struct audit_read, mail));
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

void store_audit_read(struct store *s, int64_t after, size_t limit,
	void (*done)(void *arg, struct fault *f, const struct store_audit_page *page), void *arg)
{
	loop_assert(s->loop);
	invariant(!s->closing && limit <= STORE_AUDIT_PAGE_MAX);
	struct audit_read *r = mem_new(struct audit_read);
	r->mail = (struct mail){.free = free_read, .type = STORE_MAIL_AUDIT};
	r->after = after;
	r->limit = limit;
	r->done = done;
	r->arg = arg;
	s->touched = true;
	s->pending++;
	invariant(thread_post(s->thread, &r->mail));
}

unsigned store_pending(const struct store *s)
{
	return s->pending;
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
