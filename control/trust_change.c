/* control/trust_change.c - what an operator changes about an authority's anchors by hand: who is passed over, which
 * leave the bundles. Whole or not at all: the record as it will be is stored together with the audit record, and only
 * then it holds in memory. Not its duty: the steps that follow (trust_orders.c, trust_switch.c). */
#include <stdlib.h>
#include <string.h>
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "control/internal.h"
#include "control/trust_record.h"

struct passed {
	char *node, *identity;
};

struct trust_change {
	char *authority, *by;
	int64_t at_ms;
	uint64_t writes; /* of the record, this one among them */
	char **anchors;	 /* by fingerprint */
	size_t anchor_count;
	bool removes;	      /* them; else they are waited for: */
	bool shown_too;	      /* those that the authority still shows among them */
	bool forces;	      /* by nobody any more */
	struct passed *nodes; /* and not by these */
	size_t node_count;
};

static struct trust_change *change_new(const struct authority *a, const char *by)
{
	struct trust_change *k = mem_new(struct trust_change);
	k->authority = mem_strdup(authority_name(a));
	k->by = mem_strdup(by ? by : "");
	k->at_ms = control_now_ms(authority_control(a));
	return k;
}

void trust_change_free(struct trust_change *k)
{
	if (!k)
		return;
	for (size_t i = 0; i < k->anchor_count; i++)
		free(k->anchors[i]);
	for (size_t i = 0; i < k->node_count; i++) {
		free(k->nodes[i].node);
		free(k->nodes[i].identity);
	}
	free(k->anchors);
	free(k->nodes);
	free(k->authority);
	free(k->by);
	free(k);
}

size_t trust_change_count(const struct trust_change *k)
{
	return k->anchor_count;
}

static void add_anchor(struct trust_change *k, const struct trust_anchor *t)
{
	k->anchors = mem_realloc(k->anchors, (k->anchor_count + 1) * sizeof *k->anchors);
	k->anchors[k->anchor_count++] = mem_strdup(t->sha256);
}

static bool has_node(const struct trust_change *k, const char *node, const char *identity)
{
	for (size_t i = 0; i < k->node_count; i++)
		if (strcmp(k->nodes[i].node, node) == 0 && strcmp(k->nodes[i].identity, identity) == 0)
			return true;
	return false;
}

static void add_node(struct trust_change *k, const char *node, const char *identity)
{
	if (has_node(k, node, identity))
		return;
	k->nodes = mem_realloc(k->nodes, (k->node_count + 1) * sizeof *k->nodes);
	k->nodes[k->node_count++] = (struct passed){mem_strdup(node), mem_strdup(identity)};
}

static struct trust_anchor *find(struct trust_record *r, const char *sha256)
{
	for (size_t i = 0; i < trust_record_count(r); i++)
		if (strcmp(trust_record_at(r, i)->sha256, sha256) == 0)
			return trust_record_at(r, i);
	return NULL;
}

static void apply_to(const struct trust_change *k, struct trust_record *r)
{
	for (size_t i = 0; i < k->anchor_count; i++) {
		struct trust_anchor *t = find(r, k->anchors[i]);
		if (t && k->removes)
			(void)trust_record_drop(r, t->sha256, k->shown_too);
		if (!t || k->removes)
			continue;
		for (size_t n = 0; n < k->node_count; n++)
			(void)trust_anchor_pass(t, k->nodes[n].node, k->nodes[n].identity, k->by, k->at_ms);
		if (k->forces && !t->ready_ms)
			t->ready_ms = k->at_ms;
	}
}

/* The record as it will be, into the transaction. */
static struct fault *write_changed(struct trust_change *k, struct authority *a, struct store_tx *tx)
{
	AUTO(secret_freep) struct secret *bytes = NULL;
	struct trust_record *changed = NULL;
	TRY(trust_record_encode(authority_trust(a)->record, &bytes));
	TRY(trust_record_decode(bytes, &changed));
	apply_to(k, changed);
	struct fault *f = trust_write(a, changed, tx);
	k->writes = authority_trust(a)->writes;
	trust_record_free(changed);
	return f;
}

void trust_change_apply(struct control *c, struct trust_change *k)
{
	struct authority *a = authority_find(c, k->authority);
	if (a && !c->closing) {
		apply_to(k, authority_trust(a)->record);
		if (authority_trust(a)->writes != k->writes)
			trust_save(a); /* what was written meanwhile was without it */
		if (k->removes)
			trust_changed(a);
		else if (k->forces)
			trust_replan_held(c);
		else
			trust_review(a, control_now_ms(c));
	}
	trust_change_free(k);
}

/* --- old anchors out --- */

struct fault *trust_removal(struct authority *a, const char *by, struct store_tx *tx, struct trust_change **ret)
{
	struct trust_record *r = authority_trust(a)->record;
	struct trust_change *k = change_new(a, by);
	k->removes = true;
	for (size_t i = 0; i < trust_record_count(r); i++)
		if (trust_record_at(r, i)->gone_ms)
			add_anchor(k, trust_record_at(r, i));
	AUTO(mem_freep) char *detail = mem_printf("authority %s, %zu anchors", authority_name(a), k->anchor_count);
	struct fault *f = write_changed(k, a, tx);
	if (f) {
		trust_change_free(k);
		return f;
	}
	audit_note(authority_control(a), tx, "trust.anchors_removed", NULL, NULL, by, detail);
	*ret = k;
	return NULL;
}

struct fault *trust_removal_of(struct authority *a, const struct trust_anchor *const *anchors, size_t count,
	const char *by, struct store_tx *tx, struct trust_change **ret)
{
	struct trust_change *k = change_new(a, by);
	k->removes = k->shown_too = true;
	for (size_t i = 0; i < count; i++)
		add_anchor(k, anchors[i]);
	struct fault *f = write_changed(k, a, tx);
	if (f)
		trust_change_free(k);
	else
		*ret = k;
	return f;
}

struct removal {
	struct control *control;
	struct trust_change *change;
	control_removed_fn *done;
	void *arg;
};

static void end_removal(struct removal *r, struct fault *f, size_t count)
{
	r->done(r->arg, f, count);
	free(r);
}

static void on_removed(void *arg, struct fault *f)
{
	struct removal *r = arg;
	size_t count = trust_change_count(r->change);
	if (f) {
		trust_change_free(r->change);
		end_removal(r,
			fault_wrap(f, "nothing was changed: every anchor is still in the bundles; order it again"), 0);
		return;
	}
	trust_change_apply(r->control, r->change);
	end_removal(r, NULL, count);
}

static void on_not_removed(void *arg, struct fault *f)
{
	end_removal(arg, f, 0);
}

static struct fault *check_removal(struct control *c, const char *authority, bool force)
{
	struct authority *a = authority_find(c, authority);
	const struct entry *one = NULL;
	if (!a)
		return fault_new(FAULT_NOT_FOUND, "there is no authority %s", authority);
	size_t leaves = trust_old_leaves(a, &one);
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
	*r = (struct removal){c, NULL, done, arg};
	struct store_tx *tx = store_tx_new();
	struct fault *f = check_removal(c, authority, force);
	if (!f)
		f = trust_removal(authority_find(c, authority), by, tx, &r->change);
	if (f) {
		store_tx_free(tx);
		order_refuse(c, f, on_not_removed, r);
		return;
	}
	store_commit(c->o.store, tx, on_removed, r);
}

/* --- passed over --- */

struct passing {
	struct control *control;
	struct trust_change *change;
	const char *wanted; /* NULL: all; while they are looked for */
	char *who;
	control_passed_fn *done;
	void *arg;
};

static void end_passing(struct passing *p, struct fault *f)
{
	p->done(p->arg, f, f ? NULL : p->who);
	free(p->who);
	free(p);
}

static void on_passed(void *arg, struct fault *f)
{
	struct passing *p = arg;
	if (f) {
		trust_change_free(p->change);
		end_passing(p, fault_wrap(f, "nothing was changed: they are still waited for; order it again"));
		return;
	}
	trust_change_apply(p->control, p->change);
	end_passing(p, NULL);
}

static void on_not_passed(void *arg, struct fault *f)
{
	end_passing(arg, f);
}

static void look_at(void *arg, const struct trust_verifier *v, enum trust_wait wait)
{
	struct passing *p = arg;
	bool is_meant = !p->wanted || strcmp(p->wanted, v->node) == 0;
	if (wait != TRUST_WAIT_NONE && is_meant && p->change->node_count <= TRUST_PASSED_MAX)
		add_node(p->change, v->node, v->identity);
}

static struct fault *choose(struct passing *p, struct authority *a)
{
	struct trust_record *r = authority_trust(a)->record;
	struct trust_change *k = p->change;
	size_t count;
	for (size_t i = 0; i < trust_record_count(r); i++) {
		const struct trust_anchor *t = trust_record_at(r, i);
		if (t->ready_ms || t->gone_ms)
			continue;
		add_anchor(k, t);
		trust_each_verifier(a, t, look_at, p);
	}
	if (!k->anchor_count)
		return fault_new(FAULT_CONFLICT, "no anchor of %s is waiting for anybody", authority_name(a));
	p->who = trust_waited_for(a, NULL, p->wanted, &count);
	k->forces = !p->wanted;
	if (k->forces && k->node_count > TRUST_PASSED_MAX)
		k->node_count--; /* who they all are says the anchor that waits for nobody */
	if (k->node_count > TRUST_PASSED_MAX)
		return fault_new(FAULT_EXHAUSTED,
			"more than %d identities call themselves node %s: all who are waited for can be passed over "
			"at once",
			TRUST_PASSED_MAX, p->wanted);
	if (k->forces || k->node_count)
		return NULL;
	free(p->who);
	p->who = trust_waited_for(a, NULL, NULL, &count);
	return fault_new(
		FAULT_NOT_FOUND, "authority %s waits for no node %s, but: %s", authority_name(a), p->wanted, p->who);
}

void control_trust_proceed(
	struct control *c, const char *authority, const char *node, const char *by, control_passed_fn *done, void *arg)
{
	struct passing *p = mem_new(struct passing);
	struct authority *a = authority_find(c, authority);
	*p = (struct passing){.control = c, .wanted = node, .done = done, .arg = arg};
	struct store_tx *tx = store_tx_new();
	struct fault *f = a ? trust_check_not_paused(c, authority)
			    : fault_new(FAULT_NOT_FOUND, "there is no authority %s", authority);
	if (!f) {
		p->change = change_new(a, by);
		f = choose(p, a);
	}
	if (!f)
		f = write_changed(p->change, a, tx);
	p->wanted = NULL;
	if (f) {
		store_tx_free(tx);
		trust_change_free(p->change);
		order_refuse(c, f, on_not_passed, p);
		return;
	}
	AUTO(mem_freep) char *detail = mem_printf("authority %s: %s", authority, p->who);
	audit_note(c, tx, node ? "trust.proceed_ordered" : "trust.proceed_all_ordered", NULL, NULL, by, detail);
	store_commit(c->o.store, tx, on_passed, p);
}
