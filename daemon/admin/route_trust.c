/* daemon/admin/route_trust.c - anchors of the authorities, and what an operator changes about them. */
#include "base/clock.h"
#include "base/mem.h"
#include "control/control.h"
#include "daemon/admin/internal.h"

#define OVER_MOST_S ((json_int_t)30 * 24 * 3600)

static json_t *text_value(const char *text)
{
	return text ? json_string(text) : json_null();
}

static void add_anchor(void *arg, const struct control_anchor *a)
{
	json_t *list = arg;
	(void)json_array_append_new(
		list, json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:I, s:o, s:o}", "authority", a->authority,
			      "sha256", a->sha256, "subject", a->subject, "since", admin_time(a->since_ms), "ready",
			      admin_time(a->ready_ms), "gone", admin_time(a->gone_ms), "used", admin_time(a->used_ms),
			      "not_after", admin_time(a->not_after_ms), "leaves", (json_int_t)a->leaves, "waits_for",
			      text_value(a->waits_for), "order", text_value(a->order)));
}

void route_trust(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	json_t *list = json_array();
	control_each_anchor(a->o.control, add_anchor, list);
	admin_reply_json(x, json_pack("{s:o, s:o}", "now", admin_time(clock_wall_ms(a->o.clock)), "anchors", list));
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
	struct fault *f = admin_body(x, "authority,over_s,compromised", &body);
	const json_t *over = json_object_get(body, "over_s");
	if (!f)
		f = admin_text(body, "authority", &authority);
	if (!f && (!json_is_integer(over) || json_integer_value(over) < 0 || json_integer_value(over) > OVER_MOST_S))
		f = fault_new(FAULT_INVALID, "\"over_s\" is a number of seconds from 0 to 30 days");
	if (f)
		http_reply_fault(x, f);
	else
		control_trust_rotate(a->o.control, authority, json_integer_value(over) * 1000,
			json_is_true(json_object_get(body, "compromised")), http_peer(x), on_done, x);
	json_decref(body);
}

void route_trust_proceed(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	json_t *body = NULL;
	const char *authority;
	AUTO(mem_freep) char *who = NULL;
	struct fault *f = admin_body(x, "authority", &body);
	if (!f)
		f = admin_text(body, "authority", &authority);
	if (!f)
		f = control_trust_proceed(a->o.control, authority, http_peer(x), &who);
	json_decref(body);
	if (f)
		http_reply_fault(x, f);
	else
		admin_reply_json(x, json_pack("{s:o}", "passed_over", text_value(who)));
}

static void on_removed(void *arg, struct fault *f, size_t count)
{
	struct http_exchange *x = arg;
	if (f)
		http_reply_fault(x, f);
	else
		admin_reply_json(x, json_pack("{s:I}", "removed", (json_int_t)count));
}

void route_trust_remove(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	json_t *body = NULL;
	const char *authority;
	struct fault *f = admin_body(x, "authority,force", &body);
	if (!f)
		f = admin_text(body, "authority", &authority);
	if (f)
		http_reply_fault(x, f);
	else
		control_trust_remove(a->o.control, authority, json_is_true(json_object_get(body, "force")),
			http_peer(x), on_removed, x);
	json_decref(body);
}
