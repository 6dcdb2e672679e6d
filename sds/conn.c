/* sds/conn.c - the connections that have calls on this worker: who is at the other end, and what it said of itself. */
#include <grpc/grpc_security.h>
#include <grpc/support/alloc.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "base/io/accept.h"
#include "base/io/evidence.h"
#include "base/mem.h"
#include "control/identity.h"
#include "sds/internal.h"

#define PROVEN_MS INT64_C(1000)

static struct fault *unix_evidence(struct worker *w, int fd, struct evidence *e, uint64_t *ret_serial)
{
	if (accept_evidence(w->server->acceptor, fd, e, ret_serial))
		return NULL;
	return fault_new(FAULT_DENIED, "nothing is known about this connection");
}

static void set_pem(const grpc_auth_context *ctx, const char *property, const char **ret, size_t *ret_len)
{
	grpc_auth_property_iterator it = grpc_auth_context_find_properties_by_name(ctx, property);
	const grpc_auth_property *p = grpc_auth_property_iterator_next(&it);
	*ret = p ? p->value : "";
	*ret_len = p ? p->value_length : 0;
}

static void hash_evidence(const struct evidence *e, unsigned char ret[32])
{
	struct buf b = BUF_INIT;
	buf_printf(&b, "%zu ", e->leaf_pem_len);
	buf_add(&b, e->leaf_pem, e->leaf_pem_len);
	buf_add(&b, e->chain_pem, e->chain_pem_len);
	invariant(EVP_Digest(b.data, b.len, ret, NULL, EVP_sha256(), NULL) == 1);
	buf_free(&b);
}

/* A chain costs half a millisecond to verify: too much for each call of a connection that has many. The same
 * certificates are good for a second, unless trust has shrunk meanwhile. */
static bool is_still_proven(const struct worker *w, const struct conn *known, const struct tls_proof *p)
{
	return known && identity_kind(known->identity) == IDENTITY_TLS && w->judgement == known->proof.judgement &&
	       w->now_ms - known->proof.at_ms < PROVEN_MS &&
	       CRYPTO_memcmp(p->hash, known->proof.hash, sizeof p->hash) == 0;
}

/* known: a connection that bore the same peer text, or NULL. */
static struct fault *tls_peer(
	struct worker *w, grpc_call *call, struct conn *known, struct tls_proof *ret_proof, struct identity **ret)
{
	grpc_auth_context *ctx = grpc_call_auth_context(call);
	struct fault *f = NULL;
	if (ctx && grpc_auth_context_peer_is_authenticated(ctx)) {
		struct evidence e = {.kind = EVIDENCE_TLS};
		set_pem(ctx, GRPC_X509_PEM_CERT_PROPERTY_NAME, &e.leaf_pem, &e.leaf_pem_len);
		set_pem(ctx, GRPC_X509_PEM_CERT_CHAIN_PROPERTY_NAME, &e.chain_pem, &e.chain_pem_len);
		*ret_proof = (struct tls_proof){.judgement = w->judgement, .at_ms = w->now_ms};
		hash_evidence(&e, ret_proof->hash);
		if (is_still_proven(w, known, ret_proof)) {
			*ret_proof = known->proof;
			*ret = identity_ref(known->identity);
		} else {
			f = tls_identity(w->server, &e, ret);
		}
	} else {
		f = fault_new(FAULT_DENIED, "this connection proved nothing about its client");
	}
	grpc_auth_context_release(ctx);
	return f;
}

static struct conn *add(struct worker *w, const char *peer, int fd, uint64_t serial, struct identity *i)
{
	struct conn *c = mem_new(struct conn);
	c->peer = mem_strdup(peer);
	c->fd = fd;
	c->serial = serial;
	c->identity = i;
	c->worker = w;
	pace_init(c);
	age_begin(c);
	owner_enter(w, c);
	HASH_ADD_KEYPTR(hh, w->conns, c->peer, strlen(c->peer), c);
	return c;
}

/* A connection that ended, whose peer text another one bears now: its calls keep what they have, new ones do not find
 * it. */
static void detach(struct worker *w, struct conn *c)
{
	HASH_DEL(w->conns, c);
	free(c->peer);
	c->peer = NULL;
}

static struct fault *enter(struct worker *w, grpc_call *call, const char *peer, struct conn **ret)
{
	int fd = -1;
	uint64_t serial = 0;
	struct conn *known = NULL;
	struct identity *identity = NULL;
	struct tls_proof proof = {.at_ms = 0};
	HASH_FIND_STR(w->conns, peer, known);
	if (sscanf(peer, "fd:%d", &fd) == 1) {
		struct evidence e;
		TRY(unix_evidence(w, fd, &e, &serial));
		if (known && known->serial == serial) {
			*ret = known;
			return NULL;
		}
		TRY(identity_from_evidence(&e, NULL, 0, 0, &identity));
	} else {
		TRY(tls_peer(w, call, known, &proof, &identity));
		/* The same address and port may be another client by now: only an equal identity shares. */
		if (known && strcmp(identity_key(known->identity), identity_key(identity)) == 0 &&
			identity_not_after_ms(known->identity) == identity_not_after_ms(identity)) {
			identity_unref(identity);
			known->proof = proof;
			*ret = known;
			return NULL;
		}
	}
	if (known)
		detach(w, known);
	*ret = add(w, peer, fd, serial, identity);
	(*ret)->proof = proof;
	return NULL;
}

struct fault *conn_enter(struct worker *w, grpc_call *call, struct conn **ret)
{
	char *peer = grpc_call_get_peer(call);
	struct fault *f = enter(w, call, peer, ret);
	gpr_free(peer);
	if (!f)
		(*ret)->calls++;
	return f;
}

void conn_leave(struct worker *w, struct conn *c)
{
	if (--c->calls)
		return;
	if (c->peer)
		detach(w, c);
	timers_clear(&w->timers, &c->pace_timer);
	timers_clear(&w->timers, &c->age_timer);
	owner_leave(w, c);
	identity_unref(c->identity);
	node_unref(c->node);
	free(c);
}

static bool same_node(const struct node *a, const struct node *b)
{
	return strcmp(a->id, b->id) == 0 && strcmp(a->cluster, b->cluster) == 0 &&
	       strcmp(a->user_agent, b->user_agent) == 0 && a->version_major == b->version_major &&
	       a->version_minor == b->version_minor && a->version_patch == b->version_patch;
}

struct node *conn_intern_node(struct conn *c, struct node *n)
{
	if (c->node && same_node(c->node, n)) {
		node_unref(n);
		return node_ref(c->node);
	}
	node_unref(c->node);
	c->node = node_ref(n);
	return n;
}

/* One look per connection: its calls share what it proved. New ones are looked at anew, for this judgement is. */
void conns_judge_again(struct worker *w)
{
	struct call *c;
	w->judgement++;
	DL_FOREACH (w->calls, c) {
		if (!c->conn || identity_kind(c->conn->identity) != IDENTITY_TLS || c->ending || c->closed)
			continue;
		if (c->conn->judged != w->judgement) {
			struct identity *same = NULL;
			struct tls_proof unused;
			struct fault *f = tls_peer(w, c->grpc, NULL, &unused, &same);
			identity_unref(same);
			c->conn->judged = w->judgement;
			c->conn->fell = f != NULL;
			fault_ignore(f, "the call that ends says so");
		}
		if (c->conn->fell)
			call_end(c, GRPC_STATUS_UNAUTHENTICATED,
				"the authority of this connection's client certificate is not trusted any more");
	}
}
