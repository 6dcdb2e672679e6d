/* daemon/admin/route_orders.c - rotate and delete: an order by name, answered when every worker has taken it in. */
#include "base/mem.h"
#include "control/control.h"
#include "daemon/admin/internal.h"

struct order {
	struct http_exchange *exchange;
	size_t subscribers;
	bool is_delete;
	struct control *control;
};

static struct fault *read_name(const struct http_exchange *x, json_t **ret_body, const char **ret)
{
	TRY(admin_body(x, "name", ret_body));
	return admin_name(*ret_body, "name", ret);
}

static void on_done(void *arg, struct fault *f)
{
	struct order *o = arg;
	if (f)
		http_reply_fault(o->exchange, f);
	else if (o->is_delete)
		admin_reply_json(
			o->exchange, json_pack("{s:b, s:I}", "deleted", 1, "subscribers", (json_int_t)o->subscribers));
	else
		admin_reply_json(o->exchange, json_pack("{s:b, s:I}", "rotated", 1, "memory_only",
						      (json_int_t)control_memory_only(o->control)));
	free(o);
}

static void order(struct admin *a, struct http_exchange *x, bool is_delete)
{
	json_t *body = NULL;
	const char *name;
	struct fault *f = read_name(x, &body, &name);
	if (f) {
		http_reply_fault(x, f);
	} else {
		struct order *o = mem_new(struct order);
		o->exchange = x;
		o->is_delete = is_delete;
		o->control = a->o.control;
		if (is_delete)
			control_delete(a->o.control, name, http_peer(x), &o->subscribers, on_done, o);
		else
			control_rotate(a->o.control, name, http_peer(x), on_done, o);
	}
	json_decref(body);
}

void route_delete(void *admin, struct http_exchange *x)
{
	order(admin, x, true);
}

void route_rotate(void *admin, struct http_exchange *x)
{
	order(admin, x, false);
}

/* --- rotate many --- */

static void on_campaign(void *arg, struct fault *f)
{
	struct http_exchange *x = arg;
	if (f)
		http_reply_fault(x, f);
	else
		admin_reply_json(x, json_pack("{s:b}", "ordered", 1));
}

/* *ret_authority stays NULL where none was given: all of them. */
static struct fault *read_campaign(
	const struct http_exchange *x, json_t **ret_body, const char **ret_authority, int64_t *ret_over_ms)
{
	TRY(admin_body(x, "authority,over_s", ret_body));
	if (json_object_get(*ret_body, "authority"))
		TRY(admin_name(*ret_body, "authority", ret_authority));
	return admin_over(*ret_body, ret_over_ms);
}

void route_rotate_all(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	json_t *body = NULL;
	const char *authority = NULL;
	int64_t over_ms;
	struct fault *f = read_campaign(x, &body, &authority, &over_ms);
	if (f)
		http_reply_fault(x, f);
	else
		control_rotate_all(a->o.control, authority, over_ms, http_peer(x), on_campaign, x);
	json_decref(body);
}

static void add_campaign(void *arg, const struct control_campaign *k)
{
	json_t *list = arg;
	(void)json_array_append_new(list,
		json_pack("{s:o, s:o, s:o, s:I, s:I, s:I, s:b}", "authority",
			k->authority ? json_string(k->authority) : json_null(), "ordered_at", admin_time(k->ordered_ms),
			"until", admin_time(k->until_ms), "total", (json_int_t)k->total, "left", (json_int_t)k->left,
			"failing", (json_int_t)k->failing, "paused", k->paused));
}

json_t *admin_campaigns(struct admin *a)
{
	json_t *list = json_array();
	control_each_campaign(a->o.control, add_campaign, list);
	return list;
}
