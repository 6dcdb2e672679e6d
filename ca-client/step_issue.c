/* ca-client/step_issue.c - leaves and revocations under way. A renewal goes by rekey under the leaf in use where that
 * gives what is asked for; everything else, and a rekey that was refused, by a fresh token, and a token that was
 * refused by one more. Each piece of work is one request at a time, and ends with its last one; op.h holds what its
 * caller waits for. */
#include <openssl/bn.h>
#include <openssl/pem.h>
#include <string.h>
#include "base/clock.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/io/http.h"
#include "base/log.h"
#include "base/mem.h"
#include "ca-client/op.h"
#include "ca-client/step_internal.h"

/* A rekeyed leaf has the life of the one before: it will do when that is what is asked for, up to a backdate. */
#define REKEY_TOLERANCE_MS (INT64_C(2) * MS_PER_MIN)

enum move { MOVE_REKEY, MOVE_SIGN, MOVE_SIGN_AGAIN, MOVE_REVOKE };

struct step_work {
	struct step *owner;
	struct ca_op *op; /* NULL: nobody waits any more */
	enum move move;
	X509_REQ *csr; /* of an issue */
	struct san_set sans;
	struct credential *client; /* the leaf in use, or the one to be revoked */
	enum ca_reason reason;
	int64_t lifetime_ms;
	struct http_call *call;
};

static void work_free(struct step_work *w)
{
	X509_REQ_free(w->csr);
	san_set_free(&w->sans);
	credential_unref(w->client);
	free(w);
}

/* f and a are owned. */
static void complete(struct step_work *w, struct fault *f, struct ca_answer *a)
{
	struct ca_op *op = w->op;
	work_free(w);
	if (op) {
		op_complete(op, f, a);
	} else {
		fault_ignore(f, "nobody waits for it");
		ca_answer_free(a);
	}
}

static void on_abandoned(void *work)
{
	struct step_work *w = work;
	w->op = NULL;
	http_cancel(w->call); /* its completion, on a later turn, frees the work */
}

/* Before there is a request. f is owned. */
static void end_on_next_turn(struct step_work *w, struct fault *f)
{
	struct ca_op *op = w->op;
	op->abandon = NULL;
	op->work = NULL;
	work_free(w);
	op_end_later(op, f);
}

static char *csr_pem(X509_REQ *csr)
{
	BIO *bio = BIO_new(BIO_s_mem());
	char *text;
	invariant(bio && PEM_write_bio_X509_REQ(bio, csr) == 1);
	long len = BIO_get_mem_data(bio, &text);
	char *copy = mem_strndup(text, (size_t)len);
	BIO_free(bio);
	return copy;
}

static struct fault *token_for(struct step_work *w, const char *path, const char *subject, struct buf *ret)
{
	struct step *s = w->owner;
	if (!s->signer)
		return fault_set_retryable(fault_new(FAULT_UNAVAILABLE, "the provisioner's key was not read yet"), -1);
	AUTO(mem_freep)
	char *audience = mem_printf("%s/1.0/%s%s%s", s->o.address, path, s->o.certificate_file ? "#x5c/" : "",
		s->o.certificate_file ? s->o.provisioner : "");
	const struct step_claims claims = {.issuer = s->o.provisioner,
		.audience = audience,
		.subject = subject,
		.sans = w->csr ? &w->sans : NULL,
		.csr = w->csr,
		.now_s = clock_wall_ms(s->ca.env.clock) / MS_PER_S};
	return step_token(s->signer, &claims, ret);
}

static step_call_fn on_answer;

static void post(struct step_work *w, const char *path, json_t *body, struct credential *client)
{
	const struct step_request r = {
		.method = "POST", .path = path, .body = body, .client = client, .timeout_ms = op_left_ms(w->op)};
	w->call = step_call(w->owner, &r, on_answer, w);
	json_decref(body);
}

static void rekey(struct step_work *w)
{
	AUTO(mem_freep) char *csr = csr_pem(w->csr);
	post(w, "/1.0/rekey", json_pack("{s:s}", "csr", csr), w->client);
}

static void sign(struct step_work *w)
{
	struct buf token = BUF_SECRET_INIT;
	struct fault *f = token_for(w, "sign", w->sans.items[0].value, &token);
	if (f) {
		end_on_next_turn(w, f);
	} else {
		AUTO(mem_freep) char *csr = csr_pem(w->csr);
		AUTO(mem_freep) char *life = mem_printf("%llds", (long long)(w->lifetime_ms / MS_PER_S));
		post(w, "/1.0/sign",
			json_pack("{s:s, s:s, s:s}", "csr", csr, "ott", buf_text(&token), "notAfter", life), NULL);
	}
	buf_free(&token);
}

static char *serial_of(const struct credential *c)
{
	BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(credential_leaf(c)), NULL);
	char *decimal = n ? BN_bn2dec(n) : NULL, *copy;
	invariant(decimal);
	copy = mem_strdup(decimal);
	OPENSSL_free(decimal);
	BN_free(n);
	return copy;
}

static void send_revocation(struct step_work *w)
{
	struct buf token = BUF_SECRET_INIT;
	AUTO(mem_freep) char *serial = serial_of(w->client);
	struct fault *f = token_for(w, "revoke", serial, &token);
	if (f)
		end_on_next_turn(w, f);
	else
		post(w, "/1.0/revoke",
			json_pack("{s:s, s:s, s:i, s:s, s:b}", "serial", serial, "ott", buf_text(&token), "reasonCode",
				(int)w->reason, "reason", "ordered by leafcast's operator", "passive", 1),
			NULL);
	buf_free(&token);
}

static void take_leaf(struct step_work *w, const json_t *root)
{
	STACK_OF(X509) *chain = NULL;
	struct fault *f = step_answer_chain(root, &chain);
	struct ca_answer *a = f ? NULL : mem_new(struct ca_answer);
	if (a)
		a->chain = chain;
	complete(w, f, a);
}

/* A rekey that failed, for whatever reason but our own end and the clock's, is one more reason for a token: an expired
 * or foreign leaf ends in the TLS handshake, without an answer. */
static bool go_on(struct step_work *w, const struct fault *f, int status)
{
	if (w->owner->closing || !w->op || op_left_ms(w->op) == 0)
		return false;
	if (w->move == MOVE_REKEY) {
		log_event(LOG_INFO, "authority.rekey_refused", LS("authority", w->owner->ca.env.authority), LF(f),
			LS("effect", "a token is used instead"));
		w->move = MOVE_SIGN;
		sign(w);
		return true;
	}
	if (w->move == MOVE_SIGN && status == 401) { /* it holds once, and not from before the server's start */
		w->move = MOVE_SIGN_AGAIN;
		sign(w);
		return true;
	}
	return false;
}

static void on_answer(void *arg, struct fault *f, int status, const json_t *root)
{
	struct step_work *w = arg;
	bool revokes = w->move == MOVE_REVOKE;
	w->call = NULL;
	if (f && go_on(w, f, status)) {
		fault_ignore(f, "another way is tried");
		return;
	}
	if (f && status == 401)
		step_look(w->owner); /* perhaps the files have changed */
	if (revokes && f && status == 400 && strstr(fault_text(f), "already revoked")) {
		fault_ignore(f, "that is what was wanted");
		f = NULL;
	}
	if (f || revokes)
		complete(w, f, NULL);
	else
		take_leaf(w, root);
}

/* --- the driver's side --- */

static bool may_rekey(const struct step *s, const struct ca_request *r)
{
	if (!r->current)
		return false;
	const struct cert_info *info = credential_info(r->current);
	int64_t life = info->not_after_ms - info->not_before_ms, other = life - r->lifetime_ms;
	return san_set_equal(&info->sans, r->sans) && other >= -REKEY_TOLERANCE_MS / 2 && other <= REKEY_TOLERANCE_MS &&
	       info->not_after_ms > clock_wall_ms(s->ca.env.clock);
}

/* NULL: the op ends without a request. */
static struct step_work *begin(struct step *s, struct ca_op *op)
{
	if (s->closing || !s->started) {
		op_end_later(op, fault_set_retryable(fault_new(FAULT_UNAVAILABLE, "the authority is %s",
							     s->closing ? "closing" : "not ready"),
					 -1));
		return NULL;
	}
	if (op_left_ms(op) == 0)
		return NULL; /* its own timer ends it */
	struct step_work *w = mem_new(struct step_work);
	w->owner = s;
	w->op = op;
	op->abandon = on_abandoned;
	op->work = w;
	return w;
}

struct ca_op *step_issue(struct ca *ca, const struct ca_request *r, ca_issued_fn *done, void *arg)
{
	struct step *s = step_of(ca);
	struct ca_op *op = op_new_issue(&s->ops, r->deadline_ms, done, arg);
	struct step_work *w = begin(s, op);
	if (!w)
		return op;
	w->csr = X509_REQ_dup(r->csr);
	invariant(w->csr && r->sans->count);
	san_set_copy(r->sans, &w->sans);
	w->lifetime_ms = r->lifetime_ms;
	w->move = MOVE_SIGN;
	if (may_rekey(s, r)) {
		w->client = credential_ref(r->current);
		w->move = MOVE_REKEY;
		rekey(w);
	} else {
		sign(w);
	}
	return op;
}

struct ca_op *step_revoke(struct ca *ca, const struct ca_revocation *r, ca_revoked_fn *done, void *arg)
{
	struct step *s = step_of(ca);
	struct ca_op *op = op_new_revoke(&s->ops, r->deadline_ms, done, arg);
	struct step_work *w = begin(s, op);
	if (!w)
		return op;
	w->client = credential_ref(r->leaf);
	w->reason = r->reason;
	w->move = MOVE_REVOKE;
	send_revocation(w);
	return op;
}
