#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/asn1t.h>
#include <openssl/pem.h>
#include <openssl/pkcs12.h>
#include "base/anchors.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/credential.h"
#include "base/material.h"
#include "base/mem.h"
#include "certs.h"

static X509 *root, *issuer, *leaf;
static struct buf chain_pem, key_pem, sealed_key_pem;

static int make_all(void **state)
{
	(void)state;
	root = certs_root(CERTS_ROOT, "Root");
	issuer = certs_issuer(root, CERTS_ROOT, CERTS_ISSUER, "Issuing");
	leaf = certs_leaf(issuer, CERTS_ISSUER, CERTS_LEAF);
	certs_add_pem(&chain_pem, issuer);
	certs_add_pem(&chain_pem, leaf);
	certs_add_pem(&chain_pem, root);
	certs_add_key_pem(&key_pem, CERTS_LEAF, NULL);
	certs_add_key_pem(&sealed_key_pem, CERTS_LEAF, "opensesame");
	return 0;
}

static int free_all(void **state)
{
	X509_free(root);
	X509_free(issuer);
	X509_free(leaf);
	buf_free(&chain_pem);
	buf_free(&key_pem);
	buf_free(&sealed_key_pem);
	return certs_free(state);
}

static struct material_part part(const struct buf *b, const char *label)
{
	return (struct material_part){b ? b->data : NULL, b ? b->len : 0, label};
}

static struct fault *read_both(
	const struct buf *cert, const struct buf *key, const char *password, struct credential **ret)
{
	struct material_part c = part(cert, "web.crt"), k = part(key, "web.key");
	return material_read_credential(&c, &k, password, ret);
}

static void expect_credential(const struct buf *cert, const struct buf *key, const char *password, int chain)
{
	AUTO(credential_unrefp) struct credential *c = NULL;
	expect_ok(read_both(cert, key, password, &c));
	assert_int_equal(sk_X509_num(credential_chain(c)), chain);
	assert_int_equal(X509_cmp(credential_leaf(c), leaf), 0);
	assert_int_equal(EVP_PKEY_eq(credential_public_key(c), certs_key(CERTS_LEAF)), 1);
}

static void expect_refusal(const struct buf *cert, const struct buf *key, const char *password, const char *text)
{
	struct credential *c = NULL;
	expect_fault(read_both(cert, key, password, &c), FAULT_INVALID, text);
	assert_null(c);
}

static struct buf text_of(const char *text)
{
	struct buf b = BUF_INIT;
	buf_add_text(&b, text);
	return b;
}

static void reads_pem(void **state)
{
	(void)state;
	struct buf all = BUF_INIT;
	expect_credential(&chain_pem, &key_pem, NULL, 2);
	expect_credential(&chain_pem, &key_pem, "not needed", 2);
	expect_credential(&chain_pem, &sealed_key_pem, "opensesame", 2);
	/* One file with everything, words around, the word ENCRYPTED in them. */
	buf_add_text(&all, "the key is not ENCRYPTED\r\n");
	buf_add(&all, key_pem.data, key_pem.len);
	buf_add_text(&all, "subject=web\n");
	buf_add(&all, chain_pem.data, chain_pem.len);
	expect_credential(&all, NULL, NULL, 2);
	buf_truncate(&all, 0);
	buf_add(&all, chain_pem.data, chain_pem.len);
	buf_add(&all, sealed_key_pem.data, sealed_key_pem.len);
	expect_credential(&all, NULL, "opensesame", 2);
	expect_refusal(&all, NULL, NULL, "web.crt: the private key is encrypted, and no password was given");
	buf_free(&all);
}

static void add_key_bio(struct buf *b, BIO *bio)
{
	char *bytes;
	long len = BIO_get_mem_data(bio, &bytes);
	buf_add(b, bytes, (size_t)len);
	BIO_free(bio);
}

static void reads_old_pem_keys(void **state)
{
	(void)state;
	struct buf plain = BUF_INIT, sealed = BUF_INIT;
	BIO *a = BIO_new(BIO_s_mem()), *b = BIO_new(BIO_s_mem());
	invariant(a && PEM_write_bio_PrivateKey_traditional(a, certs_key(CERTS_LEAF), NULL, NULL, 0, NULL, NULL) == 1);
	invariant(b && PEM_write_bio_PrivateKey_traditional(b, certs_key(CERTS_LEAF), EVP_aes_128_cbc(),
			       (unsigned char *)(uintptr_t) "opensesame", 10, NULL, NULL) == 1);
	add_key_bio(&plain, a);
	add_key_bio(&sealed, b);
	assert_non_null(strstr(buf_text(&plain), "BEGIN EC PRIVATE KEY"));
	expect_credential(&chain_pem, &plain, NULL, 2);
	expect_credential(&chain_pem, &sealed, "opensesame", 2);
	expect_refusal(&chain_pem, &sealed, NULL, "web.key: the private key is encrypted, and no password was given");
	expect_refusal(&chain_pem, &sealed, "wrong", "web.key: the password does not open the private key");
	buf_free(&plain);
	buf_free(&sealed);
}

static void add_der(struct buf *b, X509 *cert)
{
	unsigned char *der = NULL;
	int len = i2d_X509(cert, &der);
	invariant(len > 0);
	buf_add(b, der, (size_t)len);
	OPENSSL_free(der);
}

static void reads_der(void **state)
{
	(void)state;
	struct buf cert = BUF_INIT, key = BUF_INIT;
	unsigned char *der = NULL;
	int len = i2d_PrivateKey(certs_key(CERTS_LEAF), &der);
	buf_add(&key, der, (size_t)len);
	OPENSSL_free(der);
	add_der(&cert, leaf);
	expect_credential(&cert, &key, NULL, 1);
	expect_credential(&cert, &key_pem, NULL, 1);
	add_der(&cert, issuer);
	expect_credential(&cert, &key, NULL, 2);
	expect_refusal(&cert, NULL, NULL, "web.crt: a certificate needs its private key, and none was given");
	buf_add_text(&cert, "x");
	expect_refusal(&cert, &key_pem, NULL, "web.crt: 1 bytes that cannot be read behind certificate 2");
	buf_free(&cert);
	buf_free(&key);
}

struct p12_spec {
	const char *password;
	int key_nid, cert_nid; /* 0: the default; -1: not encrypted */
	int iterations, mac_iterations;
	bool without_key;
};

static struct buf make_p12(struct p12_spec s)
{
	struct buf b = BUF_INIT;
	unsigned char *der = NULL;
	STACK_OF(X509) *others = sk_X509_new_null();
	invariant(others && sk_X509_push(others, issuer) > 0 && sk_X509_push(others, root) > 0);
	PKCS12 *p12 = PKCS12_create(s.password, "web", s.without_key ? NULL : certs_key(CERTS_LEAF), leaf, others,
		s.key_nid, s.cert_nid, s.iterations, s.mac_iterations, 0);
	invariant(p12);
	int len = i2d_PKCS12(p12, &der);
	buf_add(&b, der, (size_t)len);
	OPENSSL_free(der);
	PKCS12_free(p12);
	sk_X509_free(others);
	return b;
}

static void reads_pkcs12(void **state)
{
	(void)state;
	static const struct p12_spec rows[] = {{.password = "opensesame"},
		{.password = "opensesame", .mac_iterations = -1}, {.password = ""}, {.password = NULL},
		{.password = NULL, .key_nid = -1, .cert_nid = -1},
		{.password = "opensesame", .iterations = 5000, .mac_iterations = 5000}};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = make_p12(rows[i]);
		expect_credential(&b, NULL, rows[i].password, 2);
		buf_free(&b);
	}
}

static void refuses_pkcs12(void **state)
{
	(void)state;
	struct buf b = make_p12((struct p12_spec){.password = "opensesame"});
	struct anchors *a = NULL;
	struct material_part bundle = part(&b, "ca.p12");
	expect_refusal(&b, NULL, "wrong", "web.crt: the password does not open the PKCS#12 file");
	expect_refusal(&b, NULL, "", "web.crt: the password does not open the PKCS#12 file");
	expect_refusal(&b, NULL, NULL, "web.crt: the PKCS#12 file is encrypted, and no password was given");
	expect_refusal(
		&b, &key_pem, "opensesame", "web.crt: a PKCS#12 file brings its own key; leave the key (web.key) out");
	expect_fault(material_read_anchors(&bundle, &a), FAULT_INVALID,
		"ca.p12: a PKCS#12 file; a bundle is PEM or DER certificates");
	buf_truncate(&b, b.len - 10);
	expect_refusal(&b, NULL, "opensesame", "web.crt: neither PEM nor DER certificates nor PKCS#12");
	buf_free(&b);
	b = make_p12((struct p12_spec){.password = "opensesame", .mac_iterations = -1});
	expect_refusal(&b, NULL, "wrong", "web.crt: the password does not open");
	buf_free(&b);
	b = make_p12((struct p12_spec){.password = "opensesame", .without_key = true});
	expect_refusal(&b, NULL, "opensesame", "web.crt: the PKCS#12 file holds no private key");
	buf_free(&b);
}

/* Writes another count, of as many bytes, in the place of the nth count of 70000 (INTEGER, three bytes): a file that
 * asks for more than was spent on making it. False: there is no nth. */
static bool ask_for(const struct buf *b, size_t nth, uint32_t count)
{
	static const unsigned char integer[] = {0x02, 0x03, 0x01, 0x11, 0x70};
	for (unsigned char *at = b->data;; at++) {
		at = memmem(at, b->len - (size_t)(at - b->data), integer, sizeof integer);
		if (!at)
			return false;
		if (nth-- > 0)
			continue;
		for (int i = 0; i < 3; i++)
			at[2 + i] = (unsigned char)(count >> (16 - 8 * i));
		return true;
	}
}

/* OpenSSL makes no absurd ones: a fair one is changed. */
static X509_ALGOR *scrypt_algorithm(uint64_t n, uint64_t r, uint64_t p)
{
	X509_ALGOR *a = PKCS5_pbe2_set_scrypt(EVP_aes_256_cbc(), NULL, 0, NULL, 16384, 8, 1);
	PBE2PARAM *outer = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(PBE2PARAM), a->parameter);
	SCRYPT_PARAMS *inner = ASN1_TYPE_unpack_sequence(ASN1_ITEM_rptr(SCRYPT_PARAMS), outer->keyfunc->parameter);
	invariant(ASN1_INTEGER_set_uint64(inner->costParameter, n) == 1);
	invariant(ASN1_INTEGER_set_uint64(inner->blockSize, r) == 1);
	invariant(ASN1_INTEGER_set_uint64(inner->parallelizationParameter, p) == 1);
	invariant(ASN1_TYPE_pack_sequence(ASN1_ITEM_rptr(SCRYPT_PARAMS), inner, &outer->keyfunc->parameter));
	invariant(ASN1_TYPE_pack_sequence(ASN1_ITEM_rptr(PBE2PARAM), outer, &a->parameter));
	SCRYPT_PARAMS_free(inner);
	PBE2PARAM_free(outer);
	return a;
}

/* An encrypted key of four bytes: never opened, only asked what it costs. */
static void add_scrypt_key(struct buf *b, uint64_t n, uint64_t r, uint64_t p)
{
	static const unsigned char content[] = {V_ASN1_OCTET_STRING, 4, 1, 2, 3, 4};
	unsigned char *der = NULL, whole[256], *at = whole;
	X509_ALGOR *algorithm = scrypt_algorithm(n, r, p);
	int len = i2d_X509_ALGOR(algorithm, &der);
	BIO *bio = BIO_new(BIO_s_mem());
	invariant(algorithm && bio && len > 0 && len < 200);
	ASN1_put_object(&at, 1, len + (int)sizeof content, V_ASN1_SEQUENCE, V_ASN1_UNIVERSAL);
	memcpy(at, der, (size_t)len);
	memcpy(at + len, content, sizeof content);
	invariant(PEM_write_bio(bio, PEM_STRING_PKCS8, "", whole, at - whole + len + (long)sizeof content) > 0);
	add_key_bio(b, bio);
	OPENSSL_free(der);
	X509_ALGOR_free(algorithm);
}

static const char hours[] = "asks for too much work";

static void refuses_pkcs12_that_takes_hours(void **state)
{
	(void)state;
	static const struct {
		struct p12_spec spec;
		size_t nth;
		uint32_t count;
		const char *text;
	} rows[] = {
		{{.password = "opensesame", .iterations = 1, .mac_iterations = 70000}, 0, 1000001, hours},
		{{.password = "opensesame", .iterations = 1, .mac_iterations = 70000}, 0, 0x800001,
			"web.crt: the PKCS#12 file's iterations make no sense"}, /* negative */
		{{.password = "opensesame", .iterations = 70000, .mac_iterations = -1}, 0, 2000001, hours},
		/* The certificates' and the key's together. */
		{{.password = "opensesame", .iterations = 70000, .mac_iterations = -1}, 1, 1930001, hours},
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b = make_p12(rows[i].spec);
		assert_true(ask_for(&b, rows[i].nth, rows[i].count));
		expect_refusal(&b, NULL, "opensesame", rows[i].text);
		buf_free(&b);
	}
}

static void refuses_keys_that_take_hours(void **state)
{
	(void)state;
	struct buf fair = BUF_INIT, absurd = BUF_INIT, b = BUF_INIT;
	add_scrypt_key(&fair, 16384, 8, 1);
	expect_refusal(&chain_pem, &fair, "opensesame", "web.key: the password does not open the private key");
	add_scrypt_key(&absurd, UINT64_C(1) << 62, 1, 1);
	expect_refusal(&chain_pem, &absurd, "opensesame", hours);
	buf_truncate(&absurd, 0);
	add_scrypt_key(&absurd, 2, 8, 1000000);
	expect_refusal(&chain_pem, &absurd, "opensesame", hours);
	certs_add_pem(&b, leaf);
	buf_add(&b, sealed_key_pem.data, sealed_key_pem.len);
	buf_add(&b, absurd.data, absurd.len);
	expect_refusal(&b, NULL, "opensesame", "web.crt: more than 1 private key in it");
	buf_free(&fair);
	buf_free(&absurd);
	buf_free(&b);
}

static void refuses_broken_input(void **state)
{
	(void)state;
	struct buf none = BUF_INIT, junk = text_of("hello"), broken = BUF_INIT, words = text_of("-----BEGIN X-----\n");
	expect_refusal(&none, &key_pem, NULL, "web.crt: it is empty");
	expect_refusal(&junk, &key_pem, NULL, "web.crt: neither PEM nor DER certificates nor PKCS#12");
	expect_refusal(&chain_pem, &junk, NULL, "web.key: no private key in it");
	expect_refusal(&chain_pem, &chain_pem, NULL, "web.key: no private key in it, but a CERTIFICATE block");
	expect_refusal(&key_pem, NULL, NULL, "web.crt: no certificate in it, but a PRIVATE KEY block");
	expect_refusal(&words, &key_pem, NULL, "web.crt: PEM block 1 is broken");
	buf_add(&broken, chain_pem.data, chain_pem.len);
	memset(strstr((char *)broken.data + 100, "-----BEGIN") + 100, '!', 20); /* in the second one */
	expect_refusal(&broken, &key_pem, NULL, "web.crt: PEM block 2 is broken");
	buf_truncate(&broken, 0);
	buf_add(&broken, chain_pem.data, chain_pem.len - 30);
	expect_refusal(&broken, &key_pem, NULL, "web.crt: PEM block 3 is broken");
	memset(buf_extend(&broken, MATERIAL_MAX), ' ', MATERIAL_MAX);
	expect_refusal(&broken, &key_pem, NULL, "bytes; at most 1048576 are accepted");
	expect_refusal(&chain_pem, &sealed_key_pem, "wrong", "web.key: the password does not open the private key");
	expect_refusal(&chain_pem, &sealed_key_pem, "", "web.key: the password does not open the private key");
	buf_free(&junk);
	buf_free(&broken);
	buf_free(&words);
}

static void refuses_what_does_not_fit(void **state)
{
	(void)state;
	struct buf other_key = BUF_INIT, more = BUF_INIT, bare = BUF_INIT, bare_key = BUF_INIT;
	X509 *stranger = certs_root(CERTS_STRANGER, "Stranger");
	X509 *weak = certs_make(&(struct certs_spec){.key = CERTS_RSA1024, .cn = "weak"});
	certs_add_key_pem(&other_key, CERTS_OTHER, NULL);
	expect_refusal(&chain_pem, &other_key, NULL, "the private key belongs to none of the 3 certificates");
	buf_add(&more, chain_pem.data, chain_pem.len);
	certs_add_pem(&more, stranger);
	expect_refusal(&more, &key_pem, NULL, "certificate \"CN=Stranger\" does not belong to the chain of the leaf");
	certs_add_pem(&bare, weak); /* the gate is asked */
	certs_add_key_pem(&bare_key, CERTS_RSA1024, NULL);
	expect_refusal(&bare, &bare_key, NULL, "an RSA key of 1024 bits");
	X509_free(stranger);
	X509_free(weak);
	buf_free(&other_key);
	buf_free(&more);
	buf_free(&bare);
	buf_free(&bare_key);
}

static struct fault *read_bundle(const struct buf *b, struct anchors **ret)
{
	struct material_part p = part(b, "ca.pem");
	return material_read_anchors(&p, ret);
}

static void reads_bundles(void **state)
{
	(void)state;
	AUTO(anchors_unrefp) struct anchors *pem = NULL, *der = NULL;
	struct buf a = text_of("# roots\n"), b = BUF_INIT;
	certs_add_pem(&a, root);
	certs_add_pem(&a, issuer);
	certs_add_pem(&a, root);
	add_der(&b, issuer);
	add_der(&b, root);
	expect_ok(read_bundle(&a, &pem));
	expect_ok(read_bundle(&b, &der));
	assert_int_equal(anchors_count(pem), 2);
	assert_true(anchors_equal(pem, der));
	buf_free(&a);
	buf_free(&b);
}

static void add_trusted(struct buf *b, X509 *cert, bool rejected)
{
	X509 *marked = X509_dup(cert);
	ASN1_OBJECT *server = OBJ_nid2obj(NID_server_auth);
	BIO *bio = BIO_new(BIO_s_mem());
	invariant(bio &&
		  (rejected ? X509_add1_reject_object(marked, server) : X509_add1_trust_object(marked, server)) == 1);
	invariant(PEM_write_bio_X509_AUX(bio, marked) == 1);
	add_key_bio(b, bio);
	X509_free(marked);
}

static void refuses_bundles(void **state)
{
	(void)state;
	struct anchors *a = NULL;
	struct buf b = BUF_INIT;
	expect_fault(read_bundle(&b, &a), FAULT_INVALID, "ca.pem: it is empty");
	expect_fault(read_bundle(&chain_pem, &a), FAULT_INVALID, "is no CA (CA:TRUE and keyCertSign are needed)");
	expect_fault(read_bundle(&key_pem, &a), FAULT_INVALID, "ca.pem: no certificate in it, but a PRIVATE KEY block");
	add_trusted(&b, root, false);
	expect_ok(read_bundle(&b, &a));
	assert_true(anchors_contain(a, root));
	anchors_unref(a);
	a = NULL;
	add_trusted(&b, issuer, true);
	expect_fault(
		read_bundle(&b, &a), FAULT_INVALID, "ca.pem: PEM block 2: a certificate that is marked as rejected");
	buf_truncate(&b, 0);
	certs_add_pem(&b, root);
	buf_add_text(&b, "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n");
	expect_fault(read_bundle(&b, &a), FAULT_INVALID, "ca.pem: a revocation list is in it");
	assert_null(a);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_pem),
		cmocka_unit_test(reads_old_pem_keys),
		cmocka_unit_test(reads_der),
		cmocka_unit_test(reads_pkcs12),
		cmocka_unit_test(refuses_pkcs12),
		cmocka_unit_test(refuses_pkcs12_that_takes_hours),
		cmocka_unit_test(refuses_keys_that_take_hours),
		cmocka_unit_test(refuses_broken_input),
		cmocka_unit_test(refuses_what_does_not_fit),
		cmocka_unit_test(reads_bundles),
		cmocka_unit_test(refuses_bundles),
	};
	return cmocka_run_group_tests(tests, make_all, free_all);
}
