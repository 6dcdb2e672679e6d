/* ca-client/vault.h - the PKI engine of HashiCorp Vault or OpenBao as an authority: leaves by `sign/ROLE`, anchors from
 * the mount's issuers, one of four logins whose credentials are files.
 * Not its duty: when to issue, for whom, what the core checks. Thread: control; options: any. */
#ifndef CA_CLIENT_VAULT_H
#define CA_CLIENT_VAULT_H
#include <stdbool.h>
#include <stdint.h>
#include "base/attr.h"
#include "ca-client/ca.h"

enum vault_auth {
	VAULT_AUTH_TOKEN = 1,	/* a token that somebody else keeps in a file */
	VAULT_AUTH_APPROLE,	/* role_id and secret_id */
	VAULT_AUTH_CERTIFICATE, /* TLS client certificate */
	VAULT_AUTH_JWT,		/* a signed token, such as a Kubernetes service account's */
};
/** "token", "approle", "certificate", "jwt" */
const char *vault_auth_name(enum vault_auth auth);

/* Files: an absolute path, or a name alone, which is a systemd credential. */
struct vault_login_options {
	enum vault_auth type;
	char *mount;	  /* of the auth method; "auth/" goes before it. NULL for a token */
	char *role;	  /* JWT: the role, CERTIFICATE: the name to log in as; NULL: the server picks */
	char *token_file; /* TOKEN, JWT */
	char *role_id_file, *secret_id_file;
	char *wrapping_token_file; /* instead of secret_id_file: it opens the secret id, once */
	char *certificate_file, *key_file;
};
struct vault_options {
	char *address;	   /* "https://vault.example:8200" */
	char *unix_socket; /* of an agent or proxy; or NULL */
	char *namespace;   /* or NULL */
	char *mount, *role;
	char *ca_file;	 /* roots of the server's own certificate; NULL: the system's */
	char *root_file; /* anchors that the mount does not have; or NULL */
	int64_t poll_ms; /* how often the mount's issuers are looked at */
	struct vault_login_options login;
};
bool vault_options_equal(const struct vault_options *a, const struct vault_options *b);
void vault_login_options_done(
	struct vault_login_options *o); /* what it holds, not the struct itself; leaves it empty */
void vault_options_done(struct vault_options *o);
#define VAULT_POLL_MIN_MS INT64_C(1000)
#define VAULT_POLL_MAX_MS (INT64_C(24) * 3600 * 1000)

/** Slash-separated segments of letters, digits, "_", "-", "." and none of them "." or "..": a mount, role or namespace,
 * which become part of a URL or header. */
bool vault_is_path(const char *text);

/** Validates; reads no file and needs no network, that is ca_start(). The caller owns *ret: ca_close(). INVALID: an
 * address that http_check_url() refuses, a mount, role or namespace that is none. */
MUST_USE struct fault *vault_new(const struct vault_options *o, const struct ca_env *env, struct ca **ret);
#endif
