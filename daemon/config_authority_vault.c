/* daemon/config_authority_vault.c - the keys of an authority of type `vault` (HashiCorp Vault, OpenBao). */
#include <string.h>
#include "base/fault.h"
#include "base/io/http.h"
#include "base/mem.h"
#include "control/definitions.h"
#include "daemon/config_authority.h"

static field_read read_auth, read_method, read_address, read_path;

#define PATH_TAKES "a path of letters, digits, \"_\", \"-\" and \".\" between slashes"
#define FILE_MAX 4095

#define METHOD_MOUNT(initial_)                                                                                         \
	{                                                                                                              \
		.key = "mount", .type = FIELD_TEXT, FIELD_AT(struct vault_login_options, mount), .max = 256,           \
		.initial = (initial_), .help = "where the auth method is mounted, without \"auth/\""                   \
	}

static const struct field token_fields[] = {
	{.key = "file",
		.type = FIELD_CREDENTIAL,
		FIELD_AT(struct vault_login_options, token_file),
		.max = FILE_MAX,
		.required = true,
		.help = "a file with the token, such as an agent's sink; what is there later is taken within 10 s"},
};
static const struct field_set token_set = {"authorities.NAME.auth.token", token_fields, ARRAY_LEN(token_fields)};

static const struct field approle_fields[] = {
	{.key = "role_id_file",
		.type = FIELD_CREDENTIAL,
		FIELD_AT(struct vault_login_options, role_id_file),
		.max = FILE_MAX,
		.required = true,
		.help = "a file with the role_id"},
	{.key = "secret_id_file",
		.type = FIELD_CREDENTIAL,
		FIELD_AT(struct vault_login_options, secret_id_file),
		.max = FILE_MAX,
		.help = "a file with the secret_id"},
	{.key = "wrapping_token_file",
		.type = FIELD_CREDENTIAL,
		FIELD_AT(struct vault_login_options, wrapping_token_file),
		.max = FILE_MAX,
		.help = "instead of secret_id_file: a file with the token of a wrapped secret_id, which is opened once "
			"and "
			"then kept sealed"},
	METHOD_MOUNT("approle"),
};
static const struct field_set approle_set = {
	"authorities.NAME.auth.approle", approle_fields, ARRAY_LEN(approle_fields)};

static const struct field certificate_fields[] = {
	{.key = "certificate_file",
		.type = FIELD_CREDENTIAL,
		FIELD_AT(struct vault_login_options, certificate_file),
		.max = FILE_MAX,
		.required = true,
		.help = "a file with the client certificate (PEM, with its chain)"},
	{.key = "key_file",
		.type = FIELD_CREDENTIAL,
		FIELD_AT(struct vault_login_options, key_file),
		.max = FILE_MAX,
		.required = true,
		.help = "a file with its private key (PEM, not encrypted)"},
	{.key = "name",
		.type = FIELD_TEXT,
		FIELD_AT(struct vault_login_options, role),
		.max = 256,
		.otherwise = "any that accepts it",
		.help = "the certificate role to log in as"},
	METHOD_MOUNT("cert"),
};
static const struct field_set certificate_set = {
	"authorities.NAME.auth.certificate", certificate_fields, ARRAY_LEN(certificate_fields)};

static const struct field jwt_fields[] = {
	{.key = "token_file",
		.type = FIELD_CREDENTIAL,
		FIELD_AT(struct vault_login_options, token_file),
		.max = FILE_MAX,
		.required = true,
		.help = "a file with the JWT, such as a Kubernetes service account's; it is read at each login"},
	{.key = "role",
		.type = FIELD_TEXT,
		FIELD_AT(struct vault_login_options, role),
		.max = 256,
		.otherwise = "the method's default",
		.help = "the role to log in as"},
	METHOD_MOUNT("jwt"),
};
static const struct field_set jwt_set = {"authorities.NAME.auth.jwt", jwt_fields, ARRAY_LEN(jwt_fields)};

static const struct field auth_fields[] = {
	{.key = "token",
		.type = FIELD_OTHER,
		.read = read_method,
		.group = &token_set,
		.tag = VAULT_AUTH_TOKEN,
		.takes = "a mapping with file",
		.help = "a token that another program keeps"},
	{.key = "approle",
		.type = FIELD_OTHER,
		.read = read_method,
		.group = &approle_set,
		.tag = VAULT_AUTH_APPROLE,
		.takes = "a mapping with role_id_file, secret_id_file, mount",
		.help = "AppRole"},
	{.key = "certificate",
		.type = FIELD_OTHER,
		.read = read_method,
		.group = &certificate_set,
		.tag = VAULT_AUTH_CERTIFICATE,
		.takes = "a mapping with certificate_file, key_file, name, mount",
		.help = "TLS client certificate; needs an https address"},
	{.key = "jwt",
		.type = FIELD_OTHER,
		.read = read_method,
		.group = &jwt_set,
		.tag = VAULT_AUTH_JWT,
		.takes = "a mapping with token_file, role, mount",
		.help = "JWT or Kubernetes (mount: kubernetes)"},
};
static const struct field_set auth_set = {"authorities.NAME.auth", auth_fields, ARRAY_LEN(auth_fields)};

static const struct field vault[] = {
	{.key = "type",
		.type = FIELD_OTHER,
		.read = config_read_authority_type,
		.takes = "`vault`",
		.required = true,
		.help = "HashiCorp Vault or OpenBao: their PKI engine signs"},
	{.key = "address",
		.type = FIELD_OTHER,
		.read = read_address,
		FIELD_AT(struct authority_def, vault.address),
		.takes = "a URL such as \"https://vault.example:8200\"",
		.required = true,
		.help = "the server, over https; over http only a loopback address, or any with unix_socket"},
	{.key = "unix_socket",
		.type = FIELD_PATH,
		FIELD_AT(struct authority_def, vault.unix_socket),
		.max = 107,
		.help = "connect to this socket of an agent or proxy instead"},
	{.key = "ca_file",
		.type = FIELD_CREDENTIAL,
		FIELD_AT(struct authority_def, vault.ca_file),
		.max = FILE_MAX,
		.otherwise = "the system's roots",
		.help = "the roots (PEM) that the server's own certificate must lead to; read again when they change"},
	{.key = "namespace",
		.type = FIELD_OTHER,
		.read = read_path,
		FIELD_AT(struct authority_def, vault.namespace),
		.takes = PATH_TAKES,
		.help = "the namespace of the mount and of the login"},
	{.key = "mount",
		.type = FIELD_TEXT,
		FIELD_AT(struct authority_def, vault.mount),
		.max = 256,
		.initial = "pki",
		.help = "where the PKI engine is mounted"},
	{.key = "role",
		.type = FIELD_OTHER,
		.read = read_path,
		FIELD_AT(struct authority_def, vault.role),
		.takes = PATH_TAKES,
		.required = true,
		.help = "the role that signs; it must have require_cn=false and allow the profile's key type and "
			"names"},
	{.key = "root_file",
		.type = FIELD_CREDENTIAL,
		FIELD_AT(struct authority_def, vault.root_file),
		.max = FILE_MAX,
		.help = "anchors (PEM) beside those of the mount: needed when its root was never imported there"},
	{.key = "poll",
		.type = FIELD_DURATION,
		FIELD_AT(struct authority_def, vault.poll_ms),
		.min = VAULT_POLL_MIN_MS,
		.max = VAULT_POLL_MAX_MS,
		.initial = "5m",
		.help = "how often the mount is asked for new issuers"},
	{.key = "auth",
		.type = FIELD_OTHER,
		.read = read_auth,
		.group = &auth_set,
		.takes = "a mapping with one key: token, approle, certificate or jwt",
		.required = true,
		.help = "the login: a mapping with one key, token, approle, certificate or jwt"},
	CONFIG_AUTHORITY_COMMON,
};
const struct field_set CONFIG_VAULT_FIELDS = {"authorities.NAME", vault, ARRAY_LEN(vault)};

static void put_text(const struct field *f, void *target, const char *text)
{
	char *copy = mem_strdup(text);
	memcpy((unsigned char *)target + f->offset, &copy, sizeof copy);
}

static void read_path(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	const char *text = config_yaml_text(n);
	if (n->type == YAML_SCALAR_NODE && strlen(text) <= 256 && vault_is_path(text))
		put_text(f, target, text);
	else
		config_refuse(r, n, f->takes);
}

/* What it may be depends on unix_socket: config_check_vault(). */
static void read_address(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	const char *text = config_yaml_text(n);
	if (n->type == YAML_SCALAR_NODE && *text && strlen(text) <= 1024)
		put_text(f, target, text);
	else
		config_refuse(r, n, f->takes);
}

static void read_method(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	struct authority_def *a = target;
	struct vault_login_options *l = &a->vault.login;
	vault_login_options_done(l);
	l->type = (enum vault_auth)f->tag;
	(void)fields_read(r, f->group, n, l);
	if (l->type == VAULT_AUTH_APPROLE && l->role_id_file && !l->secret_id_file == !l->wrapping_token_file)
		config_yaml_error(
			&r->yaml, n, "%s needs one of secret_id_file and wrapping_token_file", config_path(r));
	if (l->mount && !vault_is_path(l->mount)) {
		yaml_node_t *mount = config_yaml_get(&r->yaml, n, "mount", NULL);
		size_t mark = config_enter(r, ".mount");
		config_refuse(r, mount ? mount : n, PATH_TAKES);
		config_leave(r, mark);
	}
}

static void read_auth(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	size_t keys =
		n->type == YAML_MAPPING_NODE ? (size_t)(n->data.mapping.pairs.top - n->data.mapping.pairs.start) : 0;
	if (n->type == YAML_MAPPING_NODE && keys != 1)
		config_yaml_error(&r->yaml, n, "%s has %zu keys; it takes one: token, approle, certificate or jwt",
			config_path(r), keys);
	else if (n->type != YAML_MAPPING_NODE)
		config_refuse(r, n, f->takes);
	else
		(void)fields_read(r, &auth_set, n, target);
}

void config_check_vault(struct config_reader *r, yaml_node_t *n, const struct authority_def *a)
{
	const struct vault_options *o = &a->vault;
	yaml_node_t *at = n, *value;
	if (o->mount && !vault_is_path(o->mount) && (value = config_yaml_get(&r->yaml, n, "mount", &at)) != NULL) {
		size_t mark = config_enter(r, ".mount");
		config_refuse(r, value, PATH_TAKES);
		config_leave(r, mark);
	}
	if (o->role && strchr(o->role, '/')) {
		value = config_yaml_get(&r->yaml, n, "role", &at);
		config_yaml_error(&r->yaml, value ? value : n,
			"%s.role has a slash; it is the name of one role, and the path of the engine is `mount`",
			config_path(r));
	}
	if (!o->address)
		return;
	value = config_yaml_get(&r->yaml, n, "address", &at);
	AUTO(fault_freep) struct fault *f = http_check_url(o->address, o->unix_socket);
	if (f)
		config_yaml_error(&r->yaml, value ? value : n, "%s.address: %s", config_path(r), fault_text(f));
	else if (o->login.type == VAULT_AUTH_CERTIFICATE && strncasecmp(o->address, "https:", 6) != 0)
		config_yaml_error(&r->yaml, value ? value : n,
			"%s.address is plain http, and auth.certificate is shown in a TLS handshake; give an https "
			"address",
			config_path(r));
}
