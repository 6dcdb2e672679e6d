/* ca-client/vault_call.c - one request to the server and its answer as JSON. A redirect to the active node is followed
 * once, from https to https, under the same roots; the names of both servers are verified against those. */
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <string.h>
#include "base/clock.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/io/http.h"
#include "base/io/json_memory.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/table.h"
#include "base/text.h"
#include "ca-client/vault_internal.h"

enum { ANSWER_MAX = 1024 * 1024 };

/* Freed in on_http(), the one callback; a cancelled one lives until then with done = NULL. */
struct vault_call {
	struct vault *owner;
	struct http_call *http;
	const char *method;
	char *path, *url;
	char *body; /* jansson's; or NULL */
	struct secret *token;
	struct credential *client;
	const struct secret *hide[VAULT_HIDDEN_MAX + 1]; /* last: the token */
	int64_t deadline_mono_ms;
	bool redirected;
	vault_call_fn *done;
	void *arg;
};

static void call_free(struct vault_call *c)
{
	free(c->path);
	free(c->url);
	json_memory_free_text(c->body);
	secret_free(c->token);
	credential_unref(c->client);
	free(c);
}

static http_done_fn on_http;

static void send_call(struct vault_call *c)
{
	const struct vault *v = c->owner;
	int64_t left = c->deadline_mono_ms - clock_mono_ms(v->ca.env.clock);
	struct http_request r = {.method = c->method,
		.url = c->url,
		.unix_socket = c->redirected ? NULL : v->o.unix_socket,
		.body = c->body,
		.body_len = c->body ? strlen(c->body) : 0,
		.roots = v->server_roots,
		.client = c->client,
		.answer_max = ANSWER_MAX,
		.timeout_ms = left > 0 ? left : 1};
	size_t n = 0;
	/* Agents demand it against requests that a browser was talked into. */
	r.headers[n++] = (struct http_header){"X-Vault-Request", "true"};
	if (c->body)
		r.headers[n++] = (struct http_header){"Content-Type", "application/json"};
	if (v->o.namespace)
		r.headers[n++] = (struct http_header){"X-Vault-Namespace", v->o.namespace};
	if (c->token)
		r.headers[n++] = (struct http_header){"X-Vault-Token", (const char *)secret_bytes(c->token, NULL)};
	c->http = http_start(v->ca.env.http, &r, on_http, c);
}

static bool is_https(const char *url)
{
	return strncasecmp(url, "https:", 6) == 0;
}

/* NULL: the request went out once more. */
static struct fault *follow(struct vault_call *c, const struct http_answer *a)
{
	AUTO(mem_freep) char *shown = text_escaped(a->location ? a->location : "nowhere");
	if (c->redirected || !a->location || !is_https(a->location) || !is_https(c->owner->o.address)) {
		struct fault *f = fault_new(FAULT_UNAVAILABLE,
			"it redirects (%d) to %.300s, %s; give the address of the active node, or of a load balancer "
			"before them",
			a->status, shown,
			c->redirected ? "a second time" : "which is not followed: only from https to https");
		return fault_set_retryable(f, -1);
	}
	TRY(http_check_url(a->location, NULL));
	free(c->url);
	c->url = mem_strdup(a->location);
	c->redirected = true;
	send_call(c);
	return NULL;
}

static struct fault *read_answer(const struct vault_call *c, const struct http_answer *a, json_t **ret)
{
	json_error_t error;
	bool good = a->status == 200 || a->status == 204;
	if (a->body.len)
		*ret = json_loadb((const char *)a->body.data, a->body.len, 0, &error);
	if (!good)
		return vault_answer_fault(a->status, *ret, a->retry_after_ms, c->hide, ARRAY_LEN(c->hide));
	/* The parser's own words quote the input, which may hold a token. */
	if (a->status == 200 && !json_is_object(*ret))
		return fault_new(FAULT_CORRUPT, "what it answered is no JSON object (%zu bytes)", a->body.len);
	return NULL;
}

static void on_http(void *arg, struct fault *f, const struct http_answer *a)
{
	struct vault_call *c = arg;
	struct vault *v = c->owner;
	json_t *root = NULL;
	c->http = NULL;
	if (c->done && !f && (a->status == 307 || a->status == 308)) {
		f = follow(c, a);
		if (!f)
			return;
	} else if (c->done && !f) {
		f = read_answer(c, a, &root);
	}
	if (c->done)
		c->done(c->arg, f ? fault_wrap(f, "%s: %s %s", v->o.address, c->method, c->path) : NULL,
			a ? a->status : 0, root);
	else
		fault_free(f);
	json_decref(root);
	call_free(c);
	v->pending--;
	vault_finish_close(v);
}

/* The token outlives its login here: answers are searched for it. */
static struct secret *copy(const struct secret *s)
{
	size_t len;
	struct secret *ret = NULL;
	const unsigned char *bytes = s ? secret_bytes(s, &len) : NULL;
	if (bytes)
		fault_ignore(
			secret_new(bytes, len, &ret), "without memory for it the request goes without, and is denied");
	return ret;
}

struct vault_call *vault_call_start(struct vault *v, const struct vault_request *r, vault_call_fn *done, void *arg)
{
	struct vault_call *c = mem_new(struct vault_call);
	size_t len = strlen(v->o.address);
	while (len && v->o.address[len - 1] == '/')
		len--;
	c->owner = v;
	c->method = r->method;
	c->path = mem_strdup(r->path);
	c->url = mem_printf("%.*s/v1/%s", (int)len, v->o.address, r->path);
	if (r->body) {
		c->body = json_dumps(r->body, JSON_COMPACT);
		invariant(c->body);
	}
	c->token = copy(r->token);
	c->client = r->client ? credential_ref(r->client) : NULL;
	for (size_t i = 0; i < VAULT_HIDDEN_MAX; i++)
		c->hide[i] = r->hide[i];
	c->hide[VAULT_HIDDEN_MAX] = c->token;
	c->deadline_mono_ms = clock_mono_ms(v->ca.env.clock) + r->timeout_ms;
	c->done = done;
	c->arg = arg;
	v->pending++;
	send_call(c);
	return c;
}

void vault_call_cancel(struct vault_call *c)
{
	c->done = NULL;
	http_cancel(c->http);
}

json_t *vault_json_text(const char *text)
{
	json_t *j = json_string(text);
	invariant(j);
	return j;
}

uint64_t vault_draw(void)
{
	uint64_t bits = 0;
	invariant(RAND_bytes((unsigned char *)&bits, sizeof bits) == 1);
	return bits;
}

/* --- waiters --- */

void vault_wait(struct vault_waiter **list, struct vault_waiter *w)
{
	invariant(!w->list);
	w->list = list;
	DL_APPEND(*list, w);
}

void vault_forget(struct vault_waiter *w)
{
	if (!w->list)
		return;
	DL_DELETE(*w->list, w);
	w->list = NULL;
}

struct fault *vault_fault_copy(const struct fault *f)
{
	if (!f)
		return NULL;
	struct fault *made = fault_new(fault_code(f), "%s", fault_text(f));
	return fault_is_retryable(f) ? fault_set_retryable(made, fault_retry_after_ms(f)) : made;
}

/* A completion may make others forget, or wait anew: those are not of this round. */
void vault_serve(struct vault_waiter **list, const struct fault *f)
{
	struct vault_waiter *w, *serving = TAKE(*list);
	DL_FOREACH (serving, w)
		w->list = &serving;
	while ((w = serving) != NULL) {
		vault_forget(w);
		w->done(w->arg, vault_fault_copy(f));
	}
}
