#include "certs.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>
#include <uv.h>
#include "base/buf.h"
#include "base/mem.h"

static EVP_PKEY *keys[CERTS_KEYS];

static EVP_PKEY *make_rsa_pss(void)
{
	EVP_PKEY *key = NULL;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
	invariant(ctx && EVP_PKEY_keygen_init(ctx) == 1 && EVP_PKEY_keygen(ctx, &key) == 1);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static EVP_PKEY *make_key(enum certs_key which)
{
	switch (which) {
	case CERTS_P224:
		return EVP_EC_gen("P-224");
	case CERTS_P384:
		return EVP_EC_gen("P-384");
	case CERTS_P521:
		return EVP_EC_gen("P-521");
	case CERTS_ED25519:
		return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	case CERTS_RSA1024:
		return EVP_RSA_gen(1024);
	case CERTS_RSA2048:
		return EVP_RSA_gen(2048);
	case CERTS_RSA_PSS:
		return make_rsa_pss();
	default:
		return EVP_EC_gen("P-256");
	}
}

EVP_PKEY *certs_key(enum certs_key which)
{
	if (!keys[which])
		keys[which] = make_key(which);
	invariant(keys[which]);
	return keys[which];
}

int certs_free(void **state)
{
	uv_library_shutdown(); /* joins the pool's threads: what OpenSSL keeps per thread goes with them */
	(void)state;
	for (size_t i = 0; i < CERTS_KEYS; i++) {
		EVP_PKEY_free(keys[i]);
		keys[i] = NULL;
	}
	return 0;
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	if (!value)
		return;
	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	invariant(e && X509_add_ext(cert, e, -1) == 1);
	X509_EXTENSION_free(e);
}

static void set_serial(X509 *cert)
{
	BIGNUM *serial = BN_new();
	invariant(serial && BN_rand(serial, 120, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1);
	invariant(BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert)));
	BN_free(serial);
}

X509 *certs_make(const struct certs_spec *s)
{
	X509 *cert = X509_new();
	X509 *issuer = s->issuer ? s->issuer : cert;
	EVP_PKEY *signer = certs_key(s->issuer ? s->issuer_key : s->key);
	time_t now = time(NULL);
	invariant(cert && X509_set_version(cert, X509_VERSION_3) == 1 && X509_set_pubkey(cert, certs_key(s->key)) == 1);
	set_serial(cert);
	if (s->cn)
		invariant(X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN",
				  *s->cn ? MBSTRING_UTF8 : V_ASN1_UTF8STRING, (const unsigned char *)s->cn, -1, -1,
				  0) == 1);
	invariant(X509_set_issuer_name(cert, X509_get_subject_name(issuer)) == 1);
	invariant(ASN1_TIME_set(X509_getm_notBefore(cert), s->from_s ? (time_t)s->from_s : now - 86400));
	invariant(ASN1_TIME_set(X509_getm_notAfter(cert), s->to_s ? (time_t)s->to_s : now + 86400));
	add_extension(cert, issuer, NID_basic_constraints, s->constraints);
	add_extension(cert, issuer, NID_key_usage, s->usage);
	add_extension(cert, issuer, NID_ext_key_usage, s->extended);
	add_extension(cert, issuer, NID_subject_alt_name, s->san);
	add_extension(cert, issuer, NID_tlsfeature, s->feature);
	if (!s->without_key_ids) {
		add_extension(cert, issuer, NID_subject_key_identifier, "hash");
		if (s->issuer && X509_get0_subject_key_id(s->issuer))
			add_extension(cert, issuer, NID_authority_key_identifier, "keyid");
	}
	bool edwards = EVP_PKEY_get_base_id(signer) == EVP_PKEY_ED25519;
	invariant(X509_sign(cert, signer, edwards ? NULL : EVP_sha256()) > 0);
	return cert;
}

X509 *certs_root(enum certs_key key, const char *cn)
{
	return certs_make(&(struct certs_spec){
		.key = key, .cn = cn, .constraints = "critical,CA:TRUE", .usage = "critical,keyCertSign,cRLSign"});
}

X509 *certs_issuer(X509 *root, enum certs_key root_key, enum certs_key key, const char *cn)
{
	return certs_make(&(struct certs_spec){.key = key,
		.issuer = root,
		.issuer_key = root_key,
		.cn = cn,
		.constraints = "critical,CA:TRUE,pathlen:0",
		.usage = "critical,keyCertSign,cRLSign"});
}

X509 *certs_leaf(X509 *issuer, enum certs_key issuer_key, enum certs_key key)
{
	return certs_make(&(struct certs_spec){.key = key,
		.issuer = issuer,
		.issuer_key = issuer_key,
		.san = "critical,DNS:web.example",
		.constraints = "critical,CA:FALSE",
		.usage = "critical,digitalSignature",
		.extended = "serverAuth,clientAuth"});
}

static void add_bio(struct buf *b, BIO *bio)
{
	char *bytes;
	long len = BIO_get_mem_data(bio, &bytes);
	buf_add(b, bytes, (size_t)len);
	BIO_free(bio);
}

void certs_add_pem(struct buf *b, X509 *cert)
{
	BIO *bio = BIO_new(BIO_s_mem());
	invariant(bio && PEM_write_bio_X509(bio, cert) == 1);
	add_bio(b, bio);
}

void certs_add_key_pem(struct buf *b, enum certs_key key, const char *password)
{
	BIO *bio = BIO_new(BIO_s_mem());
	invariant(bio && PEM_write_bio_PKCS8PrivateKey(bio, certs_key(key), password ? EVP_aes_256_cbc() : NULL,
				 password, password ? (int)strlen(password) : 0, NULL, NULL) == 1);
	add_bio(b, bio);
}

void expect_ok(struct fault *f)
{
	if (f)
		fail_msg("%s: %s (%s)", fault_code_name(fault_code(f)), fault_text(f), fault_where(f));
}

void expect_fault(struct fault *f, enum fault_code code, const char *part)
{
	if (!f)
		fail_msg("no fault; \"%s\" was expected", part);
	if (fault_code(f) != code || !strstr(fault_text(f), part))
		fail_msg("%s: \"%s\"; expected %s: \"%s\"", fault_code_name(fault_code(f)), fault_text(f),
			fault_code_name(code), part);
	fault_free(f);
}
