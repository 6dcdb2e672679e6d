/* Configs that are right: every key, every default, the config without a file, and the reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "control/definitions.h"
#include "control/identity.h"
#include "control/policy.h"
#include "control/template.h"
#include "daemon/config.h"

static struct config *load(const char *text)
{
	struct config *c = NULL;
	struct config_errors *e = NULL;
	struct fault *f = config_load_text("x.yaml", text, strlen(text), &c, &e);
	if (f)
		fail_msg("%s", fault_text(f));
	assert_null(e);
	return c;
}

static const char everything[] =
	"workers: 4\n"
	"log: {level: debug, format: json}\n"
	"listen:\n"
	"  - unix: {path: /run/leafcast/sds.sock, mode: \"0600\", owner: root, group: 1337}\n"
	"  - tcp:\n"
	"      address: \"[::1]:8443\"\n"
	"      certificate: {profile: workload, dns: [sds.example], uri: []}\n"
	"      client_ca: [lab, own]\n"
	"  - telemetry: {address: \"127.0.0.1:9902\"}\n"
	"drain: {grace: 1m30s}\n"
	"repush: {interval: 10m}\n"
	"state: {path: /var/lib/x, seal: {file: /etc/seal.key}}\n"
	"admin: {path: /run/leafcast/a.sock}\n"
	"limits: {connections: 100, connections_per_identity: 50, streams_per_connection: 1024, names_per_stream: 7, "
	"names_per_request: 8, streams_per_second: 9, requests_per_second: 10, streams_per_identity: 2048, "
	"streams_per_second_per_identity: 15, requests_per_second_per_identity: 16, "
	"connections_per_second: 13, resets_per_second: 14, new_names_per_connection: 11, new_names_per_identity: 12, "
	"unanswered_reoffer: 11s, unanswered_close: 12s, "
	"connection_age: 1h, connection_age_grace: 13s, connection_idle: 14s, node_bytes: 64, fetch_wait: 0s, "
	"message_bytes: 65536, "
	"memory_bytes: 16777216}\n"
	"authorities:\n"
	"  lab: {type: builtin, key: rsa-3072, common_name: Lab Root, max_in_flight: 7, rate: 50}\n"
	"  own: {type: builtin, certificate_file: /c.pem, key_file: /k.pem, key_password_file: /p}\n"
	"profiles:\n"
	"  workload:\n"
	"    authority: [lab, own]\n"
	"    key: ecdsa-p384\n"
	"    lifetime: 2d\n"
	"    renew: {from: 10%, to: 80%}\n"
	"    uri: [\"spiffe://td.example/uid/{uid}\"]\n"
	"    dns: [a.example, b.example]\n"
	"    ip: [192.0.2.1]\n"
	"    email: [ops@example.org]\n"
	"  daily: {authority: lab, lifetime: 24h, renew: {before: {from: 8h, to: 6h}}, dns: [a.example]}\n"
	"secrets:\n"
	"  default: {profile: workload}\n"
	"  web-cert: {profile: workload, dns: [web.example], uri: []}\n"
	"  roots: {bundle: [lab, own]}\n"
	"policy:\n"
	"  - {who: {uid: 0, gid: 4294967294}, may: [web-cert, \"web-*\"]}\n"
	"  - who: {uri: \"spiffe://td.example/gw/*\", dns: \"*.x\", ca: lab}\n"
	"    deny: [\"**\"]\n"
	"  - {who: {}, may: [a]}\n";

static void test_settings(void **state)
{
	(void)state;
	AUTO(config_freep) struct config *c = load(everything);
	assert_string_equal(c->source_path, "x.yaml");
	assert_int_equal(c->workers, 4);
	assert_int_equal(c->log_level, LOG_DEBUG);
	assert_int_equal(c->log_format, LOG_FORMAT_JSON);
	assert_int_equal(c->drain_grace_ms, 90000);
	assert_int_equal(c->repush_ms, 600000);
	assert_string_equal(c->state_path, "/var/lib/x");
	assert_string_equal(c->seal_file, "/etc/seal.key");
	assert_string_equal(c->admin_path, "/run/leafcast/a.sock");
	assert_int_equal(c->limits.streams_per_connection, 1024);
	assert_int_equal(c->limits.connections, 100);
	assert_int_equal(c->limits.connections_per_identity, 50);
	assert_int_equal(c->limits.names_per_stream, 7);
	assert_int_equal(c->limits.names_per_request, 8);
	assert_int_equal(c->limits.streams_per_second, 9);
	assert_int_equal(c->limits.requests_per_second, 10);
	assert_int_equal(c->limits.streams_per_identity, 2048);
	assert_int_equal(c->limits.streams_per_second_per_identity, 15);
	assert_int_equal(c->limits.requests_per_second_per_identity, 16);
	assert_int_equal(c->limits.connections_per_second, 13);
	assert_int_equal(c->limits.resets_per_second, 14);
	assert_int_equal(c->limits.new_names_per_connection, 11);
	assert_int_equal(c->limits.new_names_per_identity, 12);
	assert_int_equal(c->limits.unanswered_reoffer_ms, 11000);
	assert_int_equal(c->limits.unanswered_close_ms, 12000);
	assert_int_equal(c->limits.connection_age_ms, 3600000);
	assert_int_equal(c->limits.connection_age_grace_ms, 13000);
	assert_int_equal(c->limits.connection_idle_ms, 14000);
	assert_int_equal(c->limits.node_bytes, 64);
	assert_int_equal(c->limits.fetch_wait_ms, 0);
	assert_int_equal(c->limits.message_bytes, 65536);
	assert_int_equal(c->limits.memory_bytes, 16777216);
}

static void test_listeners(void **state)
{
	(void)state;
	AUTO(config_freep) struct config *c = load(everything);
	assert_int_equal(c->listen_count, 3);
	const struct listen_config *l = c->listen;
	assert_int_equal(l[0].type, LISTEN_UNIX);
	assert_int_equal(l[0].line, 4);
	assert_string_equal(l[0].path, "/run/leafcast/sds.sock");
	assert_int_equal(l[0].mode, 0600);
	assert_int_equal(l[0].owner, 0);
	assert_int_equal(l[0].group, 1337);
	assert_int_equal(l[1].type, LISTEN_TCP);
	assert_string_equal(l[1].address, "[::1]:8443");
	assert_int_equal(l[1].client_ca_count, 2);
	assert_string_equal(l[1].client_ca[1], "own");
	assert_int_equal(l[2].type, LISTEN_TELEMETRY);
	assert_string_equal(l[2].address, "127.0.0.1:9902");

	const struct secret_def *own = definitions_secret(c->definitions, l[1].certificate);
	assert_non_null(own);
	assert_true(own->internal);
	assert_string_equal(own->name, "listen [::1]:8443");
	assert_int_equal(own->kind, SECRET_TLS_CERTIFICATE);
	assert_int_equal(definitions_sans(c->definitions, own, SAN_DNS)->count, 1);
	assert_int_equal(definitions_sans(c->definitions, own, SAN_URI)->count, 0);
	assert_int_equal(definitions_sans(c->definitions, own, SAN_IP)->count, 1);
}

static void test_definitions(void **state)
{
	(void)state;
	AUTO(config_freep) struct config *c = load(everything);
	AUTO(definitions_freep) struct definitions *d = config_take_definitions(c);
	assert_null(c->definitions);
	const struct authority_def *lab = definitions_authority(d, "lab"), *own = definitions_authority(d, "own");
	assert_int_equal(lab->type, AUTHORITY_BUILTIN);
	assert_int_equal(lab->builtin.ca_key, KEY_RSA_3072);
	assert_string_equal(lab->builtin.common_name, "Lab Root");
	assert_int_equal(lab->max_in_flight, 7);
	assert_int_equal(lab->rate, 50);
	assert_int_equal(own->max_in_flight, 16);
	assert_int_equal(own->rate, 0);
	assert_int_equal(own->builtin.ca_key, KEY_ECDSA_P256);
	assert_string_equal(own->builtin.certificate_file, "/c.pem");
	assert_string_equal(own->builtin.key_file, "/k.pem");
	assert_string_equal(own->builtin.key_password_file, "/p");

	const struct profile_def *p = definitions_profile(d, "workload");
	assert_int_equal(p->authority_count, 2);
	assert_string_equal(p->authorities[0], "lab");
	assert_string_equal(p->authorities[1], "own");
	assert_int_equal(p->key, KEY_ECDSA_P384);
	assert_int_equal(p->lifetime_ms, 2 * 86400000);
	assert_int_equal(p->renew_from_percent, 10);
	assert_int_equal(p->renew_to_percent, 80);
	assert_int_equal(p->renew_before_from_ms, 0);
	assert_int_equal(definitions_profile(d, "daily")->renew_before_from_ms, 8 * 3600000);
	assert_int_equal(definitions_profile(d, "daily")->renew_before_to_ms, 6 * 3600000);
	assert_int_equal(p->sans[SAN_DNS].count, 2);
	assert_int_equal(p->sans[SAN_EMAIL].count, 1);

	const struct secret_def *web = definitions_secret(d, "web-cert"), *roots = definitions_secret(d, "roots");
	assert_true(web->replaces[SAN_DNS] && web->replaces[SAN_URI] && !web->replaces[SAN_IP]);
	assert_false(web->internal);
	const char *variables[DEFINITION_VARIABLES_MAX];
	assert_int_equal(definitions_variables(d, web, variables), 0);
	assert_int_equal(definitions_variables(d, definitions_secret(d, "default"), variables), 1);
	assert_int_equal(roots->kind, SECRET_VALIDATION_CONTEXT);
	assert_int_equal(roots->authority_count, 2);

	assert_int_equal(d->rule_count, 3);
	const struct rule_def *r = d->rules;
	assert_int_equal(r[0].who, WHO_UID | WHO_GID);
	assert_int_equal(r[0].gid, 4294967294);
	assert_int_equal(r[0].may_count, 2);
	assert_int_equal(r[0].deny_count, 0);
	assert_int_equal(r[0].line, 34);
	assert_int_equal(r[1].who, WHO_URI | WHO_DNS | WHO_CA);
	assert_string_equal(r[1].uri, "spiffe://td.example/gw/*");
	assert_string_equal(r[1].deny[0], "**");
	assert_int_equal(r[1].line, 35);
	assert_int_equal(r[2].who, 0);
}

static void test_defaults(void **state)
{
	(void)state;
	AUTO(config_freep) struct config *c = load("listen: [{unix: {path: /x}}]\nprofiles: {p: {}}\n");
	assert_int_equal(c->workers, 1);
	assert_int_equal(c->log_level, LOG_INFO);
	assert_int_equal(c->log_format, LOG_FORMAT_AUTO);
	assert_int_equal(c->drain_grace_ms, 10000);
	assert_int_equal(c->repush_ms, 0);
	assert_string_equal(c->state_path, "/state");
	assert_null(c->seal_file);
	assert_string_equal(c->admin_path, "/run/x/admin.sock");
	assert_int_equal(c->limits.streams_per_connection, 10000);
	assert_int_equal(c->limits.connections, 65536);
	assert_int_equal(c->limits.connections_per_identity, 16384);
	assert_int_equal(c->limits.names_per_stream, 10000);
	assert_int_equal(c->limits.names_per_request, 10000);
	assert_int_equal(c->limits.streams_per_second, 1000);
	assert_int_equal(c->limits.requests_per_second, 4000);
	assert_int_equal(c->limits.streams_per_identity, 100000);
	assert_int_equal(c->limits.streams_per_second_per_identity, 10000);
	assert_int_equal(c->limits.requests_per_second_per_identity, 40000);
	assert_int_equal(c->limits.connections_per_second, 400);
	assert_int_equal(c->limits.resets_per_second, 500);
	assert_int_equal(c->limits.new_names_per_connection, 10000);
	assert_int_equal(c->limits.new_names_per_identity, 50000);
	assert_int_equal(c->limits.unanswered_reoffer_ms, 300000);
	assert_int_equal(c->limits.unanswered_close_ms, 900000);
	assert_int_equal(c->limits.connection_age_ms, 0);
	assert_int_equal(c->limits.connection_idle_ms, 0);
	assert_int_equal(c->limits.node_bytes, 256);
	assert_int_equal(c->limits.fetch_wait_ms, 10000);
	assert_int_equal(c->limits.message_bytes, 4 << 20);
	assert_int_equal(c->limits.memory_bytes, 0);
	assert_int_equal(c->listen[0].mode, 0660);
	assert_int_equal(c->listen[0].owner, (uid_t)-1);
	assert_int_equal(c->listen[0].group, (gid_t)-1);
	assert_int_equal(c->definitions->authority_count, 1);
	assert_string_equal(c->definitions->authorities[0].name, "builtin");
	assert_int_equal(c->definitions->authorities[0].builtin.ca_key, KEY_ECDSA_P256);
	const struct profile_def *p = definitions_profile(c->definitions, "p");
	assert_string_equal(p->authorities[0], "builtin");
	assert_int_equal(p->key, KEY_ECDSA_P256);
	assert_int_equal(p->lifetime_ms, 3600000);
	assert_int_equal(p->renew_from_percent, 50);
	assert_int_equal(p->renew_to_percent, 70);
	assert_int_equal(c->definitions->rule_count, 0);
}

static void test_without_a_file(void **state)
{
	(void)state;
	AUTO(config_freep) struct config *c = NULL;
	assert_null(config_default(&c));
	assert_null(c->source_path);
	assert_int_equal(c->listen_count, 1);
	assert_string_equal(c->listen[0].path, "/run/x/sds.sock");
	assert_int_equal(c->listen[0].line, 0);
	assert_string_equal(c->state_path, "/state");
	const struct definitions *d = c->definitions;
	const struct profile_def *p = definitions_profile(d, "default");
	assert_string_equal(p->authorities[0], "builtin");
	assert_int_equal(p->lifetime_ms, 3600000);
	const char *variables[DEFINITION_VARIABLES_MAX];
	assert_int_equal(definitions_variables(d, definitions_secret(d, "default"), variables), 1);
	assert_string_equal(variables[0], "uid");
	assert_string_equal(definitions_secret(d, "ROOTCA")->authorities[0], "builtin");
	assert_int_equal(d->rules[0].line, 0);

	AUTO(policy_unrefp) struct policy *policy = policy_new(d, 1);
	AUTO(identity_unrefp) struct identity *own = identity_new_unix(geteuid(), 1, 1);
	AUTO(identity_unrefp) struct identity *other = identity_new_unix(geteuid() + 1, 1, 1);
	assert_true(policy_decide(policy, own, "default").allowed);
	assert_true(policy_decide(policy, own, "brought/later").allowed);
	assert_false(policy_decide(policy, other, "default").allowed);
}

/* The paths come from outside: they stay texts, whatever is in them. */
static void test_odd_runtime_folder(void **state)
{
	(void)state;
	AUTO(config_freep) struct config *c = NULL;
	assert_int_equal(setenv("RUNTIME_DIRECTORY", "/run/a\"b\\n{: ]", 1), 0);
	struct fault *f = config_default(&c);
	assert_int_equal(setenv("RUNTIME_DIRECTORY", "/run/x", 1), 0);
	/* A colon separates folders of systemd's. */
	assert_null(f);
	assert_string_equal(c->listen[0].path, "/run/a\"b\\n{/sds.sock");
}

static void test_notations(void **state)
{
	(void)state;
	/* A byte order mark, CRLF, comments, block style, JSON. */
	AUTO(config_freep)
	struct config *a = load("\xef\xbb\xbf# c\r\nlisten:\r\n- unix:\r\n    path: '/x'\r\nworkers: \"2\"\r\n...\r\n");
	assert_int_equal(a->workers, 2);
	assert_string_equal(a->listen[0].path, "/x");
	AUTO(config_freep) struct config *b = load("{\"listen\": [{\"unix\": {\"path\": \"/x\"}}], \"workers\": 3}");
	assert_int_equal(b->workers, 3);
	AUTO(config_freep)
	struct config *names = load("listen: [{unix: {path: /x}}]\nsecrets: {\"a/b {uid} \xc3\xa9\": "
				    "{bundle: [builtin]}, \"<<\": {bundle: [builtin]}}\n");
	assert_non_null(definitions_secret(names->definitions, "a/b {uid} \xc3\xa9"));
	assert_non_null(definitions_secret(names->definitions, "<<"));
}

static void test_file(void **state)
{
	(void)state;
	char path[] = "/tmp/leafcast-config-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, everything, strlen(everything)), (ssize_t)strlen(everything));
	assert_int_equal(close(fd), 0);
	AUTO(config_freep) struct config *c = NULL;
	struct fault *f = config_load_file(path, &c, NULL);
	assert_int_equal(unlink(path), 0);
	assert_null(f);
	assert_string_equal(c->source_path, path);
	assert_int_equal(c->workers, 4);
}

static void test_reference(void **state)
{
	(void)state;
	struct buf b = BUF_INIT;
	config_reference(&b);
	static const char *const rows[] = {
		"| `workers` | a whole number from 1 to 64 | `1` | ",
		"| `listen[].unix.mode` | ",
		"| `authorities.NAME.key` | one of ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, rsa-4096 | ",
		"| `profiles.NAME.lifetime` | a duration from 10s to 825d, such as \"30s\" | `1h` | ",
		"| `listen[].tcp.certificate.profile` | the name of a profile | required | ",
		"| `policy[].who.ca` | ",
	};
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (!strstr(buf_text(&b), rows[i]))
			fail_msg("no row %s", rows[i]);
	buf_free(&b);
}

int main(void)
{
	assert_int_equal(setenv("STATE_DIRECTORY", "/state", 1), 0);
	assert_int_equal(setenv("RUNTIME_DIRECTORY", "/run/x", 1), 0);
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_settings), cmocka_unit_test(test_listeners),
		cmocka_unit_test(test_definitions), cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_without_a_file), cmocka_unit_test(test_odd_runtime_folder),
		cmocka_unit_test(test_notations), cmocka_unit_test(test_file), cmocka_unit_test(test_reference)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
