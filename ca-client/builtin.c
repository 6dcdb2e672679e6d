/* ca-client/builtin.c - the embedded authority as a driver, and its CA's life: made or loaded at start, saved before it
 * is in force, the issuing CA renewed at half of its life. Leaves are in builtin_issue.c. First start: root and issuing
 * CA are one record, so there is either a whole CA or none. */
#include "ca-client/builtin.h"
#include <string.h>
#include "base/anchors.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/job.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/text.h"
#include "ca-client/builtin_internal.h"

/* Wall time can be set while we wait: look again this often. */
#define LONGEST_WAIT_MS MS_PER_HOUR
#define RETRY_RENEWAL_MS MS_PER_MIN
/* A root or given CA that ends sooner than this is spoken of at each start. */
#define ENDS_SOON_MS (INT64_C(30) * MS_PER_DAY)

bool builtin_options_equal(const struct builtin_options *a, const struct builtin_options *b)
{
	return a->ca_key == b->ca_key && text_same(a->common_name, b->common_name) &&
	       text_same(a->certificate_file, b->certificate_file) && text_same(a->key_file, b->key_file) &&
	       text_same(a->key_password_file, b->key_password_file);
}

void builtin_options_done(struct builtin_options *o)
{
	free(o->common_name);
	free(o->certificate_file);
	free(o->key_file);
	free(o->key_password_file);
}

static void coming_clear(struct builtin_coming *c)
{
	hierarchy_unref(c->hierarchy);
	secret_free(c->bytes);
	*c = (struct builtin_coming){NULL, NULL, false};
}

void builtin_finish_close(struct builtin *b)
{
	if (!b->closing || !b->turned || b->jobs || b->saving || b->ops)
		return;
	void (*closed)(void *arg) = b->closed;
	void *arg = b->closed_arg;
	hierarchy_unref(b->hierarchy);
	coming_clear(&b->coming);
	timer_free(b->renew);
	timer_free(b->turn);
	fault_free(b->ready_fault);
	fault_free(b->root_fault);
	free(b->name);
	free(b);
	closed(arg);
}

/* f is owned. */
static void tell_ready(struct builtin *b, struct fault *f)
{
	void (*ready)(void *arg, struct fault *f2) = b->ready;
	b->ready = NULL;
	if (ready && !b->closing)
		ready(b->ready_arg, f);
	else
		fault_free(f);
}

/* f is owned. */
static void tell_root(struct builtin *b, struct fault *f)
{
	void (*done)(void *arg, struct fault *f2) = b->root_done;
	b->root_done = NULL;
	if (done && !b->closing)
		done(b->root_arg, f);
	else
		fault_free(f);
}

static void on_turn(void *arg)
{
	struct builtin *b = arg;
	if (b->closing)
		b->turned = true;
	else
		tell_ready(b, TAKE(b->ready_fault));
	if (b->root_fault)
		tell_root(b, TAKE(b->root_fault));
	builtin_finish_close(b);
}

static void tell_ready_on_next_turn(struct builtin *b, struct fault *f)
{
	b->ready_fault = f;
	timer_start(b->turn, 0);
}

/* --- in force --- */

static void plan_renewal(struct builtin *b)
{
	int64_t at = hierarchy_renew_at_ms(b->hierarchy);
	if (at == INT64_MAX)
		return;
	int64_t wait = at - clock_wall_ms(b->ca.env.clock);
	timer_start(b->renew, wait < LONGEST_WAIT_MS ? wait : LONGEST_WAIT_MS);
}

static void warn_of_end(const struct builtin *b)
{
	const struct cert_info *top = anchors_info(b->hierarchy->anchors, 0);
	int64_t now = clock_wall_ms(b->ca.env.clock);
	int64_t end = b->hierarchy->given ? b->hierarchy->not_after_ms : top->not_after_ms;
	if (end - now < ENDS_SOON_MS)
		log_event(LOG_WARN, end <= now ? "authority.ca_ended" : "authority.ca_ends_soon",
			LS("authority", b->ca.env.authority), LT("not_after", end));
}

static void log_ca(const struct builtin *b, const char *event)
{
	const struct cert_info *root = anchors_info(b->hierarchy->anchors, 0);
	const struct cert_info *issuer = &b->hierarchy->issuer_info;
	log_event(LOG_INFO, event, LS("authority", b->ca.env.authority), LS("root_sha256", root->sha256),
		LS("root", root->subject), LT("root_not_after", root->not_after_ms),
		LS("issuing_sha256", issuer->sha256), LT("issuing_not_after", issuer->not_after_ms));
	warn_of_end(b);
}

static void put_in_force(struct builtin *b, struct hierarchy *h, const char *event)
{
	hierarchy_unref(b->hierarchy);
	b->hierarchy = h;
	log_ca(b, event);
	plan_renewal(b);
}

/* The issuing CA that there is goes on. */
static void renewal_failed(struct builtin *b, const struct fault *f)
{
	log_event(LOG_ERROR, "authority.issuing_ca_not_renewed", LS("authority", b->ca.env.authority),
		LT("issuing_not_after", b->hierarchy->issuer_info.not_after_ms), LF(f));
	timer_start(b->renew, RETRY_RENEWAL_MS);
}

/* --- saving: a CA that could be lost in a crash must not have signed anything --- */

static void on_saved(void *arg, struct fault *f)
{
	struct builtin *b = arg;
	b->saving = false;
	if (b->closing) {
		fault_ignore(f, "closing");
	} else if (!f) {
		bool renewed = b->coming.renewed, first = !b->hierarchy;
		put_in_force(b, TAKE(b->coming.hierarchy),
			renewed ? "authority.issuing_ca_renewed" : "authority.ca_created");
		coming_clear(&b->coming);
		tell_ready(b, NULL);
		if (!renewed && !first) {
			b->ca.env.on_trust(b->ca.env.arg);
			tell_root(b, NULL);
		}
	} else if (b->coming.renewed) {
		coming_clear(&b->coming);
		renewal_failed(b, f);
		fault_free(f);
		tell_ready(b, NULL);
	} else if (b->hierarchy) { /* it stays, as below; the one that is in force goes on */
		tell_root(b, fault_set_retryable(fault_wrap(f, "the new root cannot be stored"), -1));
	} else { /* it stays: whether the store has it after all is not known, so the next start saves the same one
		    again */
		tell_ready(b, fault_set_retryable(fault_wrap(f, "the new CA cannot be stored"), -1));
	}
	builtin_finish_close(b);
}

static void save_coming(struct builtin *b)
{
	b->saving = true;
	b->ca.env.save(b->ca.env.arg, HIERARCHY_KEY, b->coming.bytes, on_saved, b);
}

/* --- the job: load what there is, or make what is missing --- */

struct preparing {
	struct builtin *owner;
	enum key_type type;
	char *name;
	struct secret *kept; /* NULL: there is nothing yet, or a new root is wanted */
	bool new_root;
	int64_t now_ms;
	struct hierarchy *loaded;
	struct builtin_coming made;
	struct fault *fault; /* with loaded: of the renewal */
};

static void prepare(void *arg)
{
	struct preparing *p = arg;
	if (!p->kept) {
		p->fault = hierarchy_create(p->type, p->name, p->now_ms, &p->made.hierarchy, &p->made.bytes);
		return;
	}
	p->fault = hierarchy_load(p->kept, &p->loaded);
	if (p->fault || p->now_ms < hierarchy_renew_at_ms(p->loaded))
		return;
	p->made.renewed = true;
	p->fault = hierarchy_renew(p->type, p->kept, p->now_ms, &p->made.hierarchy, &p->made.bytes);
}

static void preparing_free(struct preparing *p)
{
	hierarchy_unref(p->loaded);
	coming_clear(&p->made);
	fault_free(p->fault);
	secret_free(p->kept);
	free(p->name);
	free(p);
}

static void take_prepared(struct builtin *b, struct preparing *p)
{
	if (p->loaded && !b->hierarchy)
		put_in_force(b, TAKE(p->loaded), "authority.ca_loaded");
	if (p->made.hierarchy && !p->new_root && b->hierarchy &&
		!anchors_equal(p->made.hierarchy->anchors, b->hierarchy->anchors)) {
		coming_clear(&p->made); /* else nobody would trust the leaves to come */
		p->fault = fault_new(FAULT_CORRUPT, "the stored CA is another one than the one in force");
	}
	if (p->made.hierarchy) {
		b->coming = p->made;
		p->made = (struct builtin_coming){NULL, NULL, false};
		timer_stop(b->renew); /* one renewal at a time: on_saved() plans the next one */
		save_coming(b);
	} else if (p->new_root) {
		tell_root(b, TAKE(p->fault));
	} else if (!p->fault) {
		plan_renewal(b);
		tell_ready(b, NULL);
	} else if (b->hierarchy) {
		renewal_failed(b, p->fault);
		tell_ready(b, NULL);
	} else {
		tell_ready(b, TAKE(p->fault));
	}
}

static void on_prepared(void *arg)
{
	struct preparing *p = arg;
	struct builtin *b = p->owner;
	b->jobs--;
	if (!b->closing)
		take_prepared(b, p);
	preparing_free(p);
	builtin_finish_close(b);
}

static struct fault *copy_kept(struct builtin *b, struct secret **ret)
{
	const struct secret *kept = NULL;
	TRY(b->ca.env.load(b->ca.env.arg, HIERARCHY_KEY, &kept));
	if (!kept)
		return b->hierarchy ? fault_new(FAULT_CORRUPT, "the stored CA is gone") : NULL;
	size_t len;
	const unsigned char *bytes = secret_bytes(kept, &len);
	return secret_new(bytes, len, ret);
}

/* What is kept but cannot be read is never replaced: an operator decides about it. */
static struct fault *begin_preparing(struct builtin *b, bool new_root)
{
	struct secret *kept = NULL;
	if (!new_root)
		TRY(copy_kept(b, &kept));
	struct preparing *p = mem_new(struct preparing);
	p->owner = b;
	p->type = b->ca_key;
	p->name = mem_strdup(b->name);
	p->kept = kept;
	p->new_root = new_root;
	p->now_ms = clock_wall_ms(b->ca.env.clock);
	b->jobs++;
	jobs_run(b->ca.env.jobs, key_type_is_slow(b->ca_key), prepare, on_prepared, p);
	return NULL;
}

static void on_renew(void *arg)
{
	struct builtin *b = arg;
	if (clock_wall_ms(b->ca.env.clock) < hierarchy_renew_at_ms(b->hierarchy)) {
		plan_renewal(b);
		return;
	}
	if (b->root_done || b->coming.hierarchy) { /* one after the other */
		timer_start(b->renew, RETRY_RENEWAL_MS);
		return;
	}
	AUTO(fault_freep) struct fault *f = begin_preparing(b, false);
	if (f)
		renewal_failed(b, f);
}

/* --- the driver --- */

static void start(struct ca *ca, void (*ready)(void *arg, struct fault *f), void *arg)
{
	struct builtin *b = builtin_of(ca);
	invariant(!b->ready && !b->closing);
	b->ready = ready;
	b->ready_arg = arg;
	if (b->hierarchy) { /* given */
		log_ca(b, "authority.ca_loaded");
		tell_ready_on_next_turn(b, NULL);
	} else if (b->coming.hierarchy) {
		save_coming(b);
	} else {
		struct fault *f = begin_preparing(b, false);
		if (f)
			tell_ready_on_next_turn(b, f);
	}
}

static void new_root(struct ca *ca, void (*done)(void *arg, struct fault *f), void *arg)
{
	struct builtin *b = builtin_of(ca);
	invariant(!b->root_done && !b->closing);
	b->root_done = done;
	b->root_arg = arg;
	if (!b->hierarchy || b->jobs || b->saving)
		b->root_fault = fault_set_retryable(
			fault_new(FAULT_UNAVAILABLE, "the CA is being made or renewed right now; try again"), -1);
	else if (b->coming.hierarchy)
		save_coming(b);
	else
		b->root_fault = begin_preparing(b, true);
	if (b->root_fault)
		timer_start(b->turn, 0);
}

static struct anchors *get_anchors(struct ca *ca)
{
	struct builtin *b = builtin_of(ca);
	return b->hierarchy ? b->hierarchy->anchors : NULL;
}

static void close_builtin(struct ca *ca, void (*closed)(void *arg), void *arg)
{
	struct builtin *b = builtin_of(ca);
	b->closing = true;
	b->closed = closed;
	b->closed_arg = arg;
	timer_stop(b->renew);
	builtin_end_issues(b);
	timer_start(b->turn, 0);
}

static const struct ca_driver driver = {.type = "builtin",
	.capabilities = CA_LIFETIME_EXACT | CA_TRUST_CHANGES | CA_NEW_ROOT | CA_OUR_CLOCK,
	.start = start,
	.issue = builtin_issue,
	.cancel = builtin_cancel,
	.new_root = new_root,
	.anchors = get_anchors,
	.close = close_builtin};
/* The operator makes the roots of one that was given. */
static const struct ca_driver given_driver = {.type = "builtin",
	.capabilities = CA_LIFETIME_EXACT | CA_OUR_CLOCK,
	.start = start,
	.issue = builtin_issue,
	.cancel = builtin_cancel,
	.anchors = get_anchors,
	.close = close_builtin};

static struct fault *check_options(const struct builtin_options *o)
{
	if ((o->certificate_file == NULL) != (o->key_file == NULL))
		return fault_new(FAULT_INVALID, "certificate_file and key_file go together");
	if (o->key_password_file && !o->key_file)
		return fault_new(FAULT_INVALID, "key_password_file belongs to a key_file");
	if (o->common_name && (!*o->common_name || !text_is_utf8(o->common_name, strlen(o->common_name))))
		return fault_new(FAULT_INVALID, "common_name is text of 1 to %d characters", HIERARCHY_NAME_MAX);
	return NULL;
}

struct fault *builtin_new(const struct builtin_options *o, const struct ca_env *env, struct ca **ret)
{
	struct hierarchy *given = NULL;
	TRY(check_options(o));
	if (o->certificate_file)
		TRY(hierarchy_from_files(o, &given));
	struct builtin *b = mem_new(struct builtin);
	b->ca.driver = given ? &given_driver : &driver;
	b->ca.env = *env;
	b->ca_key = o->ca_key ? o->ca_key : KEY_ECDSA_P256;
	b->name = hierarchy_name(o->common_name, env->authority);
	b->hierarchy = given;
	b->renew = timer_new(env->loop, on_renew, b);
	b->turn = timer_new(env->loop, on_turn, b);
	*ret = &b->ca;
	return NULL;
}
