/* control/trust_orders.c - an operator changes trust: a new root, those that are waited for passed over, old anchors
 * taken out. An order is one fact in the store (since when, and what at its end); each step is seen from what is there,
 * so a restart goes on in the middle. Steps: the authority makes a root; the bundles show it beside the old one; its
 * certificates follow as verifiers hold it (trust_switch.c, campaign.c); after a compromise the old anchors leave. */
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

struct trust_order {
	struct trust_order *next; /* control.trust_orders */
	struct control *control;
	char *authority;
	int64_t ordered_ms;		  /* wall */
	int64_t over_ms;		  /* -1: compromised */
	bool asking;			  /* the authority makes its root */
	int64_t again_at_ms, finished_ms; /* monotonic */
	control_done_fn *done;		  /* NULL: told */
	void *arg;
};

static const char PREFIX_AT[] = "trust-at/", PREFIX_OVER[] = "trust-over/";

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
	if (strncmp(fact, PREFIX_AT, sizeof PREFIX_AT - 1) == 0)
		find_or_add(c, fact + sizeof PREFIX_AT - 1)->ordered_ms = value;
	else if (strncmp(fact, PREFIX_OVER, sizeof PREFIX_OVER - 1) == 0)
		find_or_add(c, fact + sizeof PREFIX_OVER - 1)->over_ms = value;
}

static void on_noted(void *arg, struct fault *f)
{
	(void)arg;
	if (f)
		log_event(LOG_ERROR, "trust.not_recorded", LF(f));
	fault_free(f);
}

/* --- what is there --- */

/* The anchor that was shown first after the order, or NULL. */
static const struct trust_anchor *new_anchor(const struct trust_order *o, struct authority *a)
{
	struct trust_record *r = authority_trust(a)->record;
	for (size_t i = 0; i < trust_record_count(r); i++) {
		const struct trust_anchor *t = trust_record_at(r, i);
		if (!t->gone_ms && t->since_ms >= o->ordered_ms)
			return t;
	}
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

static void on_new_root(void *arg, struct fault *f)
{
	struct trust_order *o = arg;
	o->asking = false;
	if (!f) { /* the next step sees it */
		log_event(LOG_INFO, "trust.new_root", LS("authority", o->authority));
		return;
	}
	log_event(LOG_ERROR, "trust.no_new_root", LS("authority", o->authority), LF(f));
	o->again_at_ms = clock_mono_ms(o->control->o.clock) + AGAIN_MS;
	tell(o, fault_wrap(f, "authority %s has no new root yet; it is tried again", o->authority));
}

static void ask(struct trust_order *o, struct authority *a)
{
	if (o->asking || !authority_is_ready(a) || clock_mono_ms(o->control->o.clock) < o->again_at_ms)
		return;
	o->asking = true;
	ca_new_root(authority_ca(a), on_new_root, o);
}

static void reissue(struct trust_order *o, const struct trust_anchor *t)
{
	struct store_tx *tx = store_tx_new();
	audit_note(o->control, tx, "trust.reissue", NULL, NULL, NULL, t->sha256);
	campaign_begin(o->control, o->authority, control_now_ms(o->control), o->over_ms > 0 ? o->over_ms : 0, tx);
	store_commit(o->control->o.store, tx, on_noted, NULL);
}

static bool take_out(struct trust_order *o, struct authority *a)
{
	struct control *c = o->control;
	int64_t now = clock_mono_ms(c->o.clock);
	size_t waiting = not_acked(c, o->authority);
	if (!o->finished_ms)
		o->finished_ms = now;
	if (waiting && now - o->finished_ms < ACK_PATIENCE_MS)
		return false;
	if (waiting)
		log_event(LOG_WARN, "trust.not_all_acked", LS("authority", o->authority), LI("waiting", waiting),
			LS("effect", "the old anchors leave all the same"));
	size_t count;
	struct fault *f = control_trust_remove(c, o->authority, true, NULL, &count);
	fault_ignore(f, "the authority is there: a");
	(void)a;
	return true;
}

static void finish(struct trust_order *o)
{
	struct store_tx *tx = store_tx_new();
	AUTO(mem_freep) char *at = mem_printf("%s%s", PREFIX_AT, o->authority);
	AUTO(mem_freep) char *over = mem_printf("%s%s", PREFIX_OVER, o->authority);
	audit_note(o->control, tx, "trust.rotated", NULL, NULL, NULL, o->authority);
	store_tx_drop_fact(tx, at);
	store_tx_drop_fact(tx, over);
	store_commit(o->control->o.store, tx, on_noted, NULL);
	tell(o, NULL);
	release(o);
}

static void step(struct trust_order *o)
{
	struct control *c = o->control;
	struct authority *a = authority_find(c, o->authority);
	if (!a || !(ca_capabilities(authority_ca(a)) & CA_NEW_ROOT)) { /* a config without it */
		finish(o);
		return;
	}
	const struct trust_anchor *t = new_anchor(o, a);
	if (!t) {
		ask(o, a);
		return;
	}
	tell(o, NULL);
	if (campaign_is_under_way(c, o->authority))
		return;
	if (old_leaves(c, a, NULL)) {
		reissue(o, t);
		return;
	}
	if (o->over_ms >= 0 || take_out(o, a))
		finish(o);
}

void trust_orders_watch(struct control *c)
{
	struct trust_order *o, *next;
	LL_FOREACH_SAFE (c->trust_orders, o, next)
		if (o->ordered_ms)
			step(o);
}

/* --- orders --- */

struct new_order {
	struct control *control;
	char *authority;
	int64_t ordered_ms, over_ms;
	control_done_fn *done;
	void *arg;
};

static void on_recorded(void *arg, struct fault *f)
{
	struct new_order *n = arg;
	struct control *c = n->control;
	if (f || c->closing) {
		n->done(n->arg,
			f ? f : fault_new(FAULT_UNAVAILABLE, "leafcast is stopping; it goes on at the next start"));
	} else {
		struct trust_order *o = find_or_add(c, n->authority);
		o->ordered_ms = n->ordered_ms;
		o->over_ms = n->over_ms;
		o->done = n->done;
		o->arg = n->arg;
		trust_orders_watch(c);
	}
	free(n->authority);
	free(n);
}

static struct fault *check(struct control *c, const char *authority)
{
	struct authority *a = authority_find(c, authority);
	if (!a)
		return fault_new(FAULT_NOT_FOUND, "there is no authority %s", authority);
	if (!(ca_capabilities(authority_ca(a)) & CA_NEW_ROOT))
		return fault_new(FAULT_INVALID,
			"the roots of %s are not made here: change them there; leafcast shows new anchors first, and "
			"certificates under them follow by themselves",
			authority);
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
	struct new_order *n = mem_new(struct new_order);
	*n = (struct new_order){c, mem_strdup(authority), control_now_ms(c), compromised ? -1 : over_ms, done, arg};
	struct store_tx *tx = store_tx_new();
	AUTO(mem_freep) char *at = mem_printf("%s%s", PREFIX_AT, authority);
	AUTO(mem_freep) char *over = mem_printf("%s%s", PREFIX_OVER, authority);
	audit_note(c, tx, compromised ? "trust.compromise_ordered" : "trust.rotate_ordered", NULL, NULL, by, authority);
	store_tx_put_fact(tx, at, n->ordered_ms);
	store_tx_put_fact(tx, over, n->over_ms);
	store_commit(c->o.store, tx, on_recorded, n);
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

struct fault *control_trust_remove(
	struct control *c, const char *authority, bool force, const char *by, size_t *ret_count)
{
	struct authority *a = authority_find(c, authority);
	const struct entry *one = NULL;
	if (!a)
		return fault_new(FAULT_NOT_FOUND, "there is no authority %s", authority);
	size_t leaves = old_leaves(c, a, &one);
	if (leaves && !force)
		return fault_new(FAULT_CONFLICT,
			"%zu certificates are served under the anchors that would leave (%s and others): connections "
			"with them "
			"would fail. leafcast rotate --authority %s --over 0s replaces them; --force takes the anchors "
			"out "
			"now",
			leaves, entry_key_text(one->key), authority);
	*ret_count = trust_record_drop_gone(authority_trust(a)->record);
	if (!*ret_count)
		return fault_new(FAULT_CONFLICT, "authority %s shows every anchor that its bundles hold", authority);
	AUTO(mem_freep) char *detail = mem_printf("authority %s, %zu anchors", authority, *ret_count);
	audit_note(c, NULL, "trust.anchors_removed", NULL, NULL, by, detail);
	trust_save(a);
	bundles_refresh(c);
	if (c->o.on_trust)
		c->o.on_trust(c->o.arg);
	return NULL;
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
