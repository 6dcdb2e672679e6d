#include "control/issuance.h"
#include "base/anchors.h"
#include "base/clock.h"
#include "base/crash_point.h"
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/mem.h"
#include "ca-client/check.h"
#include "ca-client/keygen.h"
#include "control/internal.h"

/* A leaf's notBefore may lie this far ahead of our clock. */
#define CLOCK_SKEW_MS (INT64_C(2) * MS_PER_MIN)

/* Freed in finish(): when the last callback that can still come (key, place, authority) has come. A cancelled one lives
 * until then with done = NULL. */
struct issuance {
	struct control *control;
	struct authority *authority;
	struct issuance_spec spec;
	struct san_set sans;
	issuance_fn *done;
	void *arg;
	struct ticket ticket;
	EVP_PKEY *key;
	X509_REQ *csr;
	struct ca_op *op;
	struct ca_hint hint;
	bool placed; /* it has a place at the authority */
	bool asked;  /* and used it */
};

static void finish(struct issuance *i, struct fault *f, struct credential *c)
{
	issuance_fn *done = i->done;
	void *arg = i->arg;
	struct authority *a = i->authority;
	bool placed = i->placed, asked = i->asked && done;
	uint64_t probe = i->ticket.probe;
	const struct ca_hint hint = i->hint;
	EVP_PKEY_free(i->key);
	X509_REQ_free(i->csr);
	credential_unref(i->spec.current);
	san_set_free(&i->sans);
	free(i);
	if (placed)
		authority_release(a, probe, asked, f);
	if (done) {
		done(arg, f, c, &hint);
	} else {
		fault_free(f);
		credential_unref(c);
	}
}

static int64_t mono_ms(const struct issuance *i)
{
	return control_mono_ms(i->control);
}

static void on_issued(void *arg, struct fault *f, struct ca_answer *answer)
{
	struct issuance *i = arg;
	struct credential *c = NULL;
	i->op = NULL;
	if (i->spec.times && i->done)
		i->spec.times->answered_ms = mono_ms(i);
	if (!f) {
		const struct check_expectation expected = {.key = i->key,
			.sans = &i->sans,
			.anchors = authority_anchors(i->authority),
			.now_ms = control_now_ms(i->control),
			.clock_skew_ms = CLOCK_SKEW_MS,
			.lifetime_ms = i->spec.lifetime_ms,
			.served_not_after_ms = i->spec.served_not_after_ms};
		f = trust_check_banned(i->authority, answer->chain);
		if (!f)
			f = check_answer(answer, &expected, &c);
		i->hint = answer->renew;
	}
	ca_answer_free(answer);
	crash_point("issue.answered");
	finish(i, f, c);
}

static void on_key(void *arg, struct fault *f, EVP_PKEY *key, X509_REQ *csr)
{
	struct issuance *i = arg;
	i->key = key;
	i->csr = csr;
	if (f || !i->done || authority_is_ending(i->authority)) {
		finish(i, f ? f : fault_new(FAULT_UNAVAILABLE, "cancelled"), NULL);
		return;
	}
	const struct ca_request request = {.csr = i->csr,
		.sans = &i->sans,
		.current = i->spec.current,
		.key_type = i->spec.key_type,
		.lifetime_ms = i->spec.lifetime_ms,
		.deadline_ms = mono_ms(i) + i->spec.timeout_ms};
	crash_point("issue.key_made");
	i->asked = true;
	if (i->spec.times)
		i->spec.times->asked_ms = mono_ms(i);
	i->op = ca_issue(authority_ca(i->authority), &request, on_issued, i);
}

/* A key is made only when its turn has come: of thousands that wait none has to be kept. */
static void on_turn(void *arg, struct fault *f)
{
	struct issuance *i = arg;
	if (f) {
		finish(i, f, NULL);
		return;
	}
	i->placed = true;
	if (i->spec.times)
		i->spec.times->placed_ms = mono_ms(i);
	keygen_run(i->control->o.jobs, i->spec.key_type, &i->sans, NULL, on_key, i);
}

struct issuance *issuance_start(
	struct control *c, struct authority *a, const struct issuance_spec *s, issuance_fn *done, void *arg)
{
	struct issuance *i = mem_new(struct issuance);
	i->control = c;
	i->authority = a;
	i->spec = *s;
	i->spec.current = s->current ? credential_ref(s->current) : NULL;
	san_set_copy(s->sans, &i->sans);
	i->spec.sans = &i->sans;
	i->done = done;
	i->arg = arg;
	if (s->times)
		s->times->began_ms = mono_ms(i);
	i->ticket = (struct ticket){.ends_ms = s->ends_ms, .waiters = s->waiters, .go = on_turn, .arg = i};
	authority_wait(a, &i->ticket);
	return i;
}

void issuance_cancel(struct issuance *i)
{
	i->done = NULL;
	if (i->op) {
		ca_cancel(i->op, authority_ca(i->authority));
	} else if (!i->placed) {
		authority_leave(i->authority, &i->ticket);
		finish(i, NULL, NULL);
	}
}
