/* daemon/admin/route_orders.c - rotate and delete: an order by name, answered when every worker has taken it in. */
#include "base/mem.h"
#include "base/text.h"
#include "control/control.h"
#include "daemon/admin/internal.h"

struct order {
	struct http_exchange *exchange;
	size_t subscribers;
	bool is_delete;
};

static struct fault *read_name(const struct http_exchange *x, json_t **ret_body, const char **ret)
{
	TRY(admin_body(x, "name", ret_body));
	TRY(admin_text(*ret_body, "name", ret));
	return text_is_name(*ret, strlen(*ret)) ? NULL
						: fault_new(FAULT_INVALID, "a name has 1 to %zu bytes", TEXT_NAME_MAX);
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
		admin_reply_json(o->exchange, json_pack("{s:b}", "rotated", 1));
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
