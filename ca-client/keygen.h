/* ca-client/keygen.h - a new key and its certificate request, made in a job. Thread: control. */
#ifndef CA_CLIENT_KEYGEN_H
#define CA_CLIENT_KEYGEN_H
#include <openssl/evp.h>
#include <openssl/x509.h>
#include "base/attr.h"
#include "base/credential.h"
#include "base/san.h"
struct fault;
struct jobs;

/** On success key and csr are owned by the callee; on a fault both are NULL and f is owned. Runs once, on the loop. */
typedef void keygen_fn(void *arg, struct fault *f, EVP_PKEY *key, X509_REQ *csr);
/** sans is copied. The CSR has an empty subject, or CN = common_name when that is not NULL, and exactly these SANs. */
void keygen_run(struct jobs *jobs, enum key_type type, const struct san_set *sans, const char *common_name,
	keygen_fn *done, void *arg);
/** The blocking part, for tests and for authorities' own keys. The caller owns *ret. */
MUST_USE struct fault *keygen_key(enum key_type type, EVP_PKEY **ret);
#endif
