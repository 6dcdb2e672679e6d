#include "authority_rig.h"
#include <openssl/x509v3.h>

struct wait {
	int times;
	struct fault *fault;
	EVP_PKEY *key;
	X509_REQ *csr;
};

static void on_key(void *arg, struct fault *f, EVP_PKEY *key, X509_REQ *csr)
{
	struct wait *w = arg;
	w->times++;
	w->fault = f;
	w->key = key;
	w->csr = csr;
}

static void wait_done(struct wait *w)
{
	fault_free(w->fault);
	EVP_PKEY_free(w->key);
	X509_REQ_free(w->csr);
}

static void run(struct rig *r, enum key_type type, const struct san_set *sans, const char *name, struct wait *w)
{
	*w = (struct wait){.times = 0};
	keygen_run(r->jobs, type, sans, name, on_key, w);
	assert_int_equal(w->times, 0);
	rig_until(r, w->times);
	rig_settle(r);
	assert_int_equal(w->times, 1);
}

static X509_EXTENSION *names_of(X509_REQ *csr, STACK_OF(X509_EXTENSION) * *ret_all)
{
	*ret_all = X509_REQ_get_extensions(csr);
	int at = X509v3_get_ext_by_NID(*ret_all, NID_subject_alt_name, -1);
	return at < 0 ? NULL : X509v3_get_ext(*ret_all, at);
}

static void a_key_and_its_request(void **state)
{
	struct rig *r = *state;
	struct wait w;
	struct san_set sans = {NULL, 0};
	STACK_OF(X509_EXTENSION) * all;
	expect_ok(san_set_add(&sans, SAN_DNS, "web.example"));
	expect_ok(san_set_add(&sans, SAN_URI, "spiffe://td.example/web"));
	expect_ok(san_set_add(&sans, SAN_IP, "2001:db8::1"));
	expect_ok(san_set_add(&sans, SAN_EMAIL, "ops@td.example"));
	run(r, KEY_ECDSA_P256, &sans, NULL, &w);
	expect_ok(w.fault);
	assert_int_equal(X509_REQ_verify(w.csr, w.key), 1);
	assert_int_equal(X509_NAME_entry_count(X509_REQ_get_subject_name(w.csr)), 0);
	X509_EXTENSION *names = names_of(w.csr, &all), *wanted = NULL;
	expect_ok(san_set_to_extension(&sans, true, &wanted));
	assert_non_null(names);
	assert_int_equal(X509_EXTENSION_get_critical(names), 1); /* the subject is empty */
	assert_int_equal(ASN1_OCTET_STRING_cmp(X509_EXTENSION_get_data(names), X509_EXTENSION_get_data(wanted)), 0);
	assert_int_equal(sk_X509_EXTENSION_num(all), 1);
	sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free);
	X509_EXTENSION_free(wanted);
	san_set_free(&sans);
	wait_done(&w);
}

static void a_common_name_where_it_is_asked_for(void **state)
{
	struct rig *r = *state;
	struct wait w;
	struct san_set sans = {NULL, 0};
	STACK_OF(X509_EXTENSION) * all;
	char name[80] = "";
	expect_ok(san_set_add(&sans, SAN_DNS, "web.example"));
	run(r, KEY_ECDSA_P384, &sans, "web.example", &w);
	expect_ok(w.fault);
	assert_int_equal(EVP_PKEY_get_bits(w.key), 384);
	assert_int_equal(X509_NAME_get_text_by_NID(X509_REQ_get_subject_name(w.csr), NID_commonName, name, 80), 11);
	assert_string_equal(name, "web.example");
	assert_int_equal(X509_EXTENSION_get_critical(names_of(w.csr, &all)), 0);
	sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free);
	wait_done(&w);
	run(r, KEY_ECDSA_P256, &sans, "a\nb0123456789012345678901234567890123456789012345678901234567890123", &w);
	assert_null(w.key);
	assert_null(w.csr);
	expect_fault(w.fault, FAULT_INVALID, "\"a\\nb01234567890");
	san_set_free(&sans);
}

static void every_type_makes_its_key(void **state)
{
	(void)state;
	static const struct {
		enum key_type type;
		int base, bits;
	} rows[] = {{KEY_ECDSA_P256, EVP_PKEY_EC, 256}, {KEY_ECDSA_P384, EVP_PKEY_EC, 384},
		{KEY_RSA_2048, EVP_PKEY_RSA, 2048}, {KEY_RSA_3072, EVP_PKEY_RSA, 3072}}; /* 4096 takes seconds */
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		EVP_PKEY *key = NULL;
		expect_ok(keygen_key(rows[i].type, &key));
		assert_int_equal(EVP_PKEY_get_base_id(key), rows[i].base);
		assert_int_equal(EVP_PKEY_get_bits(key), rows[i].bits);
		EVP_PKEY_free(key);
	}
}

static void each_key_is_another_one(void **state)
{
	struct rig *r = *state;
	struct wait a, b;
	const struct san_set none = {NULL, 0};
	run(r, KEY_ECDSA_P256, &none, "x", &a);
	run(r, KEY_ECDSA_P256, &none, "x", &b);
	assert_int_equal(EVP_PKEY_eq(a.key, b.key), 0);
	wait_done(&a);
	wait_done(&b);
}

#define with_rig(test) cmocka_unit_test_setup_teardown(test, rig_open, rig_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_rig(a_key_and_its_request),
		with_rig(a_common_name_where_it_is_asked_for),
		with_rig(every_type_makes_its_key),
		with_rig(each_key_is_another_one),
	};
	return cmocka_run_group_tests(tests, NULL, certs_free);
}
