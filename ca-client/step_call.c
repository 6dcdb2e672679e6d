/* ca-client/step_call.c - requests to step-ca, and what its answers say. */
#include <string.h>
#include "base/anchors.h"
#include "base/cert_info.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/io/http.h"
#include "base/io/json_memory.h"
#include "base/mem.h"
#include "base/pem.h"
#include "base/text.h"
#include "ca-client/step_internal.h"

/* More of a message is not for a log line. */
enum { MESSAGE_MAX = 400, ROOTS_SHOWN_MAX = 64 };

struct call {
	struct step *owner;
	step_call_fn *done;
	void *arg;
};

static char *message_of(const json_t *root)
{
	const char *text = json_string_value(json_object_get(root, "message"));
	AUTO(mem_freep) char *cut = mem_strndup(text ? text : "", strnlen(text ? text : "", MESSAGE_MAX));
	return text_escaped(cut);
}

struct fault *step_answer_fault(int status, const json_t *root, int64_t retry_after_ms)
{
	AUTO(mem_freep) char *text = message_of(root);
	if (!json_is_object(root) && status < 500 && status != 429) /* a proxy's page: the CA speaks JSON */
		return fault_set_retryable(
			fault_new(FAULT_UNAVAILABLE, "something else than a step-ca answered %d", status),
			retry_after_ms);
	if (status == 401)
		return fault_new(FAULT_DENIED,
			"it refused the token (401). It does not say why; of these, one: the provisioner's name or "
			"key_id is "
			"wrong, the key is another one, `address` is not among its dnsNames, the clocks differ, the "
			"certificate was revoked or may not be renewed: its own log tells which: %s",
			text);
	if (status == 403 && strstr(text, "certificate duration"))
		return fault_new(FAULT_INVALID,
			"it refused the lifetime (403): %s. Its limits include a backdate, usually a minute: ask for "
			"that "
			"much less, or change minTLSCertDuration and maxTLSCertDuration",
			text);
	if (status == 403)
		return fault_new(FAULT_INVALID, "its policy refused (403): %s", text);
	if (status == 429)
		return fault_set_retryable(fault_new(FAULT_EXHAUSTED, "it throttles (429): %s", text), retry_after_ms);
	if (status >= 500 && status != 501)
		return fault_set_retryable(
			fault_new(FAULT_UNAVAILABLE, "it failed (%d): %s", status, text), retry_after_ms);
	return fault_new(FAULT_INVALID, "it answered %d: %s", status, *text ? text : "is this a step-ca?");
}

static void on_answer(void *arg, struct fault *f, const struct http_answer *a)
{
	struct call *c = arg;
	struct step *s = c->owner;
	json_t *root = NULL;
	if (!f) {
		root = json_loadb(buf_text(&a->body), a->body.len, JSON_REJECT_DUPLICATES, NULL);
		if (a->status != 200 && a->status != 201)
			f = step_answer_fault(a->status, root, a->retry_after_ms);
		else if (!json_is_object(root))
			f = fault_new(FAULT_CORRUPT, "its answer is not a JSON object");
	}
	if (f && strcmp(fault_text(f), "cancelled") != 0)
		f = fault_wrap(f, "%s", s->o.address);
	c->done(c->arg, f, a ? a->status : 0, root);
	json_decref(root);
	free(c);
	s->pending--;
	step_finish_close(s);
}

struct http_call *step_call(struct step *s, const struct step_request *r, step_call_fn *done, void *arg)
{
	struct call *c = mem_new(struct call);
	AUTO(mem_freep) char *url = mem_printf("%s%s", s->o.address, r->path);
	char *text = r->body ? json_dumps(r->body, JSON_COMPACT) : NULL;
	const struct http_request q = {.method = r->method,
		.url = url,
		.headers = {{"Content-Type", "application/json"}},
		.body = text,
		.body_len = text ? strlen(text) : 0,
		.roots = r->any_server ? NULL : s->anchors,
		.client = r->client,
		.any_server = r->any_server,
		.answer_max = 1024 * 1024,
		.timeout_ms = r->timeout_ms};
	*c = (struct call){s, done, arg};
	s->pending++;
	struct http_call *call = http_start(s->ca.env.http, &q, on_answer, c);
	json_memory_free_text(text);
	return call;
}

/* --- certificates in answers --- */

/* max: in ret, with those that are there already. */
static struct fault *add_pem(const json_t *value, int max, STACK_OF(X509) * ret)
{
	const char *text = json_string_value(value);
	if (!text)
		return fault_new(FAULT_CORRUPT, "its answer lacks a certificate");
	struct fault *f = pem_read_certs(text, strlen(text), max - sk_X509_num(ret), ret);
	return f ? fault_wrap(f, "a certificate in its answer") : NULL;
}

struct fault *step_answer_chain(const json_t *root, STACK_OF(X509) * *ret)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	const json_t *list = json_object_get(root, "certChain");
	struct fault *f = NULL;
	invariant(chain);
	if (json_array_size(list) > CREDENTIAL_CHAIN_MAX)
		f = fault_new(FAULT_CORRUPT, "its chain has %zu certificates", json_array_size(list));
	for (size_t i = 0; !f && i < json_array_size(list); i++)
		f = add_pem(json_array_get(list, i), CREDENTIAL_CHAIN_MAX, chain);
	if (!f && !json_array_size(list))
		f = add_pem(json_object_get(root, "crt"), CREDENTIAL_CHAIN_MAX, chain);
	if (!f && !json_array_size(list) && json_object_get(root, "ca"))
		f = add_pem(json_object_get(root, "ca"), CREDENTIAL_CHAIN_MAX, chain);
	if (f)
		sk_X509_pop_free(chain, X509_free);
	else
		*ret = chain;
	return f;
}

static struct fault *make_anchors(struct fault *f, STACK_OF(X509) * certs, struct anchors **ret)
{
	if (!f)
		f = anchors_new(certs, ret);
	sk_X509_pop_free(certs, X509_free);
	return f;
}

struct fault *step_answer_roots(const json_t *root, struct anchors **ret)
{
	const json_t *list = json_object_get(root, "crts");
	STACK_OF(X509) *certs = sk_X509_new_null();
	struct fault *f = NULL;
	invariant(certs);
	if (json_array_size(list) == 0 || json_array_size(list) > ROOTS_SHOWN_MAX)
		f = fault_new(FAULT_CORRUPT, "it shows %zu roots", json_array_size(list));
	for (size_t i = 0; !f && i < json_array_size(list); i++)
		f = add_pem(json_array_get(list, i), ROOTS_SHOWN_MAX, certs);
	return make_anchors(f, certs, ret);
}

struct fault *step_answer_root(const json_t *root, const char *sha256, struct anchors **ret)
{
	STACK_OF(X509) *certs = sk_X509_new_null();
	struct cert_info info = {.sha256 = NULL};
	invariant(certs);
	struct fault *f = add_pem(json_object_get(root, "ca"), CREDENTIAL_CHAIN_MAX, certs);
	if (!f && sk_X509_num(certs) != 1)
		f = fault_new(FAULT_CORRUPT, "it gives %d roots for one fingerprint", sk_X509_num(certs));
	if (!f)
		f = cert_info_read(sk_X509_value(certs, 0), &info);
	if (!f && strcmp(info.sha256, sha256) != 0)
		f = fault_new(FAULT_CORRUPT,
			"the root that it gives has the fingerprint %s, and root_sha256 is %s: somebody else answers "
			"there",
			info.sha256, sha256);
	cert_info_free(&info);
	return make_anchors(f, certs, ret);
}
