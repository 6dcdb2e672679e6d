/* control/trust_anchors.c - the anchors of an authority with what is served under each, and which of them is the
 * newest: for those who show them and for orders (trust_orders.c). Changes nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/fault.h"
#include "base/mem.h"
#include "control/internal.h"

/* Of a fingerprint, as a fact can hold it: 60 of its bits, and not 0. */
int64_t trust_mark(const struct trust_anchor *t)
{
	char digits[16];
	(void)snprintf(digits, sizeof digits, "%.15s", t->sha256);
	int64_t mark = (int64_t)strtoull(digits, NULL, 16);
	return mark ? mark : 1;
}

const struct trust_anchor *trust_root_of(struct authority *a, int64_t mark)
{
	struct trust_record *r = authority_trust(a)->record;
	for (size_t i = 0; i < trust_record_count(r); i++)
		if (trust_mark(trust_record_at(r, i)) == mark)
			return trust_record_at(r, i);
	return NULL;
}

/* What the authority shows now, or NULL: one root, for those that can make one. */
const struct trust_anchor *trust_shown_root(struct authority *a)
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

/* --- by age --- */

/* A root that takes another's place was made after it; of two that begin in the same second it was shown later. */
static int compare_age(const struct trust_anchor *a, const struct trust_anchor *b)
{
	if (a->info->not_before_ms != b->info->not_before_ms)
		return a->info->not_before_ms < b->info->not_before_ms ? -1 : 1;
	return a->since_ms < b->since_ms ? -1 : a->since_ms > b->since_ms;
}

static bool is_older(const struct trust_anchor *t, const struct trust_anchor *than)
{
	return compare_age(t, than) < 0;
}

const struct trust_anchor *trust_newest(struct authority *a)
{
	struct trust_record *r = authority_trust(a)->record;
	const struct trust_anchor *newest = NULL;
	bool alone = true;
	for (size_t i = 0; i < trust_record_count(r); i++) {
		const struct trust_anchor *t = trust_record_at(r, i);
		int age = newest ? compare_age(t, newest) : 1;
		alone = age > 0 || (alone && age < 0);
		newest = age > 0 ? t : newest;
	}
	return newest && alone && !newest->gone_ms ? newest : NULL;
}

struct fault *trust_check_newest(struct authority *a)
{
	const char *name = authority_name(a);
	const struct trust *t = authority_trust(a);
	if (t->bans_unreadable)
		return trust_bans_fault(name, FAULT_CONFLICT);
	if (trust_record_count(t->record) < 2)
		return fault_new(FAULT_CONFLICT,
			"leafcast does not make the roots of %s: make the new one there, and let %s sign under it; "
			"once "
			"leafcast trust status %s shows it beside the old one, order this again",
			name, name, name);
	if (trust_record_count(t->record) - 1 + trust_bans_count(t->bans) > TRUST_BANS_MAX)
		return fault_new(FAULT_EXHAUSTED,
			"%zu anchors of %s are banned already, and at most %d may be: leafcast trust restore lifts a "
			"ban that is "
			"needed no more",
			trust_bans_count(t->bans), name, TRUST_BANS_MAX);
	if (!trust_newest(a))
		return fault_new(FAULT_CONFLICT,
			"which of the anchors of %s is the new one cannot be told: the one made last is not shown any "
			"more, or "
			"two are of one age. leafcast trust remove %s SHA256 --force removes one",
			name, name);
	return NULL;
}

size_t trust_leaves_older(struct authority *a, const struct trust_anchor *than)
{
	struct trust_record *r = authority_trust(a)->record;
	size_t n = 0;
	for (size_t i = 0; i < trust_record_count(r); i++)
		if (is_older(trust_record_at(r, i), than))
			n += trust_leaves_under(a, trust_record_at(r, i), NULL);
	return n;
}

struct fault *trust_ban_older(struct authority *a, const struct trust_anchor *than, const char *by, struct store_tx *tx,
	struct trust_banning **ret)
{
	struct trust_record *r = authority_trust(a)->record;
	const struct trust_anchor **list = mem_array(const struct trust_anchor *, trust_record_count(r) + 1);
	size_t n = 0;
	for (size_t i = 0; i < trust_record_count(r); i++)
		if (is_older(trust_record_at(r, i), than))
			list[n++] = trust_record_at(r, i);
	struct fault *f = trust_ban(a, list, n, by, tx, ret);
	free(list);
	return f;
}

/* --- shown --- */

void control_each_anchor(struct control *c, void (*fn)(void *arg, const struct control_anchor *a), void *arg)
{
	for (struct authority *a = c->authorities; a; a = authority_next(a)) {
		struct trust_record *r = authority_trust(a)->record;
		const char *order = trust_order_state(c, authority_name(a));
		const struct trust_anchor *newest = trust_newest(a);
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
					.order = order,
					.newest = t == newest});
		}
	}
}
