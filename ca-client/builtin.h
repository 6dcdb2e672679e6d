/* ca-client/builtin.h - the embedded authority: a root (10 years) and an issuing CA (1 year, renewed at half of it with
 * overlap) made at first start and kept sealed, or a CA certificate and key that the operator gives.
 * Not its duty: when to issue, for whom, what the core checks. */
#ifndef CA_CLIENT_BUILTIN_H
#define CA_CLIENT_BUILTIN_H
#include <stdbool.h>
#include <stdint.h>
#include "base/attr.h"
#include "base/credential.h"
#include "ca-client/ca.h"

struct builtin_options {
	enum key_type ca_key;	 /* of root and issuing CA; default KEY_ECDSA_P256 */
	char *common_name;	 /* of the root; default "leafcast <authority>" */
	char *certificate_file;	 /* both or none: the operator's own CA, PEM, chain allowed */
	char *key_file;		 /* PEM, may be encrypted */
	char *key_password_file; /* or NULL */
};
bool builtin_options_equal(const struct builtin_options *a, const struct builtin_options *b);
void builtin_options_done(struct builtin_options *o); /* what it holds, not the struct itself */
/** Shortest and longest leaf, in ms. */
#define BUILTIN_LIFETIME_MIN_MS INT64_C(10000)
#define BUILTIN_LIFETIME_MAX_MS (INT64_C(825) * 24 * 3600 * 1000)

/** notBefore of a leaf lies so far back: peers' clocks differ. Never more than a tenth of its life. */
int64_t builtin_backdate_ms(int64_t lifetime_ms);
/** Validates and reads the files; creates nothing yet (that is ca_start()). The caller owns *ret: ca_close().
 *  Facts about the authority (created or loaded, root fingerprint) are logged by start. */
MUST_USE struct fault *builtin_new(const struct builtin_options *o, const struct ca_env *env, struct ca **ret);
#endif
