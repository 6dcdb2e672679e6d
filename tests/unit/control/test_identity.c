/* Identities as values, and evidence judged: certificates are made here, with an own CA per authority. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <cmocka.h>
#include "base/anchors.h"
#include "base/buf.h"
#include "base/fault.h"
#include "base/io/evidence.h"
#include "base/mem.h"
#include "control/identity.h"

static const int64_t now_ms = INT64_C(1800000000000);

struct party {
	X509 *cert;
	EVP_PKEY *key;
};

static void add_extension(X509 *cert, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_nconf_nid(NULL, NULL, nid, value);
	assert_non_null(e);
	assert_int_equal(X509_add_ext(cert, e, -1), 1);
	X509_EXTENSION_free(e);
}

/* sans NULL: a CA. Times are seconds from now_ms. */
static struct party make(const char *name, const char *sans, const struct party *issuer, long from_s, long to_s)
{
	static long serial = 1;
	struct party p = {X509_new(), EVP_EC_gen("P-256")};
	X509_NAME *subject = X509_get_subject_name(p.cert);
	assert_int_equal(X509_set_version(p.cert, X509_VERSION_3), 1);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(p.cert), serial++), 1);
	assert_int_equal(
		X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1, -1, 0), 1);
	assert_int_equal(X509_set_issuer_name(p.cert, issuer ? X509_get_subject_name(issuer->cert) : subject), 1);
	assert_non_null(ASN1_TIME_set(X509_getm_notBefore(p.cert), now_ms / 1000 + from_s));
	assert_non_null(ASN1_TIME_set(X509_getm_notAfter(p.cert), now_ms / 1000 + to_s));
	assert_int_equal(X509_set_pubkey(p.cert, p.key), 1);
	add_extension(p.cert, NID_basic_constraints, sans ? "critical,CA:FALSE" : "critical,CA:TRUE");
	if (sans && *sans)
		add_extension(p.cert, NID_subject_alt_name, sans);
	if (sans)
		add_extension(p.cert, NID_ext_key_usage, "clientAuth");
	assert_true(X509_sign(p.cert, issuer ? issuer->key : p.key, EVP_sha256()) > 0);
	return p;
}

static void party_free(struct party *p)
{
	X509_free(p->cert);
	EVP_PKEY_free(p->key);
}

static char *pem(X509 *cert)
{
	BIO *out = BIO_new(BIO_s_mem());
	char *data;
	assert_int_equal(PEM_write_bio_X509(out, cert), 1);
	long len = BIO_get_mem_data(out, &data);
	char *text = mem_strndup(data, (size_t)len);
	BIO_free(out);
	return text;
}

static struct anchors *anchors_of(const struct party *ca)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	struct anchors *a = NULL;
	assert_true(sk_X509_push(certs, ca->cert) > 0);
	assert_null(anchors_new(certs, &a));
	sk_X509_free(certs);
	return a;
}

/* Two authorities, `mesh` with an intermediate below its root. */
struct pki {
	struct party mesh, between, other;
	struct client_trust trust[2];
};

static int setup(void **state)
{
	struct pki *k = mem_new(struct pki);
	k->mesh = make("mesh", NULL, NULL, -1000, 100000);
	k->between = make("between", NULL, &k->mesh, -1000, 100000);
	k->other = make("other", NULL, NULL, -1000, 100000);
	k->trust[0] = (struct client_trust){"mesh", anchors_of(&k->mesh)};
	k->trust[1] = (struct client_trust){"other", anchors_of(&k->other)};
	*state = k;
	return 0;
}

static int teardown(void **state)
{
	struct pki *k = *state;
	party_free(&k->mesh);
	party_free(&k->between);
	party_free(&k->other);
	anchors_unref(k->trust[0].anchors);
	anchors_unref(k->trust[1].anchors);
	free(k);
	return 0;
}

static struct fault *judge_at(const struct pki *k, const struct party *leaf, const struct party *between, int64_t at_ms,
	struct identity **ret)
{
	AUTO(mem_freep) char *leaf_pem = pem(leaf->cert);
	AUTO(mem_freep) char *chain_pem = between ? pem(between->cert) : mem_strdup("");
	const struct evidence e = {.kind = EVIDENCE_TLS,
		.leaf_pem = leaf_pem,
		.leaf_pem_len = strlen(leaf_pem),
		.chain_pem = chain_pem,
		.chain_pem_len = strlen(chain_pem)};
	return identity_from_evidence(&e, k->trust, 2, at_ms, ret);
}

static void assert_denied(struct fault *f, const char *says)
{
	assert_non_null(f);
	assert_int_equal(fault_code(f), FAULT_DENIED);
	if (!strstr(fault_text(f), says))
		fail_msg("\"%s\" does not say \"%s\"", fault_text(f), says);
	fault_free(f);
}

static void test_tls(void **state)
{
	const struct pki *k = *state;
	struct party direct = make("a", "URI:spiffe://td.example/a,DNS:A.example", &k->other, -10, 100);
	struct party below = make("b", "URI:spiffe://td.example/b", &k->between, -10, 100);
	AUTO(identity_unrefp) struct identity *a = NULL;
	AUTO(identity_unrefp) struct identity *b = NULL;
	assert_null(judge_at(k, &direct, NULL, now_ms, &a));
	assert_int_equal(identity_kind(a), IDENTITY_TLS);
	assert_string_equal(identity_authority(a), "other");
	assert_int_equal(identity_not_after_ms(a), now_ms + 100000);
	assert_true(san_set_contains(identity_sans(a), SAN_DNS, "a.example"));
	assert_string_equal(identity_text(a), "spiffe://td.example/a (other)");
	assert_string_equal(identity_who(a), "{uri: \"spiffe://td.example/a\", ca: other}");

	assert_null(judge_at(k, &below, &k->between, now_ms, &b));
	assert_string_equal(identity_authority(b), "mesh");
	struct identity *none = NULL;
	assert_denied(judge_at(k, &below, NULL, now_ms, &none), "leads to no authority");
	party_free(&direct);
	party_free(&below);
}

static void test_tls_denied(void **state)
{
	const struct pki *k = *state;
	struct identity *none = NULL;
	struct party stranger = make("stranger", NULL, NULL, -1000, 1000);
	struct party foreign = make("f", "URI:spiffe://td.example/a", &stranger, -10, 100);
	assert_denied(judge_at(k, &foreign, NULL, now_ms, &none), "leads to no authority");

	/* The name of an authority, the key of another. */
	struct party namesake = make("mesh", NULL, NULL, -1000, 1000);
	struct party forged = make("f", "URI:spiffe://td.example/a", &namesake, -10, 100);
	assert_denied(judge_at(k, &forged, NULL, now_ms, &none), "leads to no authority");

	struct party leaf = make("l", "URI:spiffe://td.example/a", &k->mesh, -10, 100);
	assert_denied(judge_at(k, &leaf, NULL, now_ms + 100000, &none), "has expired");
	assert_denied(judge_at(k, &leaf, NULL, now_ms - 11000, &none), "not valid yet");
	struct party nameless = make("n", "", &k->mesh, -10, 100);
	assert_denied(judge_at(k, &nameless, NULL, now_ms, &none), "no SAN");
	assert_null(none);

	const struct evidence garbage = {.kind = EVIDENCE_TLS, .leaf_pem = "garbage", .leaf_pem_len = 7};
	assert_denied(identity_from_evidence(&garbage, k->trust, 2, now_ms, &none), "cannot be read");
	const struct evidence nothing = {.kind = EVIDENCE_TLS};
	assert_denied(identity_from_evidence(&nothing, k->trust, 2, now_ms, &none), "cannot be read");
	const struct evidence unproven = {.uid = 0};
	assert_denied(identity_from_evidence(&unproven, k->trust, 2, now_ms, &none), "nothing is proven");

	const struct client_trust not_ready[] = {{"mesh", NULL}};
	AUTO(mem_freep) char *leaf_pem = pem(leaf.cert);
	const struct evidence e = {.kind = EVIDENCE_TLS, .leaf_pem = leaf_pem, .leaf_pem_len = strlen(leaf_pem)};
	assert_denied(identity_from_evidence(&e, not_ready, 1, now_ms, &none), "none is ready");
	party_free(&stranger);
	party_free(&foreign);
	party_free(&namesake);
	party_free(&forged);
	party_free(&leaf);
	party_free(&nameless);
}

static void test_chain_is_bounded(void **state)
{
	const struct pki *k = *state;
	struct identity *none = NULL;
	struct party leaf = make("l", "URI:spiffe://td.example/a", &k->mesh, -10, 100);
	AUTO(mem_freep) char *leaf_pem = pem(leaf.cert);
	AUTO(mem_freep) char *one = pem(k->between.cert);
	struct buf many = BUF_INIT;
	for (int i = 0; i < 16; i++)
		buf_add_text(&many, one);
	struct evidence e = {.kind = EVIDENCE_TLS,
		.leaf_pem = leaf_pem,
		.leaf_pem_len = strlen(leaf_pem),
		.chain_pem = buf_text(&many),
		.chain_pem_len = many.len};
	assert_denied(identity_from_evidence(&e, k->trust, 2, now_ms, &none), "more than 16 certificates");
	(void)buf_extend(&many, 128 * 1024);
	e.chain_pem = buf_text(&many);
	e.chain_pem_len = many.len;
	assert_denied(identity_from_evidence(&e, k->trust, 2, now_ms, &none), "longer than");
	buf_free(&many);
	party_free(&leaf);
}

static void test_unix(void **state)
{
	(void)state;
	const struct evidence e = {.kind = EVIDENCE_UNIX, .uid = 1000, .gid = 50, .pid = 7};
	AUTO(identity_unrefp) struct identity *i = NULL;
	assert_null(identity_from_evidence(&e, NULL, 0, now_ms, &i));
	assert_int_equal(identity_kind(i), IDENTITY_UNIX);
	assert_int_equal(identity_uid(i), 1000);
	assert_int_equal(identity_gid(i), 50);
	assert_int_equal(identity_pid(i), 7);
	assert_null(identity_authority(i));
	assert_int_equal(identity_sans(i)->count, 0);
	assert_int_equal(identity_not_after_ms(i), INT64_MAX);
	assert_string_equal(identity_text(i), "uid 1000");
	assert_string_equal(identity_who(i), "{uid: 1000}");
}

/* SANs as "type:value" texts; NULL ends. */
static struct identity *with_sans(const char *authority, ...)
{
	static const char *const types[] = {"DNS:", "URI:", "IP:", "email:"};
	struct san_set set = {NULL, 0};
	va_list ap;
	va_start(ap, authority);
	for (const char *s; (s = va_arg(ap, const char *));)
		for (size_t t = 0; t < ARRAY_LEN(types); t++)
			if (strncmp(s, types[t], strlen(types[t])) == 0)
				assert_null(san_set_add(&set, (enum san_type)t, s + strlen(types[t])));
	va_end(ap);
	struct identity *i = identity_new_tls(&set, authority, 5);
	san_set_free(&set);
	return i;
}

static void test_keys(void **state)
{
	(void)state;
	struct identity *list[] = {identity_new_unix(1, 2, 3), identity_new_unix(1, 3, 3), identity_new_unix(12, 3, 3),
		with_sans("mesh", "URI:a:b", NULL), with_sans("other", "URI:a:b", NULL),
		with_sans("mesh", "URI:a:b", "URI:a:c", NULL), with_sans("mesh", "DNS:a", NULL),
		with_sans("mesh", "email:a@a", NULL)};
	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		for (size_t k = 0; k < i; k++)
			assert_string_not_equal(identity_key(list[i]), identity_key(list[k]));
	AUTO(identity_unrefp) struct identity *again = identity_new_unix(1, 2, 99);
	assert_string_equal(identity_key(again), identity_key(list[0]));
	AUTO(identity_unrefp) struct identity *order = with_sans("mesh", "URI:a:c", "URI:a:b", NULL);
	assert_string_equal(identity_key(order), identity_key(list[5]));
	for (size_t i = 0; i < ARRAY_LEN(list); i++)
		identity_unref(list[i]);
	identity_unref(NULL);
}

static void assert_who(struct identity *i, const char *text, const char *who)
{
	assert_string_equal(identity_text(i), text);
	assert_string_equal(identity_who(i), who);
	identity_unref(i);
}

static void test_texts(void **state)
{
	(void)state;
	assert_who(with_sans("mesh", "DNS:a.example", NULL), "a.example (mesh)", "{dns: \"a.example\", ca: mesh}");
	assert_who(with_sans("my \"ca\"", "DNS:a.example", NULL), "a.example (my \"ca\")",
		"{dns: \"a.example\", ca: \"my \\\"ca\\\"\"}");
	/* A rule that names it would match others too. */
	assert_who(with_sans("mesh", "DNS:*.example", NULL), "*.example (mesh)", "{}");
	assert_who(with_sans("mesh", "DNS:*.example", "DNS:a.example", NULL), "*.example (mesh)",
		"{dns: \"a.example\", ca: mesh}");
	assert_who(with_sans("mesh", "IP:192.0.2.1", NULL), "192.0.2.1 (mesh)", "{}");
}

static void assert_attribute(struct identity *i, const char *name, const char *expected)
{
	struct buf b = BUF_INIT;
	bool found = identity_attribute(i, name, &b);
	assert_int_equal(found, expected != NULL);
	assert_string_equal(buf_text(&b), expected ? expected : "");
	buf_free(&b);
}

static void test_attributes(void **state)
{
	(void)state;
	AUTO(identity_unrefp) struct identity *local = identity_new_unix(1000, 50, 1);
	assert_attribute(local, "uid", "1000");
	assert_attribute(local, "gid", "50");
	assert_attribute(local, "uri", NULL);
	assert_attribute(local, "pid", NULL);
	AUTO(identity_unrefp)
	struct identity *peer =
		with_sans("mesh", "URI:spiffe://td.example/ns/a", "URI:https://x/", "DNS:a.example", NULL);
	assert_attribute(peer, "uid", NULL);
	assert_attribute(peer, "uri", NULL); /* two of them */
	assert_attribute(peer, "dns", "a.example");
	assert_attribute(peer, "spiffe.trust_domain", "td.example");
	assert_attribute(peer, "spiffe.path", "ns/a");
	AUTO(identity_unrefp)
	struct identity *two = with_sans("mesh", "URI:spiffe://td.example/a", "URI:spiffe://td.example/b", NULL);
	assert_attribute(two, "spiffe.path", NULL);
	assert_attribute(two, "spiffe.trust_domain", NULL);
	AUTO(identity_unrefp) struct identity *bare = with_sans("mesh", "URI:spiffe://td.example", NULL);
	assert_attribute(bare, "uri", "spiffe://td.example");
	assert_attribute(bare, "spiffe.path", NULL);
	assert_attribute(bare, "spiffe.trust_domain", "td.example");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_tls), cmocka_unit_test(test_tls_denied),
		cmocka_unit_test(test_chain_is_bounded), cmocka_unit_test(test_unix), cmocka_unit_test(test_keys),
		cmocka_unit_test(test_texts), cmocka_unit_test(test_attributes)};
	return cmocka_run_group_tests(tests, setup, teardown);
}
