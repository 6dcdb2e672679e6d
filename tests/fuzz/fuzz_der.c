/* tests/fuzz/fuzz_der.c - certificates and keys as DER. The first byte says what is done with the others: a certificate
 * is read as it is (0); it is an authority's answer (1) or a client's proof (2), for which it is given our key, an
 * issuer and a signature, so that the checks behind those are reached; or it is a private key (3).  What passes is what
 * the checks promise. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include "base/anchors.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/cert_info.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/gate.h"
#include "base/io/evidence.h"
#include "base/pem.h"
#include "base/pkcs8.h"
#include "base/secret.h"
#include "base/text.h"
#include "ca-client/check.h"
#include "control/identity.h"
#include "tests/fuzz/input.h"

static const int64_t now_ms = INT64_C(1767225600000); /* 2026-01-01 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static EVP_PKEY *leaf_key, *root_key;
static X509 *root;
static struct anchors *anchors;

static void must(struct fault *f)
{
	invariant(!f);
}

/* SEC1 without the public point; fixed, so that an input always means the same. */
static EVP_PKEY *key_of(unsigned char scalar)
{
	unsigned char der[51] = {0x30, 49, 2, 1, 1, 4, 32};
	static const unsigned char p256[] = {0xa0, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7};
	const unsigned char *at = der;
	memset(der + 7, scalar, 32);
	memcpy(der + 39, p256, sizeof p256);
	EVP_PKEY *key = d2i_PrivateKey(EVP_PKEY_EC, NULL, &at, sizeof der);
	invariant(key);
	return key;
}

static X509 *make_root(void)
{
	X509 *cert = X509_new();
	invariant(cert && X509_set_version(cert, X509_VERSION_3) == 1);
	X509_NAME *name = X509_get_subject_name(cert);
	invariant(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"Root", -1, -1, 0) == 1);
	invariant(X509_set_issuer_name(cert, name) == 1 && X509_set_pubkey(cert, root_key) == 1);
	invariant(ASN1_TIME_set_string_X509(X509_getm_notBefore(cert), "20200101000000Z") == 1);
	invariant(ASN1_TIME_set_string_X509(X509_getm_notAfter(cert), "20491231000000Z") == 1);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, NID_basic_constraints, "critical,CA:TRUE");
	invariant(e && X509_add_ext(cert, e, -1) == 1 && X509_sign(cert, root_key, EVP_sha256()) > 0);
	X509_EXTENSION_free(e);
	return cert;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	leaf_key = key_of(0x11);
	root_key = key_of(0x22);
	root = make_root();
	STACK_OF(X509) *roots = sk_X509_new_null();
	invariant(roots && sk_X509_push(roots, root) > 0);
	must(anchors_new(roots, &anchors));
	sk_X509_free(roots);
	return 0;
}

/* -- a certificate as it is -- */

static void check_text(const char *text)
{
	invariant(text && text_is_utf8(text, strlen(text)));
	for (const char *p = text; *p; p++)
		invariant((unsigned char)*p >= 0x20 && (unsigned char)*p < 0x7f);
}

static void check_info(X509 *cert)
{
	struct cert_info i;
	struct buf shown = BUF_INIT;
	struct fault *f = cert_info_read(cert, &i);
	if (f) {
		invariant(fault_code(f) == FAULT_INVALID);
		fault_free(f);
		return;
	}
	check_text(i.subject);
	check_text(i.issuer);
	check_text(i.key);
	invariant(strlen(i.sha256) == 64 && i.sans.count <= SAN_MAX);
	san_set_print(&i.sans, &shown);
	invariant(text_is_utf8(shown.data, shown.len));
	buf_free(&shown);
	cert_info_free(&i);
}

/* All of the names, or a fault; those that are shown are a part of them. */
static void check_names(X509 *cert)
{
	struct san_set all = {NULL, 0}, known = {NULL, 0};
	struct fault *f = san_set_from_cert(cert, &all);
	san_set_from_cert_known(cert, &known);
	invariant(f || san_set_equal(&all, &known));
	fault_free(f);
	san_set_free(&all);
	san_set_free(&known);
}

static void check_anchor(X509 *cert)
{
	struct anchors *a = NULL;
	STACK_OF(X509) *one = sk_X509_new_null();
	invariant(one && sk_X509_push(one, cert) > 0);
	struct fault *f = anchors_new(one, &a);
	invariant((f == NULL) == (a != NULL) && (!f || fault_code(f) == FAULT_INVALID));
	if (a) {
		must(gate_check_anchors(a));
		invariant(anchors_contain(a, cert));
		fault_free(anchors_verify(a, one, X509_PURPOSE_SSL_SERVER, now_ms));
	}
	fault_free(f);
	anchors_unref(a);
	sk_X509_free(one);
}

static void read_certificate(X509 *cert)
{
	check_info(cert);
	check_names(cert);
	check_anchor(cert);
}

/* -- under our root, for our key -- */

static bool adopt(X509 *cert)
{
	bool done = X509_set_pubkey(cert, leaf_key) == 1 &&
		    X509_set_issuer_name(cert, X509_get_subject_name(root)) == 1 &&
		    X509_sign(cert, root_key, EVP_sha256()) > 0;
	ERR_clear_error();
	return done;
}

static void check_credential(const struct credential *c, const struct san_set *sans)
{
	AUTO(credential_unrefp) struct credential *again = NULL;
	AUTO(secret_freep) struct secret *key = NULL;
	struct buf pem = BUF_INIT;
	struct san_set got = {NULL, 0};
	const struct cert_info *i = credential_info(c);
	must(gate_check_credential(c));
	must(san_set_from_cert(credential_leaf(c), &got));
	invariant(san_set_equal(&got, sans) && got.count && !i->is_ca);
	invariant(i->not_after_ms > now_ms && i->not_before_ms < i->not_after_ms);
	credential_chain_pem(c, &pem);
	must(credential_key_pem(c, &key));
	must(credential_from_pem(pem.data, pem.len, key, &again));
	invariant(!strcmp(credential_info(again)->sha256, i->sha256));
	san_set_free(&got);
	buf_free(&pem);
}

/* The names that were asked for: those that it has; or, where some are unknown, others. */
static void read_answer(X509 *cert)
{
	AUTO(credential_unrefp) struct credential *c = NULL;
	struct san_set sans = {NULL, 0};
	struct ca_answer answer = {.chain = sk_X509_new_null()};
	invariant(answer.chain && sk_X509_push(answer.chain, cert) > 0);
	struct fault *f = san_set_from_cert(cert, &sans);
	bool odd = f != NULL;
	fault_free(f);
	const struct check_expectation e = {.key = leaf_key,
		.sans = &sans,
		.anchors = anchors,
		.now_ms = now_ms,
		.clock_skew_ms = 60000,
		.lifetime_ms = 3600000};
	f = check_answer(&answer, &e, &c);
	invariant((f == NULL) == (c != NULL) && (!f || fault_code(f) == FAULT_CORRUPT));
	invariant(!f || text_is_utf8(fault_text(f), strlen(fault_text(f))));
	invariant(!c || !odd);
	if (c && sans.count)
		check_credential(c, &sans);
	fault_free(f);
	san_set_free(&sans);
	sk_X509_free(answer.chain);
}

static void check_identity(const struct identity *i)
{
	static const char *const names[] = {
		"uid", "gid", "uri", "dns", "spiffe.trust_domain", "spiffe.path", "nothing"};
	invariant(identity_kind(i) == IDENTITY_TLS && identity_sans(i)->count > 0);
	invariant(!strcmp(identity_authority(i), "mesh") && identity_not_after_ms(i) > now_ms);
	invariant(*identity_key(i) && *identity_text(i) && *identity_who(i));
	for (size_t k = 0; k < ARRAY_LEN(names); k++) {
		struct buf value = BUF_INIT;
		bool has = identity_attribute(i, names[k], &value);
		invariant((k >= 2 && k < 6) || !has);
		invariant(has == (value.len > 0) && text_is_utf8(value.data, value.len));
		buf_free(&value);
	}
}

static void read_proof(X509 *cert)
{
	AUTO(identity_unrefp) struct identity *i = NULL;
	struct buf pem = BUF_INIT;
	pem_add_cert(cert, &pem);
	const struct evidence e = {.kind = EVIDENCE_TLS, .leaf_pem = buf_text(&pem), .leaf_pem_len = pem.len};
	const struct client_trust trust = {"mesh", anchors};
	AUTO(fault_freep) struct fault *f = identity_from_evidence(&e, &trust, 1, now_ms, &i);
	invariant((f == NULL) == (i != NULL) && (!f || fault_code(f) == FAULT_DENIED));
	if (i)
		check_identity(i);
	buf_free(&pem);
}

static void read_key(struct input *in)
{
	EVP_PKEY *key = NULL;
	struct fault *f = pkcs8_read_key(in->at, in->left, "opensesame", &key);
	invariant((f == NULL) == (key != NULL) && (!f || fault_code(f) == FAULT_INVALID));
	fault_free(f);
	if (key)
		fault_free(pkcs8_check_pair(key));
	EVP_PKEY_free(key);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input in = {data, len};
	unsigned what = input_byte(&in) % 4;
	if (what == 3)
		read_key(&in);
	X509 *cert = what < 3 ? d2i_X509(NULL, &in.at, (long)in.left) : NULL;
	ERR_clear_error();
	if (cert && what == 0)
		read_certificate(cert);
	else if (cert && adopt(cert))
		(what == 1 ? read_answer : read_proof)(cert);
	X509_free(cert);
	invariant(ERR_peek_error() == 0);
	return 0;
}
