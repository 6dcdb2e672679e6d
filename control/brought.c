/* control/brought.c - orders of an operator: put, delete, rotate, get. */
#include "base/anchors.h"
#include "base/buf.h"
#include "base/crash_point.h"
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "control/internal.h"

/* A refusal goes round the loop once. */
struct refusal {
	struct timer *timer;
	control_done_fn *done;
	void *arg;
	struct fault *fault;
};

static void on_refusal(void *arg)
{
	struct refusal *r = arg;
	timer_free(r->timer);
	r->done(r->arg, r->fault);
	free(r);
}

void order_refuse(struct control *c, struct fault *f, control_done_fn *done, void *arg)
{
	struct refusal *r = mem_new(struct refusal);
	r->timer = timer_new(c->o.loop, on_refusal, r);
	r->done = done;
	r->arg = arg;
	r->fault = f;
	timer_start(r->timer, 0);
}

static struct fault *check_put(struct control *c, const char *name, enum secret_kind kind, const struct entry *e)
{
	if (!text_is_name(name, strlen(name)))
		return fault_new(FAULT_INVALID, "a name is 1 to %zu bytes of UTF-8 without NUL", TEXT_NAME_MAX);
	AUTO(mem_freep) char *safe = text_escaped(name);
	if (definitions_secret(c->definitions, name))
		return fault_new(FAULT_CONFLICT, "%s is in the config; take it out there before you put it", safe);
	if (!e)
		return NULL;
	if (e->committing)
		return fault_set_retryable(
			fault_new(FAULT_CONFLICT, "%s is being changed by another order; try again", safe), -1);
	if (e->current && e->kind != kind)
		return fault_new(FAULT_CONFLICT, "%s is of kind %s; delete it before you put a %s", safe,
			secret_kind_name(e->kind), secret_kind_name(kind));
	/* Envoy applies another kind openly (no verification at all): while anyone subscribes, the kind stays. */
	if (!e->current && e->subscribers && e->kind && e->kind != kind)
		return fault_new(FAULT_CONFLICT,
			"%s was of kind %s and %zu proxies still subscribe to it; its kind cannot change while they do",
			safe, secret_kind_name(e->kind), e->subscriber_count);
	return NULL;
}

static struct entry *put_entry(struct control *c, const char *name)
{
	struct entry_key *key = entry_key_new(name, NULL, 0);
	struct entry *e = entry_make(c, key);
	entry_key_unref(key);
	return e;
}

static struct entry *find_plain(struct control *c, const char *name)
{
	struct entry_key *key = entry_key_new(name, NULL, 0);
	struct entry *e = entry_find(c, key);
	entry_key_unref(key);
	return e;
}

void control_put_certificate(
	struct control *c, const char *name, struct credential *cred, const char *by, control_done_fn *done, void *arg)
{
	struct fault *f = check_put(c, name, SECRET_TLS_CERTIFICATE, find_plain(c, name));
	struct version *v = NULL;
	struct entry *e = f ? NULL : put_entry(c, name);
	const struct version_origin origin = {NULL, NULL, control_now_ms(c)};
	if (!f)
		f = version_new_certificate(e->key, cred, &origin, &v);
	if (f) {
		if (e)
			entry_drop_if_idle(e);
		order_refuse(c, f, done, arg);
		return;
	}
	if (version_not_after_ms(v) <= control_now_ms(c))
		log_event(LOG_WARN, "secret.put_expired", LS("secret", entry_key_text(e->key)),
			LT("not_after", version_not_after_ms(v)));
	publish_version(e, v, "secret.put", by, done, arg);
}

void control_put_bundle(
	struct control *c, const char *name, struct anchors *a, const char *by, control_done_fn *done, void *arg)
{
	struct fault *f = check_put(c, name, SECRET_VALIDATION_CONTEXT, find_plain(c, name));
	struct version *v = NULL;
	struct entry *e = f ? NULL : put_entry(c, name);
	const struct version_origin origin = {NULL, NULL, control_now_ms(c)};
	if (!f)
		f = version_new_bundle(e->key, a, &origin, &v);
	if (f) {
		if (e)
			entry_drop_if_idle(e);
		order_refuse(c, f, done, arg);
		return;
	}
	publish_version(e, v, "secret.put", by, done, arg);
}

void control_delete(
	struct control *c, const char *name, const char *by, size_t *ret_subscribers, control_done_fn *done, void *arg)
{
	struct entry *e = find_plain(c, name);
	AUTO(mem_freep) char *safe = text_escaped(name);
	*ret_subscribers = e ? e->subscriber_count : 0;
	if (definitions_secret(c->definitions, name))
		order_refuse(c, fault_new(FAULT_CONFLICT, "%s is in the config; take it out there and reload", safe),
			done, arg);
	else if (!e || !e->current)
		order_refuse(c, fault_new(FAULT_NOT_FOUND, "there is no secret %s", safe), done, arg);
	else if (e->committing)
		order_refuse(c,
			fault_set_retryable(
				fault_new(FAULT_CONFLICT, "%s is being changed by another order; try again", safe), -1),
			done, arg);
	else
		publish_delete(e, by, done, arg);
}

/* rotate: one order over all entries of a name; the first failure is the answer. */
struct order {
	size_t left;
	struct fault *first;
	control_done_fn *done;
	void *arg;
};

static void on_rotated(void *arg, struct fault *f)
{
	struct order *o = arg;
	if (f && !o->first)
		o->first = f;
	else
		fault_free(f);
	if (--o->left)
		return;
	o->done(o->arg, o->first);
	free(o);
}

static bool bears_name(const struct entry *e, const char *name)
{
	return strcmp(entry_key_name(e->key), name) == 0 || strcmp(entry_key_text(e->key), name) == 0;
}

static struct fault *check_rotate(struct control *c, const char *name, size_t *ret_count)
{
	AUTO(mem_freep) char *safe = text_escaped(name);
	*ret_count = 0;
	bool known = false;
	for (struct entry *e = c->entries; e; e = e->hh.next) {
		if (!bears_name(e, name))
			continue;
		known = known || e->current || e->def;
		if (e->def && e->def->kind == SECRET_TLS_CERTIFICATE)
			++*ret_count;
	}
	if (*ret_count)
		return NULL;
	const struct secret_def *def = definitions_secret(c->definitions, name);
	if (def && def->kind == SECRET_TLS_CERTIFICATE)
		return fault_new(FAULT_NOT_FOUND,
			"nobody has asked for %s yet: its certificates are issued per caller, on first want", safe);
	return known ? fault_new(FAULT_INVALID, "%s is not issued by an authority; put a new version instead", safe)
		     : fault_new(FAULT_NOT_FOUND, "there is no secret %s", safe);
}

void control_rotate(struct control *c, const char *name, const char *by, control_done_fn *done, void *arg)
{
	size_t count;
	struct fault *f = check_rotate(c, name, &count);
	if (f) {
		order_refuse(c, f, done, arg);
		return;
	}
	crash_point("rotate.ordered");
	audit_note(c, NULL, "secret.rotate_ordered", name, NULL, by, NULL);
	struct order *o = mem_new(struct order);
	o->left = count;
	o->done = done;
	o->arg = arg;
	for (struct entry *e = c->entries, *next; e; e = next) {
		next = e->hh.next;
		if (bears_name(e, name) && e->def && e->def->kind == SECRET_TLS_CERTIFICATE)
			rotation_order(e, on_rotated, o);
	}
}

struct fault *entry_find_only(struct control *c, const char *name, struct entry **ret)
{
	struct entry *only = NULL;
	struct buf several = BUF_INIT;
	size_t count = 0;
	for (struct entry *e = c->entries; e; e = e->hh.next) {
		if (!e->current || (e->def && e->def->internal) || !bears_name(e, name))
			continue;
		only = e;
		if (count++ < 16) {
			buf_add_text(&several, count > 1 ? ", " : "");
			text_add_escaped(&several, entry_key_text(e->key), strlen(entry_key_text(e->key)));
		}
	}
	AUTO(mem_freep) char *list = buf_take_text(&several);
	AUTO(mem_freep) char *safe = text_escaped(name);
	if (count == 0)
		return fault_new(FAULT_NOT_FOUND, "there is no secret %s, or it has no version yet", safe);
	if (count > 1)
		return fault_new(FAULT_CONFLICT, "%s is %zu secrets, one per caller; name one: %s", safe, count, list);
	*ret = only;
	return NULL;
}

struct fault *control_get(struct control *c, const char *name, struct version **ret)
{
	struct entry *e = NULL;
	TRY(entry_find_only(c, name, &e));
	*ret = version_ref(e->current);
	return NULL;
}
