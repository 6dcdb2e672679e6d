#include "ca-client/ca.h"
#include "base/anchors.h"
#include "base/io/loop.h"
#include "base/mem.h"

void ca_answer_free(struct ca_answer *a)
{
	if (!a)
		return;
	sk_X509_pop_free(a->chain, X509_free);
	anchors_unref(a->anchors);
	free(a->request_id);
	free(a);
}

void ca_start(struct ca *ca, void (*ready)(void *arg, struct fault *f), void *arg)
{
	loop_assert(ca->env.loop);
	ca->driver->start(ca, ready, arg);
}

struct ca_op *ca_issue(struct ca *ca, const struct ca_request *r, ca_issued_fn *done, void *arg)
{
	loop_assert(ca->env.loop);
	return ca->driver->issue(ca, r, done, arg);
}

struct ca_op *ca_revoke(struct ca *ca, const struct ca_revocation *r, ca_revoked_fn *done, void *arg)
{
	loop_assert(ca->env.loop);
	invariant(ca->driver->capabilities & CA_REVOKE);
	return ca->driver->revoke(ca, r, done, arg);
}

void ca_new_root(struct ca *ca, void (*done)(void *arg, struct fault *f), void *arg)
{
	loop_assert(ca->env.loop);
	invariant(ca->driver->capabilities & CA_NEW_ROOT);
	ca->driver->new_root(ca, done, arg);
}

void ca_cancel(struct ca_op *op, struct ca *ca)
{
	loop_assert(ca->env.loop);
	ca->driver->cancel(op);
}

struct anchors *ca_anchors(struct ca *ca)
{
	return ca->driver->anchors(ca);
}

int64_t ca_login_ends_at_ms(struct ca *ca)
{
	return ca->driver->login_ends_at_ms ? ca->driver->login_ends_at_ms(ca) : 0;
}

unsigned ca_capabilities(const struct ca *ca)
{
	return ca->driver->capabilities;
}

void ca_close(struct ca *ca, void (*closed)(void *arg), void *arg)
{
	loop_assert(ca->env.loop);
	ca->driver->close(ca, closed, arg);
}
