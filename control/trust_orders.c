/* control/trust_orders.c - an operator orders a new root. An order is three facts in the store (which root it replaces
 * or keeps, what comes at its end, who gave it); each step is seen from what is there, so a restart goes on in the
 * middle. Steps: the authority makes a root; the bundles show it beside the old one; its certificates follow as
 * verifiers hold it (trust_switch.c, campaign.c); after a compromise the old anchors leave (trust_change.c). Where an
 * authority makes its roots itself the new one must be there already, and the older ones are banned (trust_banning.c).
 * While trust is paused (trust_pause.c) no step is done. */
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
	char *taken_by;			  /* who makes a compromise of it, until that is stored */
	int64_t replaces;		  /* the root that goes: trust_mark(); 0: not read yet, or: */
	int64_t keeps;			  /* the root that stays, of an authority that makes its own */
	int64_t over_ms;		  /* -1: compromised */
	bool waits;			  /* for its authority or the store */
	int64_t again_at_ms, finished_ms; /* monotonic: no next step before; since when everything is issued anew */
	int64_t reissue_at_ms;		  /* monotonic: no next campaign before */
	struct trust_change *removal;	  /* under way */
	struct trust_banning *banning;	  /* likewise */
	control_done_fn *done;		  /* NULL: told */
	void *arg;
};

static const char PREFIX_ROOT[] = "trust-root/", PREFIX_KEEP[] = "trust-keep/", PREFIX_OVER[] = "trust-over/",
		  PREFIX_BY[] = "trust-by/";

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
	trust_banning_free(o->control, o->banning);
	free(o->by);
	free(o->taken_by);
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
	else if (strncmp(fact, PREFIX_KEEP, sizeof PREFIX_KEEP - 1) == 0)
		find_or_add(c, fact + sizeof PREFIX_KEEP - 1)->keeps = value;
	else if (strncmp(fact, PREFIX_OVER, sizeof PREFIX_OVER - 1) == 0)
		find_or_add(c, fact + sizeof PREFIX_OVER - 1)->over_ms =
			value < -1 || value > CONTROL_OVER_MAX_MS ? CONTROL_OVER_MAX_MS : value;
}

/* --- what is there --- */

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
		trust_banning_free(o->control, TAKE(o->banning));
		pause_until(o, AGAIN_MS);
		return;
	}
	crash_point("trust.ended");
	if (o->removal && !f)
		trust_change_apply(o->control, TAKE(o->removal));
	if (o->banning && !f)
		trust_banning_apply(o->control, TAKE(o->banning));
	tell(o, f);
	release(o);
}

static void drop_facts(const struct trust_order *o, struct store_tx *tx)
{
	AUTO(mem_freep) char *root = mem_printf("%s%s", PREFIX_ROOT, o->authority);
	AUTO(mem_freep) char *keep = mem_printf("%s%s", PREFIX_KEEP, o->authority);
	AUTO(mem_freep) char *over = mem_printf("%s%s", PREFIX_OVER, o->authority);
	AUTO(mem_freep) char *by = o->by ? order_fact_new(PREFIX_BY, o->by, o->authority) : NULL;
	store_tx_drop_fact(tx, root);
	store_tx_drop_fact(tx, keep);
	store_tx_drop_fact(tx, over);
	if (by)
		store_tx_drop_fact(tx, by);
}

static struct fault *let_go(struct trust_order *o, struct authority *a, struct store_tx *tx)
{
	if (!a || o->over_ms >= 0)
		return NULL;
	return o->keeps ? trust_ban_older(a, trust_root_of(a, o->keeps), o->by, tx, &o->banning)
			: trust_removal(a, o->by, tx, &o->removal);
}

/* The end, whole or not at all: what leaves, and that the order is over. */
static void finish(struct trust_order *o, struct authority *a)
{
	struct store_tx *tx = store_tx_new();
	struct fault *f = let_go(o, a, tx);
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

/* The new root t is in the bundles: certificates under it, then the old ones go. */
static void follow(struct trust_order *o, struct authority *a, const struct trust_anchor *t)
{
	struct control *c = o->control;
	tell(o, NULL);
	if (campaign_is_under_way(c, o->authority))
		return;
	if (o->keeps ? trust_leaves_older(a, t) : trust_old_leaves(a, NULL)) {
		if (control_mono_ms(c) >= o->reissue_at_ms)
			reissue(o, t);
	} else if (o->over_ms >= 0 || !must_wait(o)) {
		finish(o, a);
	}
}

static void step(struct trust_order *o)
{
	struct authority *a = authority_find(o->control, o->authority);
	bool makes_roots = a && (ca_capabilities(authority_ca(a)) & CA_NEW_ROOT);
	if (!a || makes_roots != !o->keeps) { /* a config without it */
		finish(o, NULL);
		return;
	}
	const struct trust_anchor *t = o->keeps ? trust_root_of(a, o->keeps) : trust_shown_root(a);
	if (o->keeps && !t) {
		log_event(LOG_ERROR, "trust.kept_root_gone", LS("authority", o->authority),
			LS("effect", "the order ends, and no anchor was removed"));
		finish(o, NULL);
	} else if (o->keeps ? !t->gone_ms : t && trust_mark(t) != o->replaces) {
		follow(o, a, t);
	} else if (!o->keeps) {
		ask(o, a);
	} /* else it is shown again, or goes */
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
		if ((o->replaces || o->keeps) && !o->waits && now >= o->again_at_ms &&
			!trust_is_paused(c, o->authority, NULL, NULL))
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

/* Roots that leafcast does not make are removed where a newer one is there. */
static struct fault *check_root(struct authority *a, bool compromised)
{
	const char *name = authority_name(a);
	bool makes_roots = ca_capabilities(authority_ca(a)) & CA_NEW_ROOT;
	if (!makes_roots && compromised)
		return trust_check_newest(a);
	if (!makes_roots)
		return fault_new(FAULT_INVALID,
			"leafcast does not make the roots of %s: change them where they are made; new anchors go to "
			"the bundles first, and certificates under them follow by themselves",
			name);
	if (!trust_shown_root(a))
		return fault_set_retryable(fault_new(FAULT_UNAVAILABLE, "authority %s has no root yet", name), -1);
	return NULL;
}

static struct fault *check(struct control *c, const char *authority, bool compromised)
{
	struct authority *a = authority_find(c, authority);
	if (!a)
		return fault_new(FAULT_NOT_FOUND, "there is no authority %s", authority);
	TRY(check_root(a, compromised));
	const struct trust_order *o = find(c, authority);
	if (o && !(compromised && o->replaces && o->over_ms >= 0))
		return fault_new(FAULT_CONFLICT,
			"%s is being given a new root already: leafcast trust status %s shows how far it is", authority,
			authority);
	if (o && (o->waits || o->done))
		return fault_set_retryable(
			fault_new(FAULT_CONFLICT,
				"%s is being given a new root, and a step of that is on its way: order "
				"this again in a moment",
				authority),
			-1);
	return trust_check_not_paused(c, authority);
}

/* The root that goes, or the one that stays. */
static void note_root(struct trust_order *o, struct authority *a, struct store_tx *tx)
{
	bool makes_roots = ca_capabilities(authority_ca(a)) & CA_NEW_ROOT;
	int64_t mark = trust_mark(makes_roots ? trust_shown_root(a) : trust_newest(a));
	AUTO(mem_freep) char *fact = mem_printf("%s%s", makes_roots ? PREFIX_ROOT : PREFIX_KEEP, o->authority);
	*(makes_roots ? &o->replaces : &o->keeps) = mark;
	store_tx_put_fact(tx, fact, mark);
}

static void on_taken_over(void *arg, struct fault *f)
{
	struct trust_order *o = arg;
	AUTO(mem_freep) char *by = TAKE(o->taken_by);
	o->waits = false;
	if (f) { /* it stays what it was */
		tell(o, f);
		return;
	}
	o->over_ms = -1;
	set_by(o, by);
	if (!o->control->closing) /* else trust_orders_close() has told */
		trust_orders_watch(o->control);
}

/* A compromise while a new root is being rotated in: that one stays, what is left of the rotation is due at once, and
 * the old anchors leave at its end. */
static void take_over(struct trust_order *o, const char *by, struct store_tx *tx)
{
	AUTO(mem_freep) char *over = mem_printf("%s%s", PREFIX_OVER, o->authority);
	AUTO(mem_freep) char *before = o->by ? order_fact_new(PREFIX_BY, o->by, o->authority) : NULL;
	AUTO(mem_freep) char *who = order_fact_new(PREFIX_BY, by, o->authority);
	if (before && strcmp(before, who) != 0)
		store_tx_drop_fact(tx, before);
	o->taken_by = mem_strdup(by);
	store_tx_put_fact(tx, over, -1);
	store_tx_put_fact(tx, who, 1);
	campaign_hurry(o->control, o->authority, tx);
	store_commit(o->control->o.store, tx, on_taken_over, o);
}

void control_trust_rotate(struct control *c, const char *authority, int64_t over_ms, bool compromised, const char *by,
	control_done_fn *done, void *arg)
{
	struct fault *f = check(c, authority, compromised);
	if (f) {
		order_refuse(c, f, done, arg);
		return;
	}
	bool is_new = !find(c, authority);
	struct trust_order *o = find_or_add(c, authority);
	o->waits = true;
	o->done = done;
	o->arg = arg;
	struct store_tx *tx = store_tx_new();
	audit_note(c, tx, compromised ? "trust.compromise_ordered" : "trust.rotate_ordered", NULL, NULL, by, authority);
	if (!is_new) {
		take_over(o, by, tx);
		return;
	}
	o->over_ms = compromised ? -1 : over_ms;
	set_by(o, by);
	AUTO(mem_freep) char *over = mem_printf("%s%s", PREFIX_OVER, authority);
	AUTO(mem_freep) char *who = order_fact_new(PREFIX_BY, by, authority);
	note_root(o, authority_find(c, authority), tx);
	store_tx_put_fact(tx, over, o->over_ms);
	store_tx_put_fact(tx, who, 1);
	store_commit(c->o.store, tx, on_ordered, o);
}

const char *trust_order_state(const struct control *c, const char *authority)
{
	const struct trust_order *o = find(c, authority);
	return !o ? NULL : o->over_ms < 0 ? "compromised" : "rotating";
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
