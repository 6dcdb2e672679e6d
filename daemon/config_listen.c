/* daemon/config_listen.c - `listen`: where proxies and scrapers connect. */
#include <arpa/inet.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/io/unix_socket.h"
#include "base/mem.h"
#include "control/definitions.h"
#include "control/template.h"
#include "daemon/config.h"
#include "daemon/config_parts.h"

/* More than a host needs; daemon/listeners.c has room for them and the admin socket. */
enum { LISTEN_MAX = 31, TCP_MAX = 16, NAME_MAX_BYTES = 255 };

static field_read read_owner, read_group, read_address, read_certificate, read_client_ca, read_unix, read_tcp,
	read_telemetry;

static const struct field unix_fields[] = {
	{.key = "path",
		.type = FIELD_PATH,
		FIELD_AT(struct listen_config, path),
		.max = UNIX_SOCKET_PATH_MAX,
		.required = true,
		.help = "the path of the socket"},
	{.key = "mode",
		.type = FIELD_MODE,
		FIELD_AT(struct listen_config, mode),
		.initial = "0660",
		.help = "its mode, in quotes; who may write to it may connect"},
	{.key = "owner",
		.type = FIELD_OTHER,
		.read = read_owner,
		.takes = "the name or id of a user",
		.otherwise = "the server's",
		.help = "its owner"},
	{.key = "group",
		.type = FIELD_OTHER,
		.read = read_group,
		.takes = "the name or id of a group",
		.otherwise = "the server's",
		.help = "its group"},
};
static const struct field_set unix_set = {"listen[].unix", unix_fields, ARRAY_LEN(unix_fields)};

#define ADDRESS_TAKES "an address and a port, such as \"127.0.0.1:8443\" or \"[::1]:8443\""

static const struct field certificate_fields[] = {
	{.key = "profile",
		.type = FIELD_OTHER,
		.read = config_read_profile_name,
		FIELD_AT(struct secret_def, profile),
		.takes = "the name of a profile",
		.required = true,
		.help = "the profile that makes it"},
	{.key = "dns",
		.type = FIELD_OTHER,
		.read = config_read_sans,
		FIELD_AT(struct secret_def, sans[SAN_DNS]),
		.tag = SAN_DNS,
		.takes = "a list of DNS names",
		.otherwise = "the profile's",
		.help = "its DNS names; no {variables}, for nobody asks for it"},
	{.key = "uri",
		.type = FIELD_OTHER,
		.read = config_read_sans,
		FIELD_AT(struct secret_def, sans[SAN_URI]),
		.tag = SAN_URI,
		.takes = "a list of URIs",
		.otherwise = "the profile's",
		.help = "its URIs, likewise"},
	{.key = "ip",
		.type = FIELD_OTHER,
		.read = config_read_sans,
		FIELD_AT(struct secret_def, sans[SAN_IP]),
		.tag = SAN_IP,
		.takes = "a list of IP addresses",
		.otherwise = "the profile's",
		.help = "its IP addresses, likewise"},
	{.key = "email",
		.type = FIELD_OTHER,
		.read = config_read_sans,
		FIELD_AT(struct secret_def, sans[SAN_EMAIL]),
		.tag = SAN_EMAIL,
		.takes = "a list of e-mail addresses",
		.otherwise = "the profile's",
		.help = "its e-mail addresses, likewise"},
};
static const struct field_set certificate_set = {
	"listen[].tcp.certificate", certificate_fields, ARRAY_LEN(certificate_fields)};

static const struct field tcp_fields[] = {
	{.key = "address",
		.type = FIELD_OTHER,
		.read = read_address,
		.takes = ADDRESS_TAKES,
		.required = true,
		.help = ADDRESS_TAKES},
	{.key = "certificate",
		.type = FIELD_OTHER,
		.read = read_certificate,
		.group = &certificate_set,
		.takes = "a mapping with profile, dns, uri, ip, email",
		.required = true,
		.help = "the server's own certificate, a leaf that is renewed in place"},
	{.key = "client_ca",
		.type = FIELD_OTHER,
		.read = read_client_ca,
		.takes = "a list of authorities",
		.required = true,
		.help = "the list of authorities whose clients may connect"},
};
static const struct field_set tcp_set = {"listen[].tcp", tcp_fields, ARRAY_LEN(tcp_fields)};

static const struct field telemetry_fields[] = {
	{.key = "address",
		.type = FIELD_OTHER,
		.read = read_address,
		.takes = ADDRESS_TAKES,
		.required = true,
		.help = ADDRESS_TAKES},
};
static const struct field_set telemetry_set = {"listen[].telemetry", telemetry_fields, ARRAY_LEN(telemetry_fields)};

static const struct field listener_fields[] = {
	{.key = "unix",
		.type = FIELD_OTHER,
		.read = read_unix,
		.group = &unix_set,
		.takes = "a mapping with path, mode, owner, group",
		.help = "a unix socket for proxies"},
	{.key = "tcp",
		.type = FIELD_OTHER,
		.read = read_tcp,
		.group = &tcp_set,
		.takes = "a mapping with address, certificate, client_ca",
		.help = "TCP with mutual TLS for proxies"},
	{.key = "telemetry",
		.type = FIELD_OTHER,
		.read = read_telemetry,
		.group = &telemetry_set,
		.takes = "a mapping with address",
		.help = "HTTP for metrics and health"},
};
static const struct field_set listener_set = {"listen[]", listener_fields, ARRAY_LEN(listener_fields)};

const struct field_set *config_listener_fields(void)
{
	return &listener_set;
}

/* A decimal id: 0 to 2^32 - 2. */
static bool parse_id(const char *text, unsigned *ret)
{
	size_t len = strlen(text);
	if (len == 0 || len > 10 || strspn(text, "0123456789") != len)
		return false;
	unsigned long long n = strtoull(text, NULL, 10);
	*ret = (unsigned)n;
	return n < 4294967295;
}

static void refuse_id(struct config_reader *r, const yaml_node_t *n, const char *what)
{
	char text[128];
	config_yaml_error(&r->yaml, n, "%s is %s, and this host has no such %s; give a name that it has, or a number",
		config_path(r), config_yaml_describe(n, text, sizeof text), what);
}

static void read_owner(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	struct listen_config *l = target;
	const char *text = config_yaml_text(n);
	const struct passwd *user = NULL;
	if (n->type != YAML_SCALAR_NODE || config_yaml_is_nothing(n) || strlen(text) > NAME_MAX_BYTES)
		config_refuse(r, n, f->takes);
	else if (parse_id(text, &l->owner))
		return;
	else if ((user = getpwnam(text)))
		l->owner = user->pw_uid;
	else
		refuse_id(r, n, "user");
}

static void read_group(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	struct listen_config *l = target;
	const char *text = config_yaml_text(n);
	const struct group *group = NULL;
	if (n->type != YAML_SCALAR_NODE || config_yaml_is_nothing(n) || strlen(text) > NAME_MAX_BYTES)
		config_refuse(r, n, f->takes);
	else if (parse_id(text, &l->group))
		return;
	else if ((group = getgrnam(text)))
		l->group = group->gr_gid;
	else
		refuse_id(r, n, "group");
}

static bool is_port(const char *text)
{
	size_t len = strlen(text);
	return len >= 1 && len <= 5 && strspn(text, "0123456789") == len && strtol(text, NULL, 10) <= 65535;
}

/* "1.2.3.4:5", "[::1]:5": literal, so that nobody waits for a name server at start. */
static bool is_address(const char *text)
{
	char host[INET6_ADDRSTRLEN];
	unsigned char bytes[sizeof(struct in6_addr)];
	const char *colon = strrchr(text, ':');
	bool v6 = *text == '[';
	if (!colon || !is_port(colon + 1))
		return false;
	const char *end = v6 ? colon - 1 : colon;
	text += v6;
	if (end < text || (v6 && *end != ']') || (size_t)(end - text) >= sizeof host)
		return false;
	(void)snprintf(host, sizeof host, "%.*s", (int)(end - text), text);
	return inet_pton(v6 ? AF_INET6 : AF_INET, host, bytes) == 1;
}

static void read_address(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	struct listen_config *l = target;
	if (n->type == YAML_SCALAR_NODE && is_address(config_yaml_text(n)))
		l->address = mem_strdup(config_yaml_text(n));
	else
		config_refuse(r, n, f->takes);
}

/* Nobody asks for it, so nobody's attributes can fill a template. */
static void check_variables(struct config_reader *r, yaml_node_t *n, const struct secret_def *s)
{
	const char *variables[DEFINITION_VARIABLES_MAX];
	if (definitions_variables(r->config->definitions, s, variables))
		config_yaml_error(&r->yaml, n,
			"%s is made from {%s}, and a listener's own certificate has no caller; give dns, uri, ip and "
			"email "
			"without variables ([] for none)",
			config_path(r), variables[0]);
}

static void read_certificate(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	struct listen_config *l = target;
	struct secret_def s = {.kind = SECRET_TLS_CERTIFICATE, .internal = true};
	(void)f;
	if (fields_read(r, &certificate_set, n, &s)) {
		config_finish_sans(r, n, &s);
		check_variables(r, n, &s);
	}
	struct definitions *d = r->config->definitions;
	s.name = mem_printf("listen %s", l->address ? l->address : "");
	if (l->address && definitions_secret(d, s.name))
		config_yaml_error(&r->yaml, n,
			"the secret \"%s\" has the name of this listener's own certificate; rename it", s.name);
	l->certificate = mem_strdup(s.name);
	d->secrets = mem_realloc(d->secrets, (d->secret_count + 1) * sizeof(*d->secrets));
	d->secrets[d->secret_count++] = s;
}

static void read_client_ca(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	struct listen_config *l = target;
	(void)f;
	config_read_authority_list(r, n, &l->client_ca, &l->client_ca_count);
}

static void read_unix(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	struct listen_config *l = target;
	(void)f;
	l->type = LISTEN_UNIX;
	l->owner = (uid_t)-1;
	l->group = (gid_t)-1;
	(void)fields_read(r, &unix_set, n, l);
}

static void read_tcp(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	struct listen_config *l = target;
	(void)f;
	l->type = LISTEN_TCP;
	(void)fields_read(r, &tcp_set, n, l);
}

static void read_telemetry(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	struct listen_config *l = target;
	(void)f;
	l->type = LISTEN_TELEMETRY;
	(void)fields_read(r, &telemetry_set, n, l);
}

static const char *place_of(const struct listen_config *l)
{
	return l->path ? l->path : l->address;
}

/* Port 0 is another port each time. */
static bool is_taken(const struct config *c, const struct listen_config *l)
{
	const char *place = place_of(l), *port = place && !l->path ? strrchr(place, ':') : NULL;
	if (!place || (port && strtol(port + 1, NULL, 10) == 0 && l->type == LISTEN_TELEMETRY))
		return false;
	for (const struct listen_config *o = c->listen; o < l; o++)
		if (place_of(o) && strcmp(place_of(o), place) == 0)
			return true;
	return false;
}

static void read_listener(struct config_reader *r, yaml_node_t *n, size_t index, void *arg)
{
	struct config *c = r->config;
	(void)index;
	(void)arg;
	if (c->listen_count == LISTEN_MAX)
		return; /* said once, by config_read_listen() */
	size_t keys =
		n->type == YAML_MAPPING_NODE ? (size_t)(n->data.mapping.pairs.top - n->data.mapping.pairs.start) : 0;
	if (n->type != YAML_MAPPING_NODE) {
		config_refuse(r, n, "a mapping with one key: unix, tcp or telemetry");
		return;
	}
	if (keys != 1) {
		config_yaml_error(
			&r->yaml, n, "%s has %zu keys; it takes one: unix, tcp or telemetry", config_path(r), keys);
		return;
	}
	c->listen = mem_realloc(c->listen, (c->listen_count + 1) * sizeof(*c->listen));
	struct listen_config *l = &c->listen[c->listen_count++];
	memset(l, 0, sizeof *l);
	l->line = (int)n->start_mark.line + 1;
	l->column = (int)n->start_mark.column + 1;
	(void)fields_read(r, &listener_set, n, l);
	if (is_taken(c, l))
		config_yaml_error(&r->yaml, n, "%s listens at \"%s\", and so does one before it; remove one",
			config_path(r), place_of(l));
}

static size_t count_type(const struct config *c, enum listen_type type)
{
	size_t count = 0;
	for (size_t i = 0; i < c->listen_count; i++)
		count += c->listen[i].type == type;
	return count;
}

void config_read_listen(struct config_reader *r, const struct field *f, yaml_node_t *n, void *target)
{
	const struct config *c = r->config;
	(void)target;
	if (!config_each_item(r, n, f->takes, read_listener, NULL))
		return;
	size_t items = (size_t)(n->data.sequence.items.top - n->data.sequence.items.start);
	if (items > LISTEN_MAX)
		config_yaml_error(&r->yaml, n, "listen has %zu listeners; at most %d are possible", items, LISTEN_MAX);
	else if (count_type(c, LISTEN_TCP) > TCP_MAX)
		config_yaml_error(&r->yaml, n, "listen has %zu listeners of type tcp; at most %d are possible",
			count_type(c, LISTEN_TCP), TCP_MAX);
	else if (items == 0 || (c->listen_count == items && count_type(c, LISTEN_TELEMETRY) == items))
		config_yaml_error(
			&r->yaml, n, "listen has no listener for proxies; give it a \"unix\" or a \"tcp\" one");
}
