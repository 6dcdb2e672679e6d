/* daemon/config.c - the top level of the config, from bytes to a checked struct. */
#include "daemon/config.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/fault.h"
#include "base/io/file.h"
#include "base/io/paths.h"
#include "base/io/unix_socket.h"
#include "base/mem.h"
#include "control/control.h"
#include "control/definitions.h"
#include "daemon/config_errors.h"
#include "daemon/config_parts.h"

enum { PATH_BYTES_MAX = 4095 };

static const struct field_choice levels[] = {
	{"error", LOG_ERROR}, {"warn", LOG_WARN}, {"info", LOG_INFO}, {"debug", LOG_DEBUG}, {NULL, 0}};
static const struct field_choice formats[] = {
	{"auto", LOG_FORMAT_AUTO}, {"json", LOG_FORMAT_JSON}, {"text", LOG_FORMAT_TEXT}, {NULL, 0}};

static const struct field log_fields[] = {
	{.key = "level",
		.type = FIELD_CHOICE,
		FIELD_AT(struct config, log_level),
		.choices = levels,
		.initial = "info",
		.help = "what is logged"},
	{.key = "format",
		.type = FIELD_CHOICE,
		FIELD_AT(struct config, log_format),
		.choices = formats,
		.initial = "auto",
		.help = "how; auto is text on a terminal, else JSON"},
};
static const struct field_set log_set = {"log", log_fields, ARRAY_LEN(log_fields)};

static const struct field drain_fields[] = {
	{.key = "grace",
		.type = FIELD_DURATION,
		FIELD_AT(struct config, drain_grace_ms),
		.max = 3600000,
		.initial = "10s",
		.help = "at the end, streams are ended spread over this time"},
};
static const struct field_set drain_set = {"drain", drain_fields, ARRAY_LEN(drain_fields)};

static const struct field repush_fields[] = {
	{.key = "interval",
		.type = FIELD_DURATION,
		FIELD_AT(struct config, repush_ms),
		.max = INT64_C(24) * 3600 * 1000,
		.initial = "0s",
		.restart = true,
		.help = "delta ADS streams are sent each of their secrets anew about so often, at random times: a "
			"second "
			"user of a secret in one Envoy waits for that (envoyproxy/envoy#47309); 0s is never"},
};
static const struct field_set repush_set = {"repush", repush_fields, ARRAY_LEN(repush_fields)};

static const struct field seal_fields[] = {
	{.key = "file",
		.type = FIELD_PATH,
		FIELD_AT(struct config, seal_file),
		.max = PATH_BYTES_MAX,
		.restart = true,
		.otherwise = "seal.key in the state folder",
		.help = "the file of the key that stored keys are encrypted with"},
};
static const struct field_set seal_set = {"state.seal", seal_fields, ARRAY_LEN(seal_fields)};

static const struct field retention_fields[] = {
	{.key = "versions",
		.type = FIELD_NUMBER,
		FIELD_AT(struct config, past_versions),
		.min = 1,
		.max = CONTROL_PAST_MAX,
		.initial = "4",
		.restart = true,
		.help = "earlier versions that are kept of each secret, for `leafcast rollback`"},
	{.key = "expired",
		.type = FIELD_DURATION,
		FIELD_AT(struct config, past_expired_ms),
		.max = INT64_C(3650) * 24 * 3600 * 1000,
		.initial = "0s",
		.restart = true,
		.help = "how long an earlier version is kept after its end; it goes when the next version comes"},
};
static const struct field_set retention_set = {"state.retention", retention_fields, ARRAY_LEN(retention_fields)};

static const struct field state_fields[] = {
	{.key = "path",
		.type = FIELD_PATH,
		FIELD_AT(struct config, state_path),
		.max = PATH_BYTES_MAX,
		.restart = true,
		.otherwise = "`$STATE_DIRECTORY`, `/var/lib/leafcast`, or the XDG state folder",
		.help = "the folder of everything that outlives a restart"},
	{.key = "seal", .type = FIELD_GROUP, .group = &seal_set, .help = "the encryption of stored keys"},
	{.key = "retention", .type = FIELD_GROUP, .group = &retention_set, .help = "what is kept of earlier versions"},
};
static const struct field_set state_set = {"state", state_fields, ARRAY_LEN(state_fields)};

static const struct field admin_fields[] = {
	{.key = "path",
		.type = FIELD_PATH,
		FIELD_AT(struct config, admin_path),
		.max = UNIX_SOCKET_PATH_MAX,
		.restart = true,
		.otherwise = "`admin.sock` in `$RUNTIME_DIRECTORY`, `/run/leafcast` or `$XDG_RUNTIME_DIR/leafcast`",
		.help = "the socket of the operator's commands"},
};
static const struct field_set admin_set = {"admin", admin_fields, ARRAY_LEN(admin_fields)};

static const struct field audit_fields[] = {
	{.key = "file",
		.type = FIELD_PATH,
		FIELD_AT(struct config, audit_file),
		.max = PATH_BYTES_MAX,
		.otherwise = "none",
		.help = "a copy of the audit trail, a JSON object a line, 0600; it may be renamed away at any time"},
};
static const struct field_set audit_set = {"audit", audit_fields, ARRAY_LEN(audit_fields)};

static const struct field trust_fields[] = {
	{.key = "soak",
		.type = FIELD_DURATION,
		FIELD_AT(struct config, trust_soak_ms),
		.min = 1000,
		.max = INT64_C(90) * 24 * 3600 * 1000,
		.otherwise = "one leaf life",
		.help = "how long proxies that went away are waited for before leaves under a new root are served; "
			"connected ones are always waited for"},
};
static const struct field_set trust_set = {"trust", trust_fields, ARRAY_LEN(trust_fields)};

/* In this order they are read: what others refer to comes first. */
static const struct field root_fields[] = {
	{.key = "workers",
		.type = FIELD_NUMBER,
		FIELD_AT(struct config, workers),
		.min = 1,
		.max = 64,
		.initial = "1",
		.restart = true,
		.help = "threads that serve; one is enough for thousands of proxies"},
	{.key = "log", .type = FIELD_GROUP, .group = &log_set, .help = "the log, on standard error"},
	{.key = "drain", .type = FIELD_GROUP, .group = &drain_set, .help = "an orderly end"},
	{.key = "repush", .type = FIELD_GROUP, .group = &repush_set, .help = "what is sent though nothing changed"},
	{.key = "state", .type = FIELD_GROUP, .group = &state_set, .help = "what outlives a restart"},
	{.key = "admin", .type = FIELD_GROUP, .group = &admin_set, .help = "the operator's commands"},
	{.key = "audit", .type = FIELD_GROUP, .group = &audit_set, .help = "the record of what was done, by whom"},
	{.key = "limits", .type = FIELD_GROUP, .items = config_limit_fields, .help = "what clients may use"},
	{.key = "trust", .type = FIELD_GROUP, .group = &trust_set, .help = "changes of roots"},
	{.key = "authorities",
		.type = FIELD_OTHER,
		.read = config_read_authorities,
		.items = config_authority_fields,
		.takes = "a mapping from names to authorities",
		.otherwise = "`builtin: {type: builtin}`",
		.help = "who issues certificates"},
	{.key = "profiles",
		.type = FIELD_OTHER,
		.read = config_read_profiles,
		.items = config_profile_fields,
		.takes = "a mapping from names to profiles",
		.otherwise = "none",
		.help = "how leaves are made"},
	{.key = "secrets",
		.type = FIELD_OTHER,
		.read = config_read_secrets,
		.items = config_secret_fields,
		.takes = "a mapping from names to secrets",
		.otherwise = "none",
		.help = "what proxies may ask for by name"},
	{.key = "listen",
		.type = FIELD_OTHER,
		.read = config_read_listen,
		.items = config_listener_fields,
		.takes = "a list of listeners",
		.required = true,
		.restart = true,
		.help = "the list of places where proxies connect"},
	{.key = "policy",
		.type = FIELD_OTHER,
		.read = config_read_policy,
		.items = config_rule_fields,
		.takes = "a list of rules",
		.otherwise = "none: nobody may have anything",
		.help = "who may have what; `deny` wins over every `may`"},
	{.key = "hooks",
		.type = FIELD_OTHER,
		.read = config_read_hooks,
		.items = config_hook_fields,
		.takes = "a mapping from names to hooks",
		.otherwise = "none",
		.help = "commands that are run when something happened, at most 16"},
};
static const struct field_set root_set = {"", root_fields, ARRAY_LEN(root_fields)};

const struct field_set *config_root_fields(void)
{
	return &root_set;
}

static void listen_done(struct listen_config *l)
{
	free(l->path);
	free(l->address);
	free(l->certificate);
	for (size_t i = 0; i < l->client_ca_count; i++)
		free(l->client_ca[i]);
	free(l->client_ca);
}

void config_free(struct config *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < c->listen_count; i++)
		listen_done(&c->listen[i]);
	free(c->listen);
	free(c->source_path);
	free(c->state_path);
	free(c->seal_file);
	free(c->admin_path);
	free(c->audit_file);
	definitions_free(c->definitions);
	free(c);
}

void config_freep(struct config **c)
{
	config_free(*c);
	*c = NULL;
}

struct definitions *config_take_definitions(struct config *c)
{
	return TAKE(c->definitions);
}

/* Paths that were not given; a place that cannot be found is an error of the key that could name one. */
static void find_paths(struct config_reader *r, const yaml_node_t *root)
{
	struct config *c = r->config;
	struct fault *f = c->state_path ? NULL : paths_state(&c->state_path);
	if (f)
		config_yaml_error(&r->yaml, root, "\"state.path\" is missing: %s", fault_text(f));
	fault_free(f);
	f = c->admin_path ? NULL : paths_runtime_file("admin.sock", &c->admin_path);
	if (f)
		config_yaml_error(&r->yaml, root, "\"admin.path\" is missing: %s", fault_text(f));
	fault_free(f);
}

static void check_admin_path(struct config_reader *r, const yaml_node_t *root)
{
	const struct config *c = r->config;
	const yaml_node_t *at = config_yaml_get(&r->yaml, root, "admin", NULL);
	for (size_t i = 0; c->admin_path && i < c->listen_count; i++)
		if (c->listen[i].path && strcmp(c->listen[i].path, c->admin_path) == 0)
			config_yaml_error(&r->yaml, at ? at : root,
				"admin.path is \"%s\", and so is listen[%zu].unix.path; change one", c->admin_path, i);
}

static void read_root(struct config_reader *r)
{
	yaml_node_t *root = config_yaml_root(&r->yaml);
	bool has_authorities = root->type == YAML_MAPPING_NODE && config_yaml_get(&r->yaml, root, "authorities", NULL);
	if (!has_authorities)
		config_add_default_authority(r);
	if (fields_read(r, &root_set, root, r->config)) {
		r->config->definitions->trust_soak_ms = r->config->trust_soak_ms;
		r->config->definitions->audit_file = TAKE(r->config->audit_file);
		find_paths(r, root);
		check_admin_path(r, root);
	}
}

static void skip_byte_order_mark(const char **text, size_t *len)
{
	static const char mark[] = "\xef\xbb\xbf";
	if (*len >= 3 && strncmp(*text, mark, 3) == 0) {
		*text += 3;
		*len -= 3;
	}
}

/* Errors end in e, or the result in *ret. */
static void read_text(const char *path, const char *text, size_t len, struct config_errors *e, struct config **ret)
{
	AUTO(config_freep) struct config *c = mem_new(struct config);
	struct config_reader r = {.config = c};
	c->source_path = mem_strdup(path);
	c->definitions = mem_new(struct definitions);
	skip_byte_order_mark(&text, &len);
	if (config_yaml_load(&r.yaml, text, len, e))
		read_root(&r);
	config_yaml_done(&r.yaml);
	buf_free(&r.path);
	if (config_errors_count(e) == 0)
		*ret = TAKE(c);
}

/* The errors go to whoever wants them; the fault says that there are some. */
static struct fault *hand_over(struct config_errors *e, struct config_errors **ret_errors)
{
	struct fault *f = config_errors_fault(e);
	if (f && ret_errors)
		*ret_errors = e;
	else
		config_errors_free(e);
	return f;
}

struct fault *config_load_text(
	const char *path, const void *text, size_t len, struct config **ret, struct config_errors **ret_errors)
{
	struct config_errors *e = config_errors_new(path);
	if (len > CONFIG_FILE_MAX)
		config_errors_add(e, 0, 0, "%zu bytes are too long; a config has at most %zu", len, CONFIG_FILE_MAX);
	else
		read_text(path, text, len, e, ret);
	return hand_over(e, ret_errors);
}

struct fault *config_load_file(const char *path, struct config **ret, struct config_errors **ret_errors)
{
	struct buf text = BUF_INIT;
	struct fault *f = file_read(path, CONFIG_FILE_MAX, &text);
	if (!f) {
		f = config_load_text(path, buf_text(&text), text.len, ret, ret_errors);
	} else {
		struct config_errors *e = config_errors_new(path);
		config_errors_add(e, 0, 0, "%s", fault_text(f));
		if (ret_errors)
			*ret_errors = e;
		else
			config_errors_free(e);
	}
	buf_free(&text);
	return f;
}
