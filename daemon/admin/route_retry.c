/* daemon/admin/route_retry.c - offer again what nodes NACKed: of a name, and of one node where it is named. Answered
 * when every worker has taken it in. */
#include "base/mem.h"
#include "control/control.h"
#include "daemon/admin/internal.h"

struct retry {
	struct http_exchange *exchange;
	size_t count;
};

static struct fault *read_order(const json_t *body, const char **ret_name, const char **ret_node)
{
	TRY(admin_name(body, "name", ret_name));
	return admin_node(body, ret_node);
}

static void on_done(void *arg, struct fault *f)
{
	struct retry *r = arg;
	if (f)
		http_reply_fault(r->exchange, f);
	else
		admin_reply_json(r->exchange, json_pack("{s:I}", "retried", (json_int_t)r->count));
	free(r);
}

void route_retry(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	json_t *body = NULL;
	const char *name, *node;
	struct fault *f = admin_body(x, "name,node", &body);
	if (!f)
		f = read_order(body, &name, &node);
	if (f) {
		http_reply_fault(x, f);
	} else {
		struct retry *r = mem_new(struct retry);
		r->exchange = x;
		control_retry(a->o.control, name, node, http_peer(x), &r->count, on_done, r);
	}
	json_decref(body);
}
