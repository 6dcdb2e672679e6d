/* One test a row of what Envoy itself takes and refuses, and of what its peers would: tests/integration/test_gate.py
 * shows the same rows to a real Envoy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include "base/attr.h"
#include "base/credential.h"
#include "base/gate.h"
#include "base/mem.h"
#include "certs.h"

static X509 *root;

static int make_root(void **state)
{
	(void)state;
	root = certs_root(CERTS_ROOT, "Root");
	return 0;
}

static int free_root(void **state)
{
	X509_free(root);
	return certs_free(state);
}

/* Under the root, or self-signed. */
static struct fault *judge_under(X509 *issuer, struct certs_spec spec)
{
	AUTO(credential_unrefp) struct credential *c = NULL;
	STACK_OF(X509) *chain = sk_X509_new_null();
	spec.issuer = issuer;
	spec.issuer_key = CERTS_ROOT;
	X509 *leaf = certs_make(&spec);
	invariant(chain && sk_X509_push(chain, leaf) > 0);
	expect_ok(credential_new(chain, certs_key(spec.key), &c));
	sk_X509_pop_free(chain, X509_free);
	return gate_check_credential(c);
}

static struct fault *judge(struct certs_spec spec)
{
	return judge_under(root, spec);
}

struct row {
	const char *name;
	struct certs_spec spec;
	const char *text; /* of the fault; NULL: it passes */
};

static const char leaf_is_ca[] = "the leaf is a CA certificate (CA:TRUE): its private key could sign for any name";

static const struct row rows[] = {
	{"P-256", {.key = CERTS_LEAF, .san = "DNS:a.example"}, NULL},
	{"P-384", {.key = CERTS_P384, .san = "DNS:a.example"}, NULL},
	{"P-521", {.key = CERTS_P521, .san = "DNS:a.example"}, NULL},
	{"RSA of 2048 bits", {.key = CERTS_RSA2048, .san = "DNS:a.example"}, NULL},
	{"RSA of 1024 bits", {.key = CERTS_RSA1024, .cn = "x"}, "an RSA key of 1024 bits; Envoy takes 2048 and more"},
	{"P-224", {.key = CERTS_P224, .cn = "x"},
		"an ecdsa-secp224r1 key; Envoy takes the curves P-256, P-384 and P-521"},
	{"RSA-PSS", {.key = CERTS_RSA_PSS, .cn = "x"}, "an rsa-pss-2048 key; Envoy takes ECDSA on"},
	{"Ed25519", {.key = CERTS_ED25519, .cn = "x"}, "an ed25519 key; Envoy takes ECDSA on"},

	{"a common name alone", {.key = CERTS_LEAF, .cn = "a.example"}, NULL},
	{"a name of another type", {.key = CERTS_LEAF, .san = "otherName:1.2.3.4;UTF8:x"}, NULL},
	{"no name", {.key = CERTS_LEAF}, "the leaf has neither a common name nor a subject alternative name"},
	{"an empty common name", {.key = CERTS_LEAF, .cn = ""},
		"the leaf has neither a common name nor a subject alternative name"},

	{"EC: digitalSignature", {.key = CERTS_LEAF, .cn = "x", .usage = "digitalSignature"}, NULL},
	{"EC: keyAgreement alone", {.key = CERTS_LEAF, .cn = "x", .usage = "keyAgreement"},
		"the leaf's keyUsage lacks digitalSignature: Envoy refuses EC certificates without it"},
	{"EC: keyCertSign alone", {.key = CERTS_LEAF, .cn = "x", .constraints = "CA:TRUE", .usage = "keyCertSign"},
		"the leaf's keyUsage lacks digitalSignature"},
	{"RSA: keyEncipherment alone", {.key = CERTS_RSA2048, .cn = "x", .usage = "keyEncipherment"}, NULL},
	{"RSA: keyAgreement alone", {.key = CERTS_RSA2048, .cn = "x", .usage = "keyAgreement"},
		"the leaf's keyUsage allows neither digitalSignature nor keyEncipherment"},
	{"RSA: keyCertSign alone", {.key = CERTS_RSA2048, .cn = "x", .constraints = "CA:TRUE", .usage = "keyCertSign"},
		"the leaf's keyUsage allows neither digitalSignature nor keyEncipherment"},
	{"clientAuth alone", {.key = CERTS_LEAF, .cn = "x", .extended = "clientAuth"}, NULL},
	{"serverAuth alone", {.key = CERTS_LEAF, .cn = "x", .extended = "serverAuth"}, NULL},
	{"any extended usage", {.key = CERTS_LEAF, .cn = "x", .extended = "anyExtendedKeyUsage"}, NULL},
	{"neither serverAuth nor clientAuth", {.key = CERTS_LEAF, .cn = "x", .extended = "codeSigning,emailProtection"},
		"the leaf's extendedKeyUsage allows neither serverAuth nor clientAuth: no TLS peer accepts it"},

	{"must-staple", {.key = CERTS_LEAF, .cn = "x", .feature = "status_request"},
		"the leaf demands an OCSP staple (must-staple), and there is none: Envoy refuses it"},
	{"expired", {.key = CERTS_LEAF, .cn = "x", .from_s = 1000, .to_s = 2000}, NULL},
	{"not yet valid", {.key = CERTS_LEAF, .cn = "x", .from_s = INT64_C(4000000000), .to_s = INT64_C(4000003600)},
		NULL},

	{"a CA", {.key = CERTS_LEAF, .cn = "x", .constraints = "critical,CA:TRUE"}, leaf_is_ca},
	{"a CA that does not say that it signs",
		{.key = CERTS_LEAF, .cn = "x", .constraints = "CA:TRUE", .usage = "digitalSignature"}, leaf_is_ca},
	{"a CA that serves, too",
		{.key = CERTS_RSA2048, .cn = "x", .constraints = "CA:TRUE", .usage = "keyCertSign,digitalSignature"},
		leaf_is_ca},
};

static void judges(void **state)
{
	const struct row *row = *state;
	struct fault *f = judge(row->spec);
	if (row->text)
		expect_fault(f, FAULT_INVALID, row->text);
	else
		expect_ok(f);
}

/* What "openssl req -x509" writes for a test server is a CA in name only; one that says that it signs is not. */
static void passes_a_self_signed_server(void **state)
{
	(void)state;
	expect_ok(judge_under(
		NULL, (struct certs_spec){.key = CERTS_LEAF, .cn = "x", .constraints = "critical,CA:TRUE"}));
	expect_ok(judge_under(NULL, (struct certs_spec){.key = CERTS_LEAF, .cn = "x"}));
	expect_fault(judge_under(NULL, (struct certs_spec){.key = CERTS_LEAF,
					       .cn = "x",
					       .constraints = "critical,CA:TRUE",
					       .usage = "keyCertSign,digitalSignature"}),
		FAULT_INVALID, leaf_is_ca);
}

/* The same curve, not by its name but by its parameters. */
static void refuses_a_curve_written_out(void **state)
{
	(void)state;
	AUTO(credential_unrefp) struct credential *c = NULL;
	EVP_PKEY *key = EVP_EC_gen("P-256"), *again = NULL;
	unsigned char *der = NULL;
	assert_int_equal(EVP_PKEY_set_utf8_string_param(key, OSSL_PKEY_PARAM_EC_ENCODING, "explicit"), 1);
	int len = i2d_PrivateKey(key, &der);
	const unsigned char *at = der;
	again = d2i_PrivateKey(EVP_PKEY_EC, NULL, &at, len);
	assert_non_null(again);
	X509 *leaf = certs_make(
		&(struct certs_spec){.key = CERTS_LEAF, .cn = "x", .issuer = root, .issuer_key = CERTS_ROOT});
	assert_int_equal(X509_set_pubkey(leaf, again), 1);
	assert_true(X509_sign(leaf, certs_key(CERTS_ROOT), EVP_sha256()) > 0);
	STACK_OF(X509) *chain = sk_X509_new_null();
	assert_true(sk_X509_push(chain, leaf) > 0);
	expect_ok(credential_new(chain, again, &c));
	expect_fault(gate_check_credential(c), FAULT_INVALID, "written out as parameters; Envoy takes named curves");
	sk_X509_pop_free(chain, X509_free);
	OPENSSL_free(der);
	EVP_PKEY_free(again);
	EVP_PKEY_free(key);
}

static void refuses_an_unreadable_extension(void **state)
{
	(void)state;
	AUTO(credential_unrefp) struct credential *c = NULL;
	static const unsigned char torn[] = {0xff, 0xff, 0xff};
	X509 *leaf = certs_make(
		&(struct certs_spec){.key = CERTS_LEAF, .cn = "x", .issuer = root, .issuer_key = CERTS_ROOT});
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	assert_int_equal(ASN1_OCTET_STRING_set(value, torn, sizeof torn), 1);
	X509_EXTENSION *e = X509_EXTENSION_create_by_NID(NULL, NID_key_usage, 1, value);
	assert_int_equal(X509_add_ext(leaf, e, -1), 1);
	assert_true(X509_sign(leaf, certs_key(CERTS_ROOT), EVP_sha256()) > 0);
	STACK_OF(X509) *chain = sk_X509_new_null();
	assert_true(sk_X509_push(chain, leaf) > 0);
	expect_ok(credential_new(chain, certs_key(CERTS_LEAF), &c));
	expect_fault(gate_check_credential(c), FAULT_INVALID, "an extension that cannot be read");
	sk_X509_pop_free(chain, X509_free);
	X509_EXTENSION_free(e);
	ASN1_OCTET_STRING_free(value);
}

/* Before 1.33 Envoy knows no curve but P-256. Whoever does not say is offered everything. */
static void holds_curves_back_from_an_old_envoy(void **state)
{
	(void)state;
	static const struct {
		const char *key, *agent;
		uint32_t major, minor;
		const char *text;
	} cases[] = {
		{"ecdsa-p384", "envoy", 1, 32, "an ecdsa-p384 key; Envoy 1.32 takes no curve but P-256"},
		{"ecdsa-p521", "envoy", 1, 30, "an ecdsa-p521 key; Envoy 1.30 takes no curve but P-256"},
		{"ecdsa-p384", "envoy", 1, 33, NULL},
		{"ecdsa-p521", "envoy", 1, 40, NULL},
		{"ecdsa-p384", "envoy", 2, 0, NULL},
		{"ecdsa-p384", "envoy", 0, 0, NULL},
		{"ecdsa-p384", "gRPC C-core", 1, 32, NULL},
		{"ecdsa-p384", "", 1, 32, NULL},
		{"ecdsa-p256", "envoy", 1, 32, NULL},
		{"rsa-2048", "envoy", 1, 32, NULL},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char key[16];
		(void)snprintf(key, sizeof key, "%s", cases[i].key);
		struct fault *f =
			gate_check_for(&(struct cert_info){.key = key}, cases[i].agent, cases[i].major, cases[i].minor);
		if (cases[i].text)
			expect_fault(f, FAULT_INVALID, cases[i].text);
		else
			expect_ok(f);
	}
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_LEN(rows) + 4] = {
		cmocka_unit_test(passes_a_self_signed_server),
		cmocka_unit_test(refuses_a_curve_written_out),
		cmocka_unit_test(refuses_an_unreadable_extension),
		cmocka_unit_test(holds_curves_back_from_an_old_envoy),
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		tests[4 + i] = (struct CMUnitTest){rows[i].name, judges, NULL, NULL, (void *)(uintptr_t)&rows[i]};
	return cmocka_run_group_tests(tests, make_root, free_root);
}
