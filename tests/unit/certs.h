/* tests/unit/certs.h - certificates of every shape, good and bad, for unit tests. Keys are made once per program, on
 * first use. Aborts where OpenSSL fails. */
#ifndef TESTS_UNIT_CERTS_H
#define TESTS_UNIT_CERTS_H
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdint.h>
#include "base/fault.h"
struct buf;

enum certs_key {
	CERTS_LEAF,   /* P-256, as the next four */
	CERTS_OTHER,  /* somebody else's leaf */
	CERTS_ISSUER, /* an issuing CA */
	CERTS_ROOT,
	CERTS_STRANGER,
	CERTS_P224,
	CERTS_P384,
	CERTS_P521,
	CERTS_ED25519,
	CERTS_RSA1024,
	CERTS_RSA2048,
	CERTS_RSA_PSS,
	CERTS_KEYS /* how many there are */
};
/** Borrowed until certs_free(). */
EVP_PKEY *certs_key(enum certs_key which);
/** For the group's teardown. */
int certs_free(void **state);

/** Zero means: without that extension; dates of a day around now. */
struct certs_spec {
	enum certs_key key;
	X509 *issuer; /* NULL: self-signed */
	enum certs_key issuer_key;
	const char *cn;	 /* NULL: an empty subject */
	const char *san; /* extensions as in openssl.cnf */
	const char *constraints;
	const char *usage;
	const char *extended;
	const char *feature;
	int64_t from_s, to_s; /* since 1970 */
	int without_key_ids;
};
/** The caller owns it. */
X509 *certs_make(const struct certs_spec *s);
/** A root and an issuing CA as they should be; a leaf with "DNS:web.example". The caller owns each. */
X509 *certs_root(enum certs_key key, const char *cn);
X509 *certs_issuer(X509 *root, enum certs_key root_key, enum certs_key key, const char *cn);
X509 *certs_leaf(X509 *issuer, enum certs_key issuer_key, enum certs_key key);

/** Appended: PEM, the key as PKCS#8, encrypted where there is a password. */
void certs_add_pem(struct buf *b, X509 *cert);
void certs_add_key_pem(struct buf *b, enum certs_key key, const char *password);

/** Fails the test unless f is NULL; says its text. */
void expect_ok(struct fault *f);
/** Fails the test unless f has this code and a text that holds part. Frees f. */
void expect_fault(struct fault *f, enum fault_code code, const char *part);
#endif
