/* daemon/admin/route_get.c - a secret for the operator: the current version's PEM, private key included. Audited by the
 * log. */
#include "base/log.h"
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

void route_get(void *admin, struct http_exchange *x)
{
	struct admin *a = admin;
	json_t *body = NULL, *o = json_object();
	const char *name;
	AUTO(version_unrefp) struct version *v = NULL;
	struct fault *f = admin_body(x, "name", &body);
	if (!f)
		f = admin_text(body, "name", &name);
	if (!f)
		f = control_get(a->o.control, name, &v);
	if (!f) {
		log_event(LOG_INFO, "secret.read_by_operator", LS("secret", entry_key_text(version_entry(v))),
			LS("version", version_id(v)), LS("by", http_peer(x)));
		(void)json_object_set_new(o, "version", json_string(version_id(v)));
		(void)json_object_set_new(o, "kind", json_string(secret_kind_name(version_kind(v))));
		describe(v, o);
	}
	json_decref(body);
	if (f) {
		json_decref(o);
		http_reply_fault(x, f);
	} else {
		admin_reply_json(x, o);
	}
}
