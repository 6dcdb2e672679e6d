/* daemon/cli/cmd_envoy.c - leafcast envoy: a bootstrap that works, for these names. */
#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "base/io/paths.h"
#include "base/mem.h"
#include "base/text.h"
#include "daemon/cli/internal.h"

enum { OPTION_SOCKET, OPTION_SAN, OPTION_LISTEN, OPTION_BUNDLE };

/* A text as a YAML double-quoted scalar: YAML has our escapes, and one for the quotes. */
static void add_quoted(struct buf *b, const char *text)
{
	AUTO(mem_freep) char *escaped = text_escaped(text);
	buf_add_text(b, "\"");
	for (const char *p = escaped; *p; p++) {
		if (*p == '"')
			buf_add_text(b, "\\");
		buf_add(b, p, 1);
	}
	buf_add_text(b, "\"");
}

/* The server knows the kinds; without one, names given by --bundle are bundles and the rest certificates. */
static bool is_bundle(const json_t *status, const struct cli_input *in, const char *name)
{
	const char *said = in->options[OPTION_BUNDLE];
	size_t i;
	json_t *s;
	if (said && strcmp(said, name) == 0)
		return true;
	json_array_foreach(json_object_get(status, "secrets"), i, s)
	{
		if (strcmp(text_or_dash(s, "name"), name) == 0 &&
			strcmp(text_or_dash(s, "kind"), "validation_context") == 0)
			return true;
	}
	return false;
}

static void add_sds(struct buf *b, const char *name)
{
	buf_add_text(b, "{name: ");
	add_quoted(b, name);
	buf_add_text(b,
		", sds_config: {resource_api_version: V3, api_config_source: {api_type: DELTA_GRPC, "
		"transport_api_version: V3, "
		"set_node_on_first_message_only: true, grpc_services: [{envoy_grpc: {cluster_name: leafcast}}]}}}");
}

/* "dns:web.example", "uri:spiffe://td/x" -> san_type and matcher */
static struct fault *add_matcher(struct buf *b, const char *san)
{
	static const struct {
		const char *prefix, *type;
	} types[] = {{"dns:", "DNS"}, {"uri:", "URI"}, {"email:", "EMAIL"}, {"ip:", "IP_ADDRESS"}};
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		size_t len = strlen(types[i].prefix);
		if (strncmp(san, types[i].prefix, len) != 0 || !san[len])
			continue;
		size_t value = strlen(san + len);
		bool prefix = san[len + value - 1] == '*';
		buf_printf(b, "{san_type: %s, matcher: {%s: ", types[i].type, prefix ? "prefix" : "exact");
		AUTO(mem_freep) char *text = mem_strndup(san + len, value - prefix);
		add_quoted(b, text);
		buf_add_text(b, "}}");
		return NULL;
	}
	return fault_new(FAULT_INVALID,
		"--san %s: an example: dns:web.example, uri:spiffe://example.org/web, uri:spiffe://example.org/*", san);
}

static void add_cluster(struct buf *b, const char *socket)
{
	buf_add_text(b,
		"static_resources:\n"
		"  clusters:\n"
		"  - name: leafcast\n"
		"    type: STATIC\n"
		"    connect_timeout: 1s\n"
		"    typed_extension_protocol_options:\n"
		"      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:\n"
		"        \"@type\": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions\n"
		"        explicit_http_config: {http2_protocol_options: {connection_keepalive: {interval: 30s, "
		"timeout: 5s}}}\n"
		"    circuit_breakers: {thresholds: [{max_requests: 10000}]}   # more than there are secrets\n"
		"    load_assignment: {cluster_name: leafcast, endpoints: [{lb_endpoints: [{endpoint: {address: {pipe: "
		"{path: ");
	add_quoted(b, socket);
	buf_add_text(b, "}}}}]}]}\n");
}

static void add_listener(struct buf *b, const char *port)
{
	buf_printf(b,
		"  listeners:\n"
		"  - name: ingress\n"
		"    address: {socket_address: {address: 127.0.0.1, port_value: %s}}\n"
		"    filter_chains:\n"
		"    - filters:\n"
		"      - name: envoy.filters.network.http_connection_manager\n"
		"        typed_config:\n"
		"          \"@type\": "
		"type.googleapis.com/"
		"envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager\n"
		"          stat_prefix: ingress\n"
		"          route_config:   # put your routes here\n"
		"            virtual_hosts: [{name: all, domains: [\"*\"], routes: [{match: {prefix: /}, "
		"direct_response: {status: 200, body: "
		"{inline_string: \"served by Envoy with a certificate from leafcast\\n\"}}}]}]\n"
		"          http_filters: [{name: envoy.filters.http.router, typed_config: {\"@type\": "
		"type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]\n",
		port);
}

static void add_certificates(struct buf *b, const json_t *status, const struct cli_input *in)
{
	bool first = true;
	buf_add_text(b, "            tls_certificate_sds_secret_configs: [");
	for (size_t i = 0; i < in->name_count; i++) {
		if (is_bundle(status, in, in->names[i]))
			continue;
		buf_add_text(b, first ? "" : ", ");
		add_sds(b, in->names[i]);
		first = false;
	}
	buf_add_text(b, "]\n");
}

static struct fault *add_validation(struct buf *b, const char *bundle, const char *san)
{
	buf_add_text(b, "            # Without a SAN matcher every certificate of the CA is accepted, and an empty "
			"answer would accept everybody.\n"
			"            combined_validation_context:\n"
			"              default_validation_context: {match_typed_subject_alt_names: [");
	TRY(add_matcher(b, san));
	buf_add_text(b, "]}\n              validation_context_sds_secret_config: ");
	add_sds(b, bundle);
	buf_add_text(b, "\n");
	return NULL;
}

static struct fault *print_bootstrap(
	const struct cli_input *in, const json_t *status, const char *socket, struct buf *b)
{
	const char *bundle = in->options[OPTION_BUNDLE];
	const char *san = in->options[OPTION_SAN] ? in->options[OPTION_SAN] : "uri:spiffe://*";
	const char *port = in->options[OPTION_LISTEN] ? in->options[OPTION_LISTEN] : "8443";
	for (size_t i = 0; i < in->name_count && !bundle; i++)
		if (is_bundle(status, in, in->names[i]))
			bundle = in->names[i];
	if (strspn(port, "0123456789") != strlen(port) || !*port || strlen(port) > 5)
		return fault_new(FAULT_INVALID, "--listen %s: a port number is wanted", port);
	buf_add_text(b, "node: {id: envoy-1, cluster: edge}   # an id of its own for each Envoy\n"
			"admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}}\n");
	add_cluster(b, socket);
	add_listener(b, port);
	buf_add_text(b, "      transport_socket:\n"
			"        name: envoy.transport_sockets.tls\n"
			"        typed_config:\n"
			"          \"@type\": "
			"type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext\n");
	if (bundle)
		buf_add_text(b, "          require_client_certificate: true\n");
	buf_add_text(b, "          common_tls_context:\n");
	add_certificates(b, status, in);
	return bundle ? add_validation(b, bundle, san) : NULL;
}

static struct fault *run(const struct cli_input *in)
{
	json_t *status = NULL;
	AUTO(mem_freep) char *usual = NULL;
	struct buf b = BUF_INIT;
	fault_ignore(client_call(in, "/v1/status", NULL, false, &status),
		"without a server the options say where it is and what is a bundle");
	const char *socket = in->options[OPTION_SOCKET];
	if (!socket)
		socket = json_string_value(json_object_get(status, "sds_socket"));
	struct fault *f = socket ? NULL : paths_runtime_file("sds.sock", &usual);
	if (!f)
		f = print_bootstrap(in, status, socket ? socket : usual, &b);
	if (!f)
		(void)fputs(buf_text(&b), stdout);
	buf_free(&b);
	json_decref(status);
	return f;
}

const struct cli_command cli_envoy = {
	.name = "envoy",
	.arguments = "NAME...",
	.summary = "print an Envoy bootstrap that takes these secrets from leafcast",
	.text = "Prints a bootstrap that works as it stands: incremental SDS over the unix socket, keepalive, a "
		"listener with these\n"
		"certificates; with a bundle among the names it demands client certificates and matches their SAN.\n\n"
		"example: leafcast envoy default ROOTCA --san 'uri:spiffe://leafcast.local/uid/*' > envoy.yaml && "
		"envoy -c envoy.yaml",
	.options = {[OPTION_SOCKET] = {"sds-socket", "PATH",
			    "where Envoy finds leafcast (default: as the server says, else sds.sock in the runtime "
			    "folder)"},
		[OPTION_SAN] = {"san", "TYPE:VALUE",
			"which client certificates are accepted (default: uri:spiffe://*)"},
		[OPTION_LISTEN] = {"listen", "PORT", "the listener's port (default: 8443)"},
		[OPTION_BUNDLE] = {"bundle", "NAME", "this name is a bundle (needed when no server can be asked)"}},
	.names_min = 1,
	.names_max = CLI_NAMES_MAX,
	.run = run,
};
