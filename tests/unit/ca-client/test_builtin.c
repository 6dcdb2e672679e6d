/* The embedded authority's CA: first start, later ones, renewal, and what goes wrong with each. */
#include "authority_rig.h"
#include <openssl/x509v3.h>
#include "ca-client/builtin_hierarchy.h"

#define YEAR_MS (INT64_C(365) * MS_PER_DAY)

/* One leaf for an hour, waited for. */
struct got {
	int times;
	struct fault *fault;
	struct ca_answer *answer;
};

static void on_issued(void *arg, struct fault *f, struct ca_answer *a)
{
	struct got *g = arg;
	g->times++;
	g->fault = f;
	g->answer = a;
	assert_true((f == NULL) != (a == NULL));
}

static void got_done(struct got *g)
{
	fault_free(g->fault);
	ca_answer_free(g->answer);
}

static X509_REQ *make_csr(void)
{
	X509_REQ *csr = X509_REQ_new();
	invariant(csr && X509_REQ_set_pubkey(csr, certs_key(CERTS_LEAF)) == 1);
	invariant(X509_REQ_sign(csr, certs_key(CERTS_LEAF), EVP_sha256()) > 0);
	return csr;
}

static struct got issue(struct rig *r)
{
	struct got g = {0, NULL, NULL};
	struct san_set sans = {NULL, 0};
	X509_REQ *csr = make_csr();
	expect_ok(san_set_add(&sans, SAN_DNS, "web.example"));
	const struct ca_request request = {.csr = csr,
		.sans = &sans,
		.key_type = KEY_ECDSA_P256,
		.lifetime_ms = MS_PER_HOUR,
		.deadline_ms = clock_mono_ms(&r->clock) + RIG_PATIENCE_MS};
	(void)ca_issue(r->ca, &request, on_issued, &g);
	rig_until(r, g.times);
	X509_REQ_free(csr);
	san_set_free(&sans);
	return g;
}

/* The sha256 of the CA that signed it. */
static char *issuing_sha256(const struct got *g)
{
	struct cert_info i;
	expect_ok(cert_info_read(sk_X509_value(g->answer->chain, 1), &i));
	char *sha256 = TAKE(i.sha256);
	cert_info_free(&i);
	return sha256;
}

static void first_start_makes_a_ca(void **state)
{
	struct rig *r = *state;
	rig_new(r, NULL);
	assert_string_equal(r->ca->driver->type, "builtin");
	assert_int_equal(ca_capabilities(r->ca), CA_LIFETIME_EXACT | CA_TRUST_CHANGES | CA_NEW_ROOT | CA_OUR_CLOCK);
	assert_null(ca_anchors(r->ca));
	rig_start(r);
	expect_ok(r->ready_fault);
	assert_int_equal(r->saves, 1);
	assert_int_equal(anchors_count(ca_anchors(r->ca)), 1);
	const struct cert_info *root = anchors_info(ca_anchors(r->ca), 0);
	assert_string_equal(root->subject, "CN=leafcast lab");
	assert_string_equal(root->key, "ecdsa-p256");
	assert_int_equal((root->not_after_ms - r->wall_ms) / YEAR_MS, 10);
	AUTO(mem_freep) char *fingerprint = mem_printf("\"root_sha256\":\"%s\"", root->sha256);
	assert_true(rig_logged(r, fingerprint));
	assert_int_equal(r->trust_changes, 0); /* start is told by ready alone */
}

static void the_log_tells_created_from_loaded(void **state)
{
	struct rig *r = *state;
	rig_new(r, NULL);
	rig_start(r);
	AUTO(mem_freep) char *root = mem_strdup(rig_root_sha256(r));
	assert_true(rig_logged(r, "\"event\":\"authority.ca_created\""));
	rig_stop(r);
	rig_new(r, NULL);
	rig_start(r);
	assert_string_equal(rig_root_sha256(r), root);
	assert_int_equal(r->saves, 1);
	AUTO(mem_freep)
	char *loaded = mem_printf("\"authority.ca_loaded\",\"authority\":\"lab\",\"root_sha256\":\"%s\"", root);
	assert_true(rig_logged(r, loaded));
}

static void options_name_the_root_and_its_key(void **state)
{
	struct rig *r = *state;
	char long_name[] = "caf\xc3\xa9 0123456789012345678901234567890123456789012345678901234567890";
	rig_new(r, &(struct builtin_options){.ca_key = KEY_ECDSA_P384, .common_name = long_name});
	rig_start(r);
	expect_ok(r->ready_fault);
	const struct cert_info *root = anchors_info(ca_anchors(r->ca), 0);
	assert_string_equal(root->key, "ecdsa-p384");
	/* 56 characters, the last one a "0": RFC 2253 escapes what is not ASCII. */
	assert_string_equal(root->subject, "CN=caf\\C3\\A9 012345678901234567890123456789012345678901234567890");
	struct got g = issue(r);
	expect_ok(g.fault);
	assert_int_equal(X509_get_signature_nid(sk_X509_value(g.answer->chain, 0)), NID_ecdsa_with_SHA384);
	got_done(&g);
}

static void bad_options_are_refused(void **state)
{
	struct rig *r = *state;
	const struct ca_env env = {.loop = r->loop, .jobs = r->jobs, .clock = &r->clock, .authority = "lab"};
	static char empty[] = "", latin1[] = "caf\xe9", file[] = "/nonexistent/ca.pem";
	struct ca *none = NULL;
	expect_fault(builtin_new(&(struct builtin_options){.certificate_file = file}, &env, &none), FAULT_INVALID,
		"certificate_file and key_file go together");
	expect_fault(
		builtin_new(&(struct builtin_options){.key_file = file}, &env, &none), FAULT_INVALID, "go together");
	expect_fault(builtin_new(&(struct builtin_options){.key_password_file = file}, &env, &none), FAULT_INVALID,
		"key_password_file belongs to a key_file");
	expect_fault(builtin_new(&(struct builtin_options){.common_name = empty}, &env, &none), FAULT_INVALID,
		"common_name is text of 1 to 56 characters");
	expect_fault(builtin_new(&(struct builtin_options){.common_name = latin1}, &env, &none), FAULT_INVALID,
		"common_name");
	expect_fault(builtin_new(&(struct builtin_options){.certificate_file = file, .key_file = file}, &env, &none),
		FAULT_NOT_FOUND, "/nonexistent/ca.pem");
	assert_null(none);
}

static void is_not_ready_before_it_is_durable(void **state)
{
	struct rig *r = *state;
	r->save_waits = true;
	rig_new(r, NULL);
	ca_start(r->ca, rig_on_ready, r);
	rig_until(r, r->save_done);
	rig_settle(r);
	assert_int_equal(r->ready, 0);
	assert_null(ca_anchors(r->ca));
	struct got g = issue(r);
	expect_fault(g.fault, FAULT_UNAVAILABLE, "the authority is not ready");
	timer_start(r->save_turn, 0);
	rig_until(r, r->ready);
	expect_ok(r->ready_fault);
	assert_non_null(ca_anchors(r->ca));
}

/* Nobody knows whether a failed save is on the disk after all: the same CA is saved again, never a second one. */
static void a_failed_save_is_tried_again_with_the_same_ca(void **state)
{
	struct rig *r = *state;
	struct hierarchy *first = NULL;
	r->save_fails = true;
	r->save_waits = true;
	rig_new(r, NULL);
	ca_start(r->ca, rig_on_ready, r);
	rig_until(r, r->save_done);
	expect_ok(hierarchy_load(r->saving, &first));
	timer_start(r->save_turn, 0);
	rig_until(r, r->ready);
	expect_fault(TAKE(r->ready_fault), FAULT_UNAVAILABLE, "the new CA cannot be stored: no space left");
	assert_null(ca_anchors(r->ca));
	r->save_waits = r->save_fails = false;
	rig_start(r);
	expect_ok(r->ready_fault);
	assert_int_equal(r->saves, 2);
	assert_string_equal(rig_root_sha256(r), anchors_info(first->anchors, 0)->sha256);
	hierarchy_unref(first);
}

static void what_cannot_be_read_is_never_replaced(void **state)
{
	struct rig *r = *state;
	r->load_fails = true;
	rig_new(r, NULL);
	rig_start(r);
	expect_fault(TAKE(r->ready_fault), FAULT_CORRUPT, "the record cannot be opened");
	r->load_fails = false;
	expect_ok(secret_new("junk", 4, &r->kept));
	rig_start(r);
	expect_fault(TAKE(r->ready_fault), FAULT_CORRUPT, "the stored CA cannot be used: no certificate in it");
	assert_int_equal(r->saves, 0);
	assert_null(ca_anchors(r->ca));
}

/* A stored CA, made at the rig's time. */
static void keep_a_ca(struct rig *r, struct hierarchy **ret)
{
	expect_ok(hierarchy_create(KEY_ECDSA_P256, "leafcast lab", r->wall_ms, ret, &r->kept));
}

static void expect_trusted(struct rig *r, const struct got *g)
{
	expect_ok(anchors_verify(ca_anchors(r->ca), g->answer->chain, X509_PURPOSE_SSL_SERVER, r->wall_ms));
	expect_ok(anchors_verify(ca_anchors(r->ca), g->answer->chain, X509_PURPOSE_SSL_CLIENT, r->wall_ms));
}

static void renews_the_issuing_ca_at_half_of_its_life(void **state)
{
	struct rig *r = *state;
	AUTO(hierarchy_unrefp) struct hierarchy *stored = NULL;
	keep_a_ca(r, &stored);
	int64_t half = hierarchy_renew_at_ms(stored);
	assert_true(half > r->wall_ms + YEAR_MS / 2 - MS_PER_DAY && half < r->wall_ms + YEAR_MS / 2 + MS_PER_DAY);
	r->wall_ms = half - 30;
	rig_new(r, NULL);
	rig_start(r);
	AUTO(mem_freep) char *root = mem_strdup(rig_root_sha256(r));
	struct got before = issue(r);
	expect_ok(before.fault);
	assert_int_equal(r->saves, 0);
	r->wall_ms = half + 1;
	rig_until(r, r->saves == 1 && !r->save_done);
	assert_true(rig_logged(r, "\"authority.issuing_ca_renewed\""));
	assert_string_equal(rig_root_sha256(r), root);
	struct got after = issue(r);
	expect_ok(after.fault);
	AUTO(mem_freep) char *old = issuing_sha256(&before), *new = issuing_sha256(&after);
	assert_string_not_equal(old, new);
	expect_trusted(r, &before); /* the former one's leaves go on: overlap, and no change of trust */
	expect_trusted(r, &after);
	assert_int_equal(r->trust_changes, 0);
	rig_stop(r);
	rig_new(r, NULL); /* what was saved is what is in force */
	rig_start(r);
	struct got again = issue(r);
	AUTO(mem_freep) char *loaded = issuing_sha256(&again);
	assert_string_equal(loaded, new);
	got_done(&before);
	got_done(&after);
	got_done(&again);
}

/* The machine was off for a year. */
static void renews_before_it_is_ready(void **state)
{
	struct rig *r = *state;
	AUTO(hierarchy_unrefp) struct hierarchy *stored = NULL;
	keep_a_ca(r, &stored);
	r->wall_ms += YEAR_MS + MS_PER_DAY;
	rig_new(r, NULL);
	rig_start(r);
	expect_ok(r->ready_fault);
	assert_int_equal(r->saves, 1);
	assert_string_equal(rig_root_sha256(r), anchors_info(stored->anchors, 0)->sha256);
	struct got g = issue(r);
	expect_ok(g.fault);
	expect_trusted(r, &g);
	got_done(&g);
}

static void a_renewal_that_cannot_be_stored_is_not_used(void **state)
{
	struct rig *r = *state;
	AUTO(hierarchy_unrefp) struct hierarchy *stored = NULL;
	keep_a_ca(r, &stored);
	r->wall_ms = hierarchy_renew_at_ms(stored) + 1;
	r->save_fails = true;
	rig_new(r, NULL);
	rig_start(r);
	expect_ok(r->ready_fault); /* the former one is good for half a year */
	assert_int_equal(r->saves, 1);
	assert_true(rig_logged(r, "\"authority.issuing_ca_not_renewed\""));
	struct got g = issue(r);
	expect_ok(g.fault);
	AUTO(mem_freep) char *used = issuing_sha256(&g);
	assert_string_equal(used, stored->issuer_info.sha256);
	got_done(&g);
}

/* Near the end of the root each new issuing CA would end where the former one does: one is enough. */
static void the_last_issuing_ca_is_not_renewed(void **state)
{
	struct rig *r = *state;
	AUTO(hierarchy_unrefp) struct hierarchy *stored = NULL;
	keep_a_ca(r, &stored);
	r->wall_ms = anchors_info(stored->anchors, 0)->not_after_ms - 2 * MS_PER_MIN;
	rig_new(r, NULL);
	rig_start(r);
	expect_ok(r->ready_fault);
	assert_int_equal(r->saves, 1);
	for (int i = 0; i < 5; i++) { /* turns of the loop, in which a renewal would begin */
		struct got g = issue(r);
		expect_ok(g.fault);
		expect_trusted(r, &g);
		got_done(&g);
	}
	assert_int_equal(r->saves, 1);
}

static void an_ended_root_signs_nothing(void **state)
{
	struct rig *r = *state;
	AUTO(hierarchy_unrefp) struct hierarchy *stored = NULL;
	keep_a_ca(r, &stored);
	r->wall_ms += 11 * YEAR_MS;
	rig_new(r, NULL);
	rig_start(r);
	expect_ok(r->ready_fault); /* what it signed is still to be verified, and shown */
	assert_true(rig_logged(r, "\"authority.ca_ended\""));
	struct got g = issue(r);
	assert_true(fault_is_retryable(g.fault));
	expect_fault(g.fault, FAULT_UNAVAILABLE, "the CA's certificate ended at 2028-01-15T");
}

static void a_clock_before_the_ca_signs_nothing(void **state)
{
	struct rig *r = *state;
	AUTO(hierarchy_unrefp) struct hierarchy *stored = NULL;
	keep_a_ca(r, &stored);
	r->wall_ms = 0; /* a machine without a clock battery */
	rig_new(r, NULL);
	rig_start(r);
	expect_ok(r->ready_fault);
	struct got g = issue(r);
	assert_true(fault_is_retryable(g.fault));
	expect_fault(g.fault, FAULT_UNAVAILABLE, "by our clock the CA's certificate is not valid yet");
}

/* The record vanished, or became another one, while we ran: no new root slips in. */
static void a_running_ca_is_not_replaced(void **state)
{
	struct rig *r = *state;
	AUTO(hierarchy_unrefp) struct hierarchy *stored = NULL, *other = NULL;
	keep_a_ca(r, &stored);
	int64_t half = hierarchy_renew_at_ms(stored);
	struct secret *own = TAKE(r->kept), *others = NULL;
	r->wall_ms -= MS_PER_DAY; /* due a day earlier */
	keep_a_ca(r, &other);
	others = TAKE(r->kept);
	for (int i = 0; i < 2; i++) {
		r->kept = rig_copy(own);
		r->wall_ms = half - 10;
		rig_new(r, NULL);
		rig_start(r);
		secret_free(r->kept);
		r->kept = i == 0 ? NULL : rig_copy(others);
		r->wall_ms = half + 1;
		timer_start(r->watchdog, RIG_PATIENCE_MS);
		while (!rig_logged(r, i == 0 ? "the stored CA is gone" : "the stored CA is another one"))
			(void)loop_turn(r->loop, true);
		timer_stop(r->watchdog);
		assert_int_equal(r->saves, 0);
		assert_string_equal(rig_root_sha256(r), anchors_info(stored->anchors, 0)->sha256);
		rig_stop(r);
		secret_free(TAKE(r->kept));
	}
	secret_free(own);
	secret_free(others);
}

struct root_told {
	int times;
	struct fault *fault;
};

static void on_new_root(void *arg, struct fault *f)
{
	struct root_told *t = arg;
	t->times++;
	t->fault = f;
}

/* A new root signs once it is durable, and who trusts the old one hears of it; one that cannot be stored does not. */
static void a_new_root(void **state)
{
	struct rig *r = *state;
	char old[65], next[65];
	struct root_told told = {0, NULL};
	rig_new(r, NULL);
	rig_start(r);
	expect_ok(r->ready_fault);
	(void)snprintf(old, sizeof old, "%s", rig_root_sha256(r));
	r->save_fails = true;
	ca_new_root(r->ca, on_new_root, &told);
	assert_int_equal(told.times, 0);
	rig_until(r, told.times == 1);
	expect_fault(TAKE(told.fault), FAULT_UNAVAILABLE, "the new root cannot be stored");
	assert_string_equal(rig_root_sha256(r), old);
	assert_int_equal(r->trust_changes, 0);
	struct got g = issue(r); /* the old one goes on */
	expect_ok(g.fault);
	expect_trusted(r, &g);
	got_done(&g);
	r->save_fails = false;
	ca_new_root(r->ca, on_new_root, &told);
	rig_until(r, told.times == 2);
	expect_ok(told.fault);
	assert_int_equal(r->trust_changes, 1);
	(void)snprintf(next, sizeof next, "%s", rig_root_sha256(r));
	assert_string_not_equal(next, old);
	g = issue(r);
	expect_ok(g.fault);
	expect_trusted(r, &g);
	got_done(&g);
	rig_stop(r);
	rig_new(r, NULL);
	rig_start(r);
	assert_string_equal(rig_root_sha256(r), next);
}

static void a_new_root_and_the_end(void **state)
{
	struct rig *r = *state;
	struct root_told told = {0, NULL};
	rig_new(r, NULL);
	rig_start(r);
	ca_new_root(r->ca, on_new_root, &told);
	rig_stop(r);
	assert_int_equal(told.times, 0);
}

static void closes_at_any_moment(void **state)
{
	struct rig *r = *state;
	rig_new(r, NULL); /* never started */
	rig_stop(r);
	rig_new(r, NULL); /* its CA is being made */
	ca_start(r->ca, rig_on_ready, r);
	rig_stop(r);
	assert_int_equal(r->saves, 0);
	r->save_waits = true;
	rig_new(r, NULL); /* being saved: the store still holds us */
	ca_start(r->ca, rig_on_ready, r);
	rig_until(r, r->save_done);
	ca_close(r->ca, rig_on_closed, r);
	r->ca = NULL;
	rig_settle(r);
	assert_int_equal(r->closed, 2);
	timer_start(r->save_turn, 0);
	rig_until(r, r->closed == 3);
	assert_int_equal(r->ready, 0); /* nobody is told who has closed */
	r->save_waits = false;
	rig_new(r, NULL); /* loaded, and not told yet */
	ca_start(r->ca, rig_on_ready, r);
	rig_stop(r);
	assert_int_equal(r->ready, 0);
}

#define with_rig(test) cmocka_unit_test_setup_teardown(test, rig_open, rig_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_rig(first_start_makes_a_ca),
		with_rig(the_log_tells_created_from_loaded),
		with_rig(options_name_the_root_and_its_key),
		with_rig(bad_options_are_refused),
		with_rig(is_not_ready_before_it_is_durable),
		with_rig(a_failed_save_is_tried_again_with_the_same_ca),
		with_rig(what_cannot_be_read_is_never_replaced),
		with_rig(renews_the_issuing_ca_at_half_of_its_life),
		with_rig(renews_before_it_is_ready),
		with_rig(a_renewal_that_cannot_be_stored_is_not_used),
		with_rig(the_last_issuing_ca_is_not_renewed),
		with_rig(an_ended_root_signs_nothing),
		with_rig(a_clock_before_the_ca_signs_nothing),
		with_rig(a_running_ca_is_not_replaced),
		with_rig(a_new_root),
		with_rig(a_new_root_and_the_end),
		with_rig(closes_at_any_moment),
	};
	return cmocka_run_group_tests(tests, NULL, certs_free);
}
