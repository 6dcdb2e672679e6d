/* Every way in which an authority can answer wrongly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>
#include "base/anchors.h"
#include "base/attr.h"
#include "base/clock.h"
#include "base/mem.h"
#include "ca-client/check.h"
#include "certs.h"

static X509 *root, *issuer, *stranger;
static struct anchors *anchors, *strangers;
static struct san_set web; /* DNS:web.example */
static int64_t now_s;

static struct anchors *anchors_of(X509 *cert)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	struct anchors *a = NULL;
	invariant(certs && sk_X509_push(certs, cert) > 0);
	expect_ok(anchors_new(certs, &a));
	sk_X509_free(certs);
	return a;
}

static int set_up(void **state)
{
	(void)state;
	now_s = (int64_t)time(NULL);
	root = certs_root(CERTS_ROOT, "Root");
	issuer = certs_issuer(root, CERTS_ROOT, CERTS_ISSUER, "Issuing");
	stranger = certs_root(CERTS_STRANGER, "Stranger");
	anchors = anchors_of(root);
	strangers = anchors_of(stranger);
	expect_ok(san_set_add(&web, SAN_DNS, "web.example"));
	return 0;
}

static int tear_down(void **state)
{
	X509_free(root);
	X509_free(issuer);
	X509_free(stranger);
	anchors_unref(anchors);
	anchors_unref(strangers);
	san_set_free(&web);
	return certs_free(state);
}

/* What is right; a test changes one thing. */
static struct certs_spec good(void)
{
	return (struct certs_spec){.key = CERTS_LEAF,
		.issuer = issuer,
		.issuer_key = CERTS_ISSUER,
		.san = "critical,DNS:web.example",
		.constraints = "critical,CA:FALSE",
		.usage = "critical,digitalSignature",
		.extended = "serverAuth,clientAuth",
		.from_s = now_s - 30,
		.to_s = now_s + 3600};
}

static struct check_expectation expected(void)
{
	return (struct check_expectation){.key = certs_key(CERTS_LEAF),
		.sans = &web,
		.anchors = anchors,
		.now_ms = now_s * 1000,
		.clock_skew_ms = 2 * MS_PER_MIN,
		.lifetime_ms = MS_PER_HOUR};
}

static struct fault *check_chain(
	STACK_OF(X509) * chain, struct anchors *own, const struct check_expectation *e, struct credential **ret)
{
	const struct ca_answer a = {.chain = chain, .anchors = own, .request_id = NULL};
	return check_answer(&a, e, ret);
}

static struct fault *check_spec(const struct certs_spec *s, const struct check_expectation *e, struct credential **ret)
{
	X509 *leaf = certs_make(s);
	STACK_OF(X509) *chain = sk_X509_new_null();
	invariant(chain && sk_X509_push(chain, leaf) > 0 && sk_X509_push(chain, issuer) > 0);
	struct fault *f = check_chain(chain, NULL, e, ret);
	sk_X509_free(chain);
	X509_free(leaf);
	return f;
}

static void expect_accepted(const struct certs_spec *s, const struct check_expectation *e)
{
	AUTO(credential_unrefp) struct credential *c = NULL;
	expect_ok(check_spec(s, e, &c));
	assert_non_null(c);
}

static void expect_rejected(const struct certs_spec *s, const struct check_expectation *e, const char *part)
{
	struct credential *c = NULL;
	struct fault *f = check_spec(s, e, &c);
	assert_null(c);
	if (f)
		assert_ptr_equal(strstr(fault_text(f), "rejected answer (certificate sha256 "), fault_text(f));
	expect_fault(f, FAULT_CORRUPT, part);
}

static void takes_what_was_asked_for(void **state)
{
	(void)state;
	AUTO(credential_unrefp) struct credential *c = NULL;
	const struct certs_spec s = good();
	const struct check_expectation e = expected();
	expect_ok(check_spec(&s, &e, &c));
	assert_int_equal(sk_X509_num(credential_chain(c)), 2);
	assert_int_equal(credential_info(c)->not_after_ms, s.to_s * 1000);
}

static void puts_the_chain_in_order(void **state)
{
	(void)state;
	AUTO(credential_unrefp) struct credential *c = NULL;
	const struct certs_spec s = good();
	const struct check_expectation e = expected();
	X509 *leaf = certs_make(&s);
	STACK_OF(X509) *chain = sk_X509_new_null();
	invariant(sk_X509_push(chain, root) > 0 && sk_X509_push(chain, issuer) > 0 && sk_X509_push(chain, leaf) > 0);
	expect_ok(check_chain(chain, NULL, &e, &c));
	assert_int_equal(sk_X509_num(credential_chain(c)), 2);
	assert_int_equal(X509_cmp(credential_leaf(c), leaf), 0);
	sk_X509_free(chain);
	X509_free(leaf);
}

static void no_certificate(void **state)
{
	(void)state;
	struct credential *c = NULL;
	const struct check_expectation e = expected();
	STACK_OF(X509) *none = sk_X509_new_null();
	expect_fault(check_chain(NULL, NULL, &e, &c), FAULT_CORRUPT, "rejected answer: there is no certificate in it");
	expect_fault(check_chain(none, NULL, &e, &c), FAULT_CORRUPT, "there is no certificate in it");
	sk_X509_free(none);
}

static void another_key(void **state)
{
	(void)state;
	struct certs_spec s = good();
	const struct check_expectation e = expected();
	s.key = CERTS_OTHER;
	expect_rejected(&s, &e, "it is for another public key: we sent the one with sha256 ");
}

static void other_names(void **state)
{
	(void)state;
	struct certs_spec s = good();
	const struct check_expectation e = expected();
	s.san = "DNS:web.example,DNS:admin.example,URI:spiffe://x/y";
	expect_rejected(&s, &e, "missing: none; not asked for: DNS:admin.example, URI:spiffe://x/y");
	s.san = "DNS:webs.example";
	expect_rejected(&s, &e, "missing: DNS:web.example; not asked for: DNS:webs.example");
	s.san = "DNS:*.example";
	expect_rejected(&s, &e, "missing: DNS:web.example; not asked for: DNS:*.example");
	s.san = "URI:spiffe://web.example/a";
	expect_rejected(&s, &e, "missing: DNS:web.example; not asked for: URI:spiffe://web.example/a");
	s.san = NULL;
	s.cn = "web.example"; /* a common name is no SAN */
	expect_rejected(&s, &e, "missing: DNS:web.example; not asked for: none");
	s.san = "DNS:web.example,otherName:1.2.3.4;UTF8:x";
	expect_rejected(&s, &e, "of a type that is not supported");
	s.san = "DNS:WEB.Example";
	expect_accepted(&s, &e); /* names do not know case */
}

static void a_ca_instead_of_a_leaf(void **state)
{
	(void)state;
	struct certs_spec s = good();
	const struct check_expectation e = expected();
	s.constraints = "critical,CA:TRUE";
	expect_rejected(&s, &e, "a leaf was asked for; this is a CA certificate (CA:TRUE)");
	s.usage = "digitalSignature,keyCertSign";
	expect_rejected(&s, &e, "this is a CA certificate");
	s.constraints = NULL; /* absent means no CA */
	s.usage = "digitalSignature";
	expect_accepted(&s, &e);
}

static void usages_that_no_handshake_takes(void **state)
{
	(void)state;
	struct certs_spec s = good();
	const struct check_expectation e = expected();
	s.usage = "keyAgreement,nonRepudiation";
	expect_rejected(&s, &e, "its keyUsage lacks digitalSignature: it allows nonRepudiation, keyAgreement");
	s = good();
	s.extended = "clientAuth";
	expect_rejected(&s, &e, "its extendedKeyUsage lacks serverAuth: it allows clientAuth");
	s.extended = "serverAuth,emailProtection";
	expect_rejected(&s, &e, "its extendedKeyUsage lacks clientAuth: it allows serverAuth, emailProtection");
	s.extended = "codeSigning,1.2.3.4.5";
	expect_rejected(&s, &e, "lacks serverAuth: it allows codeSigning, 1.2.3.4.5");
	s.extended = "anyExtendedKeyUsage";
	expect_rejected(
		&s, &e, "unsuitable certificate purpose"); /* OpenSSL's and BoringSSL's verifiers do not take it */
	s.extended = s.usage = NULL;
	expect_accepted(&s, &e);
}

static void times_that_do_not_fit(void **state)
{
	(void)state;
	struct certs_spec s = good();
	const struct check_expectation e = expected();
	s.from_s = now_s - 7200;
	s.to_s = now_s;
	expect_rejected(&s, &e, "it ended at ");
	s.to_s = now_s + 1;
	expect_accepted(&s, &e);
	s = good();
	s.from_s = now_s + 121;
	expect_rejected(&s, &e, "the authority's clock or ours is wrong");
	s.from_s = now_s + 120;
	expect_accepted(&s, &e); /* skew */
	s.from_s = now_s + 60;
	s.to_s = now_s + 30;
	expect_rejected(&s, &e, "before it begins");
}

/* Ends sooner than what is served: an authority that answers from a cache, or caps silently. */
static void ends_too_soon(void **state)
{
	(void)state;
	struct certs_spec s = good();
	struct check_expectation e = expected();
	e.served_not_after_ms = (now_s + 4000) * 1000; /* the asked lifetime was shortened since: fine */
	expect_accepted(&s, &e);
	s.to_s = now_s + 3600 - 119; /* cut to whole minutes */
	expect_accepted(&s, &e);
	s.to_s = now_s + 3000;
	expect_rejected(&s, &e, "sooner than what is served now (");
	e.served_not_after_ms = (now_s + 3000) * 1000;
	expect_accepted(&s, &e);
	e.served_not_after_ms = 0;
	s.to_s = now_s + 60;
	expect_accepted(&s, &e);
	e.lifetime_ms = 10 * MS_PER_S; /* of a short life, a tenth */
	e.served_not_after_ms = (now_s + 100) * 1000;
	s.to_s = now_s + 8;
	expect_rejected(&s, &e, "sooner than what is served now");
	s.to_s = now_s + 9;
	expect_accepted(&s, &e);
	e.lifetime_ms = 0;
	expect_rejected(&s, &e, "sooner than what is served now");
}

static void a_foreign_chain(void **state)
{
	(void)state;
	struct certs_spec s = good();
	struct check_expectation e = expected();
	e.anchors = strangers;
	expect_rejected(&s, &e, "it does not lead to one of the 1 anchors of this authority (\"CN=Stranger\"): ");
	e.anchors = NULL;
	expect_rejected(&s, &e, "no anchor of this authority is known");
	e = expected();
	s.issuer = stranger;
	s.issuer_key = CERTS_STRANGER;
	expect_rejected(&s, &e, "certificate \"CN=Issuing\" does not belong to the chain of the leaf");
	s = good();
	s.issuer_key = CERTS_STRANGER; /* claims our issuer, signed by somebody else */
	expect_rejected(&s, &e, "certificate \"CN=Issuing\" does not belong to the chain of the leaf");
}

static void a_chain_with_a_hole(void **state)
{
	(void)state;
	struct credential *c = NULL;
	const struct certs_spec s = good();
	const struct check_expectation e = expected();
	X509 *leaf = certs_make(&s);
	STACK_OF(X509) *chain = sk_X509_new_null();
	invariant(sk_X509_push(chain, leaf) > 0);
	expect_fault(check_chain(chain, NULL, &e, &c), FAULT_CORRUPT, "unable to get local issuer certificate");
	sk_X509_free(chain);
	X509_free(leaf);
}

/* Its own anchors count only while we know none: an answer cannot vouch for itself. */
static void anchors_of_the_answer(void **state)
{
	(void)state;
	AUTO(credential_unrefp) struct credential *c = NULL;
	struct credential *none = NULL;
	const struct certs_spec s = good();
	struct check_expectation e = expected();
	X509 *leaf = certs_make(&s);
	STACK_OF(X509) *chain = sk_X509_new_null();
	invariant(sk_X509_push(chain, leaf) > 0 && sk_X509_push(chain, issuer) > 0);
	e.anchors = strangers;
	expect_fault(check_chain(chain, anchors, &e, &none), FAULT_CORRUPT, "CN=Stranger");
	e.anchors = NULL;
	expect_ok(check_chain(chain, anchors, &e, &c));
	sk_X509_free(chain);
	X509_free(leaf);
}

static void an_issuer_that_has_ended(void **state)
{
	(void)state;
	struct certs_spec s = good();
	const struct check_expectation e = expected();
	const struct certs_spec ended = {.key = CERTS_ISSUER,
		.issuer = root,
		.issuer_key = CERTS_ROOT,
		.cn = "Issuing",
		.constraints = "critical,CA:TRUE",
		.usage = "keyCertSign",
		.from_s = now_s - 7200,
		.to_s = now_s - 3600};
	X509 *kept = issuer;
	issuer = certs_make(&ended);
	s.issuer = issuer;
	expect_rejected(&s, &e, "certificate \"CN=Issuing\" (serial ");
	expect_rejected(&s, &e, "certificate has expired");
	X509_free(issuer);
	issuer = kept;
}

static void an_issuer_for_servers_alone(void **state)
{
	(void)state;
	struct certs_spec s = good();
	const struct check_expectation e = expected();
	const struct certs_spec servers = {.key = CERTS_ISSUER,
		.issuer = root,
		.issuer_key = CERTS_ROOT,
		.cn = "Issuing",
		.constraints = "critical,CA:TRUE",
		.usage = "keyCertSign",
		.extended = "serverAuth"};
	X509 *kept = issuer;
	issuer = certs_make(&servers);
	s.issuer = issuer;
	expect_rejected(&s, &e, "unsuitable certificate purpose");
	X509_free(issuer);
	issuer = kept;
}

static void what_envoy_would_refuse(void **state)
{
	(void)state;
	struct certs_spec s = good();
	const struct check_expectation e = expected();
	s.feature = "status_request";
	expect_rejected(&s, &e, "must-staple");
}

static void a_rejected_answer_is_no_reason_to_try_at_once(void **state)
{
	(void)state;
	struct certs_spec s = good();
	const struct check_expectation e = expected();
	struct credential *c = NULL;
	s.key = CERTS_OTHER;
	AUTO(fault_freep) struct fault *f = check_spec(&s, &e, &c);
	assert_false(fault_is_retryable(f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_what_was_asked_for),
		cmocka_unit_test(puts_the_chain_in_order),
		cmocka_unit_test(no_certificate),
		cmocka_unit_test(another_key),
		cmocka_unit_test(other_names),
		cmocka_unit_test(a_ca_instead_of_a_leaf),
		cmocka_unit_test(usages_that_no_handshake_takes),
		cmocka_unit_test(times_that_do_not_fit),
		cmocka_unit_test(ends_too_soon),
		cmocka_unit_test(a_foreign_chain),
		cmocka_unit_test(a_chain_with_a_hole),
		cmocka_unit_test(anchors_of_the_answer),
		cmocka_unit_test(an_issuer_that_has_ended),
		cmocka_unit_test(an_issuer_for_servers_alone),
		cmocka_unit_test(what_envoy_would_refuse),
		cmocka_unit_test(a_rejected_answer_is_no_reason_to_try_at_once),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
