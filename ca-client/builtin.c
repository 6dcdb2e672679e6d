/* ca-client/builtin.c - the embedded authority as a driver: its hierarchy is made or loaded at start
 * (builtin_hierarchy.c), each leaf is signed in a job (builtin_sign.c), its issuing CA is renewed at half of its life.
 */
#include "ca-client/builtin.h"
#include <string.h>
#include "base/anchors.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/job.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"
#include "ca-client/builtin_hierarchy.h"

struct builtin {
	struct ca ca; /* first: drivers are handed around as struct ca */
	struct builtin_options options;
	struct hierarchy *hierarchy; /* in force */
	struct hierarchy *coming;    /* being saved */
	struct timer *renew;
	struct ca_op *ops; /* DL: every issue under way */
	void (*ready)(void *arg, struct fault *f);
	void *ready_arg;
	struct fault *start_fault; /* of loading: told on a later turn */
	void (*closed)(void *arg);
	void *closed_arg;
	unsigned jobs; /* of hierarchies and leaves: closed waits for them */
	bool saving, closing;
};

struct ca_op {
	struct ca_op *prev, *next;
	struct builtin *owner;
	ca_issued_fn *done;
	void *arg;
	bool cancelled;
	int64_t deadline_ms;
	/* the job's input and output */
	struct hierarchy *hierarchy;
	struct hierarchy_leaf leaf;
	struct fault *fault;
	struct ca_answer *answer;
};

static struct builtin *of(struct ca *ca)
{
	return container_of(ca, struct builtin, ca);
}

static void finish_close(struct builtin *b)
{
	if (!b->closing || b->jobs || b->saving)
		return;
	void (*closed)(void *arg) = b->closed;
	void *arg = b->closed_arg;
	hierarchy_unref(b->hierarchy);
	hierarchy_unref(b->coming);
	timer_free(b->renew);
	free(b->options.common_name);
	free(b->options.certificate_file);
	free(b->options.key_file);
	free(b->options.key_password_file);
	free(b);
	closed(arg);
}

/* --- the hierarchy --- */

struct making {
	struct builtin *owner;
	struct hierarchy *renewed_from; /* NULL: from nothing */
	int64_t now_ms;
	struct fault *fault;
	struct hierarchy *made;
};

static void plan_renewal(struct builtin *b)
{
	int64_t at = hierarchy_renew_at_ms(b->hierarchy);
	if (at == INT64_MAX)
		return;
	int64_t wait = at - clock_wall_ms(b->ca.env.clock);
	timer_start(b->renew, wait > MS_PER_HOUR ? MS_PER_HOUR : wait); /* wall time can be set: look again each hour */
}

static void in_force(struct builtin *b, bool created)
{
	const struct cert_info *root = anchors_info(hierarchy_anchors(b->hierarchy), 0);
	log_event(LOG_INFO, created ? "authority.ca_created" : "authority.ca_loaded",
		LS("authority", b->ca.env.authority), LS("root_sha256", root->sha256), LS("root", root->subject),
		LT("root_not_after", root->not_after_ms), LT("issuer_not_after", hierarchy_not_after_ms(b->hierarchy)));
	plan_renewal(b);
}

static void tell_ready(struct builtin *b, struct fault *f)
{
	void (*ready)(void *arg, struct fault *f2) = b->ready;
	if (!ready || b->closing) {
		fault_free(f);
		return;
	}
	b->ready = NULL;
	ready(b->ready_arg, f);
}

static void on_saved(void *arg, struct fault *f)
{
	struct builtin *b = arg;
	b->saving = false;
	if (f) {
		hierarchy_unref(b->coming);
		b->coming = NULL;
		log_event(LOG_ERROR, "authority.ca_not_saved", LS("authority", b->ca.env.authority), LF(f));
		if (!b->closing && b->hierarchy)
			timer_start(b->renew, MS_PER_MIN);
		tell_ready(b, f);
	} else {
		hierarchy_unref(b->hierarchy);
		b->hierarchy = TAKE(b->coming);
		in_force(b, true);
		tell_ready(b, NULL);
	}
	finish_close(b);
}

static void save(struct builtin *b)
{
	AUTO(secret_freep) struct secret *bytes = NULL;
	struct fault *f = hierarchy_encode(b->coming, &bytes);
	b->saving = true;
	if (f)
		on_saved(b, f);
	else
		b->ca.env.save(b->ca.env.arg, HIERARCHY_KEY, bytes, on_saved, b);
}

static void make(void *arg)
{
	struct making *m = arg;
	m->fault = hierarchy_make(&m->owner->options, m->owner->ca.env.authority, m->renewed_from, m->now_ms, &m->made);
}

static void on_made(void *arg)
{
	struct making *m = arg;
	struct builtin *b = m->owner;
	b->jobs--;
	hierarchy_unref(m->renewed_from);
	if (m->fault) {
		tell_ready(b, m->fault);
	} else if (b->closing) {
		hierarchy_unref(m->made);
	} else {
		b->coming = m->made;
		save(b);
	}
	free(m);
	finish_close(b);
}

static void begin_making(struct builtin *b, struct hierarchy *renewed_from)
{
	struct making *m = mem_new(struct making);
	m->owner = b;
	m->renewed_from = renewed_from ? hierarchy_ref(renewed_from) : NULL;
	m->now_ms = clock_wall_ms(b->ca.env.clock);
	b->jobs++;
	jobs_run(b->ca.env.jobs, key_type_is_slow(b->options.ca_key), make, on_made, m);
}

static void on_renew(void *arg)
{
	struct builtin *b = arg;
	if (clock_wall_ms(b->ca.env.clock) < hierarchy_renew_at_ms(b->hierarchy))
		plan_renewal(b);
	else if (!b->saving && !b->coming)
		begin_making(b, b->hierarchy);
}

/* Loaded at once, but told on a later turn: no callback runs before its call has returned. */
static void nothing(void *arg)
{
	(void)arg;
}

static void on_loaded(void *arg)
{
	struct builtin *b = arg;
	b->jobs--;
	tell_ready(b, TAKE(b->start_fault));
	finish_close(b);
}

static void start(struct ca *ca, void (*ready)(void *arg, struct fault *f), void *arg)
{
	struct builtin *b = of(ca);
	struct fault *f = NULL;
	b->ready = ready;
	b->ready_arg = arg;
	const struct secret *kept = b->hierarchy ? NULL : ca->env.load(ca->env.arg, HIERARCHY_KEY);
	if (kept)
		f = hierarchy_decode(kept, &b->hierarchy);
	if (f) { /* never overwritten: an operator decides about a CA that cannot be read */
		b->start_fault = f;
		b->jobs++;
		jobs_run(ca->env.jobs, false, nothing, on_loaded, b);
	} else if (b->hierarchy) {
		in_force(b, false);
		b->jobs++;
		jobs_run(ca->env.jobs, false, nothing, on_loaded, b);
	} else {
		begin_making(b, NULL);
	}
}

/* --- leaves --- */

static void sign(void *arg)
{
	struct ca_op *op = arg;
	struct ca_answer *a = mem_new(struct ca_answer);
	op->fault = hierarchy_sign(op->hierarchy, &op->leaf, &a->chain);
	if (op->fault) {
		ca_answer_free(a);
		return;
	}
	a->anchors = anchors_ref(hierarchy_anchors(op->hierarchy));
	op->answer = a;
}

static void on_signed(void *arg)
{
	struct ca_op *op = arg;
	struct builtin *b = op->owner;
	b->jobs--;
	DL_DELETE(b->ops, op);
	if (op->cancelled && !op->fault)
		op->fault = fault_new(FAULT_UNAVAILABLE, "cancelled");
	else if (!op->fault && clock_mono_ms(b->ca.env.clock) > op->deadline_ms)
		op->fault = fault_set_retryable(fault_new(FAULT_TIMEOUT, "signing took too long"), -1);
	if (op->fault) {
		ca_answer_free(op->answer);
		op->answer = NULL;
	}
	op->done(op->arg, op->fault, op->answer);
	hierarchy_unref(op->hierarchy);
	hierarchy_leaf_done(&op->leaf);
	free(op);
	finish_close(b);
}

static struct ca_op *issue(struct ca *ca, const struct ca_request *r, ca_issued_fn *done, void *arg)
{
	struct builtin *b = of(ca);
	struct ca_op *op = mem_new(struct ca_op);
	invariant(b->hierarchy);
	op->owner = b;
	op->done = done;
	op->arg = arg;
	op->deadline_ms = r->deadline_ms;
	op->hierarchy = hierarchy_ref(b->hierarchy);
	hierarchy_leaf_init(&op->leaf, r, clock_wall_ms(ca->env.clock));
	b->jobs++;
	DL_APPEND(b->ops, op);
	jobs_run(ca->env.jobs, hierarchy_is_slow(b->hierarchy), sign, on_signed, op);
	return op;
}

static void cancel(struct ca_op *op)
{
	op->cancelled = true;
}

static struct anchors *get_anchors(struct ca *ca)
{
	struct builtin *b = of(ca);
	return b->hierarchy ? hierarchy_anchors(b->hierarchy) : NULL;
}

static void close_builtin(struct ca *ca, void (*closed)(void *arg), void *arg)
{
	struct builtin *b = of(ca);
	b->closing = true;
	b->closed = closed;
	b->closed_arg = arg;
	timer_stop(b->renew);
	for (struct ca_op *op = b->ops; op; op = op->next)
		op->cancelled = true;
	/* closed() comes on a later turn, like every callback */
	b->jobs++;
	jobs_run(ca->env.jobs, false, nothing, on_loaded, b);
}

static const struct ca_driver driver = {.type = "builtin",
	.capabilities = CA_LIFETIME_EXACT,
	.start = start,
	.issue = issue,
	.cancel = cancel,
	.anchors = get_anchors,
	.close = close_builtin};

struct fault *builtin_new(const struct builtin_options *o, const struct ca_env *env, struct ca **ret)
{
	struct hierarchy *given = NULL;
	if ((o->certificate_file == NULL) != (o->key_file == NULL))
		return fault_new(FAULT_INVALID, "certificate_file and key_file go together");
	if (o->certificate_file)
		TRY(hierarchy_from_files(o, &given));
	struct builtin *b = mem_new(struct builtin);
	b->ca.driver = &driver;
	b->ca.env = *env;
	b->options = (struct builtin_options){.ca_key = o->ca_key ? o->ca_key : KEY_ECDSA_P256,
		.common_name = mem_strdup(o->common_name),
		.certificate_file = mem_strdup(o->certificate_file),
		.key_file = mem_strdup(o->key_file),
		.key_password_file = mem_strdup(o->key_password_file)};
	b->hierarchy = given;
	b->renew = timer_new(env->loop, on_renew, b);
	*ret = &b->ca;
	return NULL;
}
