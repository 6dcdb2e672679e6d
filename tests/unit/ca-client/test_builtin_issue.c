/* The promises of ca.h, kept by the embedded authority: one completion, never from within a call, in time. */
#include "authority_rig.h"
#include <semaphore.h>
#include <openssl/x509v3.h>
#include "ca-client/check.h"

enum { POOL_THREADS = 4 }; /* libuv's default */

struct wait {
	struct rig *rig;
	int times;
	struct fault *fault;
	struct ca_answer *answer;
	struct ca_op *cancel_at_end; /* another one, ended by this one's completion */
	bool close_at_end;
};

static struct san_set sans;
static X509_REQ *csr;

static int make_request(void **state)
{
	(void)state;
	expect_ok(san_set_add(&sans, SAN_DNS, "web.example"));
	csr = X509_REQ_new();
	invariant(csr && X509_REQ_set_pubkey(csr, certs_key(CERTS_LEAF)) == 1);
	return X509_REQ_sign(csr, certs_key(CERTS_LEAF), EVP_sha256()) > 0 ? 0 : -1;
}

static int free_request(void **state)
{
	san_set_free(&sans);
	X509_REQ_free(csr);
	return certs_free(state);
}

static void on_issued(void *arg, struct fault *f, struct ca_answer *a)
{
	struct wait *w = arg;
	assert_int_equal(w->times, 0);
	assert_true((f == NULL) != (a == NULL));
	w->times++;
	w->fault = f;
	w->answer = a;
	if (w->cancel_at_end)
		ca_cancel(w->cancel_at_end, w->rig->ca);
	if (w->close_at_end)
		ca_close(w->rig->ca, rig_on_closed, w->rig);
}

static void wait_done(struct wait *w)
{
	fault_free(w->fault);
	ca_answer_free(w->answer);
}

static struct ca_op *begin(struct rig *r, struct wait *w, int64_t lifetime_ms, int64_t patience_ms)
{
	w->rig = r;
	const struct ca_request request = {.csr = csr,
		.sans = &sans,
		.key_type = KEY_ECDSA_P256,
		.lifetime_ms = lifetime_ms,
		.deadline_ms = clock_mono_ms(&r->clock) + patience_ms};
	struct ca_op *op = ca_issue(r->ca, &request, on_issued, w);
	assert_int_equal(w->times, 0);
	return op;
}

static int open_started(void **state)
{
	(void)rig_open(state);
	rig_new(*state, NULL);
	rig_start(*state);
	return 0;
}

static void the_answer_passes_every_check(void **state)
{
	struct rig *r = *state;
	struct wait w = {0};
	AUTO(credential_unrefp) struct credential *c = NULL;
	(void)begin(r, &w, MS_PER_HOUR, RIG_PATIENCE_MS);
	rig_until(r, w.times);
	expect_ok(w.fault);
	assert_int_equal(sk_X509_num(w.answer->chain), 3);
	assert_true(anchors_equal(w.answer->anchors, ca_anchors(r->ca)));
	const struct check_expectation expected = {.key = certs_key(CERTS_LEAF),
		.sans = &sans,
		.anchors = ca_anchors(r->ca),
		.now_ms = r->wall_ms,
		.clock_skew_ms = 0,
		.served_not_after_ms = 0};
	expect_ok(check_answer(w.answer, &expected, &c));
	assert_int_equal(sk_X509_num(credential_chain(c)), 2); /* the root stays at home */
	wait_done(&w);
}

static void many_at_once_end_once_each(void **state)
{
	struct rig *r = *state;
	enum { MANY = 100 };
	struct wait w[MANY] = {{0}};
	int left = MANY;
	for (int i = 0; i < MANY; i++)
		(void)begin(r, &w[i], MS_PER_HOUR, RIG_PATIENCE_MS);
	timer_start(r->watchdog, RIG_PATIENCE_MS);
	while (left) {
		(void)loop_turn(r->loop, true);
		left = MANY;
		for (int i = 0; i < MANY; i++)
			left -= w[i].times;
	}
	timer_stop(r->watchdog);
	for (int i = 0; i < MANY; i++) {
		expect_ok(w[i].fault);
		wait_done(&w[i]);
	}
}

static void bad_requests_are_invalid(void **state)
{
	struct rig *r = *state;
	static const struct {
		int64_t lifetime_ms;
		const char *text;
	} rows[] = {{BUILTIN_LIFETIME_MIN_MS - 1, "a lifetime of 9s; 10s to 825d0h are possible"},
		{BUILTIN_LIFETIME_MAX_MS + 1, "a lifetime of 825d0h; 10s to"}, {0, "a lifetime of 0ms"},
		{-1, "a lifetime of -1ms"}, {INT64_MIN, "a lifetime of -"}, {INT64_MAX, "10s to"}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct wait w = {0};
		(void)begin(r, &w, rows[i].lifetime_ms, RIG_PATIENCE_MS);
		rig_until(r, w.times);
		assert_false(fault_is_retryable(w.fault));
		expect_fault(w.fault, FAULT_INVALID, rows[i].text);
	}
}

/* --- a pool that does nothing until it is told to --- */

struct plug {
	sem_t busy, free;
	int done;
};

static void plug_work(void *arg)
{
	struct plug *p = arg;
	(void)sem_post(&p->busy);
	while (sem_wait(&p->free) != 0)
		;
}

static void plug_done(void *arg)
{
	((struct plug *)arg)->done++;
}

static void plug_pool(struct rig *r, struct plug *p)
{
	*p = (struct plug){.done = 0};
	assert_int_equal(sem_init(&p->busy, 0, 0), 0);
	assert_int_equal(sem_init(&p->free, 0, 0), 0);
	for (int i = 0; i < POOL_THREADS; i++)
		jobs_run(r->jobs, false, plug_work, plug_done, p);
	for (int i = 0; i < POOL_THREADS; i++)
		while (sem_wait(&p->busy) != 0)
			;
}

static void unplug_pool(struct rig *r, struct plug *p)
{
	for (int i = 0; i < POOL_THREADS; i++)
		(void)sem_post(&p->free);
	rig_until(r, p->done == POOL_THREADS && jobs_pending(r->jobs) == 0);
	(void)sem_destroy(&p->busy);
	(void)sem_destroy(&p->free);
}

static void a_cancelled_one_does_not_wait_for_its_job(void **state)
{
	struct rig *r = *state;
	struct plug p;
	struct wait w = {0};
	plug_pool(r, &p);
	struct ca_op *op = begin(r, &w, MS_PER_HOUR, RIG_PATIENCE_MS);
	ca_cancel(op, r->ca);
	ca_cancel(op, r->ca); /* twice is fine */
	assert_int_equal(w.times, 0);
	rig_until(r, w.times);
	expect_fault(w.fault, FAULT_UNAVAILABLE, "cancelled");
	unplug_pool(r, &p); /* the job's end finds nobody */
	assert_int_equal(w.times, 1);
}

static void a_late_one_ends_at_its_deadline(void **state)
{
	struct rig *r = *state;
	struct plug p;
	struct wait w = {0};
	plug_pool(r, &p);
	int64_t began = clock_mono_ms(&r->clock);
	(void)begin(r, &w, MS_PER_HOUR, 30);
	rig_until(r, w.times);
	int64_t took = clock_mono_ms(&r->clock) - began;
	assert_true(took >= 30 && took < RIG_PATIENCE_MS);
	assert_true(fault_is_retryable(w.fault));
	expect_fault(w.fault, FAULT_TIMEOUT, "no leaf was signed in time");
	unplug_pool(r, &p);
	assert_int_equal(w.times, 1);
}

static void a_deadline_that_has_passed_is_no_reason_to_sign(void **state)
{
	struct rig *r = *state;
	struct wait w = {0};
	(void)begin(r, &w, MS_PER_HOUR, -1);
	assert_int_equal(jobs_pending(r->jobs), 0);
	rig_until(r, w.times);
	expect_fault(w.fault, FAULT_TIMEOUT, "in time");
}

/* A cancel that meets the job's end in one turn: the op ends once, as cancelled. */
static void cancelling_after_the_job_has_run(void **state)
{
	struct rig *r = *state;
	struct plug p;
	struct wait w = {0};
	plug_pool(r, &p);
	struct ca_op *op = begin(r, &w, MS_PER_HOUR, RIG_PATIENCE_MS);
	for (int i = 0; i < POOL_THREADS; i++)
		(void)sem_post(&p.free);
	ca_cancel(op, r->ca);
	rig_until(r, w.times);
	expect_fault(w.fault, FAULT_UNAVAILABLE, "cancelled");
	rig_until(r, p.done == POOL_THREADS && jobs_pending(r->jobs) == 0);
	assert_int_equal(w.times, 1);
	(void)sem_destroy(&p.busy);
	(void)sem_destroy(&p.free);
}

static void a_completion_may_cancel_and_close(void **state)
{
	struct rig *r = *state;
	struct plug p;
	struct wait first = {0}, second = {0}, third = {0};
	plug_pool(r, &p);
	(void)begin(r, &first, MS_PER_HOUR, 20);
	first.cancel_at_end = begin(r, &second, MS_PER_HOUR, RIG_PATIENCE_MS);
	first.close_at_end = true;
	(void)begin(r, &third, MS_PER_HOUR, RIG_PATIENCE_MS);
	rig_until(r, second.times && third.times);
	expect_fault(first.fault, FAULT_TIMEOUT, "in time");
	expect_fault(second.fault, FAULT_UNAVAILABLE, "cancelled");
	expect_fault(third.fault, FAULT_UNAVAILABLE, "the authority is closing");
	rig_settle(r);
	assert_int_equal(r->closed, 0); /* three signings have not run yet */
	unplug_pool(r, &p);
	rig_until(r, r->closed);
	r->ca = NULL;
}

static void nothing_begins_while_it_closes(void **state)
{
	struct rig *r = *state;
	struct wait w = {0};
	ca_close(r->ca, rig_on_closed, r);
	(void)begin(r, &w, MS_PER_HOUR, RIG_PATIENCE_MS);
	rig_until(r, w.times && r->closed);
	expect_fault(w.fault, FAULT_UNAVAILABLE, "the authority is closing");
	assert_int_equal(r->closed, 1);
	r->ca = NULL;
}

#define with_rig(test) cmocka_unit_test_setup_teardown(test, open_started, rig_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_rig(the_answer_passes_every_check),
		with_rig(many_at_once_end_once_each),
		with_rig(bad_requests_are_invalid),
		with_rig(a_cancelled_one_does_not_wait_for_its_job),
		with_rig(a_late_one_ends_at_its_deadline),
		with_rig(a_deadline_that_has_passed_is_no_reason_to_sign),
		with_rig(cancelling_after_the_job_has_run),
		with_rig(a_completion_may_cancel_and_close),
		with_rig(nothing_begins_while_it_closes),
	};
	return cmocka_run_group_tests(tests, make_request, free_request);
}
