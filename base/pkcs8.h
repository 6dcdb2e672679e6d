/* base/pkcs8.h - private keys as DER: PKCS#8 (plain, or under a password), and the older SEC1 and PKCS#1 forms.
 * A file says itself how much work its password takes: that work is bounded here. Blocking CPU work of up to about a
 * second where a password is in play: in a job. Thread: any. */
#ifndef BASE_PKCS8_H
#define BASE_PKCS8_H
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stddef.h>
#include "base/attr.h"
struct fault;

/** Most rounds of key derivation (PBKDF2, PKCS#12) that all parts of one input may ask for together. */
#define PKCS8_ROUNDS_MAX 2000000L

/** Take what this encryption asks for from *rounds_left. INVALID when too little is left, or when its parameters make
 * no sense; an algorithm that is not known costs nothing here and fails later. */
MUST_USE struct fault *pkcs8_spend(const X509_ALGOR *encryption, long *rounds_left);
/** One private key. password: NULL or text. The caller owns *ret. INVALID: no private key; encrypted and no password;
 * the password does not open it; an encryption that is too old or too expensive. */
MUST_USE struct fault *pkcs8_read_key(const unsigned char *der, size_t len, const char *password, EVP_PKEY **ret);
/** As above, from what was decoded already; spends rounds. */
MUST_USE struct fault *pkcs8_open(const X509_SIG *sealed, const char *password, long *rounds_left, EVP_PKEY **ret);
/** Does the private part belong to the public one, and can Envoy load it (no RSA of three primes)? Signs and verifies
 * once, because a file may claim anything. */
MUST_USE struct fault *pkcs8_check_pair(EVP_PKEY *key);
#endif
