/* Anchors of the vault driver: those of the mount as they change, those that come with an answer, those in a file; the
 * server's own certificate; redirects. */
#include "vault_rig.h"

#define ISSUER_A "GET /v1/pki/issuer/aaa/json"
#define ISSUER_B "GET /v1/pki/issuer/bbb/json"
#define BOTH "{\"data\":{\"keys\":[\"aaa\",\"bbb\"]}}"

static bool has(struct rig *r, X509 *root)
{
	return ca_anchors(r->ca) && anchors_contain(ca_anchors(r->ca), root);
}

static void a_new_issuer_is_known_before_it_signs(void **state)
{
	struct rig *r = *state;
	r->o.poll_ms = VAULT_POLL_MIN_MS;
	rig_start_well(r);
	rig_until(r, rig_count(r, LIST) >= 2);
	assert_int_equal(rig_count(r, ISSUER_A), 1); /* the list is the same: nothing else is asked */
	rig_issuer(r, ISSUER_B, r->issuer2, r->root2);
	rig_on(r, LIST, ANY, 200, BOTH);
	rig_until(r, r->trust_changes);
	assert_true(has(r, r->root) && has(r, r->root2));
	rig_on(r, LIST, ANY, 200, "{\"data\":{\"keys\":[\"bbb\"]}}");
	rig_until(r, r->trust_changes == 2);
	assert_true(!has(r, r->root) && has(r, r->root2));
}

/* Told before the answer, so that the bundle can go out before the leaf. */
static void a_root_that_comes_with_an_answer_is_known(void **state)
{
	struct rig *r = *state;
	rig_start_well(r);
	rig_leaf(r, r->leaf2, r->issuer2, r->root2, NULL);
	rig_issuer(r, ISSUER_B, r->issuer2, r->root2);
	rig_on(r, LIST, ANY, 200, BOTH);
	struct got g = rig_issue(r);
	expect_ok(g.fault);
	assert_int_equal(r->trust_changes, 1);
	assert_true(has(r, r->root) && has(r, r->root2));
	assert_true(anchors_contain(g.answer->anchors, r->root2));
	ca_answer_free(g.answer);
	rig_until(r, rig_count(r, ISSUER_B) == 1); /* what else is new? */
	rig_issue_well(r);
	assert_int_equal(r->trust_changes, 1);
}

/* The answer names an issuer whose root it does not bring: the mount is asked. */
static void an_unknown_issuer_is_looked_up_before_the_answer(void **state)
{
	struct rig *r = *state;
	rig_start_well(r);
	rig_leaf(r, r->leaf2, r->issuer2, NULL, NULL);
	rig_issuer(r, ISSUER_B, r->issuer2, r->root2);
	rig_on(r, LIST, ANY, 200, BOTH);
	struct got g = rig_issue(r);
	expect_ok(g.fault);
	assert_int_equal(r->trust_changes, 1);
	assert_true(has(r, r->root2));
	ca_answer_free(g.answer);
	int looks = rig_count(r, LIST);
	rig_issue_well(r);
	assert_int_equal(rig_count(r, LIST), looks);
}

/* The core says what is wrong with such a leaf. */
static void an_issuer_that_nobody_knows_does_not_hold_the_answer(void **state)
{
	struct rig *r = *state;
	rig_start_well(r);
	rig_leaf(r, r->leaf2, r->issuer2, NULL, NULL);
	struct got g = rig_issue(r);
	expect_ok(g.fault);
	ca_answer_free(g.answer);
	assert_int_equal(r->trust_changes, 0);
	assert_false(has(r, r->root2));
	rig_on(r, LIST, ANY, 503, ERRORS("Vault is sealed"));
	rig_issue_well(r);
	assert_true(has(r, r->root)); /* a look that failed takes nothing away */
}

static void cancelled_while_anchors_are_looked_up(void **state)
{
	struct rig *r = *state;
	struct got g, late;
	rig_start_well(r);
	rig_leaf(r, r->leaf2, r->issuer2, NULL, NULL);
	rig_on_raw(r, LIST, ANY, HTTP_ACT_HANG, "");
	struct ca_op *op = rig_ask(r, &g, RIG_PATIENCE_MS);
	rig_until(r, rig_count(r, LIST) == 2);
	ca_cancel(op, r->ca);
	rig_until(r, g.times);
	expect_fault(g.fault, FAULT_UNAVAILABLE, "cancelled");
	(void)rig_ask(r, &late, 200); /* behind the look that hangs */
	rig_until(r, late.times);
	expect_fault(late.fault, FAULT_TIMEOUT, "its anchors did not come in time");
	(void)rig_ask(r, &late, RIG_PATIENCE_MS);
	int before = rig_count(r, SIGN);
	rig_until(r, rig_count(r, SIGN) > before);
	rig_stop(r);
	assert_int_equal(late.times, 1);
	expect_fault(late.fault, FAULT_UNAVAILABLE, "closing");
}

static void the_mount_must_show_a_root_or_the_config_give_it(void **state)
{
	struct rig *r = *state;
	rig_issuer(r, ISSUER_A, r->issuer, NULL);
	rig_start(r);
	expect_fault(TAKE(r->ready_fault), FAULT_INVALID, "the mount pki holds no root");
	rig_stop(r);
	struct buf pem = BUF_INIT;
	pem_add_cert(r->root, &pem);
	rig_write(r, "root.pem", buf_text(&pem));
	buf_free(&pem);
	r->o.root_file = rig_path(r, "root.pem");
	rig_leaf(r, r->leaf, r->issuer, NULL, NULL);
	rig_start_well(r);
	assert_true(has(r, r->root));
	int looks = rig_count(r, LIST);
	rig_issue_well(r);
	assert_int_equal(rig_count(r, LIST), looks);
}

static void a_given_root_is_read_again(void **state)
{
	struct rig *r = *state;
	struct buf pem = BUF_INIT;
	pem_add_cert(r->root, &pem);
	rig_write(r, "root.pem", buf_text(&pem));
	r->o.root_file = rig_path(r, "root.pem");
	r->o.poll_ms = VAULT_POLL_MIN_MS;
	rig_start_well(r);
	pem_add_cert(r->root2, &pem);
	rig_write(r, "root.pem", buf_text(&pem));
	buf_free(&pem);
	rig_until(r, r->trust_changes);
	assert_true(has(r, r->root) && has(r, r->root2));
	rig_write(r, "root.pem", "junk"); /* takes nothing away */
	rig_until(r, rig_logged(r, "authority.roots_not_read"));
	assert_true(has(r, r->root2));
}

static void lists_that_make_no_sense(void **state)
{
	struct rig *r = *state;
	static const struct {
		int status;
		const char *json;
		enum fault_code code;
		const char *words;
	} cases[] = {
		{200, "{}", FAULT_CORRUPT, "lists 0 issuers"},
		{200, "{\"data\":{\"keys\":[\"../../sys/seal\"]}}", FAULT_CORRUPT, "without a usable id"},
		{200, "{\"data\":{\"keys\":[7]}}", FAULT_CORRUPT, "without a usable id"},
		{200, "{\"data\":{\"keys\":[\"ccc\"]}}", FAULT_INVALID, "GET pki/issuer/ccc/json"},
		{404, "{\"errors\":[]}", FAULT_INVALID, "has no issuing CA yet"},
		{404, ERRORS("no handler for route"), FAULT_INVALID, "nothing is mounted there"},
		{403, ERRORS("permission denied"), FAULT_INVALID, "no PKI engine is mounted at pki"},
		{503, ERRORS("Vault is sealed"), FAULT_UNAVAILABLE, "unseal it"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		rig_on(r, LIST, 1, cases[i].status, cases[i].json);
		rig_start(r);
		expect_fault(TAKE(r->ready_fault), cases[i].code, cases[i].words);
	}
	rig_on(r, ISSUER_A, 1, 200, "{\"data\":{\"certificate\":\"junk\"}}");
	rig_start(r);
	expect_fault(TAKE(r->ready_fault), FAULT_CORRUPT, "a certificate that came");
	rig_start_well(r);
	assert_int_equal(rig_count(r, LOGIN), 1); /* the login holds over all these starts */
}

static void a_look_that_fails_is_told_once(void **state)
{
	struct rig *r = *state;
	r->o.poll_ms = VAULT_POLL_MIN_MS;
	rig_start_well(r);
	int told = 0;
	rig_on(r, LIST, 2, 503, ERRORS("Vault is sealed"));
	rig_until(r, rig_count(r, LIST) >= 4);
	told = rig_logged(r, "authority.anchors_not_read");
	assert_int_equal(told, 1);
	assert_int_equal(r->trust_changes, 0);
}

/* --- TLS and redirects --- */

static struct anchors *set_of(X509 *root)
{
	struct anchors *a = NULL;
	STACK_OF(X509) *certs = sk_X509_new_null();
	(void)sk_X509_push(certs, root);
	expect_ok(anchors_new(certs, &a));
	sk_X509_free(certs);
	return a;
}

static struct credential *server_leaf(X509 *root)
{
	struct credential *c = NULL;
	X509 *leaf = certs_make(&(struct certs_spec){.key = CERTS_OTHER,
		.issuer = root,
		.issuer_key = CERTS_ROOT,
		.san = "DNS:localhost",
		.constraints = "critical,CA:FALSE",
		.usage = "critical,digitalSignature",
		.extended = "serverAuth"});
	STACK_OF(X509) *chain = sk_X509_new_null();
	(void)sk_X509_push(chain, leaf);
	expect_ok(credential_new(chain, certs_key(CERTS_OTHER), &c));
	sk_X509_free(chain);
	X509_free(leaf);
	return c;
}

/* From here on the server speaks TLS, under a root in ca.pem. */
static struct http_server *tls_server(struct rig *r)
{
	struct credential *c = server_leaf(r->root);
	struct anchors *clients = set_of(r->root);
	struct http_server *s = http_server_new(
		&(struct http_server_options){.certificate = c, .clients = clients, .fn = rig_serve, .arg = r});
	credential_unref(c);
	anchors_unref(clients);
	return s;
}

static void be_tls(struct rig *r, X509 *root)
{
	struct buf pem = BUF_INIT;
	http_server_free(r->server);
	r->server = tls_server(r);
	pem_add_cert(root, &pem);
	rig_write(r, "ca.pem", buf_text(&pem));
	buf_free(&pem);
	free(r->o.address);
	r->o.address = mem_printf("%s/", http_server_url(r->server)); /* a slash at its end is fine */
	r->o.ca_file = rig_path(r, "ca.pem");
}

static void the_server_is_verified_before_anything_is_sent(void **state)
{
	struct rig *r = *state;
	be_tls(r, r->root2);
	rig_start(r);
	expect_fault(TAKE(r->ready_fault), FAULT_UNAVAILABLE, "TLS: ");
	assert_int_equal(rig_count(r, LOGIN), 0);
	struct buf pem = BUF_INIT;
	pem_add_cert(r->root, &pem);
	rig_write(r, "ca.pem", buf_text(&pem)); /* mended: read again at each login */
	buf_free(&pem);
	rig_start_well(r);
	rig_issue_well(r);
}

static void roots_of_the_server_that_cannot_be_read(void **state)
{
	struct rig *r = *state;
	be_tls(r, r->root);
	rig_write(r, "ca.pem", "junk");
	rig_start(r);
	expect_fault(TAKE(r->ready_fault), FAULT_INVALID, "/ca.pem");
	assert_int_equal(rig_count(r, LOGIN), 0);
}

#define CERT_LOGIN "POST /v1/auth/cert/login"

static void write_client(struct rig *r, enum certs_key key)
{
	X509 *leaf = certs_make(&(struct certs_spec){.key = key,
		.issuer = r->root,
		.issuer_key = CERTS_ROOT,
		.san = "URI:spiffe://td/leafcast",
		.constraints = "critical,CA:FALSE",
		.usage = "critical,digitalSignature",
		.extended = "clientAuth"});
	struct buf cert = BUF_INIT, pem = BUF_SECRET_INIT;
	pem_add_cert(leaf, &cert);
	certs_add_key_pem(&pem, key, NULL);
	rig_write(r, "client.pem", buf_text(&cert));
	rig_write(r, "client.key", buf_text(&pem));
	buf_free(&cert);
	buf_free(&pem);
	X509_free(leaf);
}

/* Its token is bound to the certificate: it is shown with each use, and another one needs another login. */
static void a_login_by_certificate(void **state)
{
	struct rig *r = *state;
	be_tls(r, r->root);
	write_client(r, CERTS_LEAF);
	vault_login_options_done(&r->o.login);
	r->o.poll_ms = VAULT_POLL_MIN_MS;
	r->o.login = (struct vault_login_options){.type = VAULT_AUTH_CERTIFICATE,
		.mount = mem_strdup("cert"),
		.role = mem_strdup("hosts"),
		.certificate_file = rig_path(r, "client.pem"),
		.key_file = rig_path(r, "client.key")};
	rig_on(r, CERT_LOGIN, ANY, 200, TOKEN("tok-cert", 1, true));
	rig_on(r, RENEW, ANY, 200, TOKEN("tok-cert", 3600, true));
	rig_start_well(r);
	assert_true(rig_sent(r, CERT_LOGIN, "{\"name\":\"hosts\"}"));
	assert_string_equal(rig_client(r, CERT_LOGIN), "spiffe://td/leafcast");
	rig_until(r, rig_count(r, RENEW) == 1);
	assert_string_equal(rig_client(r, RENEW), "spiffe://td/leafcast");
	rig_issue_well(r);
	assert_string_equal(rig_client(r, SIGN), "spiffe://td/leafcast");
	assert_string_equal(rig_client(r, LIST), "-"); /* where no login is needed none is shown */
	write_client(r, CERTS_P384);
	rig_until(r, rig_count(r, CERT_LOGIN) == 2);
	rig_until(r, rig_logged(r, "authority.credentials_changed"));
}

/* An agent on this machine: no TLS, and nobody but the socket's owners can listen. */
static void over_a_unix_socket(void **state)
{
	struct rig *r = *state;
	AUTO(mem_freep) char *path = rig_path(r, "agent");
	http_server_free(r->server);
	r->server = http_server_new(&(struct http_server_options){.unix_path = path, .fn = rig_serve, .arg = r});
	free(r->o.address);
	r->o.address = mem_strdup("http://vault.example");
	r->o.unix_socket = mem_strdup(path);
	rig_start_well(r);
	rig_issue_well(r);
	assert_true(rig_sent(r, SIGN, "X-Vault-Request: true\r\n")); /* agents may demand it */
}

static void a_redirect_is_followed_once_to_https(void **state)
{
	struct rig *r = *state;
	be_tls(r, r->root);
	struct http_server *active = tls_server(r);
	AUTO(mem_freep)
	char *there = mem_printf("HTTP/1.1 307 There\r\nLocation: %s/v1/elsewhere\r\nContent-Length: 0\r\n\r\n",
		http_server_url(active));
	rig_start_well(r);
	char *leaf = rig_leaf_json(r->leaf, r->issuer, r->root, NULL);
	rig_on(r, "POST /v1/elsewhere", 1, 200, leaf);
	free(leaf);
	rig_on_raw(r, SIGN, ANY, HTTP_ACT_REPLY, there);
	rig_issue_well(r);
	assert_true(rig_sent(r, "POST /v1/elsewhere", "X-Vault-Token: tok-first\r\n"));
	assert_true(rig_sent(r, "POST /v1/elsewhere", "CERTIFICATE REQUEST"));
	rig_on_raw(r, "POST /v1/elsewhere", ANY, HTTP_ACT_REPLY, there);
	rig_issue_fails(r, FAULT_UNAVAILABLE, "a second time");
	rig_on_raw(r, SIGN, 1, HTTP_ACT_REPLY,
		"HTTP/1.1 307 There\r\nLocation: http://localhost:1/v1/x\r\nContent-Length: 0\r\n\r\n");
	rig_issue_fails(r, FAULT_UNAVAILABLE, "only from https to https");
	rig_on_raw(r, SIGN, 1, HTTP_ACT_REPLY, "HTTP/1.1 307 There\r\nContent-Length: 0\r\n\r\n");
	rig_issue_fails(r, FAULT_UNAVAILABLE, "redirects (307) to nowhere");
	http_server_free(active);
}

static void cancelled_behind_a_redirect(void **state)
{
	struct rig *r = *state;
	struct got g;
	be_tls(r, r->root);
	AUTO(mem_freep)
	char *there = mem_printf("HTTP/1.1 307 There\r\nLocation: %s/v1/elsewhere\r\nContent-Length: 0\r\n\r\n",
		http_server_url(r->server));
	rig_start_well(r);
	rig_on_raw(r, SIGN, ANY, HTTP_ACT_REPLY, there);
	rig_on_raw(r, "POST /v1/elsewhere", ANY, HTTP_ACT_HANG, "");
	struct ca_op *op = rig_ask(r, &g, RIG_PATIENCE_MS);
	rig_until(r, rig_count(r, "POST /v1/elsewhere") == 1);
	ca_cancel(op, r->ca);
	rig_until(r, g.times);
	expect_fault(g.fault, FAULT_UNAVAILABLE, "cancelled");
}

static void plain_http_follows_no_redirect(void **state)
{
	struct rig *r = *state;
	rig_start_well(r);
	rig_on_raw(r, SIGN, ANY, HTTP_ACT_REPLY,
		"HTTP/1.1 307 There\r\nLocation: https://localhost:1/v1/x\r\nContent-Length: 0\r\n\r\n");
	rig_issue_fails(r, FAULT_UNAVAILABLE, "give the address of the active node");
}

int main(void)
{
	const struct CMUnitTest tests[] = {rig_test(a_new_issuer_is_known_before_it_signs),
		rig_test(a_root_that_comes_with_an_answer_is_known),
		rig_test(an_unknown_issuer_is_looked_up_before_the_answer),
		rig_test(an_issuer_that_nobody_knows_does_not_hold_the_answer),
		rig_test(cancelled_while_anchors_are_looked_up),
		rig_test(the_mount_must_show_a_root_or_the_config_give_it), rig_test(a_given_root_is_read_again),
		rig_test(lists_that_make_no_sense), rig_test(a_look_that_fails_is_told_once),
		rig_test(the_server_is_verified_before_anything_is_sent),
		rig_test(roots_of_the_server_that_cannot_be_read), rig_test(a_login_by_certificate),
		rig_test(over_a_unix_socket), rig_test(a_redirect_is_followed_once_to_https),
		rig_test(cancelled_behind_a_redirect), rig_test(plain_http_follows_no_redirect)};
	return cmocka_run_group_tests(tests, NULL, certs_free);
}
