/* daemon/admin/route_authority.c - the authorities with their anchors, and a dry issuance by one of them. */
#include <string.h>
#include "base/anchors.h"
#include "base/cert_info.h"
#include "base/clock.h"
#include "base/credential.h"
#include "control/control.h"
#include "daemon/admin/internal.h"

static void set(json_t *o, const char *key, json_t *value)
{
	(void)json_object_set_new(o, key, value ? value : json_null());
}

static json_t *text_value(const char *text)
{
	return text && *text ? json_string(text) : json_null();
}

/* --- list --- */

struct anchors_of {
	const char *authority;
	json_t *list;
};

static void add_anchor(void *arg, const struct control_anchor *a)
{
	const struct anchors_of *of = arg;
	if (strcmp(a->authority, of->authority) != 0)
		return;
	json_t *o = json_object();
	set(o, "sha256", json_string(a->sha256));
	set(o, "subject", json_string(a->subject));
	set(o, "not_after", admin_time(a->not_after_ms));
	set(o, "since", admin_time(a->since_ms));
	set(o, "ready_since", admin_time(a->ready_ms));
	set(o, "gone_since", admin_time(a->gone_ms));
	set(o, "leaves", json_integer((json_int_t)a->leaves));
	(void)json_array_append_new(of->list, o);
}

static void add_waited(void *list, const struct control_waited *w)
{
	json_t *o = json_object();
	set(o, "node", json_string(w->node));
	set(o, "identity", json_string(w->identity));
	set(o, "bundle", json_string(w->bundle));
	set(o, "why", json_string(w->why));
	set(o, "since", admin_time(w->since_ms));
	(void)json_array_append_new(list, o);
}

struct listing {
	struct control *control;
	json_t *list;
};

static void add_authority(void *arg, const struct control_authority *a)
{
	struct listing *l = arg;
	json_t *o = json_object(), *anchors = json_array(), *waited = json_array();
	struct anchors_of of = {a->name, anchors};
	control_each_anchor(l->control, add_anchor, &of);
	control_each_waited(l->control, a->name, add_waited, waited);
	set(o, "name", json_string(a->name));
	set(o, "type", json_string(a->type));
	set(o, "ready", json_boolean(a->ready));
	set(o, "error", text_value(a->error));
	set(o, "breaker", json_string(a->breaker));
	set(o, "last_failure", text_value(a->last_failure));
	set(o, "last_failure_at", admin_time(a->last_failure_ms));
	set(o, "login_ends", admin_time(a->login_ends_ms));
	set(o, "issuing", json_integer((json_int_t)a->issuing));
	set(o, "waiting", json_integer((json_int_t)a->waiting));
	set(o, "anchors", anchors);
	set(o, "waiting_for", waited);
	(void)json_array_append_new(l->list, o);
}

void route_authorities(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	struct listing l = {a->o.control, json_array()};
	control_each_authority(a->o.control, add_authority, &l);
	json_t *o = json_pack("{s:o, s:o}", "now", admin_time(clock_wall_ms(a->o.clock)), "authorities", l.list);
	admin_reply_json(x, o);
}

/* --- test --- */

static json_t *sans_value(const struct san_set *s)
{
	json_t *list = json_array();
	for (size_t i = 0; i < s->count; i++)
		(void)json_array_append_new(
			list, json_sprintf("%s:%s", san_type_name(s->items[i].type), s->items[i].value));
	return list;
}

/* Only what is public: the key was made for this, and ends with it. */
static json_t *certificate_value(const struct credential *c)
{
	const struct cert_info *i = credential_info(c);
	json_t *o = json_object();
	set(o, "subject", json_string(i->subject));
	set(o, "issuer", json_string(i->issuer));
	set(o, "serial", json_string(i->serial));
	set(o, "sha256", json_string(i->sha256));
	set(o, "key_type", json_string(i->key));
	set(o, "not_before", admin_time(i->not_before_ms));
	set(o, "not_after", admin_time(i->not_after_ms));
	set(o, "sans", sans_value(&i->sans));
	set(o, "chain_length", json_integer(sk_X509_num(credential_chain(c))));
	return o;
}

static json_t *step_value(int64_t ms)
{
	return ms < 0 ? json_null() : json_integer(ms);
}

static void on_rehearsed(void *arg, struct fault *f, const struct control_rehearsal *r)
{
	struct http_exchange *x = arg;
	if (f) {
		http_reply_fault(x, f);
		return;
	}
	json_t *o = json_object();
	set(o, "authority", json_string(r->authority));
	set(o, "profile", json_string(r->profile));
	set(o, "entry", json_string(r->entry));
	set(o, "passed", json_boolean(!r->failure));
	set(o, "failure", r->failure ? text_value(fault_text(r->failure)) : NULL);
	set(o, "failure_code", r->failure ? json_string(fault_code_name(fault_code(r->failure))) : NULL);
	set(o, "lifetime_ms", json_integer(r->lifetime_ms));
	set(o, "wait_ms", step_value(r->wait_ms));
	set(o, "key_ms", step_value(r->key_ms));
	set(o, "answer_ms", step_value(r->answer_ms));
	set(o, "check_ms", step_value(r->check_ms));
	set(o, "certificate", r->credential ? certificate_value(r->credential) : NULL);
	admin_reply_json(x, o);
}

static struct fault *read_order(const json_t *body, const char **ret_name, const char **ret_secret)
{
	TRY(admin_name(body, "name", ret_name));
	*ret_secret = NULL;
	return json_object_get(body, "secret") ? admin_name(body, "secret", ret_secret) : NULL;
}

void route_authority_test(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	json_t *body = NULL;
	const char *name, *secret;
	struct fault *f = admin_body(x, "name,secret", &body);
	if (!f)
		f = read_order(body, &name, &secret);
	if (f)
		http_reply_fault(x, f);
	else
		control_rehearse(a->o.control, name, secret, http_peer(x), on_rehearsed, x);
	json_decref(body);
}
