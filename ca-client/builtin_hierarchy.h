/* ca-client/builtin_hierarchy.h - the embedded authority's CA: a root and an issuing CA of its own, or one that the
 * operator gave. Immutable, shared by reference: signing jobs keep theirs while a renewed one takes over. The root's
 * private key is not in it: it is in memory only while an issuing CA is made, and stands in the stored bytes.
 * Blocking, pure: in jobs. Not its duty: when (builtin.c). */
#ifndef CA_CLIENT_BUILTIN_HIERARCHY_H
#define CA_CLIENT_BUILTIN_HIERARCHY_H
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/attr.h"
#include "base/cert_info.h"
#include "base/ref.h"
#include "ca-client/builtin.h"
struct anchors;
struct fault;
struct secret;

/** The name under which its bytes are kept. */
#define HIERARCHY_KEY "hierarchy"
/** Longest name of a root, in characters: X.509 has 64 for a common name (ub-common-name), " issuing" is added. */
enum { HIERARCHY_NAME_MAX = 56 };

struct hierarchy {
	struct ref ref;
	bool given;
	X509 *issuer; /* signs leaves */
	EVP_PKEY *issuer_key;
	STACK_OF(X509) * above;	 /* what issued it, in order */
	struct anchors *anchors; /* the last of above, or the issuer itself */
	struct cert_info issuer_info;
	int64_t not_before_ms, not_after_ms; /* wall; while all of them are valid */
};

/** The root's common name, cut to HIERARCHY_NAME_MAX: what the options say, or "leafcast <authority>". The caller owns
 * it. */
char *hierarchy_name(const char *common_name, const char *authority);
/** A new root and issuing CA, and the bytes to keep: all of it as PEM, keys included. now_ms: wall. The caller owns
 * both. */
MUST_USE struct fault *hierarchy_create(
	enum key_type type, const char *name, int64_t now_ms, struct hierarchy **ret, struct secret **ret_bytes);
/** From kept bytes. CORRUPT: they do not fit together. */
MUST_USE struct fault *hierarchy_load(const struct secret *bytes, struct hierarchy **ret);
/** A new issuing CA, with a new key, under the root in these bytes. UNAVAILABLE: the root has ended. */
MUST_USE struct fault *hierarchy_renew(enum key_type type, const struct secret *bytes, int64_t now_ms,
	struct hierarchy **ret, struct secret **ret_bytes);
/** The operator's CA: certificate (with its issuers, in order, if any) and key (builtin_given.c). INVALID says what is
 *  wrong with which file. */
MUST_USE struct fault *hierarchy_from_files(const struct builtin_options *o, struct hierarchy **ret);
/** Of an issuer with its key, and what stands above it (may be empty). Takes everything, also on a fault. */
MUST_USE struct fault *hierarchy_take(
	X509 *issuer, EVP_PKEY *issuer_key, STACK_OF(X509) * above, bool given, struct hierarchy **ret);
struct hierarchy *hierarchy_ref(struct hierarchy *h);
void hierarchy_unref(struct hierarchy *h); /* NULL is fine */
void hierarchy_unrefp(struct hierarchy **h);
/** When the issuing CA is to be renewed: at half of its life; wall ms; INT64_MAX for a given one, and for one that
 * ends with its root. */
int64_t hierarchy_renew_at_ms(const struct hierarchy *h);
bool hierarchy_is_slow(const struct hierarchy *h); /* signing takes long: RSA */
/** Did issuer sign of? By name, key identifier and signature. */
bool hierarchy_has_issued(X509 *issuer, X509 *of);
#endif
