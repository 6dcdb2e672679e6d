/* daemon/admin/route_revoke.c - revoke: answered at its end, or with what is in its way. */
#include <string.h>
#include "control/control.h"
#include "daemon/admin/internal.h"

static struct fault *read_order(
	const struct http_exchange *x, json_t **ret_body, const char **ret, enum ca_reason *ret_reason)
{
	const char *reason = "unspecified";
	TRY(admin_body(x, "name,reason", ret_body));
	TRY(admin_name(*ret_body, "name", ret));
	if (json_object_get(*ret_body, "reason"))
		TRY(admin_text(*ret_body, "reason", &reason));
	return ca_reason_parse(reason, ret_reason)
		       ? NULL
		       : fault_new(FAULT_INVALID,
				 "\"%s\" is no reason; valid: unspecified, key-compromise, affiliation-changed, "
				 "superseded, cessation-of-operation",
				 reason);
}

static void on_done(void *arg, struct fault *f, const char *outcome)
{
	struct http_exchange *x = arg;
	if (f)
		http_reply_fault(x, f);
	else
		admin_reply_json(x, json_pack("{s:s}", "outcome", outcome));
}

void route_revoke(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	json_t *body = NULL;
	const char *name;
	enum ca_reason reason;
	struct fault *f = read_order(x, &body, &name, &reason);
	if (f)
		http_reply_fault(x, f);
	else
		control_revoke(a->o.control, name, reason, http_peer(x), on_done, x);
	json_decref(body);
}
