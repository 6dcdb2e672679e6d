/* daemon/admin/health.c - /healthz: the loop turns, and what is amiss all the same; /readyz: callers can be served. */
#include "control/control.h"
#include "daemon/admin/internal.h"

static void reply_text(struct http_exchange *x, unsigned status, const char *text)
{
	struct buf b = BUF_INIT;
	buf_add_text(&b, text);
	buf_add_text(&b, "\n");
	http_reply(x, status, "text/plain; charset=utf-8", &b);
}

void route_healthz(void *admin, struct http_exchange *x)
{
	const struct admin *a = admin;
	struct buf b = BUF_INIT;
	buf_add_text(&b, "ok");
	control_add_troubles(a->o.control, &b);
	reply_text(x, 200, buf_text(&b));
	buf_free(&b);
}

void route_readyz(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	const char *why = a->quiesced ? "stopping" : control_unready(a->o.control);
	reply_text(x, why ? 503 : 200, why ? why : "ready");
}
