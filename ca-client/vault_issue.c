/* ca-client/vault_issue.c - leaves and revocations under way. An op waits for the login, calls, and perhaps waits for
 * anchors; it ends with its answer, at its deadline, when it is cancelled or when the authority closes, whichever comes
 * first. Whatever it waits for then is forgotten or called off. */
#include <openssl/pem.h>
#include <string.h>
#include <time.h>
#include "base/anchors.h"
#include "base/clock.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/pem.h"
#include "base/secret.h"
#include "base/table.h"
#include "ca-client/vault_internal.h"

/* A server that does not answer for so long will not. */
#define CALL_TIMEOUT_MS MS_PER_MIN
/* Dates in certificates are whole seconds. */
#define CAP_TOLERANCE_S 2

enum step { STEP_SIGN, STEP_REVOKE, STEP_REVOKE_WITH_KEY };

struct ca_op {
	struct ca_op *prev, *next; /* vault.ops */
	struct vault *owner;
	enum step step;
	ca_issued_fn *issued;	/* of an issue */
	ca_revoked_fn *revoked; /* of a revocation */
	void *arg;
	json_t *body;	    /* of sign, or of a revocation with the certificate alone */
	struct secret *key; /* of the leaf to be revoked */
	int64_t lifetime_ms;
	int64_t deadline_ms; /* monotonic */
	struct vault_waiter waiter;
	struct vault_call *call;
	uint64_t generation;	/* of the login that the call was made with */
	bool retried;		/* there was another login because of a denial */
	STACK_OF(X509) * chain; /* while anchors are waited for */
	struct timer *timer;	/* for the deadline; for the next turn when ended is set */
	struct fault *ended;	/* why it ends without an answer */
};

static void go_on(struct ca_op *op);

/* --- the end --- */

static void leave_waits(struct ca_op *op)
{
	vault_forget(&op->waiter);
	if (op->call)
		vault_call_cancel(TAKE(op->call));
}

/* The one completion. f and a are owned. */
static void complete(struct ca_op *op, struct fault *f, struct ca_answer *a)
{
	DL_DELETE(op->owner->ops, op);
	leave_waits(op);
	timer_free(op->timer);
	json_decref(op->body);
	secret_free(op->key);
	sk_X509_pop_free(op->chain, X509_free);
	fault_free(op->ended);
	ca_issued_fn *issued = op->issued;
	ca_revoked_fn *revoked = op->revoked;
	void *arg = op->arg;
	free(op);
	if (issued)
		issued(arg, f, a);
	else
		revoked(arg, f);
}

static void end_on_next_turn(struct ca_op *op, struct fault *why)
{
	if (op->ended) {
		fault_ignore(why, "the first reason stands");
		return;
	}
	op->ended = why;
	leave_waits(op);
	timer_start(op->timer, 0);
}

static struct fault *too_late(const struct ca_op *op)
{
	const char *where = op->call	? "it did not answer"
			    : op->chain ? "its anchors did not come"
					: "the login was not done";
	return fault_set_retryable(fault_new(FAULT_TIMEOUT, "%s: %s in time", op->owner->o.address, where), -1);
}

static void on_op_timer(void *arg)
{
	struct ca_op *op = arg;
	struct vault *v = op->owner;
	int64_t left = op->deadline_ms - clock_mono_ms(v->ca.env.clock);
	if (op->ended)
		complete(op, TAKE(op->ended), NULL);
	else if (left <= 0)
		complete(op, too_late(op), NULL);
	else
		timer_start(op->timer, left);
	vault_finish_close(v);
}

/* --- a leaf that came --- */

static void note_lifetime(struct vault *v, int64_t asked_s, int64_t got_s, const char *warnings)
{
	struct vault_cap *c = NULL;
	for (size_t i = 0; i < VAULT_CAPS_MAX && !c; i++)
		if (v->caps[i].asked_s == asked_s)
			c = &v->caps[i];
	bool capped = got_s < asked_s - CAP_TOLERANCE_S;
	if (!capped) {
		if (c)
			c->asked_s = 0;
		return;
	}
	int64_t moved = c ? llabs(c->got_s - got_s) : 0;
	if (c && moved <= CAP_TOLERANCE_S + c->got_s / 4)
		return;
	if (!c)
		c = &v->caps[v->cap_next++ % VAULT_CAPS_MAX];
	*c = (struct vault_cap){asked_s, got_s};
	log_event(LOG_WARN, "authority.lifetime_capped", LS("authority", v->ca.env.authority), LI("asked_s", asked_s),
		LI("got_s", got_s), LS("said", warnings));
}

static int64_t not_after_ms(X509 *leaf)
{
	struct tm end;
	return ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &end) == 1 ? (int64_t)timegm(&end) * MS_PER_S : 0;
}

static void note_warnings(struct vault *v, const char *warnings)
{
	if (!*warnings || (v->warned && strcmp(v->warned, warnings) == 0))
		return;
	log_event(LOG_WARN, "authority.warned", LS("authority", v->ca.env.authority), LS("said", warnings));
	free(v->warned);
	v->warned = mem_strdup(warnings);
}

static void note(struct ca_op *op, const json_t *root)
{
	struct vault *v = op->owner;
	struct buf warnings = BUF_INIT;
	int64_t got_ms = not_after_ms(sk_X509_value(op->chain, 0)) - clock_wall_ms(v->ca.env.clock);
	vault_answer_warnings(root, v->login.token, &warnings);
	note_lifetime(v, (op->lifetime_ms + MS_PER_S - 1) / MS_PER_S, got_ms / MS_PER_S, buf_text(&warnings));
	if (!strstr(buf_text(&warnings), "TTL")) /* that one was told as a lifetime */
		note_warnings(v, buf_text(&warnings));
	buf_free(&warnings);
}

/* Does the leaf's issuer lead to an anchor that is known? Its own dates are the core's to judge. */
static bool leads_to_anchor(const struct vault *v, STACK_OF(X509) * chain)
{
	STACK_OF(X509) *above = sk_X509_dup(chain);
	invariant(above);
	if (sk_X509_num(above) > 1)
		(void)sk_X509_shift(above);
	struct fault *f = anchors_verify(v->trust.anchors, above, 0, clock_wall_ms(v->ca.env.clock));
	sk_X509_free(above);
	bool leads = !f;
	fault_free(f);
	return leads;
}

static void give_leaf(struct ca_op *op)
{
	struct ca_answer *a = mem_new(struct ca_answer);
	a->chain = TAKE(op->chain);
	a->anchors = anchors_ref(op->owner->trust.anchors);
	complete(op, NULL, a);
}

/* Whatever the look found: the core says what is wrong with the leaf, if anything is. */
static void on_anchors(void *arg, struct fault *f)
{
	fault_ignore(f, "logged where it arose");
	give_leaf(arg);
}

/* An anchor is told before the first answer under it. */
static void take_leaf(struct ca_op *op, const json_t *root)
{
	struct vault *v = op->owner;
	struct fault *f = vault_answer_chain(root, &op->chain);
	if (f) {
		complete(op, fault_wrap(f, "%s: %s/sign/%s", v->o.address, v->o.mount, v->o.role), NULL);
		return;
	}
	note(op, root);
	X509 *top = sk_X509_value(op->chain, sk_X509_num(op->chain) - 1);
	if (sk_X509_num(op->chain) > 1 && vault_is_self_signed(top)) {
		vault_trust_learn(v, top);
		give_leaf(op);
	} else if (leads_to_anchor(v, op->chain)) {
		give_leaf(op);
	} else {
		op->waiter = (struct vault_waiter){.done = on_anchors, .arg = op};
		v->trust.forced = true;
		vault_trust_wait(v, &op->waiter);
	}
}

/* --- calls --- */

static const char *const functions[] = {
	[STEP_SIGN] = "sign", [STEP_REVOKE] = "revoke", [STEP_REVOKE_WITH_KEY] = "revoke-with-key"};

static char *path_of(const struct ca_op *op)
{
	const struct vault_options *o = &op->owner->o;
	return op->step == STEP_SIGN ? mem_printf("%s/sign/%s", o->mount, o->role)
				     : mem_printf("%s/%s", o->mount, functions[op->step]);
}

static void log_in_again(struct ca_op *op);

/* f is owned. */
static void denied(struct ca_op *op, struct fault *f)
{
	struct vault *v = op->owner;
	AUTO(mem_freep) char *path = path_of(op);
	if (!op->retried && vault_login_denied(v, op->generation)) {
		fault_ignore(f, "a login that ended: tried once more with a new one");
		op->retried = true;
		log_in_again(op);
	} else if (op->step == STEP_REVOKE) {
		fault_ignore(f, "whoever holds the key may revoke without that right");
		op->step = STEP_REVOKE_WITH_KEY;
		go_on(op);
	} else {
		if (op->step == STEP_SIGN)
			vault_login_denial_stands(v, op->generation);
		f = fault_wrap(f, "the policy of this login lacks: path \"%s\" { capabilities = [\"update\"] }", path);
		complete(op, f, NULL);
	}
}

static void on_answer(void *arg, struct fault *f, int status, const json_t *root)
{
	struct ca_op *op = arg;
	op->call = NULL;
	if (status == 403)
		denied(op, f);
	else if (f || op->step != STEP_SIGN)
		complete(op, f, NULL);
	else
		take_leaf(op, root);
}

static json_t *body_of(const struct ca_op *op)
{
	if (op->step != STEP_REVOKE_WITH_KEY)
		return json_incref(op->body);
	json_t *body = json_copy(op->body);
	invariant(body && json_object_set_new(body, "private_key",
				  vault_json_text((const char *)secret_bytes(op->key, NULL))) == 0);
	return body;
}

static void call(struct ca_op *op, const struct secret *token)
{
	struct vault *v = op->owner;
	AUTO(mem_freep) char *path = path_of(op);
	int64_t left = op->deadline_ms - clock_mono_ms(v->ca.env.clock);
	json_t *body = body_of(op);
	const struct vault_request r = {.method = "POST",
		.path = path,
		.body = body,
		.token = token,
		.client = v->login.used->client,
		.timeout_ms = left < CALL_TIMEOUT_MS ? left : CALL_TIMEOUT_MS,
		.hide = {op->key}};
	op->generation = v->login.generation;
	op->call = vault_call_start(v, &r, on_answer, op);
	json_decref(body);
}

static void on_login(void *arg, struct fault *f)
{
	struct ca_op *op = arg;
	if (f)
		complete(op, f, NULL);
	else
		go_on(op);
}

static void log_in_again(struct ca_op *op)
{
	op->waiter = (struct vault_waiter){.done = on_login, .arg = op};
	vault_login_wait(op->owner, &op->waiter);
}

static void go_on(struct ca_op *op)
{
	const struct secret *token = vault_login_token(op->owner);
	if (token)
		call(op, token);
	else
		log_in_again(op);
}

/* --- requests --- */

static void set(json_t *body, const char *key, json_t *value)
{
	invariant(value && json_object_set_new(body, key, value) == 0);
}

/* DNS names and e-mail addresses in one text, the others as lists. The names in the CSR count, unless the role says
 * that these do. */
static void add_names(json_t *body, const struct san_set *sans)
{
	struct buf alt = BUF_INIT;
	json_t *ip = json_array(), *uri = json_array();
	invariant(ip && uri);
	for (size_t i = 0; i < sans->count; i++) {
		const struct san *s = &sans->items[i];
		if (s->type == SAN_IP || s->type == SAN_URI)
			invariant(json_array_append_new(s->type == SAN_IP ? ip : uri, vault_json_text(s->value)) == 0);
		else
			buf_printf(&alt, "%s%s", alt.len ? "," : "", s->value);
	}
	if (alt.len)
		set(body, "alt_names", json_string(buf_text(&alt)));
	set(body, "ip_sans", ip);
	set(body, "uri_sans", uri);
	buf_free(&alt);
}

static void add_csr(json_t *body, X509_REQ *csr)
{
	char *text = NULL;
	BIO *bio = BIO_new(BIO_s_mem());
	invariant(bio && PEM_write_bio_X509_REQ(bio, csr) == 1);
	long len = BIO_get_mem_data(bio, &text);
	set(body, "csr", json_stringn(text, (size_t)len));
	BIO_free(bio);
}

static json_t *sign_body(const struct ca_request *r)
{
	json_t *body = json_object();
	invariant(body);
	AUTO(mem_freep)
	char *ttl = mem_printf("%llds", (long long)((r->lifetime_ms + MS_PER_S - 1) / MS_PER_S));
	add_csr(body, r->csr);
	add_names(body, r->sans);
	set(body, "ttl", json_string(ttl));
	set(body, "format", json_string("pem"));
	set(body, "exclude_cn_from_sans", json_true());
	return body;
}

static json_t *revoke_body(const struct ca_revocation *r)
{
	json_t *body = json_object();
	struct buf pem = BUF_INIT;
	invariant(body);
	pem_add_cert(credential_leaf(r->leaf), &pem);
	set(body, "certificate", json_string(buf_text(&pem)));
	buf_free(&pem);
	return body;
}

static struct ca_op *op_new(struct vault *v, enum step step, int64_t deadline_ms, void *arg)
{
	struct ca_op *op = mem_new(struct ca_op);
	op->owner = v;
	op->step = step;
	op->deadline_ms = deadline_ms;
	op->arg = arg;
	op->timer = timer_new(v->ca.env.loop, on_op_timer, op);
	DL_APPEND(v->ops, op);
	return op;
}

/* f is owned: why it cannot begin. */
static void begin(struct ca_op *op, struct fault *f)
{
	struct vault *v = op->owner;
	int64_t left = op->deadline_ms - clock_mono_ms(v->ca.env.clock);
	if (!f && (v->closing || !v->started))
		f = fault_set_retryable(
			fault_new(FAULT_UNAVAILABLE, "the authority is %s", v->closing ? "closing" : "not ready"), -1);
	if (f) {
		end_on_next_turn(op, f);
		return;
	}
	timer_start(op->timer, left > 0 ? left : 0);
	if (left > 0)
		go_on(op);
}

struct ca_op *vault_issue(struct ca *ca, const struct ca_request *r, ca_issued_fn *done, void *arg)
{
	struct ca_op *op = op_new(vault_of(ca), STEP_SIGN, r->deadline_ms, arg);
	op->issued = done;
	op->lifetime_ms = r->lifetime_ms;
	op->body = sign_body(r);
	begin(op, NULL);
	return op;
}

struct ca_op *vault_revoke(struct ca *ca, const struct ca_revocation *r, ca_revoked_fn *done, void *arg)
{
	struct ca_op *op = op_new(vault_of(ca), STEP_REVOKE, r->deadline_ms, arg);
	op->revoked = done;
	op->body = revoke_body(r);
	begin(op, credential_key_pem(r->leaf, &op->key));
	return op;
}

void vault_cancel(struct ca_op *op)
{
	end_on_next_turn(op, fault_new(FAULT_UNAVAILABLE, "cancelled"));
}

void vault_end_ops(struct vault *v)
{
	struct ca_op *op;
	DL_FOREACH (v->ops, op)
		end_on_next_turn(op, fault_new(FAULT_UNAVAILABLE, "the authority is closing"));
}
