/* What a leaf of the embedded authority says, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/x509v3.h>
#include "base/anchors.h"
#include "base/attr.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/secret.h"
#include "ca-client/builtin_hierarchy.h"
#include "ca-client/builtin_sign.h"
#include "certs.h"

#define T0 INT64_C(1800000000000)

static struct hierarchy *own;

static int set_up(void **state)
{
	(void)state;
	struct secret *bytes = NULL;
	expect_ok(hierarchy_create(KEY_ECDSA_P256, "leafcast lab", T0, &own, &bytes));
	secret_free(bytes);
	return 0;
}

static int tear_down(void **state)
{
	hierarchy_unref(own);
	return certs_free(state);
}

static X509_REQ *make_csr(enum certs_key key)
{
	X509_REQ *csr = X509_REQ_new();
	invariant(csr && X509_REQ_set_pubkey(csr, certs_key(key)) == 1);
	invariant(X509_REQ_sign(csr, certs_key(key), EVP_sha256()) > 0);
	return csr;
}

static struct fault *sign_csr(const struct hierarchy *h, X509_REQ *csr, const struct san_set *sans, int64_t lifetime_ms,
	int64_t now_ms, STACK_OF(X509) * *ret)
{
	const struct ca_request r = {
		.csr = csr, .sans = sans, .key_type = KEY_ECDSA_P256, .lifetime_ms = lifetime_ms, .deadline_ms = 0};
	struct leaf_order order;
	leaf_order_init(&order, &r, now_ms);
	struct fault *f = leaf_sign(h, &order, ret);
	leaf_order_done(&order);
	return f;
}

static struct fault *sign(
	const struct hierarchy *h, enum certs_key key, int64_t lifetime_ms, int64_t now_ms, STACK_OF(X509) * *ret)
{
	struct san_set sans = {NULL, 0};
	X509_REQ *csr = make_csr(key);
	expect_ok(san_set_add(&sans, SAN_DNS, "web.example"));
	struct fault *f = sign_csr(h, csr, &sans, lifetime_ms, now_ms, ret);
	X509_REQ_free(csr);
	san_set_free(&sans);
	return f;
}

static X509 *leaf_of(STACK_OF(X509) * chain)
{
	return sk_X509_value(chain, 0);
}

static void free_chain(STACK_OF(X509) * chain)
{
	sk_X509_pop_free(chain, X509_free);
}

static void says_what_was_asked_for_and_no_more(void **state)
{
	(void)state;
	struct san_set sans = {NULL, 0}, found = {NULL, 0};
	STACK_OF(X509) *chain = NULL;
	X509_REQ *csr = make_csr(CERTS_LEAF);
	int critical;
	expect_ok(san_set_add(&sans, SAN_DNS, "*.web.example"));
	expect_ok(san_set_add(&sans, SAN_URI, "spiffe://td.example/uid/7"));
	expect_ok(san_set_add(&sans, SAN_IP, "192.0.2.1"));
	expect_ok(san_set_add(&sans, SAN_IP, "2001:db8::1"));
	expect_ok(san_set_add(&sans, SAN_EMAIL, "ops@td.example"));
	expect_ok(sign_csr(own, csr, &sans, MS_PER_HOUR, T0, &chain));
	X509 *leaf = leaf_of(chain);
	expect_ok(san_set_from_cert(leaf, &found));
	assert_true(san_set_equal(&sans, &found));
	assert_int_equal(X509_get_version(leaf), X509_VERSION_3);
	assert_int_equal(X509_NAME_entry_count(X509_get_subject_name(leaf)), 0);
	GENERAL_NAMES_free(X509_get_ext_d2i(leaf, NID_subject_alt_name, &critical, NULL));
	assert_int_equal(critical, 1);
	assert_int_equal(X509_get_ext_count(leaf), 6);
	assert_int_equal(X509_get_extension_flags(leaf) & (EXFLAG_CA | EXFLAG_INVALID | EXFLAG_BCONS), EXFLAG_BCONS);
	assert_int_equal(X509_get_key_usage(leaf), KU_DIGITAL_SIGNATURE);
	assert_int_equal(X509_get_extended_key_usage(leaf), XKU_SSL_SERVER | XKU_SSL_CLIENT);
	assert_int_equal(
		ASN1_OCTET_STRING_cmp(X509_get0_authority_key_id(leaf), X509_get0_subject_key_id(own->issuer)), 0);
	assert_non_null(X509_get0_subject_key_id(leaf));
	assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(leaf), certs_key(CERTS_LEAF)), 1);
	expect_ok(anchors_verify(own->anchors, chain, X509_PURPOSE_SSL_SERVER, T0));
	expect_ok(anchors_verify(own->anchors, chain, X509_PURPOSE_SSL_CLIENT, T0));
	X509_REQ_free(csr);
	san_set_free(&sans);
	san_set_free(&found);
	free_chain(chain);
}

static void an_rsa_leaf_may_encipher_keys(void **state)
{
	(void)state;
	STACK_OF(X509) *chain = NULL;
	expect_ok(sign(own, CERTS_RSA2048, MS_PER_HOUR, T0, &chain));
	assert_int_equal(X509_get_key_usage(leaf_of(chain)), KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT);
	free_chain(chain);
}

/* 128 bits, positive, each another one. */
static void serials_are_random(void **state)
{
	(void)state;
	enum { MANY = 20 };
	char last[40] = "";
	for (int i = 0; i < MANY; i++) {
		STACK_OF(X509) *chain = NULL;
		expect_ok(sign(own, CERTS_LEAF, MS_PER_HOUR, T0, &chain));
		const ASN1_INTEGER *serial = X509_get0_serialNumber(leaf_of(chain));
		BIGNUM *n = ASN1_INTEGER_to_BN(serial, NULL);
		char *hex = BN_bn2hex(n);
		assert_int_equal(ASN1_STRING_length(serial), 16);
		assert_false(BN_is_negative(n));
		assert_true(strcmp(hex, last) != 0);
		(void)snprintf(last, sizeof last, "%s", hex);
		OPENSSL_free(hex);
		BN_free(n);
		free_chain(chain);
	}
}

static struct cert_info info_of(STACK_OF(X509) * chain)
{
	struct cert_info i;
	expect_ok(cert_info_read(leaf_of(chain), &i));
	return i;
}

static void expect_validity(const struct hierarchy *h, int64_t lifetime_ms, int64_t now_ms, int64_t from, int64_t to)
{
	STACK_OF(X509) *chain = NULL;
	expect_ok(sign(h, CERTS_LEAF, lifetime_ms, now_ms, &chain));
	struct cert_info i = info_of(chain);
	assert_true(i.not_before_ms == from);
	assert_true(i.not_after_ms == to);
	expect_ok(anchors_verify(h->anchors, chain, X509_PURPOSE_SSL_SERVER, now_ms));
	cert_info_free(&i);
	free_chain(chain);
}

static void begins_a_tenth_earlier_at_most_half_a_minute(void **state)
{
	(void)state;
	const int64_t t = T0 + MS_PER_HOUR;
	expect_validity(own, 10 * MS_PER_S, t, t - MS_PER_S, t + 10 * MS_PER_S);
	expect_validity(own, 15 * MS_PER_S, t, t - 2 * MS_PER_S, t + 15 * MS_PER_S); /* 1.5 s, to whole seconds */
	expect_validity(own, 300 * MS_PER_S, t, t - 30 * MS_PER_S, t + 300 * MS_PER_S);
	expect_validity(own, 90 * MS_PER_DAY, t, t - 30 * MS_PER_S, t + 90 * MS_PER_DAY);
	expect_validity(own, MS_PER_HOUR, t + 999, t - 30 * MS_PER_S, t + MS_PER_HOUR);
}

static void never_outlives_its_issuer(void **state)
{
	(void)state;
	int64_t end = own->issuer_info.not_after_ms, begin = own->issuer_info.not_before_ms;
	expect_validity(own, MS_PER_HOUR, end - 10 * MS_PER_S, end - 40 * MS_PER_S, end);
	expect_validity(own, 800 * MS_PER_DAY, T0, T0 - 30 * MS_PER_S, end);
	expect_validity(own, MS_PER_HOUR, begin + MS_PER_S, begin, begin + MS_PER_S + MS_PER_HOUR);
	STACK_OF(X509) *none = NULL;
	expect_fault(
		sign(own, CERTS_LEAF, MS_PER_HOUR, end, &none), FAULT_UNAVAILABLE, "the CA's certificate ended at");
	expect_fault(sign(own, CERTS_LEAF, MS_PER_HOUR, begin - 1, &none), FAULT_UNAVAILABLE, "not valid yet");
	assert_null(none);
}

/* Of a longer chain, the first to end counts. */
static void never_outlives_what_stands_above(void **state)
{
	(void)state;
	struct hierarchy *h = NULL;
	int64_t now_s = T0 / 1000;
	X509 *root = certs_make(&(struct certs_spec){.key = CERTS_ROOT,
		.cn = "Root",
		.constraints = "critical,CA:TRUE",
		.usage = "keyCertSign",
		.from_s = now_s - 10,
		.to_s = now_s + 60});
	X509 *issuer = certs_make(&(struct certs_spec){.key = CERTS_ISSUER,
		.issuer = root,
		.issuer_key = CERTS_ROOT,
		.cn = "Issuing",
		.constraints = "critical,CA:TRUE",
		.usage = "keyCertSign",
		.from_s = now_s - 20,
		.to_s = now_s + 3600});
	STACK_OF(X509) *above = sk_X509_new_null();
	invariant(sk_X509_push(above, root) > 0 && EVP_PKEY_up_ref(certs_key(CERTS_ISSUER)) == 1);
	expect_ok(hierarchy_take(issuer, certs_key(CERTS_ISSUER), above, true, &h));
	expect_validity(h, MS_PER_HOUR, T0, T0 - 10 * MS_PER_S, T0 + 60 * MS_PER_S);
	hierarchy_unref(h);
}

static void every_kind_of_issuer_signs(void **state)
{
	(void)state;
	static const struct {
		enum certs_key key;
		int algorithm;
		int without_key_ids;
	} rows[] = {{CERTS_ISSUER, NID_ecdsa_with_SHA256, 0}, {CERTS_P384, NID_ecdsa_with_SHA384, 0},
		{CERTS_P521, NID_ecdsa_with_SHA512, 0}, {CERTS_RSA2048, NID_sha256WithRSAEncryption, 0},
		{CERTS_ED25519, NID_ED25519, 0}, {CERTS_ISSUER, NID_ecdsa_with_SHA256, 1}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct hierarchy *h = NULL;
		STACK_OF(X509) *chain = NULL, *above = sk_X509_new_null();
		X509 *ca = certs_make(&(struct certs_spec){.key = rows[i].key,
			.cn = "CA",
			.constraints = "critical,CA:TRUE",
			.usage = "keyCertSign",
			.from_s = T0 / 1000 - 60,
			.to_s = T0 / 1000 + 7200,
			.without_key_ids = rows[i].without_key_ids});
		invariant(above && EVP_PKEY_up_ref(certs_key(rows[i].key)) == 1);
		expect_ok(hierarchy_take(ca, certs_key(rows[i].key), above, true, &h));
		assert_int_equal(hierarchy_is_slow(h), rows[i].key == CERTS_RSA2048);
		expect_ok(sign(h, CERTS_LEAF, MS_PER_HOUR, T0, &chain));
		assert_int_equal(X509_get_signature_nid(leaf_of(chain)), rows[i].algorithm);
		assert_non_null(X509_get0_authority_key_id(leaf_of(chain)));
		expect_ok(anchors_verify(h->anchors, chain, X509_PURPOSE_SSL_SERVER, T0));
		free_chain(chain);
		hierarchy_unref(h);
	}
}

static void refuses_what_is_wrong_with_a_request(void **state)
{
	(void)state;
	STACK_OF(X509) *none = NULL;
	const struct san_set no_names = {NULL, 0};
	struct san_set sans = {NULL, 0};
	X509_REQ *csr = make_csr(CERTS_LEAF);
	expect_ok(san_set_add(&sans, SAN_DNS, "web.example"));
	expect_fault(
		sign_csr(own, csr, &no_names, MS_PER_HOUR, T0, &none), FAULT_INVALID, "a certificate without names");
	/* Somebody else's public key: whoever asks does not hold the private one. */
	invariant(X509_REQ_set_pubkey(csr, certs_key(CERTS_OTHER)) == 1);
	expect_fault(sign_csr(own, csr, &sans, MS_PER_HOUR, T0, &none), FAULT_INVALID, "not signed by its own key");
	assert_null(none);
	X509_REQ_free(csr);
	san_set_free(&sans);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_was_asked_for_and_no_more),
		cmocka_unit_test(an_rsa_leaf_may_encipher_keys),
		cmocka_unit_test(serials_are_random),
		cmocka_unit_test(begins_a_tenth_earlier_at_most_half_a_minute),
		cmocka_unit_test(never_outlives_its_issuer),
		cmocka_unit_test(never_outlives_what_stands_above),
		cmocka_unit_test(every_kind_of_issuer_signs),
		cmocka_unit_test(refuses_what_is_wrong_with_a_request),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
