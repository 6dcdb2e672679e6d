#include "fake_ca.h"
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include "base/anchors.h"
#include "base/clock.h"
#include "base/io/loop.h"
#include "base/mem.h"
#include "base/table.h"

struct fake_op {
	struct fake_op *prev, *next;
	struct fake_ca *owner;
	struct fake_script script;
	struct timer *timer;
	X509_REQ *csr;
	struct san_set sans;
	int64_t lifetime_ms, deadline_ms;
	bool late, cancelled;
	ca_issued_fn *done;
	ca_revoked_fn *revoked; /* instead: it is a revocation */
	char serial[64];
	enum ca_reason reason;
	void *arg;
};

struct fake_ca *fake_ca_of(struct ca *ca)
{
	return (struct fake_ca *)ca;
}

static void add(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	invariant(e && X509_add_ext(cert, e, -1) == 1);
	X509_EXTENSION_free(e);
}

static void add_sans(X509 *cert, const struct fake_op *op)
{
	struct san_set other = {NULL, 0};
	X509_EXTENSION *e = NULL;
	fault_ignore(san_set_add(&other, SAN_DNS, "other.example"), "it is a name");
	struct fault *f = san_set_to_extension(op->script.lie == FAKE_OTHER_NAME ? &other : &op->sans, true, &e);
	invariant(!f && X509_add_ext(cert, e, -1) == 1);
	X509_EXTENSION_free(e);
	san_set_free(&other);
}

static X509 *sign(const struct fake_op *op)
{
	const struct pki_ca *ca = op->script.root ? op->script.root : &op->owner->root;
	EVP_PKEY *other = op->script.lie == FAKE_OTHER_KEY ? EVP_EC_gen("P-256") : NULL;
	EVP_PKEY *key = other ? other : X509_REQ_get0_pubkey(op->csr);
	int64_t now_s = clock_wall_ms(op->owner->ca.env.clock) / 1000, life_ms = op->lifetime_ms;
	X509 *cert = X509_new();
	BIGNUM *serial = BN_new();
	if (op->script.lifetime_most_ms && op->script.lifetime_most_ms < life_ms)
		life_ms = op->script.lifetime_most_ms;
	now_s -= op->script.backdate_ms / 1000;
	invariant(cert && key && serial && X509_set_version(cert, 2) == 1);
	invariant(BN_rand(serial, 120, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1);
	invariant(BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert)));
	invariant(X509_set_issuer_name(cert, X509_get_subject_name(ca->cert)) == 1 && X509_set_pubkey(cert, key) == 1);
	invariant(ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)now_s));
	invariant(ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)(now_s + life_ms / 1000)));
	add(cert, ca->cert, NID_basic_constraints,
		op->script.lie == FAKE_IS_CA ? "critical,CA:TRUE" : "critical,CA:FALSE");
	add(cert, ca->cert, NID_key_usage, "critical,digitalSignature");
	add(cert, ca->cert, NID_ext_key_usage, "serverAuth,clientAuth");
	add_sans(cert, op);
	add(cert, ca->cert, NID_authority_key_identifier, "keyid");
	invariant(X509_sign(cert, ca->key, EVP_sha256()) > 0);
	BN_free(serial);
	EVP_PKEY_free(other);
	return cert;
}

static void finish_close(struct fake_ca *f)
{
	if (!f->closed || f->ops)
		return;
	void (*closed)(void *arg) = f->closed;
	void *arg = f->closed_arg;
	timer_free(f->turn);
	anchors_unref(f->anchors);
	pki_ca_free(&f->root);
	free(f);
	closed(arg);
}

static void complete(struct fake_op *op, struct fault *fault, struct ca_answer *answer)
{
	struct fake_ca *f = op->owner;
	ca_issued_fn *done = op->done;
	ca_revoked_fn *revoked = op->revoked;
	void *arg = op->arg;
	DL_DELETE(f->ops, op);
	f->running--;
	timer_free(op->timer);
	X509_REQ_free(op->csr);
	san_set_free(&op->sans);
	free(op);
	if (revoked)
		revoked(arg, fault);
	else
		done(arg, fault, answer);
	if (f->closed)
		timer_start(f->turn, 0);
}

static void on_due(void *arg)
{
	struct fake_op *op = arg;
	if (op->cancelled || op->owner->closed) {
		complete(op, fault_new(FAULT_UNAVAILABLE, "cancelled"), NULL);
	} else if (op->late) {
		complete(op, fault_set_retryable(fault_new(FAULT_TIMEOUT, "no answer in time"), -1), NULL);
	} else if (op->script.fault) {
		struct fault *f = fault_new(op->script.fault, "as the test ordered");
		if (op->script.retryable)
			f = fault_set_retryable(f, op->script.retry_after_ms ? op->script.retry_after_ms : -1);
		complete(op, f, NULL);
	} else if (op->revoked) {
		struct fake_ca *f = op->owner;
		f->revocations++;
		f->reason = op->reason;
		memcpy(f->revoked, op->serial, sizeof f->revoked);
		complete(op, NULL, NULL);
	} else {
		struct ca_answer *a = mem_new(struct ca_answer);
		a->chain = sk_X509_new_null();
		invariant(a->chain && sk_X509_push(a->chain, sign(op)) == 1);
		a->request_id = mem_printf("fake-%zu", op->owner->requests);
		op->owner->answered++;
		if (op->script.renew.to_ms) {
			int64_t now = clock_wall_ms(op->owner->ca.env.clock);
			a->renew = (struct ca_hint){now + op->script.renew.from_ms, now + op->script.renew.to_ms};
		}
		complete(op, NULL, a);
	}
}

static struct ca_op *issue(struct ca *ca, const struct ca_request *r, ca_issued_fn *done, void *arg)
{
	struct fake_ca *f = fake_ca_of(ca);
	struct fake_op *op = mem_new(struct fake_op);
	op->owner = f;
	op->script = f->has_next ? f->next : f->script;
	f->has_next = false;
	op->done = done;
	op->arg = arg;
	op->csr = X509_REQ_dup(r->csr);
	san_set_copy(r->sans, &op->sans);
	op->lifetime_ms = f->lifetime_ms = r->lifetime_ms;
	op->deadline_ms = r->deadline_ms;
	op->timer = timer_new(ca->env.loop, on_due, op);
	DL_APPEND(f->ops, op);
	f->requests++;
	if (++f->running > f->running_most)
		f->running_most = f->running;
	int64_t left = f->time_left_ms = r->deadline_ms - clock_mono_ms(ca->env.clock);
	op->late = op->script.delay_ms == FAKE_NEVER || op->script.delay_ms > left;
	timer_start(op->timer, op->late ? (left > 0 ? left : 0) : op->script.delay_ms);
	return (struct ca_op *)op;
}

static struct ca_op *begin_revocation(struct ca *ca, const struct ca_revocation *r, ca_revoked_fn *done, void *arg)
{
	struct fake_ca *f = fake_ca_of(ca);
	struct fake_op *op = mem_new(struct fake_op);
	op->owner = f;
	op->script = f->has_next ? f->next : f->script;
	f->has_next = false;
	op->revoked = done;
	op->arg = arg;
	op->reason = r->reason;
	(void)snprintf(op->serial, sizeof op->serial, "%s", credential_info(r->leaf)->serial);
	op->timer = timer_new(ca->env.loop, on_due, op);
	DL_APPEND(f->ops, op);
	f->running++;
	int64_t left = r->deadline_ms - clock_mono_ms(ca->env.clock);
	op->late = op->script.delay_ms == FAKE_NEVER || op->script.delay_ms > left;
	timer_start(op->timer, op->late ? (left > 0 ? left : 0) : op->script.delay_ms);
	return (struct ca_op *)op;
}

static void cancel(struct ca_op *o)
{
	struct fake_op *op = (struct fake_op *)o;
	if (!op->cancelled)
		op->owner->cancelled++;
	op->cancelled = true;
	timer_start(op->timer, 0);
}

static void on_turn(void *arg)
{
	struct fake_ca *f = arg;
	if (f->closed) {
		finish_close(f);
	} else if (f->ready) {
		void (*ready)(void *arg2, struct fault *fault) = f->ready;
		f->ready = NULL;
		ready(f->ready_arg, f->start_fault
					    ? fault_set_retryable(fault_new(f->start_fault, "as the test ordered"), -1)
					    : NULL);
	}
}

static void start(struct ca *ca, void (*ready)(void *arg, struct fault *f), void *arg)
{
	struct fake_ca *f = fake_ca_of(ca);
	f->ready = ready;
	f->ready_arg = arg;
	f->starts++;
	if (!f->start_hangs)
		timer_start(f->turn, 0);
}

static struct anchors *anchors(struct ca *ca)
{
	struct fake_ca *f = fake_ca_of(ca);
	return f->start_fault || f->start_hangs ? NULL : f->anchors;
}

static void close_driver(struct ca *ca, void (*closed)(void *arg), void *arg)
{
	struct fake_ca *f = fake_ca_of(ca);
	struct fake_op *op;
	f->closed = closed;
	f->closed_arg = arg;
	DL_FOREACH (f->ops, op)
		timer_start(op->timer, 0);
	timer_start(f->turn, 0);
}

static const struct ca_driver driver = {.type = "fake",
	.capabilities = CA_TRUST_CHANGES | CA_REVOKE,
	.start = start,
	.issue = issue,
	.revoke = begin_revocation,
	.cancel = cancel,
	.anchors = anchors,
	.close = close_driver};

struct fake_ca *fake_ca_new(const struct ca_env *env, const struct pki_ca *root)
{
	struct fake_ca *f = mem_new(struct fake_ca);
	f->ca.driver = &driver;
	f->ca.env = *env;
	if (root) {
		f->root = *root;
		invariant(X509_up_ref(root->cert) == 1 && EVP_PKEY_up_ref(root->key) == 1);
	} else {
		f->root = pki_ca_new(env->authority);
	}
	f->anchors = pki_anchors(&f->root, 1);
	f->turn = timer_new(env->loop, on_turn, f);
	return f;
}

void fake_ca_show(struct fake_ca *f, const struct pki_ca *roots, size_t count)
{
	anchors_unref(f->anchors);
	f->anchors = pki_anchors(roots, count);
	f->ca.env.on_trust(f->ca.env.arg);
}

void fake_ca_next(struct fake_ca *f, struct fake_script s)
{
	f->next = s;
	f->has_next = true;
}
