/* daemon/admin/route_status.c - everything there is to see, as JSON. Times are ISO 8601 in UTC, null for never. */
#include "base/clock.h"
#include "base/log.h"
#include "cache/description.h"
#include "cache/version.h"
#include "control/control.h"
#include "daemon/admin/internal.h"
#include "sds/server.h"

static json_t *text_value(const char *text)
{
	return text && *text ? json_string(text) : json_null();
}

static void set(json_t *o, const char *key, json_t *value)
{
	(void)json_object_set_new(o, key, value ? value : json_null());
}

static json_t *sans_value(const struct san_set *s)
{
	json_t *list = json_array();
	for (size_t i = 0; i < s->count; i++)
		(void)json_array_append_new(
			list, json_sprintf("%s:%s", san_type_name(s->items[i].type), s->items[i].value));
	return list;
}

static void add_version(json_t *o, const struct version *v)
{
	set(o, "version", json_string(version_id(v)));
	set(o, "not_before", admin_time(version_not_before_ms(v)));
	set(o, "not_after", admin_time(version_not_after_ms(v)));
	set(o, "received_at", admin_time(version_received_at_ms(v)));
	const struct cert_info *info = version_leaf(v);
	if (info) {
		set(o, "serial", json_string(info->serial));
		set(o, "sha256", json_string(info->sha256));
		set(o, "key_type", json_string(info->key));
		set(o, "sans", sans_value(&info->sans));
		return;
	}
	json_t *roots = json_array();
	const struct description *d = version_description(v);
	for (size_t i = 0; i < d->count; i++)
		(void)json_array_append_new(roots, json_string(d->certs[i].sha256));
	set(o, "anchors", roots);
}

static const char *state_of(const struct control_secret *s, int64_t now)
{
	if (!s->kind)
		return "unknown";
	if (!s->version)
		return s->last_error ? "failing" : "pending";
	if (version_not_after_ms(s->version) <= now)
		return "expired";
	return s->memory_only ? "memory-only" : s->last_error ? "renewal failing" : "ok";
}

struct list {
	json_t *array;
	int64_t now_ms;
	size_t unknown; /* names that are asked for and not known: a peer's choice, so their number is bounded */
};
enum { UNKNOWN_SHOWN = 1000 };

static json_t *askers_value(const struct control_secret *s)
{
	json_t *list = json_array();
	for (size_t i = 0; i < s->asker_count; i++) {
		json_t *o = json_object();
		set(o, "identity", json_string(s->askers[i].identity));
		set(o, "node", text_value(s->askers[i].node));
		set(o, "method", json_string(s->askers[i].delta ? "delta" : "sotw"));
		set(o, "since", admin_time(s->askers[i].since_ms));
		(void)json_array_append_new(list, o);
	}
	return list;
}

static void add_secret(void *arg, const struct control_secret *s)
{
	struct list *l = arg;
	if (!s->kind && l->unknown++ >= UNKNOWN_SHOWN)
		return;
	json_t *o = json_object();
	set(o, "name", json_string(s->name));
	set(o, "entry", json_string(s->entry));
	if (!s->kind)
		set(o, "asked_by", askers_value(s));
	set(o, "kind", s->kind ? json_string(secret_kind_name(s->kind)) : json_null());
	set(o, "source", text_value(s->source));
	set(o, "state", json_string(state_of(s, l->now_ms)));
	if (s->version)
		add_version(o, s->version);
	set(o, "renew_at", admin_time(s->renew_at_ms));
	set(o, "issuing", json_boolean(s->issuing));
	set(o, "subscribers", json_integer((json_int_t)s->subscribers));
	set(o, "acked", json_integer((json_int_t)s->acked));
	set(o, "held_back", json_integer((json_int_t)s->held_back));
	set(o, "last_ack_at", admin_time(s->last_ack_at_ms));
	set(o, "last_nack_at", admin_time(s->last_nack_at_ms));
	set(o, "last_nack", text_value(s->last_nack));
	set(o, "last_error", text_value(s->last_error));
	set(o, "last_error_at", admin_time(s->last_error_at_ms));
	set(o, "wanted_at", admin_time(s->wanted_at_ms));
	set(o, "rejected", text_value(s->rejected));
	set(o, "rejected_authority", text_value(s->rejected_authority));
	set(o, "rejected_at", admin_time(s->rejected_at_ms));
	set(o, "held_since", admin_time(s->held_since_ms));
	set(o, "held_for", text_value(s->held_for));
	(void)json_array_append_new(l->array, o);
}

static void add_quarantined(void *arg, const struct control_quarantined *q)
{
	struct list *l = arg;
	json_t *o = json_object();
	set(o, "name", json_string(q->name));
	set(o, "entry", json_string(q->entry));
	set(o, "identity", json_string(q->identity));
	set(o, "node", json_string(q->node));
	set(o, "version", json_string(q->version));
	set(o, "code", json_integer(q->code));
	set(o, "message", json_string(q->message));
	set(o, "since", admin_time(q->since_ms));
	set(o, "times", json_integer((json_int_t)q->times));
	set(o, "held_version", text_value(q->held));
	set(o, "held_until", admin_time(q->held_until_ms));
	set(o, "verdict", json_string(control_verdict_name(q->verdict)));
	set(o, "refused_by_nodes", json_integer((json_int_t)q->refused));
	set(o, "taken_by_streams", json_integer((json_int_t)q->taken));
	set(o, "hastens_renewal", json_boolean(q->hastens));
	set(o, "trying_again", json_boolean(q->trying));
	(void)json_array_append_new(l->array, o);
}

static void add_denial(void *arg, const struct control_denial *d)
{
	struct list *l = arg;
	json_t *o = json_object();
	set(o, "identity", json_string(d->identity));
	set(o, "name", json_string(d->name));
	set(o, "node", text_value(d->node));
	set(o, "count", json_integer((json_int_t)d->count));
	set(o, "first_at", admin_time(d->first_at_ms));
	set(o, "last_at", admin_time(d->last_at_ms));
	set(o, "hint", text_value(d->hint));
	(void)json_array_append_new(l->array, o);
}

static void add_authority(void *arg, const struct control_authority *a)
{
	struct list *l = arg;
	json_t *o = json_object();
	set(o, "name", json_string(a->name));
	set(o, "type", json_string(a->type));
	set(o, "ready", json_boolean(a->ready));
	set(o, "error", text_value(a->error));
	set(o, "root_sha256", text_value(a->root_sha256));
	set(o, "breaker", json_string(a->breaker));
	set(o, "last_failure", text_value(a->last_failure));
	set(o, "last_failure_at", admin_time(a->last_failure_ms));
	set(o, "waiting", json_integer((json_int_t)a->waiting));
	set(o, "issuing", json_integer((json_int_t)a->issuing));
	(void)json_array_append_new(l->array, o);
}

void route_status(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	int64_t now = clock_wall_ms(a->o.clock);
	struct list secrets = {json_array(), now, 0}, denials = {json_array(), now, 0},
		    authorities = {json_array(), now, 0}, quarantine = {json_array(), now, 0};
	control_each_secret(a->o.control, add_secret, &secrets);
	control_each_denial(a->o.control, add_denial, &denials);
	control_each_quarantined(a->o.control, add_quarantined, &quarantine);
	control_each_authority(a->o.control, add_authority, &authorities);
	struct sds_counts counts = sds_server_counts(a->o.server);
	json_t *o = json_object();
	set(o, "version", json_string(a->o.version));
	set(o, "now", admin_time(now));
	set(o, "started_at", admin_time(a->started_at_ms));
	set(o, "log_level", json_string(log_level_name(log_level())));
	set(o, "sds_socket", text_value(a->sds_socket));
	set(o, "unready", text_value(control_unready(a->o.control)));
	set(o, "connections", json_integer((json_int_t)counts.connections));
	set(o, "streams", json_integer((json_int_t)counts.streams));
	set(o, "memory_only", json_integer((json_int_t)control_memory_only(a->o.control)));
	set(o, "campaigns", admin_campaigns(a));
	set(o, "authorities", authorities.array);
	set(o, "secrets", secrets.array);
	set(o, "unknown_names", json_integer((json_int_t)secrets.unknown));
	set(o, "quarantine", quarantine.array);
	set(o, "denials", denials.array);
	admin_reply_json(x, o);
}

static void add_subscriber(void *arg, const struct control_subscriber *s)
{
	json_t *o = json_object();
	set(o, "identity", json_string(s->identity));
	set(o, "node", text_value(s->node));
	set(o, "method", json_string(s->delta ? "delta" : "sotw"));
	set(o, "since", admin_time(s->since_ms));
	set(o, "acked_version", text_value(s->acked_version));
	set(o, "acked_at", admin_time(s->acked_at_ms));
	set(o, "unproven", json_boolean(s->unproven));
	set(o, "nacked_version", text_value(s->nacked_version));
	set(o, "nacked_at", admin_time(s->nacked_at_ms));
	set(o, "nack", text_value(s->nack_text));
	(void)json_array_append_new(arg, o);
}

void route_subscribers(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	json_t *body = NULL;
	const char *entry;
	struct fault *f = admin_body(x, "entry", &body);
	if (!f)
		f = admin_text(body, "entry", &entry);
	if (f) {
		http_reply_fault(x, f);
	} else {
		json_t *list = json_array();
		control_each_subscriber(a->o.control, entry, add_subscriber, list);
		admin_reply_json(x, json_pack("{s:o}", "subscribers", list));
	}
	json_decref(body);
}
