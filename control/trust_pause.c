/* control/trust_pause.c - the change of an authority's trust stands still until an operator says so: no new root is
 * made, no anchor becomes one that certificates may be served under, nothing is issued anew for it, no anchor leaves by
 * itself. What must not wait goes on: renewals by life, and a leaf that is held until its predecessor's last fifth.
 * A pause is a fact in the store, so it outlives a restart. */
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "control/internal.h"
#include "control/order_fact.h"

struct trust_pause {
	struct trust_pause *next; /* control.trust_pauses */
	struct control *control;
	char *authority, *by;
	int64_t since_ms;
	bool changing; /* on its way to the store, or out of it */
	control_done_fn *done;
	void *arg;
};

static const char PREFIX[] = "trust-paused/";

static struct trust_pause *find(const struct control *c, const char *authority)
{
	struct trust_pause *p;
	LL_FOREACH (c->trust_pauses, p)
		if (strcmp(p->authority, authority) == 0)
			return p;
	return NULL;
}

static struct trust_pause *add(struct control *c, const char *authority, const char *by, int64_t since_ms)
{
	struct trust_pause *p = mem_new(struct trust_pause);
	p->control = c;
	p->authority = mem_strdup(authority);
	p->by = mem_strdup(by);
	p->since_ms = since_ms;
	LL_APPEND(c->trust_pauses, p);
	return p;
}

static void release(struct trust_pause *p)
{
	LL_DELETE(p->control->trust_pauses, p);
	free(p->authority);
	free(p->by);
	free(p);
}

bool trust_is_paused(const struct control *c, const char *authority, int64_t *ret_since_ms, const char **ret_by)
{
	const struct trust_pause *p = find(c, authority);
	if (p && ret_since_ms)
		*ret_since_ms = p->since_ms;
	if (p && ret_by)
		*ret_by = p->by;
	return p;
}

struct fault *trust_check_not_paused(const struct control *c, const char *authority)
{
	const struct trust_pause *p = find(c, authority);
	return p ? fault_new(FAULT_CONFLICT,
			   "trust of authority %s is paused (by %s): leafcast trust resume %s goes on with it first",
			   authority, p->by, authority)
		 : NULL;
}

static void tell(struct trust_pause *p, struct fault *f)
{
	control_done_fn *done = p->done;
	p->done = NULL;
	p->changing = false;
	done(p->arg, f);
}

/* It holds from the order on; where it cannot be stored it does not. */
static void on_paused(void *arg, struct fault *f)
{
	struct trust_pause *p = arg;
	struct control *c = p->control;
	bool failed = f != NULL;
	tell(p, f);
	if (failed)
		release(p);
	if (failed && !c->closing)
		rotation_replan_all(c);
}

static void on_resumed(void *arg, struct fault *f)
{
	struct trust_pause *p = arg;
	struct control *c = p->control;
	bool failed = f != NULL;
	tell(p, f);
	if (failed || c->closing)
		return;
	struct authority *a = authority_find(c, p->authority);
	release(p);
	if (a)
		trust_review(a, control_now_ms(c));
	trust_orders_watch(c);
	rotation_replan_all(c);
}

static void begin(struct trust_pause *p, bool on, const char *by, control_done_fn *done, void *arg)
{
	struct control *c = p->control;
	struct store_tx *tx = store_tx_new();
	AUTO(mem_freep) char *fact = order_fact_new(PREFIX, p->by, p->authority);
	AUTO(mem_freep) char *detail = mem_printf("authority %s", p->authority);
	p->changing = true;
	p->done = done;
	p->arg = arg;
	audit_note(c, tx, on ? "trust.paused" : "trust.resumed", NULL, NULL, by, detail);
	if (on)
		store_tx_put_fact(tx, fact, p->since_ms);
	else
		store_tx_drop_fact(tx, fact);
	store_commit(c->o.store, tx, on ? on_paused : on_resumed, p);
}

static struct fault *check(struct control *c, const char *authority, bool on)
{
	const struct trust_pause *p = find(c, authority);
	if (!authority_find(c, authority))
		return fault_new(FAULT_NOT_FOUND, "there is no authority %s", authority);
	if (p && p->changing)
		return fault_set_retryable(
			fault_new(FAULT_CONFLICT, "trust of %s is being paused or resumed by another order; try again",
				authority),
			-1);
	if (on && p)
		return fault_new(FAULT_CONFLICT, "trust of %s is paused already, by %s", authority, p->by);
	return on || p ? NULL : fault_new(FAULT_CONFLICT, "trust of %s is not paused", authority);
}

void control_trust_pause(
	struct control *c, const char *authority, bool on, const char *by, control_done_fn *done, void *arg)
{
	struct fault *f = check(c, authority, on);
	if (f) {
		order_refuse(c, f, done, arg);
		return;
	}
	struct trust_pause *p = on ? add(c, authority, by, control_now_ms(c)) : find(c, authority);
	begin(p, on, by, done, arg);
	if (on)
		trust_order_paused(c, authority);
}

void trust_pause_load(struct control *c, const char *fact, int64_t value, struct store_tx *drop)
{
	AUTO(mem_freep) char *by = NULL;
	const char *authority = order_fact_read(fact, PREFIX, &by);
	if (!authority)
		return;
	if (!definitions_authority(c->definitions, authority) || find(c, authority)) {
		store_tx_drop_fact(drop, fact);
		return;
	}
	add(c, authority, by, value);
	log_event(LOG_WARN, "trust.still_paused", LS("authority", authority), LS("by", by), LT("since", value),
		LS("goes_on", "leafcast trust resume"));
}

void trust_pauses_free(struct control *c)
{
	while (c->trust_pauses)
		release(c->trust_pauses);
}
