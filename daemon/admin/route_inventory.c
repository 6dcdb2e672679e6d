/* daemon/admin/route_inventory.c - every version by entry, as JSON: what it is, where it stands, who holds it. */
#include "base/clock.h"
#include "base/mem.h"
#include "cache/description.h"
#include "cache/version.h"
#include "control/control.h"
#include "daemon/admin/internal.h"

struct inventory {
	struct http_exchange *exchange;
	json_t *list;
	int64_t now_ms;
};

static json_t *text_value(const char *text)
{
	return text && *text ? json_string(text) : json_null();
}

static json_t *sans_value(const struct san_set *s)
{
	json_t *list = json_array();
	for (size_t i = 0; i < s->count; i++)
		(void)json_array_append_new(
			list, json_sprintf("%s:%s", san_type_name(s->items[i].type), s->items[i].value));
	return list;
}

static json_t *certificate(const struct cert_info *i)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o}", "serial", i->serial, "sha256", i->sha256, "subject",
		i->subject, "key_type", i->key, "not_before", admin_time(i->not_before_ms), "not_after",
		admin_time(i->not_after_ms));
}

static int64_t end_of(const struct control_item *i)
{
	return i->kind == SECRET_TLS_CERTIFICATE ? i->description->certs[0].not_after_ms
						 : description_not_after_ms(i->description);
}

static const char *state_of(const struct control_item *i, int64_t now_ms)
{
	if (!i->description)
		return "damaged";
	bool expired = end_of(i) <= now_ms;
	if (!i->is_current)
		return expired ? "earlier, expired" : "earlier";
	return expired ? "served, expired" : !i->stored_at_ms ? "served, memory only" : "served";
}

/* Of a certificate the leaf's own facts; of a bundle a list. */
static void add_description(json_t *o, const struct control_item *i)
{
	const struct description *d = i->description;
	if (i->kind == SECRET_TLS_CERTIFICATE) {
		json_t *leaf = certificate(&d->certs[0]);
		(void)json_object_update(o, leaf);
		json_decref(leaf);
		(void)json_object_set_new(o, "sans", sans_value(&d->certs[0].sans));
		return;
	}
	json_t *anchors = json_array();
	for (size_t k = 0; k < d->count; k++)
		(void)json_array_append_new(anchors, certificate(&d->certs[k]));
	(void)json_object_set_new(o, "anchors", anchors);
	(void)json_object_set_new(o, "not_before", admin_time(description_not_before_ms(d)));
	(void)json_object_set_new(o, "not_after", admin_time(description_not_after_ms(d)));
}

static void add_item(void *arg, const struct control_item *i)
{
	struct inventory *v = arg;
	json_t *o = json_pack("{s:o, s:o, s:o, s:o, s:s}", "entry", text_value(i->entry), "name", text_value(i->name),
		"version", text_value(i->id), "kind", i->kind ? json_string(secret_kind_name(i->kind)) : json_null(),
		"state", state_of(i, v->now_ms));
	(void)json_object_set_new(o, "authority", text_value(i->authority));
	(void)json_object_set_new(o, "profile", text_value(i->profile));
	(void)json_object_set_new(o, "received_at", admin_time(i->received_at_ms));
	(void)json_object_set_new(o, "stored_at", admin_time(i->stored_at_ms));
	(void)json_object_set_new(o, "pinned", json_boolean(i->pinned));
	(void)json_object_set_new(o, "subscribers", json_integer((json_int_t)i->subscribers));
	(void)json_object_set_new(o, "holders", json_integer((json_int_t)i->holders));
	(void)json_object_set_new(o, "last_ack_at", admin_time(i->last_ack_at_ms));
	(void)json_object_set_new(o, "damage", text_value(i->damage));
	if (i->description)
		add_description(o, i);
	(void)json_array_append_new(v->list, o);
}

static void on_done(void *arg, struct fault *f)
{
	struct inventory *v = arg;
	if (f) {
		json_decref(v->list);
		http_reply_fault(v->exchange, f);
	} else {
		admin_reply_json(
			v->exchange, json_pack("{s:o, s:o}", "now", admin_time(v->now_ms), "versions", v->list));
	}
	free(v);
}

void route_inventory(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	struct inventory *v = mem_new(struct inventory);
	*v = (struct inventory){x, json_array(), clock_wall_ms(a->o.clock)};
	control_inventory(a->o.control, add_item, on_done, v);
}
