/* daemon/admin/route_versions.c - earlier versions of a secret: shown, served again, pinned. */
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/text.h"
#include "control/control.h"
#include "daemon/admin/internal.h"

static struct fault *read_names(
	const struct http_exchange *x, json_t **ret_body, const char **ret, const char **ret_version)
{
	TRY(admin_body(x, ret_version ? "name,version" : "name", ret_body));
	TRY(admin_text(*ret_body, "name", ret));
	if (!text_is_name(*ret, strlen(*ret)))
		return fault_new(FAULT_INVALID, "a name has 1 to %zu bytes", TEXT_NAME_MAX);
	if (!ret_version)
		return NULL;
	*ret_version = NULL;
	if (!json_object_get(*ret_body, "version"))
		return NULL;
	TRY(admin_text(*ret_body, "version", ret_version));
	size_t len = strlen(*ret_version);
	return len >= 4 && len <= 32 && strspn(*ret_version, "0123456789abcdef") == len
		       ? NULL
		       : fault_new(FAULT_INVALID, "a version is given by 4 to 32 of its hex digits");
}

static void add_version(void *arg, const struct control_version *v)
{
	json_t *list = arg;
	(void)json_array_append_new(
		list, json_pack("{s:s, s:s, s:o, s:b, s:b}", "entry", v->entry, "version", v->id, "not_after",
			      admin_time(v->not_after_ms), "current", v->is_current, "pinned", v->pinned));
}

void route_versions(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	json_t *body = NULL, *list = json_array();
	const char *name;
	struct fault *f = read_names(x, &body, &name, NULL);
	if (!f)
		control_each_version(a->o.control, name, add_version, list);
	if (!f && json_array_size(list) == 0)
		f = fault_new(FAULT_NOT_FOUND, "there is no secret %s, or it has no version yet", name);
	json_decref(body);
	if (f) {
		json_decref(list);
		http_reply_fault(x, f);
	} else {
		admin_reply_json(
			x, json_pack("{s:o, s:o}", "now", admin_time(clock_wall_ms(a->o.clock)), "versions", list));
	}
}

static void on_done(void *arg, struct fault *f)
{
	struct http_exchange *x = arg;
	if (f)
		http_reply_fault(x, f);
	else
		admin_reply_json(x, json_pack("{s:b}", "done", 1));
}

struct rollback {
	struct http_exchange *exchange;
	struct control *control;
};

static void on_rolled_back(void *arg, struct fault *f)
{
	struct rollback *r = arg;
	if (f)
		http_reply_fault(r->exchange, f);
	else
		admin_reply_json(r->exchange,
			json_pack("{s:b, s:I}", "done", 1, "memory_only", (json_int_t)control_memory_only(r->control)));
	free(r);
}

void route_rollback(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	json_t *body = NULL;
	const char *name, *version;
	struct fault *f = read_names(x, &body, &name, &version);
	if (f) {
		http_reply_fault(x, f);
	} else {
		struct rollback *r = mem_new(struct rollback);
		*r = (struct rollback){x, a->o.control};
		control_rollback(a->o.control, name, version, http_peer(x), on_rolled_back, r);
	}
	json_decref(body);
}

static void set_pin(struct admin *a, struct http_exchange *x, bool on)
{
	json_t *body = NULL;
	const char *name;
	struct fault *f = read_names(x, &body, &name, NULL);
	if (f)
		http_reply_fault(x, f);
	else
		control_pin(a->o.control, name, on, http_peer(x), on_done, x);
	json_decref(body);
}

void route_pin(void *admin, struct http_exchange *x)
{
	set_pin(admin, x, true);
}

void route_unpin(void *admin, struct http_exchange *x)
{
	set_pin(admin, x, false);
}
