/* control/campaign.c - a new key and certificate for every secret of an authority, or for all, spread over a time. An
 * order is two facts in the store and no list: what was received before it is due, at a moment that the version's hash
 * draws (rotation_plan.c), so a restart goes on where it was. */
#include "base/clock.h"
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "control/internal.h"

#define ALL "*" /* no authority has this name */
#define AGAIN_MS (INT64_C(5) * MS_PER_S)

struct campaign {
	struct campaign *next; /* control.campaigns */
	char *authority;       /* or ALL */
	int64_t ordered_ms, over_ms;
	bool ending;	     /* that is on its way to the store */
	int64_t again_at_ms; /* monotonic: not before, when it could not be stored */
};

static bool covers(const struct campaign *k, const struct entry *e)
{
	if (!e->def || e->kind != SECRET_TLS_CERTIFICATE || !e->current || !version_authority(e->current))
		return false;
	return strcmp(k->authority, ALL) == 0 || strcmp(k->authority, version_authority(e->current)) == 0;
}

/* The clock was set back since: what was received at a time to come is older than any order. */
static bool is_from_later(const struct entry *e)
{
	return version_received_at_ms(e->current) > control_now_ms(e->control);
}

static bool is_left(const struct campaign *k, const struct entry *e)
{
	return covers(k, e) && (version_received_at_ms(e->current) < k->ordered_ms || is_from_later(e));
}

/* One from later is due at once: when its time has come it would look new. */
void campaign_facts(const struct entry *e, int64_t *ret_ordered_ms, int64_t *ret_over_ms)
{
	*ret_ordered_ms = *ret_over_ms = 0;
	for (const struct campaign *k = e->control->campaigns; k; k = k->next) {
		if (!is_left(k, e) || trust_order_holds_campaign(e->control, k->authority))
			continue;
		int64_t over_ms = is_from_later(e) ? 0 : k->over_ms;
		if (!*ret_ordered_ms || k->ordered_ms + over_ms < *ret_ordered_ms + *ret_over_ms) {
			*ret_ordered_ms = k->ordered_ms;
			*ret_over_ms = over_ms;
		}
	}
}

/* An order counts from the next millisecond on: what was received in this one was there before it. */
static int64_t order_time(const struct control *c)
{
	return control_now_ms(c) + 1;
}

static struct campaign *find(struct control *c, const char *authority)
{
	struct campaign *k;
	LL_FOREACH (c->campaigns, k)
		if (strcmp(k->authority, authority) == 0)
			return k;
	return NULL;
}

static struct campaign *find_or_add(struct control *c, const char *authority)
{
	struct campaign *k = find(c, authority);
	if (k)
		return k;
	k = mem_new(struct campaign);
	k->authority = mem_strdup(authority);
	LL_APPEND(c->campaigns, k);
	return k;
}

static void drop(struct control *c, struct campaign *k)
{
	LL_DELETE(c->campaigns, k);
	free(k->authority);
	free(k);
}

/* --- in the store --- */

static const char PREFIX_AT[] = "rotate-at/", PREFIX_OVER[] = "rotate-over/";

static char *fact_of(const char *prefix, const char *authority)
{
	return mem_printf("%s%s", prefix, authority);
}

static int64_t within(int64_t value, int64_t most)
{
	return value < 0 ? 0 : value < most ? value : most;
}

/* Both facts of one campaign are written together, and read in any order. One that was ordered at a time to come (the
 * clock was set back since, or a stranger wrote it) counts from now on: else it would have no end. */
void campaign_load(struct control *c, const char *fact, int64_t value)
{
	if (strncmp(fact, PREFIX_AT, sizeof PREFIX_AT - 1) == 0)
		find_or_add(c, fact + sizeof PREFIX_AT - 1)->ordered_ms = within(value, order_time(c));
	else if (strncmp(fact, PREFIX_OVER, sizeof PREFIX_OVER - 1) == 0)
		find_or_add(c, fact + sizeof PREFIX_OVER - 1)->over_ms = within(value, CONTROL_OVER_MAX_MS);
}

void campaign_begin(struct control *c, const char *authority, int64_t over_ms, struct store_tx *tx)
{
	struct campaign *k = find_or_add(c, authority);
	AUTO(mem_freep) char *at = fact_of(PREFIX_AT, authority);
	AUTO(mem_freep) char *over = fact_of(PREFIX_OVER, authority);
	k->ordered_ms = order_time(c);
	k->over_ms = over_ms;
	store_tx_put_fact(tx, at, k->ordered_ms);
	store_tx_put_fact(tx, over, over_ms);
	rotation_replan_all(c);
}

void campaign_hurry(struct control *c, const char *authority, struct store_tx *tx)
{
	struct campaign *k = find(c, authority);
	if (!k)
		return;
	AUTO(mem_freep) char *over = fact_of(PREFIX_OVER, authority);
	k->over_ms = 0;
	store_tx_put_fact(tx, over, 0);
	rotation_replan_all(c);
}

bool campaign_is_under_way(struct control *c, const char *authority)
{
	return find(c, authority) != NULL;
}

struct order {
	struct control *control;
	char *authority;
	int64_t ordered_ms, over_ms;
	control_done_fn *done;
	void *arg;
};

static void on_ordered(void *arg, struct fault *f)
{
	struct order *o = arg;
	o->control->campaigns_ordered--;
	if (!f && !o->control->closing) {
		struct campaign *k = find_or_add(o->control, o->authority);
		k->ordered_ms = o->ordered_ms;
		k->over_ms = o->over_ms;
		rotation_replan_all(o->control);
	}
	o->done(o->arg, f);
	free(o->authority);
	free(o);
}

void control_rotate_all(
	struct control *c, const char *authority, int64_t over_ms, const char *by, control_done_fn *done, void *arg)
{
	if (authority && !authority_find(c, authority)) {
		order_refuse(c, fault_new(FAULT_NOT_FOUND, "there is no authority %s", authority), done, arg);
		return;
	}
	struct order *o = mem_new(struct order);
	*o = (struct order){c, mem_strdup(authority ? authority : ALL), order_time(c), over_ms, done, arg};
	struct store_tx *tx = store_tx_new();
	AUTO(mem_freep) char *at = fact_of(PREFIX_AT, o->authority);
	AUTO(mem_freep) char *over = fact_of(PREFIX_OVER, o->authority);
	AUTO(mem_freep)
	char *detail = mem_printf("authority %s, over %lld s", o->authority, (long long)(over_ms / 1000));
	audit_note(c, tx, "campaign.ordered", NULL, NULL, by, detail);
	c->campaigns_ordered++;
	store_tx_put_fact(tx, at, o->ordered_ms);
	store_tx_put_fact(tx, over, over_ms);
	store_commit(c->o.store, tx, on_ordered, o);
}

struct ending {
	struct control *control;
	char *authority;
	int64_t ordered_ms;
};

/* One that was ordered anew meanwhile is another one. */
static void on_finished(void *arg, struct fault *f)
{
	struct ending *e = arg;
	struct campaign *k = find(e->control, e->authority);
	if (f)
		log_event(LOG_WARN, "campaign.not_recorded", LS("authority", e->authority), LF(f));
	else
		log_event(LOG_INFO, "campaign.finished", LS("authority", e->authority));
	if (k && f)
		k->again_at_ms = control_mono_ms(e->control) + AGAIN_MS;
	if (k)
		k->ending = false;
	if (k && !f && k->ordered_ms == e->ordered_ms)
		drop(e->control, k);
	fault_free(f);
	free(e->authority);
	free(e);
}

static void count(const struct control *c, const struct campaign *k, struct control_campaign *ret)
{
	*ret = (struct control_campaign){strcmp(k->authority, ALL) == 0 ? NULL : k->authority, k->ordered_ms,
		k->ordered_ms + k->over_ms, 0, 0, 0, trust_order_holds_campaign(c, k->authority)};
	for (const struct entry *e = c->entries; e; e = e->hh.next) {
		if (!covers(k, e))
			continue;
		ret->total++;
		ret->left += is_left(k, e);
		ret->failing += is_left(k, e) && e->last_error;
	}
}

/* One that nobody holds is not renewed; it is forgotten, so that who comes back gets a new one. */
static void forget_idle(struct control *c, const struct campaign *k)
{
	int64_t now = control_now_ms(c);
	for (struct entry *e = c->entries, *next; e; e = next) {
		next = e->hh.next;
		if (is_left(k, e) && !rotation_is_kept_fresh(e, now) && !e->committing && !e->issuance && !e->awaited)
			publish_forget(e);
	}
}

static void end(struct control *c, struct campaign *k, size_t total)
{
	struct store_tx *tx = store_tx_new();
	AUTO(mem_freep) char *at = fact_of(PREFIX_AT, k->authority);
	AUTO(mem_freep) char *over = fact_of(PREFIX_OVER, k->authority);
	AUTO(mem_freep) char *detail = mem_printf("authority %s, %zu secrets", k->authority, total);
	struct ending *e = mem_new(struct ending);
	*e = (struct ending){c, mem_strdup(k->authority), k->ordered_ms};
	k->ending = true;
	audit_record(c, tx, "campaign.finished", NULL, NULL, NULL, detail);
	store_tx_drop_fact(tx, at);
	store_tx_drop_fact(tx, over);
	store_commit(c->o.store, tx, on_finished, e);
}

/* An order that is on its way to the store puts the facts that an end would drop. */
void campaigns_watch(struct control *c)
{
	struct campaign *k, *next;
	if (c->campaigns_ordered)
		return;
	LL_FOREACH_SAFE (c->campaigns, k, next) {
		struct control_campaign n;
		if (k->ending || control_mono_ms(c) < k->again_at_ms || trust_order_holds_campaign(c, k->authority))
			continue;
		forget_idle(c, k);
		count(c, k, &n);
		if (!n.left)
			end(c, k, n.total);
	}
}

void control_each_campaign(struct control *c, void (*fn)(void *arg, const struct control_campaign *k), void *arg)
{
	for (const struct campaign *k = c->campaigns; k; k = k->next) {
		struct control_campaign n;
		count(c, k, &n);
		fn(arg, &n);
	}
}

void campaigns_free(struct control *c)
{
	while (c->campaigns)
		drop(c, c->campaigns);
}
