#include "control/issuance.h"
#include "base/anchors.h"
#include "base/clock.h"
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
	EVP_PKEY *key;
	X509_REQ *csr;
	struct ca_op *op;
	bool acquired;
};

static void finish(struct issuance *i, struct fault *f, struct credential *c)
{
	issuance_fn *done = i->done;
	void *arg = i->arg;
	if (i->acquired)
		authority_release(i->authority);
	EVP_PKEY_free(i->key);
	X509_REQ_free(i->csr);
	san_set_free(&i->sans);
	free(i);
	if (done) {
		done(arg, f, c);
	} else {
		fault_free(f);
		credential_unref(c);
	}
}

static void on_issued(void *arg, struct fault *f, struct ca_answer *answer)
{
	struct issuance *i = arg;
	struct credential *c = NULL;
	i->op = NULL;
	if (!f) {
		const struct check_expectation expected = {.key = i->key,
			.sans = &i->sans,
			.anchors = authority_anchors(i->authority),
			.now_ms = control_now_ms(i->control),
			.clock_skew_ms = CLOCK_SKEW_MS,
			.lifetime_ms = i->spec.lifetime_ms,
			.served_not_after_ms = i->spec.served_not_after_ms};
		f = check_answer(answer, &expected, &c);
	}
	ca_answer_free(answer);
	finish(i, f, c);
}

static void on_place(void *arg)
{
	struct issuance *i = arg;
	i->acquired = true;
	const struct ca_request request = {.csr = i->csr,
		.sans = &i->sans,
		.key_type = i->spec.key_type,
		.lifetime_ms = i->spec.lifetime_ms,
		.deadline_ms = clock_mono_ms(i->control->o.clock) + i->spec.timeout_ms};
	i->op = ca_issue(authority_ca(i->authority), &request, on_issued, i);
}

static void on_key(void *arg, struct fault *f, EVP_PKEY *key, X509_REQ *csr)
{
	struct issuance *i = arg;
	i->key = key;
	i->csr = csr;
	if (f || !i->done)
		finish(i, f ? f : fault_new(FAULT_UNAVAILABLE, "cancelled"), NULL);
	else
		authority_acquire(i->authority, on_place, i);
}

struct issuance *issuance_start(
	struct control *c, struct authority *a, const struct issuance_spec *s, issuance_fn *done, void *arg)
{
	struct issuance *i = mem_new(struct issuance);
	i->control = c;
	i->authority = a;
	i->spec = *s;
	san_set_copy(s->sans, &i->sans);
	i->spec.sans = &i->sans;
	i->done = done;
	i->arg = arg;
	keygen_run(c->o.jobs, s->key_type, &i->sans, NULL, on_key, i);
	return i;
}

void issuance_cancel(struct issuance *i)
{
	i->done = NULL;
	if (i->op)
		ca_cancel(i->op, authority_ca(i->authority));
	else if (i->key && !i->acquired && authority_forget(i->authority, i))
		finish(i, NULL, NULL);
}
