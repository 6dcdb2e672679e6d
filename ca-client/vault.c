/* ca-client/vault.c - the driver and its life: files and login first, then the anchors, then it is ready. */
#include "ca-client/vault.h"
#include "base/anchors.h"
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/mem.h"
#include "ca-client/vault_internal.h"

void vault_finish_close(struct vault *v)
{
	if (!v->closing || !v->turned || v->pending || v->ops)
		return;
	void (*closed)(void *arg) = v->closed;
	void *arg = v->closed_arg;
	vault_login_done(v);
	vault_trust_done(v);
	vault_role_done(v);
	anchors_unref(v->server_roots);
	timer_free(v->turn);
	vault_options_done(&v->o);
	free(v->warned);
	free(v->roots_told);
	free(v);
	closed(arg);
}

/* f is owned. */
static void tell_ready(struct vault *v, struct fault *f)
{
	void (*ready)(void *arg, struct fault *f2) = v->ready;
	v->ready = NULL;
	ready(v->ready_arg, f);
}

static void on_anchors(void *arg, struct fault *f)
{
	struct vault *v = arg;
	if (f) {
		tell_ready(v, f);
		return;
	}
	v->started = true;
	vault_trust_poll(v);
	vault_login_watch(v);
	vault_role_look(v);
	tell_ready(v, NULL);
}

static void on_logged_in(void *arg, struct fault *f)
{
	struct vault *v = arg;
	if (f) {
		tell_ready(v, f);
		return;
	}
	v->starting.done = on_anchors;
	vault_trust_wait(v, &v->starting);
}

static void start(struct ca *ca, void (*ready)(void *arg, struct fault *f), void *arg)
{
	struct vault *v = vault_of(ca);
	invariant(!v->ready && !v->closing && !v->started);
	v->ready = ready;
	v->ready_arg = arg;
	v->starting = (struct vault_waiter){.done = on_logged_in, .arg = v};
	vault_login_wait(v, &v->starting);
}

static struct anchors *get_anchors(struct ca *ca)
{
	struct vault *v = vault_of(ca);
	return v->started ? v->trust.anchors : NULL;
}

static void on_turn(void *arg)
{
	struct vault *v = arg;
	v->turned = true;
	vault_finish_close(v);
}

static void close_vault(struct ca *ca, void (*closed)(void *arg), void *arg)
{
	struct vault *v = vault_of(ca);
	v->closing = true;
	v->closed = closed;
	v->closed_arg = arg;
	v->ready = NULL;
	vault_forget(&v->starting);
	vault_login_stop(v);
	vault_trust_stop(v);
	vault_role_stop(v);
	vault_end_ops(v);
	timer_start(v->turn, 0);
}

static const struct ca_driver driver = {.type = "vault",
	.capabilities = CA_TRUST_CHANGES | CA_REVOKE,
	.start = start,
	.issue = vault_issue,
	.revoke = vault_revoke,
	.cancel = vault_cancel,
	.anchors = get_anchors,
	.login_ends_at_ms = vault_login_ends_at_ms,
	.close = close_vault};

struct fault *vault_new(const struct vault_options *o, const struct ca_env *env, struct ca **ret)
{
	TRY(vault_options_check(o));
	struct vault *v = mem_new(struct vault);
	v->ca.driver = &driver;
	v->ca.env = *env;
	vault_options_copy(o, &v->o);
	vault_login_init(v);
	vault_trust_init(v);
	v->turn = timer_new(env->loop, on_turn, v);
	*ret = &v->ca;
	return NULL;
}
