/* base/cert_info.h - what one certificate says, as values for people and for planners. Thread: any. */
#ifndef BASE_CERT_INFO_H
#define BASE_CERT_INFO_H
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/attr.h"
#include "base/san.h"
struct fault;

/** Values only; cert_info_free() releases. */
struct cert_info {
	char *subject; /* RFC 2253, escaped: ASCII without control characters */
	char *issuer;
	char *serial;	       /* lower-case hex, no colons */
	char *sha256;	       /* of the DER, lower-case hex */
	char *key_id;	       /* subjectKeyIdentifier, lower-case hex; "" none */
	char *issuer_key_id;   /* authorityKeyIdentifier, likewise */
	char *key;	       /* "ecdsa-p256", "rsa-2048", "ed25519", ... */
	int64_t not_before_ms; /* wall */
	int64_t not_after_ms;
	bool is_ca;	     /* may sign others: basicConstraints CA:TRUE, and a keyUsage that does not forbid it */
	struct san_set sans; /* names that we could not ask for ourselves (other types, odd values) are left out */
};
/** INVALID: a validity that cannot be read. */
MUST_USE struct fault *cert_info_read(X509 *cert, struct cert_info *ret);
void cert_info_copy(const struct cert_info *from, struct cert_info *ret);
void cert_info_free(struct cert_info *i);
#endif
