/* daemon/admin/route_put.c - material that an operator brings: read and checked in a job (PKCS#12 and encrypted keys
 * take CPU time on purpose), then put. */
#include <string.h>
#include "base/anchors.h"
#include "base/credential.h"
#include "base/io/job.h"
#include "base/material.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/text.h"
#include "control/control.h"
#include "daemon/admin/base64.h"
#include "daemon/admin/internal.h"

struct put {
	struct admin *admin;
	struct http_exchange *exchange;
	char *name;
	/* input of the job */
	struct buf cert, key, bundle, password;
	/* its output */
	struct fault *fault;
	struct credential *credential;
	struct anchors *anchors;
};

static void put_free(struct put *p)
{
	free(p->name);
	buf_free(&p->cert);
	buf_free(&p->key);
	buf_free(&p->bundle);
	buf_free(&p->password);
	credential_unref(p->credential);
	anchors_unref(p->anchors);
	free(p);
}

static void on_done(void *arg, struct fault *f)
{
	struct put *p = arg;
	if (f)
		http_reply_fault(p->exchange, f);
	else
		admin_reply_json(p->exchange, json_pack("{s:b}", "put", 1));
	put_free(p);
}

static void read_material(void *arg)
{
	struct put *p = arg;
	const struct material_part cert = {p->cert.data, p->cert.len, "certificate"};
	const struct material_part key = {p->key.data, p->key.len, "key"};
	const struct material_part bundle = {p->bundle.data, p->bundle.len, "bundle"};
	if (p->bundle.len)
		p->fault = material_read_anchors(&bundle, &p->anchors);
	else
		p->fault = material_read_credential(
			&cert, &key, p->password.len ? buf_text(&p->password) : NULL, &p->credential);
}

static void on_read(void *arg)
{
	struct put *p = arg;
	struct control *c = p->admin->o.control;
	if (p->admin->quiesced && !p->fault)
		p->fault = fault_new(FAULT_UNAVAILABLE, "leafcast is stopping");
	if (p->fault)
		on_done(p, TAKE(p->fault));
	else if (p->anchors)
		control_put_bundle(c, p->name, p->anchors, http_peer(p->exchange), on_done, p);
	else
		control_put_certificate(c, p->name, p->credential, http_peer(p->exchange), on_done, p);
}

static struct fault *decode(const json_t *o, const char *key, struct buf *ret)
{
	ret->wipe = true;
	const char *text = json_string_value(json_object_get(o, key));
	struct fault *f = text ? base64_decode(text, ret) : NULL;
	return f ? fault_wrap(f, "\"%s\"", key) : NULL;
}

static struct fault *read_order(struct put *p, const json_t *o)
{
	const char *name;
	TRY(admin_text(o, "name", &name));
	if (!text_is_name(name, strlen(name)))
		return fault_new(FAULT_INVALID, "a name has 1 to %zu bytes", TEXT_NAME_MAX);
	p->name = mem_strdup(name);
	TRY(decode(o, "cert", &p->cert));
	TRY(decode(o, "key", &p->key));
	TRY(decode(o, "bundle", &p->bundle));
	TRY(decode(o, "password", &p->password));
	if ((p->cert.len > 0) == (p->bundle.len > 0))
		return fault_new(FAULT_INVALID, "give either a certificate (with its key) or a bundle");
	return NULL;
}

void route_put(void *admin, struct http_exchange *x)
{
	struct put *p = mem_new(struct put);
	json_t *o = NULL;
	p->admin = admin;
	p->exchange = x;
	struct fault *f = admin_body(x, "name,cert,key,bundle,password", &o);
	if (!f)
		f = read_order(p, o);
	json_decref(o);
	if (f)
		on_done(p, f);
	else
		jobs_run(p->admin->o.jobs, true, read_material, on_read, p);
}
