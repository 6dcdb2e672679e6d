/* control/trust_orders.c - an operator changes trust: a new root, those that are waited for passed over, old anchors
 * taken out. An order is two facts in the store (which root it replaces, and what comes at its end); each step is seen
 * from what is there, so a restart goes on in the middle. Steps: the authority makes a root; the bundles show it beside
 * the old one; its certificates follow as verifiers hold it (trust_switch.c, campaign.c); after a compromise the old
 * anchors leave. */
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/internal.h"
#include "control/trust_record.h"

/* Proxies that do not take their last certificate are waited for so long before an old anchor leaves. */
#define ACK_PATIENCE_MS (INT64_C(60) * MS_PER_S)
#define AGAIN_MS (INT64_C(5) * MS_PER_S)
#define REISSUE_PAUSE_MS MS_PER_MIN

struct trust_order {
	struct trust_order *next; /* control.trust_orders */
	struct control *control;
	char *authority;
	int64_t replaces;		  /* the root that goes: mark_of(); 0: not read yet */
	int64_t over_ms;		  /* -1: compromised */
	bool waits;			  /* for its authority or the store */
	int64_t again_at_ms, finished_ms; /* monotonic: no next step before; since when everything is issued anew */
	control_done_fn *done;		  /* NULL: told */
	void *arg;
};

static const char PREFIX_ROOT[] = "trust-root/", PREFIX_OVER[] = "trust-over/";

static void tell(struct trust_order *o, struct fault *f)
{
	control_done_fn *done = o->done;
	o->done = NULL;
	if (done)
		done(o->arg, f);
	else
		fault_free(f);
}

static struct trust_order *find(struct control *c, const char *authority)
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
	free(o->authority);
	free(o);
}

void trust_order_load(struct control *c, const char *fact, int64_t value)
{
	if (strncmp(fact, PREFIX_ROOT, sizeof PREFIX_ROOT - 1) == 0)
		find_or_add(c, fact + sizeof PREFIX_ROOT - 1)->replaces = value;
	else if (strncmp(fact, PREFIX_OVER, sizeof PREFIX_OVER - 1) == 0)
		find_or_add(c, fact + sizeof PREFIX_OVER - 1)->over_ms = value;
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

static size_t leaves_under(
	const struct control *c, const struct authority *a, const struct trust_anchor *t, const struct entry **ret_one)
{
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

/* Certificates that are served, under anchors that the authority shows no more. */
static size_t old_leaves(const struct control *c, struct authority *a, const struct entry **ret_one)
{
	struct trust_record *r = authority_trust(a)->record;
	size_t n = 0;
	for (size_t i = 0; i < trust_record_count(r); i++)
		if (trust_record_at(r, i)->gone_ms)
			n += leaves_under(c, a, trust_record_at(r, i), ret_one);
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
	o->again_at_ms = clock_mono_ms(o->control->o.clock) + ms;
}

static void on_new_root(void *arg, struct fault *f)
{
	struct trust_order *o = arg;
	o->waits = false;
	if (!f) { /* the next step sees it */
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
	audit_note(o->control, tx, "trust.reissue", NULL, NULL, NULL, t->sha256);
	campaign_begin(o->control, o->authority, o->over_ms > 0 ? o->over_ms : 0, tx);
	store_commit(o->control->o.store, tx, on_begun, NULL);
	pause_until(o, REISSUE_PAUSE_MS);
}

/* Proxies that have not taken their new certificate yet, and still have time to. */
static bool must_wait(struct trust_order *o)
{
	int64_t now = clock_mono_ms(o->control->o.clock);
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

/* Out of memory at once, so that nobody trusts them any more; the transaction makes it last. */
static struct fault *take_out(struct authority *a, const char *by, struct store_tx *tx, size_t *ret_count)
{
	struct control *c = authority_control(a);
	*ret_count = trust_record_drop_gone(authority_trust(a)->record);
	AUTO(mem_freep) char *detail = mem_printf("authority %s, %zu anchors", authority_name(a), *ret_count);
	audit_note(c, tx, "trust.anchors_removed", NULL, NULL, by, detail);
	struct fault *f = trust_save_with(a, tx);
	bundles_refresh(c);
	if (c->o.on_trust)
		c->o.on_trust(c->o.arg);
	return f;
}

static void on_finished(void *arg, struct fault *f)
{
	struct trust_order *o = arg;
	o->waits = false;
	if (f && !o->control->closing) {
		log_event(LOG_ERROR, "trust.not_recorded", LS("authority", o->authority), LF(f));
		fault_free(f);
		pause_until(o, AGAIN_MS);
		return;
	}
	tell(o, f);
	release(o);
}

/* The end, whole or not at all: what leaves, and that the order is over. */
static void finish(struct trust_order *o, struct authority *a)
{
	struct store_tx *tx = store_tx_new();
	AUTO(mem_freep) char *root = mem_printf("%s%s", PREFIX_ROOT, o->authority);
	AUTO(mem_freep) char *over = mem_printf("%s%s", PREFIX_OVER, o->authority);
	size_t removed;
	struct fault *f = a && o->over_ms < 0 ? take_out(a, NULL, tx, &removed) : NULL;
	audit_note(o->control, tx, "trust.rotated", NULL, NULL, NULL, o->authority);
	store_tx_drop_fact(tx, root);
	store_tx_drop_fact(tx, over);
	o->waits = true;
	if (f) {
		store_tx_free(tx);
		on_finished(o, f);
		return;
	}
	store_commit(o->control->o.store, tx, on_finished, o);
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
	if (old_leaves(c, a, NULL))
		reissue(o, t);
	else if (o->over_ms >= 0 || !must_wait(o))
		finish(o, a);
}

void trust_orders_watch(struct control *c)
{
	struct trust_order *o, *next;
	int64_t now = clock_mono_ms(c->o.clock);
	LL_FOREACH_SAFE (c->trust_orders, o, next)
		if (o->replaces && !o->waits && now >= o->again_at_ms)
			step(o);
}

/* --- orders --- */

static void on_ordered(void *arg, struct fault *f)
{
	struct trust_order *o = arg;
	o->waits = false;
	if (!f && !o->control->closing) {
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
		return fault_new(FAULT_CONFLICT, "%s is being given a new root already", authority);
	return NULL;
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
	struct store_tx *tx = store_tx_new();
	AUTO(mem_freep) char *root = mem_printf("%s%s", PREFIX_ROOT, authority);
	AUTO(mem_freep) char *over = mem_printf("%s%s", PREFIX_OVER, authority);
	audit_note(c, tx, compromised ? "trust.compromise_ordered" : "trust.rotate_ordered", NULL, NULL, by, authority);
	store_tx_put_fact(tx, root, o->replaces);
	store_tx_put_fact(tx, over, o->over_ms);
	store_commit(c->o.store, tx, on_ordered, o);
}

struct fault *control_trust_proceed(struct control *c, const char *authority, const char *by, char **ret_passed_over)
{
	struct authority *a = authority_find(c, authority);
	size_t count = 0, forced = 0;
	if (!a)
		return fault_new(FAULT_NOT_FOUND, "there is no authority %s", authority);
	struct trust_record *r = authority_trust(a)->record;
	*ret_passed_over = trust_waited_for(a, NULL, &count);
	for (size_t i = 0; i < trust_record_count(r); i++) {
		struct trust_anchor *t = trust_record_at(r, i);
		if (t->ready_ms || t->gone_ms)
			continue;
		t->ready_ms = control_now_ms(c);
		forced++;
	}
	if (!forced)
		return fault_new(FAULT_CONFLICT, "no anchor of %s is waiting for anybody", authority);
	audit_note(c, NULL, "trust.proceed_ordered", NULL, NULL, by, *ret_passed_over);
	trust_save(a);
	for (struct entry *e = c->entries, *next; e; e = next) {
		next = e->hh.next;
		if (e->held)
			rotation_replan(e);
	}
	return NULL;
}

struct removal {
	size_t count;
	control_removed_fn *done;
	void *arg;
};

static void on_removed(void *arg, struct fault *f)
{
	struct removal *r = arg;
	r->done(r->arg,
		f ? fault_wrap(f,
			    "the anchors have left the bundles, but that is not stored yet: it is written again within "
			    "10 minutes, and is lost if leafcast ends before")
		  : NULL,
		r->count);
	free(r);
}

static void on_not_removed(void *arg, struct fault *f)
{
	struct removal *r = arg;
	r->done(r->arg, f, 0);
	free(r);
}

static struct fault *check_removal(struct control *c, const char *authority, bool force)
{
	struct authority *a = authority_find(c, authority);
	const struct entry *one = NULL;
	if (!a)
		return fault_new(FAULT_NOT_FOUND, "there is no authority %s", authority);
	size_t leaves = old_leaves(c, a, &one);
	if (leaves && !force)
		return fault_new(FAULT_CONFLICT,
			"%zu certificates are served under the anchors that would leave (%s and others): connections "
			"with them would fail. leafcast rotate --authority %s --over 0s replaces them; --force takes "
			"the anchors "
			"out now",
			leaves, entry_key_text(one->key), authority);
	struct trust_record *r = authority_trust(a)->record;
	for (size_t i = 0; i < trust_record_count(r); i++)
		if (trust_record_at(r, i)->gone_ms)
			return NULL;
	return fault_new(FAULT_CONFLICT, "authority %s shows every anchor that its bundles hold", authority);
}

void control_trust_remove(
	struct control *c, const char *authority, bool force, const char *by, control_removed_fn *done, void *arg)
{
	struct removal *r = mem_new(struct removal);
	*r = (struct removal){0, done, arg};
	struct fault *f = check_removal(c, authority, force);
	if (f) {
		order_refuse(c, f, on_not_removed, r);
		return;
	}
	struct store_tx *tx = store_tx_new();
	f = take_out(authority_find(c, authority), by, tx, &r->count);
	if (f) {
		store_tx_free(tx);
		order_refuse(c, f, on_removed, r);
	} else {
		store_commit(c->o.store, tx, on_removed, r);
	}
}

void control_each_anchor(struct control *c, void (*fn)(void *arg, const struct control_anchor *a), void *arg)
{
	for (struct authority *a = c->authorities; a; a = authority_next(a)) {
		struct trust_record *r = authority_trust(a)->record;
		const struct trust_order *o = find(c, authority_name(a));
		for (size_t i = 0; i < trust_record_count(r); i++) {
			const struct trust_anchor *t = trust_record_at(r, i);
			size_t count = 0;
			AUTO(mem_freep)
			char *who = t->ready_ms || t->gone_ms ? NULL : trust_waited_for(a, NULL, &count);
			fn(arg, &(struct control_anchor){.authority = authority_name(a),
					.sha256 = t->sha256,
					.subject = t->subject,
					.since_ms = t->since_ms,
					.ready_ms = t->ready_ms,
					.gone_ms = t->gone_ms,
					.used_ms = t->used_ms,
					.not_after_ms = t->info->not_after_ms,
					.leaves = leaves_under(c, a, t, NULL),
					.waits_for = who,
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
