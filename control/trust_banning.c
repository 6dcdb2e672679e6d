/* control/trust_banning.c - an anchor is removed by an operator although its authority still shows it, and taken back.
 * Whole or not at all, like trust_change.c: bans, anchors and audit record are one transaction. Not its duty: what
 * follows from a ban (trust_banned.c). */
#include <string.h>
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "control/internal.h"

struct trust_banning {
	char *authority;
	struct trust_bans *bans;     /* as they will be */
	struct trust_change *change; /* NULL: a ban is lifted */
};

void trust_banning_free(struct control *c, struct trust_banning *b)
{
	if (!b)
		return;
	struct authority *a = authority_find(c, b->authority);
	if (a)
		authority_trust(a)->banning = false;
	trust_change_free(b->change);
	trust_bans_free(b->bans);
	free(b->authority);
	free(b);
}

static struct fault *copy_bans(const struct trust_bans *b, struct trust_bans **ret)
{
	AUTO(secret_freep) struct secret *bytes = NULL;
	TRY(trust_bans_encode(b, &bytes));
	return trust_bans_decode(bytes, ret);
}

static struct fault *write_bans(const struct authority *a, const struct trust_bans *b, struct store_tx *tx)
{
	AUTO(secret_freep) struct secret *bytes = NULL;
	AUTO(mem_freep) char *name = trust_bans_blob(a);
	TRY(trust_bans_encode(b, &bytes));
	store_tx_put_blob(tx, name, bytes);
	return NULL;
}

static struct trust_banning *banning_new(struct authority *a)
{
	struct trust_banning *b = mem_new(struct trust_banning);
	b->authority = mem_strdup(authority_name(a));
	authority_trust(a)->banning = true;
	return b;
}

static struct fault *prepare(struct trust_banning *b, struct authority *a, const struct trust_anchor *const *anchors,
	size_t count, const char *by, struct store_tx *tx)
{
	int64_t now = control_now_ms(authority_control(a));
	TRY(copy_bans(authority_trust(a)->bans, &b->bans));
	for (size_t i = 0; i < count; i++)
		TRY(trust_bans_add(b->bans, anchors[i]->sha256, anchors[i]->subject, by, now));
	TRY(write_bans(a, b->bans, tx));
	TRY(trust_removal_of(a, anchors, count, by, tx, &b->change));
	for (size_t i = 0; i < count; i++) {
		AUTO(mem_freep)
		char *detail = mem_printf(
			"authority %s: anchor %s (%s)", authority_name(a), anchors[i]->sha256, anchors[i]->subject);
		audit_note(authority_control(a), tx, "trust.anchor_banned", NULL, NULL, by, detail);
	}
	return NULL;
}

static struct fault *check_not_changing(struct authority *a)
{
	if (!authority_trust(a)->banning)
		return NULL;
	return fault_set_retryable(
		fault_new(FAULT_CONFLICT, "the bans of %s are being changed by another order; try again",
			authority_name(a)),
		-1);
}

struct fault *trust_ban(struct authority *a, const struct trust_anchor *const *anchors, size_t count, const char *by,
	struct store_tx *tx, struct trust_banning **ret)
{
	TRY(check_not_changing(a));
	if (authority_trust(a)->bans_unreadable)
		return trust_bans_fault(authority_name(a), FAULT_CONFLICT);
	struct trust_banning *b = banning_new(a);
	struct fault *f = prepare(b, a, anchors, count, by, tx);
	if (f)
		trust_banning_free(authority_control(a), b);
	else
		*ret = b;
	return f;
}

void trust_banning_apply(struct control *c, struct trust_banning *b)
{
	struct authority *a = authority_find(c, b->authority);
	if (a && !c->closing) {
		struct trust *t = authority_trust(a);
		trust_bans_free(t->bans);
		t->bans = TAKE(b->bans);
		t->bans_unreadable = false;
		if (b->change)
			trust_change_apply(c, TAKE(b->change));
		trust_shown(a);
		trust_replan_held(c);
	}
	trust_banning_free(c, b);
}

struct order {
	struct control *control;
	struct trust_banning *banning;
	control_done_fn *done;
	void *arg;
};

static void end_order(void *arg, struct fault *f)
{
	struct order *o = arg;
	o->done(o->arg, f);
	free(o);
}

static void on_stored(void *arg, struct fault *f)
{
	struct order *o = arg;
	bool lifts = !o->banning->change;
	if (f) {
		trust_banning_free(o->control, o->banning);
		end_order(
			o, fault_wrap(f, lifts ? "nothing was changed: it is still banned; order it again"
					       : "nothing was changed: every anchor is still in the bundles; order it "
						 "again"));
		return;
	}
	trust_banning_apply(o->control, o->banning);
	end_order(o, NULL);
}

static void begin(struct control *c, struct store_tx *tx, struct fault *f, struct trust_banning *b,
	control_done_fn *done, void *arg)
{
	struct order *o = mem_new(struct order);
	*o = (struct order){c, b, done, arg};
	if (f) {
		store_tx_free(tx);
		trust_banning_free(c, b);
		order_refuse(c, f, end_order, o);
		return;
	}
	store_commit(c->o.store, tx, on_stored, o);
}

static struct fault *check_name(const char *sha256)
{
	size_t len = strlen(sha256);
	if (len < TRUST_SHA256_LEAST || len > TRUST_SHA256_HEX || strspn(sha256, "0123456789abcdef") != len)
		return fault_new(FAULT_INVALID,
			"an anchor is named by its SHA-256: %d hex digits in lower case, or the first %d of them, as "
			"leafcast trust status shows them",
			TRUST_SHA256_HEX, TRUST_SHA256_LEAST);
	return NULL;
}

static const struct trust_ban *banned_as(const struct trust_bans *b, const char *wanted)
{
	for (size_t i = 0; i < trust_bans_count(b); i++)
		if (strncmp(trust_bans_at(b, i)->sha256, wanted, strlen(wanted)) == 0)
			return trust_bans_at(b, i);
	return NULL;
}

static struct fault *find_anchor(struct authority *a, const char *wanted, const struct trust_anchor **ret)
{
	struct trust_record *r = authority_trust(a)->record;
	const struct trust_ban *ban = banned_as(authority_trust(a)->bans, wanted);
	if (ban)
		return fault_new(FAULT_CONFLICT, "anchor %s of authority %s was removed already, by %s", ban->sha256,
			authority_name(a), ban->by);
	*ret = NULL;
	for (size_t i = 0; i < trust_record_count(r); i++) {
		const struct trust_anchor *t = trust_record_at(r, i);
		if (strncmp(t->sha256, wanted, strlen(wanted)) != 0)
			continue;
		if (*ret)
			return fault_new(FAULT_CONFLICT,
				"more than one anchor of authority %s begins so; give all of it", authority_name(a));
		*ret = t;
	}
	return *ret ? NULL
		    : fault_new(FAULT_NOT_FOUND, "authority %s has no anchor %s; leafcast trust status %s shows which",
			      authority_name(a), wanted, authority_name(a));
}

/* The last anchor stays, as it does when the others are removed: proxies take no empty bundle, so they would keep what
 * they have, and a listener too. */
static struct fault *check_removable(struct authority *a, const struct trust_anchor *t, bool force)
{
	const char *name = authority_name(a);
	if (!t->gone_ms && (ca_capabilities(authority_ca(a)) & CA_NEW_ROOT))
		return fault_new(FAULT_INVALID,
			"leafcast makes the roots of %s itself: leafcast compromise --authority %s replaces this one",
			name, name);
	if (trust_record_count(authority_trust(a)->record) == 1)
		return fault_new(FAULT_CONFLICT,
			"it is the only anchor of authority %s, and no bundle may be empty: give %s a new root first; "
			"once "
			"leafcast trust status %s shows it, order this again",
			name, name, name);
	size_t leaves = trust_leaves_under(a, t, NULL);
	if (force || (t->gone_ms && !leaves))
		return NULL;
	return fault_new(FAULT_CONFLICT,
		"%s%zu certificates are served under it: connections with them would fail. --force removes it now; "
		"leafcast "
		"trust remove %s %s --dry-run says what breaks",
		t->gone_ms ? "" : "the authority still shows it, and ", leaves, name, t->sha256);
}

static struct fault *find_authority(struct control *c, const char *authority, struct authority **ret)
{
	*ret = authority_find(c, authority);
	if (!*ret)
		return fault_new(FAULT_NOT_FOUND, "there is no authority %s", authority);
	return check_not_changing(*ret);
}

static struct fault *order_ban(struct control *c, const char *authority, const char *wanted, bool force, const char *by,
	struct store_tx *tx, struct trust_banning **ret)
{
	struct authority *a;
	const struct trust_anchor *t;
	TRY(find_authority(c, authority, &a));
	if (authority_trust(a)->bans_unreadable)
		return trust_bans_fault(authority, FAULT_CONFLICT);
	TRY(check_name(wanted));
	TRY(find_anchor(a, wanted, &t));
	TRY(check_removable(a, t, force));
	return trust_ban(a, &t, 1, by, tx, ret);
}

void control_trust_ban(struct control *c, const char *authority, const char *sha256, bool force, const char *by,
	control_done_fn *done, void *arg)
{
	struct store_tx *tx = store_tx_new();
	struct trust_banning *b = NULL;
	struct fault *f = order_ban(c, authority, sha256, force, by, tx, &b);
	begin(c, tx, f, b, done, arg);
}

/* What is not readable is begun anew by an order that says so. */
static struct fault *lift(
	struct trust_banning *b, struct authority *a, const char *wanted, const char *by, struct store_tx *tx)
{
	struct trust *t = authority_trust(a);
	AUTO(mem_freep) char *detail = NULL;
	if (t->bans_unreadable) {
		b->bans = trust_bans_new();
		detail = mem_printf("authority %s", b->authority);
	} else {
		const struct trust_ban *ban = banned_as(t->bans, wanted);
		if (!ban)
			return fault_new(FAULT_NOT_FOUND, "authority %s has no anchor %s that was removed by order",
				b->authority, wanted);
		TRY(copy_bans(t->bans, &b->bans));
		(void)trust_bans_lift(b->bans, ban->sha256);
		detail = mem_printf("authority %s: anchor %s (%s)", b->authority, ban->sha256, ban->subject);
	}
	audit_note(authority_control(a), tx, t->bans_unreadable ? "trust.bans_forgotten" : "trust.ban_lifted", NULL,
		NULL, by, detail);
	return write_bans(a, b->bans, tx);
}

static struct fault *order_restore(struct control *c, const char *authority, const char *wanted, const char *by,
	struct store_tx *tx, struct trust_banning **ret)
{
	struct authority *a;
	TRY(find_authority(c, authority, &a));
	bool unreadable = authority_trust(a)->bans_unreadable;
	if (unreadable && wanted)
		return trust_bans_fault(authority, FAULT_CONFLICT);
	if (!unreadable && !wanted)
		return fault_new(
			FAULT_INVALID, "name the anchor by its SHA-256: the bans of %s can be read", authority);
	if (wanted)
		TRY(check_name(wanted));
	*ret = banning_new(a);
	return lift(*ret, a, wanted, by, tx);
}

void control_trust_restore(
	struct control *c, const char *authority, const char *sha256, const char *by, control_done_fn *done, void *arg)
{
	struct store_tx *tx = store_tx_new();
	struct trust_banning *b = NULL;
	struct fault *f = order_restore(c, authority, sha256, by, tx, &b);
	begin(c, tx, f, b, done, arg);
}
