#include "daemon/admin/admin.h"
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/io/tcp_socket.h"
#include "base/mem.h"
#include "base/text.h"
#include "control/control.h"
#include "control/node.h"
#include "daemon/admin/internal.h"

static const struct http_route api_routes[] = {
	{"GET", "/v1/status", route_status},
	{"POST", "/v1/subscribers", route_subscribers},
	{"POST", "/v1/put", route_put},
	{"POST", "/v1/delete", route_delete},
	{"POST", "/v1/rotate", route_rotate},
	{"POST", "/v1/rotate-all", route_rotate_all},
	{"POST", "/v1/retry", route_retry},
	{"POST", "/v1/get", route_get},
	{"POST", "/v1/versions", route_versions},
	{"POST", "/v1/rollback", route_rollback},
	{"POST", "/v1/revoke", route_revoke},
	{"POST", "/v1/pin", route_pin},
	{"POST", "/v1/unpin", route_unpin},
	{"GET", "/v1/trust", route_trust},
	{"POST", "/v1/trust/rotate", route_trust_rotate},
	{"POST", "/v1/trust/proceed", route_trust_proceed},
	{"POST", "/v1/trust/pause", route_trust_pause},
	{"POST", "/v1/trust/resume", route_trust_resume},
	{"POST", "/v1/trust/remove", route_trust_remove},
	{"POST", "/v1/trust/restore", route_trust_restore},
	{"POST", "/v1/audit", route_audit},
	{"POST", "/v1/log-level", route_log_level},
	{"POST", "/v1/reload", route_reload},
	{"POST", "/v1/seal/rotate", route_seal_rotate},
	{"POST", "/v1/backup", route_backup},
	{"GET", "/v1/inventory", route_inventory},
	{"GET", "/v1/authorities", route_authorities},
	{"POST", "/v1/authorities/test", route_authority_test},
	{"GET", "/metrics", route_metrics},
	{"GET", "/healthz", route_healthz},
	{"GET", "/readyz", route_readyz},
	{NULL, NULL, NULL},
};

static const struct http_route telemetry_routes[] = {
	{"GET", "/metrics", route_metrics},
	{"GET", "/healthz", route_healthz},
	{"GET", "/readyz", route_readyz},
	{NULL, NULL, NULL},
};

struct admin *admin_new(const struct admin_options *o)
{
	struct admin *a = mem_new(struct admin);
	a->o = *o;
	a->started_at_ms = clock_wall_ms(o->clock);
	process_metrics_add(a);
	return a;
}

static struct fault *add(struct admin *a, int fd, const struct http_route *routes, bool owner_only)
{
	if (a->listener_count == ADMIN_LISTENERS_MAX) {
		(void)close(fd);
		return fault_new(FAULT_EXHAUSTED, "more than %d telemetry listeners", ADMIN_LISTENERS_MAX - 1);
	}
	TRY(http_site_new(a->o.loop, fd, routes, owner_only, a, &a->listeners[a->listener_count]));
	a->listener_count++;
	return NULL;
}

struct fault *admin_listen_unix(struct admin *a, int listen_fd)
{
	return add(a, listen_fd, api_routes, true);
}

struct fault *admin_listen_tcp(struct admin *a, const char *address, int *ret_port)
{
	int fd = -1;
	TRY(tcp_socket_listen(address, &fd, ret_port));
	return add(a, fd, telemetry_routes, false);
}

void admin_note_sds(struct admin *a, const char *path)
{
	if (!a->sds_socket)
		a->sds_socket = mem_strdup(path);
}

void admin_quiesce(struct admin *a)
{
	a->quiesced = true;
	for (unsigned i = 0; i < a->listener_count; i++)
		http_quiesce(a->listeners[i]);
}

void admin_free(struct admin *a)
{
	if (!a)
		return;
	for (unsigned i = 0; i < a->listener_count; i++)
		http_site_free(a->listeners[i]);
	free(a->sds_socket);
	free(a);
}

static bool is_known(const char *key, const char *keys)
{
	AUTO(mem_freep) char *found = mem_printf(",%s,", key);
	AUTO(mem_freep) char *known = mem_printf(",%s,", keys);
	return *key && !strchr(key, ',') && strstr(known, found);
}

struct fault *admin_object(const struct buf *body, const char *keys, json_t **ret)
{
	json_error_t error;
	json_t *o = json_loadb(buf_text(body), body->len, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(o)) {
		/* It quotes the body, cut anywhere. */
		AUTO(mem_freep) char *reason = o ? mem_strdup("") : text_escaped(error.text);
		json_decref(o);
		return fault_new(FAULT_INVALID, "the body is not a JSON object%s%s", *reason ? ": " : "", reason);
	}
	const char *key;
	json_t *value;
	json_object_foreach(o, key, value)
	{
		if (is_known(key, keys))
			continue;
		struct fault *f = fault_new(FAULT_INVALID, "unknown key \"%s\"; valid: %s", key, keys);
		json_decref(o);
		return f;
	}
	*ret = o;
	return NULL;
}

struct fault *admin_body(const struct http_exchange *x, const char *keys, json_t **ret)
{
	return admin_object(http_body(x), keys, ret);
}

struct fault *admin_text(const json_t *o, const char *key, const char **ret)
{
	const char *text = json_string_value(json_object_get(o, key));
	if (!text)
		return fault_new(FAULT_INVALID, "\"%s\" is missing, or is not a string", key);
	*ret = text;
	return NULL;
}

struct fault *admin_name(const json_t *o, const char *key, const char **ret)
{
	const char *text;
	TRY(admin_text(o, key, &text));
	if (!text_is_name(text, strlen(text)))
		return fault_new(FAULT_INVALID, "\"%s\" is no name: one has 1 to %zu bytes", key, TEXT_NAME_MAX);
	*ret = text;
	return NULL;
}

struct fault *admin_node(const json_t *o, const char **ret)
{
	const char *text = NULL;
	if (json_object_get(o, "node"))
		TRY(admin_text(o, "node", &text));
	if (text && strlen(text) > NODE_TEXT_MAX)
		return fault_new(FAULT_INVALID, "a node id has at most %zu bytes", NODE_TEXT_MAX);
	*ret = text;
	return NULL;
}

struct fault *admin_flag(const json_t *o, const char *key, bool *ret)
{
	const json_t *value = json_object_get(o, key);
	if (value && !json_is_boolean(value))
		return fault_new(FAULT_INVALID, "\"%s\" is neither true nor false", key);
	*ret = json_is_true(value);
	return NULL;
}

struct fault *admin_over(const json_t *o, int64_t *ret_ms)
{
	const json_t *over = json_object_get(o, "over_s");
	if (!json_is_integer(over) || json_integer_value(over) < 0 ||
		json_integer_value(over) > CONTROL_OVER_MAX_MS / MS_PER_S)
		return fault_new(FAULT_INVALID, "\"over_s\" is a number of seconds from 0 to 30 days");
	*ret_ms = json_integer_value(over) * MS_PER_S;
	return NULL;
}

void admin_reply_json(struct http_exchange *x, json_t *o)
{
	struct buf b = BUF_SECRET_INIT;
	char *text = json_dumps(o, JSON_INDENT(2));
	json_decref(o);
	if (!text) {
		http_reply_fault(x, fault_new(FAULT_INTERNAL, "the answer holds text that is not UTF-8"));
		return;
	}
	buf_add_text(&b, text);
	buf_add_text(&b, "\n");
	json_memory_free_text(text);
	http_reply(x, 200, "application/json", &b);
}

json_t *admin_time(int64_t wall_ms)
{
	char text[32];
	if (!wall_ms)
		return json_null();
	clock_format(wall_ms, text, sizeof text);
	return json_string(text);
}
