/* sds/tls.c - the TLS side of TCP listeners: each new handshake reads the newest certificate and client roots from an
 * immutable snapshot. gRPC asks on whichever thread does the handshake, for every handshake. */
#include <grpc/grpc_security.h>
#include <string.h>
#include "base/anchors.h"
#include "base/buf.h"
#include "base/clock.h"
#include "base/credential.h"
#include "base/io/cell.h"
#include "base/mem.h"
#include "base/ref.h"
#include "base/secret.h"
#include "control/identity.h"
#include "sds/internal.h"

struct snapshot {
	struct ref ref;
	char *chain_pem, *roots_pem;
	struct secret *key_pem;
	struct client_trust *trust;
	size_t trust_count;
};

struct tls_listener {
	struct tls_listener *next; /* sds_server.tls */
	struct cell *cell;
};

/* What one worker's port has given to gRPC last. Lives as long as the credentials. */
struct port {
	struct tls_listener *listener;
	uint64_t seen;
	struct port *next;
};

static void *snapshot_ref(void *value)
{
	struct snapshot *s = value;
	ref_up(&s->ref);
	return s;
}

static void snapshot_unref(void *value)
{
	struct snapshot *s = value;
	if (!s || !ref_down(&s->ref))
		return;
	for (size_t i = 0; i < s->trust_count; i++) {
		free((char *)(uintptr_t)s->trust[i].authority);
		anchors_unref(s->trust[i].anchors);
	}
	free(s->trust);
	free(s->chain_pem);
	free(s->roots_pem);
	secret_free(s->key_pem);
	free(s);
}

struct tls_listener *tls_listener_new(void)
{
	struct tls_listener *l = mem_new(struct tls_listener);
	l->cell = cell_new(snapshot_ref, snapshot_unref);
	return l;
}

void tls_listener_free(struct tls_listener *l)
{
	if (!l)
		return;
	cell_free(l->cell);
	free(l);
}

static bool trusts(const struct snapshot *s, const char *authority, X509 *anchor)
{
	for (size_t i = 0; i < s->trust_count; i++)
		if (strcmp(s->trust[i].authority, authority) == 0 && anchors_contain(s->trust[i].anchors, anchor))
			return true;
	return false;
}

/* Was there an anchor before that is not there now? */
static bool shrinks(const struct snapshot *before, const struct snapshot *now)
{
	for (size_t i = 0; before && i < before->trust_count; i++) {
		const struct client_trust *t = &before->trust[i];
		for (size_t n = 0; n < anchors_count(t->anchors); n++)
			if (!trusts(now, t->authority, anchors_cert(t->anchors, n)))
				return true;
	}
	return false;
}

struct fault *tls_listener_set(
	struct tls_listener *l, struct credential *c, const struct client_trust *trust, size_t count, bool *ret_shrunk)
{
	struct snapshot *s = mem_new(struct snapshot);
	struct buf chain = BUF_INIT, roots = BUF_INIT;
	ref_init(&s->ref);
	s->trust = mem_array(struct client_trust, count);
	for (size_t i = 0; i < count; i++) {
		s->trust[i].authority = mem_strdup(trust[i].authority);
		s->trust[i].anchors = anchors_ref(trust[i].anchors);
		s->trust_count++;
		anchors_pem(trust[i].anchors, &roots);
	}
	credential_chain_pem(c, &chain);
	s->chain_pem = buf_take_text(&chain);
	s->roots_pem = buf_take_text(&roots);
	struct fault *f =
		count ? credential_key_pem(c, &s->key_pem)
		      : fault_new(FAULT_INVALID, "a TCP listener needs an authority whose clients may connect");
	if (f) {
		snapshot_unref(s);
		return f;
	}
	struct snapshot *before = cell_get(l->cell);
	*ret_shrunk = shrinks(before, s);
	snapshot_unref(before);
	cell_set(l->cell, s);
	return NULL;
}

static grpc_ssl_certificate_config_reload_status fetch(void *user, grpc_ssl_server_certificate_config **ret)
{
	struct port *p = user;
	struct snapshot *s = cell_get_newer(p->listener->cell, &p->seen);
	if (!s)
		return p->seen ? GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED : GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_FAIL;
	const grpc_ssl_pem_key_cert_pair pair = {(const char *)secret_bytes(s->key_pem, NULL), s->chain_pem};
	*ret = grpc_ssl_server_certificate_config_create(s->roots_pem, &pair, 1);
	snapshot_unref(s);
	return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
}

grpc_server_credentials *tls_credentials(struct tls_listener *l, struct port **ports)
{
	struct port *p = mem_new(struct port);
	p->listener = l;
	LL_PREPEND(*ports, p);
	grpc_ssl_server_credentials_options *o = grpc_ssl_server_credentials_create_options_using_config_fetcher(
		GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY, fetch, p);
	return grpc_ssl_server_credentials_create_with_options(o);
}

void tls_ports_free(struct port *list)
{
	struct port *p, *next;
	LL_FOREACH_SAFE (list, p, next)
		free(p);
}

struct fault *tls_identity(struct sds_server *s, const struct evidence *e, struct identity **ret)
{
	struct fault *f = NULL;
	for (struct tls_listener *l = s->tls; l; l = l->next) {
		struct snapshot *now = cell_get(l->cell);
		if (!now)
			continue;
		fault_free(f);
		f = identity_from_evidence(e, now->trust, now->trust_count, clock_wall_ms(s->o.clock), ret);
		snapshot_unref(now);
		if (!f)
			return NULL;
	}
	return f ? f : fault_new(FAULT_DENIED, "no TLS listener is ready");
}

struct tls_listener *tls_listener_next(struct tls_listener *l)
{
	return l->next;
}

void tls_listener_append(struct tls_listener **list, struct tls_listener *l)
{
	LL_APPEND(*list, l);
}
