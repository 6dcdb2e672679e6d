/* base/pem.h - certificates and private keys as PEM text (RFC 7468). OpenSSL's own readers ask the terminal for a
 * password when a block is encrypted; these never do. Blocks of other kinds, and text between blocks, are skipped; a
 * broken block is refused. Thread: any; with a password see pkcs8.h. */
#ifndef BASE_PEM_H
#define BASE_PEM_H
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stddef.h>
#include "base/attr.h"
struct buf;
struct fault;
struct secret;

/** Append every certificate, in order, at most max; *ret owns them (also what was appended before a fault). INVALID: a
 *  block that cannot be read (by number), no certificate, more than max. */
MUST_USE struct fault *pem_read_certs(const void *pem, size_t len, int max, STACK_OF(X509) * ret);
/** Every private key, in order, into ret[0..max); the caller owns them. INVALID as in pkcs8.h; none; more than max. */
MUST_USE struct fault *pem_read_keys(
	const void *pem, size_t len, const char *password, EVP_PKEY **ret, size_t max, size_t *ret_count);
/** Append one CERTIFICATE block, with a final newline. */
void pem_add_cert(X509 *cert, struct buf *ret);
/** One PRIVATE KEY block (PKCS#8, not encrypted), with a final newline, as a secret that the caller owns. */
MUST_USE struct fault *pem_write_key(EVP_PKEY *key, struct secret **ret);
#endif
