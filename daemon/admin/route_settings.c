/* daemon/admin/route_settings.c - what can be changed while leafcast runs: the log level, and the config by a reload.
 */
#include "base/log.h"
#include "daemon/admin/internal.h"

static struct fault *set_level(const struct http_exchange *x)
{
	json_t *o = NULL;
	const char *text;
	enum log_level level;
	struct fault *f = admin_body(x, "level", &o);
	if (!f)
		f = admin_text(o, "level", &text);
	if (!f && !log_level_parse(text, &level))
		f = fault_new(FAULT_INVALID, "\"%s\" is no log level; valid: error, warn, info, debug", text);
	if (!f) {
		log_set_level(level);
		log_event(LOG_INFO, "log.level_set", LS("level", text), LS("by", http_peer(x)));
	}
	json_decref(o);
	return f;
}

void route_log_level(void *admin, struct http_exchange *x)
{
	(void)admin;
	struct fault *f = set_level(x);
	if (f)
		http_reply_fault(x, f);
	else
		admin_reply_json(x, json_pack("{s:s}", "level", log_level_name(log_level())));
}

void route_reload(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	struct fault *f = a->o.reload(a->o.arg);
	if (f)
		http_reply_fault(x, f);
	else
		admin_reply_json(x, json_pack("{s:b}", "reloaded", 1));
}
