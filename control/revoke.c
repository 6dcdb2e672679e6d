/* control/revoke.c - a certificate whose key must not be used any more: a new one first, stored, pushed and ACKed; then
 * the authority is told; then the key is destroyed. Each revocation is a fact in the store from its order to its end,
 * so a restart goes on with it. What is under way is looked at each second (revocations_watch). */
#include "base/clock.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"
#include "control/internal.h"
#include "control/order_fact.h"

/* Proxies that hold the old version are waited for so long after the new one was pushed. */
#define ACK_PATIENCE_MS (INT64_C(30) * MS_PER_S)
/* After a restart: proxies need so long to come back and show which version they hold. */
#define RETURN_PATIENCE_MS (INT64_C(5) * MS_PER_S)
#define ASK_TIMEOUT_MS (INT64_C(30) * MS_PER_S)

enum step { STEP_RENEW, STEP_ACK, STEP_ASK, STEP_ASKING, STEP_FORGET };

struct revocation {
	struct revocation *next; /* control.revocations */
	struct control *control;
	struct entry *entry; /* awaited by this */
	char id[VERSION_ID_SIZE];
	enum ca_reason reason;
	enum step step;
	struct version *version; /* the one that is revoked; NULL: to be read */
	struct credential *leaf;
	struct ca_op *op;
	struct authority *authority; /* of op */
	struct backoff backoff;
	int64_t since_ms, ask_at_ms; /* monotonic: this step; not sooner than that */
	bool ordering;		     /* on_rotated() is still to come */
	bool withdrawing;	     /* workers are told to forget it: on_withdrawn() is still to come */
	bool resumed;		     /* proxies have had no time to come back */
	char *fact;		     /* its name in the store */
	char *by, *outcome;
	control_revoked_fn *done; /* NULL: told */
	void *arg;
};

static const char *const reasons[] = {[CA_REASON_UNSPECIFIED] = "unspecified",
	[CA_REASON_KEY_COMPROMISE] = "key-compromise",
	[CA_REASON_AFFILIATION_CHANGED] = "affiliation-changed",
	[CA_REASON_SUPERSEDED] = "superseded",
	[CA_REASON_CESSATION_OF_OPERATION] = "cessation-of-operation"};

bool ca_reason_parse(const char *text, enum ca_reason *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(reasons); i++)
		if (reasons[i] && strcmp(reasons[i], text) == 0) {
			*ret = (enum ca_reason)i;
			return true;
		}
	return false;
}

/* Of an order: who gave it, which version, which entry. The entry comes last: its text may hold the separator. */
static const char PREFIX[] = "revoke-by/";
/* The same without who: as it was written before. */
static const char PREFIX_OLD[] = "revoke/";

static char *fact_new(const char *by, const char *id, const struct entry *e)
{
	AUTO(mem_freep) char *what = mem_printf("%s/%s", id, entry_key_text(e->key));
	return order_fact_new(PREFIX, by, what);
}

static void tell(struct revocation *r, struct fault *f)
{
	control_revoked_fn *done = r->done;
	r->done = NULL;
	if (done)
		done(r->arg, f, r->outcome);
	else
		fault_free(f);
}

static void go_to(struct revocation *r, enum step step)
{
	r->step = step;
	r->since_ms = control_mono_ms(r->control);
}

static struct revocation *add(struct control *c, struct entry *e, const char *id, size_t len, enum ca_reason reason)
{
	struct revocation *r = mem_new(struct revocation);
	r->control = c;
	r->entry = e;
	memcpy(r->id, id, len < sizeof r->id ? len : sizeof r->id - 1);
	r->reason = reason;
	r->backoff = (struct backoff){.base_ms = MS_PER_S, .cap_ms = 5 * MS_PER_MIN};
	e->awaited++;
	LL_APPEND(c->revocations, r);
	go_to(r, STEP_RENEW);
	return r;
}

static void release(struct revocation *r)
{
	LL_DELETE(r->control->revocations, r);
	r->entry->awaited--;
	version_unref(r->version);
	credential_unref(r->leaf);
	free(r->fact);
	free(r->by);
	free(r->outcome);
	free(r);
}

static bool renews(const struct entry *e, const struct revocation *r)
{
	return e->current && strcmp(version_id(e->current), r->id) == 0;
}

bool version_is_revoked(const struct entry *e, const char *id)
{
	for (const struct revocation *r = e->control->revocations; r; r = r->next)
		if (r->entry == e && strcmp(r->id, id) == 0)
			return true;
	return false;
}

bool entry_is_revoked(const struct entry *e)
{
	for (const struct revocation *r = e->control->revocations; r; r = r->next)
		if (r->entry == e && r->step == STEP_RENEW && renews(e, r))
			return true;
	return false;
}

/* --- the end: the key goes --- */

static void on_forgotten(void *arg, struct fault *f)
{
	struct revocation *r = arg;
	struct entry *e = r->entry;
	if (f && !r->control->closing) { /* the disk: it is tried again */
		log_event(LOG_ERROR, "revocation.not_recorded", LS("secret", entry_key_text(e->key)),
			LS("version", r->id), LF(f));
		tell(r, fault_wrap(f,
				"a new certificate is served (%s); the old key is not destroyed yet, for that cannot "
				"be "
				"stored: it is tried again until it can",
				r->outcome));
		r->ask_at_ms = control_mono_ms(r->control) + backoff_next_ms(&r->backoff, 0, 0);
		go_to(r, STEP_FORGET);
		return;
	}
	tell(r, f);
	release(r);
	entry_drop_if_idle(e);
}

static void forget(struct revocation *r)
{
	struct entry *e = r->entry;
	struct store_tx *tx = store_tx_new();
	entry_forget_past(e, r->id);
	audit_note(r->control, tx, "secret.revoked", entry_key_text(e->key), r->id, r->by, r->outcome);
	store_tx_drop_version(tx, e->key, r->id);
	store_tx_drop_fact(tx, r->fact);
	r->step = STEP_ASKING; /* nothing to do until the answer */
	store_commit(r->control->o.store, tx, on_forgotten, r);
}

static void end_with(struct revocation *r, char *outcome)
{
	free(r->outcome);
	r->outcome = outcome;
	version_unrefp(&r->version);
	credential_unrefp(&r->leaf);
	go_to(r, STEP_FORGET);
}

/* --- at the authority --- */

static void ask_later(struct revocation *r, struct fault *f)
{
	int64_t wait = backoff_asked_ms(&r->backoff, fault_retry_after_ms(f),
		table_hash(r->id, strlen(r->id)) ^ (uint64_t)control_mono_ms(r->control));
	log_event(LOG_ERROR, "revocation.failed", LS("secret", entry_key_text(r->entry->key)), LS("version", r->id),
		LI("retry_in_ms", wait), LF(f));
	r->ask_at_ms = control_mono_ms(r->control) + wait;
	go_to(r, STEP_ASK);
	tell(r, fault_wrap(f,
			"a new certificate is served; the authority has not revoked the old one yet, and is asked "
			"again until it has"));
}

static void on_revoked(void *arg, struct fault *f)
{
	struct revocation *r = arg;
	r->op = NULL;
	if (r->control->closing) {
		fault_ignore(f, "the fact in the store brings it back at the next start");
		release(r);
		return;
	}
	/* Only a refusal of this very request is the end of it: all else can be mended, there or on the way. */
	if (f && (fault_is_retryable(f) || fault_code(f) != FAULT_INVALID)) {
		ask_later(r, f);
		return;
	}
	if (f)
		log_event(LOG_ERROR, "revocation.refused", LS("secret", entry_key_text(r->entry->key)),
			LS("version", r->id), LF(f));
	end_with(r, f ? mem_printf("the authority refused: %s", fault_text(f))
		      : mem_printf("authority %s, reason %s", authority_name(r->authority), reasons[r->reason]));
	fault_free(f);
}

static void ask(struct revocation *r)
{
	struct authority *a =
		version_authority(r->version) ? authority_find(r->control, version_authority(r->version)) : NULL;
	if (!a || !(ca_capabilities(authority_ca(a)) & CA_REVOKE)) {
		end_with(r, mem_printf("recorded alone: authority %s %s; it stays valid until it ends",
				    version_authority(r->version), a ? "cannot revoke" : "is in the config no more"));
		return;
	}
	if (!authority_is_ready(a)) {
		ask_later(
			r, fault_set_retryable(fault_new(FAULT_UNAVAILABLE, "authority %s is not ready: %s",
						       authority_name(a), authority_error(a) ? authority_error(a) : ""),
				   -1));
		return;
	}
	struct fault *f = r->leaf ? NULL : version_read_credential(r->version, &r->leaf);
	if (f) {
		end_with(r, mem_printf("its record cannot be read: %s", fault_text(f)));
		fault_free(f);
		return;
	}
	const struct ca_revocation request = {
		.leaf = r->leaf, .reason = r->reason, .deadline_ms = control_mono_ms(r->control) + ASK_TIMEOUT_MS};
	r->step = STEP_ASKING;
	r->authority = a;
	r->op = ca_revoke(authority_ca(a), &request, on_revoked, r);
}

static void on_read(void *arg, struct fault *f, struct version *v)
{
	struct revocation *r = arg;
	if (r->control->closing) {
		fault_ignore(f, "the fact in the store brings it back at the next start");
		release(r);
		return;
	}
	if (f && fault_is_retryable(f)) {
		ask_later(r, f);
		return;
	}
	if (f) {
		end_with(r, mem_printf("its record cannot be read: %s", fault_text(f)));
		fault_free(f);
		return;
	}
	r->version = version_ref(v);
	go_to(r, STEP_ASK);
}

/* --- step by step --- */

static size_t count_unacked(const struct entry *e)
{
	size_t n = 0;
	for (const struct subscriber *s = e->subscribers; s; s = s->next)
		n += strcmp(s->acked, version_id(e->current)) != 0;
	return n;
}

static void on_withdrawn(void *arg, struct fault *f)
{
	struct revocation *r = arg;
	r->withdrawing = false;
	fault_ignore(f, "the workers have stopped: they offer nothing more");
}

static void forget_previous(struct entry *e, const char *id)
{
	if (e->previous && strcmp(version_id(e->previous), id) == 0)
		version_unrefp(&e->previous);
}

/* Before the authority is asked: once it is revoked it must not come back, whoever refuses the new one. */
static void withdraw(struct revocation *r)
{
	struct control *c = r->control;
	go_to(r, STEP_ACK);
	forget_previous(r->entry, r->id);
	if (!c->outlet)
		return;
	r->withdrawing = true;
	c->outlet->revoked(c->outlet->arg, r->entry->key, r->id, control_next_seq(c));
	barrier_wait(c, c->seq, on_withdrawn, r);
}

static void watch_acks(struct revocation *r)
{
	struct entry *e = r->entry;
	size_t waiting = e->current ? count_unacked(e) : 0;
	int64_t patience = waiting ? ACK_PATIENCE_MS : r->resumed && !e->subscribers ? RETURN_PATIENCE_MS : 0;
	if (control_mono_ms(r->control) - r->since_ms < patience)
		return;
	if (waiting)
		log_event(LOG_WARN, "revocation.not_all_acked", LS("secret", entry_key_text(e->key)),
			LI("waiting", waiting), LS("effect", "the old certificate is revoked all the same"));
	go_to(r, STEP_ASK);
}

static void step(struct revocation *r)
{
	switch (r->step) {
	case STEP_RENEW:
		if (!r->ordering && !renews(r->entry, r))
			withdraw(r);
		break;
	case STEP_ACK:
		if (!r->withdrawing)
			watch_acks(r);
		break;
	case STEP_ASK:
		if (control_mono_ms(r->control) < r->ask_at_ms)
			break;
		if (r->version) {
			ask(r);
			break;
		}
		r->step = STEP_ASKING;
		store_read_version(r->control->o.store, r->entry->key, r->id, on_read, r);
		break;
	case STEP_FORGET:
		if (control_mono_ms(r->control) >= r->ask_at_ms)
			forget(r);
		break;
	case STEP_ASKING:
		break;
	}
}

void revocations_watch(struct control *c)
{
	struct revocation *r, *next;
	LL_FOREACH_SAFE (c->revocations, r, next)
		step(r);
}

/* --- the order --- */

static void on_refused(void *arg, struct fault *f)
{
	struct revocation *none = arg;
	tell(none, f);
	free(none);
}

static void on_rotated(void *arg, struct fault *f)
{
	struct revocation *r = arg;
	r->ordering = false;
	if (r->control->closing) {
		tell(r, f);
		release(r);
	} else if (f) {
		tell(r, fault_wrap(f, "there is no new certificate yet: the old one is still served, and is revoked as "
				      "soon as there is one"));
	} else {
		revocations_watch(r->control);
	}
}

static void on_ordered(void *arg, struct fault *f)
{
	struct revocation *r = arg;
	struct entry *e = r->entry;
	if (f || r->control->closing) {
		tell(r, f ? f : fault_new(FAULT_UNAVAILABLE, "leafcast is stopping; it goes on at the next start"));
		release(r);
		entry_drop_if_idle(e);
		return;
	}
	r->step = STEP_RENEW;
	r->ordering = true;
	rotation_order(e, on_rotated, r);
}

static struct fault *check(const struct control *c, const struct entry *e)
{
	const char *text = entry_key_text(e->key);
	if (e->kind != SECRET_TLS_CERTIFICATE)
		return fault_new(FAULT_INVALID, "%s is a bundle: leafcast trust remove takes an anchor out", text);
	if (!e->def)
		return fault_new(FAULT_INVALID,
			"%s was put: revoke it where it was issued, and put a new one or leafcast delete %s", text,
			text);
	for (const struct revocation *r = c->revocations; r; r = r->next)
		if (r->entry == e && renews(e, r))
			return fault_new(FAULT_CONFLICT, "version %s of %s is being revoked already", r->id, text);
	return NULL;
}

void control_revoke(
	struct control *c, const char *name, enum ca_reason reason, const char *by, control_revoked_fn *done, void *arg)
{
	struct entry *e = NULL;
	struct fault *f = entry_find_only(c, name, &e);
	if (!f)
		f = check(c, e);
	if (f) {
		struct revocation *none = mem_new(struct revocation);
		none->done = done;
		none->arg = arg;
		order_refuse(c, f, on_refused, none);
		return;
	}
	const char *id = version_id(e->current);
	struct revocation *r = add(c, e, id, strlen(id), reason);
	r->version = version_ref(e->current);
	r->by = mem_strdup(by);
	r->done = done;
	r->arg = arg;
	r->step = STEP_ASKING;
	r->fact = fact_new(by, id, e);
	struct store_tx *tx = store_tx_new();
	audit_note(c, tx, "secret.revoke_ordered", entry_key_text(e->key), id, by, reasons[reason]);
	store_tx_put_fact(tx, r->fact, reason);
	store_commit(c->o.store, tx, on_ordered, r);
}

/* Where the version's id begins in a fact, and who ordered it; NULL: it is another fact. */
static const char *id_in(const char *fact, char **ret_by)
{
	if (strncmp(fact, PREFIX_OLD, sizeof PREFIX_OLD - 1) == 0)
		return fact + sizeof PREFIX_OLD - 1;
	return order_fact_read(fact, PREFIX, ret_by);
}

void revocation_load(struct control *c, const char *fact, int64_t value, struct store_tx *drop)
{
	AUTO(mem_freep) char *by = NULL;
	const char *id = id_in(fact, &by), *slash = id ? strchr(id, '/') : NULL;
	if (!id)
		return;
	struct entry *e = slash ? entry_find_text(c, slash + 1) : NULL;
	if (!e || value < 0 || (size_t)value >= ARRAY_LEN(reasons) || !reasons[value]) {
		store_tx_drop_fact(drop, fact);
		return;
	}
	struct revocation *r = add(c, e, id, (size_t)(slash - id), (enum ca_reason)value);
	r->resumed = true;
	r->fact = mem_strdup(fact);
	r->by = TAKE(by);
	if (!renews(e, r))
		forget_previous(e, r->id);
	log_event(LOG_INFO, "revocation.resumed", LS("secret", entry_key_text(e->key)));
}

void revocations_close(struct control *c)
{
	struct revocation *r, *next;
	LL_FOREACH_SAFE (c->revocations, r, next) {
		tell(r, fault_new(FAULT_UNAVAILABLE, "leafcast is stopping; it goes on at the next start"));
		if (r->op)
			ca_cancel(r->op, authority_ca(r->authority));
	}
}

void revocations_free(struct control *c)
{
	while (c->revocations)
		release(c->revocations);
}
