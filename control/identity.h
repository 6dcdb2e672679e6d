/* control/identity.h - who a caller is, proven: a unix peer or the SANs of a verified client certificate. node.id is a
 * claim and never part of it. Immutable, shared. Thread: any. */
#ifndef CONTROL_IDENTITY_H
#define CONTROL_IDENTITY_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/attr.h"
#include "base/san.h"
struct anchors;
struct evidence;
struct fault;
struct identity;

enum identity_kind { IDENTITY_UNIX = 1, IDENTITY_TLS };

struct identity *identity_new_unix(uid_t uid, gid_t gid, pid_t pid);
/** authority: under whose anchors the certificate verified. sans are copied. */
struct identity *identity_new_tls(const struct san_set *sans, const char *authority, int64_t not_after_ms);

/** The authorities whose clients may connect, with their anchors now. */
struct client_trust {
	const char *authority;
	struct anchors *anchors;
};
/** Judge evidence at a wall time. DENIED: the certificate expired, or leads to none of the anchors, or has no SAN.
 * trust is read for TLS alone. The caller owns *ret. */
MUST_USE struct fault *identity_from_evidence(const struct evidence *e, const struct client_trust *trust,
	size_t trust_count, int64_t now_ms, struct identity **ret);
struct identity *identity_ref(struct identity *i);
void identity_unref(struct identity *i); /* NULL is fine */
void identity_unrefp(struct identity **i);

enum identity_kind identity_kind(const struct identity *i);
uid_t identity_uid(const struct identity *i); /* IDENTITY_UNIX alone */
gid_t identity_gid(const struct identity *i);
pid_t identity_pid(const struct identity *i);
const struct san_set *identity_sans(const struct identity *i); /* empty for unix */
const char *identity_authority(const struct identity *i);      /* NULL for unix */
/** When a TLS identity ends (its certificate's notAfter), wall ms; INT64_MAX for unix. */
int64_t identity_not_after_ms(const struct identity *i);
/** Equal identities (pid and not_after apart) have equal bytes. Borrowed. */
const char *identity_key(const struct identity *i);
/** "uid 1000" or "spiffe://td/x (mesh)": for people; not escaped. Borrowed. */
const char *identity_text(const struct identity *i);
/** The `who` that would match it: "{uid: 1000}" or "{uri: "spiffe://td/x", ca: mesh}". Borrowed. */
const char *identity_who(const struct identity *i);
/** A proven attribute for templates: "uid", "gid"; "uri", "dns" where there is exactly one of that type;
 * "spiffe.trust_domain", "spiffe.path" of the only SPIFFE URI. Appends it to ret; false when this identity has none. */
struct buf;
bool identity_attribute(const struct identity *i, const char *name, struct buf *ret);
#endif
