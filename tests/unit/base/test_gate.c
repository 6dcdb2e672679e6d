/* Rows of what Envoy itself takes and refuses, and of what its peers would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <time.h>
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
		FAULT_INVALID, "the leaf is a CA certificate (CA:TRUE)");
}

static void passes_what_envoy_serves(void **state)
{
	(void)state;
	int64_t now = (int64_t)time(NULL);
	const struct certs_spec rows[] = {
		{.key = CERTS_LEAF, .san = "DNS:a.example"},
		{.key = CERTS_LEAF, .cn = "a.example"},
		{.key = CERTS_P384, .san = "DNS:a.example"},
		{.key = CERTS_P521, .san = "DNS:a.example"},
		{.key = CERTS_RSA2048, .san = "DNS:a.example"},
		{.key = CERTS_RSA2048, .san = "DNS:a.example", .usage = "keyEncipherment"},
		{.key = CERTS_LEAF, .san = "DNS:a.example", .from_s = now - 200, .to_s = now - 100},
		{.key = CERTS_LEAF, .san = "DNS:a.example", .from_s = now + 100, .to_s = now + 200},
		{.key = CERTS_LEAF, .san = "DNS:a.example", .extended = "clientAuth"},
		{.key = CERTS_LEAF, .san = "DNS:a.example", .extended = "serverAuth"},
		{.key = CERTS_LEAF, .san = "DNS:a.example", .extended = "anyExtendedKeyUsage"},
		{.key = CERTS_LEAF, .san = "otherName:1.2.3.4;UTF8:x"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		expect_ok(judge(rows[i]));
}

static void refuses_with_the_rule(void **state)
{
	(void)state;
	static const char any_name[] =
		"the leaf is a CA certificate (CA:TRUE): its private key could sign for any name";
	static const struct {
		struct certs_spec spec;
		const char *text;
	} rows[] = {
		{{.key = CERTS_LEAF}, "the leaf has neither a common name nor a subject alternative name"},
		{{.key = CERTS_LEAF, .cn = ""}, "the leaf has neither a common name nor a subject alternative name"},
		{{.key = CERTS_RSA1024, .cn = "x"}, "an RSA key of 1024 bits; Envoy takes 2048 and more"},
		{{.key = CERTS_P224, .cn = "x"},
			"an ecdsa-secp224r1 key; Envoy takes the curves P-256, P-384 and P-521"},
		{{.key = CERTS_RSA_PSS, .cn = "x"}, "an rsa-pss-2048 key; Envoy takes ECDSA on"},
		{{.key = CERTS_ED25519, .cn = "x"}, "an ed25519 key; Envoy takes ECDSA on"},
		{{.key = CERTS_LEAF, .cn = "x", .constraints = "critical,CA:TRUE"}, any_name},
		{{.key = CERTS_LEAF, .cn = "x", .constraints = "CA:TRUE", .usage = "digitalSignature"}, any_name},
		{{.key = CERTS_RSA2048, .cn = "x", .constraints = "CA:TRUE", .usage = "keyCertSign,digitalSignature"},
			any_name},
		{{.key = CERTS_LEAF, .cn = "x", .usage = "keyAgreement"},
			"the leaf's keyUsage lacks digitalSignature: Envoy refuses EC certificates without it"},
		{{.key = CERTS_LEAF, .cn = "x", .constraints = "CA:TRUE", .usage = "keyCertSign"},
			"the leaf's keyUsage lacks digitalSignature"},
		{{.key = CERTS_RSA2048, .cn = "x", .usage = "keyAgreement"},
			"the leaf's keyUsage allows neither digitalSignature nor keyEncipherment"},
		{{.key = CERTS_RSA2048, .cn = "x", .constraints = "CA:TRUE", .usage = "keyCertSign"},
			"the leaf's keyUsage allows neither digitalSignature nor keyEncipherment"},
		{{.key = CERTS_LEAF, .cn = "x", .extended = "codeSigning,emailProtection"},
			"the leaf's extendedKeyUsage allows neither serverAuth nor clientAuth: no TLS peer accepts it"},
		{{.key = CERTS_LEAF, .cn = "x", .feature = "status_request"},
			"the leaf demands an OCSP staple (must-staple), and there is none: Envoy refuses it"},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		expect_fault(judge(rows[i].spec), FAULT_INVALID, rows[i].text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passes_what_envoy_serves),
		cmocka_unit_test(passes_a_self_signed_server),
		cmocka_unit_test(refuses_with_the_rule),
	};
	return cmocka_run_group_tests(tests, make_root, free_root);
}
