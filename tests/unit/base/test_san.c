#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include "base/attr.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/san.h"
#include "certs.h"

static void accepts_and_normalises(void **state)
{
	(void)state;
	static const struct {
		enum san_type type;
		const char *given, *kept;
	} rows[] = {{SAN_DNS, "WEB.Example", "web.example"}, {SAN_DNS, "*.a.b", "*.a.b"}, {SAN_DNS, "_x.a", "_x.a"},
		{SAN_URI, "spiffe://TD.example/a%20b", "spiffe://TD.example/a%20b"}, {SAN_URI, "urn:x", "urn:x"},
		{SAN_IP, "2001:DB8:0:0::1", "2001:db8::1"}, {SAN_IP, "192.0.2.1", "192.0.2.1"},
		{SAN_IP, "::ffff:192.0.2.1", "::ffff:192.0.2.1"}, {SAN_EMAIL, "Ops@Example.ORG", "Ops@example.org"}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct san_set s = {NULL, 0};
		expect_ok(san_set_add(&s, rows[i].type, rows[i].given));
		expect_ok(san_set_add(&s, rows[i].type, rows[i].kept)); /* a duplicate */
		assert_int_equal(s.count, 1);
		assert_string_equal(s.items[0].value, rows[i].kept);
		san_set_free(&s);
	}
}

static void refuses_with_an_example(void **state)
{
	(void)state;
	static const struct {
		enum san_type type;
		const char *given;
	} rows[] = {{SAN_DNS, ""}, {SAN_DNS, "a..b"}, {SAN_DNS, "a."}, {SAN_DNS, "-a"}, {SAN_DNS, "a-.b"},
		{SAN_DNS, "a*.b"}, {SAN_DNS, "*"}, {SAN_DNS, "a.*.b"}, {SAN_DNS, "192.0.2.1"},
		{SAN_DNS, "gr\xc3\xbc"
			  "n"},
		{SAN_DNS, "a b"}, {SAN_DNS, "a\nb"}, {SAN_URI, ""}, {SAN_URI, "x"}, {SAN_URI, "x:"}, {SAN_URI, "1x:y"},
		{SAN_URI, "a: b"}, {SAN_URI, "a:\"b"}, {SAN_URI, "a:\xc3\xbc"}, {SAN_IP, ""}, {SAN_IP, "192.0.2"},
		{SAN_IP, "192.0.2.256"}, {SAN_IP, "fe80::1%eth0"}, {SAN_IP, "192.0.2.0/24"}, {SAN_EMAIL, "a"},
		{SAN_EMAIL, "@b"}, {SAN_EMAIL, "a@"}, {SAN_EMAIL, "a b@c"}, {SAN_EMAIL, "a@b@c"}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct san_set s = {NULL, 0};
		char part[64];
		(void)snprintf(part, sizeof part, "is no %s name; an example: ", san_type_name(rows[i].type));
		expect_fault(san_set_add(&s, rows[i].type, rows[i].given), FAULT_INVALID, part);
		assert_int_equal(s.count, 0);
	}
}

static void bounds_lengths(void **state)
{
	(void)state;
	struct san_set s = {NULL, 0};
	char text[2100];
	memset(text, 'a', sizeof text);
	text[63] = 0;
	expect_ok(san_set_add(&s, SAN_DNS, text));
	text[63] = 'a';
	text[64] = 0;
	expect_fault(san_set_add(&s, SAN_DNS, text), FAULT_INVALID, "is no DNS name");
	for (size_t i = 0; i < 253; i++)
		text[i] = i % 2 ? '.' : 'a';
	text[64] = 'a';
	text[253] = 0;
	expect_ok(san_set_add(&s, SAN_DNS, text));
	text[253] = 'b';
	text[254] = 0;
	expect_fault(san_set_add(&s, SAN_DNS, text), FAULT_INVALID, "is no DNS name");
	memset(text, 'a', sizeof text);
	text[1] = ':';
	text[2048] = 0;
	expect_ok(san_set_add(&s, SAN_URI, text));
	text[2048] = 'a';
	text[2049] = 0;
	expect_fault(san_set_add(&s, SAN_URI, text), FAULT_INVALID, "is no URI name");
	san_set_free(&s);
}

static void is_a_sorted_set(void **state)
{
	(void)state;
	struct san_set a = {NULL, 0}, b = {NULL, 0}, c;
	struct buf text = BUF_INIT;
	san_set_print(&a, &text);
	assert_string_equal(buf_text(&text), "none");
	buf_truncate(&text, 0);
	expect_ok(san_set_add(&a, SAN_URI, "a:b"));
	expect_ok(san_set_add(&a, SAN_DNS, "b.example"));
	expect_ok(san_set_add(&a, SAN_DNS, "a.example"));
	expect_ok(san_set_add(&b, SAN_DNS, "a.example"));
	expect_ok(san_set_add(&b, SAN_DNS, "b.example"));
	assert_false(san_set_equal(&a, &b));
	expect_ok(san_set_add(&b, SAN_URI, "a:b"));
	assert_true(san_set_equal(&a, &b));
	san_set_copy(&a, &c);
	san_set_free(&a);
	assert_true(san_set_equal(&c, &b));
	assert_true(san_set_contains(&c, SAN_URI, "a:b"));
	assert_false(san_set_contains(&c, SAN_DNS, "a:b"));
	san_set_print(&c, &text);
	assert_string_equal(buf_text(&text), "DNS:a.example, DNS:b.example, URI:a:b");
	buf_free(&text);
	san_set_free(&b);
	san_set_free(&c);
}

static void bounds_their_number(void **state)
{
	(void)state;
	struct san_set s = {NULL, 0};
	for (int i = 0; i < SAN_MAX; i++) {
		char name[16];
		(void)snprintf(name, sizeof name, "n%d", i);
		expect_ok(san_set_add(&s, SAN_DNS, name));
	}
	expect_ok(san_set_add(&s, SAN_DNS, "n5"));
	expect_fault(san_set_add(&s, SAN_DNS, "more"), FAULT_EXHAUSTED, "more than 100 names");
	san_set_free(&s);
}

static void comes_back_from_a_certificate(void **state)
{
	(void)state;
	struct san_set asked = {NULL, 0}, found = {NULL, 0};
	expect_ok(san_set_add(&asked, SAN_DNS, "*.web.example"));
	expect_ok(san_set_add(&asked, SAN_URI, "spiffe://a/b"));
	expect_ok(san_set_add(&asked, SAN_IP, "192.0.2.1"));
	expect_ok(san_set_add(&asked, SAN_IP, "2001:db8::1"));
	expect_ok(san_set_add(&asked, SAN_EMAIL, "ops@example.org"));
	for (int critical = 0; critical < 2; critical++) {
		X509 *cert = X509_new();
		X509_EXTENSION *e = NULL;
		expect_ok(san_set_to_extension(&asked, critical, &e));
		assert_int_equal(X509_EXTENSION_get_critical(e), critical);
		invariant(cert && X509_add_ext(cert, e, -1) == 1);
		expect_ok(san_set_from_cert(cert, &found));
		assert_true(san_set_equal(&asked, &found));
		san_set_free(&found);
		X509_add_ext(cert, e, -1); /* twice */
		expect_fault(san_set_from_cert(cert, &found), FAULT_INVALID, "");
		X509_EXTENSION_free(e);
		X509_free(cert);
	}
	san_set_free(&asked);
}

static void reads_hostile_certificates(void **state)
{
	(void)state;
	static const struct {
		const char *san;
		size_t known;
		const char *text; /* NULL: none */
	} rows[] = {{NULL, 0, NULL}, {"DNS:a.example,otherName:1.2.3.4;UTF8:x", 1, "of a type that is not supported"},
		{"DNS:a b,DNS:b.example", 1, "is no DNS name"}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct san_set found = {NULL, 0};
		X509 *cert = certs_make(&(struct certs_spec){.key = CERTS_LEAF, .cn = "x", .san = rows[i].san});
		if (rows[i].text)
			expect_fault(san_set_from_cert(cert, &found), FAULT_INVALID, rows[i].text);
		else
			expect_ok(san_set_from_cert(cert, &found));
		assert_int_equal(found.count, 0);
		san_set_from_cert_known(cert, &found);
		assert_int_equal(found.count, rows[i].known);
		san_set_free(&found);
		X509_free(cert);
	}
}

/* "web.example\0.evil": what a reader of C's strings takes for another name. */
static void refuses_nul(void **state)
{
	(void)state;
	struct san_set found = {NULL, 0};
	GENERAL_NAMES *names = GENERAL_NAMES_new();
	GENERAL_NAME *n = GENERAL_NAME_new();
	ASN1_IA5STRING *text = ASN1_IA5STRING_new();
	X509 *cert = X509_new();
	invariant(names && n && text && cert && ASN1_STRING_set(text, "web.example\0.evil", 17) == 1);
	GENERAL_NAME_set0_value(n, GEN_DNS, text);
	invariant(sk_GENERAL_NAME_push(names, n) > 0);
	invariant(X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, 0) == 1);
	expect_fault(san_set_from_cert(cert, &found), FAULT_INVALID, "NUL");
	san_set_from_cert_known(cert, &found);
	assert_int_equal(found.count, 0);
	san_set_free(&found);
	GENERAL_NAMES_free(names);
	X509_free(cert);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_and_normalises),
		cmocka_unit_test(refuses_with_an_example),
		cmocka_unit_test(bounds_lengths),
		cmocka_unit_test(is_a_sorted_set),
		cmocka_unit_test(bounds_their_number),
		cmocka_unit_test(comes_back_from_a_certificate),
		cmocka_unit_test(reads_hostile_certificates),
		cmocka_unit_test(refuses_nul),
	};
	return cmocka_run_group_tests(tests, NULL, certs_free);
}
