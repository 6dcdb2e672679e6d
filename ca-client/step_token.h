/* ca-client/step_token.h - the one-time tokens that step-ca takes, and the keys that sign them (RFC 7515, 7517, 7638).
 * Pure. Thread: any. */
#ifndef CA_CLIENT_STEP_TOKEN_H
#define CA_CLIENT_STEP_TOKEN_H
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdint.h>
#include "base/attr.h"
#include "base/buf.h"
struct fault;
struct san_set;
struct step_signer;

/** From a private JWK (EC: P-256, P-384), plain or encrypted (step_jwe.h), or PEM (EC, RSA). password: of what is
 * encrypted, or NULL; opening it costs up to about a second of CPU. kid: NULL: the JWK's, else the thumbprint.
 * chain: of an X5C provisioner, whose leaf has this key; else NULL; references are taken. INVALID says what is wrong.
 * The caller owns *ret. */
MUST_USE struct fault *step_signer_new(const void *bytes, size_t len, const char *password, const char *kid,
	STACK_OF(X509) * chain, struct step_signer **ret);
void step_signer_free(struct step_signer *s); /* NULL is fine */
const char *step_signer_kid(const struct step_signer *s);
/** When its certificate ends (wall ms); INT64_MAX without one. */
int64_t step_signer_ends_ms(const struct step_signer *s);

struct step_claims {
	const char *issuer;   /* the provisioner */
	const char *audience; /* URL */
	const char *subject;
	const struct san_set *sans; /* NULL: none */
	X509_REQ *csr;		    /* the token holds for this one alone; NULL: for any */
	int64_t now_s;
};
/** A fresh token, appended (wiping). It holds for five minutes, once. */
MUST_USE struct fault *step_token(const struct step_signer *s, const struct step_claims *c, struct buf *ret);
#endif
