#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/crypto.h>
#include "base/attr.h"
#include "base/buf.h"
#include "base/credential.h"
#include "base/mem.h"
#include "base/secret.h"
#include "certs.h"

static X509 *root, *issuer, *leaf, *stranger;

static int make_all(void **state)
{
	(void)state;
	root = certs_root(CERTS_ROOT, "Root");
	issuer = certs_issuer(root, CERTS_ROOT, CERTS_ISSUER, "Issuing");
	leaf = certs_leaf(issuer, CERTS_ISSUER, CERTS_LEAF);
	stranger = certs_root(CERTS_STRANGER, "Stranger");
	return 0;
}

static int free_all(void **state)
{
	X509_free(root);
	X509_free(issuer);
	X509_free(leaf);
	X509_free(stranger);
	return certs_free(state);
}

static struct fault *build(X509 *const *certs, size_t count, enum certs_key key, struct credential **ret)
{
	STACK_OF(X509) *stack = sk_X509_new_null();
	for (size_t i = 0; i < count; i++)
		invariant(sk_X509_push(stack, certs[i]) > 0);
	struct fault *f = credential_new(stack, certs_key(key), ret);
	sk_X509_free(stack);
	return f;
}

static void expect_chain(const struct credential *c, X509 *const *certs, int count)
{
	assert_int_equal(sk_X509_num(credential_chain(c)), count);
	for (int i = 0; i < count; i++)
		assert_int_equal(X509_cmp(sk_X509_value(credential_chain(c), i), certs[i]), 0);
}

static void orders_issuers_and_drops_the_root(void **state)
{
	(void)state;
	X509 *const orders[][5] = {{leaf, issuer, root, leaf, issuer}, {root, issuer, leaf, root, root},
		{issuer, leaf, root, issuer, leaf}, {issuer, root, leaf, leaf, leaf}};
	for (size_t i = 0; i < ARRAY_LEN(orders); i++)
		for (size_t count = 3; count <= 5; count++) { /* from the fourth on: duplicates */
			AUTO(credential_unrefp) struct credential *c = NULL;
			expect_ok(build(orders[i], count, CERTS_LEAF, &c));
			expect_chain(c, (X509 *const[]){leaf, issuer}, 2);
		}
}

static void keeps_a_chain_without_its_root(void **state)
{
	(void)state;
	AUTO(credential_unrefp) struct credential *c = NULL, *alone = NULL;
	expect_ok(build((X509 *const[]){issuer, leaf}, 2, CERTS_LEAF, &c));
	expect_chain(c, (X509 *const[]){leaf, issuer}, 2);
	expect_ok(build(&leaf, 1, CERTS_LEAF, &alone));
	expect_chain(alone, &leaf, 1);
}

static void keeps_a_self_signed_leaf(void **state)
{
	(void)state;
	X509 *own = certs_make(&(struct certs_spec){.key = CERTS_LEAF, .cn = "own", .san = "DNS:own.example"});
	AUTO(credential_unrefp) struct credential *c = NULL;
	expect_ok(build(&own, 1, CERTS_LEAF, &c));
	expect_chain(c, &own, 1);
	X509_free(own);
}

static void refuses_what_does_not_belong(void **state)
{
	(void)state;
	struct credential *c = NULL;
	expect_fault(build((X509 *const[]){leaf, issuer, stranger}, 3, CERTS_LEAF, &c), FAULT_INVALID,
		"certificate \"CN=Stranger\" does not belong to the chain of the leaf");
	/* The link is missing: the root does not belong to the leaf by anything that can be seen. */
	expect_fault(build((X509 *const[]){leaf, root}, 2, CERTS_LEAF, &c), FAULT_INVALID,
		"certificate \"CN=Root\" does not belong");
	expect_fault(build((X509 *const[]){leaf, issuer}, 2, CERTS_OTHER, &c), FAULT_INVALID,
		"the private key belongs to none of the 2 certificates");
	expect_fault(build(NULL, 0, CERTS_LEAF, &c), FAULT_INVALID, "there is no certificate");
	/* The operator took the CA's key. */
	expect_fault(build((X509 *const[]){leaf, issuer}, 2, CERTS_ISSUER, &c), FAULT_INVALID,
		"belongs to the CA certificate \"CN=Issuing\", not to");
	assert_null(c);
}

/* The usual full chain of a public CA: its root is there twice, as itself and signed by an older root. */
static void prefers_the_cross_signed_root(void **state)
{
	(void)state;
	X509 *crossed = certs_make(&(struct certs_spec){.key = CERTS_ROOT,
		.issuer = stranger,
		.issuer_key = CERTS_STRANGER,
		.cn = "Root",
		.constraints = "critical,CA:TRUE",
		.usage = "keyCertSign"});
	X509 *const orders[][4] = {
		{leaf, issuer, root, crossed}, {leaf, issuer, crossed, root}, {root, crossed, stranger, leaf}};
	for (size_t i = 0; i < 2; i++) {
		AUTO(credential_unrefp) struct credential *c = NULL;
		expect_ok(build(orders[i], 4, CERTS_LEAF, &c));
		expect_chain(c, (X509 *const[]){leaf, issuer, crossed}, 3);
	}
	struct credential *none = NULL;
	expect_fault(build(orders[2], 4, CERTS_LEAF, &none), FAULT_INVALID, "does not belong");
	X509_free(crossed);
}

/* OpenSSL's secure heap is small and fixed: a cache of keys must not live in it. */
static void leaves_the_secure_heap_alone(void **state)
{
	(void)state;
	AUTO(credential_unrefp) struct credential *c = NULL;
	(void)certs_key(CERTS_LEAF);
	size_t before = CRYPTO_secure_used();
	expect_ok(build(&leaf, 1, CERTS_LEAF, &c));
	assert_int_equal(CRYPTO_secure_used(), before);
}

/* Two certificates of one name and another key, without key identifiers: only the signature tells which one it was. */
static void finds_the_issuer_by_its_signature(void **state)
{
	(void)state;
	const struct certs_spec like_issuer = {.key = CERTS_STRANGER,
		.issuer = root,
		.issuer_key = CERTS_ROOT,
		.cn = "Issuing",
		.constraints = "critical,CA:TRUE",
		.without_key_ids = 1};
	struct certs_spec true_issuer = like_issuer;
	true_issuer.key = CERTS_ISSUER;
	X509 *real = certs_make(&true_issuer), *fake = certs_make(&like_issuer);
	X509 *end = certs_make(&(struct certs_spec){.key = CERTS_LEAF,
		.issuer = real,
		.issuer_key = CERTS_ISSUER,
		.san = "DNS:web.example",
		.without_key_ids = 1});
	struct credential *c = NULL;
	expect_fault(build((X509 *const[]){end, fake}, 2, CERTS_LEAF, &c), FAULT_INVALID, "does not belong");
	expect_fault(build((X509 *const[]){end, fake, real}, 3, CERTS_LEAF, &c), FAULT_INVALID, "does not belong");
	expect_ok(build((X509 *const[]){root, end, real}, 3, CERTS_LEAF, &c));
	expect_chain(c, (X509 *const[]){end, real}, 2);
	credential_unref(c);
	X509_free(real);
	X509_free(fake);
	X509_free(end);
}

static void refuses_long_chains(void **state)
{
	(void)state;
	X509 *many[17];
	struct credential *c = NULL;
	for (size_t i = 0; i < ARRAY_LEN(many); i++)
		many[i] = leaf;
	expect_fault(
		build(many, ARRAY_LEN(many), CERTS_LEAF, &c), FAULT_INVALID, "a chain of 17 certificates; at most 16");
	expect_ok(build(many, 16, CERTS_LEAF, &c));
	credential_unref(c);
}

static void tells_what_a_certificate_says(void **state)
{
	(void)state;
	struct cert_info i;
	X509 *cert = certs_make(&(struct certs_spec){.key = CERTS_P384,
		.issuer = root,
		.issuer_key = CERTS_ROOT,
		.cn = "a\"b\nc",
		.san = "DNS:WEB.example,IP:192.0.2.1,URI:spiffe://a/b",
		.from_s = -1,
		.to_s = INT64_C(253402300799)});
	expect_ok(cert_info_read(cert, &i));
	assert_string_equal(i.subject, "CN=a\\\"b\\0Ac");
	assert_string_equal(i.issuer, "CN=Root");
	assert_int_equal(strlen(i.serial), 30);
	assert_int_equal(strlen(i.sha256), 64);
	assert_int_equal(strspn(i.sha256, "0123456789abcdef"), 64);
	assert_string_equal(i.key, "ecdsa-p384");
	assert_int_equal(i.not_before_ms, -1000);
	assert_true(i.not_after_ms == INT64_C(253402300799000));
	assert_false(i.is_ca);
	assert_int_equal(i.sans.count, 3);
	assert_true(san_set_contains(&i.sans, SAN_DNS, "web.example"));
	cert_info_free(&i);
	cert_info_free(&i); /* empty now */
	X509_free(cert);
}

static void names_every_kind_of_key(void **state)
{
	(void)state;
	static const struct {
		enum certs_key key;
		const char *name;
	} rows[] = {{CERTS_LEAF, "ecdsa-p256"}, {CERTS_P224, "ecdsa-secp224r1"}, {CERTS_P521, "ecdsa-p521"},
		{CERTS_ED25519, "ed25519"}, {CERTS_RSA1024, "rsa-1024"}, {CERTS_RSA_PSS, "rsa-pss-2048"}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct cert_info info;
		X509 *cert = certs_make(
			&(struct certs_spec){.key = rows[i].key, .issuer = root, .issuer_key = CERTS_ROOT, .cn = "x"});
		expect_ok(cert_info_read(cert, &info));
		assert_string_equal(info.key, rows[i].name);
		cert_info_free(&info);
		X509_free(cert);
	}
}

/* A CA that may not sign (keyUsage) is none for a verifier. */
static void tells_a_ca_by_constraints_and_usage(void **state)
{
	(void)state;
	static const struct {
		const char *constraints, *usage;
		bool is_ca;
	} rows[] = {{"critical,CA:TRUE", "keyCertSign", true}, {"CA:TRUE", NULL, true}, {"CA:FALSE", NULL, false},
		{NULL, NULL, false}, {"CA:TRUE", "digitalSignature", false}, {NULL, "keyCertSign", false}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct cert_info info;
		X509 *cert = certs_make(&(struct certs_spec){
			.key = CERTS_LEAF, .cn = "x", .constraints = rows[i].constraints, .usage = rows[i].usage});
		expect_ok(cert_info_read(cert, &info));
		assert_int_equal(info.is_ca, rows[i].is_ca);
		cert_info_free(&info);
		X509_free(cert);
	}
}

static void comes_back_from_pem(void **state)
{
	(void)state;
	AUTO(credential_unrefp) struct credential *c = NULL, *again = NULL;
	AUTO(secret_freep) struct secret *key = NULL, *key_again = NULL;
	struct buf chain = BUF_INIT, chain_again = BUF_INIT;
	expect_ok(build((X509 *const[]){root, issuer, leaf}, 3, CERTS_LEAF, &c));
	credential_chain_pem(c, &chain);
	expect_ok(credential_key_pem(c, &key));
	assert_non_null(strstr((const char *)secret_bytes(key, NULL), "-----BEGIN PRIVATE KEY-----\n"));
	expect_ok(credential_from_pem(chain.data, chain.len, key, &again));
	credential_chain_pem(again, &chain_again);
	expect_ok(credential_key_pem(again, &key_again));
	assert_string_equal(buf_text(&chain), buf_text(&chain_again));
	assert_true(secret_equal(key, key_again));
	assert_string_equal(credential_info(c)->sha256, credential_info(again)->sha256);
	buf_free(&chain);
	buf_free(&chain_again);
}

static void broken_pem_is_corrupt(void **state)
{
	(void)state;
	AUTO(credential_unrefp) struct credential *c = NULL, *none = NULL;
	AUTO(secret_freep) struct secret *key = NULL, *junk = NULL;
	struct buf chain = BUF_INIT;
	expect_ok(build((X509 *const[]){issuer, leaf}, 2, CERTS_LEAF, &c));
	credential_chain_pem(c, &chain);
	expect_ok(credential_key_pem(c, &key));
	expect_ok(secret_new("junk", 4, &junk));
	expect_fault(credential_from_pem(chain.data, chain.len, junk, &none), FAULT_CORRUPT,
		"stored credential: no private key in it");
	expect_fault(
		credential_from_pem(chain.data, chain.len - 40, key, &none), FAULT_CORRUPT, "PEM block 2 is broken");
	expect_fault(credential_from_pem("", 0, key, &none), FAULT_CORRUPT, "no certificate in it");
	assert_null(none);
	buf_free(&chain);
}

static void key_types_have_names(void **state)
{
	(void)state;
	for (int t = KEY_ECDSA_P256; t <= KEY_RSA_4096; t++) {
		enum key_type back = 0;
		assert_true(key_type_parse(key_type_name((enum key_type)t), &back));
		assert_int_equal(back, t);
	}
	enum key_type kept = KEY_RSA_3072;
	assert_false(key_type_parse("ECDSA-P256", &kept));
	assert_false(key_type_parse("", &kept));
	assert_int_equal(kept, KEY_RSA_3072);
	assert_null(key_type_name((enum key_type)0));
	assert_true(key_type_is_slow(KEY_RSA_2048));
	assert_false(key_type_is_slow(KEY_ECDSA_P384));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(orders_issuers_and_drops_the_root),
		cmocka_unit_test(keeps_a_chain_without_its_root),
		cmocka_unit_test(keeps_a_self_signed_leaf),
		cmocka_unit_test(refuses_what_does_not_belong),
		cmocka_unit_test(prefers_the_cross_signed_root),
		cmocka_unit_test(leaves_the_secure_heap_alone),
		cmocka_unit_test(finds_the_issuer_by_its_signature),
		cmocka_unit_test(refuses_long_chains),
		cmocka_unit_test(tells_what_a_certificate_says),
		cmocka_unit_test(names_every_kind_of_key),
		cmocka_unit_test(tells_a_ca_by_constraints_and_usage),
		cmocka_unit_test(comes_back_from_pem),
		cmocka_unit_test(broken_pem_is_corrupt),
		cmocka_unit_test(key_types_have_names),
	};
	if (CRYPTO_secure_malloc_init(64 * 1024, 64) != 1)
		return 1;
	return cmocka_run_group_tests(tests, make_all, free_all);
}
