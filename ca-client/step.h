/* ca-client/step.h - smallstep's step-ca as an authority: leaves by one-time tokens of a JWK or X5C provisioner,
 * renewed by rekey under the leaf in use, roots polled. Not its duty: when to issue, for whom, what the core checks.
 * Thread: control; options: any. */
#ifndef CA_CLIENT_STEP_H
#define CA_CLIENT_STEP_H
#include <stdbool.h>
#include <stdint.h>
#include "base/attr.h"
#include "ca-client/ca.h"

/* Files: an absolute path, or a name alone, which is a systemd credential. */
struct step_options {
	char *address;	   /* "https://ca.example:9000" */
	char *root_file;   /* roots of the server (PEM), which are anchors too; or NULL */
	char *root_sha256; /* else the fingerprint of one of its roots: 64 hex digits */
	char *provisioner; /* its name */
	char *key_file; /* JWK: its private key (a JWK or PEM, plain or encrypted); X5C: the key of certificate_file */
	char *key_password_file; /* of an encrypted key_file; or NULL */
	char *key_id;		 /* JWK: its kid; NULL: the JWK's own, else the key's thumbprint */
	char *certificate_file;	 /* X5C: the chain that signs tokens; NULL: a JWK provisioner */
	int64_t poll_ms;	 /* how often its roots and our files are looked at */
};
bool step_options_equal(const struct step_options *a, const struct step_options *b);
void step_options_done(struct step_options *o); /* what it holds, not the struct itself */
#define STEP_POLL_MIN_MS INT64_C(1000)
#define STEP_POLL_MAX_MS (INT64_C(24) * 3600 * 1000)

/** Validates; reads no file and needs no network, that is ca_start(). The caller owns *ret: ca_close(). */
MUST_USE struct fault *step_new(const struct step_options *o, const struct ca_env *env, struct ca **ret);
#endif
