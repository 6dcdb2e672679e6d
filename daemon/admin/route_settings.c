/* daemon/admin/route_settings.c - what can be changed while leafcast runs: the log level, and the config by a reload.
 */
#include "base/log.h"
#include "base/mem.h"
#include "control/control.h"
#include "daemon/admin/internal.h"

static struct fault *read_level(const struct http_exchange *x, enum log_level *ret)
{
	json_t *o = NULL;
	const char *text;
	struct fault *f = admin_body(x, "level", &o);
	if (!f)
		f = admin_text(o, "level", &text);
	if (!f && !log_level_parse(text, ret))
		f = fault_new(FAULT_INVALID, "\"%s\" is no log level; valid: error, warn, info, debug", text);
	json_decref(o);
	return f;
}

/* Recorded, but not held up by that: with a full disk more than ever somebody wants to see more. */
void route_log_level(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	enum log_level level;
	struct fault *f = read_level(x, &level);
	if (f) {
		http_reply_fault(x, f);
		return;
	}
	log_set_level(level);
	control_audit(a->o.control, "log.level_set", NULL, NULL, http_peer(x), log_level_name(level), NULL, NULL);
	admin_reply_json(x, json_pack("{s:s}", "level", log_level_name(level)));
}

/* A reload changes who may have what: it is recorded before it takes hold. */
struct reloading {
	struct admin *admin;
	struct http_exchange *exchange;
};

static void on_reload_recorded(void *arg, struct fault *f)
{
	struct reloading *r = arg;
	if (!f)
		f = r->admin->o.reload(r->admin->o.arg);
	if (f)
		http_reply_fault(r->exchange, f);
	else
		admin_reply_json(r->exchange, json_pack("{s:b}", "reloaded", 1));
	free(r);
}

void route_reload(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	struct reloading *r = mem_new(struct reloading);
	*r = (struct reloading){a, x};
	control_audit(a->o.control, "config.reload_ordered", NULL, NULL, http_peer(x), NULL, on_reload_recorded, r);
}
