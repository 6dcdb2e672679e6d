/* cache/version.h - one immutable content of an entry: a leaf chain with its key, or a bundle, with a body per form
 * encoded once, and what its certificates say as values. The PEM is part of the body; parsed keys and certificates are
 * not kept. Named by a hash of its content: the same after a restart and on a replica. Shared between threads by
 * reference. The last reference may fall on any thread (gRPC drops slices where it likes): the version is then handed
 * to the reaper, which wipes it on the control loop. */
#ifndef CACHE_VERSION_H
#define CACHE_VERSION_H
#include <stddef.h>
#include <stdint.h>
#include "base/attr.h"
struct anchors;
struct cert_info;
struct credential;
struct description;
struct entry_key;
struct fault;
struct mail;
struct secret;
struct version;

enum secret_kind { SECRET_TLS_CERTIFICATE = 1, SECRET_VALIDATION_CONTEXT = 2 };
const char *secret_kind_name(enum secret_kind k); /* "tls_certificate", "validation_context" */

/** Forms of a body for the wire. The first is made with the version; others when first asked for. */
enum body_form { BODY_PLAIN, BODY_FORMS };

struct version_origin {
	const char *authority;	/* NULL: brought by an operator */
	const char *profile;	/* NULL likewise, and for bundles */
	int64_t received_at_ms; /* wall: when we got it */
};

/** The content is copied. Passes base/gate.h first.
 *  Faults: INVALID (the gate), EXHAUSTED (secret memory). The caller owns *ret. */
MUST_USE struct fault *version_new_certificate(
	const struct entry_key *entry, struct credential *c, const struct version_origin *o, struct version **ret);
MUST_USE struct fault *version_new_bundle(
	const struct entry_key *entry, struct anchors *a, const struct version_origin *o, struct version **ret);
/** One that was made so before and comes back from where nobody could change it (the store's seal vouches for every
 * field): nothing is parsed, nothing judged again. */
struct version_record {
	const char *id;
	enum secret_kind kind;
	struct version_origin origin;
	struct description *description; /* moved: left empty */
	const void *public;		 /* PEM: the chain, or the bundle */
	size_t public_len;
	const struct secret *key; /* PKCS#8 PEM; of a certificate alone */
};
/** All else is copied. INVALID (an id of another length), EXHAUSTED. The caller owns *ret. */
MUST_USE struct fault *version_from_record(
	const struct entry_key *entry, const struct version_record *r, struct version **ret);
struct version *version_ref(struct version *v);
void version_unref(struct version *v); /* any thread; NULL is fine */
void version_unrefp(struct version **v);
/** Where versions go whose last reference fell (cache/reaper.h); NULL: they are wiped on the spot. Set before threads
 * start, and set to NULL after they ended. reaper(arg, v) must in the end call version_wipe(v). */
void version_set_reaper(void (*reaper)(void *arg, struct version *v), void *arg);
/** The way there, without an allocation: part of v, which its free() wipes. For a version without references. */
struct mail *version_mail(struct version *v);
void version_wipe(struct version *v);

/** 32 lower-case hex digits: SHA-256 over kind, name and canonical DER (chain and the key's public part, or the sorted
 * anchors), cut. */
const char *version_id(const struct version *v);
enum secret_kind version_kind(const struct version *v);
const struct entry_key *version_entry(const struct version *v);
const char *version_authority(const struct version *v); /* or NULL */
const char *version_profile(const struct version *v);	/* or NULL */
int64_t version_received_at_ms(const struct version *v);
/** Of the leaf; of a bundle: the earliest notAfter and the latest notBefore of its anchors. Wall, ms. */
int64_t version_not_before_ms(const struct version *v);
int64_t version_not_after_ms(const struct version *v);
/** design.md, life: not_after - max(not_before, received_at), in ms. */
int64_t version_life_ms(const struct version *v);
/** What the certificates say: the chain, leaf first, or every anchor. Borrowed while a reference is held. */
const struct description *version_description(const struct version *v);
const struct cert_info *version_leaf(const struct version *v); /* borrowed; NULL for a bundle */
/** PEM: leaf first, or the bundle. Borrowed likewise. */
const unsigned char *version_public_pem(const struct version *v, size_t *ret_len);
/** PKCS#8 PEM, in the memory of a secret; NULL for a bundle. Borrowed likewise. */
const unsigned char *version_key_pem(const struct version *v, size_t *ret_len);
/** Parsed anew at each call: for the few whose keys we use ourselves. INVALID: it is a bundle; EXHAUSTED. The caller
 * owns *ret. */
MUST_USE struct fault *version_read_credential(const struct version *v, struct credential **ret);
/** The bytes of the Secret message's oneof field, tag and length included: what follows Secret.name on the wire.
 * Borrowed while a reference is held. */
const unsigned char *version_body(struct version *v, enum body_form form, size_t *ret_len);
#endif
