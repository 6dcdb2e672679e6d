/* daemon/admin/route_get.c - a secret for the operator: the current version's PEM, private key included. Audited by the
 * log. */
#include "base/anchors.h"
#include "base/credential.h"
#include "base/log.h"
#include "base/secret.h"
#include "cache/entry.h"
#include "cache/version.h"
#include "control/control.h"
#include "daemon/admin/internal.h"

static void set_pem(json_t *o, const char *key, const struct buf *pem)
{
	(void)json_object_set_new(o, key, json_stringn((const char *)pem->data, pem->len));
}

static struct fault *describe(const struct version *v, json_t *o)
{
	struct buf pem = BUF_INIT;
	if (version_anchors(v)) {
		anchors_pem(version_anchors(v), &pem);
		set_pem(o, "bundle", &pem);
		buf_free(&pem);
		return NULL;
	}
	AUTO(secret_freep) struct secret *key = NULL;
	TRY(credential_key_pem(version_credential(v), &key));
	credential_chain_pem(version_credential(v), &pem);
	set_pem(o, "cert", &pem);
	buf_free(&pem);
	size_t len;
	const unsigned char *bytes = secret_bytes(key, &len);
	(void)json_object_set_new(o, "key", json_stringn((const char *)bytes, len));
	return NULL;
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
		f = describe(v, o);
	}
	json_decref(body);
	if (f) {
		json_decref(o);
		http_reply_fault(x, f);
	} else {
		admin_reply_json(x, o);
	}
}
