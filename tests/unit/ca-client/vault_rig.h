/* tests/unit/ca-client/vault_rig.h - the vault driver against a scripted server. */
#ifndef TESTS_UNIT_CA_CLIENT_VAULT_RIG_H
#define TESTS_UNIT_CA_CLIENT_VAULT_RIG_H
#include "ca-client/vault.h"
#define RIG_OPTIONS struct vault_options
#define RIG_NEW vault_new
#define RIG_DONE vault_options_done
#include "scripted_rig.h"

/* {"data":{"certificate":..,"issuing_ca":..,"ca_chain":[..]},"warnings":..}; the caller frees it. root: NULL: none. */
static inline char *rig_leaf_json(X509 *leaf, X509 *issuer, X509 *root, const char *warnings)
{
	struct buf b = BUF_INIT;
	buf_add_text(&b, "{\"data\":{\"certificate\":");
	rig_add_json_pem(&b, leaf);
	buf_add_text(&b, ",\"issuing_ca\":");
	rig_add_json_pem(&b, issuer);
	buf_add_text(&b, ",\"ca_chain\":[");
	rig_add_json_pem(&b, issuer);
	if (root) {
		buf_add_text(&b, ",");
		rig_add_json_pem(&b, root);
	}
	buf_printf(&b, "]},\"warnings\":%s}", warnings ? warnings : "null");
	return buf_take_text(&b);
}

/* An issuer of the mount: its id and what it shows. */
static inline void rig_issuer(struct rig *r, const char *what, X509 *issuer, X509 *root)
{
	char *json = rig_leaf_json(issuer, issuer, root, NULL);
	rig_on(r, what, ANY, 200, json);
	free(json);
}

static inline void rig_leaf(struct rig *r, X509 *leaf, X509 *issuer, X509 *root, const char *warnings)
{
	char *json = rig_leaf_json(leaf, issuer, root, warnings);
	rig_on(r, "POST /v1/pki/sign/mesh", ANY, 200, json);
	free(json);
}

#define LOGIN "POST /v1/auth/approle/login"
#define SIGN "POST /v1/pki/sign/mesh"
#define LIST "LIST /v1/pki/issuers"
#define RENEW "POST /v1/auth/token/renew-self"
#define ROLE "GET /v1/pki/roles/mesh"
#define ERRORS(text) "{\"errors\":[\"" text "\"]}"
#define TOKEN(name, seconds, renewable)                                                                                \
	"{\"auth\":{\"client_token\":\"" name "\",\"lease_duration\":" #seconds ",\"renewable\":" #renewable "}}"

static void rig_server(struct rig *r, struct http_server_options *o)
{
	(void)r;
	(void)o; /* plain http */
}

static void rig_defaults(struct rig *r)
{
	rig_on(r, LOGIN, ANY, 200, TOKEN("tok-first", 3600, true));
	rig_on(r, LIST, ANY, 200, "{\"data\":{\"keys\":[\"aaa\"]}}");
	rig_issuer(r, "GET /v1/pki/issuer/aaa/json", r->issuer, r->root);
	rig_on(r, ROLE, ANY, 403, ERRORS("permission denied"));
	rig_leaf(r, r->leaf, r->issuer, r->root, NULL);
}

static void rig_options(struct rig *r)
{
	rig_write(r, "role_id", "the-role-id\n");
	rig_write(r, "secret_id", "the-secret-id\n");
	r->o = (struct vault_options){.address = mem_strdup(http_server_url(r->server)),
		.mount = mem_strdup("pki"),
		.role = mem_strdup("mesh"),
		.poll_ms = MS_PER_HOUR,
		.login = {.type = VAULT_AUTH_APPROLE,
			.mount = mem_strdup("approle"),
			.role_id_file = rig_path(r, "role_id"),
			.secret_id_file = rig_path(r, "secret_id")}};
}

static void rig_forget(struct rig *r)
{
	if (!r->o.login.wrapping_token_file)
		assert_int_equal(r->saves, 0); /* nothing else of this authority is kept */
}
#endif
