/* base/pkcs12.h - what a PKCS#12 file (.p12, .pfx) holds. OpenSSL's own PKCS12_parse() does as much work as the file
 * asks for and drops all keys but one silently; this reader bounds and says. Blocking CPU work: in a job. Thread: any.
 */
#ifndef BASE_PKCS12_H
#define BASE_PKCS12_H
#include <openssl/evp.h>
#include <openssl/pkcs12.h>
#include <openssl/x509.h>
#include <stddef.h>
#include "base/attr.h"
struct fault;

/** Is it one by its form? The caller owns the result: PKCS12_free(). NULL: it is not. */
PKCS12 *pkcs12_decode(const void *bytes, size_t len);
/** Append its certificates (at most max) and its only private key; *ret_certs and *ret_key own them (certificates also
 *  after a fault). password: text, or NULL for none. INVALID says what is wrong. */
MUST_USE struct fault *pkcs12_open(
	const PKCS12 *p12, const char *password, int max, STACK_OF(X509) * ret_certs, EVP_PKEY **ret_key);
#endif
