/* The step driver: its start, what it asks, what it makes of every kind of answer, and its one completion. */
#include "step_rig.h"

static void is_ready_after_files_and_roots(void **state)
{
	struct rig *r = *state;
	rig_new(r);
	assert_string_equal(r->ca->driver->type, "step");
	assert_int_equal(ca_capabilities(r->ca), CA_TRUST_CHANGES | CA_REVOKE);
	assert_null(ca_anchors(r->ca));
	rig_issue_fails(r, FAULT_UNAVAILABLE, "the authority is not ready");
	rig_start_well(r);
	assert_int_equal(anchors_count(ca_anchors(r->ca)), 1);
	assert_true(anchors_contain(ca_anchors(r->ca), r->root));
	assert_int_equal(r->trust_changes, 0); /* start is told by ready alone */
	assert_int_equal(ca_login_ends_at_ms(r->ca), 0);
	assert_int_equal(r->saves, 1);
	rig_stop(r);
	rig_start_well(r);
	assert_int_equal(r->saves, 1); /* the same roots: nothing new to keep */
}

static void use_fingerprint(struct rig *r, const char *sha256)
{
	free(r->o.root_file);
	r->o.root_file = NULL;
	r->o.root_sha256 = mem_strdup(sha256);
}

static void a_root_by_its_fingerprint(void **state)
{
	struct rig *r = *state;
	struct buf b = BUF_INIT;
	STACK_OF(X509) *list = sk_X509_new_null();
	struct anchors *one = NULL;
	(void)sk_X509_push(list, r->root);
	expect_ok(anchors_new(list, &one));
	sk_X509_free(list);
	AUTO(mem_freep) char *what = mem_printf("GET /root/%s", anchors_info(one, 0)->sha256);
	use_fingerprint(r, anchors_info(one, 0)->sha256);
	anchors_unref(one);
	buf_add_text(&b, "{\"ca\":");
	rig_add_json_pem(&b, r->root2); /* somebody else */
	buf_add_text(&b, "}");
	rig_on(r, what, 1, 200, buf_text(&b));
	rig_start(r);
	expect_fault(TAKE(r->ready_fault), FAULT_CORRUPT, "somebody else answers there");
	assert_int_equal(rig_count(r, ROOTS), 0);
	buf_truncate(&b, 0);
	buf_add_text(&b, "{\"ca\":");
	rig_add_json_pem(&b, r->root);
	buf_add_text(&b, "}");
	rig_on(r, what, ANY, 200, buf_text(&b));
	buf_free(&b);
	rig_start_well(r);
	assert_int_equal(rig_count(r, ROOTS), 1);
	rig_issue_well(r);
}

static void asks_for_exactly_what_was_asked(void **state)
{
	struct rig *r = *state;
	rig_start_well(r);
	struct got g = rig_issue(r);
	expect_ok(g.fault);
	assert_int_equal(sk_X509_num(g.answer->chain), 2);
	assert_int_equal(X509_cmp(sk_X509_value(g.answer->chain, 0), r->leaf), 0);
	assert_int_equal(X509_cmp(sk_X509_value(g.answer->chain, 1), r->issuer), 0);
	ca_answer_free(g.answer);
	static const char *const parts[] = {
		"\"csr\":\"-----BEGIN CERTIFICATE REQUEST-----\\n", "\"ott\":\"ey", "\"notAfter\":\"3600s\""};
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (!rig_sent(r, SIGN, parts[i]))
			fail_msg("no %s in it", parts[i]);
	assert_string_equal(rig_client(r, SIGN), "-");
}

static void a_renewal_is_a_rekey(void **state)
{
	struct rig *r = *state;
	rig_start_well(r);
	r->renews = true;
	rig_issue_well(r);
	assert_string_equal(rig_client(r, REKEY), "spiffe://td/web"); /* under the leaf in use */
	assert_false(rig_sent(r, REKEY, "\"ott\""));
	assert_int_equal(rig_count(r, SIGN), 0);
	/* another name, or one fewer: that is no renewal */
	expect_ok(san_set_add(&r->sans, SAN_DNS, "more.example"));
	rig_issue_well(r);
	assert_int_equal(rig_count(r, REKEY), 1);
	assert_int_equal(rig_count(r, SIGN), 1);
}

static void a_refused_rekey_ends_in_a_token(void **state)
{
	struct rig *r = *state;
	static const int statuses[] = {400, 401, 403, 404, 500, 503};
	rig_start_well(r);
	r->renews = true;
	for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
		rig_on(r, REKEY, 1, statuses[i], "{\"message\":\"no\"}");
		rig_issue_well(r);
		assert_int_equal(rig_count(r, SIGN), i + 1);
	}
	rig_on_raw(r, REKEY, ANY, HTTP_ACT_REPLY_CLOSE, "");
	rig_issue_well(r);
	assert_int_equal(rig_count(r, SIGN), ARRAY_LEN(statuses) + 1);
}

static void a_refused_token_is_tried_once_more(void **state)
{
	struct rig *r = *state;
	rig_start_well(r);
	rig_on(r, SIGN, 1, 401, REFUSED(401, "no"));
	rig_issue_well(r);
	assert_int_equal(rig_count(r, SIGN), 2);
	rig_on(r, SIGN, 2, 401, REFUSED(401, "no"));
	rig_issue_fails(r, FAULT_DENIED, "the provisioner's name or key_id is wrong");
	assert_int_equal(rig_count(r, SIGN), 4);
	rig_until(r, rig_count(r, ROOTS) == 2); /* and the files and roots are looked at again */
	rig_until(r, http_running(r->http) == 0 && jobs_pending(r->jobs) == 0);
}

static void every_error_has_its_class(void **state)
{
	struct rig *r = *state;
	static const struct {
		int status;
		const char *body;
		enum fault_code code;
		bool retryable;
		const char *words;
	} cases[] = {
		{400, REFUSED(400, "bad CSR"), FAULT_INVALID, false, "it answered 400: bad CSR"},
		{400, "{}", FAULT_INVALID, false, "is this a step-ca?"},
		{403, REFUSED(403, "requested certificate duration of 50h is more than the maximum"), FAULT_INVALID,
			false, "maxTLSCertDuration"},
		{403, REFUSED(403, "not allowed"), FAULT_INVALID, false, "its policy refused (403): not allowed"},
		{404, "<html>no such page</html>", FAULT_UNAVAILABLE, true, "something else than a step-ca"},
		{404, REFUSED(404, "gone"), FAULT_INVALID, false, "404: gone"},
		{429, REFUSED(429, "slow down"), FAULT_EXHAUSTED, true, "it throttles (429): slow down"},
		{500, REFUSED(500, "oops"), FAULT_UNAVAILABLE, true, "it failed (500): oops"},
		{501, REFUSED(501, "no such thing"), FAULT_INVALID, false, "501"},
		{502, "<html>bad gateway</html>", FAULT_UNAVAILABLE, true, "it failed (502)"},
		{503, "", FAULT_UNAVAILABLE, true, "it failed (503)"},
		{302, "", FAULT_UNAVAILABLE, true, "302"},
		{400, REFUSED(400, "\\u001b[31mred\\nline"), FAULT_INVALID, false, "\\x1b[31mred\\nline"},
	};
	rig_start_well(r);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		rig_on(r, SIGN, 1, cases[i].status, cases[i].body);
		struct got g = rig_issue(r);
		assert_non_null(g.fault);
		assert_int_equal(fault_is_retryable(g.fault), cases[i].retryable);
		assert_non_null(strstr(fault_text(g.fault), "https://localhost"));
		expect_fault(g.fault, cases[i].code, cases[i].words);
	}
	rig_on_raw(r, SIGN, 1, HTTP_ACT_REPLY, "HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\n{}");
	struct got g = rig_issue(r);
	assert_int_equal(fault_retry_after_ms(g.fault), 7000);
	expect_fault(g.fault, FAULT_EXHAUSTED, "");
	rig_issue_well(r);
}

/* A JSON text with the same certificate so many times. */
static void add_many(struct buf *b, const struct rig *r, int count)
{
	struct buf one = BUF_INIT;
	rig_add_json_pem(&one, r->leaf);
	buf_add_text(b, "\"");
	for (int i = 0; i < count; i++)
		buf_add(b, one.data + 1, one.len - 2);
	buf_add_text(b, "\"");
	buf_free(&one);
}

static void malformed_answers_are_refused(void **state)
{
	struct rig *r = *state;
	static const char *const bodies[] = {"", "[]", "null", "{", "{}", "{\"crt\":1}", "{\"crt\":\"\"}",
		"{\"crt\":\"-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----\\n\"}", "{\"certChain\":[]}",
		"{\"certChain\":[1]}", "{\"certChain\":[\"\"]}", "{\"crt\":\"x\",\"crt\":\"y\"}"};
	rig_start_well(r);
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		rig_on(r, SIGN, 1, 201, bodies[i]);
		struct got g = rig_issue(r);
		assert_non_null(g.fault);
		assert_int_equal(fault_code(g.fault) == FAULT_CORRUPT || fault_code(g.fault) == FAULT_INVALID, true);
		fault_free(g.fault);
	}
	struct buf b = BUF_INIT;
	buf_add_text(&b, "{\"certChain\":[");
	for (int i = 0; i < CREDENTIAL_CHAIN_MAX + 1; i++) {
		buf_add_text(&b, i ? "," : "");
		rig_add_json_pem(&b, r->leaf);
	}
	buf_add_text(&b, "]}");
	rig_on(r, SIGN, 1, 201, buf_text(&b));
	rig_issue_fails(r, FAULT_CORRUPT, "its chain has 17 certificates");
	buf_truncate(&b, 0);
	buf_add_text(&b, "{\"crt\":"); /* each of them within the bound, but not both */
	add_many(&b, r, CREDENTIAL_CHAIN_MAX / 2 + 1);
	buf_add_text(&b, ",\"ca\":");
	add_many(&b, r, CREDENTIAL_CHAIN_MAX / 2 + 1);
	buf_add_text(&b, "}");
	rig_on(r, SIGN, 1, 201, buf_text(&b));
	rig_issue_fails(r, FAULT_INVALID, "too many certificates");
	buf_truncate(&b, 0);
	buf_add_text(&b, "{\"x\":\"");
	memset(buf_extend(&b, 1100 * 1024), 'x', 1100 * 1024);
	buf_add_text(&b, "\"}");
	rig_on(r, SIGN, 1, 201, buf_text(&b));
	rig_issue_fails(r, FAULT_CORRUPT, "more than 1048576 bytes");
	buf_free(&b);
	rig_on_raw(r, SIGN, 1, HTTP_ACT_REPLY_CLOSE, "SSH-2.0-server\r\n");
	rig_issue_fails(r, FAULT_CORRUPT, "localhost");
	rig_issue_well(r);
}

static void lost_slow_and_half_open_connections(void **state)
{
	struct rig *r = *state;
	struct got g;
	rig_start_well(r);
	rig_on_raw(r, SIGN, ANY, HTTP_ACT_REPLY_CLOSE, "");
	rig_issue_fails(r, FAULT_UNAVAILABLE, "localhost");
	static const char *const stuck[] = {"", "HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{\"crt\""};
	for (size_t i = 0; i < ARRAY_LEN(stuck); i++) {
		rig_on_raw(r, SIGN, 1, HTTP_ACT_HANG, stuck[i]);
		(void)rig_ask(r, &g, 1500); /* enough for the server to see it */
		rig_until(r, g.times);
		assert_true(fault_is_retryable(g.fault));
		expect_fault(g.fault, FAULT_TIMEOUT, "");
	}
	int before = rig_count(r, SIGN);
	(void)rig_ask(r, &g, -1); /* it is too late already */
	rig_until(r, g.times);
	expect_fault(g.fault, FAULT_TIMEOUT, "in time");
	assert_int_equal(rig_count(r, SIGN), before);
}

/* What it is refused with makes it look: new roots are anchors, and kept, before anything is signed under them. */
static void its_roots_rotate(void **state)
{
	struct rig *r = *state;
	rig_start_well(r);
	rig_list(r, ROOTS, 200, "crts", r->root, r->root2);
	rig_on(r, SIGN, 2, 401, REFUSED(401, "no"));
	rig_issue_fails(r, FAULT_DENIED, "");
	rig_until(r, r->trust_changes == 1);
	assert_int_equal(anchors_count(ca_anchors(r->ca)), 2);
	assert_int_equal(r->saves, 2);
	rig_on(r, ROOTS, ANY, 200, "{\"crts\":[]}"); /* a look that fails changes nothing */
	rig_on(r, SIGN, 2, 401, REFUSED(401, "no"));
	rig_issue_fails(r, FAULT_DENIED, "");
	int told = 0;
	rig_until(r, (told += rig_logged(r, "it shows 0 roots")) > 0 || rig_count(r, ROOTS) > 3);
	assert_int_equal(told, 1);
	assert_int_equal(anchors_count(ca_anchors(r->ca)), 2);
	assert_int_equal(r->trust_changes, 1);
	rig_stop(r);
	rig_list(r, ROOTS, 200, "crts", r->root, r->root2);
	rig_start_well(r);
	assert_int_equal(r->saves, 2); /* it was kept */
}

static void files_that_are_wrong(void **state)
{
	struct rig *r = *state;
	AUTO(mem_freep) char *key = rig_path(r, "provisioner.pem");
	rig_write(r, "provisioner.pem", "no key");
	rig_start(r);
	expect_fault(TAKE(r->ready_fault), FAULT_INVALID, "the provisioner's key in ");
	invariant(chmod(key, 0644) == 0);
	rig_start(r);
	expect_fault(TAKE(r->ready_fault), FAULT_INVALID, "is open to others");
	assert_int_equal(rig_count(r, ROOTS), 0);
	struct buf pem = BUF_INIT;
	certs_add_key_pem(&pem, CERTS_OTHER, "secret word");
	rig_write(r, "provisioner.pem", buf_text(&pem));
	rig_write(r, "password", "secret word\n");
	r->o.key_password_file = rig_path(r, "password");
	rig_stop(r);
	rig_start_well(r);
	rig_issue_well(r);
	rig_write(r, "password", "another\n"); /* a look finds it; the key that there is stays */
	rig_on(r, SIGN, 2, 401, REFUSED(401, "no"));
	rig_issue_fails(r, FAULT_DENIED, "");
	rig_until(r, rig_logged(r, "authority.roots_not_read"));
	rig_issue_well(r);
	buf_free(&pem);
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
	*g = (struct got){0, NULL, NULL};
	const struct ca_revocation revocation = {.leaf = r->current,
		.reason = CA_REASON_SUPERSEDED,
		.deadline_ms = clock_mono_ms(&r->clock) + RIG_PATIENCE_MS};
	struct ca_op *op = ca_revoke(r->ca, &revocation, on_revoked, g);
	assert_int_equal(g->times, 0);
	return op;
}

static struct fault *revoke_one(struct rig *r)
{
	struct got g;
	(void)begin_revoke(r, &g);
	rig_until(r, g.times);
	assert_int_equal(g.times, 1);
	return g.fault;
}

static void revokes_by_serial(void **state)
{
	struct rig *r = *state;
	rig_start_well(r);
	expect_ok(revoke_one(r));
	static const char *const parts[] = {"\"serial\":\"", "\"reasonCode\":4", "\"passive\":true", "\"ott\":\"ey"};
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		if (!rig_sent(r, REVOKE, parts[i]))
			fail_msg("no %s in it", parts[i]);
	assert_false(rig_sent(r, REVOKE, "PRIVATE KEY"));
	rig_on(r, REVOKE, 1, 400, REFUSED(400, "certificate with serial number 1 is already revoked"));
	expect_ok(revoke_one(r));
	rig_on(r, REVOKE, 1, 401, REFUSED(401, "no"));
	expect_fault(revoke_one(r), FAULT_DENIED, "401");
	assert_int_equal(rig_count(r, REVOKE), 3);
	rig_until(r, http_running(r->http) == 0 && jobs_pending(r->jobs) == 0);
}

/* --- one completion --- */

/* Wherever it waits: after this request was sent, and so often. What is asked before it is answered as the rules say.
 */
static void cancelled_at(struct rig *r, const char *what, bool renews)
{
	struct got g;
	int before = rig_count(r, what);
	r->renews = renews;
	struct ca_op *op = strcmp(what, REVOKE) == 0 ? begin_revoke(r, &g) : rig_ask(r, &g, RIG_PATIENCE_MS);
	rig_until(r, rig_count(r, what) > before);
	ca_cancel(op, r->ca);
	ca_cancel(op, r->ca);
	assert_int_equal(g.times, 0);
	rig_until(r, g.times);
	expect_fault(g.fault, FAULT_UNAVAILABLE, "cancelled");
	rig_until(r, http_running(r->http) == 0);
	assert_int_equal(g.times, 1);
	assert_int_equal(rig_count(r, what), before + 1); /* nothing more was asked for it */
}

static void cancelled_wherever_it_waits(void **state)
{
	struct rig *r = *state;
	struct got g;
	rig_start_well(r);
	struct ca_op *op = rig_ask(r, &g, RIG_PATIENCE_MS);
	ca_cancel(op, r->ca); /* before anything was sent */
	assert_int_equal(g.times, 0);
	rig_until(r, g.times);
	expect_fault(g.fault, FAULT_UNAVAILABLE, "cancelled");
	rig_until(r, http_running(r->http) == 0);
	rig_on_raw(r, REKEY, 1, HTTP_ACT_HANG, "");
	cancelled_at(r, REKEY, true);
	rig_on(r, REKEY, 1, 403, REFUSED(403, "no")); /* then the token that takes its place */
	rig_on_raw(r, SIGN, 1, HTTP_ACT_HANG, "");
	cancelled_at(r, SIGN, true);
	rig_on_raw(r, SIGN, 1, HTTP_ACT_HANG, "");
	cancelled_at(r, SIGN, false);
	rig_on_raw(r, SIGN, 1, HTTP_ACT_HANG, "HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{\"crt\"");
	cancelled_at(r, SIGN, false);
	rig_on_raw(r, REVOKE, 1, HTTP_ACT_HANG, "");
	cancelled_at(r, REVOKE, false);
	r->renews = false;
	rig_issue_well(r);
}

/* The second of two tokens. */
static void cancelled_at_the_second_token(void **state)
{
	struct rig *r = *state;
	struct got g;
	rig_start_well(r);
	rig_on_raw(r, SIGN, 1, HTTP_ACT_HANG, "");
	rig_on(r, SIGN, 1, 401, REFUSED(401, "no")); /* the latest rule comes first */
	struct ca_op *op = rig_ask(r, &g, RIG_PATIENCE_MS);
	rig_until(r, rig_count(r, SIGN) == 2);
	ca_cancel(op, r->ca);
	rig_until(r, g.times);
	expect_fault(g.fault, FAULT_UNAVAILABLE, "cancelled");
	rig_until(r, http_running(r->http) == 0);
	assert_int_equal(rig_count(r, SIGN), 2);
}

static void close_ends_all_that_is_under_way(void **state)
{
	struct rig *r = *state;
	struct got g[8], revocation;
	rig_start_well(r);
	rig_on_raw(r, SIGN, ANY, HTTP_ACT_HANG, "");
	rig_on_raw(r, REKEY, ANY, HTTP_ACT_HANG, "");
	rig_on_raw(r, REVOKE, ANY, HTTP_ACT_HANG, "");
	for (size_t i = 0; i < ARRAY_LEN(g); i++) {
		r->renews = i % 2;
		(void)rig_ask(r, &g[i], RIG_PATIENCE_MS);
	}
	(void)begin_revoke(r, &revocation);
	rig_until(r, rig_count(r, SIGN) > 0 && rig_count(r, REKEY) > 0);
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
	static char what[] = "GET /root/0000000000000000000000000000000000000000000000000000000000000000";
	rig_new(r);
	rig_begin(r); /* nothing but a job is under way */
	rig_stop(r);
	rig_on_raw(r, ROOTS, 1, HTTP_ACT_HANG, "");
	rig_new(r);
	rig_begin(r);
	rig_until(r, rig_count(r, ROOTS) == 1);
	rig_stop(r);
	use_fingerprint(r, strrchr(what, '/') + 1);
	rig_on_raw(r, what, 1, HTTP_ACT_HANG, "");
	rig_new(r);
	rig_begin(r);
	rig_until(r, rig_count(r, what) == 1);
	rig_stop(r);
	assert_int_equal(r->ready, 0);
}

static void bad_options_are_refused(void **state)
{
	struct rig *r = *state;
	const struct ca_env env = {.loop = r->loop, .jobs = r->jobs, .http = r->http, .authority = "corp"};
	struct ca *none = NULL;
	static char plain[] = "http://127.0.0.1:9000", odd[] = "ftp://x", short_hex[] = "00ff";
	struct step_options o = r->o;
	o.address = plain;
	expect_fault(step_new(&o, &env, &none), FAULT_INVALID, "https alone");
	o.address = odd;
	expect_fault(step_new(&o, &env, &none), FAULT_INVALID, "");
	o = r->o;
	o.root_file = NULL;
	expect_fault(step_new(&o, &env, &none), FAULT_INVALID, "root_sha256");
	o.root_sha256 = short_hex;
	expect_fault(step_new(&o, &env, &none), FAULT_INVALID, "64 lower-case hex digits");
	o = r->o;
	o.provisioner = NULL;
	expect_fault(step_new(&o, &env, &none), FAULT_INVALID, "provisioner and key_file");
	assert_null(none);
	assert_true(step_options_equal(&r->o, &r->o));
	assert_false(step_options_equal(&r->o, &o));
}

int main(void)
{
	const struct CMUnitTest tests[] = {rig_test(is_ready_after_files_and_roots),
		rig_test(a_root_by_its_fingerprint), rig_test(asks_for_exactly_what_was_asked),
		rig_test(a_renewal_is_a_rekey), rig_test(a_refused_rekey_ends_in_a_token),
		rig_test(a_refused_token_is_tried_once_more), rig_test(every_error_has_its_class),
		rig_test(malformed_answers_are_refused), rig_test(lost_slow_and_half_open_connections),
		rig_test(its_roots_rotate), rig_test(files_that_are_wrong), rig_test(revokes_by_serial),
		rig_test(cancelled_wherever_it_waits), rig_test(cancelled_at_the_second_token),
		rig_test(close_ends_all_that_is_under_way), rig_test(close_while_it_starts),
		rig_test(bad_options_are_refused)};
	return cmocka_run_group_tests(tests, NULL, certs_free);
}
