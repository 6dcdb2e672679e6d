/* The vault driver: its start, what it asks, what it makes of every kind of answer, and its one completion. */
#include "vault_rig.h"

static void is_ready_after_login_and_anchors(void **state)
{
	struct rig *r = *state;
	rig_new(r);
	assert_string_equal(r->ca->driver->type, "vault");
	assert_int_equal(ca_capabilities(r->ca), CA_TRUST_CHANGES | CA_REVOKE);
	assert_null(ca_anchors(r->ca));
	assert_int_equal(ca_login_ends_at_ms(r->ca), 0);
	rig_issue_fails(r, FAULT_UNAVAILABLE, "the authority is not ready");
	rig_start_well(r);
	assert_int_equal(anchors_count(ca_anchors(r->ca)), 1);
	assert_true(anchors_contain(ca_anchors(r->ca), r->root));
	assert_int_equal(r->trust_changes, 0); /* start is told by ready alone */
	assert_true(rig_sent(r, LOGIN, "\"role_id\":\"the-role-id\""));
	assert_true(rig_sent(r, LOGIN, "\"secret_id\":\"the-secret-id\""));
	assert_false(rig_sent(r, LIST, "X-Vault-Token"));
	int64_t left = ca_login_ends_at_ms(r->ca) - clock_wall_ms(clock_system());
	assert_true(left > 3590 * MS_PER_S && left <= 3600 * MS_PER_S);
}

static void asks_for_exactly_what_was_asked(void **state)
{
	struct rig *r = *state;
	r->o.namespace = mem_strdup("team/a");
	rig_start_well(r);
	struct got g = rig_issue(r);
	expect_ok(g.fault);
	assert_int_equal(sk_X509_num(g.answer->chain), 3);
	assert_int_equal(X509_cmp(sk_X509_value(g.answer->chain, 0), r->leaf), 0);
	assert_int_equal(X509_cmp(sk_X509_value(g.answer->chain, 1), r->issuer), 0);
	assert_true(anchors_equal(g.answer->anchors, ca_anchors(r->ca)));
	ca_answer_free(g.answer);
	static const char *const parts[] = {"X-Vault-Token: tok-first\r\n", "X-Vault-Namespace: team/a\r\n",
		"X-Vault-Request: true\r\n", "\"csr\":\"-----BEGIN CERTIFICATE REQUEST-----\\n", "\"ttl\":\"3600s\"",
		"\"alt_names\":\"web.example,ops@example.org\"", "\"uri_sans\":[\"spiffe://td/a,b\"]",
		"\"ip_sans\":[\"192.0.2.1\"]", "\"exclude_cn_from_sans\":true"};
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (!rig_sent(r, SIGN, parts[i]))
			fail_msg("no %s in it", parts[i]);
	assert_false(rig_sent(r, SIGN, "common_name"));
}

/* A mount with cross-signed issuers shows more than one path: ours is picked out, in order. */
static void the_chain_is_put_in_order(void **state)
{
	struct rig *r = *state;
	rig_start_well(r);
	struct buf b = BUF_INIT;
	X509 *odd[] = {r->root, r->root2, r->issuer2, r->issuer};
	buf_add_text(&b, "{\"data\":{\"certificate\":");
	rig_add_json_pem(&b, r->leaf);
	buf_add_text(&b, ",\"issuing_ca\":");
	rig_add_json_pem(&b, r->issuer);
	buf_add_text(&b, ",\"ca_chain\":[");
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		buf_add_text(&b, i ? "," : "");
		rig_add_json_pem(&b, odd[i]);
	}
	buf_add_text(&b, "]}}");
	rig_on(r, SIGN, 1, 200, buf_text(&b));
	buf_free(&b);
	struct got g = rig_issue(r);
	expect_ok(g.fault);
	assert_int_equal(sk_X509_num(g.answer->chain), 3);
	assert_int_equal(X509_cmp(sk_X509_value(g.answer->chain, 1), r->issuer), 0);
	assert_int_equal(X509_cmp(sk_X509_value(g.answer->chain, 2), r->root), 0);
	ca_answer_free(g.answer);
}

static void every_error_has_its_class(void **state)
{
	struct rig *r = *state;
	static const struct {
		int status;
		const char *body;
		enum fault_code code;
		bool retryable;
		int64_t after_ms;
		const char *words;
	} cases[] = {
		{400, ERRORS("role requires keys of type rsa"), FAULT_INVALID, false, -1,
			"set key_type=any on the role"},
		{400, ERRORS("unknown role: nope"), FAULT_INVALID, false, -1, "no such role in the mount"},
		{400, ERRORS("URI Subject Alternative Names were provided via CSR which are not valid for this role"),
			FAULT_INVALID, false, -1, "allowed_uri_sans"},
		{400, ERRORS("subject alternate name evil.test not allowed by this role"), FAULT_INVALID, false, -1,
			"allowed_domains"},
		{400, ERRORS("the common_name field is required, or must be provided in a CSR"), FAULT_INVALID, false,
			-1, "require_cn=false"},
		{400,
			ERRORS("cannot satisfy request, as TTL would result in notAfter of T that is beyond the "
			       "expiration of the CA certificate at T"),
			FAULT_INVALID, false, -1, "leaf_not_after_behavior"},
		{400, "{}", FAULT_INVALID, false, -1, "400: the request was refused"},
		{404, ERRORS("no handler for route \\\"pkx/sign/mesh\\\". route entry not found."), FAULT_INVALID,
			false, -1, "keys mount and namespace"},
		{404, "<html>no such page</html>", FAULT_UNAVAILABLE, true, -1, "something else"},
		{405, "{}", FAULT_INVALID, false, -1, "405"},
		{408, "", FAULT_TIMEOUT, true, -1, "408"},
		{412, "{}", FAULT_UNAVAILABLE, true, -1, "412"},
		{429, ERRORS("request path \\\"pki/sign/mesh\\\": rate limit quota exceeded"), FAULT_EXHAUSTED, true,
			1000, "quota exceeded"},
		{472, "{}", FAULT_UNAVAILABLE, true, -1, "standby"},
		{473, "{}", FAULT_UNAVAILABLE, true, -1, "standby"},
		{500, ERRORS("internal error"), FAULT_UNAVAILABLE, true, -1, "500: internal error"},
		{502, "<html>bad gateway</html>", FAULT_UNAVAILABLE, true, -1, "502: it failed"},
		{503, ERRORS("Vault is sealed"), FAULT_UNAVAILABLE, true, -1, "unseal it"},
		{503, "{}", FAULT_UNAVAILABLE, true, -1, "sealed, in maintenance"},
		{302, "", FAULT_CORRUPT, false, -1, "302"},
		{201, "{\"data\":{}}", FAULT_CORRUPT, false, -1, "201"},
	};
	rig_start_well(r);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		(void)pthread_mutex_lock(&r->lock);
		size_t before = r->rule_count;
		(void)pthread_mutex_unlock(&r->lock);
		rig_on(r, SIGN, 1, cases[i].status, cases[i].body);
		struct got g = rig_issue(r);
		assert_non_null(g.fault);
		assert_int_equal(fault_is_retryable(g.fault), cases[i].retryable);
		assert_int_equal(fault_retry_after_ms(g.fault), cases[i].after_ms);
		assert_non_null(strstr(fault_text(g.fault), "POST pki/sign/mesh"));
		expect_fault(g.fault, cases[i].code, cases[i].words);
		(void)pthread_mutex_lock(&r->lock);
		r->rule_count = before;
		buf_free(&r->rules[before].reply);
		(void)pthread_mutex_unlock(&r->lock);
	}
	assert_int_equal(rig_count(r, LOGIN), 1);
	rig_issue_well(r);
}

static void waits_as_long_as_it_is_told(void **state)
{
	struct rig *r = *state;
	rig_start_well(r);
	rig_on_raw(r, SIGN, 1, HTTP_ACT_REPLY, "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}");
	struct got g = rig_issue(r);
	assert_int_equal(fault_retry_after_ms(g.fault), 7000);
	expect_fault(g.fault, FAULT_EXHAUSTED, "429: too many requests");
	rig_on_raw(r, SIGN, 1, HTTP_ACT_REPLY, "HTTP/1.1 503 No\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\n{}");
	g = rig_issue(r);
	assert_int_equal(fault_retry_after_ms(g.fault), 3000);
	expect_fault(g.fault, FAULT_UNAVAILABLE, "503");
}

static void malformed_answers_are_refused(void **state)
{
	struct rig *r = *state;
	struct buf huge = BUF_INIT;
	static const struct {
		const char *json, *words;
	} cases[] = {
		{"", "no JSON object"},
		{"[]", "no JSON object"},
		{"{\"data\"", "no JSON object"},
		{"{\"data\":null}", "a certificate is no text"},
		{"{\"data\":{\"certificate\":7}}", "a certificate is no text"},
		{"{\"data\":{\"certificate\":\"\"}}", "a certificate is no text"},
		{"{\"data\":{\"certificate\":\"junk\"}}", "no certificate"},
		{"{\"data\":{\"certificate\":\"-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\"}}",
			"a certificate that came"},
		{"{\"data\":{\"certificate\":\"a\\u0000b\"}}", "no JSON object"},
	};
	rig_start_well(r);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		rig_on(r, SIGN, 1, 200, cases[i].json);
		rig_issue_fails(r, FAULT_CORRUPT, cases[i].words);
	}
	for (int i = 0; i < 5000; i++)
		buf_add_text(&huge, "[");
	rig_on(r, SIGN, 1, 200, buf_text(&huge));
	rig_issue_fails(r, FAULT_CORRUPT, "no JSON object");
	buf_truncate(&huge, 0);
	buf_add_text(&huge, "{\"x\":\"");
	while (huge.len <= 1024 * 1024)
		buf_add_text(&huge, "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
	buf_add_text(&huge, "\"}");
	rig_on(r, SIGN, 1, 200, buf_text(&huge));
	rig_issue_fails(r, FAULT_CORRUPT, "more than 1048576 bytes");
	buf_free(&huge);
	char *two = rig_leaf_json(r->leaf, r->issuer, NULL, NULL);
	rig_on_raw(r, SIGN, 1, HTTP_ACT_REPLY_CLOSE, "SSH-2.0-server\r\n");
	rig_issue_fails(r, FAULT_CORRUPT, "POST pki/sign/mesh");
	free(two);
	rig_issue_well(r);
}

static void lost_slow_and_half_open_connections(void **state)
{
	struct rig *r = *state;
	struct got g;
	rig_start_well(r);
	rig_on_raw(r, SIGN, ANY, HTTP_ACT_REPLY_CLOSE, "");
	rig_issue_fails(r, FAULT_UNAVAILABLE, "POST pki/sign/mesh");
	rig_on_raw(r, SIGN, 1, HTTP_ACT_HANG, "");
	(void)rig_ask(r, &g, 100);
	rig_until(r, g.times);
	assert_true(fault_is_retryable(g.fault));
	expect_fault(g.fault, FAULT_TIMEOUT, "");
	rig_on_raw(r, SIGN, 1, HTTP_ACT_HANG, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"data\"");
	(void)rig_ask(r, &g, 100);
	rig_until(r, g.times);
	expect_fault(g.fault, FAULT_TIMEOUT, "");
	(void)rig_ask(r, &g, -1); /* it is too late already */
	rig_until(r, g.times);
	expect_fault(g.fault, FAULT_TIMEOUT, "in time");
}

/* What the server says may hold our token, or terminal escapes. */
static void its_words_are_not_believed(void **state)
{
	struct rig *r = *state;
	rig_start_well(r);
	rig_on(r, SIGN, 1, 400, ERRORS("bad token tok-first, \\u001b[31mred\\nline"));
	struct got g = rig_issue(r);
	assert_null(strstr(fault_text(g.fault), "tok-first"));
	expect_fault(g.fault, FAULT_INVALID, "repeats our secret");
	rig_on(r, SIGN, 1, 400, ERRORS("\\u001b[31mred\\nline"));
	rig_issue_fails(r, FAULT_INVALID, "\\x1b[31mred\\nline");
	rig_on(r, SIGN, 1, 400, "{\"errors\":{\"a\":1}}");
	rig_issue_fails(r, FAULT_INVALID, "the request was refused");
	rig_on(r, SIGN, 1, 400, "{\"errors\":[1,null,\"\",\"a\",\"b\"]}");
	rig_issue_fails(r, FAULT_INVALID, "400: a");
}

static void a_capped_lifetime_is_told_once(void **state)
{
	struct rig *r = *state;
	X509 *shortened = certs_make(&(struct certs_spec){.key = CERTS_LEAF,
		.issuer = r->issuer,
		.issuer_key = CERTS_ISSUER,
		.san = "critical,DNS:web.example",
		.constraints = "critical,CA:FALSE",
		.from_s = clock_wall_ms(clock_system()) / MS_PER_S - 30,
		.to_s = clock_wall_ms(clock_system()) / MS_PER_S + 600});
	rig_start_well(r);
	rig_leaf(r, shortened, r->issuer, r->root, "[\"TTL is longer than permitted maxTTL\"]");
	(void)rig_logged(r, "nothing of it");
	for (int i = 0; i < 3; i++)
		rig_issue_well(r);
	assert_int_equal(rig_logged(r, "authority.lifetime_capped"), 1);
	rig_leaf(r, r->leaf, r->issuer, r->root, "[\"the role is deprecated\\u001b\"]");
	rig_issue_well(r);
	rig_issue_well(r);
	assert_int_equal(rig_logged(r, "the role is deprecated\\\\x1b"), 1);
	rig_leaf(r, shortened, r->issuer, r->root, NULL);
	rig_issue_well(r);
	assert_int_equal(rig_logged(r, "authority.lifetime_capped"), 1);
	X509_free(shortened);
}

static void the_traps_of_a_role_are_told(void **state)
{
	struct rig *r = *state;
	rig_on(r, ROLE, ANY, 200,
		"{\"data\":{\"require_cn\":true,\"key_type\":\"rsa\",\"allowed_uri_sans\":[],\"allow_any_name\":false,"
		"\"allowed_domains\":[],\"allow_localhost\":false,\"server_flag\":false,\"client_flag\":false,"
		"\"code_signing_flag\":false,\"ext_key_usage\":[],\"max_ttl\":7200}}");
	rig_start_well(r);
	int traps = 0;
	rig_until(
		r, (traps = rig_logged(r, "authority.role_traps\",\"authority\":\"corp\",\"role\":\"mesh\",\"traps\":"
					  "\"require_cn is true and leafcast asks for no common name: set it to false; "
					  "key_type is rsa: profiles that ask for other keys are refused (\\\"any\\\" "
					  "takes all); allowed_uri_sans is empty: names that are URIs (SPIFFE) are "
					  "refused; neither allow_any_name nor allowed_domains: every DNS name is "
					  "refused; server_flag is false")) ||
			   rig_count(r, ROLE) > 5);
	assert_int_equal(traps, 1);
}

/* --- revocation --- */

static void on_revoked(void *arg, struct fault *f)
{
	struct got *g = arg;
	g->times++;
	g->fault = f;
}

static struct ca_op *begin_revoke(struct rig *r, struct got *g)
{
	struct credential *c = NULL;
	STACK_OF(X509) *chain = sk_X509_new_null();
	(void)sk_X509_push(chain, r->leaf);
	(void)sk_X509_push(chain, r->issuer);
	expect_ok(credential_new(chain, certs_key(CERTS_LEAF), &c));
	sk_X509_free(chain);
	*g = (struct got){0, NULL, NULL};
	const struct ca_revocation revocation = {.leaf = c,
		.reason = CA_REASON_SUPERSEDED,
		.deadline_ms = clock_mono_ms(clock_system()) + RIG_PATIENCE_MS};
	struct ca_op *op = ca_revoke(r->ca, &revocation, on_revoked, g);
	credential_unref(c);
	assert_int_equal(g->times, 0);
	return op;
}

#define REVOKE "POST /v1/pki/revoke"
#define WITH_KEY "POST /v1/pki/revoke-with-key"

static struct fault *revoke_one(struct rig *r)
{
	struct got g;
	(void)begin_revoke(r, &g);
	rig_until(r, g.times);
	assert_int_equal(g.times, 1);
	return g.fault;
}

static void revokes_by_certificate(void **state)
{
	struct rig *r = *state;
	rig_on(r, REVOKE, 1, 200, "{\"data\":{\"state\":\"revoked\"}}");
	rig_start_well(r);
	expect_ok(revoke_one(r));
	assert_true(rig_sent(r, REVOKE, "\"certificate\":\"-----BEGIN CERTIFICATE-----"));
	assert_false(rig_sent(r, REVOKE, "PRIVATE KEY"));
	assert_int_equal(rig_count(r, WITH_KEY), 0);
	rig_on(r, REVOKE, 1, 400, ERRORS("certificate with serial 00:11 not found."));
	expect_fault(revoke_one(r), FAULT_INVALID, "not found");
}

/* The key goes out only where the right to revoke is missing, after another login has changed nothing about that. */
static void revokes_with_the_key_where_it_must(void **state)
{
	struct rig *r = *state;
	rig_on(r, REVOKE, ANY, 403, ERRORS("permission denied"));
	rig_on(r, WITH_KEY, 1, 200, "{\"data\":{\"state\":\"revoked\"}}");
	rig_start_well(r);
	expect_ok(revoke_one(r));
	assert_int_equal(rig_count(r, REVOKE), 2);
	assert_int_equal(rig_count(r, LOGIN), 2);
	assert_true(rig_sent(r, WITH_KEY, "\"private_key\":\"-----BEGIN PRIVATE KEY-----"));
	rig_on(r, WITH_KEY, ANY, 403, ERRORS("permission denied"));
	expect_fault(revoke_one(r), FAULT_DENIED, "path \"pki/revoke-with-key\" { capabilities = [\"update\"] }");
	rig_on(r, REVOKE, 1, 403, ERRORS("permission denied")); /* a login that had ended */
	rig_on(r, REVOKE, 2, 200, "{\"data\":{}}");
	expect_ok(revoke_one(r));
}

/* --- one completion --- */

static void cancelled_while_the_call_is_under_way(void **state)
{
	struct rig *r = *state;
	struct got g;
	rig_start_well(r);
	rig_on_raw(r, SIGN, ANY, HTTP_ACT_HANG, "");
	struct ca_op *op = rig_ask(r, &g, RIG_PATIENCE_MS);
	ca_cancel(op, r->ca); /* before anything was sent */
	ca_cancel(op, r->ca);
	assert_int_equal(g.times, 0);
	rig_until(r, g.times);
	expect_fault(g.fault, FAULT_UNAVAILABLE, "cancelled");
	int before = rig_count(r, SIGN);
	op = rig_ask(r, &g, RIG_PATIENCE_MS);
	rig_until(r, rig_count(r, SIGN) > before);
	ca_cancel(op, r->ca); /* while it waits for the answer */
	rig_until(r, g.times);
	expect_fault(g.fault, FAULT_UNAVAILABLE, "cancelled");
	rig_on_raw(r, REVOKE, ANY, HTTP_ACT_HANG, "");
	op = begin_revoke(r, &g);
	rig_until(r, rig_count(r, REVOKE) == 1);
	ca_cancel(op, r->ca);
	rig_until(r, g.times);
	expect_fault(g.fault, FAULT_UNAVAILABLE, "cancelled");
	rig_until(r, http_running(r->http) == 0);
}

static void close_ends_all_that_is_under_way(void **state)
{
	struct rig *r = *state;
	struct got g[8], revocation;
	rig_start_well(r);
	rig_on_raw(r, SIGN, ANY, HTTP_ACT_HANG, "");
	rig_on_raw(r, REVOKE, ANY, HTTP_ACT_HANG, "");
	for (size_t i = 0; i < ARRAY_LEN(g); i++)
		(void)rig_ask(r, &g[i], RIG_PATIENCE_MS);
	(void)begin_revoke(r, &revocation);
	rig_until(r, rig_count(r, SIGN) > 0);
	rig_stop(r);
	for (size_t i = 0; i < ARRAY_LEN(g); i++) {
		assert_int_equal(g[i].times, 1);
		expect_fault(g[i].fault, FAULT_UNAVAILABLE, "the authority is closing");
	}
	assert_int_equal(revocation.times, 1);
	expect_fault(revocation.fault, FAULT_UNAVAILABLE, "the authority is closing");
}

/* At each request of the start that never gets its answer. */
static void close_while_it_starts(void **state)
{
	struct rig *r = *state;
	static const char *const stuck[] = {LOGIN, LIST, "GET /v1/pki/issuer/aaa/json"};
	rig_new(r);
	rig_begin(r); /* nothing but a job is under way */
	rig_stop(r);
	for (size_t i = 0; i < ARRAY_LEN(stuck); i++) {
		rig_on_raw(r, stuck[i], 1, HTTP_ACT_HANG, "");
		int before = rig_count(r, stuck[i]);
		rig_new(r);
		rig_begin(r);
		rig_until(r, rig_count(r, stuck[i]) > before);
		rig_stop(r);
	}
	assert_int_equal(r->ready, 0);
}

static void bad_options_are_refused(void **state)
{
	struct rig *r = *state;
	const struct ca_env env = {.loop = r->loop, .jobs = r->jobs, .http = r->http, .authority = "corp"};
	struct ca *none = NULL;
	static char remote[] = "http://vault.example:8200", dots[] = "pki/../sys", slash[] = "a/b",
		    line[] = "a\r\nX: y", empty[] = "";
	struct vault_options o = r->o;
	o.address = remote;
	expect_fault(vault_new(&o, &env, &none), FAULT_INVALID, "plain http to another machine");
	o = r->o;
	o.mount = dots;
	expect_fault(vault_new(&o, &env, &none), FAULT_INVALID, "the mount \"pki/../sys\" is no path");
	o = r->o;
	o.role = slash;
	expect_fault(vault_new(&o, &env, &none), FAULT_INVALID, "has a slash");
	o = r->o;
	o.namespace = line;
	expect_fault(vault_new(&o, &env, &none), FAULT_INVALID, "the namespace \"a\\x0d\\nX: y\"");
	o = r->o;
	o.login.mount = empty;
	expect_fault(vault_new(&o, &env, &none), FAULT_INVALID, "the auth mount");
	o = r->o;
	o.login.secret_id_file = NULL;
	expect_fault(vault_new(&o, &env, &none), FAULT_INVALID, "auth lacks a file");
	o = r->o;
	o.poll_ms = 1;
	expect_fault(vault_new(&o, &env, &none), FAULT_INVALID, "poll");
	o = r->o;
	o.login = (struct vault_login_options){
		.type = VAULT_AUTH_CERTIFICATE, .mount = slash, .certificate_file = slash, .key_file = slash};
	expect_fault(vault_new(&o, &env, &none), FAULT_INVALID, "needs an https address");
	assert_null(none);
	assert_true(vault_options_equal(&r->o, &r->o));
	assert_false(vault_options_equal(&r->o, &o));
}

int main(void)
{
	const struct CMUnitTest tests[] = {rig_test(is_ready_after_login_and_anchors),
		rig_test(asks_for_exactly_what_was_asked), rig_test(the_chain_is_put_in_order),
		rig_test(every_error_has_its_class), rig_test(waits_as_long_as_it_is_told),
		rig_test(malformed_answers_are_refused), rig_test(lost_slow_and_half_open_connections),
		rig_test(its_words_are_not_believed), rig_test(a_capped_lifetime_is_told_once),
		rig_test(the_traps_of_a_role_are_told), rig_test(revokes_by_certificate),
		rig_test(revokes_with_the_key_where_it_must), rig_test(cancelled_while_the_call_is_under_way),
		rig_test(close_ends_all_that_is_under_way), rig_test(close_while_it_starts),
		rig_test(bad_options_are_refused)};
	return cmocka_run_group_tests(tests, NULL, certs_free);
}
