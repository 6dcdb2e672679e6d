/* daemon/admin/route_get.c - a secret for the operator: the current version's PEM, private key included. Recorded
 * before it is answered. */
#include "base/mem.h"
#include "cache/entry.h"
#include "cache/version.h"
#include "control/control.h"
#include "daemon/admin/internal.h"

static void set_pem(json_t *o, const char *key, const unsigned char *pem, size_t len)
{
	(void)json_object_set_new(o, key, json_stringn((const char *)pem, len));
}

static void describe(const struct version *v, json_t *o)
{
	size_t len, key_len;
	const unsigned char *public = version_public_pem(v, &len), *key = version_key_pem(v, &key_len);
	set_pem(o, key ? "cert" : "bundle", public, len);
	if (key)
		set_pem(o, "key", key, key_len);
}

struct reading {
	struct http_exchange *exchange;
	struct version *version;
};

static void on_recorded(void *arg, struct fault *f)
{
	struct reading *r = arg;
	if (f) {
		http_reply_fault(r->exchange, f);
	} else {
		json_t *o = json_pack("{s:s, s:s}", "version", version_id(r->version), "kind",
			secret_kind_name(version_kind(r->version)));
		describe(r->version, o);
		admin_reply_json(r->exchange, o);
	}
	version_unref(r->version);
	free(r);
}

void route_get(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	json_t *body = NULL;
	const char *name;
	struct version *v = NULL;
	struct fault *f = admin_body(x, "name", &body);
	if (!f)
		f = admin_text(body, "name", &name);
	if (!f)
		f = control_get(a->o.control, name, &v);
	json_decref(body);
	if (f) {
		http_reply_fault(x, f);
		return;
	}
	struct reading *r = mem_new(struct reading);
	*r = (struct reading){x, v};
	control_audit(a->o.control, "secret.read_by_operator", entry_key_text(version_entry(v)), version_id(v),
		http_peer(x), NULL, on_recorded, r);
}
