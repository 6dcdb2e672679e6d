/* ca-client/vault_login.c - the login: one for all who wait, renewed in time, made anew when it cannot be renewed, when
 * it is refused, or when its files change. The token that there is serves until another one does. */
#include <string.h>
#include "base/anchors.h"
#include "base/clock.h"
#include "base/credential.h"
#include "base/fault.h"
#include "base/io/loop.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/text.h"
#include "ca-client/vault_internal.h"

#define LOGIN_TIMEOUT_MS (15 * MS_PER_S)
/* Files are compared this often, or at each poll where that is sooner. */
#define CHECK_MS (10 * MS_PER_S)
/* A token that lives for less is renewed no sooner than this. */
#define SOONEST_MS (MS_PER_S / 2)
/* A denial against a login that was fresh is believed for so long. */
#define DENIAL_STANDS_MS MS_PER_MIN

static void begin(struct vault *v, bool anew);
static void begin_with(struct vault *v, struct vault_files *files);
static void plan_retry(struct vault *v);

static int64_t now_ms(const struct vault *v)
{
	return clock_mono_ms(v->ca.env.clock);
}

const struct secret *vault_login_token(struct vault *v)
{
	return v->login.token && now_ms(v) < v->login.ends_at_mono_ms ? v->login.token : NULL;
}

int64_t vault_login_ends_at_ms(struct ca *ca)
{
	return vault_of(ca)->login.ends_at_wall_ms;
}

/* --- its life --- */

static void set_lease(struct vault *v, const struct vault_lease *lease)
{
	struct vault_login *l = &v->login;
	l->renewable = lease->renewable;
	l->ends_at_mono_ms = lease->lease_ms ? now_ms(v) + lease->lease_ms : INT64_MAX;
	l->ends_at_wall_ms = lease->lease_ms ? clock_wall_ms(v->ca.env.clock) + lease->lease_ms : 0;
}

/* At 60 to 70 % of what is left, drawn, so that a fleet does not come at once. */
static void plan(struct vault *v)
{
	struct vault_login *l = &v->login;
	if (l->ends_at_mono_ms == INT64_MAX) {
		timer_stop(l->plan);
		return;
	}
	int64_t left = l->ends_at_mono_ms - now_ms(v);
	int64_t wait = left * 6 / 10 + (int64_t)(vault_draw() % (uint64_t)(left / 10 + 1));
	timer_start(l->plan, wait > SOONEST_MS ? wait : SOONEST_MS);
}

/* f stays the caller's. */
static void finish(struct vault *v, const struct fault *f)
{
	v->login.busy = v->login.anew = false;
	vault_serve(&v->login.waiters, f);
}

static void take_token(struct vault *v, struct secret *token, const struct vault_lease *lease)
{
	struct vault_login *l = &v->login;
	secret_free(l->token);
	l->token = token;
	l->generation++;
	l->first_lease_ms = lease->lease_ms;
	vault_files_free(l->used);
	l->used = TAKE(l->tried);
	fault_free(TAKE(l->refused));
	l->pause_until_mono_ms = 0;
	backoff_reset(&l->backoff);
	set_lease(v, lease);
	plan(v);
	if (l->ends_at_wall_ms)
		log_event(LOG_INFO, "authority.logged_in", LS("authority", v->ca.env.authority),
			LS("login", vault_auth_name(v->o.login.type)), LT("ends_at", l->ends_at_wall_ms),
			LB("renewable", l->renewable));
	else
		log_event(LOG_INFO, "authority.logged_in", LS("authority", v->ca.env.authority),
			LS("login", vault_auth_name(v->o.login.type)));
	finish(v, NULL);
}

/* f is owned. With the same credentials it is not tried again for a while: some methods lock out who fails often. */
static void login_failed(struct vault *v, struct fault *f)
{
	struct vault_login *l = &v->login;
	int64_t wait = backoff_asked_ms(&l->backoff, fault_retry_after_ms(f), vault_draw());
	f = fault_wrap(f, "login by %s", vault_auth_name(v->o.login.type));
	fault_free(TAKE(l->refused));
	if (fault_code(f) == FAULT_DENIED) {
		l->refused = vault_fault_copy(f);
		l->pause_until_mono_ms = now_ms(v) + wait;
	}
	log_event(LOG_WARN, "authority.login_failed", LS("authority", v->ca.env.authority), LI("retry_in_ms", wait),
		LF(f));
	if (v->started) /* before that the core asks again */
		timer_start(l->plan, wait);
	finish(v, f);
	fault_free(f);
}

/* --- the request --- */

/* A bad secret_id and an unknown certificate are answered by 400 too. */
static struct fault *as_denial(struct fault *f, int status)
{
	if (status != 400)
		return f;
	struct fault *denied = fault_new(FAULT_DENIED, "%s", fault_text(f));
	fault_free(f);
	return denied;
}

static void on_login(void *arg, struct fault *f, int status, const json_t *root)
{
	struct vault *v = arg;
	struct secret *token = NULL;
	struct vault_lease lease;
	v->login.call = NULL;
	f = f ? as_denial(f, status) : vault_answer_login(root, &token, &lease);
	if (f)
		login_failed(v, f);
	else
		take_token(v, token, &lease);
}

/* A token that another program keeps: asked what it is worth. */
static void on_lookup(void *arg, struct fault *f, int status, const json_t *root)
{
	struct vault *v = arg;
	struct vault_lease lease;
	struct secret *token = NULL;
	v->login.call = NULL;
	if (f && status == 403)
		f = fault_wrap(f, "the token in %s has expired, was revoked, or may not read auth/token/lookup-self",
			v->o.login.token_file);
	else if (!f)
		f = vault_answer_lookup(root, &lease);
	if (!f) {
		size_t len;
		const unsigned char *bytes = secret_bytes(v->login.tried->token, &len);
		f = secret_new(bytes, len, &token);
	}
	if (f)
		login_failed(v, f);
	else
		take_token(v, token, &lease);
}

static void add_text(json_t *body, const char *key, const char *text)
{
	invariant(json_object_set_new(body, key, vault_json_text(text)) == 0);
}

static void add_secret(json_t *body, const char *key, const struct secret *s)
{
	add_text(body, key, (const char *)secret_bytes(s, NULL));
}

static json_t *login_body(
	const struct vault_login_options *o, const struct vault_files *files, const struct secret *secret_id)
{
	json_t *body = json_object();
	invariant(body);
	if (files->role_id)
		add_secret(body, "role_id", files->role_id);
	if (secret_id)
		add_secret(body, "secret_id", secret_id);
	if (files->token)
		add_secret(body, "jwt", files->token);
	if (o->role)
		add_text(body, o->type == VAULT_AUTH_CERTIFICATE ? "name" : "role", o->role);
	return body;
}

static void send_login(struct vault *v);

/* It is used up now, whatever comes: kept first, then logged in with. */
static void on_unwrapped(void *arg, struct fault *f, int status, const json_t *root)
{
	struct vault *v = arg;
	struct secret *secret_id = NULL;
	v->login.call = NULL;
	if (f && (status == 400 || status == 403))
		f = fault_wrap(as_denial(f, 400),
			"the wrapping token in %s has expired or was used: if not by this leafcast, somebody else has "
			"the "
			"secret_id; make a new one",
			v->o.login.wrapping_token_file);
	else if (!f)
		f = vault_answer_unwrapped(root, &secret_id);
	if (f) {
		login_failed(v, f);
		return;
	}
	vault_unwrap_take(v, v->login.tried->wrapping, secret_id);
	log_event(LOG_INFO, "authority.secret_id_unwrapped", LS("authority", v->ca.env.authority));
	vault_unwrap_keep(v, send_login);
}

static void send_unwrap(struct vault *v)
{
	const struct vault_request r = {.method = "POST",
		.path = "sys/wrapping/unwrap",
		.token = v->login.tried->wrapping,
		.timeout_ms = LOGIN_TIMEOUT_MS};
	v->login.call = vault_call_start(v, &r, on_unwrapped, v);
}

static void send_login(struct vault *v)
{
	const struct vault_login_options *o = &v->o.login;
	const struct vault_files *files = v->login.tried;
	AUTO(mem_freep) char *path = mem_printf("auth/%s/login", o->mount ? o->mount : "token");
	const struct secret *secret_id = files->wrapping ? vault_unwrapped(v, files->wrapping) : files->secret_id;
	if (files->wrapping && !secret_id) {
		send_unwrap(v);
		return;
	}
	json_t *body = login_body(o, files, secret_id);
	const struct vault_request r = {.method = "POST",
		.path = path,
		.body = body,
		.client = files->client,
		.timeout_ms = LOGIN_TIMEOUT_MS,
		.hide = {secret_id, files->wrapping ? files->wrapping : files->token}};
	v->login.call = vault_call_start(v, &r, on_login, v);
	json_decref(body);
}

static void send_lookup(struct vault *v)
{
	const struct vault_request r = {.method = "GET",
		.path = "auth/token/lookup-self",
		.token = v->login.tried->token,
		.timeout_ms = LOGIN_TIMEOUT_MS};
	v->login.call = vault_call_start(v, &r, on_lookup, v);
}

/* --- the files --- */

/* Once per change: they are looked at again and again. Before it is ready the core tells. */
static void say_roots(struct vault *v, const struct fault *f)
{
	const char *text = f ? fault_text(f) : NULL;
	if (f && v->started && !text_same(text, v->roots_told))
		log_event(LOG_WARN, "authority.roots_not_read", LS("authority", v->ca.env.authority), LF(f));
	free(v->roots_told);
	v->roots_told = mem_strdup(text);
}

/* Roots that cannot be read do not replace those that could. */
static void take_roots(struct vault *v, struct vault_files *files)
{
	say_roots(v, files->roots_fault);
	if (files->roots_fault)
		return;
	if (files->server_roots) {
		anchors_unref(v->server_roots);
		v->server_roots = TAKE(files->server_roots);
	}
	vault_trust_give(v, files->given_roots);
}

/* Before the first good reading nothing is known of the roots, and nothing may be sent. */
static struct fault *take_fault(struct vault *v, struct vault_files *files)
{
	bool lacks_roots = (v->o.ca_file && !v->server_roots) || (v->o.root_file && !v->trust.given);
	if (lacks_roots && files->roots_fault)
		return TAKE(files->roots_fault);
	return TAKE(files->login_fault);
}

static void on_files(struct vault *v, struct vault_files *files)
{
	struct vault_login *l = &v->login;
	take_roots(v, files);
	struct fault *f = take_fault(v, files);
	if (!f && l->refused && now_ms(v) < l->pause_until_mono_ms && vault_files_same_login(files, l->tried)) {
		f = fault_set_retryable(vault_fault_copy(l->refused), l->pause_until_mono_ms - now_ms(v));
		vault_files_free(files);
		finish(v, f);
		fault_free(f);
	} else if (f) {
		vault_files_free(files);
		login_failed(v, f);
	} else if (!l->anew && vault_login_token(v) && vault_files_same_login(files, l->used)) {
		vault_files_free(files);
		finish(v, NULL);
	} else {
		begin_with(v, files);
	}
}

static void begin_with(struct vault *v, struct vault_files *files)
{
	struct vault_login *l = &v->login;
	l->busy = true;
	vault_files_free(l->tried);
	l->tried = files;
	if (l->renewal)
		vault_call_cancel(TAKE(l->renewal));
	if (v->o.login.type == VAULT_AUTH_TOKEN)
		send_lookup(v);
	else
		send_login(v);
}

/* anew: even if there is a token that counts. */
static void begin(struct vault *v, bool anew)
{
	v->login.anew = v->login.anew || anew;
	if (v->login.busy)
		return;
	v->login.busy = true;
	vault_files_read(v, on_files);
}

/* Has an operator, or the one who keeps the files, put new credentials there? */
static void on_compared(struct vault *v, struct vault_files *files)
{
	struct vault_login *l = &v->login;
	l->checking = false;
	timer_start(l->check, v->o.poll_ms < CHECK_MS ? v->o.poll_ms : CHECK_MS);
	take_roots(v, files);
	if (!l->busy && l->used && !files->login_fault && !vault_files_same_login(files, l->used) &&
		!(l->refused && vault_files_same_login(files, l->tried))) {
		log_event(LOG_INFO, "authority.credentials_changed", LS("authority", v->ca.env.authority));
		begin_with(v, files);
		return;
	}
	vault_files_free(files);
}

static void on_check(void *arg)
{
	struct vault *v = arg;
	v->login.checking = true;
	vault_files_read(v, on_compared);
}

/* --- renewal --- */

static void on_renewed(void *arg, struct fault *f, int status, const json_t *root)
{
	struct vault *v = arg;
	struct vault_login *l = &v->login;
	struct vault_lease lease;
	l->renewal = NULL;
	if (!f)
		f = vault_answer_login(root, NULL, &lease);
	if (f) {
		log_event(LOG_INFO, "authority.login_not_renewed", LS("authority", v->ca.env.authority), LF(f));
		if (status == 400 || status == 403 || status == 500) /* 500: past its longest life */
			begin(v, true);
		else
			plan_retry(v);
		fault_free(f);
		return;
	}
	set_lease(v, &lease);
	backoff_reset(&l->backoff);
	/* Near its longest life a token is renewed for less and less: another login is due before it ends. */
	if (lease.lease_ms && lease.lease_ms < l->first_lease_ms / 2)
		l->renewable = false;
	log_event(LOG_DEBUG, "authority.login_renewed", LS("authority", v->ca.env.authority),
		LT("ends_at", l->ends_at_wall_ms));
	plan(v);
}

static void renew(struct vault *v)
{
	json_t *body = json_object();
	invariant(body);
	const struct vault_request r = {.method = "POST",
		.path = "auth/token/renew-self",
		.body = body,
		.token = v->login.token,
		.client = v->login.used->client, /* a certificate's token is bound to it */
		.timeout_ms = LOGIN_TIMEOUT_MS};
	v->login.renewal = vault_call_start(v, &r, on_renewed, v);
	json_decref(body);
}

/* The server was not reached: again soon, while the token lives. */
static void plan_retry(struct vault *v)
{
	int64_t left = v->login.ends_at_mono_ms - now_ms(v);
	int64_t wait = backoff_next_ms(&v->login.backoff, 0, vault_draw());
	timer_start(v->login.plan, left > 0 && wait > left ? left : wait);
}

static void on_plan(void *arg)
{
	struct vault *v = arg;
	struct vault_login *l = &v->login;
	bool lives = vault_login_token(v) != NULL;
	if (l->busy || l->renewal) { /* what comes of it plans anew, or leaves it to us */
		timer_start(l->plan, SOONEST_MS);
		return;
	}
	if (lives && l->renewable)
		renew(v);
	else if (lives && v->o.login.type == VAULT_AUTH_TOKEN)
		log_event(LOG_WARN, "authority.login_ends", LS("authority", v->ca.env.authority),
			LT("ends_at", l->ends_at_wall_ms), LS("token_file", v->o.login.token_file));
	else
		begin(v, true);
}

/* --- whoever needs it --- */

void vault_login_wait(struct vault *v, struct vault_waiter *w)
{
	vault_wait(&v->login.waiters, w);
	begin(v, false);
}

bool vault_login_denied(struct vault *v, uint64_t generation)
{
	struct vault_login *l = &v->login;
	if (generation != l->generation)
		return true;
	if (generation == l->denied_generation && now_ms(v) < l->denied_at_mono_ms + DENIAL_STANDS_MS)
		return false;
	secret_free(TAKE(l->token));
	return true;
}

void vault_login_denial_stands(struct vault *v, uint64_t generation)
{
	v->login.denied_generation = generation;
	v->login.denied_at_mono_ms = now_ms(v);
}

void vault_login_init(struct vault *v)
{
	v->login.backoff = (struct backoff){.base_ms = MS_PER_S, .cap_ms = MS_PER_MIN};
	v->login.plan = timer_new(v->ca.env.loop, on_plan, v);
	v->login.check = timer_new(v->ca.env.loop, on_check, v);
}

void vault_login_watch(struct vault *v)
{
	if (!v->login.checking)
		timer_start(v->login.check, v->o.poll_ms < CHECK_MS ? v->o.poll_ms : CHECK_MS);
}

void vault_login_stop(struct vault *v)
{
	struct vault_login *l = &v->login;
	timer_stop(l->plan);
	timer_stop(l->check);
	if (l->call)
		vault_call_cancel(TAKE(l->call));
	if (l->renewal)
		vault_call_cancel(TAKE(l->renewal));
}

void vault_login_done(struct vault *v)
{
	struct vault_login *l = &v->login;
	invariant(!l->waiters);
	secret_free(l->token);
	secret_free(l->unwrapped.secret_id);
	vault_files_free(l->used);
	vault_files_free(l->tried);
	fault_free(l->refused);
	timer_free(l->plan);
	timer_free(l->check);
}
