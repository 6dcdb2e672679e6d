/* ca-client/step_issue.c - leaves and revocations under way. A renewal goes by rekey under the leaf in use where that
 * gives what is asked for; everything else, and a rekey that was refused, by a fresh token, and a token that was
 * refused by one more. Each op is one request at a time and has one completion. */
#include <openssl/bn.h>
#include <openssl/pem.h>
#include <string.h>
#include "base/clock.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/io/http.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/table.h"
#include "ca-client/step_internal.h"

/* A rekeyed leaf has the life of the one before: it will do when that is what is asked for, up to a backdate. */
#define REKEY_TOLERANCE_MS (INT64_C(2) * MS_PER_MIN)

enum move { MOVE_REKEY, MOVE_SIGN, MOVE_SIGN_AGAIN, MOVE_REVOKE };

struct ca_op {
	struct ca_op *prev, *next; /* step.ops */
	struct step *owner;
	enum move move;
	ca_issued_fn *issued;
	ca_revoked_fn *revoked; /* of a revocation */
	void *arg;
	X509_REQ *csr;
	struct san_set sans;
	struct credential *client; /* the leaf in use, or the one to be revoked */
	enum ca_reason reason;
	int64_t lifetime_ms, deadline_ms; /* the deadline: monotonic */
	struct http_call *call;
	struct timer *turn;
	struct fault *ended; /* for the turn: why it ends before its first request */
};

/* f and a are owned. */
static void complete(struct ca_op *op, struct fault *f, struct ca_answer *a)
{
	ca_issued_fn *issued = op->issued;
	ca_revoked_fn *revoked = op->revoked;
	void *arg = op->arg;
	DL_DELETE(op->owner->ops, op);
	timer_free(op->turn);
	X509_REQ_free(op->csr);
	san_set_free(&op->sans);
	credential_unref(op->client);
	fault_free(op->ended);
	free(op);
	if (issued)
		issued(arg, f, a);
	else
		revoked(arg, f);
}

static int64_t left_ms(const struct ca_op *op)
{
	int64_t left = op->deadline_ms - clock_mono_ms(op->owner->ca.env.clock);
	return left > 1 ? left : 1;
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

static struct fault *token_for(struct ca_op *op, const char *path, const char *subject, struct buf *ret)
{
	struct step *s = op->owner;
	if (!s->signer)
		return fault_set_retryable(fault_new(FAULT_UNAVAILABLE, "the provisioner's key was not read yet"), -1);
	AUTO(mem_freep)
	char *audience = mem_printf("%s/1.0/%s%s%s", s->o.address, path, s->o.certificate_file ? "#x5c/" : "",
		s->o.certificate_file ? s->o.provisioner : "");
	const struct step_claims claims = {.issuer = s->o.provisioner,
		.audience = audience,
		.subject = subject,
		.sans = op->csr ? &op->sans : NULL,
		.csr = op->csr,
		.now_s = clock_wall_ms(s->ca.env.clock) / MS_PER_S};
	return step_token(s->signer, &claims, ret);
}

static step_call_fn on_answer;

static void post(struct ca_op *op, const char *path, json_t *body, struct credential *client)
{
	const struct step_request r = {
		.method = "POST", .path = path, .body = body, .client = client, .timeout_ms = left_ms(op)};
	op->call = step_call(op->owner, &r, on_answer, op);
	json_decref(body);
}

static void end_on_next_turn(struct ca_op *op, struct fault *f)
{
	op->ended = f;
	timer_start(op->turn, 0);
}

static void on_turn(void *arg)
{
	struct ca_op *op = arg;
	struct step *s = op->owner;
	complete(op, TAKE(op->ended), NULL);
	step_finish_close(s);
}

static void rekey(struct ca_op *op)
{
	AUTO(mem_freep) char *csr = csr_pem(op->csr);
	post(op, "/1.0/rekey", json_pack("{s:s}", "csr", csr), op->client);
}

static void sign(struct ca_op *op)
{
	struct buf token = BUF_SECRET_INIT;
	struct fault *f = token_for(op, "sign", op->sans.items[0].value, &token);
	if (f) {
		end_on_next_turn(op, f);
	} else {
		AUTO(mem_freep) char *csr = csr_pem(op->csr);
		AUTO(mem_freep) char *life = mem_printf("%llds", (long long)(op->lifetime_ms / MS_PER_S));
		post(op, "/1.0/sign",
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

static void send_revocation(struct ca_op *op)
{
	struct buf token = BUF_SECRET_INIT;
	AUTO(mem_freep) char *serial = serial_of(op->client);
	struct fault *f = token_for(op, "revoke", serial, &token);
	if (f)
		end_on_next_turn(op, f);
	else
		post(op, "/1.0/revoke",
			json_pack("{s:s, s:s, s:i, s:s, s:b}", "serial", serial, "ott", buf_text(&token), "reasonCode",
				(int)op->reason, "reason", "ordered by leafcast's operator", "passive", 1),
			NULL);
	buf_free(&token);
}

static void take_leaf(struct ca_op *op, const json_t *root)
{
	STACK_OF(X509) *chain = NULL;
	struct fault *f = step_answer_chain(root, &chain);
	struct ca_answer *a = f ? NULL : mem_new(struct ca_answer);
	if (a)
		a->chain = chain;
	complete(op, f, a);
}

/* A rekey that failed, for whatever reason but our own end and the clock's, is one more reason for a token: an expired
 * or foreign leaf ends in the TLS handshake, without an answer. */
static bool go_on(struct ca_op *op, const struct fault *f, int status)
{
	if (op->owner->closing || op->ended || left_ms(op) <= 1)
		return false;
	if (op->move == MOVE_REKEY) {
		log_event(LOG_INFO, "authority.rekey_refused", LS("authority", op->owner->ca.env.authority), LF(f),
			LS("effect", "a token is used instead"));
		op->move = MOVE_SIGN;
		sign(op);
		return true;
	}
	if (op->move == MOVE_SIGN && status == 401) { /* it holds once, and not from before the server's start */
		op->move = MOVE_SIGN_AGAIN;
		sign(op);
		return true;
	}
	return false;
}

static void on_answer(void *arg, struct fault *f, int status, const json_t *root)
{
	struct ca_op *op = arg;
	op->call = NULL;
	if (op->ended) {
		fault_ignore(f, "it was cancelled");
		complete(op, TAKE(op->ended), NULL);
		return;
	}
	if (f && go_on(op, f, status)) {
		fault_ignore(f, "another way is tried");
		return;
	}
	if (f && status == 401)
		step_look(op->owner); /* perhaps the files have changed */
	if (op->revoked && f && status == 400 && strstr(fault_text(f), "already revoked")) {
		fault_ignore(f, "that is what was wanted");
		f = NULL;
	}
	if (f || op->revoked)
		complete(op, f, NULL);
	else
		take_leaf(op, root);
}

/* --- the driver's side --- */

static struct ca_op *new_op(struct step *s, int64_t deadline_ms, void *arg)
{
	struct ca_op *op = mem_new(struct ca_op);
	op->owner = s;
	op->arg = arg;
	op->deadline_ms = deadline_ms;
	op->turn = timer_new(s->ca.env.loop, on_turn, op);
	DL_APPEND(s->ops, op);
	return op;
}

static bool may_rekey(const struct step *s, const struct ca_request *r)
{
	if (!r->current)
		return false;
	const struct cert_info *info = credential_info(r->current);
	int64_t life = info->not_after_ms - info->not_before_ms, other = life - r->lifetime_ms;
	return san_set_equal(&info->sans, r->sans) && other >= -REKEY_TOLERANCE_MS / 2 && other <= REKEY_TOLERANCE_MS &&
	       info->not_after_ms > clock_wall_ms(s->ca.env.clock);
}

struct ca_op *step_issue(struct ca *ca, const struct ca_request *r, ca_issued_fn *done, void *arg)
{
	struct step *s = step_of(ca);
	struct ca_op *op = new_op(s, r->deadline_ms, arg);
	op->issued = done;
	op->csr = X509_REQ_dup(r->csr);
	invariant(op->csr && r->sans->count);
	san_set_copy(r->sans, &op->sans);
	op->lifetime_ms = r->lifetime_ms;
	op->move = MOVE_SIGN;
	if (may_rekey(s, r)) {
		op->client = credential_ref(r->current);
		op->move = MOVE_REKEY;
		rekey(op);
	} else {
		sign(op);
	}
	return op;
}

struct ca_op *step_revoke(struct ca *ca, const struct ca_revocation *r, ca_revoked_fn *done, void *arg)
{
	struct ca_op *op = new_op(step_of(ca), r->deadline_ms, arg);
	op->revoked = done;
	op->client = credential_ref(r->leaf);
	op->reason = r->reason;
	op->move = MOVE_REVOKE;
	send_revocation(op);
	return op;
}

void step_cancel(struct ca_op *op)
{
	if (op->ended)
		return;
	op->ended = fault_new(FAULT_UNAVAILABLE, "cancelled");
	if (op->call)
		http_cancel(op->call); /* its completion, on a later turn, is the op's */
	else
		timer_start(op->turn, 0);
}

void step_end_ops(struct step *s)
{
	struct ca_op *op;
	DL_FOREACH (s->ops, op)
		step_cancel(op);
}
