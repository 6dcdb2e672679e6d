/* The embedded CA itself, and one that the operator gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <sys/stat.h>
#include <cmocka.h>
#include <openssl/x509v3.h>
#include "base/anchors.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/io/file.h"
#include "base/mem.h"
#include "base/secret.h"
#include "ca-client/builtin_hierarchy.h"
#include "certs.h"

#define T0 INT64_C(1800000000000)

static X509 *root_of(const struct hierarchy *h)
{
	return sk_X509_value(h->above, 0);
}

static void expect_ca(X509 *cert, long path_length)
{
	assert_int_equal(X509_check_ca(cert), 1);
	assert_int_equal(X509_get_pathlen(cert), path_length);
	assert_int_equal(X509_get_key_usage(cert), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
	assert_non_null(X509_get0_subject_key_id(cert));
	assert_int_equal(ASN1_STRING_length(X509_get0_serialNumber(cert)), 16);
	assert_int_equal(X509_get_extension_flags(cert) & EXFLAG_INVALID, 0);
}

static void makes_a_root_and_an_issuing_ca(void **state)
{
	(void)state;
	AUTO(hierarchy_unrefp) struct hierarchy *h = NULL;
	AUTO(secret_freep) struct secret *bytes = NULL;
	struct cert_info root;
	expect_ok(hierarchy_create(KEY_ECDSA_P256, "lab", T0, &h, &bytes));
	expect_ca(root_of(h), 1);
	expect_ca(h->issuer, 0);
	expect_ok(cert_info_read(root_of(h), &root));
	assert_string_equal(root.subject, "CN=lab");
	assert_string_equal(h->issuer_info.subject, "CN=lab issuing");
	assert_string_equal(h->issuer_info.issuer, "CN=lab");
	assert_true(root.not_before_ms == T0 - 5 * MS_PER_MIN && root.not_after_ms == T0 + 3652 * MS_PER_DAY);
	assert_true(h->issuer_info.not_after_ms == T0 + 365 * MS_PER_DAY);
	assert_true(hierarchy_has_issued(root_of(h), root_of(h)));
	assert_true(hierarchy_has_issued(root_of(h), h->issuer));
	assert_false(hierarchy_has_issued(h->issuer, root_of(h)));
	assert_int_equal(anchors_count(h->anchors), 1);
	assert_string_equal(anchors_info(h->anchors, 0)->sha256, root.sha256);
	cert_info_free(&root);
}

static void comes_back_from_its_bytes(void **state)
{
	(void)state;
	AUTO(hierarchy_unrefp) struct hierarchy *h = NULL, *again = NULL;
	AUTO(secret_freep) struct secret *bytes = NULL;
	expect_ok(hierarchy_create(KEY_ECDSA_P384, "lab", T0, &h, &bytes));
	expect_ok(hierarchy_load(bytes, &again));
	assert_int_equal(X509_cmp(root_of(h), root_of(again)), 0);
	assert_int_equal(X509_cmp(h->issuer, again->issuer), 0);
	assert_int_equal(EVP_PKEY_eq(h->issuer_key, again->issuer_key), 1);
	assert_true(anchors_equal(h->anchors, again->anchors));
	assert_true(hierarchy_renew_at_ms(h) == hierarchy_renew_at_ms(again));
}

static void a_new_issuing_ca_under_the_same_root(void **state)
{
	(void)state;
	AUTO(hierarchy_unrefp) struct hierarchy *h = NULL, *next = NULL, *last = NULL, *none = NULL;
	AUTO(secret_freep) struct secret *bytes = NULL, *next_bytes = NULL, *last_bytes = NULL, *no_bytes = NULL;
	expect_ok(hierarchy_create(KEY_ECDSA_P256, "lab", T0, &h, &bytes));
	expect_ok(hierarchy_renew(KEY_ECDSA_P384, bytes, T0 + 200 * MS_PER_DAY, &next, &next_bytes));
	assert_int_equal(X509_cmp(root_of(h), root_of(next)), 0);
	assert_int_equal(EVP_PKEY_eq(h->issuer_key, next->issuer_key), 0);
	assert_string_equal(next->issuer_info.key, "ecdsa-p384");
	assert_true(next->issuer_info.not_before_ms < h->issuer_info.not_after_ms); /* overlap */
	/* Near the root's end the issuing CA ends with it. */
	expect_ok(hierarchy_renew(KEY_ECDSA_P256, next_bytes, T0 + 3600 * MS_PER_DAY, &last, &last_bytes));
	assert_true(last->issuer_info.not_after_ms == anchors_info(h->anchors, 0)->not_after_ms);
	expect_fault(hierarchy_renew(KEY_ECDSA_P256, bytes, T0 + 3653 * MS_PER_DAY, &none, &no_bytes),
		FAULT_UNAVAILABLE, "the root has ended");
	expect_fault(
		hierarchy_renew(KEY_ECDSA_P256, bytes, 0, &none, &no_bytes), FAULT_UNAVAILABLE, "the clock is wrong");
	assert_null(none);
	assert_null(no_bytes);
}

static void expect_corrupt(const struct buf *pem, const char *part)
{
	AUTO(hierarchy_unrefp) struct hierarchy *h = NULL;
	AUTO(secret_freep) struct secret *bytes = NULL;
	expect_ok(secret_new(pem->data, pem->len, &bytes));
	expect_fault(hierarchy_load(bytes, &h), FAULT_CORRUPT, part);
	assert_null(h);
}

static void bytes_that_do_not_fit_together(void **state)
{
	(void)state;
	X509 *root = certs_root(CERTS_ROOT, "lab"),
	     *issuer = certs_issuer(root, CERTS_ROOT, CERTS_ISSUER, "lab issuing");
	X509 *stranger = certs_issuer(root, CERTS_STRANGER, CERTS_ISSUER, "lab issuing"); /* its signature is wrong */
	const struct {
		X509 *first, *second;
		enum certs_key first_key, second_key;
		const char *text;
	} rows[] = {{root, stranger, CERTS_ROOT, CERTS_ISSUER, "its certificates and keys do not fit together"},
		{root, issuer, CERTS_ISSUER, CERTS_ROOT, "do not fit together"},
		{issuer, root, CERTS_ISSUER, CERTS_ROOT, "do not fit together"},
		{root, root, CERTS_ROOT, CERTS_STRANGER, "do not fit together"}};
	struct buf pem = BUF_SECRET_INIT;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		certs_add_pem(&pem, rows[i].first);
		certs_add_key_pem(&pem, rows[i].first_key, NULL);
		certs_add_pem(&pem, rows[i].second);
		certs_add_key_pem(&pem, rows[i].second_key, NULL);
		expect_corrupt(&pem, rows[i].text);
		buf_truncate(&pem, 0);
	}
	certs_add_pem(&pem, root);
	certs_add_key_pem(&pem, CERTS_ROOT, NULL);
	expect_corrupt(&pem, "1 certificates and 1 keys; 2 of each are expected");
	certs_add_pem(&pem, issuer);
	certs_add_key_pem(&pem, CERTS_ISSUER, "sesame");
	expect_corrupt(&pem, "the private key is encrypted");
	buf_free(&pem);
	X509_free(root);
	X509_free(issuer);
	X509_free(stranger);
}

static void names_fit_a_certificate(void **state)
{
	(void)state;
	AUTO(mem_freep) char *plain = hierarchy_name(NULL, "lab"), *given = hierarchy_name("My CA", "lab");
	assert_string_equal(plain, "leafcast lab");
	assert_string_equal(given, "My CA");
	char authority[200];
	memset(authority, 'a', sizeof authority);
	authority[sizeof authority - 1] = 0;
	AUTO(mem_freep) char *cut = hierarchy_name(NULL, authority);
	assert_int_equal(strlen(cut), HIERARCHY_NAME_MAX);
	AUTO(hierarchy_unrefp) struct hierarchy *h = NULL;
	AUTO(secret_freep) struct secret *bytes = NULL;
	expect_ok(hierarchy_create(KEY_ECDSA_P256, cut, T0, &h, &bytes));
}

/* --- the operator's own --- */

struct files {
	char folder[40], cert[64], key[64], password[64];
	struct builtin_options options;
	X509 *root, *issuer;
};

static int files_open(void **state)
{
	struct files *f = mem_new(struct files);
	(void)snprintf(f->folder, sizeof f->folder, "/tmp/leafcast-ca-XXXXXX");
	assert_non_null(mkdtemp(f->folder));
	(void)snprintf(f->cert, sizeof f->cert, "%s/ca.pem", f->folder);
	(void)snprintf(f->key, sizeof f->key, "%s/ca.key", f->folder);
	(void)snprintf(f->password, sizeof f->password, "%s/password", f->folder);
	f->options = (struct builtin_options){.certificate_file = f->cert, .key_file = f->key};
	f->root = certs_root(CERTS_ROOT, "Root");
	f->issuer = certs_issuer(f->root, CERTS_ROOT, CERTS_ISSUER, "Issuing");
	*state = f;
	return 0;
}

static int files_close(void **state)
{
	struct files *f = *state;
	(void)unlink(f->cert);
	(void)unlink(f->key);
	(void)unlink(f->password);
	assert_int_equal(rmdir(f->folder), 0);
	X509_free(f->root);
	X509_free(f->issuer);
	free(f);
	return 0;
}

static void put_certs(const struct files *f, X509 *first, X509 *second, X509 *third)
{
	struct buf pem = BUF_INIT;
	X509 *const all[] = {first, second, third};
	for (size_t i = 0; i < ARRAY_LEN(all) && all[i]; i++)
		certs_add_pem(&pem, all[i]);
	expect_ok(file_write(f->cert, 0644, pem.data, pem.len));
	buf_free(&pem);
}

static void put_key(const struct files *f, enum certs_key key, const char *password)
{
	struct buf pem = BUF_SECRET_INIT;
	certs_add_key_pem(&pem, key, password);
	expect_ok(file_write(f->key, 0600, pem.data, pem.len));
	buf_free(&pem);
}

static struct fault *take(const struct files *f, struct hierarchy **ret)
{
	return hierarchy_from_files(&f->options, ret);
}

static void a_given_ca_with_its_chain(void **state)
{
	struct files *f = *state;
	AUTO(hierarchy_unrefp) struct hierarchy *whole = NULL, *without_root = NULL, *root_alone = NULL;
	put_certs(f, f->issuer, f->root, NULL);
	put_key(f, CERTS_ISSUER, NULL);
	expect_ok(take(f, &whole));
	assert_true(whole->given);
	assert_int_equal(X509_cmp(whole->issuer, f->issuer), 0);
	assert_true(anchors_contain(whole->anchors, f->root));
	assert_true(hierarchy_renew_at_ms(whole) == INT64_MAX);
	put_certs(f, f->issuer, NULL, NULL);
	expect_ok(take(f, &without_root)); /* then the issuer itself is the anchor: Envoy takes partial chains */
	assert_true(anchors_contain(without_root->anchors, f->issuer));
	put_certs(f, f->root, NULL, NULL);
	put_key(f, CERTS_ROOT, NULL);
	expect_ok(take(f, &root_alone));
	assert_true(anchors_contain(root_alone->anchors, f->root));
}

static void an_encrypted_key_and_its_password_file(void **state)
{
	struct files *f = *state;
	AUTO(hierarchy_unrefp) struct hierarchy *h = NULL;
	struct hierarchy *none = NULL;
	put_certs(f, f->root, NULL, NULL);
	put_key(f, CERTS_ROOT, "sesame");
	expect_fault(take(f, &none), FAULT_INVALID, "ca.key: the private key is encrypted, and no password was given");
	f->options.key_password_file = f->password;
	expect_fault(take(f, &none), FAULT_NOT_FOUND, "password");
	expect_ok(file_write(f->password, 0600, "wrong\n", 6));
	expect_fault(take(f, &none), FAULT_INVALID, "ca.key: the password does not open the private key");
	expect_ok(file_write(f->password, 0600, "sesame\r\nsecond line\n", 20));
	expect_ok(take(f, &h));
}

static void wrong_files_are_named(void **state)
{
	struct files *f = *state;
	struct hierarchy *none = NULL;
	X509 *leaf = certs_leaf(f->issuer, CERTS_ISSUER, CERTS_LEAF);
	X509 *no_sign = certs_make(&(struct certs_spec){
		.key = CERTS_OTHER, .cn = "x", .constraints = "CA:TRUE", .usage = "digitalSignature"});
	expect_fault(take(f, &none), FAULT_NOT_FOUND, "ca.pem");
	put_certs(f, f->root, NULL, NULL);
	expect_fault(take(f, &none), FAULT_NOT_FOUND, "ca.key");
	put_key(f, CERTS_ISSUER, NULL);
	expect_fault(take(f, &none), FAULT_INVALID, "ca.key is not the one of the first certificate in");
	put_certs(f, leaf, f->issuer, f->root);
	put_key(f, CERTS_LEAF, NULL);
	expect_fault(take(f, &none), FAULT_INVALID, "may not sign others (CA:TRUE and keyCertSign are needed)");
	put_certs(f, no_sign, NULL, NULL);
	put_key(f, CERTS_OTHER, NULL);
	expect_fault(take(f, &none), FAULT_INVALID, "may not sign others");
	put_key(f, CERTS_ISSUER, NULL);
	put_certs(f, f->issuer, f->issuer, f->root);
	expect_fault(take(f, &none), FAULT_INVALID, "certificate 2 in ");
	expect_ok(file_write(f->cert, 0644, "hello", 5));
	expect_fault(take(f, &none), FAULT_INVALID, "ca.pem: no certificate in it");
	expect_ok(file_write(f->cert, 0644, "-----BEGIN CERTIFICATE-----\nAAAA\n", 33));
	expect_fault(take(f, &none), FAULT_INVALID, "ca.pem: PEM block 1 is broken");
	put_certs(f, f->issuer, NULL, NULL);
	put_certs(f, f->root, NULL, NULL);
	expect_ok(file_write(f->key, 0600, "hello", 5));
	expect_fault(take(f, &none), FAULT_INVALID, "ca.key: no private key in it");
	assert_null(none);
	X509_free(leaf);
	X509_free(no_sign);
}

#define with_files(test) cmocka_unit_test_setup_teardown(test, files_open, files_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(makes_a_root_and_an_issuing_ca),
		cmocka_unit_test(comes_back_from_its_bytes),
		cmocka_unit_test(a_new_issuing_ca_under_the_same_root),
		cmocka_unit_test(bytes_that_do_not_fit_together),
		cmocka_unit_test(names_fit_a_certificate),
		with_files(a_given_ca_with_its_chain),
		with_files(an_encrypted_key_and_its_password_file),
		with_files(wrong_files_are_named),
	};
	return cmocka_run_group_tests(tests, NULL, certs_free);
}
