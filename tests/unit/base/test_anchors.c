#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/x509v3.h>
#include <time.h>
#include "base/anchors.h"
#include "base/pem.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/gate.h"
#include "base/mem.h"
#include "certs.h"

static X509 *root, *other, *issuer, *leaf;

static int make_all(void **state)
{
	(void)state;
	root = certs_root(CERTS_ROOT, "Root");
	other = certs_root(CERTS_STRANGER, "Other");
	issuer = certs_issuer(root, CERTS_ROOT, CERTS_ISSUER, "Issuing");
	leaf = certs_leaf(issuer, CERTS_ISSUER, CERTS_LEAF);
	return 0;
}

static int free_all(void **state)
{
	X509_free(root);
	X509_free(other);
	X509_free(issuer);
	X509_free(leaf);
	return certs_free(state);
}

static struct fault *gather(X509 *const *certs, size_t count, struct anchors **ret)
{
	STACK_OF(X509) *stack = sk_X509_new_null();
	for (size_t i = 0; i < count; i++)
		invariant(sk_X509_push(stack, certs[i]) > 0);
	struct fault *f = anchors_new(stack, ret);
	sk_X509_free(stack);
	return f;
}

static void is_a_set(void **state)
{
	(void)state;
	AUTO(anchors_unrefp) struct anchors *a = NULL, *b = NULL, *one = NULL, *both = NULL;
	expect_ok(gather((X509 *const[]){root, other, root}, 3, &a));
	expect_ok(gather((X509 *const[]){other, other, root}, 3, &b));
	expect_ok(gather(&root, 1, &one));
	assert_int_equal(anchors_count(a), 2);
	assert_true(anchors_equal(a, b));
	assert_false(anchors_equal(a, one));
	assert_true(strcmp(anchors_info(a, 0)->sha256, anchors_info(a, 1)->sha256) < 0);
	assert_true(anchors_contain(a, root) && anchors_contain(a, other));
	assert_false(anchors_contain(one, other));
	expect_ok(anchors_union((struct anchors *const[]){one, a, one}, 3, &both));
	assert_true(anchors_equal(both, a));
	expect_ok(gate_check_anchors(both));
}

static void comes_back_from_pem(void **state)
{
	(void)state;
	AUTO(anchors_unrefp) struct anchors *a = NULL, *again = NULL, *none = NULL;
	struct buf pem = BUF_INIT;
	expect_ok(gather((X509 *const[]){root, other}, 2, &a));
	anchors_pem(a, &pem);
	expect_ok(anchors_from_pem(pem.data, pem.len, &again));
	assert_true(anchors_equal(a, again));
	expect_fault(anchors_from_pem(pem.data, pem.len - 40, &none), FAULT_INVALID, "PEM block 2 is broken");
	expect_fault(anchors_from_pem("", 0, &none), FAULT_INVALID, "no certificate in it");
	assert_null(none);
	buf_free(&pem);
}

static void refuses_what_no_verifier_takes(void **state)
{
	(void)state;
	struct anchors *a = NULL;
	X509 *cannot_sign = certs_make(&(struct certs_spec){.key = CERTS_OTHER,
		.issuer = root,
		.issuer_key = CERTS_ROOT,
		.cn = "Mute",
		.constraints = "CA:TRUE",
		.usage = "digitalSignature"});
	expect_fault(gather(NULL, 0, &a), FAULT_INVALID, "a bundle without a certificate: Envoy would verify nobody");
	expect_fault(gather((X509 *const[]){root, leaf}, 2, &a), FAULT_INVALID,
		"is no CA (CA:TRUE and keyCertSign are needed)");
	expect_fault(gather(&cannot_sign, 1, &a), FAULT_INVALID, "certificate \"CN=Mute\" (serial ");
	assert_null(a);
	X509_free(cannot_sign);
}

/* CAs whose encoded names have len bytes each (60 and more), all different. */
static struct fault *gather_named(size_t count, size_t len, struct anchors **ret)
{
	STACK_OF(X509) *stack = sk_X509_new_null();
	for (size_t i = 0; i < count; i++) {
		X509 *c = certs_make(&(struct certs_spec){.key = CERTS_ROOT, .constraints = "critical,CA:TRUE"});
		X509_NAME *name = X509_NAME_new();
		unsigned char text[64];
		for (size_t left = len - (len < 130 ? 2 : 4);
			left >= 11 + 1;) { /* attributes of 11 bytes and a value of up to 53 */
			size_t size = left >= 2 * 64 ? 53 : left > 64 ? left / 2 - 11 : left - 11;
			memset(text, 'a', sizeof text);
			(void)snprintf((char *)text, sizeof text, "%06zu", i);
			text[6] = 'a';
			invariant(X509_NAME_add_entry_by_txt(
					  name, "OU", V_ASN1_PRINTABLESTRING, text, (int)size, -1, 0) == 1);
			left -= size + 11;
		}
		invariant(X509_set_subject_name(c, name) == 1);
		invariant(X509_set_issuer_name(c, name) == 1);
		invariant(X509_sign(c, certs_key(CERTS_ROOT), EVP_sha256()) > 0);
		assert_int_equal(i2d_X509_NAME(name, NULL), len);
		X509_NAME_free(name);
		invariant(sk_X509_push(stack, c) > 0);
	}
	struct fault *f = anchors_new(stack, ret);
	sk_X509_pop_free(stack, X509_free);
	return f;
}

static void names_fit_into_a_handshake(void **state)
{
	(void)state;
	struct anchors *a = NULL;
	size_t each = ANCHORS_NAMES_MAX / 70 - 2;
	assert_true(each > 255 + 4 && 71 * (each + 2) > ANCHORS_NAMES_MAX);
	expect_ok(gather_named(70, each, &a));
	assert_int_equal(anchors_count(a), 70);
	anchors_unref(a);
	a = NULL;
	expect_fault(gather_named(71, each, &a), FAULT_INVALID, "the names of these 71 CAs take ");
	assert_null(a);
}

static void bounds_their_number(void **state)
{
	(void)state;
	struct anchors *a = NULL;
	expect_fault(gather_named(ANCHORS_MAX + 1, 60, &a), FAULT_INVALID, "more than 512 certificates in one bundle");
	assert_null(a);
	expect_ok(gather_named(ANCHORS_MAX, 60, &a));
	anchors_unref(a);
}

static struct fault *verify(X509 *anchor, X509 *const *certs, size_t count, int purpose, int64_t at_ms)
{
	AUTO(anchors_unrefp) struct anchors *a = NULL;
	STACK_OF(X509) *chain = sk_X509_new_null();
	expect_ok(gather(&anchor, 1, &a));
	for (size_t i = 0; i < count; i++)
		invariant(sk_X509_push(chain, certs[i]) > 0);
	struct fault *f = anchors_verify(a, chain, purpose, at_ms);
	sk_X509_free(chain);
	return f;
}

static void verifies_chains(void **state)
{
	(void)state;
	int64_t now = clock_wall_ms(clock_system());
	X509 *const chain[] = {leaf, issuer};
	X509 *client = certs_make(&(struct certs_spec){.key = CERTS_OTHER,
		.issuer = issuer,
		.issuer_key = CERTS_ISSUER,
		.cn = "client",
		.extended = "clientAuth"});
	expect_ok(verify(root, chain, 2, X509_PURPOSE_SSL_SERVER, now));
	expect_ok(verify(root, chain, 2, X509_PURPOSE_SSL_CLIENT, now));
	expect_ok(verify(issuer, chain, 1, 0, now)); /* an anchor need not be a root */
	expect_fault(verify(other, chain, 2, 0, now), FAULT_INVALID, "certificate \"CN=Issuing\" (serial ");
	expect_fault(verify(root, chain, 1, 0, now), FAULT_INVALID, "unable to get local issuer certificate");
	expect_fault(verify(root, chain, 2, 0, now + 2 * MS_PER_DAY), FAULT_INVALID, "certificate has expired");
	expect_fault(verify(root, chain, 2, 0, now - 2 * MS_PER_DAY), FAULT_INVALID, "certificate is not yet valid");
	expect_fault(verify(root, (X509 *const[]){client, issuer}, 2, X509_PURPOSE_SSL_SERVER, now), FAULT_INVALID,
		"unsuitable certificate purpose");
	expect_ok(verify(root, (X509 *const[]){client, issuer}, 2, X509_PURPOSE_SSL_CLIENT, now));
	X509_free(client);
}

/* A text of no bytes need not have a place. */
static void test_nothing(void **state)
{
	(void)state;
	struct anchors *a = NULL;
	EVP_PKEY *key = NULL;
	size_t count;
	expect_fault(anchors_from_pem(NULL, 0, &a), FAULT_INVALID, "no certificate");
	expect_fault(pem_read_keys(NULL, 0, NULL, &key, 1, &count), FAULT_INVALID, "no private key");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(is_a_set),
		cmocka_unit_test(comes_back_from_pem),
		cmocka_unit_test(refuses_what_no_verifier_takes),
		cmocka_unit_test(names_fit_into_a_handshake),
		cmocka_unit_test(bounds_their_number),
		cmocka_unit_test(verifies_chains),
	};
	return cmocka_run_group_tests(tests, make_all, free_all);
}
