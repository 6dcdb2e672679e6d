/* control/audit_file.c - a copy of the audit trail as lines of JSON, for whoever collects them. The store is the truth:
 * a record is copied once it is committed, in order, and what could not be written is written later. Where the copy
 * goes on is read from its last line, so a crash loses nothing; where the file was renamed away (logrotate) a new one
 * begins behind it. Whatever is written to the file is done in jobs. */
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/audit_chain.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/job.h"
#include "base/io/json_text.h"
#include "base/io/line_file.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "control/internal.h"

/* What is recorded within GATHER_MS goes in one write. */
#define GATHER_MS INT64_C(100)
#define RETRY_MS (INT64_C(5) * MS_PER_S)
#define FACT "audit-file/written"
#define LINE_BEGIN "{\"at_ms\":"
enum { PAGE = 500, CLOSING_PAGES = 100 };

struct audit_file {
	struct control *control;
	char *path;	  /* NULL: there is no copy */
	bool is_known;	  /* written is what the file ends with, or what stands before it where it is empty */
	int64_t written;  /* the newest that stands in the file, or in the ones before it */
	int64_t kept;	  /* the same as the store knows it: for a start on an empty file */
	int64_t newest;	  /* in the store, when we looked last */
	bool due;	  /* something was recorded since we looked */
	bool busy, armed; /* a step is under way; or waits */
	bool failing, closing;
	unsigned closing_pages;
	struct timer *timer;
};

/* One visit to the file, in a job. */
struct visit {
	struct audit_file *owner;
	char *path;
	bool only_looks;
	struct buf lines;	/* to be appended */
	int64_t expected, next; /* the file ends with the one or is empty; then with the other */
	/* the answer */
	struct fault *fault;
	bool is_other; /* it ends with another record than was expected: nothing was written */
	int64_t last;  /* what it ended with; 0: it was empty */
	struct audit_hash hash;
};

static void step(struct audit_file *a);

static void arm(struct audit_file *a, int64_t after_ms)
{
	if (a->busy || a->armed || a->closing || !a->path)
		return;
	a->armed = true;
	timer_start(a->timer, after_ms);
}

static void on_timer(void *arg)
{
	struct audit_file *a = arg;
	a->armed = false;
	step(a);
}

void audit_file_due(struct control *c)
{
	c->audit_file->due = true;
	if (!c->audit_file->failing)
		arm(c->audit_file, GATHER_MS);
}

/* --- ends of a step --- */

static void fail(struct audit_file *a, struct fault *f)
{
	a->busy = false;
	if (!a->failing)
		log_event(LOG_ERROR, "audit.file_unwritable", LS("file", a->path),
			LI("behind", a->newest > a->written && a->is_known ? a->newest - a->written : 0),
			LS("effect", "the store holds the trail, and the file gets the rest when it can be written"),
			LF(f));
	fault_free(f);
	a->failing = a->due = true;
	arm(a, RETRY_MS);
}

static void end_well(struct audit_file *a)
{
	a->busy = false;
	if (a->failing)
		log_event(LOG_INFO, "audit.file_written_again", LS("file", a->path), LI("seq", a->written));
	a->failing = false;
	if (a->due)
		arm(a, GATHER_MS);
}

static void on_kept(void *arg, struct fault *f)
{
	(void)arg;
	fault_ignore(f, "a start on an empty file may write again what stands in the one before it");
}

/* For a start that finds the file empty: what stands in the one that was renamed away. */
static void keep(struct audit_file *a)
{
	if (a->kept == a->written)
		return;
	a->kept = a->written;
	struct store_tx *tx = store_tx_new();
	store_tx_put_fact(tx, FACT, a->kept);
	store_commit(a->control->o.store, tx, on_kept, NULL);
}

void audit_file_load(struct control *c, const char *fact, int64_t value)
{
	if (strcmp(fact, FACT) == 0)
		c->audit_file->kept = value;
}

/* --- in a job --- */

/* Our own lines end alike: ,"hash":"64 hex digits","seq":N} */
static bool read_last(const char *line, int64_t *ret_seq, struct audit_hash *ret_hash)
{
	static const char mark[] = ",\"hash\":\"";
	const char *at = NULL;
	char hex[AUDIT_HASH_HEX] = "";
	int len = 0;
	for (const char *next = line; (next = strstr(next, mark)); next++)
		at = next;
	return at && sscanf(at + strlen(mark), "%64[0-9a-f]\",\"seq\":%" SCNd64 "}%n", hex, ret_seq, &len) == 2 &&
	       len && !at[strlen(mark) + (size_t)len] && *ret_seq > 0 && audit_hash_parse(hex, ret_hash);
}

static void visit_in_job(void *arg)
{
	struct visit *v = arg;
	struct buf last = BUF_INIT;
	int fd = -1;
	v->fault = line_file_open(v->path, LINE_BEGIN, &fd, &last);
	if (v->fault) {
		buf_free(&last);
		return;
	}
	if (last.len && !read_last(buf_text(&last), &v->last, &v->hash))
		v->fault = fault_new(
			FAULT_INVALID, "%s ends with what is no record of a trail; it is left alone", v->path);
	v->is_other = v->last && v->last != v->expected;
	if (!v->fault && !v->only_looks && !v->is_other)
		v->fault = line_file_append(fd, v->path, v->lines.data, v->lines.len);
	(void)close(fd);
	buf_free(&last);
}

static void visit_free(struct visit *v)
{
	buf_free(&v->lines);
	free(v->path);
	free(v);
}

static void on_visited(void *arg);

static struct visit *visit_new(struct audit_file *a)
{
	struct visit *v = mem_new(struct visit);
	v->owner = a;
	v->path = mem_strdup(a->path);
	return v;
}

static void visit_start(struct visit *v)
{
	jobs_run(v->owner->control->o.jobs, false, visit_in_job, on_visited, v);
}

/* --- where does it end? --- */

struct ending {
	struct audit_file *owner;
	char *path;
	int64_t seq;
	struct audit_hash hash;
};

static struct fault *other_trail(const struct ending *e)
{
	return fault_new(FAULT_CONFLICT,
		"%s ends with record %" PRId64 " of another trail than this store's; move it away", e->path, e->seq);
}

/* Is the file's last record one of this trail? One that has left the trail cannot be compared. */
static void on_compared(void *arg, struct fault *f, const struct store_audit_page *page)
{
	struct ending *e = arg;
	struct audit_file *a = e->owner;
	if (!f) {
		a->newest = page->head.seq;
		bool here = page->count && page->records[0].seq == e->seq;
		if (e->seq > page->head.seq || (here && !audit_hash_equal(&page->records[0].hash, &e->hash)))
			f = other_trail(e);
	}
	if (!text_same(a->path, e->path)) {
		fault_ignore(f, "that file is not ours any more");
		f = NULL;
	} else if (!f) {
		a->written = e->seq;
		a->is_known = true;
	}
	free(e->path);
	free(e);
	a->busy = false;
	if (f)
		fail(a, f);
	else
		step(a);
}

static void found(struct audit_file *a, const struct visit *v)
{
	if (!v->last) {
		a->written = a->kept;
		a->is_known = true;
		a->busy = false;
		step(a);
		return;
	}
	struct ending *e = mem_new(struct ending);
	*e = (struct ending){a, mem_strdup(v->path), v->last, v->hash};
	store_audit_read(a->control->o.store, v->last - 1, 1, on_compared, e);
}

/* --- writing --- */

static void on_visited(void *arg)
{
	struct visit *v = arg;
	struct audit_file *a = v->owner;
	struct fault *f = v->fault;
	bool is_mine = text_same(a->path, v->path);
	if (!is_mine) { /* a reload named another one meanwhile */
		fault_ignore(f, "that file is not ours any more");
		a->busy = false;
		step(a);
	} else if (f) {
		fail(a, f);
	} else if (v->only_looks) {
		found(a, v);
	} else if (v->is_other) { /* somebody changed it under our hands: look where it ends now */
		a->is_known = false;
		a->busy = false;
		step(a);
	} else {
		if (!v->last)
			keep(a); /* the file is new, and this is what stands before it */
		a->written = v->next;
		a->busy = false;
		step(a);
	}
	visit_free(v);
}

/* As `leafcast audit export` writes it. */
static void add_line(const struct audit_record *r, struct buf *ret)
{
	char hex[AUDIT_HASH_HEX];
	json_t *detail = r->detail ? json_loads(r->detail, JSON_DECODE_ANY, NULL) : NULL;
	audit_hash_hex(&r->hash, hex);
	json_t *o = json_pack("{s:I, s:I, s:s, s:o, s:s}", "seq", (json_int_t)r->seq, "at_ms", (json_int_t)r->at_ms,
		"event", r->event, "detail", detail ? detail : json_null(), "hash", hex);
	AUTO(mem_freep) char *text = json_text(o, JSON_COMPACT | JSON_SORT_KEYS);
	json_decref(o);
	if (!text) /* a store that somebody else wrote into */
		return;
	buf_add_text(ret, text);
	buf_add_text(ret, "\n");
}

static void tell_gap(const struct audit_file *a, const struct store_audit_page *page)
{
	if (a->written && page->records[0].seq > a->written + 1)
		log_event(LOG_ERROR, "audit.file_gap", LS("file", a->path), LI("after", a->written),
			LI("missing", page->records[0].seq - a->written - 1),
			LS("why", "they left the trail before the file could be written"));
}

static void on_page(void *arg, struct fault *f, const struct store_audit_page *page)
{
	struct audit_file *a = arg;
	if (f) {
		fail(a, f);
		return;
	}
	a->newest = page->head.seq;
	if (!page->count || !a->path || !a->is_known) {
		end_well(a);
		return;
	}
	struct visit *v = visit_new(a);
	v->expected = a->written;
	v->next = page->records[page->count - 1].seq;
	tell_gap(a, page);
	for (size_t i = 0; i < page->count; i++)
		add_line(&page->records[i], &v->lines);
	visit_start(v);
}

/* Look where the file ends, then write page after page until nothing is left. */
static void step(struct audit_file *a)
{
	if (a->busy)
		return;
	if (!a->path || (a->closing && a->closing_pages++ >= CLOSING_PAGES)) {
		a->due = false;
		return;
	}
	a->busy = true;
	a->due = false;
	if (a->is_known) {
		store_audit_read(a->control->o.store, a->written, PAGE, on_page, a);
	} else {
		struct visit *v = visit_new(a);
		v->only_looks = true;
		visit_start(v);
	}
}

/* --- its life --- */

void audit_file_new(struct control *c)
{
	c->audit_file = mem_new(struct audit_file);
	c->audit_file->control = c;
	c->audit_file->timer = timer_new(c->o.loop, on_timer, c->audit_file);
}

void audit_file_define(struct control *c, const char *path)
{
	struct audit_file *a = c->audit_file;
	if (!text_same(a->path, path)) {
		if (a->is_known)
			a->kept = a->written;
		free(a->path);
		a->path = mem_strdup(path);
		a->is_known = a->failing = false;
	}
	timer_stop(a->timer);
	a->armed = false;
	a->due = true;
	arm(a, 0); /* an operator may have mended what was wrong */
}

bool audit_file_finish(struct control *c)
{
	struct audit_file *a = c->audit_file;
	if (!a->closing) {
		a->closing = true;
		timer_stop(a->timer);
	}
	if (a->busy)
		return true;
	if (a->due && !a->failing) {
		step(a);
		return a->busy;
	}
	if (!a->path || !a->is_known || a->kept == a->written)
		return false;
	keep(a);
	return true;
}

void audit_file_free(struct control *c)
{
	timer_free(c->audit_file->timer);
	free(c->audit_file->path);
	free(c->audit_file);
}

int64_t audit_file_behind(const struct control *c)
{
	const struct audit_file *a = c->audit_file;
	if (!a->path)
		return -1;
	return !a->is_known ? a->newest : a->newest > a->written ? a->newest - a->written : 0;
}
