/* The login of the vault driver: each kind, one for all who wait, renewal, its end, refusals, files that change. */
#include "vault_rig.h"

#define LOOKUP "GET /v1/auth/token/lookup-self"

/* --- one for all --- */

static void one_login_for_all_who_wait(void **state)
{
	struct rig *r = *state;
	struct got g[10];
	rig_on(r, LOGIN, 1, 200, TOKEN("tok-old", 3600, true));
	rig_start_well(r);
	rig_on_with(r, SIGN, "X-Vault-Token: tok-old\r\n", 403, ERRORS("permission denied"));
	for (size_t i = 0; i < ARRAY_LEN(g); i++)
		(void)rig_ask(r, &g[i], RIG_PATIENCE_MS);
	for (size_t i = 0; i < ARRAY_LEN(g); i++) {
		rig_until(r, g[i].times);
		expect_ok(g[i].fault);
		ca_answer_free(g[i].answer);
	}
	assert_int_equal(rig_count(r, LOGIN), 2);
	assert_int_equal(rig_count(r, SIGN), 20);
	assert_true(rig_sent(r, SIGN, "X-Vault-Token: tok-first\r\n"));
}

static void a_denial_that_stands_is_explained_and_costs_one_login(void **state)
{
	struct rig *r = *state;
	rig_start_well(r);
	rig_on(r, SIGN, ANY, 403, ERRORS("1 error occurred:\\n\\t* permission denied\\n\\n"));
	rig_issue_fails(r, FAULT_DENIED, "the policy of this login lacks: path \"pki/sign/mesh\"");
	assert_int_equal(rig_count(r, LOGIN), 2);
	for (int i = 0; i < 5; i++)
		rig_issue_fails(r, FAULT_DENIED, "permission denied");
	assert_int_equal(rig_count(r, LOGIN), 2); /* not one for each */
	assert_int_equal(rig_count(r, SIGN), 7);
	r->later_ms += 61 * MS_PER_S; /* the policy may have been mended, or the token was revoked since */
	rig_issue_fails(r, FAULT_DENIED, "permission denied");
	assert_int_equal(rig_count(r, LOGIN), 3);
}

static void an_ended_token_is_not_sent(void **state)
{
	struct rig *r = *state;
	rig_on(r, LOGIN, 1, 200, TOKEN("tok-old", 3600, true));
	rig_start_well(r);
	r->later_ms += 3601 * MS_PER_S;
	rig_issue_well(r);
	assert_int_equal(rig_count(r, SIGN), 1);
	assert_true(rig_sent(r, SIGN, "X-Vault-Token: tok-first\r\n"));
	assert_int_equal(rig_count(r, LOGIN), 2);
}

/* --- refused, and not reached --- */

static void a_refused_login_is_not_repeated_with_the_same_credentials(void **state)
{
	struct rig *r = *state;
	rig_on(r, LOGIN, ANY, 400, ERRORS("invalid role or secret ID"));
	rig_start(r);
	expect_fault(TAKE(r->ready_fault), FAULT_DENIED, "a new one in its file");
	rig_start(r); /* at once */
	assert_true(fault_retry_after_ms(r->ready_fault) > 0);
	expect_fault(TAKE(r->ready_fault), FAULT_DENIED, "invalid role or secret ID");
	assert_int_equal(rig_count(r, LOGIN), 1);
	rig_on(r, LOGIN, ANY, 200, TOKEN("tok-new", 3600, true));
	rig_write(r, "secret_id", "another-secret-id");
	rig_start_well(r);
	assert_int_equal(rig_count(r, LOGIN), 2);
	assert_true(rig_sent(r, LOGIN, "another-secret-id"));
}

static void a_refused_login_is_told_to_all_who_wait(void **state)
{
	struct rig *r = *state;
	struct got g[3];
	rig_start_well(r);
	r->later_ms += 3601 * MS_PER_S;
	rig_on(r, LOGIN, ANY, 403, ERRORS("no the-secret-id here"));
	for (size_t i = 0; i < ARRAY_LEN(g); i++)
		(void)rig_ask(r, &g[i], RIG_PATIENCE_MS);
	for (size_t i = 0; i < ARRAY_LEN(g); i++) {
		rig_until(r, g[i].times);
		assert_null(strstr(fault_text(g[i].fault), "the-secret-id"));
		expect_fault(g[i].fault, FAULT_DENIED, "login by approle");
	}
	assert_int_equal(rig_count(r, LOGIN), 2);
	assert_int_equal(rig_count(r, SIGN), 0);
}

static void logins_that_make_no_sense(void **state)
{
	struct rig *r = *state;
	static const struct {
		const char *json;
		enum fault_code code;
		const char *words;
	} cases[] = {
		{"{}", FAULT_CORRUPT, "no usable token"},
		{"{\"auth\":null}", FAULT_CORRUPT, "no usable token"},
		{"{\"auth\":{\"client_token\":\"a\\r\\nX-Evil: 1\",\"lease_duration\":60}}", FAULT_CORRUPT,
			"no usable token"},
		{"{\"auth\":{\"client_token\":\"tok\"}}", FAULT_CORRUPT, "no lifetime"},
		{"{\"auth\":{\"client_token\":\"tok\",\"lease_duration\":-1}}", FAULT_CORRUPT, "no lifetime"},
		{"{\"auth\":{\"client_token\":\"\",\"mfa_requirement\":{\"a\":1}}}", FAULT_DENIED, "second factor"},
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		rig_on(r, LOGIN, 1, 200, cases[i].json);
		rig_start(r);
		expect_fault(TAKE(r->ready_fault), cases[i].code, cases[i].words);
	}
}

static void missing_and_open_files_are_named(void **state)
{
	struct rig *r = *state;
	AUTO(mem_freep) char *path = rig_path(r, "secret_id");
	assert_int_equal(chmod(path, 0644), 0);
	rig_start(r);
	expect_fault(TAKE(r->ready_fault), FAULT_INVALID, "secret_id is open to others");
	assert_int_equal(unlink(path), 0);
	rig_start(r);
	expect_fault(TAKE(r->ready_fault), FAULT_NOT_FOUND, "/secret_id");
	rig_write(r, "secret_id", "two words");
	rig_start(r);
	expect_fault(TAKE(r->ready_fault), FAULT_INVALID, "more than one word");
	rig_write(r, "secret_id", " \n");
	rig_start(r);
	expect_fault(TAKE(r->ready_fault), FAULT_INVALID, "is empty");
	assert_int_equal(rig_count(r, LOGIN), 0);
}

/* --- its life --- */

static void a_token_is_renewed_before_it_ends(void **state)
{
	struct rig *r = *state;
	rig_on(r, LOGIN, ANY, 200, TOKEN("tok-one", 2, true));
	rig_on(r, RENEW, ANY, 200, TOKEN("tok-one", 2, true));
	rig_start_well(r);
	int64_t before = ca_login_ends_at_ms(r->ca);
	rig_until(r, ca_login_ends_at_ms(r->ca) > before);
	assert_int_equal(rig_count(r, LOGIN), 1);
	assert_true(rig_sent(r, RENEW, "X-Vault-Token: tok-one\r\n"));
	rig_issue_well(r);
}

static void what_cannot_be_renewed_is_made_anew(void **state)
{
	struct rig *r = *state;
	rig_on(r, LOGIN, ANY, 200, TOKEN("tok-two", 3600, true));
	rig_on(r, LOGIN, 1, 200, TOKEN("tok-one", 1, false));
	rig_start_well(r);
	rig_until(r, rig_logged(r, "authority.logged_in") && rig_count(r, LOGIN) == 2);
	assert_int_equal(rig_count(r, RENEW), 0);
	rig_issue_well(r);
	assert_true(rig_sent(r, SIGN, "tok-two"));
}

static void a_refused_renewal_leads_to_a_login(void **state)
{
	struct rig *r = *state;
	rig_on(r, LOGIN, ANY, 200, TOKEN("tok-two", 3600, true));
	rig_on(r, LOGIN, 1, 200, TOKEN("tok-one", 1, true));
	rig_on(r, RENEW, ANY, 403, ERRORS("permission denied"));
	rig_start_well(r);
	int64_t before = ca_login_ends_at_ms(r->ca);
	rig_until(r, ca_login_ends_at_ms(r->ca) > before + MS_PER_MIN);
	assert_int_equal(rig_count(r, RENEW), 1);
	assert_int_equal(rig_count(r, LOGIN), 2);
}

/* Near its longest life a token gets less and less. */
static void a_renewal_that_brings_little_is_the_last(void **state)
{
	struct rig *r = *state;
	rig_on(r, LOGIN, ANY, 200, TOKEN("tok-two", 3600, true));
	rig_on(r, LOGIN, 1, 200, TOKEN("tok-one", 3, true));
	rig_on(r, RENEW, ANY, 200, TOKEN("tok-one", 1, true));
	rig_start_well(r);
	int64_t before = ca_login_ends_at_ms(r->ca);
	rig_until(r, ca_login_ends_at_ms(r->ca) > before + MS_PER_MIN);
	assert_int_equal(rig_count(r, RENEW), 1);
}

static void the_token_that_there_is_serves_while_the_server_is_away(void **state)
{
	struct rig *r = *state;
	rig_on(r, LOGIN, ANY, 503, ERRORS("Vault is sealed"));
	rig_on(r, LOGIN, 1, 200, TOKEN("tok-one", 1, false));
	rig_start_well(r);
	rig_until(r, rig_logged(r, "authority.login_failed"));
	r->later_ms -= MS_PER_S; /* it has not ended yet */
	rig_issue_well(r);
	assert_true(rig_sent(r, SIGN, "tok-one"));
}

static void changed_files_lead_to_a_login(void **state)
{
	struct rig *r = *state;
	r->o.poll_ms = VAULT_POLL_MIN_MS;
	rig_start_well(r);
	rig_write(r, "secret_id", "the-next-secret-id");
	rig_until(r, rig_count(r, LOGIN) == 2);
	assert_true(rig_sent(r, LOGIN, "the-next-secret-id"));
	rig_until(r, rig_logged(r, "authority.logged_in"));
}

/* --- a wrapped secret id --- */

#define UNWRAP "POST /v1/sys/wrapping/unwrap"
#define WRAPPED(id) "{\"data\":{\"secret_id\":\"" id "\",\"secret_id_accessor\":\"a\"}}"

static void use_wrapped(struct rig *r, const char *token)
{
	free(r->o.login.secret_id_file);
	r->o.login.secret_id_file = NULL;
	rig_write(r, "wrapping", token);
	r->o.login.wrapping_token_file = rig_path(r, "wrapping");
}

static void a_wrapped_secret_id_is_opened_once(void **state)
{
	struct rig *r = *state;
	r->o.poll_ms = VAULT_POLL_MIN_MS;
	use_wrapped(r, "wrap-1\n");
	rig_on(r, UNWRAP, 1, 200, WRAPPED("id-in-the-wrap"));
	rig_start_well(r);
	assert_true(rig_sent(r, UNWRAP, "X-Vault-Token: wrap-1\r\n"));
	assert_true(rig_sent(r, LOGIN, "\"secret_id\":\"id-in-the-wrap\""));
	assert_false(rig_sent(r, LOGIN, "wrap-1"));
	assert_int_equal(r->saves, 1);
	rig_stop(r);
	assert_int_equal(rig_logged(r, "id-in"), 0);
	rig_start_well(r); /* a restart: what was kept logs in */
	assert_int_equal(rig_count(r, UNWRAP), 1);
	assert_int_equal(rig_count(r, LOGIN), 2);
	assert_true(rig_sent(r, LOGIN, "\"secret_id\":\"id-in-the-wrap\""));
	rig_on(r, UNWRAP, 1, 200, WRAPPED("id-of-the-next"));
	rig_write(r, "wrapping", "wrap-2");
	rig_until(r, rig_count(r, LOGIN) == 3);
	assert_true(rig_sent(r, UNWRAP, "X-Vault-Token: wrap-2\r\n"));
	assert_true(rig_sent(r, LOGIN, "\"secret_id\":\"id-of-the-next\""));
	assert_int_equal(r->saves, 2);
	assert_int_equal(rig_logged(r, "wrap-"), 0);
}

static void who_opened_it_before_us_is_told(void **state)
{
	struct rig *r = *state;
	use_wrapped(r, "wrap-1");
	rig_on(r, UNWRAP, ANY, 400, ERRORS("wrapping token is not valid or does not exist"));
	rig_start(r);
	expect_fault(TAKE(r->ready_fault), FAULT_DENIED, "if not by this leafcast, somebody else has the secret_id");
	rig_on(r, UNWRAP, ANY, 200, "{\"data\":{\"password\":\"x\"}}");
	rig_write(r, "wrapping", "wrap-2");
	rig_start(r);
	expect_fault(TAKE(r->ready_fault), FAULT_INVALID, "holds no secret_id");
	rig_on(r, UNWRAP, ANY, 503, ERRORS("Vault is sealed")); /* not used up: it is tried again */
	rig_start(r);
	assert_true(fault_is_retryable(r->ready_fault));
	expect_fault(TAKE(r->ready_fault), FAULT_UNAVAILABLE, "unseal it");
	assert_int_equal(rig_count(r, LOGIN), 0);
	assert_int_equal(r->saves, 0);
}

static void closed_while_it_is_opened(void **state)
{
	struct rig *r = *state;
	use_wrapped(r, "wrap-1");
	rig_on(r, UNWRAP, 1, 200, WRAPPED("id-in-the-wrap"));
	rig_on_raw(r, UNWRAP, 1, HTTP_ACT_HANG, "");
	rig_new(r);
	rig_begin(r);
	rig_until(r, rig_count(r, UNWRAP) == 1);
	rig_stop(r);
	r->save_waits = true;
	rig_new(r);
	rig_begin(r);
	rig_until(r, r->save_done != NULL); /* while it is being kept */
	rig_stop(r);
	assert_int_equal(rig_count(r, LOGIN), 0);
	assert_int_equal(r->ready, 0);
}

/* --- the other kinds --- */

static void use(struct rig *r, enum vault_auth type, const char *file, const char *text)
{
	vault_login_options_done(&r->o.login);
	rig_write(r, file, text);
	r->o.login.type = type;
	r->o.login.token_file = rig_path(r, file);
	if (type == VAULT_AUTH_JWT) {
		r->o.login.mount = mem_strdup("kubernetes/a");
		r->o.login.role = mem_strdup("leafcast");
	}
}

static void a_token_from_a_file(void **state)
{
	struct rig *r = *state;
	use(r, VAULT_AUTH_TOKEN, "token", "tok-file\n");
	rig_on(r, LOOKUP, ANY, 200, "{\"data\":{\"ttl\":0,\"renewable\":false}}");
	rig_start_well(r);
	assert_int_equal(ca_login_ends_at_ms(r->ca), 0); /* it does not end */
	rig_issue_well(r);
	assert_true(rig_sent(r, SIGN, "X-Vault-Token: tok-file\r\n"));
	assert_int_equal(rig_count(r, LOGIN), 0);
	rig_stop(r);
	rig_on(r, LOOKUP, ANY, 403, ERRORS("permission denied"));
	rig_start(r);
	expect_fault(TAKE(r->ready_fault), FAULT_DENIED, "has expired, was revoked, or may not read");
}

static void a_token_that_ends_is_told_and_taken_anew(void **state)
{
	struct rig *r = *state;
	r->o.poll_ms = VAULT_POLL_MIN_MS;
	use(r, VAULT_AUTH_TOKEN, "token", "tok-file");
	rig_on(r, LOOKUP, ANY, 200, "{\"data\":{\"ttl\":1,\"renewable\":false}}");
	rig_start_well(r);
	rig_until(r, rig_logged(r, "authority.login_ends"));
	rig_on(r, LOOKUP, ANY, 200, "{\"data\":{\"ttl\":3600,\"renewable\":true}}");
	rig_write(r, "token", "tok-next");
	rig_until(r, ca_login_ends_at_ms(r->ca) > clock_wall_ms(clock_system()) + MS_PER_MIN);
	rig_issue_well(r);
	assert_true(rig_sent(r, SIGN, "X-Vault-Token: tok-next\r\n"));
}

static void a_jwt(void **state)
{
	struct rig *r = *state;
	use(r, VAULT_AUTH_JWT, "jwt", "aaa.bbb.ccc\n");
	rig_on(r, "POST /v1/auth/kubernetes/a/login", 2, 200, TOKEN("tok-jwt", 3600, true));
	AUTO(mem_freep) char *path = rig_path(r, "jwt");
	assert_int_equal(chmod(path, 0644), 0); /* as Kubernetes writes it */
	rig_start_well(r);
	assert_true(rig_sent(r, "POST /v1/auth/kubernetes/a/login", "{\"jwt\":\"aaa.bbb.ccc\",\"role\":\"leafcast\"}"));
	rig_write(r, "jwt", "ddd.eee.fff\n");
	r->later_ms += 3601 * MS_PER_S;
	rig_issue_well(r);
	assert_true(rig_sent(r, "POST /v1/auth/kubernetes/a/login", "ddd.eee.fff")); /* read anew at each login */
}

/* --- one completion --- */

static void cancelled_while_the_login_is_under_way(void **state)
{
	struct rig *r = *state;
	struct got first, second;
	rig_start_well(r);
	r->later_ms += 3601 * MS_PER_S;
	rig_on_raw(r, LOGIN, 1, HTTP_ACT_HANG, "");
	struct ca_op *op = rig_ask(r, &first, RIG_PATIENCE_MS);
	(void)rig_ask(r, &second, 300);
	rig_until(r, rig_count(r, LOGIN) == 2);
	ca_cancel(op, r->ca);
	rig_until(r, first.times);
	expect_fault(first.fault, FAULT_UNAVAILABLE, "cancelled");
	rig_until(r, second.times);
	expect_fault(second.fault, FAULT_TIMEOUT, "the login was not done in time");
	(void)rig_ask(r, &first, RIG_PATIENCE_MS);
	rig_stop(r); /* the login and a waiter are ended */
	assert_int_equal(first.times, 1);
	expect_fault(first.fault, FAULT_UNAVAILABLE, "closing");
	assert_int_equal(second.times, 1);
}

/* A completion that cancels the one behind it, which waits for the same login. */
struct pair {
	struct rig *rig;
	struct ca_op *other;
	int times;
};

static void on_first(void *arg, struct fault *f, struct ca_answer *a)
{
	struct pair *p = arg;
	p->times++;
	assert_null(a);
	fault_free(f);
	ca_cancel(p->other, p->rig->ca);
}

static void a_completion_may_cancel_another(void **state)
{
	struct rig *r = *state;
	struct pair p = {r, NULL, 0};
	struct got g;
	rig_start_well(r);
	r->later_ms += 3601 * MS_PER_S;
	rig_on(r, LOGIN, 1, 500, ERRORS("broken"));
	const struct ca_request request = {.csr = r->csr,
		.sans = &r->sans,
		.lifetime_ms = MS_PER_HOUR,
		.deadline_ms = clock_mono_ms(&r->clock) + RIG_PATIENCE_MS};
	(void)ca_issue(r->ca, &request, on_first, &p);
	p.other = rig_ask(r, &g, RIG_PATIENCE_MS);
	rig_until(r, g.times);
	assert_int_equal(p.times, 1);
	expect_fault(g.fault, FAULT_UNAVAILABLE, "cancelled");
}

static void closed_while_a_renewal_or_check_is_under_way(void **state)
{
	struct rig *r = *state;
	r->o.poll_ms = VAULT_POLL_MIN_MS;
	rig_on(r, LOGIN, ANY, 200, TOKEN("tok-one", 1, true));
	rig_on_raw(r, RENEW, ANY, HTTP_ACT_HANG, "");
	rig_start_well(r);
	rig_until(r, rig_count(r, RENEW) == 1);
	rig_until(r, jobs_pending(r->jobs) > 0);
	rig_stop(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {rig_test(one_login_for_all_who_wait),
		rig_test(a_denial_that_stands_is_explained_and_costs_one_login), rig_test(an_ended_token_is_not_sent),
		rig_test(a_refused_login_is_not_repeated_with_the_same_credentials),
		rig_test(a_refused_login_is_told_to_all_who_wait), rig_test(logins_that_make_no_sense),
		rig_test(missing_and_open_files_are_named), rig_test(a_token_is_renewed_before_it_ends),
		rig_test(what_cannot_be_renewed_is_made_anew), rig_test(a_refused_renewal_leads_to_a_login),
		rig_test(a_renewal_that_brings_little_is_the_last),
		rig_test(the_token_that_there_is_serves_while_the_server_is_away),
		rig_test(changed_files_lead_to_a_login), rig_test(a_wrapped_secret_id_is_opened_once),
		rig_test(who_opened_it_before_us_is_told), rig_test(closed_while_it_is_opened),
		rig_test(a_token_from_a_file), rig_test(a_token_that_ends_is_told_and_taken_anew), rig_test(a_jwt),
		rig_test(cancelled_while_the_login_is_under_way), rig_test(a_completion_may_cancel_another),
		rig_test(closed_while_a_renewal_or_check_is_under_way)};
	return cmocka_run_group_tests(tests, NULL, certs_free);
}
