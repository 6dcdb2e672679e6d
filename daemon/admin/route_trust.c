/* daemon/admin/route_trust.c - anchors of the authorities, and what an operator changes about them. */
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "control/control.h"
#include "daemon/admin/internal.h"

/* Of an anchor; those who hold it and those who do not are counted in any case. */
enum { NODES_SHOWN = 256 };

static json_t *text_value(const char *text)
{
	return text ? json_string(text) : json_null();
}

struct nodes {
	json_t *list; /* at most NODES_SHOWN */
	size_t holding, missing;
};

static void add_node(void *arg, const struct control_verifier *v)
{
	struct nodes *n = arg;
	if (strcmp(v->state, "holds") == 0)
		n->holding++;
	else if (strcmp(v->state, "absent") != 0)
		n->missing++;
	if (json_array_size(n->list) == NODES_SHOWN)
		return;
	(void)json_array_append_new(n->list, json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "node", v->node, "identity",
						     v->identity, "bundle", v->bundle, "state", v->state, "since",
						     admin_time(v->since_ms), "passed_by", text_value(v->passed_by)));
}

struct listing {
	struct control *control;
	json_t *list;
};

static void add_anchor(void *arg, const struct control_anchor *a)
{
	const struct listing *l = arg;
	struct nodes n = {json_array(), 0, 0};
	control_each_verifier(l->control, a->authority, a->sha256, add_node, &n);
	json_t *o = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o}", "authority", a->authority,
		"sha256", a->sha256, "subject", a->subject, "since", admin_time(a->since_ms), "ready",
		admin_time(a->ready_ms), "gone", admin_time(a->gone_ms), "used", admin_time(a->used_ms), "not_after",
		admin_time(a->not_after_ms), "leaves", (json_int_t)a->leaves, "waits_for", text_value(a->waits_for),
		"order", text_value(a->order));
	(void)json_object_set_new(o, "newest", json_boolean(a->newest));
	(void)json_object_set_new(o, "paused", admin_time(a->paused_ms));
	(void)json_object_set_new(o, "paused_by", text_value(a->paused_by));
	(void)json_object_set_new(o, "holding", json_integer((json_int_t)n.holding));
	(void)json_object_set_new(o, "missing", json_integer((json_int_t)n.missing));
	(void)json_object_set_new(o, "nodes", n.list);
	(void)json_array_append_new(l->list, o);
}

static void add_reach(void *arg, const struct control_authority *a)
{
	const struct listing *l = arg;
	struct control_reach reach;
	if (control_trust_reach(l->control, a->name, &reach))
		(void)json_array_append_new(
			l->list, json_pack("{s:s, s:I, s:I, s:I, s:I, s:b, s:b}", "name", a->name, "certificates",
					 (json_int_t)reach.certificates, "bundles", (json_int_t)reach.bundles, "nodes",
					 (json_int_t)reach.nodes, "rate", (json_int_t)reach.rate, "makes_roots",
					 reach.makes_roots, "bans_unreadable", reach.bans_unreadable));
}

static void add_ban(void *arg, const struct control_ban *b)
{
	(void)json_array_append_new(
		arg, json_pack("{s:s, s:s, s:s, s:o, s:s, s:b}", "authority", b->authority, "sha256", b->sha256,
			     "subject", b->subject, "at", admin_time(b->at_ms), "by", b->by, "shown", b->shown));
}

void route_trust(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	struct listing anchors = {a->o.control, json_array()}, reach = {a->o.control, json_array()};
	control_each_anchor(a->o.control, add_anchor, &anchors);
	control_each_authority(a->o.control, add_reach, &reach);
	json_t *banned = json_array();
	control_each_ban(a->o.control, add_ban, banned);
	admin_reply_json(x, json_pack("{s:o, s:o, s:o, s:o}", "now", admin_time(clock_wall_ms(a->o.clock)), "anchors",
				    anchors.list, "authorities", reach.list, "banned", banned));
}

static void on_done(void *arg, struct fault *f)
{
	struct http_exchange *x = arg;
	if (f)
		http_reply_fault(x, f);
	else
		admin_reply_json(x, json_pack("{s:b}", "done", 1));
}

void route_trust_rotate(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	json_t *body = NULL;
	const char *authority;
	int64_t over_ms;
	bool compromised;
	struct fault *f = admin_body(x, "authority,over_s,compromised", &body);
	if (!f)
		f = admin_name(body, "authority", &authority);
	if (!f)
		f = admin_over(body, &over_ms);
	if (!f)
		f = admin_flag(body, "compromised", &compromised);
	if (f)
		http_reply_fault(x, f);
	else
		control_trust_rotate(a->o.control, authority, over_ms, compromised, http_peer(x), on_done, x);
	json_decref(body);
}

static void on_passed(void *arg, struct fault *f, const char *who)
{
	struct http_exchange *x = arg;
	if (f)
		http_reply_fault(x, f);
	else
		admin_reply_json(x, json_pack("{s:o}", "passed_over", text_value(who)));
}

/* One of both: all is never meant by leaving something out. */
static struct fault *read_node(const json_t *body, const char **ret)
{
	bool all;
	TRY(admin_flag(body, "all", &all));
	TRY(admin_node(body, ret));
	return all == (*ret != NULL) ? fault_new(FAULT_INVALID, "give \"node\", a node.id, or \"all\": true") : NULL;
}

void route_trust_proceed(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	json_t *body = NULL;
	const char *authority, *node;
	struct fault *f = admin_body(x, "authority,node,all", &body);
	if (!f)
		f = admin_name(body, "authority", &authority);
	if (!f)
		f = read_node(body, &node);
	if (f)
		http_reply_fault(x, f);
	else
		control_trust_proceed(a->o.control, authority, node, http_peer(x), on_passed, x);
	json_decref(body);
}

static void pause_or_resume(struct admin *a, struct http_exchange *x, bool on)
{
	json_t *body = NULL;
	const char *authority;
	struct fault *f = admin_body(x, "authority", &body);
	if (!f)
		f = admin_name(body, "authority", &authority);
	if (f)
		http_reply_fault(x, f);
	else
		control_trust_pause(a->o.control, authority, on, http_peer(x), on_done, x);
	json_decref(body);
}

void route_trust_pause(void *admin, struct http_exchange *x)
{
	pause_or_resume(admin, x, true);
}

void route_trust_resume(void *admin, struct http_exchange *x)
{
	pause_or_resume(admin, x, false);
}

static void on_removed(void *arg, struct fault *f, size_t count)
{
	struct http_exchange *x = arg;
	if (f)
		http_reply_fault(x, f);
	else
		admin_reply_json(x, json_pack("{s:I}", "removed", (json_int_t)count));
}

static void on_banned(void *arg, struct fault *f)
{
	on_removed(arg, f, 1);
}

/* A fingerprint of the body, or NULL where there is none. */
static struct fault *read_sha256(const json_t *body, const char **ret)
{
	*ret = NULL;
	return json_object_get(body, "sha256") ? admin_text(body, "sha256", ret) : NULL;
}

void route_trust_remove(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	json_t *body = NULL;
	const char *authority, *sha256;
	bool force;
	struct fault *f = admin_body(x, "authority,sha256,force", &body);
	if (!f)
		f = admin_name(body, "authority", &authority);
	if (!f)
		f = read_sha256(body, &sha256);
	if (!f)
		f = admin_flag(body, "force", &force);
	if (f)
		http_reply_fault(x, f);
	else if (sha256)
		control_trust_ban(a->o.control, authority, sha256, force, http_peer(x), on_banned, x);
	else
		control_trust_remove(a->o.control, authority, force, http_peer(x), on_removed, x);
	json_decref(body);
}

/* One of both: what was banned is never forgotten by leaving something out. */
static struct fault *read_restored(const json_t *body, const char **ret)
{
	bool force;
	TRY(admin_flag(body, "force", &force));
	TRY(read_sha256(body, ret));
	return force == (*ret != NULL)
		       ? fault_new(FAULT_INVALID, "give \"sha256\", or \"force\": true where the bans cannot be read")
		       : NULL;
}

void route_trust_restore(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	json_t *body = NULL;
	const char *authority, *sha256;
	struct fault *f = admin_body(x, "authority,sha256,force", &body);
	if (!f)
		f = admin_name(body, "authority", &authority);
	if (!f)
		f = read_restored(body, &sha256);
	if (f)
		http_reply_fault(x, f);
	else
		control_trust_restore(a->o.control, authority, sha256, http_peer(x), on_done, x);
	json_decref(body);
}
