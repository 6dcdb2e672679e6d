/* tests/unit/sds/test_tls.c - the TCP listener: who is let in, our own certificate and the clients' authorities
 * replaced in place, and the end of an identity. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include "base/anchors.h"
#include "base/clock.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/secret.h"
#include "control/identity.h"
#include "sds_rig.h"

static const char *const everything[] = {"**", NULL};

struct authority {
	EVP_PKEY *key;
	X509 *root;
	struct anchors *anchors;
	char *pem;
};

static void add_extension(X509 *x, int nid, const char *text)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, text);
	assert_true(e && X509_add_ext(x, e, -1));
	X509_EXTENSION_free(e);
}

static X509 *make_cert(EVP_PKEY *key, const char *cn, const struct authority *issuer, long life_s, const char *san)
{
	static long serial;
	X509 *x = X509_new();
	assert_true(x && X509_set_version(x, 2) && ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial));
	assert_true(X509_gmtime_adj(X509_getm_notBefore(x), -60) && X509_gmtime_adj(X509_getm_notAfter(x), life_s));
	assert_true(X509_NAME_add_entry_by_txt(
		X509_get_subject_name(x), "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0));
	assert_true(
		X509_set_issuer_name(x, issuer->root ? X509_get_subject_name(issuer->root) : X509_get_subject_name(x)));
	assert_true(X509_set_pubkey(x, key));
	add_extension(x, NID_basic_constraints, san ? "critical,CA:FALSE" : "critical,CA:TRUE");
	add_extension(x, NID_key_usage, san ? "critical,digitalSignature" : "critical,keyCertSign,cRLSign");
	if (san) {
		add_extension(x, NID_ext_key_usage, "serverAuth,clientAuth");
		add_extension(x, NID_subject_alt_name, san);
	}
	assert_true(X509_sign(x, issuer->key, EVP_sha256()) > 0);
	return x;
}

static struct authority make_authority(const char *cn)
{
	struct authority a = {.key = EVP_EC_gen("P-256")};
	struct buf pem = BUF_INIT;
	a.root = make_cert(a.key, cn, &a, 3600, NULL);
	STACK_OF(X509) *roots = sk_X509_new_null();
	assert_int_equal(sk_X509_push(roots, a.root), 1);
	assert_null(anchors_new(roots, &a.anchors));
	sk_X509_free(roots);
	anchors_pem(a.anchors, &pem);
	a.pem = buf_take_text(&pem);
	return a;
}

static void free_authority(struct authority *a)
{
	EVP_PKEY_free(a->key);
	X509_free(a->root);
	anchors_unref(a->anchors);
	free(a->pem);
}

static struct credential *issue(const struct authority *a, long life_s, const char *san)
{
	struct credential *c = NULL;
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *leaf = make_cert(key, "leaf", a, life_s, san);
	STACK_OF(X509) *chain = sk_X509_new_null();
	assert_int_equal(sk_X509_push(chain, leaf), 1);
	assert_null(credential_new(chain, key, &c));
	sk_X509_pop_free(chain, X509_free);
	EVP_PKEY_free(key);
	return c;
}

struct setup {
	struct rig *r;
	struct authority mesh, other;
	struct credential *own;
	int port;
	char target[32];
};

static void set_tls(struct setup *s, const struct authority *clients)
{
	const struct client_trust trust = {"mesh", clients->anchors};
	credential_unref(s->own);
	s->own = issue(&s->mesh, 3600, "DNS:localhost");
	assert_null(sds_server_set_tls(s->r->server, 0, s->own, &trust, 1));
}

static struct setup begin_limited(unsigned workers, const struct sds_limits *l)
{
	struct setup s = {.r = rig_make_limited(workers, everything, l)};
	s.mesh = make_authority("mesh");
	s.other = make_authority("other");
	set_tls(&s, &s.mesh);
	assert_null(sds_server_listen_tcp(s.r->server, "127.0.0.1:0", 0, &s.port));
	(void)snprintf(s.target, sizeof s.target, "127.0.0.1:%d", s.port);
	rig_publish(s.r, "roots", NULL);
	rig_start(s.r);
	return s;
}

static struct setup begin(unsigned workers)
{
	const struct sds_limits l = rig_limits();
	return begin_limited(workers, &l);
}

static void end(struct setup *s)
{
	rig_free(s->r);
	credential_unref(s->own);
	free_authority(&s->mesh);
	free_authority(&s->other);
}

/* A client with a certificate of this authority (NULL: none), one stream asking for "roots". */
struct peer {
	struct rpc_client *c;
	struct rpc_stream *s;
};

static struct peer dial(struct setup *s, const struct authority *a, long life_s, const char *san)
{
	struct peer p;
	struct buf chain = BUF_INIT;
	struct secret *key = NULL;
	struct credential *own = a ? issue(a, life_s, san) : NULL;
	if (own) {
		credential_chain_pem(own, &chain);
		assert_null(credential_key_pem(own, &key));
	}
	p.c = rpc_client_open_tls(s->target, &(struct rpc_client_tls){.roots = s->mesh.pem,
						     .chain = own ? buf_text(&chain) : NULL,
						     .key = own ? (const char *)secret_bytes(key, NULL) : NULL});
	p.s = rpc_stream_open(p.c, RIG_STREAM_SECRETS);
	rig_ask(p.s, &(struct xds_ask){.node_id = "n", .names = {"roots"}});
	buf_free(&chain);
	secret_free(key);
	credential_unref(own);
	return p;
}

static struct xds_answer receive(struct setup *s, const struct peer *p)
{
	struct xds_answer a;
	rig_receive(s->r, p->c, p->s, false, &a);
	return a;
}

static void hang_up(struct peer *p)
{
	rpc_stream_free(p->s);
	rpc_client_close(p->c);
}

static void assert_refused(struct setup *s, struct peer p, int status)
{
	assert_int_equal(rig_wait_end(s->r, p.c, p.s), status);
	hang_up(&p);
}

static void test_serves_clients_of_the_authority(void **state)
{
	(void)state;
	struct setup s = begin(2);
	for (int i = 0; i < 8; i++) {
		struct peer p = dial(&s, &s.mesh, 3600, "URI:spiffe://rig/a");
		assert_int_equal(receive(&s, &p).count, 1);
		hang_up(&p);
	}
	end(&s);
}

/* On TCP connections count once they have a call, by the names in the client's certificate. */
static void test_connections_per_identity(void **state)
{
	(void)state;
	struct sds_limits l = rig_limits();
	l.connections_per_identity = 2;
	struct setup s = begin_limited(1, &l);
	struct peer p[2];
	for (int i = 0; i < 2; i++) {
		p[i] = dial(&s, &s.mesh, 3600, "URI:spiffe://rig/a");
		assert_int_equal(receive(&s, &p[i]).count, 1);
	}
	assert_refused(&s, dial(&s, &s.mesh, 3600, "URI:spiffe://rig/a"), 8);
	assert_true(rig_counted_limit(s.r, "connections_per_identity"));
	struct peer other = dial(&s, &s.mesh, 3600, "URI:spiffe://rig/b");
	assert_int_equal(receive(&s, &other).count, 1);
	hang_up(&other);
	for (int i = 0; i < 2; i++)
		hang_up(&p[i]);
	end(&s);
}

static void test_connections(void **state)
{
	(void)state;
	struct sds_limits l = rig_limits();
	l.connections = 2;
	struct setup s = begin_limited(1, &l);
	struct peer p[2] = {
		dial(&s, &s.mesh, 3600, "URI:spiffe://rig/a"), dial(&s, &s.mesh, 3600, "URI:spiffe://rig/b")};
	for (int i = 0; i < 2; i++)
		assert_int_equal(receive(&s, &p[i]).count, 1);
	assert_refused(&s, dial(&s, &s.mesh, 3600, "URI:spiffe://rig/c"), 8);
	assert_true(rig_counted_limit(s.r, "connections"));
	for (int i = 0; i < 2; i++)
		hang_up(&p[i]);
	end(&s);
}

static void test_others_stay_outside(void **state)
{
	(void)state;
	struct setup s = begin(1);
	assert_refused(&s, dial(&s, NULL, 0, NULL), 14);
	assert_refused(&s, dial(&s, &s.other, 3600, "URI:spiffe://rig/a"), 14);
	assert_refused(&s, dial(&s, &s.mesh, -30, "URI:spiffe://rig/a"), 14);
	struct rpc_client *plain = rpc_client_open(s.target);
	struct rpc_stream *st = rpc_stream_open(plain, RIG_STREAM_SECRETS);
	assert_int_equal(rig_wait_end(s.r, plain, st), 14);
	rpc_stream_free(st);
	rpc_client_close(plain);
	/* One that is let in but whose SAN no rule names is denied, like everybody whom policy does not know: silence.
	 */
	struct peer p = dial(&s, &s.mesh, 3600, "URI:spiffe://elsewhere/a");
	assert_false(rig_wait_report(s.r, p.c, 0, "roots", REPORT_WANTED)->has_answer);
	struct buf none = BUF_INIT;
	rig_settle(s.r);
	assert_false(rpc_stream_take(p.s, &none));
	hang_up(&p);
	end(&s);
}

/* The next handshake sees the new certificate; streams that are open go on. */
static void test_replaced_in_place(void **state)
{
	(void)state;
	struct setup s = begin(1);
	struct peer old = dial(&s, &s.mesh, 3600, "URI:spiffe://rig/a");
	(void)receive(&s, &old);
	AUTO(mem_freep) char *before = rpc_stream_server_pem(old.s);
	set_tls(&s, &s.mesh);
	struct peer p = dial(&s, &s.mesh, 3600, "URI:spiffe://rig/b");
	assert_int_equal(receive(&s, &p).count, 1);
	AUTO(mem_freep) char *after = rpc_stream_server_pem(p.s);
	assert_string_not_equal(before, after);
	rig_ask(old.s, &(struct xds_ask){.names = {"roots", "more"}});
	rig_publish(s.r, "more", NULL);
	assert_string_equal(receive(&s, &old).names[0], "more");
	hang_up(&p);
	hang_up(&old);
	end(&s);
}

/* An authority that is not trusted any more: its clients are refused, and those that are there have to go. */
static void test_trust_is_taken_back(void **state)
{
	(void)state;
	struct setup s = begin(2);
	struct peer old[4];
	for (size_t i = 0; i < ARRAY_LEN(old); i++) {
		old[i] = dial(&s, &s.mesh, 3600, "URI:spiffe://rig/a");
		(void)receive(&s, &old[i]);
	}
	set_tls(&s, &s.other);
	for (size_t i = 0; i < ARRAY_LEN(old); i++) {
		assert_int_equal(rig_wait_end(s.r, old[i].c, old[i].s), 16);
		rpc_stream_free(old[i].s);
		old[i].s = rpc_stream_open(old[i].c, RIG_STREAM_SECRETS); /* what it proved a moment ago is void */
		assert_int_equal(rig_wait_end(s.r, old[i].c, old[i].s), 16);
		hang_up(&old[i]);
	}
	assert_refused(&s, dial(&s, &s.mesh, 3600, "URI:spiffe://rig/a"), 14);
	struct peer p = dial(&s, &s.other, 3600, "URI:spiffe://rig/b");
	assert_int_equal(receive(&s, &p).count, 1);
	hang_up(&p);
	end(&s);
}

static void test_a_bad_pair_is_refused(void **state)
{
	(void)state;
	struct setup s = begin(1);
	struct fault *f = sds_server_set_tls(s.r->server, 0, s.own, NULL, 0);
	assert_non_null(f);
	assert_int_equal(fault_code(f), FAULT_INVALID);
	fault_free(f);
	struct peer p = dial(&s, &s.mesh, 3600, "URI:spiffe://rig/a");
	assert_int_equal(receive(&s, &p).count, 1);
	hang_up(&p);
	end(&s);
}

static void test_ends_with_the_certificate(void **state)
{
	(void)state;
	struct setup s = begin(1);
	struct peer p = dial(&s, &s.mesh, 3, "URI:spiffe://rig/a");
	(void)receive(&s, &p);
	int64_t begun = clock_mono_ms(clock_system());
	assert_int_equal(rig_wait_end(s.r, p.c, p.s), 16);
	assert_true(clock_mono_ms(clock_system()) - begun < 6000);
	/* The connection stands, the identity does not. */
	struct rpc_stream *next = rpc_stream_open(p.c, RIG_STREAM_SECRETS);
	assert_int_equal(rig_wait_end(s.r, p.c, next), 16);
	rpc_stream_free(next);
	hang_up(&p);
	end(&s);
}

static void test_second_server_is_refused(void **state)
{
	(void)state;
	struct setup s = begin(2);
	struct rig *second = rig_make(1, everything);
	const struct client_trust trust = {"mesh", s.mesh.anchors};
	assert_null(sds_server_set_tls(second->server, 0, s.own, &trust, 1));
	struct fault *f = sds_server_listen_tcp(second->server, s.target, 0, NULL);
	assert_non_null(f);
	assert_int_equal(fault_code(f), FAULT_CONFLICT);
	fault_free(f);
	rig_free(second);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_serves_clients_of_the_authority),
		cmocka_unit_test(test_connections_per_identity),
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_others_stay_outside),
		cmocka_unit_test(test_replaced_in_place),
		cmocka_unit_test(test_trust_is_taken_back),
		cmocka_unit_test(test_a_bad_pair_is_refused),
		cmocka_unit_test(test_ends_with_the_certificate),
		cmocka_unit_test(test_second_server_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
