/* tests/unit/ca-client/step_rig.h - the step driver against a scripted server. */
#ifndef TESTS_UNIT_CA_CLIENT_STEP_RIG_H
#define TESTS_UNIT_CA_CLIENT_STEP_RIG_H
#include "ca-client/step.h"
#define RIG_OPTIONS struct step_options
#define RIG_NEW step_new
#define RIG_DONE step_options_done
#include "scripted_rig.h"

#define SIGN "POST /1.0/sign"
#define REKEY "POST /1.0/rekey"
#define REVOKE "POST /1.0/revoke"
#define ROOTS "GET /roots"
#define REFUSED(status, words) "{\"status\":" #status ",\"message\":\"" words "\"}"

/* {"KEY":[..]} of one certificate or two; the caller frees it. */
static inline char *rig_list_json(const char *key, X509 *one, X509 *two)
{
	struct buf b = BUF_INIT;
	buf_printf(&b, "{\"%s\":[", key);
	rig_add_json_pem(&b, one);
	if (two) {
		buf_add_text(&b, ",");
		rig_add_json_pem(&b, two);
	}
	buf_add_text(&b, "]}");
	return buf_take_text(&b);
}

static inline void rig_list(struct rig *r, const char *what, int status, const char *key, X509 *one, X509 *two)
{
	AUTO(mem_freep) char *json = rig_list_json(key, one, two);
	rig_on(r, what, ANY, status, json);
}

/* A certificate of the rig's issuer, for half an hour either side of now. */
static inline struct credential *rig_credential(struct rig *r, const char *san)
{
	struct credential *c = NULL;
	STACK_OF(X509) *chain = sk_X509_new_null();
	int64_t now_s = clock_wall_ms(clock_system()) / MS_PER_S;
	(void)sk_X509_push(chain, certs_make(&(struct certs_spec){.key = CERTS_LEAF,
					  .issuer = r->issuer,
					  .issuer_key = CERTS_ISSUER,
					  .san = san,
					  .constraints = "critical,CA:FALSE",
					  .from_s = now_s - 1800,
					  .to_s = now_s + 1800}));
	(void)sk_X509_push(chain, r->issuer);
	invariant(X509_up_ref(r->issuer) == 1);
	expect_ok(credential_new(chain, certs_key(CERTS_LEAF), &c));
	sk_X509_pop_free(chain, X509_free);
	return c;
}

static void rig_server(struct rig *r, struct http_server_options *o)
{
	X509 *roots[] = {r->root};
	STACK_OF(X509) *list = sk_X509_new_null();
	(void)sk_X509_push(list, roots[0]);
	o->certificate = rig_credential(r, "critical,DNS:localhost"); /* the server holds another reference */
	expect_ok(anchors_new(list, &o->clients));
	sk_X509_free(list);
	r->tls = o->certificate;
	r->clients = o->clients;
}

static void rig_defaults(struct rig *r)
{
	rig_list(r, ROOTS, 200, "crts", r->root, NULL);
	rig_list(r, SIGN, 201, "certChain", r->leaf, r->issuer);
	rig_list(r, REKEY, 201, "certChain", r->leaf, r->issuer);
	rig_on(r, REVOKE, ANY, 200, "{\"status\":\"ok\"}");
}

static void rig_options(struct rig *r)
{
	struct buf pem = BUF_INIT;
	pem_add_cert(r->root, &pem);
	rig_write(r, "root.pem", buf_text(&pem));
	buf_free(&pem);
	certs_add_key_pem(&pem, CERTS_OTHER, NULL);
	rig_write(r, "provisioner.pem", buf_text(&pem));
	buf_free(&pem);
	r->o = (struct step_options){.address = mem_strdup(http_server_url(r->server)),
		.root_file = rig_path(r, "root.pem"),
		.provisioner = mem_strdup("mesh"),
		.key_file = rig_path(r, "provisioner.pem"),
		.key_id = mem_strdup("key-1"),
		.poll_ms = MS_PER_HOUR};
	san_set_free(&r->sans);
	expect_ok(san_set_add(&r->sans, SAN_DNS, "web.example"));
	expect_ok(san_set_add(&r->sans, SAN_URI, "spiffe://td/web"));
	r->current = rig_credential(r, "critical,DNS:web.example,URI:spiffe://td/web");
}

static void rig_forget(struct rig *r)
{
	credential_unref(r->current);
	credential_unref(r->tls);
	anchors_unref(r->clients);
}
#endif
