/* Authorities of type `vault`: each login, the defaults, and what is refused with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "control/definitions.h"
#include "daemon/config.h"
#include "daemon/config_errors.h"

#define START "listen: [{unix: {path: /x}}]\nauthorities:\n  corp: {type: vault, "
#define SERVER "address: \"https://vault.example:8200\", role: mesh"
#define TOKEN "auth: {token: {file: /t}}"
#define END "}\nprofiles: {p: {authority: corp, dns: [a.example]}}\nsecrets: {web: {profile: p}}\n"

static struct config *load(const char *text)
{
	struct config *c = NULL;
	struct config_errors *e = NULL;
	struct fault *f = config_load_text("x.yaml", text, strlen(text), &c, &e);
	if (f)
		fail_msg("%s", fault_text(f));
	return c;
}

static const struct vault_options *options(const struct config *c)
{
	const struct authority_def *a = definitions_authority(c->definitions, "corp");
	assert_non_null(a);
	assert_int_equal(a->type, AUTHORITY_VAULT);
	return &a->vault;
}

static void test_defaults(void **state)
{
	(void)state;
	AUTO(config_freep) struct config *c = load(START SERVER ", " TOKEN END);
	const struct vault_options *o = options(c);
	assert_string_equal(o->address, "https://vault.example:8200");
	assert_string_equal(o->role, "mesh");
	assert_string_equal(o->mount, "pki");
	assert_int_equal(o->poll_ms, 300000);
	assert_null(o->unix_socket);
	assert_null(o->namespace);
	assert_null(o->ca_file);
	assert_null(o->root_file);
	assert_int_equal(o->login.type, VAULT_AUTH_TOKEN);
	assert_string_equal(o->login.token_file, "/t");
	assert_true(definitions_authority(c->definitions, "corp")->max_in_flight > 0);
}

static void test_every_key(void **state)
{
	(void)state;
	AUTO(config_freep)
	struct config *c =
		load(START "address: \"http://any.example\", unix_socket: /run/a, ca_file: /ca, namespace: a/b, "
			   "mount: x/pki, role: r-1, root_file: root, poll: 10s, auth: {approle: "
			   "{role_id_file: /r, secret_id_file: secret, mount: own/approle}}" END);
	const struct vault_options *o = options(c);
	assert_string_equal(o->unix_socket, "/run/a");
	assert_string_equal(o->ca_file, "/ca");
	assert_string_equal(o->namespace, "a/b");
	assert_string_equal(o->mount, "x/pki");
	assert_string_equal(o->root_file, "root"); /* a credential of the service manager */
	assert_int_equal(o->poll_ms, 10000);
	assert_int_equal(o->login.type, VAULT_AUTH_APPROLE);
	assert_string_equal(o->login.role_id_file, "/r");
	assert_string_equal(o->login.secret_id_file, "secret");
	assert_string_equal(o->login.mount, "own/approle");
}

static void test_other_logins(void **state)
{
	(void)state;
	AUTO(config_freep)
	struct config *c =
		load(START SERVER ", auth: {certificate: {certificate_file: /c, key_file: /k, name: hosts}}" END);
	const struct vault_login_options *l = &options(c)->login;
	assert_int_equal(l->type, VAULT_AUTH_CERTIFICATE);
	assert_string_equal(l->certificate_file, "/c");
	assert_string_equal(l->key_file, "/k");
	assert_string_equal(l->role, "hosts");
	assert_string_equal(l->mount, "cert");
	AUTO(config_freep)
	struct config *j = load(START SERVER ", auth: {jwt: {token_file: /j, role: r, mount: kubernetes}}" END);
	l = &options(j)->login;
	assert_int_equal(l->type, VAULT_AUTH_JWT);
	assert_string_equal(l->token_file, "/j");
	assert_string_equal(l->role, "r");
	assert_string_equal(l->mount, "kubernetes");
}

static void refused(const char *text, const char *words)
{
	struct config *c = NULL;
	struct config_errors *e = NULL;
	struct fault *f = config_load_text("x.yaml", text, strlen(text), &c, &e);
	assert_non_null(f);
	struct buf all = BUF_INIT;
	config_errors_text(e, &all);
	if (!strstr(buf_text(&all), words))
		fail_msg("%s\nsays\n%s", text, buf_text(&all));
	buf_free(&all);
	config_errors_free(e);
	fault_free(f);
}

static void test_errors(void **state)
{
	(void)state;
	refused(START "role: mesh, " TOKEN END, "\"address\" is missing in authorities.corp");
	refused(START SERVER END, "\"auth\" is missing in authorities.corp");
	refused(START "address: \"https://v\", " TOKEN END, "\"role\" is missing in authorities.corp");
	refused(START "address: \"http://vault.example:8200\", role: mesh, " TOKEN END,
		"authorities.corp.address: http://vault.example:8200 is plain http to another machine");
	refused(START "address: \"https://me:secret@v\", role: mesh, " TOKEN END, "credentials are read from files");
	refused(START SERVER ", auth: {token: {file: /t}, jwt: {token_file: /j}}" END,
		"authorities.corp.auth has 2 keys; it takes one: token, approle, certificate or jwt");
	refused(START SERVER ", auth: {}" END, "authorities.corp.auth has 0 keys");
	refused(START SERVER ", auth: /t" END, "authorities.corp.auth is \"/t\"; it takes a mapping with one key");
	refused(START SERVER ", auth: {tokn: {file: /t}}" END, "did you mean \"token\"");
	refused(START SERVER ", auth: {token: {file: a/b}}" END,
		"authorities.corp.auth.token.file is \"a/b\"; it takes an absolute path, or the name of a systemd "
		"credential");
	refused(START SERVER ", auth: {approle: {role_id_file: /r}}" END,
		"authorities.corp.auth.approle needs one of secret_id_file and wrapping_token_file");
	refused(START SERVER ", auth: {approle: {role_id_file: /r, secret_id_file: /s, wrapping_token_file: /w}}" END,
		"authorities.corp.auth.approle needs one of secret_id_file and wrapping_token_file");
	refused(START SERVER ", auth: {jwt: {token_file: /j, mount: \"../sys\"}}" END,
		"authorities.corp.auth.jwt.mount is \"../sys\"; it takes a path of letters");
	refused(START SERVER ", mount: \"pki?x\", " TOKEN END, "authorities.corp.mount is \"pki?x\"; it takes a path");
	refused(START "address: \"https://v\", role: a/b, " TOKEN END, "authorities.corp.role has a slash");
	refused(START SERVER ", namespace: \"a b\", " TOKEN END, "authorities.corp.namespace is \"a b\"");
	refused(START SERVER ", poll: 10ms, " TOKEN END, "authorities.corp.poll is \"10ms\"; it takes a duration");
	refused(START "address: \"http://127.0.0.1:8200\", role: mesh, auth: {certificate: {certificate_file: /c, "
		      "key_file: /k}}" END,
		"auth.certificate is shown in a TLS handshake");
	refused(START SERVER ", insecure: true, " TOKEN END, "unknown key \"insecure\""); /* there is no such thing */
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_defaults), cmocka_unit_test(test_every_key),
		cmocka_unit_test(test_other_logins), cmocka_unit_test(test_errors)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
