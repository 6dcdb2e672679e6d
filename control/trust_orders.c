/* control/trust_orders.c - an operator orders a new root. An order is three facts in the store (which root it replaces,
 * what comes at its end, who gave it); each step is seen from what is there, so a restart goes on in the middle. Steps:
 * the authority makes a root; the bundles show it beside the old one; its certificates follow as verifiers hold it
 * (trust_switch.c, campaign.c); after a compromise the old anchors leave (trust_change.c). While trust is paused
 * (trust_pause.c) no step is done. */
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/internal.h"
#include "control/order_fact.h"
#include "control/trust_record.h"

/* Proxies that do not take their last certificate are waited for so long before an old anchor leaves. */
#define ACK_PATIENCE_MS (INT64_C(60) * MS_PER_S)
#define AGAIN_MS (INT64_C(5) * MS_PER_S)
#define REISSUE_PAUSE_MS MS_PER_MIN

struct trust_order {
	struct trust_order *next; /* control.trust_orders */
	struct control *control;
	char *authority;
	char *by;			  /* NULL: not known */
	int64_t replaces;		  /* the root that goes: mark_of(); 0: not read yet */
	int64_t over_ms;		  /* -1: compromised */
	bool waits;			  /* for its authority or the store */
	int64_t again_at_ms, finished_ms; /* monotonic: no next step before; since when everything is issued anew */
	int64_t reissue_at_ms;		  /* monotonic: no next campaign before */
	struct trust_change *removal;	  /* under way */
	control_done_fn *done;		  /* NULL: told */
	void *arg;
};

static const char PREFIX_ROOT[] = "trust-root/", PREFIX_OVER[] = "trust-over/", PREFIX_BY[] = "trust-by/";

static void tell(struct trust_order *o, struct fault *f)
{
	control_done_fn *done = o->done;
	o->done = NULL;
	if (done)
		done(o->arg, f);
	else
		fault_free(f);
}

static struct trust_order *find(const struct control *c, const char *authority)
{
	struct trust_order *o;
	LL_FOREACH (c->trust_orders, o)
		if (strcmp(o->authority, authority) == 0)
			return o;
	return NULL;
}

static struct trust_order *find_or_add(struct control *c, const char *authority)
{
	struct trust_order *o = find(c, authority);
	if (o)
		return o;
	o = mem_new(struct trust_order);
	o->control = c;
	o->authority = mem_strdup(authority);
	LL_APPEND(c->trust_orders, o);
	return o;
}

static void release(struct trust_order *o)
{
	LL_DELETE(o->control->trust_orders, o);
	trust_change_free(o->removal);
	free(o->by);
	free(o->authority);
	free(o);
}

static void set_by(struct trust_order *o, const char *by)
{
	free(o->by);
	o->by = mem_strdup(by);
}

void trust_order_load(struct control *c, const char *fact, int64_t value)
{
	AUTO(mem_freep) char *by = NULL;
	const char *authority = order_fact_read(fact, PREFIX_BY, &by);
	if (authority)
		set_by(find_or_add(c, authority), by);
	if (strncmp(fact, PREFIX_ROOT, sizeof PREFIX_ROOT - 1) == 0)
		find_or_add(c, fact + sizeof PREFIX_ROOT - 1)->replaces = value;
	else if (strncmp(fact, PREFIX_OVER, sizeof PREFIX_OVER - 1) == 0)
		find_or_add(c, fact + sizeof PREFIX_OVER - 1)->over_ms =
			value < -1 || value > CONTROL_OVER_MAX_MS ? CONTROL_OVER_MAX_MS : value;
}

/* --- what is there --- */

/* Of a fingerprint, as a fact can hold it: 60 of its bits, and not 0. */
static int64_t mark_of(const struct trust_anchor *t)
{
	char digits[16];
	(void)snprintf(digits, sizeof digits, "%.15s", t->sha256);
	int64_t mark = (int64_t)strtoull(digits, NULL, 16);
	return mark ? mark : 1;
}

/* What the authority shows now, or NULL: one root, for those that can make one. */
static const struct trust_anchor *shown_root(struct authority *a)
{
	struct trust_record *r = authority_trust(a)->record;
	for (size_t i = 0; i < trust_record_count(r); i++)
		if (!trust_record_at(r, i)->gone_ms)
			return trust_record_at(r, i);
	return NULL;
}

size_t trust_leaves_under(const struct authority *a, const struct trust_anchor *t, const struct entry **ret_one)
{
	const struct control *c = authority_control(a);
	size_t n = 0;
	for (const struct entry *e = c->entries; e; e = e->hh.next) {
		if (!e->current || !version_leaf(e->current) || !version_authority(e->current) ||
			strcmp(version_authority(e->current), authority_name(a)) != 0 ||
			!trust_leads_to(version_description(e->current), t))
			continue;
		n++;
		if (ret_one)
			*ret_one = e;
	}
	return n;
}

size_t trust_old_leaves(struct authority *a, const struct entry **ret_one)
{
	struct trust_record *r = authority_trust(a)->record;
	size_t n = 0;
	for (size_t i = 0; i < trust_record_count(r); i++)
		if (trust_record_at(r, i)->gone_ms)
			n += trust_leaves_under(a, trust_record_at(r, i), ret_one);
	return n;
}

static size_t not_acked(const struct control *c, const char *authority)
{
	size_t n = 0;
	for (const struct entry *e = c->entries; e; e = e->hh.next)
		if (e->current && version_authority(e->current) && version_leaf(e->current) &&
			strcmp(version_authority(e->current), authority) == 0)
			for (const struct subscriber *s = e->subscribers; s; s = s->next)
				n += strcmp(s->acked, version_id(e->current)) != 0;
	return n;
}

/* --- steps --- */

static void pause_until(struct trust_order *o, int64_t ms)
{
	o->again_at_ms = control_mono_ms(o->control) + ms;
}

static void on_new_root(void *arg, struct fault *f)
{
	struct trust_order *o = arg;
	o->waits = false;
	if (!f) { /* the next step sees it */
		crash_point("trust.root_made");
		log_event(LOG_INFO, "trust.new_root", LS("authority", o->authority));
		return;
	}
	log_event(LOG_ERROR, "trust.no_new_root", LS("authority", o->authority), LF(f));
	pause_until(o, AGAIN_MS);
	tell(o, fault_wrap(f, "authority %s has no new root yet; it is tried again", o->authority));
}

static void ask(struct trust_order *o, struct authority *a)
{
	if (!authority_is_ready(a))
		return;
	o->waits = true;
	ca_new_root(authority_ca(a), on_new_root, o);
}

static void on_begun(void *arg, struct fault *f)
{
	(void)arg;
	if (f) /* it is in memory, and begun again after a restart */
		log_event(LOG_ERROR, "trust.not_recorded", LF(f));
	fault_free(f);
}

/* Whatever the clock does in between: not more often than that. */
static void reissue(struct trust_order *o, const struct trust_anchor *t)
{
	struct store_tx *tx = store_tx_new();
	audit_note(o->control, tx, "trust.reissue", NULL, NULL, o->by, t->sha256);
	campaign_begin(o->control, o->authority, o->over_ms > 0 ? o->over_ms : 0, tx);
	store_commit(o->control->o.store, tx, on_begun, NULL);
	crash_point("trust.reissue_begun");
	o->reissue_at_ms = control_mono_ms(o->control) + REISSUE_PAUSE_MS;
}

/* Proxies that have not taken their new certificate yet, and still have time to. */
static bool must_wait(struct trust_order *o)
{
	int64_t now = control_mono_ms(o->control);
	size_t waiting = not_acked(o->control, o->authority);
	if (!o->finished_ms)
		o->finished_ms = now;
	if (waiting && now - o->finished_ms < ACK_PATIENCE_MS)
		return true;
	if (waiting)
		log_event(LOG_WARN, "trust.not_all_acked", LS("authority", o->authority), LI("waiting", waiting),
			LS("effect", "the old anchors leave all the same"));
	return false;
}

static void on_finished(void *arg, struct fault *f)
{
	struct trust_order *o = arg;
	o->waits = false;
	if (f && !o->control->closing) {
		log_event(LOG_ERROR, "trust.not_recorded", LS("authority", o->authority), LF(f));
		fault_free(f);
		trust_change_free(TAKE(o->removal));
		pause_until(o, AGAIN_MS);
		return;
	}
	crash_point("trust.ended");
	if (o->removal && !f)
		trust_change_apply(o->control, TAKE(o->removal));
	tell(o, f);
	release(o);
}

static void drop_facts(const struct trust_order *o, struct store_tx *tx)
{
	AUTO(mem_freep) char *root = mem_printf("%s%s", PREFIX_ROOT, o->authority);
	AUTO(mem_freep) char *over = mem_printf("%s%s", PREFIX_OVER, o->authority);
	AUTO(mem_freep) char *by = o->by ? order_fact_new(PREFIX_BY, o->by, o->authority) : NULL;
	store_tx_drop_fact(tx, root);
	store_tx_drop_fact(tx, over);
	if (by)
		store_tx_drop_fact(tx, by);
}

/* The end, whole or not at all: what leaves, and that the order is over. */
static void finish(struct trust_order *o, struct authority *a)
{
	struct store_tx *tx = store_tx_new();
	struct fault *f = a && o->over_ms < 0 ? trust_removal(a, o->by, tx, &o->removal) : NULL;
	audit_note(o->control, tx, "trust.rotated", NULL, NULL, o->by, o->authority);
	drop_facts(o, tx);
	o->waits = true;
	if (f) {
		store_tx_free(tx);
		on_finished(o, f);
		return;
	}
	store_commit(o->control->o.store, tx, on_finished, o);
	crash_point("trust.end_handed_over");
}

static void step(struct trust_order *o)
{
	struct control *c = o->control;
	struct authority *a = authority_find(c, o->authority);
	if (!a || !(ca_capabilities(authority_ca(a)) & CA_NEW_ROOT)) { /* a config without it */
		finish(o, NULL);
		return;
	}
	const struct trust_anchor *t = shown_root(a);
	if (!t || mark_of(t) == o->replaces) {
		ask(o, a);
		return;
	}
	tell(o, NULL);
	if (campaign_is_under_way(c, o->authority))
		return;
	if (trust_old_leaves(a, NULL)) {
		if (control_mono_ms(c) >= o->reissue_at_ms)
			reissue(o, t);
	} else if (o->over_ms >= 0 || !must_wait(o)) {
		finish(o, a);
	}
}

bool trust_order_holds_campaign(const struct control *c, const char *authority)
{
	return find(c, authority) && trust_is_paused(c, authority, NULL, NULL);
}

void trust_order_paused(struct control *c, const char *authority)
{
	struct trust_order *o = find(c, authority);
	if (o)
		tell(o, fault_new(FAULT_CONFLICT,
				"trust of authority %s was paused before its new root was in the bundles: leafcast "
				"trust resume %s goes on",
				authority, authority));
}

void trust_orders_watch(struct control *c)
{
	struct trust_order *o, *next;
	int64_t now = control_mono_ms(c);
	LL_FOREACH_SAFE (c->trust_orders, o, next)
		if (o->replaces && !o->waits && now >= o->again_at_ms && !trust_is_paused(c, o->authority, NULL, NULL))
			step(o);
}

/* --- orders --- */

static void on_ordered(void *arg, struct fault *f)
{
	struct trust_order *o = arg;
	o->waits = false;
	if (!f && !o->control->closing) {
		crash_point("trust.ordered");
		trust_orders_watch(o->control);
		return;
	}
	tell(o, f ? f : fault_new(FAULT_UNAVAILABLE, "leafcast is stopping; it goes on at the next start"));
	release(o);
}

static struct fault *check(struct control *c, const char *authority)
{
	struct authority *a = authority_find(c, authority);
	if (!a)
		return fault_new(FAULT_NOT_FOUND, "there is no authority %s", authority);
	if (!(ca_capabilities(authority_ca(a)) & CA_NEW_ROOT))
		return fault_new(FAULT_INVALID,
			"leafcast does not make the roots of %s: change them where they are made; new anchors go to "
			"the bundles first, and certificates under them follow by themselves",
			authority);
	if (!shown_root(a))
		return fault_set_retryable(fault_new(FAULT_UNAVAILABLE, "authority %s has no root yet", authority), -1);
	if (find(c, authority))
		return fault_new(FAULT_CONFLICT,
			"%s is being given a new root already: leafcast trust status %s shows how far it is", authority,
			authority);
	return trust_check_not_paused(c, authority);
}

void control_trust_rotate(struct control *c, const char *authority, int64_t over_ms, bool compromised, const char *by,
	control_done_fn *done, void *arg)
{
	struct fault *f = check(c, authority);
	if (f) {
		order_refuse(c, f, done, arg);
		return;
	}
	struct trust_order *o = find_or_add(c, authority);
	o->replaces = mark_of(shown_root(authority_find(c, authority)));
	o->over_ms = compromised ? -1 : over_ms;
	o->waits = true;
	o->done = done;
	o->arg = arg;
	set_by(o, by);
	struct store_tx *tx = store_tx_new();
	AUTO(mem_freep) char *root = mem_printf("%s%s", PREFIX_ROOT, authority);
	AUTO(mem_freep) char *over = mem_printf("%s%s", PREFIX_OVER, authority);
	AUTO(mem_freep) char *who = order_fact_new(PREFIX_BY, by, authority);
	audit_note(c, tx, compromised ? "trust.compromise_ordered" : "trust.rotate_ordered", NULL, NULL, by, authority);
	store_tx_put_fact(tx, root, o->replaces);
	store_tx_put_fact(tx, over, o->over_ms);
	store_tx_put_fact(tx, who, 1);
	store_commit(c->o.store, tx, on_ordered, o);
}

void control_each_anchor(struct control *c, void (*fn)(void *arg, const struct control_anchor *a), void *arg)
{
	for (struct authority *a = c->authorities; a; a = authority_next(a)) {
		struct trust_record *r = authority_trust(a)->record;
		const struct trust_order *o = find(c, authority_name(a));
		for (size_t i = 0; i < trust_record_count(r); i++) {
			const struct trust_anchor *t = trust_record_at(r, i);
			size_t count = 0;
			int64_t paused_ms = 0;
			const char *paused_by = NULL;
			bool waits = !t->ready_ms && !t->gone_ms;
			AUTO(mem_freep) char *who = waits ? trust_waited_for(a, NULL, NULL, &count) : NULL;
			(void)trust_is_paused(c, authority_name(a), &paused_ms, &paused_by);
			fn(arg, &(struct control_anchor){.authority = authority_name(a),
					.sha256 = t->sha256,
					.subject = t->subject,
					.since_ms = t->since_ms,
					.ready_ms = t->ready_ms,
					.gone_ms = t->gone_ms,
					.used_ms = t->used_ms,
					.not_after_ms = t->info->not_after_ms,
					.leaves = trust_leaves_under(a, t, NULL),
					.waits_for = who,
					.paused_ms = paused_ms,
					.paused_by = paused_by,
					.order = !o		  ? NULL
						 : o->over_ms < 0 ? "compromised"
								  : "rotating"});
		}
	}
}

void trust_orders_close(struct control *c)
{
	struct trust_order *o;
	LL_FOREACH (c->trust_orders, o)
		tell(o, fault_new(FAULT_UNAVAILABLE, "leafcast is stopping; it goes on at the next start"));
}

void trust_orders_free(struct control *c)
{
	while (c->trust_orders)
		release(c->trust_orders);
}
