#include "pki.h"
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <time.h>
#include "base/anchors.h"
#include "base/clock.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/mem.h"

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	invariant(e && X509_add_ext(cert, e, -1) == 1);
	X509_EXTENSION_free(e);
}

static X509 *new_cert(const char *common_name, EVP_PKEY *key, int64_t not_before_s, int64_t not_after_s)
{
	X509 *cert = X509_new();
	X509_NAME *name = X509_NAME_new();
	BIGNUM *serial = BN_new();
	invariant(cert && name && serial && X509_set_version(cert, 2) == 1);
	invariant(BN_rand(serial, 120, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1);
	invariant(BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert)));
	invariant(X509_NAME_add_entry_by_txt(
			  name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0) == 1);
	invariant(X509_set_subject_name(cert, name) == 1 && X509_set_pubkey(cert, key) == 1);
	invariant(ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)not_before_s));
	invariant(ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)not_after_s));
	X509_NAME_free(name);
	BN_free(serial);
	return cert;
}

struct pki_ca pki_ca_new(const char *common_name)
{
	int64_t now_s = (int64_t)time(NULL);
	struct pki_ca ca = {.key = EVP_EC_gen("P-256")};
	invariant(ca.key);
	ca.cert = new_cert(common_name, ca.key, now_s - 86400, now_s + INT64_C(3650) * 86400);
	invariant(X509_set_issuer_name(ca.cert, X509_get_subject_name(ca.cert)) == 1);
	add_extension(ca.cert, ca.cert, NID_basic_constraints, "critical,CA:TRUE");
	add_extension(ca.cert, ca.cert, NID_key_usage, "critical,keyCertSign,cRLSign");
	add_extension(ca.cert, ca.cert, NID_subject_key_identifier, "hash");
	invariant(X509_sign(ca.cert, ca.key, EVP_sha256()) > 0);
	return ca;
}

void pki_ca_free(struct pki_ca *ca)
{
	X509_free(ca->cert);
	EVP_PKEY_free(ca->key);
}

struct credential *pki_leaf(const struct pki_ca *ca, const char *uri, int64_t not_before_ms, int64_t not_after_ms)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	STACK_OF(X509) *chain = sk_X509_new_null();
	struct credential *c = NULL;
	char san[300];
	invariant(key && chain);
	X509 *cert = new_cert("leaf", key, not_before_ms / 1000, not_after_ms / 1000);
	(void)snprintf(san, sizeof san, "URI:%s", uri);
	invariant(X509_set_issuer_name(cert, X509_get_subject_name(ca->cert)) == 1);
	add_extension(cert, ca->cert, NID_basic_constraints, "critical,CA:FALSE");
	add_extension(cert, ca->cert, NID_key_usage, "critical,digitalSignature");
	add_extension(cert, ca->cert, NID_ext_key_usage, "serverAuth,clientAuth");
	add_extension(cert, ca->cert, NID_subject_alt_name, san);
	add_extension(cert, ca->cert, NID_authority_key_identifier, "keyid");
	invariant(X509_sign(cert, ca->key, EVP_sha256()) > 0 && sk_X509_push(chain, cert) == 1);
	struct fault *f = credential_new(chain, key, &c);
	if (f)
		(void)fprintf(stderr, "pki_leaf: %s\n", fault_text(f));
	invariant(!f);
	sk_X509_pop_free(chain, X509_free);
	EVP_PKEY_free(key);
	return c;
}

struct anchors *pki_anchors(const struct pki_ca *cas, size_t count)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	struct anchors *a = NULL;
	invariant(certs);
	for (size_t i = 0; i < count; i++)
		invariant(sk_X509_push(certs, cas[i].cert) > 0);
	struct fault *f = anchors_new(certs, &a);
	invariant(!f);
	sk_X509_free(certs);
	return a;
}

struct credential *pki_brought(void)
{
	const int64_t now = clock_wall_ms(clock_system()) / 1000 * 1000;
	struct pki_ca ca = pki_ca_new("brought");
	struct credential *c = pki_leaf(&ca, "spiffe://brought.example/x", now - MS_PER_HOUR, now + MS_PER_HOUR);
	pki_ca_free(&ca);
	return c;
}
