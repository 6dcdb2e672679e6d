/* tests/unit/control/rig.h - a control loop with everything real but the workers: loop, jobs, store, embedded authority
 * and a config text; what it tells the workers is written down, and a test reports what workers would. */
#ifndef TESTS_UNIT_CONTROL_RIG_H
#define TESTS_UNIT_CONTROL_RIG_H
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/job.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "base/table.h"
#include "cache/entry.h"
#include "cache/store.h"
#include "cache/version.h"
#include "control/control.h"
#include "control/definitions.h"
#include "control/identity.h"
#include "control/inbox.h"
#include "control/node.h"
#include "control/outlet.h"
#include "control/policy.h"
#include "daemon/config.h"
#include "fake_ca.h"

enum { TOLD_MAX = 256, RIG_WORKERS = 2 };
enum told_what { TOLD_PUBLISH, TOLD_ABSENT, TOLD_POLICY, TOLD_QUARANTINE, TOLD_REVOKED };
struct told {
	enum told_what what;
	char entry[64], version[33];
	enum absent_reason reason;
	uint64_t seq, generation;
	int worker;
	bool on;
	/* TOLD_QUARANTINE */
	bool forgive;
	char identity[64], node[64], older[33], fallback[33];
	size_t older_count;
};

/* An authority of the config that is a fake: named before rig_start(), its root outlives restarts. */
struct rig_fake {
	const char *name;
	struct pki_ca root; /* made when it is not given */
	enum fault_code start_fault;
	bool start_hangs;
	struct fake_ca *ca; /* of the control that runs */
};
enum { RIG_FAKES = 4 };

struct rig {
	char folder[64];
	struct rig_fake fakes[RIG_FAKES];
	struct clock clock;
	int64_t shift_ms;				  /* so long the machine slept: both clocks went on */
	int64_t set_ms;					  /* and by so much somebody set the wall clock */
	int64_t stand_ms;				  /* if not 0: the wall clock stands still here */
	int64_t built_ms, waking_ms, watch_ms, moving_ms; /* of control_options */
	struct loop *loop;
	struct jobs *jobs;
	struct store *store;
	struct control *control;
	struct outlet outlet;
	struct told told[TOLD_MAX];
	size_t count;
	bool ready, closed, done, first_start;
	struct fault *fault;
	unsigned taken;
	uint64_t stream;
	bool forget_told;  /* only the last thing told is kept */
	bool hold_applied; /* workers do not report what they took in */
	struct metrics *metrics;
	/* what rig_report() says beside; NULL: node-1, nothing, "no" */
	const char *node, *held, *nack_text;
};

static int64_t rig_wall(void *arg)
{
	const struct rig *r = arg;
	return r->stand_ms ? r->stand_ms : clock_wall_ms(clock_system()) + r->shift_ms + r->set_ms;
}

static int64_t rig_mono(void *arg)
{
	const struct rig *r = arg;
	return clock_mono_ms(clock_system()) + r->shift_ms;
}

static inline struct told *rig_note(struct rig *r, enum told_what what, uint64_t seq)
{
	if (r->forget_told)
		r->count = 0;
	assert_true(r->count < TOLD_MAX);
	if (r->count)
		assert_true(seq > r->told[r->count - 1].seq); /* design: invariant 1 */
	struct told *t = &r->told[r->count++];
	memset(t, 0, sizeof *t);
	t->what = what;
	t->seq = seq;
	return t;
}

static inline void rig_applied(struct rig *r, uint64_t seq)
{
	for (unsigned w = 0; w < RIG_WORKERS && !r->hold_applied; w++) {
		struct report_batch *b = report_batch_new(w, 0);
		b->applied_seq = seq;
		(void)mailbox_post(control_inbox(r->control)->mailbox, &b->mail);
	}
}

static void rig_publish(void *arg, const struct entry_key *entry, struct version *v, uint64_t seq)
{
	struct rig *r = arg;
	struct told *t = rig_note(r, TOLD_PUBLISH, seq);
	(void)snprintf(t->entry, sizeof t->entry, "%s", entry_key_text(entry));
	(void)snprintf(t->version, sizeof t->version, "%s", version_id(v));
	rig_applied(r, seq);
}

static void rig_absent(void *arg, int worker, const struct entry_key *entry, const struct identity *identity,
	const char *name, enum absent_reason reason, uint64_t seq)
{
	struct rig *r = arg;
	struct told *t = rig_note(r, TOLD_ABSENT, seq);
	(void)identity;
	(void)entry;
	(void)snprintf(t->entry, sizeof t->entry, "%s", name);
	t->reason = reason;
	t->worker = worker;
	rig_applied(r, seq);
}

static void rig_policy(void *arg, struct policy *p, uint64_t seq)
{
	struct rig *r = arg;
	rig_note(r, TOLD_POLICY, seq)->generation = policy_generation(p);
	rig_applied(r, seq);
}

static void rig_quarantine(void *arg, const struct outlet_quarantine *q, uint64_t seq)
{
	struct rig *r = arg;
	struct told *t = rig_note(r, TOLD_QUARANTINE, seq);
	(void)snprintf(t->entry, sizeof t->entry, "%s", entry_key_text(q->entry));
	(void)snprintf(t->version, sizeof t->version, "%s", q->version_id);
	(void)snprintf(t->identity, sizeof t->identity, "%s", q->identity);
	(void)snprintf(t->node, sizeof t->node, "%s", q->node_id);
	t->on = q->on;
	t->forgive = q->forgive;
	t->older_count = q->older_count;
	if (q->older_count)
		(void)snprintf(t->older, sizeof t->older, "%s", q->older[0].id);
	if (q->fallback)
		(void)snprintf(t->fallback, sizeof t->fallback, "%s", version_id(q->fallback));
	rig_applied(r, seq);
}

static void rig_revoked(void *arg, const struct entry_key *entry, const char *version, uint64_t seq)
{
	struct rig *r = arg;
	struct told *t = rig_note(r, TOLD_REVOKED, seq);
	(void)snprintf(t->entry, sizeof t->entry, "%s", entry_key_text(entry));
	(void)snprintf(t->version, sizeof t->version, "%s", version);
	rig_applied(r, seq);
}

static void rig_taken(void *arg, unsigned worker)
{
	struct rig *r = arg;
	(void)worker;
	r->taken++;
}

static void rig_on_ready(void *arg, struct fault *f)
{
	struct rig *r = arg;
	assert_null(f);
	r->ready = true;
}

static void rig_on_closed(void *arg)
{
	((struct rig *)arg)->closed = true;
}

static inline void rig_on_done(void *arg, struct fault *f)
{
	struct rig *r = arg;
	assert_false(r->done);
	r->done = true;
	r->fault = f;
}

static struct fault *rig_make_ca(void *arg, const struct authority_def *def, const struct ca_env *env, struct ca **ret)
{
	struct rig *r = arg;
	for (size_t i = 0; i < RIG_FAKES && r->fakes[i].name; i++) {
		struct rig_fake *f = &r->fakes[i];
		if (strcmp(f->name, def->name) != 0)
			continue;
		if (!f->root.cert)
			f->root = pki_ca_new(f->name);
		f->ca = fake_ca_new(env, &f->root);
		f->ca->start_fault = f->start_fault;
		f->ca->start_hangs = f->start_hangs;
		*ret = &f->ca->ca;
		return NULL;
	}
	return builtin_new(&def->builtin, env, ret);
}

/* Turn the loop until a condition holds; 60 s at the most. */
#define rig_until(r, condition)                                                                                        \
	do {                                                                                                           \
		int64_t end_ = clock_mono_ms(clock_system()) + 60000;                                                  \
		while (!(condition)) {                                                                                 \
			if (clock_mono_ms(clock_system()) > end_)                                                      \
				fail_msg("not within 60 s: %s", #condition);                                           \
			(void)loop_turn((r)->loop, true);                                                              \
		}                                                                                                      \
	} while (0)

static inline void must(struct fault *f)
{
	if (f)
		fail_msg("%s (%s)", fault_text(f), fault_where(f));
}

static inline struct definitions *rig_definitions(const char *yaml)
{
	struct config *c = NULL;
	must(config_load_text("test.yaml", yaml, strlen(yaml), &c, NULL));
	struct definitions *d = config_take_definitions(c);
	config_free(c);
	return d;
}

/* Start on the folder as it is, so also again after rig_stop(). */
static inline void rig_start(struct rig *r, const char *yaml)
{
	r->clock = (struct clock){rig_wall, rig_mono, r};
	r->ready = r->closed = r->done = r->hold_applied = false;
	r->count = 0;
	must(loop_new(&r->clock, &r->loop));
	r->jobs = jobs_new(r->loop);
	r->metrics = metrics_new();
	const struct store_options so = {.folder = r->folder};
	must(store_open(&so, r->loop, &r->clock, &r->first_start, &r->store));
	const struct control_options o = {.loop = r->loop,
		.jobs = r->jobs,
		.clock = &r->clock,
		.store = r->store,
		.metrics = r->metrics,
		.first_start = r->first_start,
		.built_ms = r->built_ms,
		.waking_ms = r->waking_ms,
		.watch_ms = r->watch_ms,
		.moving_ms = r->moving_ms,
		.make_ca = rig_make_ca,
		.arg = r};
	must(control_new(&o, rig_definitions(yaml), &r->control));
	r->outlet = (struct outlet){
		r, rig_publish, rig_absent, rig_policy, rig_quarantine, rig_revoked, rig_taken, RIG_WORKERS};
	control_start(r->control, &r->outlet, rig_on_ready, r);
}

static inline void rig_stop(struct rig *r)
{
	r->closed = false;
	control_close(r->control, rig_on_closed, r);
	rig_until(r, r->closed);
	r->closed = false;
	store_close(r->store, rig_on_closed, r);
	rig_until(r, r->closed);
	jobs_free(r->jobs);
	loop_free(r->loop);
	metrics_free(r->metrics);
}

/* A folder; rig_start() comes next. */
static inline struct rig *rig_prepare(void)
{
	struct rig *r = mem_new(struct rig);
	log_set_level(LOG_ERROR);
	(void)snprintf(r->folder, sizeof r->folder, "/tmp/leafcast-control-XXXXXX");
	assert_non_null(mkdtemp(r->folder));
	return r;
}

static inline struct rig *rig_new(const char *yaml)
{
	struct rig *r = rig_prepare();
	rig_start(r, yaml);
	return r;
}

static inline void rig_free(struct rig *r)
{
	rig_stop(r);
	static const char *const files[] = {"leafcast.db", "leafcast.db-wal", "leafcast.db-shm", "seal.key", "lock"};
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		char path[128];
		(void)snprintf(path, sizeof path, "%s/%s", r->folder, files[i]);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(r->folder), 0);
	for (size_t i = 0; i < RIG_FAKES; i++)
		pki_ca_free(&r->fakes[i].root);
	free(r);
}

/* What a worker would report of one name; uid says who asks. */
static inline void rig_report(struct rig *r, unsigned what, unsigned uid, const char *name, const char *version)
{
	struct report_batch *b = report_batch_new(0, 1);
	struct report *p = &b->reports[0];
	p->what = what;
	p->stream = r->stream;
	p->subscription = table_hash(name, strlen(name)) ^ r->stream; /* one per stream and name */
	p->name = mem_strdup(name);
	p->identity = identity_new_unix(uid, uid, 1);
	const char *node = r->node ? r->node : "node-1";
	p->node = node_new(node, strlen(node), "c", 1, "envoy", 5, (const uint32_t[3]){1, 40, 0}, 256);
	if (r->held)
		(void)snprintf(p->held_version, sizeof p->held_version, "%s", r->held);
	p->push_to_ack_ms = 1;
	if (version && (what & REPORT_ACKED))
		(void)snprintf(p->acked_version, sizeof p->acked_version, "%s", version);
	if (version && (what & REPORT_NACKED)) {
		(void)snprintf(p->nacked_version, sizeof p->nacked_version, "%s", version);
		p->nack_text = mem_strdup(r->nack_text ? r->nack_text : "no");
		p->nack_code = 13;
	}
	unsigned before = r->taken;
	(void)mailbox_post(control_inbox(r->control)->mailbox, &b->mail);
	rig_until(r, r->taken > before);
}

/* The last thing told of an entry (or name), or NULL. */
static inline struct told *rig_last(struct rig *r, enum told_what what, const char *entry)
{
	for (size_t i = r->count; i > 0; i--)
		if (r->told[i - 1].what == what && strcmp(r->told[i - 1].entry, entry) == 0)
			return &r->told[i - 1];
	return NULL;
}

static inline double rig_metric(struct rig *r, const char *sample)
{
	struct buf b = BUF_INIT;
	metrics_render(r->metrics, METRICS_TEXT, &b);
	AUTO(mem_freep) char *start = mem_printf("\n%s", sample);
	const char *line = strstr(buf_text(&b), start);
	double v = line ? strtod(line + strlen(start), NULL) : -1;
	buf_free(&b);
	return v;
}

static inline size_t rig_times(const struct rig *r, enum told_what what, const char *entry)
{
	size_t n = 0;
	for (size_t i = 0; i < r->count; i++)
		n += r->told[i].what == what && strcmp(r->told[i].entry, entry) == 0;
	return n;
}

struct rig_trail {
	const char *event;
	char text[1024];
	bool done;
};

static inline void rig_see_trail(void *arg, struct fault *f, const struct store_audit_page *page)
{
	struct rig_trail *t = arg;
	assert_null(f);
	for (size_t i = 0; i < page->count; i++)
		if (strcmp(page->records[i].event, t->event) == 0)
			(void)snprintf(t->text, sizeof t->text, "%s", page->records[i].detail);
	t->done = true;
}

/* What the trail says of the last event of this name, "" nothing; until the next call. */
static inline const char *rig_audited(struct rig *r, const char *event)
{
	static struct rig_trail t;
	t = (struct rig_trail){.event = event};
	control_audit_read(r->control, 0, 1000, rig_see_trail, &t);
	rig_until(r, t.done);
	return t.text;
}

/* Off: whatever writes to a file is told that it is too large, as on a full disk; who does ignores SIGXFSZ. */
static inline void rig_let_files_grow(bool on)
{
	struct rlimit l;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &l), 0);
	l.rlim_cur = on ? l.rlim_max : 0;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &l), 0);
}

/* For the group's teardown: joins the pool's threads, and what OpenSSL keeps per thread goes with them. */
static inline int rig_end_pool(void **state)
{
	(void)state;
	uv_library_shutdown();
	return 0;
}
#endif
